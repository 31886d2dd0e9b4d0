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
from evaluator.release.schema import CLASSIFICATION, COARSE_KINDS, COGNITION, FACETS, LOCALISATION, ReleaseInfo, Split
from evaluator.release.tasks import is_cognition_kind, task_slug
from evaluator.statistics.bootstrap import seed_of

QUESTION_FORM = -1  # the code of variant null
NO_OPTION = -1  # the answer of a localisation row: boxes are right, no option is


class Group(StrEnum):
    """What kind of task it is, and so which aggregates it counts for."""

    COARSE = "coarse"
    FINE = "fine"
    COGNITION = "cognition"
    LOCALISATION = "localisation"

    @property
    def is_core(self) -> bool:
        """Coarse and fine: the tasks that macro and pooled are made of, asked as captions and as questions.

        The others have boards of their own, and the question form alone: that is their headline in every entry.
        """
        return self in (Group.COARSE, Group.FINE)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a board ranks: a coarse kind over all datasets, the classification or the boxes of one, or cognition.

    question: its kind; "cognition" stands for all kinds cognition_<i>.
    """

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
    """n question rows in canonical order, of items that come from G sources, in T tasks (core ones first)."""

    split: Split
    seed: int  # of the bootstrap draws that all entries share
    tasks: tuple[Task, ...]
    vote_groups: tuple[tuple[str, ...], ...]  # task slugs that share one vote
    task: NDArray[np.int16]  # (n,), −1 = a kind that is not scored
    variant: NDArray[np.int8]  # (n,), QUESTION_FORM = null
    item: NDArray[np.int32]  # (n,)
    source: NDArray[np.int32]  # (n,)
    answer: NDArray[np.int16]  # (n,), NO_OPTION where boxes are asked for
    stratum: NDArray[np.int64]  # (G,)
    facets: dict[str, Facet]

    @property
    def n_sources(self) -> int:
        return len(self.stratum)

    def rows_of(self, variant: int | None) -> NDArray[np.bool_]:
        """The rows of one variant that some task counts."""
        return (self.variant == (QUESTION_FORM if variant is None else variant)) & (self.task >= 0)

    def headline(self, code: int, variant: int | None) -> int | None:
        """The variant that ranks task `code` in an entry whose core tasks are ranked by `variant`."""
        return variant if self.tasks[code].group.is_core else None

    def headline_rows(self, variant: int | None) -> NDArray[np.bool_]:
        """The rows that rank an entry whose core tasks are ranked by `variant`."""
        return np.where(self.core_rows(), self.rows_of(variant), self.rows_of(None))

    def core_rows(self) -> NDArray[np.bool_]:
        """The rows of coarse and fine tasks, in every variant."""
        return np.isin(self.task, np.flatnonzero([task.group.is_core for task in self.tasks]))

    def localisation_rows(self) -> NDArray[np.bool_]:
        """The rows that ask for boxes."""
        return np.isin(self.task, np.flatnonzero([task.group is Group.LOCALISATION for task in self.tasks]))

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
    by_slug = {t.dataset: t.slug for t in tasks if t.group is Group.FINE}
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
    """The tasks that occur, coarse first, then fine, and the code of each row's task."""
    kind, kinds = _encode(questions["question"])
    dataset, datasets = _encode(questions["dataset"])
    cognition = [k for k in kinds if is_cognition_kind(k)]
    coarse = [
        Task(slug=task_slug(k, ""), group=Group.COARSE, question=k, dataset=None) for k in COARSE_KINDS if k in kinds
    ]
    fine, located = (
        [
            Task(slug=task_slug(asked, datasets[d]), group=group, question=asked, dataset=datasets[d])
            for d in np.unique(dataset[kind == kinds.index(asked)]).tolist()
        ] if asked in kinds else []
        for asked, group in ((CLASSIFICATION, Group.FINE), (LOCALISATION, Group.LOCALISATION))
    )  # fmt: skip
    expert = [Task(slug=COGNITION, group=Group.COGNITION, question=COGNITION, dataset=None)] if cognition else []
    tasks = (*coarse, *fine, *expert, *located)
    code_of = np.full((len(kinds), len(datasets)), -1, dtype=np.int16)
    for code, task in enumerate(tasks):
        columns = slice(None) if task.dataset is None else datasets.index(task.dataset)
        for asked in cognition if task.group is Group.COGNITION else [task.question]:
            code_of[kinds.index(asked), columns] = code
    return tasks, code_of[kind, dataset]


def _answers(
    questions: pa.Table, key: pa.Table, item: NDArray[np.int32], variant: NDArray[np.int8]
) -> NDArray[np.int16]:
    """The right option of every question row, looked up by (item, question, variant)."""
    right = np.full(questions.num_rows, NO_OPTION, dtype=np.int16)
    has_option = pc.not_equal(questions["question"], LOCALISATION).to_numpy()
    questions, item, variant = questions.filter(pa.array(has_option)), item[has_option], variant[has_option]
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
    right[has_option] = flat.field("answer_idx").to_numpy(zero_copy_only=False)[order][position].astype(np.int16)
    return right


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
