"""Rebuilding boards. In: the requests that publications left; out: fresh snapshots, the requests done away with."""

from django.db import connection, transaction

from leaderboard.boards import snapshots
from leaderboard.models import BoardRefresh, Release


def rebuild_requested() -> int:
    """Rebuild every split that was asked for; returns how many. One worker at a time rebuilds a split."""
    wanted = list(BoardRefresh.objects.order_by("release_id", "split").values_list("release_id", "split").distinct())
    return sum(_rebuild(release, split) for release, split in wanted)


def _rebuild(release_id: int, split: str) -> bool:
    with transaction.atomic():
        with connection.cursor() as cursor:
            name = f"leaderboard.boards.{release_id}.{split}"
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [name])
            if not cursor.fetchone()[0]:
                return False
        # Only requests seen before the entries are read: one that comes meanwhile is served by the next round.
        seen = list(BoardRefresh.objects.filter(release_id=release_id, split=split).values_list("pk", flat=True))
        if not seen:
            return False
        snapshots.refresh(Release.objects.get(pk=release_id), split)
        BoardRefresh.objects.filter(pk__in=seen).delete()
    return True
