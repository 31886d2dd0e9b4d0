"""Whether what a child sent answers what was asked. In: bytes of a process that read a stranger's weights; out: tables
of the right rows and sane values, or BrokenFrames. Torch-free, key-free."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.answering.embeddings import Embeddings, named_embeddings
from evaluator.answering.localisation import FOUND, ask_localisation
from evaluator.answering.questions import PROTOCOLS, ask
from evaluator.answers import ABSTAINED, ANSWER_BOX, ANSWERS, MAX_REPLY_CHARS, ROW_ID, Protocol
from evaluator.architectures.architecture import Family
from evaluator.errors import InputError
from evaluator.release.boxes import MAX_BOXES
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


def checked_answers(payload: bytes, rows: pa.Table, protocol: Protocol, family: Family) -> pa.Table:
    """ANSWERS from an Arrow stream, which must be exactly the rows asked, in order, with what the protocol gives.

    Raises BrokenFrames or ArrowException.
    """
    with pa.ipc.open_stream(io.BytesIO(payload)) as reader:
        answers = reader.read_all().combine_chunks()
    if answers.schema != ANSWERS:
        raise BrokenFrames("other columns")
    answers.validate(full=True)
    if any(not answers[name].equals(rows[name]) for name in ROW_ID):
        raise BrokenFrames("other rows than were asked")
    n_options = rows["options"].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    chosen = answers["chosen"].combine_chunks()
    if chosen.null_count or not ((chosen.to_numpy() >= ABSTAINED) & (chosen.to_numpy() < n_options)).all():
        raise BrokenFrames("a chosen option that is not on the list")
    if family is Family.DETECTOR:
        _require_empty(answers, "scores", "text")
        _check_boxes(answers, rows)
    elif family is Family.GENERATIVE and protocol is Protocol.QUESTIONS:
        _require_empty(answers, "scores", "boxes")
        _require_where_asked(answers, "text")
        if (pc.max(pc.utf8_length(answers["text"])).as_py() or 0) > MAX_REPLY_CHARS:
            raise BrokenFrames("a reply that is too long")
    else:
        _require_empty(answers, "text", "boxes")
        _require_where_asked(answers, "scores")
        _check_scores(answers, n_options, lowest=-1.0 if family is Family.CONTRASTIVE else -np.inf)
    return answers


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
