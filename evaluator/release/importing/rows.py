"""One row of the Hub, understood. In: a row as a dict; out: what the release needs of it, or problems that name it.

Knows the traps of the published data: null questions, missing captions, rows without a dataset, several encodings of
boxes. Knows nothing of images, splits or files.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluator.errors import ProblemLog
from evaluator.release.boxes import COORDINATES, is_proper
from evaluator.release.schema import COARSE_KINDS
from evaluator.release.tasks import describe_dataset, is_cognition_kind, is_question_kind, scale_facet

# Held et al. 2010 stands on the Hub without a dataset name; the stain tells its two sets apart.
DATASET_BY_STAIN = {"h2b-mcherry": "held_et_al_2010_h2b", "galt-egfp": "held_et_al_2010_galt"}
DASHES = re.compile("[\u2010-\u2015\u2212]")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
CAPTION_KEY = re.compile(r"(.+)_([01])")
MAX_OPTIONS = 26  # the alphabet letters them

Question = tuple[str, int | None, str | None, list[str], int]  # kind, variant, text, options, answer_idx


class _Unusable(Exception):
    """A question that is stated and cannot be asked or scored."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class HubRow:
    """What one row says. `facts` are the KEY columns that need no image; `given_split` the row's own `split`."""

    row: int
    dataset: str
    image_id: str
    label_name: str | None
    given_split: str | None
    facts: dict[str, Any]
    boxes: list[dict[str, Any]]
    questions: list[Question]


@dataclass
class RowReader:
    """Reads rows one by one, collecting problems and counting what was seen and what had to be changed."""

    class_names: Sequence[str]
    problems: ProblemLog
    exclude: Collection[str] = ()
    seen: Counter[str] = field(default_factory=Counter)  # rows per dataset, excluded ones too
    changes: Counter[str] = field(default_factory=Counter)

    def read(self, raw: dict[str, Any], row: int) -> HubRow | None:
        """The row understood; None when its dataset is excluded, or after its problems were noted."""
        dataset, image_id = self._read_dataset(raw, row), _text(raw.get("image_id"))
        if dataset is not None:
            self.seen[dataset] += 1
            if dataset in self.exclude:
                return None
        if not image_id:
            self.problems.add("missing_image_id", "The row has no image_id. Give it one.", row=row)
        if dataset is None or not image_id:
            return None
        place = f"dataset {dataset}, image_id {image_id}"
        if CONTROL.search(dataset + image_id):
            self.problems.add("bad_name", f"{place!r}: control characters in a name. Rename it.", row=row)
            return None

        def complain(code: str, message: str) -> None:
            self.problems.add(code, f"{place}: {message}", row=row)

        before = sum(self.problems.counts.values())
        questions = self._read_questions(raw, complain)
        boxes = self._read_boxes(raw.get("bbox"), complain)
        if not questions and not boxes:
            self.changes["{n} images have no question; they are kept and never asked about."] += 1
        if sum(self.problems.counts.values()) > before:
            return None
        return HubRow(
            row=row, dataset=dataset, image_id=image_id, label_name=self._read_label(raw),
            given_split=_text(raw.get("split")), facts=self._read_facts(raw, dataset), boxes=boxes, questions=questions,
        )  # fmt: skip

    def _read_dataset(self, raw: dict[str, Any], row: int) -> str | None:
        if dataset := _text(raw.get("dataset")):
            return dataset
        stain = DASHES.sub("-", _text(raw.get("stain")) or "").lower()
        if dataset := DATASET_BY_STAIN.get(stain):
            self.changes[f"{{n}} rows without a dataset are {dataset} by their stain."] += 1
            return dataset
        self.problems.add(
            "missing_dataset",
            f"image_id {_text(raw.get('image_id'))}: the row names no dataset, and its stain "
            f"({_text(raw.get('stain')) or 'none'}) does not tell it. Fill in the dataset column.",
            row=row,
        )
        return None

    def _read_label(self, raw: dict[str, Any]) -> str | None:
        if name := _text(raw.get("label_name")):
            return name
        label = raw.get("label")
        if isinstance(label, int) and 0 <= label < len(self.class_names):
            return self.class_names[label]
        return _text(label) if not isinstance(label, int) or label >= 0 else None

    def _read_facts(self, raw: dict[str, Any], dataset: str) -> dict[str, Any]:
        microns = raw.get("microns_per_pixel")
        microns = float(microns) if isinstance(microns, int | float) and not isinstance(microns, bool) else None
        scale = scale_facet(microns)
        if microns is not None and scale is None:
            self.changes["{n} images state a microns_per_pixel that is no positive number; it is dropped."] += 1
            microns = None
        synthetic = raw.get("synthetic")
        return {
            **{kind: _text(raw.get(kind)) for kind in COARSE_KINDS},
            "scale": scale,
            "organism": _text(raw.get("ncbitaxon_name")),
            "synthetic": {True: "yes", False: "no"}.get(synthetic) if isinstance(synthetic, bool) else None,
            "taxonomy": describe_dataset(dataset).taxonomy,
            "institution": _text(raw.get("institution")),
            "pmid": _text(raw.get("pmid")),
            "license": _text(raw.get("license")),
            "microns_per_pixel": microns,
        }

    def _read_questions(self, raw: dict[str, Any], complain: Callable[[str, str], None]) -> list[Question]:
        asked: list[tuple[str, int | None, Any]] = [
            (kind, None, question) for kind, question in (raw.get("questions") or {}).items()
        ]
        for key, caption in (raw.get("captions") or {}).items():
            match = CAPTION_KEY.fullmatch(key)
            asked.append((match[1], int(match[2]), caption) if match else (f"caption {key}", None, caption))
        found = []
        for kind, variant, stated in asked:
            if not _is_stated(stated):
                continue
            if not is_question_kind(kind):
                self.changes[f"{{n}} questions of the unknown kind {kind!r} are left out."] += 1
                continue
            if variant is not None and is_cognition_kind(kind):
                self.changes["{n} captions of cognition are left out; it is asked in question form."] += 1
                continue
            try:
                found.append(self._read_question(kind, variant, stated))
            except _Unusable as error:
                complain(error.code, error.message)
        return sorted(found, key=_canonical)

    def _read_question(self, kind: str, variant: int | None, stated: dict[str, Any]) -> Question:
        """Raises _Unusable."""
        name = kind if variant is None else f"{kind}_{variant}"
        options, index, answer = stated.get("options"), stated.get("answer_idx"), stated.get("answer")
        if not options:
            raise _Unusable("no_options", f"{name} has an answer and no options. Add them or set the question to null.")
        if not all(isinstance(option, str) and option.strip() for option in options):
            raise _Unusable("bad_option", f"{name} has an option that is empty or no text. Fill it in.")
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(options):
            last = len(options) - 1
            raise _Unusable("answer_out_of_range", f"{name}: answer_idx {index!r} is not in 0 to {last}. Correct it.")
        if answer is not None and answer != options[index]:
            raise _Unusable("answer_mismatch", f"{name}: answer is not the option at answer_idx {index}. Correct one.")
        unique = list(dict.fromkeys(options))
        if len(unique) < len(options):
            self.changes["{n} questions listed an option twice; the repetition is left out."] += 1
        if len(unique) > MAX_OPTIONS:
            raise _Unusable("too_many_options", f"{name} has {len(unique)} options; {MAX_OPTIONS} can be lettered.")
        return kind, variant, _text(stated.get("question")), unique, unique.index(options[index])

    def _read_boxes(self, stated: Any, complain: Callable[[str, str], None]) -> list[dict[str, Any]]:
        if isinstance(stated, dict):  # struct of lists: how older `datasets` wrote a sequence of records
            names = list(stated)
            stated = [
                dict(zip(names, box, strict=False)) for box in zip(*(stated[n] or [] for n in names), strict=False)
            ]
        boxes = []
        for box in stated or []:
            if not isinstance(box, dict) or not all(_is_number(box.get(c)) for c in COORDINATES):
                complain("bad_box", "bbox holds an entry without className, x1, y1, x2, y2. Correct or drop it.")
                return []
            name = _text(box.get("className")) or _text(box.get("class"))
            boxes.append({"class": name, **{c: float(box[c]) for c in COORDINATES}})
            if not is_proper(boxes[-1]):
                complain("bad_box", "bbox holds a box that is not x1 < x2 and y1 < y2 in pixels. Correct or drop it.")
                return []
        return boxes


def _is_stated(question: Any) -> bool:
    """Null questions are written as null, as a record of nulls, or as a record of nulls with an empty option list."""
    return isinstance(question, dict) and not (
        not question.get("options") and question.get("answer_idx") is None and question.get("answer") is None
    )


def _canonical(question: Question) -> tuple[int, int, str, int]:
    kind, variant = question[0], question[1]
    place = COARSE_KINDS.index(kind) if kind in COARSE_KINDS else len(COARSE_KINDS)
    return place, len(kind), kind, -1 if variant is None else variant  # cognition_2 before cognition_10


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str | None:
    """A field as text: lists joined, numbers written out, blanks as None."""
    if isinstance(value, list):
        value = "; ".join(text for text in map(_text, value) if text)
    if value is None:
        return None
    return str(value).strip() or None
