"""Submissions and their evaluations. Their `state` columns are written by leaderboard.states alone."""

import uuid

from django.db import models as db
from django.db.models import Q

from leaderboard.states import EvaluationState, SubmissionState


class Leased(db.Model):
    """Work that one worker at a time may hold: the lease runs by the database's clock, the token fences late writes."""

    token = db.BigIntegerField(default=0)
    lease_until = db.DateTimeField(null=True, blank=True)
    heartbeat_at = db.DateTimeField(null=True, blank=True)
    started_at = db.DateTimeField(null=True, blank=True, help_text="of the latest claim; claims go round users by it")
    attempts = db.PositiveSmallIntegerField(default=0)
    not_before = db.DateTimeField(null=True, blank=True, help_text="back-off after an infrastructure failure")
    worker = db.CharField(max_length=120, blank=True)

    class Meta:
        abstract = True


class SubmissionKind(db.TextChoices):
    """What was submitted."""

    CHECKPOINT = "checkpoint"
    PREDICTIONS = "predictions"
    BASELINE = "baseline"


NO_IMAGE_OF = "no_image_of"  # in the facts of a no-image baseline: the submission whose checkpoint it asks


class Submission(Leased):
    """One immutable artefact of a model."""

    id = db.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = db.ForeignKey("Model", on_delete=db.PROTECT, related_name="submissions")
    owner = db.ForeignKey("User", on_delete=db.PROTECT, related_name="submissions")
    release = db.ForeignKey("Release", on_delete=db.PROTECT, related_name="submissions")
    kind = db.CharField(max_length=12, choices=SubmissionKind)
    split = db.CharField(max_length=8, blank=True, help_text="prediction files: the split they answer")
    architecture = db.CharField(max_length=120, blank=True, help_text="checkpoints: the registered architecture")
    base = db.ForeignKey("Model", null=True, blank=True, on_delete=db.PROTECT, related_name="+")
    base_submission = db.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=db.PROTECT, related_name="adapters",
        help_text="adapters: the checkpoint they stand on; empty = the registry's own weights. Never changed",
    )  # fmt: skip
    target = db.JSONField(default=list, blank=True, help_text="target domain: list of 'facet=value'")
    state = db.CharField(max_length=12, choices=SubmissionState, default=SubmissionState.UPLOADING)
    publish = db.BooleanField(default=False, help_text="publish each report as soon as it is scored")
    kept_private = db.BooleanField(default=False, help_text="a base for other submissions: never published")
    merge = db.JSONField(
        null=True, blank=True,
        help_text="derived: {parts: [{submission, weight}], sweep, alpha}; the server makes its file in validation",
    )  # fmt: skip
    files = db.JSONField(
        default=list,
        blank=True,
        help_text="list of {name, sha256, size}; shards with their index",
    )
    file_name = db.CharField(max_length=255, blank=True, help_text="the only file, or the index of shards")
    file_sha256 = db.CharField(max_length=64, blank=True, help_text="of the only file, or of the sorted shard digests")
    file_size = db.BigIntegerField(default=0, help_text="bytes, all files")
    problems = db.JSONField(default=list, blank=True, help_text="the first 1,000 problems of a rejected file")
    problem_counts = db.JSONField(default=dict, blank=True, help_text="exact number of problems per code")
    facts = db.JSONField(default=dict, blank=True, help_text="what validation established: parameters, tolerated keys")
    idempotency_key = db.CharField(max_length=120, null=True, blank=True)
    created_at = db.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            db.UniqueConstraint(fields=["owner", "idempotency_key"], name="one_submission_per_idempotency_key"),
            db.CheckConstraint(condition=Q(state__in=SubmissionState.values), name="submission_state_known"),
        ]
        indexes = [db.Index(fields=["state", "created_at"], name="submission_by_state")]

    def __str__(self) -> str:
        return f"{self.model_id} {self.kind} {self.id}"

    @property
    def is_derived(self) -> bool:
        """Whether the server merged its weights out of other submissions': it stands unranked beside its parents."""
        return self.merge is not None

    @property
    def shows_blank_images(self) -> bool:
        """Whether its model is shown a grey image in place of each, see leaderboard.no_image."""
        return self.facts.get(NO_IMAGE_OF) is not None


class Purpose(db.TextChoices):
    """Why an evaluation runs."""

    SCORE = "score"
    SWEEP = "sweep"  # every merge of the submission with its base, on dev and the split
    EMBED = "embed"  # for the image embeddings alone, where earlier runs kept none


class Evaluation(Leased):
    """One attempt to answer one split with one submission; `attempts` counts the infrastructure's re-starts of it."""

    id = db.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = db.ForeignKey(Submission, on_delete=db.PROTECT, related_name="evaluations")
    split = db.CharField(max_length=8)
    purpose = db.CharField(max_length=12, choices=Purpose, default=Purpose.SCORE)
    base = db.ForeignKey(
        Submission, null=True, blank=True, on_delete=db.PROTECT, related_name="sweeps_as_base",
        help_text="sweeps: the checkpoint at the other end",
    )  # fmt: skip
    state = db.CharField(max_length=12, choices=EvaluationState, default=EvaluationState.QUEUED)
    progress = db.JSONField(default=dict, blank=True, help_text="stage, done, total, images_per_s, eta_s")
    protocol = db.CharField(max_length=16, blank=True)
    answers_sha256 = db.CharField(max_length=64, blank=True)
    embeddings_sha256 = db.CharField(max_length=64, blank=True)
    run = db.JSONField(default=dict, blank=True, help_text="run.json: versions, device, precision, seconds, hashes")
    failure_code = db.CharField(max_length=40, blank=True)
    failure_message = db.TextField(blank=True)
    created_at = db.DateTimeField(auto_now_add=True)
    finished_at = db.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            db.UniqueConstraint(
                fields=["submission", "split", "purpose", "base"],
                condition=~Q(state__in=[EvaluationState.FAILED, EvaluationState.CANCELLED]),
                nulls_distinct=False,
                name="one_live_evaluation_per_split_and_purpose",
            ),
            db.CheckConstraint(
                condition=Q(purpose="sweep", base__isnull=False) | (~Q(purpose="sweep") & Q(base=None)),
                name="sweeps_have_a_base",
            ),
            db.CheckConstraint(condition=Q(state__in=EvaluationState.values), name="evaluation_state_known"),
        ]
        indexes = [db.Index(fields=["state", "created_at"], name="evaluation_by_state")]

    def __str__(self) -> str:
        return f"{self.submission_id} on {self.split}"


class EvaluationPart(db.Model):
    """What some items of an unfinished run gave (evaluator.answering.parts); deleted with the run's end."""

    evaluation = db.ForeignKey(Evaluation, on_delete=db.CASCADE, related_name="parts")
    fingerprint = db.CharField(max_length=64, help_text="weights, release, code, precision, device kind, batch sizes")
    start = db.IntegerField()
    stop = db.IntegerField(help_text="the first item that is not in it")
    content = db.BinaryField()

    class Meta:
        ordering = ["start"]
        constraints = [
            db.UniqueConstraint(fields=["evaluation", "start"], name="one_part_per_place"),
            db.CheckConstraint(condition=Q(start__gte=0, stop__gt=db.F("start")), name="part_has_items"),
        ]
