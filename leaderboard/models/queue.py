"""What the queue leaves behind: events (append-only), log lines, workers with their heartbeat, pause switches."""

from django.db import models as db
from django.db.models.functions import Now


class Event(db.Model):
    """One change of state, or one act of staff on a queue; written in the transaction that made the change, never
    altered (a trigger refuses)."""

    submission = db.ForeignKey("Submission", null=True, blank=True, on_delete=db.PROTECT, related_name="events")
    evaluation = db.ForeignKey("Evaluation", null=True, blank=True, on_delete=db.PROTECT, related_name="events")
    study = db.ForeignKey("Study", null=True, blank=True, on_delete=db.PROTECT, related_name="events")
    queue = db.CharField(max_length=20, blank=True, help_text="acts on a whole queue have no submission")
    from_state = db.CharField(max_length=12, blank=True)
    to_state = db.CharField(max_length=12)
    token = db.BigIntegerField(null=True, blank=True)
    actor = db.UUIDField(null=True, blank=True, help_text="actor_id of the person; empty = the system")
    note = db.CharField(max_length=300, blank=True)
    at = db.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]


class LogLine(db.Model):
    """One line of an evaluation's log; owner and staff only."""

    evaluation = db.ForeignKey("Evaluation", on_delete=db.CASCADE, related_name="log_lines")
    token = db.BigIntegerField()
    text = db.CharField(max_length=500)
    at = db.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]


class WorkerStatus(db.Model):
    """A worker process as it last reported itself."""

    name = db.CharField(max_length=120, primary_key=True)
    host = db.CharField(max_length=120)
    pid = db.IntegerField()
    queue = db.CharField(max_length=20)
    device = db.CharField(max_length=120, blank=True)
    started_at = db.DateTimeField(db_default=Now())
    heartbeat_at = db.DateTimeField(db_default=Now())
    evaluation = db.ForeignKey("Evaluation", null=True, blank=True, on_delete=db.SET_NULL, related_name="+")
    study = db.ForeignKey("Study", null=True, blank=True, on_delete=db.SET_NULL, related_name="+")
    info = db.JSONField(default=dict, blank=True, help_text="memory, images per second, sandbox level")

    class Meta:
        ordering = ["queue", "name"]


class QueueSwitch(db.Model):
    """A queue that organisers paused: its workers claim nothing until it is resumed."""

    queue = db.CharField(max_length=20, primary_key=True)
    paused = db.BooleanField(default=False)
    changed_by = db.UUIDField(null=True, blank=True)
    changed_at = db.DateTimeField(auto_now=True)
