"""Answers: the raw output of one evaluation. In/out: answers.parquet. Torch-free; the scorer and the runner share it."""

from enum import StrEnum

import pyarrow as pa

ABSTAINED = -1  # also a tie: chosen = -1 is never right

ANSWER_BOX = pa.struct([
    ("class", pa.string()), ("x1", pa.float64()), ("y1", pa.float64()), ("x2", pa.float64()), ("y2", pa.float64()),
    ("score", pa.float64()),
])  # fmt: skip

ANSWERS = pa.schema([
    ("dataset", pa.string()), ("image_id", pa.string()), ("question", pa.string()), ("variant", pa.int8()),
    ("chosen", pa.int16()), ("scores", pa.list_(pa.float32())), ("text", pa.string()), ("truncated", pa.bool_()),
    ("boxes", pa.list_(ANSWER_BOX)),
])  # fmt: skip


class Protocol(StrEnum):
    """How questions were put to the model; a column and a filter of every board."""

    CAPTIONS = "captions"
    QUESTIONS = "questions"
    LETTER = "letter"
    SELF_REPORTED = "self-reported"
