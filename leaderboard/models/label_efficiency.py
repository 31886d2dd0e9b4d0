"""What labels are worth: the studies that are asked for, and what they gave."""

import uuid

from django.db import models as db
from django.db.models import Q

from leaderboard.models.submissions import Leased
from leaderboard.states import StudyState


class StudyKind(db.TextChoices):
    """What a study computes."""

    EFFICIENCY = "efficiency"  # how few labels an encoder needs: every fine dataset of its release
    STRATEGIES = "strategies"  # which labels are worth most: strategies on one dataset, by a reference encoder


class Study(Leased):
    """One piece of work of the queue `study`; its `state` is written by leaderboard.states alone."""

    id = db.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = db.ForeignKey("Submission", on_delete=db.PROTECT, related_name="studies", help_text="the encoder")
    kind = db.CharField(max_length=10, choices=StudyKind)
    dataset = db.CharField(max_length=120, blank=True, help_text="strategies: the fine dataset; empty = all of them")
    wanted = db.JSONField(default=list, blank=True, help_text="strategies: list of [strategy, start]")
    seeds = db.PositiveSmallIntegerField(default=20)
    state = db.CharField(max_length=12, choices=StudyState, default=StudyState.QUEUED)
    progress = db.JSONField(default=dict, blank=True, help_text="stage, done, total")
    failure_code = db.CharField(max_length=40, blank=True)
    failure_message = db.TextField(blank=True)
    created_at = db.DateTimeField(auto_now_add=True)
    finished_at = db.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            db.UniqueConstraint(
                fields=["submission", "kind", "dataset"], condition=Q(state__in=["queued", "running"]),
                name="one_live_study_of_a_kind",
            ),
            db.CheckConstraint(
                condition=Q(kind="efficiency", dataset="") | (Q(kind="strategies") & ~Q(dataset="")),
                name="strategies_have_a_dataset",
            ),
            db.CheckConstraint(condition=Q(state__in=StudyState.values), name="study_state_known"),
        ]  # fmt: skip
        indexes = [db.Index(fields=["state", "created_at"], name="study_by_state")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.submission_id}"


class FromEmbeddings(db.Model):
    """A document made from the stored embeddings of one dataset and the key; the same on every run. A newer one takes
    its place."""

    submission = db.ForeignKey("leaderboard.Submission", on_delete=db.PROTECT, related_name="+")
    dataset = db.CharField(max_length=120)
    dev_evaluation = db.ForeignKey(
        "leaderboard.Evaluation", on_delete=db.PROTECT, related_name="+", help_text="embedded the pool"
    )
    test_evaluation = db.ForeignKey(
        "leaderboard.Evaluation",
        on_delete=db.PROTECT,
        related_name="+",
        help_text="embedded the images that are scored",
    )
    key_revision = db.ForeignKey("leaderboard.KeyRevision", on_delete=db.PROTECT, related_name="+")
    version = db.CharField(max_length=20, help_text="of evaluator.active_learning and of the analysis")
    seeds = db.PositiveSmallIntegerField()
    document = db.JSONField()
    sha256 = db.CharField(max_length=64, help_text="of the canonical bytes of the document")
    created_at = db.DateTimeField(auto_now_add=True)
    superseded_at = db.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class LabelEfficiency(FromEmbeddings):
    """What an encoder reaches with few labels on one dataset; its replicates lie under KEY_ROOT/derived."""

    report = db.ForeignKey("Report", on_delete=db.PROTECT, related_name="+", help_text="of test: the zero-shot line")

    class Meta:
        ordering = ["pk"]
        constraints = [
            db.UniqueConstraint(
                fields=["submission", "dataset"], condition=Q(superseded_at=None), name="one_efficiency_in_force"
            )
        ]


class StrategyRun(FromEmbeddings):
    """What one query strategy reaches from one start on one dataset, by a reference encoder."""

    strategy = db.CharField(max_length=20)
    start = db.CharField(max_length=20)

    class Meta:
        ordering = ["pk"]
        constraints = [
            db.UniqueConstraint(
                fields=["submission", "dataset", "strategy", "start"], condition=Q(superseded_at=None),
                name="one_strategy_run_in_force",
            )
        ]  # fmt: skip
