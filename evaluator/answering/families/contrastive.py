"""Answers of a contrastive model. In: an Encoder, material and questions; out: answers and image embeddings.

Every image is embedded once, every distinct text once; the option with the highest cosine is chosen.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from evaluator.answering.answered import Answered
from evaluator.answering.choose import choose, cosines
from evaluator.answering.families.halving import Halving
from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import Stage, StageClock
from evaluator.answering.questions import Asked
from evaluator.answering.settings import BatchSizes
from evaluator.answers import ANSWERS, ROW_ID
from evaluator.encoders.encoder import Encoder
from evaluator.errors import EvaluationFailed
from evaluator.pixels.files import let_go


def answer(
    encoder: Encoder, crops: NDArray[np.uint8], asked: Asked, sizes: BatchSizes, clock: StageClock, resume: Resume
) -> Answered:
    """Answer every row of `asked` on the images `crops` (items, h, w, 3).

    Raises EvaluationFailed `non_finite_output` when an embedding is NaN or infinite.
    """
    lengths = text_lengths(encoder, asked)
    texts = embed_texts(encoder, asked.texts, lengths, sizes.texts, clock)
    batches = Halving(sizes.images)
    images = embed_images(encoder, crops, batches, clock, resume)
    truncated = lengths > encoder.context_length
    answers = compare(asked, images, texts, truncated, clock)
    counts = {"texts": len(asked.texts), "truncated_texts": int(truncated.sum()), "image_batch": batches.size}
    return Answered(answers=answers, embeddings=images, counts=counts)


def text_lengths(encoder: Encoder, asked: Asked) -> NDArray[np.int64]:
    """(texts,), in tokens."""
    return np.array([encoder.n_tokens(text) for text in asked.texts])


def compare(
    asked: Asked, images: np.ndarray, texts: np.ndarray, truncated: NDArray[np.bool_], clock: StageClock
) -> pa.Table:
    """ANSWERS by the embeddings of all images (items, d) and all texts (texts, d), of which some were `truncated`."""
    clock.report(Stage.CHOOSE, 0, asked.rows.num_rows)
    datasets = asked.rows["dataset"].combine_chunks().dictionary_encode().indices.to_numpy()
    scores = cosines(images, texts, asked.image_of, asked.text_of, asked.offsets, datasets)
    answers = _answers_table(asked, scores, truncated)
    clock.report(Stage.CHOOSE, asked.rows.num_rows, asked.rows.num_rows)
    return answers


def embed_texts(
    encoder: Encoder, texts: list[str], lengths: np.ndarray, batch_size: int, clock: StageClock
) -> np.ndarray:
    """(texts, d). Texts of like length go together, so that a batch is padded no further than it must be."""
    order = np.argsort(lengths, kind="stable")

    def some(start: int, stop: int) -> torch.Tensor:
        return encoder.encode_texts([texts[i] for i in order[start:stop]])

    found = [
        part for _, _, part in _finite(Halving(batch_size).run(0, len(texts), some), Stage.TEXTS, len(texts), clock)
    ]
    embedded = np.concatenate(found)
    in_place = np.empty_like(embedded)
    in_place[order] = embedded
    return in_place


def embed_images(
    encoder: Encoder, crops: NDArray[np.uint8], batches: Halving, clock: StageClock, resume: Resume
) -> np.ndarray:
    """(items, d). What `resume` holds is taken as it is; each new batch is a part."""
    total, found = len(crops), [_from_part(part) for part in resume.done]
    computed = batches.run(resume.start, total, lambda start, stop: encoder.encode_images(crops[start:stop]))
    for start, stop, embedded in _finite(computed, Stage.IMAGES, total, clock, first=resume.start):
        let_go(crops)
        resume.on_part(Part(start=start, stop=stop, content=embedded.tobytes()))
        found.append(embedded)
    return np.concatenate(found)


def _from_part(part: Part) -> np.ndarray:
    return np.frombuffer(part.content, np.float32).reshape(part.stop - part.start, -1)


def _finite(
    batches: Iterator[tuple[int, int, torch.Tensor]], stage: Stage, total: int, clock: StageClock, first: int = 0
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Pass the batches on, and what is done of `total` to the clock; stop at NaN and infinite numbers."""
    clock.report(stage, first, total)
    for start, stop, embedded in batches:
        if not torch.isfinite(embedded).all():
            message = (f"The model gave NaN or infinite numbers ({stage}, {start:,} to {stop:,} of {total:,}). "
                       "Check that the checkpoint runs in float32 on ordinary images.")  # fmt: skip
            raise EvaluationFailed("non_finite_output", message, retry=False)
        yield start, stop, embedded.numpy()
        clock.report(stage, stop, total)


def _answers_table(asked: Asked, scores: np.ndarray, truncated: np.ndarray) -> pa.Table:
    """`truncated` (texts,): a row is truncated when one of its options was."""
    n_rows = asked.rows.num_rows
    columns = {name: asked.rows[name] for name in ROW_ID}
    columns["chosen"] = pa.array(choose(scores, asked.offsets))
    columns["scores"] = pa.ListArray.from_arrays(pa.array(asked.offsets, pa.int32()), pa.array(scores))
    columns["text"] = pa.nulls(n_rows, pa.string())
    columns["truncated"] = pa.array(np.logical_or.reduceat(truncated[asked.text_of], asked.offsets[:-1]))
    columns["boxes"] = pa.nulls(n_rows, ANSWERS.field("boxes").type)
    return pa.table(columns).select(ANSWERS.names).cast(ANSWERS)
