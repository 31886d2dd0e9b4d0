"""The questions of a split, laid out for look-ups of many rows at once. In: the release; out: places and options.

Knows ids and options only; the key has no part in checking a file.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.release.read import item_ids
from evaluator.release.schema import LOCALISATION
from evaluator.release.tasks import is_cognition_kind, task_slug

Ints = npt.NDArray[np.int64]

NOWHERE = -1
VARIANTS: tuple[int | None, ...] = (None, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Per row: the number of its item, and its place in the questions table; NOWHERE where there is none."""

    item: Ints
    question: Ints


class QuestionIndex:
    """Look-ups into the questions table of one split (canonical order).

    asks_boxes (n,): the row wants boxes instead of an option. sizes (n, 2): width and height of the row's image.
    beside (n,): the row's place in `tasks_beside`, NOWHERE for coarse and fine tasks; the others may be left out.
    """

    def __init__(self, questions: pa.Table, items: pa.Table) -> None:
        self.questions = questions
        self.asks_boxes = pc.equal(questions["question"], LOCALISATION).to_numpy()
        self.sizes = _sizes(questions, items)
        self.tasks_beside, self.beside = _tasks_beside(questions)
        self.n_questions = questions.num_rows
        ids = item_ids(questions).dictionary_encode()
        self._items = ids.dictionary
        self._kinds = questions["question"].unique()
        self.variant = variant_codes(questions["variant"])
        self._places = np.full((len(self._items), max(len(self._kinds), 1), len(VARIANTS)), NOWHERE, np.int64)
        kind = to_ints(pc.index_in(questions["question"], value_set=self._kinds))
        self._places[to_ints(ids.indices), kind, self.variant] = np.arange(self.n_questions)
        options = questions["options"].combine_chunks()
        texts = options.flatten().dictionary_encode()
        self._option_texts = texts.dictionary
        self._option_codes = to_ints(texts.indices)
        starts = to_ints(options.offsets)
        self._first_option = starts[:-1] - starts[0]
        self.n_options = np.diff(starts)

    def find(self, rows: pa.RecordBatch) -> Places:
        """Where the rows' questions stand. A row with a null name, or a variant other than 0, 1, null, has no place."""
        item = to_ints(pc.index_in(item_ids(rows), value_set=self._items, skip_nulls=True))
        kind = to_ints(pc.index_in(rows["question"], value_set=self._kinds, skip_nulls=True))
        variant = variant_codes(rows["variant"])
        known = (item >= 0) & (kind >= 0) & (variant >= 0)
        question = np.full(len(item), NOWHERE, np.int64)
        question[known] = self._places[item[known], kind[known], variant[known]]
        return Places(item=item, question=question)

    def find_options(self, texts: pa.Array, question: Ints) -> Ints:
        """Index of each text among the options of its question (place `question`, all ≥ 0); NOWHERE if it is none."""
        code = to_ints(pc.index_in(texts, value_set=self._option_texts, skip_nulls=True))
        found = np.full(len(code), NOWHERE, np.int64)
        for k in range(int(self.n_options[question].max(initial=0))):
            has_option = self.n_options[question] > k
            place = np.where(has_option, self._first_option[question] + k, 0)
            found[has_option & (found == NOWHERE) & (code >= 0) & (self._option_codes[place] == code)] = k
        return found

    def options(self, question: int) -> list[str]:
        """The options of one question, in order."""
        return self.questions["options"][question].as_py()


def _sizes(questions: pa.Table, items: pa.Table) -> Ints:
    place = pc.index_in(item_ids(questions), value_set=item_ids(items))
    if place.null_count:
        raise ValueError(f"{place.null_count} questions name an item that the items table lacks")
    return np.stack([to_ints(items[name].take(place)) for name in ("width", "height")], axis=1)


def _tasks_beside(questions: pa.Table) -> tuple[list[str], Ints]:
    """The slugs of cognition and of each localisation task, and which of them each row belongs to."""
    kinds = questions["question"].unique().to_pylist()
    others = pa.array([kind for kind in kinds if kind == LOCALISATION or is_cognition_kind(kind)], pa.string())
    rows = np.flatnonzero(pc.is_in(questions["question"], value_set=others).to_numpy())
    named = questions.select(["question", "dataset"]).take(pa.array(rows)).to_pylist()
    slugs = [task_slug(row["question"], row["dataset"]) for row in named]
    tasks = sorted(set(slugs))
    beside = np.full(questions.num_rows, NOWHERE, np.int64)
    beside[rows] = [tasks.index(slug) for slug in slugs]
    return tasks, beside


def variant_codes(variants: pa.Array | pa.ChunkedArray) -> Ints:
    """Variants as positions in VARIANTS; NOWHERE for any other number."""
    numbers = to_ints(pc.fill_null(variants.cast(pa.int64()), -2))  # null -> -2, so that null, 0, 1 become 0, 1, 2
    codes = np.where(numbers == -2, 0, numbers + 1)
    return np.where((numbers >= 0) & (numbers <= 1) | (numbers == -2), codes, NOWHERE)


def to_ints(column: pa.Array | pa.ChunkedArray) -> Ints:
    """An integer column as numpy, nulls as NOWHERE."""
    whole = pc.fill_null(column, NOWHERE) if column.null_count else column
    return whole.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
