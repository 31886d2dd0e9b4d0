"""Strangers' weights are read and run in a fresh process that sees one job and nothing else. No torch here."""

from evaluator.sandbox.jobs import AnswerJob, ChildAnswers
from evaluator.sandbox.level import SandboxLevel, sandbox_level
from evaluator.sandbox.limits import JobLimits, Limits
from evaluator.sandbox.parent import answer_in_child, probe_in_child, validate_in_child
from evaluator.sandbox.process import spare

__all__ = [
    "AnswerJob",
    "ChildAnswers",
    "JobLimits",
    "Limits",
    "SandboxLevel",
    "answer_in_child",
    "probe_in_child",
    "sandbox_level",
    "spare",
    "validate_in_child",
]
