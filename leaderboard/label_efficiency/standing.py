"""Where an encoder stands on its release's board. In: a submission; out: its row."""

from django.contrib.auth.models import AnonymousUser

from leaderboard.label_efficiency import reading
from leaderboard.label_efficiency.rows import EfficiencyRow
from leaderboard.models import Submission


def standing_of(submission: Submission) -> tuple[EfficiencyRow, int] | None:
    """Its row over all ranked datasets, and how many models have a rank there; None where it has no area there."""
    rows = reading.board(AnonymousUser(), submission.release).rows  # what stands on a board is everybody's
    own = next((row for row in rows if row.submission == str(submission.pk)), None)
    if own is None or own.aulc is None:
        return None
    return own, sum(row.rank is not None for row in rows)
