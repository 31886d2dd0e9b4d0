"""Rounds of suggestions computed in the test's own process, which has torch loaded already."""

from collections.abc import Sequence

import numpy as np

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.suggesting.suggest import suggest
from leaderboard import suggestions
from leaderboard.models import Suggestion


def computed(row: Suggestion, features: np.ndarray, ids: Sequence[str]) -> Suggestion:
    """The round, done, as if a worker had had it computed."""
    found = suggest(features, ids, row.earlier, count=row.count, strategy=Strategy(row.strategy))
    suggestions.finish(row, found, row.earlier)
    row.refresh_from_db()
    return row
