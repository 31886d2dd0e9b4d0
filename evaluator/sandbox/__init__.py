"""Strangers' weights are read and run in a fresh process that sees one job and nothing else. No torch here."""

from evaluator.sandbox.jobs import AnswerJob, ChildAnswers, ChildSweep, MergeJob, MergePart, SweepJob
from evaluator.sandbox.level import SandboxLevel, sandbox_level
from evaluator.sandbox.limits import JobLimits, Limits
from evaluator.sandbox.merging import merge_in_child
from evaluator.sandbox.parent import answer_in_child, probe_in_child, validate_in_child
from evaluator.sandbox.process import spare
from evaluator.sandbox.suggesting import SuggestJob, suggest_in_child
from evaluator.sandbox.sweeping import sweep_in_child

__all__ = [
    "AnswerJob",
    "ChildAnswers",
    "ChildSweep",
    "JobLimits",
    "Limits",
    "MergeJob",
    "MergePart",
    "SandboxLevel",
    "SuggestJob",
    "SweepJob",
    "answer_in_child",
    "merge_in_child",
    "probe_in_child",
    "sandbox_level",
    "spare",
    "suggest_in_child",
    "sweep_in_child",
    "validate_in_child",
]
