"""Answers of a detector. In: a Detector, images and what to look for; out: boxes per image.

Every image is looked at once, every distinct list of classes is embedded once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from evaluator.answering.answered import Answered
from evaluator.answering.families.halving import Halving
from evaluator.answering.families.localisation import FOUND, LocalisationAsked
from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import Stage, StageClock
from evaluator.answering.settings import BatchSizes
from evaluator.answers import ANSWERS, ROW_ID
from evaluator.detectors.boxes import OFFICIAL, keep_boxes
from evaluator.detectors.detector import PROMPT, Detector, Places
from evaluator.errors import EvaluationFailed
from evaluator.pixels.files import PackedImages

PLACES_PER_IMAGE = 256  # BatchSizes.images is meant for images of so many places; detectors look at far more


def answer(
    detector: Detector, images: PackedImages, items: pa.Table, asked: LocalisationAsked, sizes: BatchSizes,
    clock: StageClock, resume: Resume,
) -> Answered:  # fmt: skip
    """Answer every row of `asked` on `images`, one per row of `items` (ITEMS, which hold the sizes of stored images).

    Raises EvaluationFailed `non_finite_output` when the model gives NaN or infinite numbers.
    """
    search = _Search(detector, images, items, asked)
    batches = Halving(min(sizes.images, max(1, sizes.images * PLACES_PER_IMAGE // detector.n_places)))
    first, total = int(np.searchsorted(search.items, resume.start)), len(search.items)
    clock.report(Stage.BOXES, first, total)
    found = [_from_part(part) for part in resume.done]
    for start, stop, places in batches.run(first, total, search.look):
        answers = search.answers(start, places)
        found.append(answers)
        resume.on_part(Part(start=search.edge(start), stop=search.edge(stop), content=_to_part(answers)))
        clock.report(Stage.BOXES, stop, total)
    answers = pa.concat_tables(found).take(pa.array(np.argsort(search.order))).combine_chunks()
    counts = {
        "looked_at": total, "image_batch": batches.size, "truncated_texts": len(search.too_long),
        "boxes": pc.sum(pc.list_value_length(answers["boxes"])).as_py(),
    }  # fmt: skip
    return Answered(answers=answers, counts=counts, how={"boxes": {"prompt": PROMPT, **asdict(OFFICIAL)}})


class _Search:
    """The rows asked, in the order of their items. items (rows,): their places in the items table, rising."""

    def __init__(self, detector: Detector, images: PackedImages, items: pa.Table, asked: LocalisationAsked) -> None:
        self._detector, self._images = detector, images
        self.order = np.argsort(asked.image_of, kind="stable")
        self.items = asked.image_of[self.order]
        self._stored = np.stack([items["width"].to_numpy(), items["height"].to_numpy()], axis=1)[self.items]
        self._rows = asked.rows.select(ROW_ID).take(pa.array(self.order))
        self._classes = [tuple(asked.classes[row]) for row in self.order]
        prompts = {classes: [PROMPT.format(name) for name in classes] for classes in dict.fromkeys(self._classes)}
        self._queries = {classes: detector.embed_prompts(texts) for classes, texts in prompts.items()}
        texts = {text for texts in prompts.values() for text in texts}
        self.too_long = {text for text in texts if detector.n_tokens(text) > detector.context_length}
        self._cut = {classes for classes, texts in prompts.items() if not self.too_long.isdisjoint(texts)}

    def edge(self, row: int) -> int:
        """The first item that the rows before `row` leave to be done: items that nobody asks about are nobody's."""
        if row == 0:
            return 0
        return int(self.items[row]) if row < len(self.items) else len(self._images)

    def look(self, start: int, stop: int) -> list[tuple[Image.Image, Places]]:
        images = [self._images[int(item)] for item in self.items[start:stop]]
        queries = [self._queries[classes] for classes in self._classes[start:stop]]
        return list(zip(images, self._detector.look(images, queries), strict=True))

    def answers(self, start: int, looked: list[tuple[Image.Image, Places]]) -> pa.Table:
        """ANSWERS of the rows from `start`, one per image looked at."""
        stop = start + len(looked)
        classes_of = self._classes[start:stop]
        self._require_finite((places for _, places in looked), start, stop)
        columns: dict[str, Any] = {name: self._rows[name].slice(start, len(looked)) for name in ROW_ID}
        columns["chosen"] = pa.array([FOUND] * len(looked), ANSWERS.field("chosen").type)
        for name in ("scores", "text"):
            columns[name] = pa.nulls(len(looked), ANSWERS.field(name).type)
        columns["truncated"] = pa.array([classes in self._cut for classes in classes_of])
        columns["boxes"] = pa.array(
            [_boxes(places, classes, image.size, (int(width), int(height)))
             for (image, places), classes, (width, height)
             in zip(looked, classes_of, self._stored[start:stop], strict=True)],
            ANSWERS.field("boxes").type,
        )  # fmt: skip
        return pa.table(columns).select(ANSWERS.names).cast(ANSWERS)

    def _require_finite(self, looked: Iterable[Places], start: int, stop: int) -> None:
        if all(np.isfinite(places.boxes).all() and np.isfinite(places.logits).all() for places in looked):
            return
        message = (f"The model gave NaN or infinite numbers ({Stage.BOXES}, {start:,} to {stop:,} of "
                   f"{len(self.items):,}). Check that the checkpoint runs in float32 on ordinary images.")  # fmt: skip
        raise EvaluationFailed("non_finite_output", message, retry=False)


def _boxes(
    places: Places, classes: Sequence[str], seen: tuple[int, int], stored: tuple[int, int]
) -> list[dict[str, Any]]:
    """Boxes in pixels of the stored image; a blank image has another size than the one whose place it takes."""
    stretch = np.tile(np.divide(stored, seen, dtype=np.float32), 2)
    return keep_boxes(replace(places, boxes=places.boxes * stretch), classes, stored)


def _to_part(answers: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, answers.schema) as writer:
        writer.write_table(answers)
    return sink.getvalue().to_pybytes()


def _from_part(part: Part) -> pa.Table:
    with pa.ipc.open_stream(part.content) as reader:
        return reader.read_all()
