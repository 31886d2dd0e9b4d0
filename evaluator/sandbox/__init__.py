"""Strangers' weights are read and run in a fresh process that sees one job and nothing else. No torch here."""

from evaluator.sandbox.jobs import AnswerJob, ChildAnswers
from evaluator.sandbox.level import SandboxLevel, sandbox_level
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.parent import answer_in_child, validate_in_child

__all__ = [
    "AnswerJob",
    "ChildAnswers",
    "Limits",
    "SandboxLevel",
    "answer_in_child",
    "sandbox_level",
    "validate_in_child",
]
