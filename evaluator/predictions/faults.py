"""What can be wrong with a row that was read. In: nothing; out: the faults, in the order of looking for them."""

from enum import IntEnum


class Fault(IntEnum):
    """Why a row cannot be taken; the first that applies, in this order. The name in lower case is the code."""

    NONE = 0
    MISSING_VALUE = 1
    BAD_VARIANT = 2
    UNKNOWN_IMAGE = 3
    WRONG_SPLIT = 4
    UNKNOWN_QUESTION = 5
    DUPLICATE_ANSWER = 6
    BOXES_NOT_ASKED = 7
    OPTION_NOT_IN_LIST = 8
    INDEX_OUT_OF_RANGE = 9
    OPTION_NOT_ASKED = 10
    TOO_MANY_BOXES = 11
    BAD_BOX = 12  # the last three: of the first box that cannot be taken
    UNKNOWN_CLASS = 13
    BOX_OUTSIDE = 14
