"""Postgres holds the truth (claims, reconciler), RQ rings the workers (dispatch), a supervisor minds them."""

from enum import StrEnum


class Queue(StrEnum):
    """The kinds of work; a worker serves one."""

    VALIDATE = "validate"
    EVALUATE = "evaluate"
    SCORE = "score"
    STUDY = "study"  # long and never urgent: what labels are worth
