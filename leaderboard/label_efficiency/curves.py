"""The documents behind a board of label efficiency. In: a board as read; out: theirs that are in force, by dataset."""

from collections.abc import Iterable, Sequence

from evaluator.release.tasks import dataset_slug
from leaderboard.label_efficiency.rows import EfficiencyBoard, EfficiencyRow, Json
from leaderboard.models import LabelEfficiency


def documents_of(board: EfficiencyBoard, rows: Sequence[EfficiencyRow]) -> dict[str, dict[str, Json]]:
    """dataset slug -> model slug -> document, for some rows of a board: of its dataset, or of all ranked ones in the
    board's order. What stands on a board may be read by who reads the board."""
    wanted = [each.slug for each in board.datasets if (each.slug == board.dataset if board.dataset else each.ranked)]
    models = {row.submission: row.model for row in rows}
    found: dict[str, dict[str, Json]] = {slug: {} for slug in wanted}
    for submission, dataset, document in _in_force(models):
        if (slug := dataset_slug(dataset)) in found and document["budgets"]:
            found[slug][models[submission]] = document
    return {slug: of_models for slug, of_models in found.items() if of_models}


def _in_force(submissions: Iterable[str]) -> Iterable[tuple[str, str, Json]]:
    rows = LabelEfficiency.objects.filter(submission__in=list(submissions), superseded_at=None)
    for submission, dataset, document in rows.values_list("submission_id", "dataset", "document"):
        yield str(submission), dataset, document
