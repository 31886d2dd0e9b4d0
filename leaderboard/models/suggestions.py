"""Which images to label next, for someone's own embeddings: a row is a round; those of a session follow each other."""

import uuid

from django.db import models as db
from django.db.models import Q


class SuggestionState(db.TextChoices):
    """The life of one round. All but the first two are ends; what is wrong with the files is in `problems`."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


FRUITLESS = (SuggestionState.REFUSED, SuggestionState.FAILED)  # they cost nothing, and the round is asked for again


class Suggestion(db.Model):
    """One round. Its files are opened in a sandboxed child alone; its state is written by leaderboard.suggestions."""

    id = db.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = db.ForeignKey("User", on_delete=db.PROTECT, related_name="suggestions")
    session = db.UUIDField(default=uuid.uuid4, help_text="the same for all rounds on these embeddings")
    round = db.PositiveSmallIntegerField(default=1)
    name = db.CharField(max_length=120)
    embeddings_name = db.CharField(max_length=255, help_text="as the file was called")
    embeddings_sha256 = db.CharField(max_length=64)
    embeddings_size = db.BigIntegerField()
    labels_sha256 = db.CharField(max_length=64, blank=True, help_text="labels sent as CSV")
    earlier = db.JSONField(default=dict, blank=True, help_text="id → label, of rounds before and of the form")
    count = db.PositiveIntegerField()
    strategy = db.CharField(max_length=20)
    seed = db.PositiveIntegerField(default=0)
    state = db.CharField(max_length=8, choices=SuggestionState, default=SuggestionState.QUEUED)
    problems = db.JSONField(default=list, blank=True, help_text="the first 1,000")
    problem_counts = db.JSONField(default=dict, blank=True, help_text="exact number of problems per code")
    labels = db.JSONField(default=dict, blank=True, help_text="id → label: all that the round stands on")
    document = db.JSONField(null=True, blank=True, help_text="evaluator.active_learning.suggesting.suggestion")
    attempts = db.PositiveSmallIntegerField(default=0)
    not_before = db.DateTimeField(null=True, blank=True)
    created_at = db.DateTimeField(auto_now_add=True)
    finished_at = db.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            db.UniqueConstraint(
                fields=["session", "round"],
                condition=~Q(state__in=["refused", "failed"]),
                name="one_suggestion_a_round",
            ),
            db.CheckConstraint(condition=Q(state__in=SuggestionState.values), name="suggestion_state_known"),
        ]
        indexes = [
            db.Index(fields=["state", "created_at"], name="suggestion_by_state"),
            db.Index(fields=["owner", "created_at"], name="suggestion_by_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.name}, round {self.round}"
