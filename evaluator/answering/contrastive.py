"""Answers of a contrastive model. In: an Encoder, items and questions; out: answers and image embeddings.

Every image is decoded and embedded once, every distinct text once; the option with the highest cosine is chosen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from evaluator.answering.choose import choose, cosines
from evaluator.answering.images import load_batches
from evaluator.answering.progress import Stage, StageClock
from evaluator.answering.questions import Asked
from evaluator.answering.settings import BatchSizes
from evaluator.answers import ANSWERS, ROW_ID
from evaluator.encoders.open_clip import Encoder
from evaluator.errors import EvaluationFailed


@dataclass(frozen=True, kw_only=True)
class Answered:
    """answers: ANSWERS, one row per row asked. embeddings (items, d): unit-length float32, in items order."""

    answers: pa.Table
    embeddings: np.ndarray
    truncated_texts: int


def answer(
    encoder: Encoder, folder: Path, items: pa.Table, asked: Asked, sizes: BatchSizes, clock: StageClock
) -> Answered:
    """Answer every row of `asked` on the images of `items` under `folder`.

    Raises EvaluationFailed: `non_finite_output` when an embedding is NaN or infinite, `unreadable_image`.
    """
    lengths = np.array([encoder.n_tokens(text) for text in asked.texts])
    texts = embed_texts(encoder, asked.texts, lengths, sizes.texts, clock)
    images = _embed_images(encoder, folder, items["file"].to_pylist(), sizes.images, clock)
    clock.report(Stage.CHOOSE, 0, asked.rows.num_rows)
    scores = cosines(images, texts, asked.image_of, asked.text_of, asked.offsets)
    truncated = lengths > encoder.context_length
    answers = _answers_table(asked, scores, truncated)
    clock.report(Stage.CHOOSE, asked.rows.num_rows, asked.rows.num_rows)
    return Answered(answers=answers, embeddings=images, truncated_texts=int(truncated.sum()))


def embed_texts(
    encoder: Encoder, texts: list[str], lengths: np.ndarray, batch_size: int, clock: StageClock
) -> np.ndarray:
    """Texts of like length go together, so that a batch is padded no further than it must be."""
    order = np.argsort(lengths, kind="stable")
    batches = ([texts[i] for i in order[start : start + batch_size]] for start in range(0, len(texts), batch_size))
    embedded = _collect((encoder.encode_texts(batch) for batch in batches), Stage.TEXTS, len(texts), clock)
    in_place = np.empty_like(embedded)
    in_place[order] = embedded
    return in_place


def _embed_images(encoder: Encoder, folder: Path, files: list[str], batch_size: int, clock: StageClock) -> np.ndarray:
    batches = load_batches(folder, files, encoder.preprocess, batch_size)
    return _collect((encoder.encode_images(batch) for batch in batches), Stage.IMAGES, len(files), clock)


def _collect(batches: Iterable[torch.Tensor], stage: Stage, total: int, clock: StageClock) -> np.ndarray:
    clock.report(stage, 0, total)
    parts: list[np.ndarray] = []
    done = 0
    for embedded in batches:
        if not torch.isfinite(embedded).all():
            message = (f"The model gave NaN or infinite numbers ({stage}, {done:,} to {done + len(embedded):,} of "
                       f"{total:,}). Check that the checkpoint runs in float32 on ordinary images.")  # fmt: skip
            raise EvaluationFailed("non_finite_output", message, retry=False)
        parts.append(embedded.numpy())
        done += len(embedded)
        clock.report(stage, done, total)
    return np.concatenate(parts)


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
