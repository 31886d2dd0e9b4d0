"""Whether what a child sent answers what was asked. In: bytes of a process that read a stranger's weights; out: tables
of the right rows and sane values, or BrokenFrames. Torch-free, key-free."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.answering.embeddings import Embeddings, named_embeddings
from evaluator.answering.families.localisation import FOUND, ask_localisation
from evaluator.answering.questions import PROTOCOLS, ask
from evaluator.answering.sweeps.sweep_answers import GIVEN, NON_FINITE, keeps_scores, name_rows
from evaluator.answers import ABSTAINED, ANSWER_BOX, ANSWERS, MAX_REPLY_CHARS, ROW_ID, Protocol
from evaluator.architectures.architecture import Family
from evaluator.errors import InputError
from evaluator.release.boxes import MAX_BOXES
from evaluator.release.schema import Split
from evaluator.sandbox.frames import BrokenFrames

SCORE_SLACK = 1e-3  # bf16 cosines of equal vectors may exceed 1


def rows_asked(items: pa.Table, questions: pa.Table, family: Family, protocol: Protocol) -> pa.Table:
    """The rows of QUESTIONS that a model of this family answers under `protocol`. InputError when there are none."""
    if family is Family.DETECTOR:
        return ask_localisation(items, questions).rows
    return ask(items, questions, protocol).rows


def first_protocol(items: pa.Table, questions: pa.Table, family: Family) -> Protocol | None:
    """The first of the family's protocols, its own before all, by which the split has anything to ask; None without."""
    for protocol in PROTOCOLS[family]:
        try:
            rows_asked(items, questions, family, protocol)
        except InputError:
            continue
        return protocol
    return None


def most_bytes(rows: pa.Table, protocol: Protocol, family: Family) -> int:
    """More than an honest answer to `rows` can take as an Arrow stream."""
    per_row = 64 + 8 * pc.max(pc.list_value_length(rows["options"])).as_py()
    if family is Family.DETECTOR:
        per_row += MAX_BOXES * (48 + pc.max(pc.binary_length(pc.list_flatten(rows["options"]))).as_py())
    elif protocol is Protocol.QUESTIONS and family is Family.GENERATIVE:
        per_row += 4 * MAX_REPLY_CHARS
    return 2 * rows.nbytes + per_row * rows.num_rows + 1024**2


def most_sweep_bytes(rows: Mapping[Split, pa.Table], n_alphas: int, protocol: Protocol, family: Family) -> int:
    """More than honest answers to `rows` at so many α can take as an Arrow stream: whole ones twice, at every α for
    boxes, else little more than a choice each."""
    whole = sum(most_bytes(asked, protocol, family) for asked in rows.values())
    n_rows = sum(asked.num_rows for asked in rows.values())
    return whole * (n_alphas if family is Family.DETECTOR else 2) + 64 * n_rows * n_alphas + 1024**2


def checked_answers(payload: bytes, rows: pa.Table, protocol: Protocol, family: Family) -> pa.Table:
    """ANSWERS from an Arrow stream, which must be exactly the rows asked, in order, with what the protocol gives.

    Raises BrokenFrames or ArrowException.
    """
    answers = _table(payload, ANSWERS)
    check_answers(answers, rows, protocol, family)
    return answers


def checked_sweep(
    payload: bytes, record: Mapping[str, Any], rows: Mapping[Split, pa.Table], alphas: Sequence[float],
    protocol: Protocol, family: Family,
) -> pa.Table:  # fmt: skip
    """SWEEP from an Arrow stream of GIVEN: the rows asked of each split at every α, but those that `record` says broke.

    Raises BrokenFrames or ArrowException.
    """
    answered = [alpha for alpha in alphas if alpha not in _broken(record, alphas)]
    try:
        sweep = name_rows(_table(payload, GIVEN), rows, answered)
    except ValueError as error:
        raise BrokenFrames(str(error)) from error
    start = 0
    for alpha in answered:
        for asked in rows.values():
            answers = sweep.slice(start, asked.num_rows).select(ANSWERS.names).combine_chunks()
            check_answers(answers, asked, protocol, family, whole=keeps_scores(alpha))
            start += asked.num_rows
    return sweep


def _broken(record: Mapping[str, Any], alphas: Sequence[float]) -> list[float]:
    """The α that a record names as broken. Raises BrokenFrames for a record that is not of this sweep."""
    if record.get("alphas") != list(alphas):
        raise BrokenFrames("a record of other alphas")
    broken, merge, scales = (record.get(name) for name in ("broken", "merge", "logit_scale"))
    if not isinstance(broken, list) or not all(
        isinstance(each, dict) and each.keys() == {"alpha", "code", "message"} and each["alpha"] in alphas
        and each["code"] == NON_FINITE and isinstance(each["message"], str) for each in broken
    ):  # fmt: skip
        raise BrokenFrames("a broken alpha that was not asked for")
    if not isinstance(merge, dict) or not isinstance(scales, dict) or scales.keys() != {"base", "tuned"}:
        raise BrokenFrames("a record without its merge")
    if not all(scale is None or (isinstance(scale, float) and 0 < scale < np.inf) for scale in scales.values()):
        raise BrokenFrames("a scale of logits that is none")
    return [each["alpha"] for each in broken]


def _table(payload: bytes, schema: pa.Schema) -> pa.Table:
    with pa.ipc.open_stream(io.BytesIO(payload)) as reader:
        table = reader.read_all().combine_chunks()
    if table.schema != schema:
        raise BrokenFrames("other columns")
    table.validate(full=True)
    return table


def check_answers(
    answers: pa.Table, rows: pa.Table, protocol: Protocol, family: Family, *, whole: bool = True
) -> None:  # fmt: skip
    """Raise BrokenFrames unless these ANSWERS are exactly the rows asked, in order, with what the protocol gives. Those
    of a sweep are not `whole` at every α: scores and text are left out."""
    if any(not answers[name].equals(rows[name]) for name in ROW_ID):
        raise BrokenFrames("other rows than were asked")
    n_options = rows["options"].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    chosen = answers["chosen"].combine_chunks()
    if chosen.null_count or not ((chosen.to_numpy() >= ABSTAINED) & (chosen.to_numpy() < n_options)).all():
        raise BrokenFrames("a chosen option that is not on the list")
    if family is Family.DETECTOR:
        _require_empty(answers, "scores", "text")
        _check_boxes(answers, rows)
    elif not whole:
        _require_empty(answers, "scores", "text", "boxes")
    elif family is Family.GENERATIVE and protocol is Protocol.QUESTIONS:
        _require_empty(answers, "scores", "boxes")
        _require_where_asked(answers, "text")
        if (pc.max(pc.utf8_length(answers["text"])).as_py() or 0) > MAX_REPLY_CHARS:
            raise BrokenFrames("a reply that is too long")
    else:
        _require_empty(answers, "text", "boxes")
        _require_where_asked(answers, "scores")
        _check_scores(answers, n_options, lowest=-1.0 if family is Family.CONTRASTIVE else -np.inf)


def checked_embeddings(payload: bytes, items: pa.Table) -> Embeddings:
    """One finite vector per item. Raises BrokenFrames."""
    values = np.frombuffer(payload, np.float32) if len(payload) % 4 == 0 else np.empty(0, np.float32)
    if not len(values) or len(values) % items.num_rows or not np.isfinite(values).all():
        raise BrokenFrames("embeddings of another size, or not finite")
    return named_embeddings(items, values.reshape(items.num_rows, -1))


def _require_empty(answers: pa.Table, *names: str) -> None:
    for name in names:
        if answers[name].null_count < answers.num_rows:
            raise BrokenFrames(f"{name} where none were asked for")


def _require_where_asked(answers: pa.Table, name: str) -> None:
    """Null stands only where the prompt was too long to be put to the model: abstained, and marked truncated."""
    not_put = pc.and_(pc.equal(answers["chosen"], ABSTAINED), answers["truncated"])
    if not pc.all(pc.or_(answers[name].is_valid(), pc.fill_null(not_put, False))).as_py():
        raise BrokenFrames(f"{name} missing where there should be one")


def _check_scores(answers: pa.Table, n_options: np.ndarray, *, lowest: float) -> None:
    """A cosine lies within −1 and 1; the logarithm of a probability is at most 0."""
    found = answers["scores"].combine_chunks()
    given = found.is_valid().to_numpy(zero_copy_only=False)
    if not np.array_equal(found.value_lengths().drop_null().to_numpy(), n_options[given]):
        raise BrokenFrames("a question without a score for every option")
    scores = found.flatten().to_numpy(zero_copy_only=False)
    highest = 1.0 if np.isfinite(lowest) else 0.0
    sane = np.isfinite(scores) & (scores >= lowest - SCORE_SLACK) & (scores <= highest + SCORE_SLACK)
    if not sane.all():
        raise BrokenFrames("a score that is no cosine and no likelihood")


def _check_boxes(answers: pa.Table, rows: pa.Table) -> None:
    boxes = answers["boxes"].combine_chunks()
    lengths = boxes.value_lengths()
    answered = pc.equal(answers["chosen"], FOUND)
    if not pc.equal(answered, answers["boxes"].is_valid()).combine_chunks().to_numpy(zero_copy_only=False).all():
        raise BrokenFrames("boxes without an answer, or an answer without boxes")
    if (pc.max(lengths).as_py() or 0) > MAX_BOXES:
        raise BrokenFrames("too many boxes")
    flat = boxes.flatten()
    numbers = [flat.field(field.name) for field in ANSWER_BOX if field.name != "class"]
    if any(column.null_count or not np.isfinite(column.to_numpy()).all() for column in numbers):
        raise BrokenFrames("a box with a coordinate or score that is no number")
    if (flat.field("x1").to_numpy() > flat.field("x2").to_numpy()).any():
        raise BrokenFrames("a box whose right side lies left of its left one")
    if (flat.field("y1").to_numpy() > flat.field("y2").to_numpy()).any():
        raise BrokenFrames("a box whose lower side lies above its upper one")
    owners = pc.list_parent_indices(boxes).to_pylist()
    classes = rows["options"].to_pylist()
    if any(name not in classes[row] for row, name in zip(owners, flat.field("class").to_pylist(), strict=True)):
        raise BrokenFrames("a box of a class that was not asked for")
