"""A large board made up of numbers, rendered and stored as the real ones are."""

from uuid import UUID

import numpy as np

from leaderboard.boards.render import with_html
from leaderboard.boards.rows import Board, Column, Row
from leaderboard.models import BoardSnapshot, Release


def store_board(release: Release, *, entries: int, tasks: int, split: str = "test") -> Board:
    """Store an overall board of `entries` rows × `tasks` columns; returns it."""
    rng = np.random.default_rng(0)
    columns = [
        Column(slug=f"dataset_{i}", title=f"Cell phenotype {i}", group="fine", n_questions=400, n_sources=90, few=False)
        for i in range(tasks)
    ]  # fmt: skip
    scores = np.sort(rng.uniform(0.2, 0.9, entries))[::-1]
    drawn = [_row(rng, place, float(score)) for place, score in enumerate(scores)]
    cells = {row.model: np.clip(row.score + rng.normal(0, 0.12, tasks), 0.05, 0.94).tolist() for row in drawn}
    rows = [with_html(row, cells[row.model], f"{release.slug}/{split}") for row in drawn]
    of_tasks = {
        column.slug: {model: [round(values[i], 6), round(values[i] - 0.05, 6), round(values[i] + 0.05, 6), 400]
                      for model, values in cells.items()}
        for i, column in enumerate(columns)
    }  # fmt: skip
    board = Board(
        title="Overall", metric="macro accuracy", n_tasks=tasks, n_questions=400 * tasks, n_sources=2_000,
        resolvable_difference=0.021, chance=0.2, majority=0.25, columns=columns, rows=rows, scores=of_tasks,
    )  # fmt: skip
    BoardSnapshot.objects.create(
        release=release,
        split=split,
        board="overall",
        facets="",
        basis="made up",
        content=board.as_json(),
        scores=board.scores,
    )
    return board


def _row(rng: np.random.Generator, place: int, score: float) -> Row:
    return Row(
        model=f"model-{place}", name=f"Model {place} of a group", submission=str(UUID(int=int(rng.integers(2**62)))),
        submissions=2, kind="checkpoint", verified=True, protocol="captions", stale=False, weak_sandbox=False,
        rank=place + 1, rank_low=max(1, place - 9), rank_high=place + 12, group=place // 20, score=round(score, 6),
        low=round(score - 0.012, 6), high=round(score + 0.012, 6), n_questions=12_000,
    )  # fmt: skip
