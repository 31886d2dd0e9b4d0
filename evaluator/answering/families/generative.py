"""Answers of a generative model. In: a Generator, images and questions; out: answers.

Protocol `questions`: the official prompt, a greedy reply, read by the strict parser. Protocol `letter`: the official
prompt, and the option with whose letter the reply most probably begins. Each image goes through the model once for all
its questions.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.answering.answered import Answered
from evaluator.answering.choose import choose
from evaluator.answering.families.halving import Halving
from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import Stage, StageClock
from evaluator.answering.questions import Asked
from evaluator.answering.settings import BatchSizes, RunSettings
from evaluator.answers import ABSTAINED, ANSWERS, MAX_REPLY_CHARS, ROW_ID, Protocol
from evaluator.errors import EvaluationFailed, InputError
from evaluator.generators.generator import AskedImage, Generator, Reply
from evaluator.pixels.files import PackedImages
from evaluator.predictions.replies import parse_reply
from evaluator.release.prompts import render_prompt

UNFINISHED = b"unfinished_replies"  # of a part: ANSWERS has no column for it


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What every batch needs. rows: of `asked`, ordered by image; of_item (items + 1,): item i's are
    rows[of_item[i]:of_item[i + 1]]."""

    generator: Generator
    images: PackedImages
    asked: pa.Table
    rows: NDArray[np.int64]
    of_item: NDArray[np.int64]
    settings: RunSettings


def answer(
    generator: Generator, images: PackedImages, asked: Asked, settings: RunSettings, sizes: BatchSizes,
    clock: StageClock, resume: Resume,
) -> Answered:  # fmt: skip
    """Answer every row of `asked` by the protocol of `settings`.

    questions: `text` is the reply, at most MAX_REPLY_CHARS of it; `chosen` what the strict parser reads in it, −1 where
    it cannot tell; no scores. letter: `scores` are the log-probabilities of the letters (Generator.score_letters),
    `chosen` the highest, −1 on a tie; no text. A prompt that does not fit into the model's context is not put to the
    model: −1, neither text nor scores, marked truncated. Raises InputError `too_many_options`, EvaluationFailed
    `prompts_too_long` when no prompt fits.
    """
    _require_letters(asked)
    rows = np.argsort(asked.image_of, kind="stable")
    of_item = np.searchsorted(asked.image_of[rows], np.arange(len(images) + 1))
    work = _Work(
        generator=generator, images=images, asked=asked.rows, rows=rows, of_item=of_item, settings=settings
    )  # fmt: skip
    batches, total = Halving(sizes.items), len(images)
    found = [_from_part(part) for part in resume.done]
    clock.report(Stage.REPLIES, resume.start, total)
    for start, stop, answers in batches.run(resume.start, total, lambda start, stop: _answer_items(work, start, stop)):
        resume.on_part(Part(start=start, stop=stop, content=_as_part(answers)))
        found.append(answers)
        clock.report(Stage.REPLIES, stop, total)
    in_order = pa.concat_tables(found).take(pa.array(np.argsort(rows, kind="stable"))).combine_chunks()
    return Answered(answers=in_order, counts=_count(found, in_order, settings.protocol) | {"item_batch": batches.size})


def _require_letters(asked: Asked) -> None:
    n_options = np.diff(asked.offsets)
    if too_many := int((n_options > len(ascii_uppercase)).sum()):
        message = (f"{too_many:,} questions have more options than the alphabet has letters (up to {n_options.max()}); "
                   "they cannot be put to a generative model. Leave them out of the release.")  # fmt: skip
        raise InputError.single("too_many_options", message, field="protocol")


def _answer_items(work: _Work, start: int, stop: int) -> pa.Table:
    """ANSWERS of the items start … stop, in the order of `work.rows`."""
    rows = work.asked.take(pa.array(work.rows[work.of_item[start] : work.of_item[stop]]))
    texts, options = rows["text"].to_pylist(), rows["options"].to_pylist()
    first = work.of_item[start]
    asked = []
    for item in range(start, stop):
        mine = slice(work.of_item[item] - first, work.of_item[item + 1] - first)
        if mine.start == mine.stop:
            continue
        prompts = [render_prompt(text, some) for text, some in zip(texts[mine], options[mine], strict=True)]
        asked.append(AskedImage(
            image=work.images[item], prompts=tuple(prompts), n_options=tuple(len(some) for some in options[mine])
        ))  # fmt: skip
    if work.settings.protocol is Protocol.LETTER:
        return _letters_table(rows, _flat(work.generator.score_letters(asked)))
    return _replies_table(rows, options, _flat(work.generator.reply(asked, work.settings.max_new_tokens)))


def _replies_table(rows: pa.Table, options: Sequence[Sequence[str]], replies: Sequence[Reply | None]) -> pa.Table:
    texts = [None if reply is None else reply.text[:MAX_REPLY_CHARS] for reply in replies]
    read = [None if text is None else parse_reply(text, some) for text, some in zip(texts, options, strict=True)]
    table = _answers(
        rows, chosen=[ABSTAINED if option is None else option for option in read], texts=texts,
        scores=[None] * len(replies), truncated=[reply is None for reply in replies],
    )  # fmt: skip
    unfinished = sum(reply is not None and not reply.finished for reply in replies)
    return table.replace_schema_metadata({UNFINISHED: str(unfinished)})


def _letters_table(rows: pa.Table, scores: Sequence[NDArray[np.float32] | None]) -> pa.Table:
    return _answers(
        rows, chosen=[ABSTAINED if row is None else _likeliest(row) for row in scores], texts=[None] * len(scores),
        scores=scores, truncated=[row is None for row in scores],
    )  # fmt: skip


def _likeliest(scores: NDArray[np.float32]) -> int:
    if not np.isfinite(scores).all():
        message = "The model gave a letter no probability at all. Check that the checkpoint runs in float32."
        raise EvaluationFailed("non_finite_output", message, retry=False)
    return int(choose(scores, np.array([0, len(scores)]))[0])


def _answers(
    rows: pa.Table, *, chosen: Sequence[int], texts: Sequence[str | None], truncated: Sequence[bool],
    scores: Sequence[NDArray[np.float32] | None],
) -> pa.Table:  # fmt: skip
    columns: dict[str, Any] = {name: rows[name] for name in ROW_ID}
    columns |= {"chosen": chosen, "scores": scores, "text": texts, "truncated": truncated, "boxes": [None] * len(texts)}
    return pa.table([
        values.cast(field.type) if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
        for field, values in ((field, columns[field.name]) for field in ANSWERS)
    ], schema=ANSWERS)  # fmt: skip


def _count(parts: Sequence[pa.Table], answers: pa.Table, protocol: Protocol) -> dict[str, int]:
    truncated = answers["truncated"].to_numpy()
    if truncated.all():
        message = "No prompt fits into the model's context together with its image. Choose another architecture."
        raise EvaluationFailed("prompts_too_long", message, retry=False)
    counts = {"truncated_texts": int(truncated.sum())}
    if protocol is Protocol.QUESTIONS:
        counts["unparsed_replies"] = int(((answers["chosen"].to_numpy() == ABSTAINED) & ~truncated).sum())
        counts["unfinished_replies"] = sum(int(part.schema.metadata[UNFINISHED]) for part in parts)
    return counts


def _as_part(answers: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, answers.schema) as stream:
        stream.write_table(answers)
    return sink.getvalue()


def _from_part(part: Part) -> pa.Table:
    with pa.ipc.open_stream(part.content) as stream:
        return stream.read_all()


def _flat(per_image: Sequence[Sequence[Any]]) -> list[Any]:
    return [result for results in per_image for result in results]
