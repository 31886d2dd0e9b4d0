"""People and what they may spend. Personal data sits only in User; everything else names the opaque `actor_id`."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models as db


class User(AbstractUser):
    """An account. `actor_id` is what events and public pages may name."""

    actor_id = db.UUIDField(default=uuid.uuid4, unique=True, editable=False)


class QuotaSlot(db.Model):
    """One of a user's submissions of one day, taken by a unique insert so that concurrency cannot overspend."""

    user = db.ForeignKey(User, on_delete=db.CASCADE, related_name="quota_slots")
    day = db.DateField()
    slot = db.PositiveSmallIntegerField()
    submission = db.OneToOneField("Submission", on_delete=db.CASCADE, related_name="quota_slot")

    class Meta:
        constraints = [db.UniqueConstraint(fields=["user", "day", "slot"], name="one_submission_per_slot")]


class TokenName(db.Model):
    """What its owner calls an API token; the token itself is kept by knox, as a digest."""

    token = db.OneToOneField("knox.AuthToken", on_delete=db.CASCADE, related_name="label")
    name = db.CharField(max_length=60)
