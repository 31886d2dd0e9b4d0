"""What readers see: reports, the entries that publish them, and boards computed ahead of time."""

from django.db import models as db
from django.db.models import Q


class Report(db.Model):
    """Scores computed from one evaluation's answers, one key revision and one scorer version; the same on every run."""

    evaluation = db.ForeignKey("Evaluation", on_delete=db.PROTECT, related_name="reports")
    key_revision = db.ForeignKey("KeyRevision", on_delete=db.PROTECT, related_name="reports")
    scorer = db.CharField(max_length=20)
    document = db.JSONField(help_text="report.json")
    sha256 = db.CharField(max_length=64, help_text="of the canonical bytes of the document")
    created_at = db.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            db.UniqueConstraint(fields=["evaluation", "key_revision", "scorer"], name="one_report_per_revision")
        ]


class Entry(db.Model):
    """A published report. Append-only: a board as of a date is published_at <= date < superseded_at."""

    report = db.ForeignKey(Report, on_delete=db.PROTECT, related_name="entries")
    submission = db.ForeignKey("Submission", on_delete=db.PROTECT, related_name="entries")
    model = db.ForeignKey("Model", on_delete=db.PROTECT, related_name="entries")
    release = db.ForeignKey("Release", on_delete=db.PROTECT, related_name="entries")
    split = db.CharField(max_length=8)
    published_at = db.DateTimeField()
    superseded_at = db.DateTimeField(null=True, blank=True)
    withdrawn = db.BooleanField(default=False, help_text="superseded by its author's withdrawal: a tombstone")

    class Meta:
        ordering = ["published_at"]
        constraints = [
            db.UniqueConstraint(
                fields=["submission", "split"], condition=Q(superseded_at=None), name="one_live_entry_per_split"
            )
        ]
        indexes = [db.Index(fields=["release", "split", "superseded_at"], name="entries_of_a_board")]


class BoardRefresh(db.Model):
    """A request to rebuild the boards of one split; deleted once they are rebuilt, so that none is lost."""

    release = db.ForeignKey("Release", on_delete=db.CASCADE, related_name="+")
    split = db.CharField(max_length=8)
    requested_at = db.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]


class BoardSnapshot(db.Model):
    """One ranked view computed ahead of time, so that a page is one indexed read."""

    release = db.ForeignKey("Release", on_delete=db.CASCADE, related_name="snapshots")
    split = db.CharField(max_length=8)
    board = db.CharField(max_length=120)
    facets = db.CharField(max_length=400, blank=True, help_text="canonical query string of the facet filter")
    basis = db.CharField(max_length=64, help_text="digest of the entries it was computed from; another = out of date")
    content = db.JSONField(help_text="the board without its scores per task")
    scores = db.JSONField(default=dict, help_text="task -> model -> [score, low, high, n_questions]")
    built_at = db.DateTimeField(auto_now=True)

    class Meta:
        constraints = [db.UniqueConstraint(fields=["release", "split", "board", "facets"], name="one_snapshot")]
