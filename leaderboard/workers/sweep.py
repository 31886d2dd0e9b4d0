"""Sweeping two checkpoints. In: a claimed evaluation; out: the answers of every merge stored, the evaluation answered.

Knows no key, as leaderboard.workers.run: α is chosen by the scorer.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings

from evaluator.answering.parts import Resume
from evaluator.answering.sweeps.sweep_answers import write_sweep
from evaluator.answers import Protocol
from evaluator.encoders.choices import Device, Precision
from evaluator.errors import EvaluationFailed
from evaluator.pixels.cache import PixelCache
from evaluator.sandbox import SweepJob, sweep_in_child
from evaluator.sandbox.fingerprint import sweep_fingerprint
from leaderboard import bases, parts, storage
from leaderboard.lineage import pairs
from leaderboard.models import Evaluation, Submission
from leaderboard.queue.claims import Claim
from leaderboard.states import SubmissionState
from leaderboard.workers.outcome import answer_stored


def run(
    evaluation: Evaluation, claim: Claim, on_progress: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], bool],
) -> None:  # fmt: skip
    """Answer dev and the reported split at every α; raises EvaluationFailed or InputError when there are no answers."""
    tuned, base = evaluation.submission, evaluation.base
    assert base is not None, "the database lets no sweep be without a base"
    _require_usable(base)
    with (
        storage.local_files(tuned) as tuned_file, bases.local_base(tuned) as tuned_base,
        storage.local_files(base) as base_file, bases.local_base(base) as base_base,
    ):  # fmt: skip
        job = SweepJob(
            release=storage.release_folder(tuned.release), splits=pairs.splits_answered(evaluation),
            tuned=tuned_file, tuned_base=tuned_base, tuned_sha256=_validated(tuned),
            base=base_file, base_base=base_base, base_sha256=_validated(base),
            architecture=tuned.architecture, alphas=pairs.ALPHAS, protocol=Protocol(evaluation.protocol),
            device=Device(settings.EVALUATION_DEVICE), precision=Precision(settings.EVALUATION_PRECISION),
            timeout_s=settings.EVALUATION_TIMEOUT_S,
            cache=PixelCache(folder=settings.PIXEL_CACHE_ROOT, max_bytes=settings.PIXEL_CACHE_BYTES),
        )  # fmt: skip
        same = sweep_fingerprint(job)
        resume = Resume(done=parts.kept_parts(evaluation, same), on_part=partial(parts.keep_part, claim, same))
        swept = sweep_in_child(job, on_progress, should_stop, resume)
    with storage.work_folder("sweep") as folder:
        write_sweep(swept.answers, folder / "sweep.parquet")
        stored = storage.put_file(folder / "sweep.parquet")
    answer_stored(evaluation, claim, run=swept.run, answers_sha256=stored.sha256)


def _validated(submission: Submission) -> str:
    """What validation found the weights to be; with an adapter, together with its base."""
    return submission.facts.get("sha256") or submission.file_sha256


def _require_usable(base: Submission) -> None:
    if base.state != SubmissionState.ACCEPTED:
        message = f"The base was {base.state} meanwhile, so its weights are not to be used. Name another base."
        raise EvaluationFailed(f"base_{base.state}", message, retry=False)
