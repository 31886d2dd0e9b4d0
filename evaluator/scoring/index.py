"""The key of a split as arrays. In: questions and key tables; out: codes per question row and per source.

Built once per (release, split, key revision) and shared by every entry that is scored or ranked on it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluator.release.read import item_ids
from evaluator.release.schema import CLASSIFICATION, COARSE_KINDS, FACETS, ReleaseInfo, Split
from evaluator.release.tasks import task_slug
from evaluator.statistics.bootstrap import seed_of

QUESTION_FORM = -1  # the code of variant null


class Group(StrEnum):
    """Which aggregate a task counts for beside macro."""

    COARSE = "coarse"
    FINE = "fine"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a board column ranks: one coarse kind over all datasets, or the classification of one dataset."""

    slug: str
    group: Group
    question: str
    dataset: str | None


@dataclass(frozen=True, kw_only=True)
class Facet:
    """The values of one facet and the code of each item's value (−1 = not stated)."""

    values: tuple[str, ...]
    code: NDArray[np.int16]  # (items,)


@dataclass(frozen=True, kw_only=True)
class KeyIndex:
    """n question rows in canonical order, of items that come from G sources, in T tasks."""

    split: Split
    seed: int  # of the bootstrap draws that all entries share
    tasks: tuple[Task, ...]
    vote_groups: tuple[tuple[str, ...], ...]  # task slugs that share one vote
    task: NDArray[np.int16]  # (n,), −1 = a kind that is not scored
    variant: NDArray[np.int8]  # (n,), QUESTION_FORM = null
    item: NDArray[np.int32]  # (n,)
    source: NDArray[np.int32]  # (n,)
    answer: NDArray[np.int16]  # (n,)
    stratum: NDArray[np.int64]  # (G,)
    facets: dict[str, Facet]

    @property
    def n_sources(self) -> int:
        return len(self.stratum)

    def rows_of(self, variant: int | None) -> NDArray[np.bool_]:
        """The rows of one variant that some task counts."""
        return (self.variant == (QUESTION_FORM if variant is None else variant)) & (self.task >= 0)

    def rows_in(self, facets: Mapping[str, tuple[str, ...]]) -> NDArray[np.bool_]:
        """The rows whose item has one of the values of every facet named. Raises KeyError for an unknown facet."""
        kept = np.ones(len(self.task), dtype=bool)
        for name, values in facets.items():
            facet = self.facets[name]
            codes = [facet.values.index(value) for value in values if value in facet.values]
            kept &= np.isin(facet.code, codes)[self.item]
        return kept


def build_index(info: ReleaseInfo, split: Split, questions: pa.Table, key: pa.Table) -> KeyIndex:
    """Index `questions` (canonical order) by `key`. Raises ValueError when the key lacks an item, answer or source."""
    item = _codes_in(item_ids(questions), item_ids(key), "the key has no row for an item that has questions")
    source_codes, _ = _encode(key["source"])
    if (source_codes < 0).any():
        raise ValueError("the key does not say which source an item is from")
    tasks, task = _tasks(questions)
    variant = questions["variant"].fill_null(QUESTION_FORM).to_numpy().astype(np.int8)
    by_slug = {t.dataset: t.slug for t in tasks if t.dataset is not None}
    groups = tuple(tuple(by_slug[d] for d in group if d in by_slug) for group in info.vote_groups)
    return KeyIndex(
        split=split,
        seed=seed_of(info.hash, split),
        tasks=tasks,
        vote_groups=tuple(group for group in groups if len(group) > 1),
        task=task,
        variant=variant,
        item=item,
        source=source_codes[item],
        answer=_answers(questions, key, item, variant),
        stratum=_strata(source_codes, _encode(key["dataset"])[0]),
        facets={name: _facet(key[name]) for name in FACETS},
    )


def _encode(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """(n,) codes into the sorted values, −1 for null: the same whatever the order of the rows."""
    values = sorted(pc.unique(column.drop_null()).to_pylist())
    codes = pc.index_in(column, value_set=pa.array(values, column.type), skip_nulls=True)
    return codes.fill_null(-1).to_numpy().astype(np.int32), values


def _codes_in(ids: pa.Array, values: pa.Array, missing: str) -> NDArray[np.int32]:
    found = pc.index_in(ids, value_set=values)
    if found.null_count:
        raise ValueError(missing)
    return found.to_numpy().astype(np.int32)


def _tasks(questions: pa.Table) -> tuple[tuple[Task, ...], NDArray[np.int16]]:
    """The tasks that occur, coarse first, and the code of each row's task."""
    kind, kinds = _encode(questions["question"])
    dataset, datasets = _encode(questions["dataset"])
    present = set(zip(kind.tolist(), dataset.tolist(), strict=True))
    coarse = [
        Task(slug=task_slug(k, ""), group=Group.COARSE, question=k, dataset=None) for k in COARSE_KINDS if k in kinds
    ]
    fine = [
        Task(slug=task_slug(CLASSIFICATION, d), group=Group.FINE, question=CLASSIFICATION, dataset=d)
        for d in sorted(datasets)
        if CLASSIFICATION in kinds and (kinds.index(CLASSIFICATION), datasets.index(d)) in present
    ]
    tasks = (*coarse, *fine)
    code_of = np.full((len(kinds), len(datasets)), -1, dtype=np.int16)
    for code, task in enumerate(tasks):
        columns = slice(None) if task.dataset is None else datasets.index(task.dataset)
        code_of[kinds.index(task.question), columns] = code
    return tasks, code_of[kind, dataset]


def _answers(
    questions: pa.Table, key: pa.Table, item: NDArray[np.int32], variant: NDArray[np.int8]
) -> NDArray[np.int16]:
    """The right option of every question row, looked up by (item, question, variant)."""
    answers = key["answers"].combine_chunks()
    owner = pc.list_parent_indices(answers).to_numpy().astype(np.int64)
    flat = answers.flatten()
    keyed, kinds = _encode(pa.chunked_array([flat.field("question")]))
    wanted = pc.index_in(questions["question"], value_set=pa.array(kinds, pa.string())).fill_null(-1).to_numpy()
    keyed_variant = flat.field("variant").fill_null(QUESTION_FORM).to_numpy(zero_copy_only=False)
    width = 4  # variants −1, 0, 1 shifted to 0 … 2, with room
    place = (owner * len(kinds) + keyed) * width + keyed_variant + 1
    order = np.argsort(place, kind="stable")
    sought = (item.astype(np.int64) * len(kinds) + wanted) * width + variant + 1
    position = np.minimum(np.searchsorted(place[order], sought), max(len(order) - 1, 0))
    if len(sought) and (not len(order) or (wanted < 0).any() or (place[order][position] != sought).any()):
        raise ValueError("the key lacks the answer to a question")
    return flat.field("answer_idx").to_numpy(zero_copy_only=False)[order][position].astype(np.int16)


def _strata(source: NDArray[np.int32], dataset: NDArray[np.int32]) -> NDArray[np.int64]:
    """The stratum of each source: the set of datasets it occurs in.

    Sources that are alone in theirs share one stratum: drawn from one source only, a stratum would never vary.
    """
    datasets_of: list[set[int]] = [set() for _ in range(int(source.max(initial=-1)) + 1)]
    for s, d in set(zip(source.tolist(), dataset.tolist(), strict=True)):
        datasets_of[s].add(d)
    sets = [tuple(sorted(found)) for found in datasets_of]
    sizes = Counter(sets)
    code = {found: i for i, found in enumerate(sorted(found for found, size in sizes.items() if size > 1))}
    return np.array([code.get(found, len(code)) for found in sets], dtype=np.int64)


def _facet(column: pa.ChunkedArray) -> Facet:
    codes, values = _encode(column)
    return Facet(values=tuple(values), code=codes.astype(np.int16))
