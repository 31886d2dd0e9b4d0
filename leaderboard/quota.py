"""What a user may spend: so many submissions a day. Slots are taken by unique inserts, so races cannot overspend."""

from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from leaderboard.models import QuotaSlot, Submission, User


class QuotaExceeded(Exception):
    """The day's submissions are spent; `next_allowed_at` says when the next one may come."""

    def __init__(self, limit: int, next_allowed_at: datetime) -> None:
        self.limit = limit
        self.next_allowed_at = next_allowed_at
        super().__init__(
            f"you have used your {limit} submissions of today; the next one is allowed at "
            f"{next_allowed_at:%Y-%m-%d %H:%M} UTC (rejected, failed and cancelled ones cost nothing)"
        )


def take(user: User, submission: Submission) -> None:
    """Charge one submission to the user's day, or raise QuotaExceeded. Staff are not limited."""
    if user.is_staff:
        return
    day = _today()
    for slot in range(settings.SUBMISSIONS_PER_DAY):
        try:
            with transaction.atomic():
                if not QuotaSlot.objects.filter(user=user, day=day, slot=slot).exists():
                    QuotaSlot.objects.create(user=user, day=day, slot=slot, submission=submission)
                    return
        except IntegrityError:
            continue  # another submission took this slot just now
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    raise QuotaExceeded(settings.SUBMISSIONS_PER_DAY, midnight)


def free(submission: Submission) -> None:
    """Give the slot back: what was rejected, failed or cancelled costs nothing."""
    QuotaSlot.objects.filter(submission=submission).delete()


def left_today(user: User) -> int:
    """How many submissions the user may still make today."""
    return max(settings.SUBMISSIONS_PER_DAY - QuotaSlot.objects.filter(user=user, day=_today()).count(), 0)


def _today() -> date:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (now() AT TIME ZONE 'utc')::date")
        return cursor.fetchone()[0]
