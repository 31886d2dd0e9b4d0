"""Lets a child choose images. In: a job; out: Suggestion, its shape checked. Opens the files, reads not a byte of them.

The child is the only process that looks into what was uploaded.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.suggesting.suggestion import Pick, Suggestion, suggestion_from
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed
from evaluator.sandbox import parent
from evaluator.sandbox.frames import JSON_CAPS, MIB, Kind
from evaluator.sandbox.handover import descriptors, sealed
from evaluator.sandbox.limits import JobLimits
from evaluator.sandbox.process import start_child
from evaluator.sandbox.supervise import supervise
from evaluator.suggest.vectors import MAX_ID_CHARS, VectorLimits

RESULT_BYTES = 32 * MIB
COPIES = 6  # of the unpacked embeddings, at most in memory at a time


@dataclass(frozen=True, kw_only=True)
class SuggestJob:
    """embeddings, labels: uploaded files; earlier: labels of the rounds before."""

    embeddings: Path
    labels: Path | None
    count: int
    earlier: Mapping[str, str] = field(default_factory=dict)
    strategy: Strategy = Strategy.DROPQUERY
    seed: int = 0
    limits: VectorLimits = field(default_factory=VectorLimits)
    timeout_s: float = 300.0


def suggest_in_child(
    job: SuggestJob, *, should_stop: Callable[[], bool] | None = None
) -> tuple[Suggestion, dict[str, str]]:
    """What to label next, and all labels that it stands on. `should_stop` is asked 5 times a second.

    Raises InputError with everything that is wrong with the files, or EvaluationFailed (`timeout` …).
    """
    memory = parent.LIBRARIES_BYTES + COPIES * job.limits.unpacked_bytes
    limits = JobLimits(wall_s=job.timeout_s, cpu_s=int(4 * job.timeout_s), memory_bytes=memory)
    spec = {
        "task": "suggest", "count": job.count, "strategy": job.strategy, "seed": job.seed,
        "vector_limits": asdict(job.limits),
    }  # fmt: skip
    paths = {"embeddings": job.embeddings} | ({"labels": job.labels} if job.labels else {})
    child = start_child(device=Device.CPU, warm=False)
    with sealed({"earlier": json.dumps(dict(job.earlier)).encode()}) as earlier, descriptors(paths) as files:
        caps = {**JSON_CAPS, Kind.RESULT: RESULT_BYTES}
        frames = supervise(
            child, spec, {**files, **earlier}, caps=caps, limits=limits, should_stop=should_stop
        )  # fmt: skip
        content = parent.result_of(frames)
    return _checked(content, job.count)


def _checked(content: Mapping[str, Any], count: int) -> tuple[Suggestion, dict[str, str]]:
    """Raises EvaluationFailed `child_misbehaved` for anything that no child of ours sends."""
    try:
        found, labels = suggestion_from(content["suggestion"]), dict(content["labels"])
        is_sane = len({pick.id for pick in found.picks}) == len(found.picks) == count and all(
            _is_sane(pick) and pick.id not in labels for pick in found.picks
        )
        is_sane &= all(isinstance(text, str) for pair in labels.items() for text in pair)
        is_sane &= dict(found.labelled) == dict(Counter(labels.values()))
    except (KeyError, TypeError, ValueError, AttributeError):
        is_sane = False
    if not is_sane:
        message = "The process that chooses images sent something that it never should."
        raise EvaluationFailed("child_misbehaved", message, retry=False)
    return found, labels


def _is_sane(pick: Pick) -> bool:
    shares = (pick.typicality, pick.disagreement, pick.lead)
    return (
        isinstance(pick.id, str) and 0 < len(pick.id) <= MAX_ID_CHARS
        and isinstance(pick.group, int) and isinstance(pick.members, int) and 1 <= pick.group and 1 <= pick.members
        and all(share is None or (isinstance(share, int | float) and -1e-6 <= share <= 1 + 1e-6) for share in shares)
        and (pick.guess is None or isinstance(pick.guess, str))
    )  # fmt: skip
