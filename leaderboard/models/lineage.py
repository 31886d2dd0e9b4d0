"""Where a submission comes from, and what comparing it with its base gave."""

from django.db import models as db
from django.db.models import Q
from django.db.models.functions import Now


class BaseLink(db.Model):
    """What a submission was tuned from, and for which items, by its author's word. A change is a new row."""

    submission = db.ForeignKey("Submission", on_delete=db.PROTECT, related_name="base_links")
    model = db.ForeignKey("Model", on_delete=db.PROTECT, related_name="+", help_text="the base")
    base = db.ForeignKey(
        "Submission", null=True, blank=True, on_delete=db.PROTECT, related_name="tuned_links",
        help_text="the base's artefact on the same release; empty = none had been submitted when it was named",
    )  # fmt: skip
    target = db.JSONField(default=list, blank=True, help_text="target domain: list of 'facet=value'")
    after_scores = db.BooleanField(help_text="declared when a report of the submission stood already")
    declared_at = db.DateTimeField(db_default=Now())
    declared_by = db.UUIDField(null=True, blank=True, help_text="actor_id")
    superseded_at = db.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            db.UniqueConstraint(
                fields=["submission"], condition=Q(superseded_at=None), name="one_base_link_in_force"
            ),
            db.CheckConstraint(condition=~Q(submission=db.F("base")), name="base_is_another_submission"),
        ]  # fmt: skip


class AnalysisKind(db.TextChoices):
    """What was computed of a pair."""

    FORGETTING = "forgetting"
    INTERPOLATION = "interpolation"


class Analysis(db.Model):
    """One analysis of a base link on one split; computed from stored answers, the same on every run.

    A newer one of the same kind, link and split takes its place.
    """

    link = db.ForeignKey(BaseLink, on_delete=db.PROTECT, related_name="analyses")
    kind = db.CharField(max_length=13, choices=AnalysisKind)
    split = db.CharField(max_length=8)
    tuned_report = db.ForeignKey("Report", null=True, blank=True, on_delete=db.PROTECT, related_name="+")
    base_report = db.ForeignKey("Report", null=True, blank=True, on_delete=db.PROTECT, related_name="+")
    sweep = db.ForeignKey("Evaluation", null=True, blank=True, on_delete=db.PROTECT, related_name="analyses")
    key_revision = db.ForeignKey("KeyRevision", on_delete=db.PROTECT, related_name="+")
    version = db.CharField(max_length=20, help_text="of evaluator.analyses")
    document = db.JSONField(help_text="forgetting.json or interpolation.json")
    sha256 = db.CharField(max_length=64, help_text="of the canonical bytes of the document")
    created_at = db.DateTimeField(auto_now_add=True)
    superseded_at = db.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            db.UniqueConstraint(
                fields=["link", "kind", "split"], condition=Q(superseded_at=None), name="one_analysis_in_force"
            )
        ]


class AnalysisRequest(db.Model):
    """A request to bring the analyses of a link up to date; deleted once they are, so that none is lost."""

    link = db.ForeignKey(BaseLink, on_delete=db.CASCADE, related_name="+")
    requested_at = db.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
