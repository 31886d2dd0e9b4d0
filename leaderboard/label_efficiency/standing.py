"""Where an encoder stands on its release's board. In: a submission; out: its row. A board is computed once."""

from functools import lru_cache

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Max

from leaderboard.label_efficiency import reading
from leaderboard.label_efficiency.encoders import on_boards
from leaderboard.label_efficiency.rows import EfficiencyRow
from leaderboard.models import LabelEfficiency, Release, Submission


def standing_of(submission: Submission) -> tuple[EfficiencyRow, int] | None:
    """Its row over all ranked datasets, and how many models have a rank there; None where it has no area there."""
    release = submission.release
    rows, n_ranked = _board(release.slug, release.key_revision_id, _entries(release), _content(release))
    row = rows.get(str(submission.pk))
    return None if row is None or row.aulc is None else (row, n_ranked)


def _entries(release: Release) -> tuple[tuple[str, bool], ...]:
    return tuple((entry.submission, entry.competes) for entry in on_boards(release))


def _content(release: Release) -> tuple[int, int]:
    """Changes whenever a document is added or superseded."""
    live = LabelEfficiency.objects.filter(submission__release=release, superseded_at=None)
    found = live.aggregate(n=Count("pk"), latest=Max("pk"))
    return found["n"], found["latest"] or 0


@lru_cache(maxsize=8)
def _board(
    slug: str, key_revision: int, entries: tuple[tuple[str, bool], ...], content: tuple[int, int]
) -> tuple[dict[str, EfficiencyRow], int]:  # fmt: skip
    """Rows by submission. What stands on a board may be read by who may see its release."""
    release = Release.objects.select_related("key_revision").get(slug=slug)
    rows = reading.board(AnonymousUser(), release).rows
    return {row.submission: row for row in rows}, sum(row.rank is not None for row in rows)
