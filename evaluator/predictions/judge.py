"""Judge predictions row by row, many at once. In: batches of PREDICTIONS; out: problems or an ANSWERS table.

Holds a few bytes per question, the raw replies and the boxes, never the file.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.answers import ABSTAINED, ANSWERS, FOUND
from evaluator.errors import ProblemLog
from evaluator.predictions.boxes import FORM
from evaluator.predictions.columns import BOXES, NAMES
from evaluator.predictions.faults import Fault
from evaluator.predictions.index import NOWHERE, VARIANTS, Ints, QuestionIndex, to_ints
from evaluator.predictions.judge_boxes import judge_boxes
from evaluator.predictions.replies import parse_reply
from evaluator.release.boxes import MAX_BOXES
from evaluator.release.read import item_ids
from evaluator.release.schema import Split

INTEGER = r"^-?[0-9]{1,18}$"  # what 64 bits hold; longer ones are no option either
SHOWN_CHARACTERS = 80
SHOWN_CLASSES = 50
NO_ROW = 0


class Judge:
    """Takes the rows of one file; `finish` gives the answers or raises everything that is wrong."""

    def __init__(
        self, index: QuestionIndex, other_items: dict[Split, pa.Array], problems: ProblemLog, *, text_may_be_index: bool
    ) -> None:
        self._index = index
        self._other_items = other_items
        self._problems = problems
        self._text_may_be_index = text_may_be_index
        self._answered_in = np.full(index.n_questions, NO_ROW, np.int64)  # file row that answered each question
        self._chosen = np.full(index.n_questions, ABSTAINED, np.int16)
        self._replies: list[tuple[Ints, pa.Array]] = []
        self._boxes: list[tuple[Ints, pa.Array]] = []
        self.n_rows = self.n_unparsed = 0

    @property
    def n_abstained(self) -> int:
        """Answered questions without an option, or without a list of boxes where these are asked for."""
        return int(((self._answered_in != NO_ROW) & (self._chosen == ABSTAINED)).sum())

    def variants(self) -> tuple[int | None, ...]:
        """The variants in which the file answers at least one question of a coarse or fine task."""
        answered = (self._answered_in != NO_ROW) & (self._index.beside == NOWHERE)
        present = set(self._index.variant[answered].tolist())
        return tuple(variant for code, variant in enumerate(VARIANTS) if code in present)

    def tasks_beside(self) -> tuple[str, ...]:
        """Of cognition and the localisation tasks, those that the file answers at least one question of."""
        present = set(self._index.beside[self._answered_in != NO_ROW].tolist())
        return tuple(task for place, task in enumerate(self._index.tasks_beside) if place in present)

    def add(self, rows: pa.RecordBatch) -> None:
        """Judge one batch of PREDICTIONS."""
        row = to_ints(rows["row"])
        self.n_rows = max(self.n_rows, int(row[-1])) if len(row) else self.n_rows
        fault, question = self._locate(rows)
        fault[(fault == Fault.NONE) & self._is_repeated(row, fault, question)] = Fault.DUPLICATE_ANSWER
        good = np.flatnonzero(fault == Fault.NONE)
        self._answered_in[question[good]] = row[good]
        chosen, option_fault = self._choose(rows.take(pa.array(good)), question[good])
        self._chosen[question[good]] = chosen
        fault[good] = option_fault
        self._complain(rows, row, fault, question)

    def finish(self) -> pa.Table:
        """The ANSWERS of the variants in the file, in canonical order. Raises InputError."""
        self._find_missing()
        if not self._problems and self.n_abstained == self.n_rows and not self.n_unparsed:
            self._problems.add(
                "nothing_answered", "No row has an option. Write the answers into `option`.", field="option"
            )
        self._problems.raise_if_any()
        kept = np.flatnonzero(self._answered_in != NO_ROW)
        named = self._index.questions.select([*NAMES, "variant"]).take(pa.array(kept))
        columns = {name: named[name] for name in named.column_names}
        columns |= {
            "chosen": pa.array(self._chosen[kept]),
            "text": self._kept(self._replies, kept, pa.string()),
            BOXES: self._kept(self._boxes, kept, ANSWERS.field(BOXES).type),
        }
        return pa.table([columns.get(field.name, pa.nulls(len(kept), field.type)) for field in ANSWERS], schema=ANSWERS)

    def _locate(self, rows: pa.RecordBatch) -> tuple[npt.NDArray[np.int8], Ints]:
        """Fault of naming, and place of the question, per row."""
        places = self._index.find(rows)
        fault = np.zeros(rows.num_rows, np.int8)
        fault[places.question == NOWHERE] = Fault.UNKNOWN_QUESTION
        lost = np.flatnonzero(places.item == NOWHERE)
        fault[lost] = Fault.UNKNOWN_IMAGE
        if len(lost):
            ids = item_ids(rows.take(pa.array(lost)))
            for items in self._other_items.values():
                fault[lost[_true(pc.is_in(ids, value_set=items, skip_nulls=True))]] = Fault.WRONG_SPLIT
        variant = rows["variant"]
        is_variant = pc.or_kleene(pc.is_null(variant), pc.is_in(variant, value_set=pa.array([0, 1])))
        fault[~_true(is_variant)] = Fault.BAD_VARIANT
        for name in NAMES:
            fault[_true(pc.is_null(rows[name]))] = Fault.MISSING_VALUE
        return fault, places.question

    def _is_repeated(self, row: Ints, fault: npt.NDArray[np.int8], question: Ints) -> npt.NDArray[np.bool_]:
        """Whether an earlier row, of this batch or before, answered the same question."""
        placed = np.flatnonzero(fault == Fault.NONE)
        repeated = np.zeros(len(row), bool)
        first = np.full(self._index.n_questions, NOWHERE, np.int64)
        first[question[placed][::-1]] = placed[::-1]  # the earliest row is written last and stays
        repeated[placed] = (first[question[placed]] != placed) | (self._answered_in[question[placed]] != NO_ROW)
        return repeated

    def _choose(self, rows: pa.RecordBatch, question: Ints) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
        """Chosen option index, FOUND for boxes, ABSTAINED for neither, and fault of the choice, per row."""
        boxed = self._index.asks_boxes[question]
        if not boxed.any() and rows[BOXES].null_count == rows.num_rows:
            return self._choose_options(rows, question)
        chosen = np.full(rows.num_rows, ABSTAINED, np.int16)
        fault = np.zeros(rows.num_rows, np.int8)
        for at, choose in ((~boxed, self._choose_options), (boxed, self._choose_boxes)):
            chosen[at], fault[at] = choose(rows.filter(pa.array(at)), question[at])
        has_boxes = _true(pc.greater(pc.list_value_length(rows[BOXES]), 0))
        fault[~boxed & has_boxes] = Fault.BOXES_NOT_ASKED
        return chosen, fault

    def _choose_boxes(self, rows: pa.RecordBatch, question: Ints) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
        """Of rows whose questions ask for boxes."""
        fault = np.zeros(rows.num_rows, np.int8)
        stated = np.flatnonzero(_true(pc.is_valid(rows[BOXES])))
        judged = judge_boxes(rows[BOXES].take(pa.array(stated)), question[stated], self._index)
        fault[stated] = judged.fault
        for name in ("option", "index", "reply"):
            fault[_true(pc.is_valid(rows[name]))] = Fault.OPTION_NOT_ASKED
        good = np.flatnonzero(judged.fault == Fault.NONE)
        self._boxes.append((question[stated[good]], judged.boxes.take(pa.array(good))))
        return np.where(_true(pc.is_valid(rows[BOXES])), FOUND, ABSTAINED).astype(np.int16), fault

    def _choose_options(
        self, rows: pa.RecordBatch, question: Ints
    ) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
        """Of rows whose questions have options."""
        chosen = np.full(rows.num_rows, ABSTAINED, np.int64)
        fault = np.zeros(rows.num_rows, np.int8)
        if rows["option"].null_count < rows.num_rows:
            texts = np.flatnonzero(_true(pc.is_valid(rows["option"])))
            chosen[texts] = self._index.find_options(rows["option"].take(pa.array(texts)), question[texts])
            fault[texts[chosen[texts] == NOWHERE]] = Fault.OPTION_NOT_IN_LIST
        index = rows["index"]
        if self._text_may_be_index:
            unknown = np.flatnonzero(fault == Fault.OPTION_NOT_IN_LIST)
            integers = unknown[_true(pc.match_substring_regex(rows["option"].take(pa.array(unknown)), INTEGER))]
            numbers = rows["option"].take(pa.array(integers)).cast(pa.int64()).to_numpy()
            self._take_index(numbers, integers, question, chosen, fault)
        stated = np.flatnonzero(_true(pc.is_valid(index)))
        self._take_index(to_ints(index)[stated], stated, question, chosen, fault)
        self._read_replies(rows, question, chosen)
        return chosen.astype(np.int16), fault

    def _take_index(self, numbers: Ints, at: Ints, question: Ints, chosen: Ints, fault: npt.NDArray[np.int8]) -> None:
        in_range = (numbers >= 0) & (numbers < self._index.n_options[question[at]])
        chosen[at] = np.where(in_range, numbers, ABSTAINED)
        fault[at] = np.where(in_range, Fault.NONE, Fault.INDEX_OUT_OF_RANGE)

    def _read_replies(self, rows: pa.RecordBatch, question: Ints, chosen: Ints) -> None:
        """Keep the replies, and let them choose where the row states no option."""
        has_reply = _true(pc.is_valid(rows["reply"]))
        if not has_reply.any():
            return
        kept = np.flatnonzero(has_reply)
        self._replies.append((question[kept], rows["reply"].take(pa.array(kept))))
        states_none = has_reply & _true(pc.is_null(rows["option"])) & _true(pc.is_null(rows["index"]))
        for at in np.flatnonzero(states_none).tolist():
            parsed = parse_reply(rows["reply"][at].as_py(), self._index.options(int(question[at])))
            chosen[at] = ABSTAINED if parsed is None else parsed
            self.n_unparsed += parsed is None

    def _find_missing(self) -> None:
        """Questions that the file leaves out of a variant, or of a task beside, that it answers."""
        unanswered = self._answered_in == NO_ROW
        beside, variants = self._index.beside, self.variants()
        if not self._problems and unanswered.all():
            self._problems.add("empty_file", "The file has no rows. Write one per question.", field="file")
        elif not self._problems and not variants and (beside == NOWHERE).any():
            message = (
                f"The file answers {', '.join(self.tasks_beside())} alone. Answer the coarse and fine tasks as well: "
                "a file without them has no place on the overall board."
            )
            self._problems.add("core_tasks_missing", message, field="file")
        for variant in variants:
            is_of = (beside == NOWHERE) & (self._index.variant == VARIANTS.index(variant))
            self._complain_of_missing(np.flatnonzero(unanswered & is_of), variant)
        for task in self.tasks_beside():
            self._complain_of_missing(
                np.flatnonzero(unanswered & (beside == self._index.tasks_beside.index(task))), None
            )

    def _complain_of_missing(self, questions: Ints, variant: int | None) -> None:
        for at in questions.tolist():
            if len(self._problems.problems) < self._problems.kept:
                named = self._index.questions.slice(at, 1).select(NAMES).to_pylist()[0]
                column = BOXES if self._index.asks_boxes[at] else "option"
                message = f"{_describe(named, variant)} has no row. Answer it, or leave `{column}` empty to abstain."
                self._problems.add("missing_answer", message)
            else:
                self._problems.count("missing_answer")

    def _kept(self, parts: list[tuple[Ints, pa.Array]], kept: Ints, kind: pa.DataType) -> pa.Array:
        """What was set aside in `parts` for the questions `kept`, in their order; null where nothing was."""
        if not any(len(questions) for questions, _ in parts):
            return pa.nulls(len(kept), kind)
        place = np.full(self._index.n_questions, NOWHERE, np.int64)
        answered = np.concatenate([question for question, _ in parts])
        place[answered] = np.arange(len(answered))
        order = place[kept]
        values = pa.chunked_array([values for _, values in parts], kind)
        return values.take(pa.array(order, mask=order == NOWHERE)).combine_chunks()

    def _complain(self, rows: pa.RecordBatch, row: Ints, fault: npt.NDArray[np.int8], question: Ints) -> None:
        """Note the faults in row order; those past the kept ones are only counted."""
        bad = np.flatnonzero(fault)
        room = max(self._problems.kept - len(self._problems.problems), 0)
        for at in bad[:room].tolist():
            kind = Fault(int(fault[at]))
            found = {name: rows[name][at].as_py() for name in rows.schema.names if name != BOXES}
            self._problems.add(kind.name.lower(), self._sentence(kind, found, int(question[at])), row=int(row[at]))
        for code, times in zip(*np.unique(fault[bad[room:]], return_counts=True), strict=True):
            self._problems.count(Fault(int(code)).name.lower(), int(times))

    def _sentence(self, fault: Fault, found: dict[str, object], question: int) -> str:
        named = _describe(found, found["variant"])
        match fault:
            case Fault.MISSING_VALUE:
                empty = ", ".join(f"`{name}`" for name in NAMES if found[name] is None)
                return f"The row has no {empty}. Copy the names from the question pack."
            case Fault.BAD_VARIANT:
                return "`variant` must be 0, 1 or empty (null, the question form)."
            case Fault.UNKNOWN_IMAGE:
                image, dataset = _shown(found["image_id"]), _shown(found["dataset"])
                return f"There is no image {image} in dataset {dataset}. Copy both from the pack."
            case Fault.WRONG_SPLIT:
                where = self._split_of(found)
                return f"Image {_shown(found['image_id'])} belongs to split {where}. Answer the pack of this split."
            case Fault.UNKNOWN_QUESTION:
                return f"{named} is not asked. Copy `question` and `variant` from the pack."
            case Fault.DUPLICATE_ANSWER:
                return f"{named} is answered in row {self._answered_in[question]} already. Keep one of them."
            case Fault.OPTION_NOT_IN_LIST:
                options = "; ".join(_shown(option) for option in self._index.options(question))
                return f"{named}: {_shown(found['option'])} is none of the options. They are: {options}."
            case Fault.BOXES_NOT_ASKED:
                return f"{named} asks for an option. Leave out `boxes`."
            case Fault.OPTION_NOT_ASKED:
                return f"{named} asks for boxes. Leave `option` and `reply` empty."
            case Fault.TOO_MANY_BOXES:
                return f"{named} has more than {MAX_BOXES} boxes. Keep the best {MAX_BOXES}."
            case Fault.BAD_BOX:
                return f"{named}: a box has no class, or no finite corners with x1 < x2 and y1 < y2. {FORM}"
            case Fault.UNKNOWN_CLASS:
                classes = "; ".join(_shown(name) for name in self._index.options(question)[:SHOWN_CLASSES])
                return f"{named}: a box is of a class that is not asked for. The classes are: {classes}."
            case Fault.BOX_OUTSIDE:
                width, height = self._index.sizes[question]
                return f"{named}: a box lies outside the image, which has {width} × {height} pixels."
            case _:
                last = int(self._index.n_options[question]) - 1
                stated = found["option"] if found["index"] is None else found["index"]
                return f"{named}: option {stated} is not in 0 to {last}. Leave it empty to abstain."

    def _split_of(self, found: dict[str, object]) -> str:
        name = pa.scalar(f"{found['dataset']}\0{found['image_id']}")
        return next(split for split, items in self._other_items.items() if pc.is_in(name, value_set=items).as_py())


def _describe(named: dict[str, object], variant: object) -> str:
    form = "" if variant is None else f", variant {variant}"
    return (
        f"Question {_shown(named['question'])} of image {_shown(named['image_id'])} ({_shown(named['dataset'])}{form})"
    )


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _true(column: pa.Array) -> npt.NDArray[np.bool_]:
    """A boolean column as numpy, nulls as False."""
    return pc.fill_null(column, False).to_numpy(zero_copy_only=False)
