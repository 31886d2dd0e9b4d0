"""Running an evaluation. In: a claimed evaluation; out: its answers and embeddings stored, the evaluation answered.

Knows no key: it sees weights, images and questions, and hands them to a sandboxed child.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from evaluator.answering.embeddings import write_embeddings
from evaluator.answering.parts import Resume
from evaluator.answers import Protocol, write_answers
from evaluator.encoders.choices import Device, Precision
from evaluator.errors import EvaluationFailed
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.sandbox import AnswerJob, ChildAnswers, SandboxLevel, answer_in_child, sandbox_level
from evaluator.sandbox.fingerprint import fingerprint
from leaderboard import bases, parts, storage
from leaderboard.models import Evaluation, LogLine
from leaderboard.models.submissions import Purpose
from leaderboard.queue.claims import Claim
from leaderboard.workers import sweep
from leaderboard.workers.outcome import answer_stored

log = logging.getLogger(__name__)
PROGRESS_S = 1.0  # between two writes of the same stage's progress


def run(claim: Claim, should_stop: Callable[[], bool]) -> None:
    """Answer one split with one checkpoint, or sweep two; raises EvaluationFailed or InputError without answers."""
    evaluation = Evaluation.objects.select_related("submission__release", "base").get(pk=claim.pk)
    _refuse_weak_sandbox(Split(evaluation.split))
    if evaluation.purpose == Purpose.SWEEP:
        sweep.run(evaluation, claim, Progress(claim), should_stop)
    else:
        _answer(evaluation, claim, should_stop)


def _answer(evaluation: Evaluation, claim: Claim, should_stop: Callable[[], bool]) -> None:
    submission, split = evaluation.submission, Split(evaluation.split)
    with storage.local_files(submission) as weights, bases.local_base(submission) as base:
        job = AnswerJob(
            release=storage.release_folder(submission.release), split=split, weights=weights, base=base,
            weights_sha256=submission.facts.get("sha256") or submission.file_sha256,  # facts: with an adapter's base
            architecture=submission.architecture,
            protocol=Protocol(evaluation.protocol) if evaluation.protocol else None,
            blank_images=submission.shows_blank_images, device=Device(settings.EVALUATION_DEVICE),
            precision=Precision(settings.EVALUATION_PRECISION),
            timeout_s=settings.EVALUATION_TIMEOUT_S,
            cache=PixelCache(folder=settings.PIXEL_CACHE_ROOT, max_bytes=settings.PIXEL_CACHE_BYTES),
        )  # fmt: skip
        same = fingerprint(job)
        resume = Resume(done=parts.kept_parts(evaluation, same), on_part=partial(parts.keep_part, claim, same))
        answered = answer_in_child(job, Progress(claim), should_stop, resume)
    bases.name_base(submission, answered.run["weights"])
    _store(evaluation, claim, answered)


class Progress:
    """Writes what the child reports to the evaluation's progress and log, sparingly; a lost database ends nothing."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._stage = ""
        self._written = 0.0

    def __call__(self, progress: dict[str, Any]) -> None:
        stage, now = progress["stage"], time.monotonic()
        finished = progress["done"] == progress["total"]
        if stage == self._stage and not finished and now - self._written < PROGRESS_S:
            return
        try:
            if self._claim.held().update(progress=progress):
                LogLine.objects.create(evaluation_id=self._claim.pk, token=self._claim.token, text=line(progress))
        except DatabaseError as error:
            log.warning("progress of %s: %s", self._claim.pk, error)
            connection.close()
        self._stage, self._written = stage, now


def line(progress: dict[str, Any]) -> str:
    """One line of the log, such as 'embed images (step 3 of 4): 120 of 400, 85.3 images/s, 3 s left'."""
    words = f"{progress['stage']} (step {progress['step']} of {progress['steps']}): "
    words += f"{progress['done']:,} of {progress['total']:,}"
    if progress["images_per_s"] is not None:
        words += f", {progress['images_per_s']:.1f} images/s"
    if progress["eta_s"] is not None:
        words += f", {progress['eta_s']:.0f} s left"
    return words


def _refuse_weak_sandbox(split: Split) -> None:
    weak = sandbox_level() is SandboxLevel.WEAK
    if weak and split is not Split.DEV and not settings.ALLOW_WEAK_SANDBOX:
        raise EvaluationFailed(
            "weak_sandbox",
            "this worker has no bubblewrap, so it may not answer hidden splits; its organisers must install it",
            retry=False,
        )


def _store(evaluation: Evaluation, claim: Claim, answered: ChildAnswers) -> None:
    kept = {}
    with storage.work_folder("answers") as folder:
        if evaluation.purpose != Purpose.EMBED:  # its answers were asked for and scored before
            write_answers(answered.answers, folder / "answers.parquet")
            kept["answers_sha256"] = storage.put_file(folder / "answers.parquet").sha256
        if answered.embeddings is not None:
            write_embeddings(answered.embeddings, folder / "embeddings.npz")
            kept["embeddings_sha256"] = storage.put_file(folder / "embeddings.npz").sha256
    answer_stored(evaluation, claim, run=answered.run, protocol=answered.run["protocol"], **kept)
