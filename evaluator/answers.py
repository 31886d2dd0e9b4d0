"""Answers: the raw output of one evaluation. In/out: answers.parquet. Torch-free; scorer and runner share it."""

from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluator.errors import InputError, Problem

MAX_REPLY_CHARS = 1_000  # of a raw reply that is kept: a token can be a hundred spaces
ABSTAINED = -1  # also a tie: chosen = -1 is never right
FOUND = 0  # `chosen` of a localisation row that was given boxes, possibly an empty list

ANSWER_BOX = pa.struct([
    ("class", pa.string()), ("x1", pa.float64()), ("y1", pa.float64()), ("x2", pa.float64()), ("y2", pa.float64()),
    ("score", pa.float64()),
])  # fmt: skip

ANSWERS = pa.schema([
    ("dataset", pa.string()), ("image_id", pa.string()), ("question", pa.string()), ("variant", pa.int8()),
    ("chosen", pa.int16()), ("scores", pa.list_(pa.float32())), ("text", pa.string()), ("truncated", pa.bool_()),
    ("boxes", pa.list_(ANSWER_BOX)),
])  # fmt: skip


class Protocol(StrEnum):
    """How questions were put to the model; a column and a filter of every board."""

    CAPTIONS = "captions"
    QUESTIONS = "questions"
    LETTER = "letter"
    BOXES = "boxes"
    SELF_REPORTED = "self-reported"


ROW_ID = ("dataset", "image_id", "question", "variant")


def write_answers(answers: pa.Table, path: Path) -> None:
    """Write answers.parquet. The same rows give the same bytes. Raises ArrowInvalid when columns do not fit ANSWERS."""
    pq.write_table(answers.select(ANSWERS.names).cast(ANSWERS), path, compression="zstd")


def read_answers(path: Path) -> pa.Table:
    """Read answers.parquet with exactly the columns of ANSWERS; an unreadable or other file is an InputError."""
    return read_as(path, ANSWERS)


def read_as(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a file of answers with exactly the columns of `schema`; InputError as `read_answers`."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InputError.single("answers_missing", f"{path} does not exist; name the answers of a run.") from None
    except pa.ArrowException as error:
        raise InputError.single("answers_unreadable", f"{path} is not a Parquet file of answers: {error}") from None
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise InputError.single("answers_columns", f"{path} lacks the columns {', '.join(missing)}.")
    try:
        return table.select(schema.names).cast(schema)
    except pa.ArrowException as error:
        raise InputError.single("answers_columns", f"{path} has a column of another type: {error}") from None


def row_ids(table: pa.Table) -> pa.Array:
    """One string per row that names it: dataset, image_id, question and variant ("" = null) joined by NUL."""
    variant = pc.fill_null(table["variant"].cast(pa.string()), "")
    return pa.chunked_array(
        [*pc.binary_join_element_wise(table["dataset"], table["image_id"], table["question"], variant, "\0").chunks],
        pa.string(),
    ).combine_chunks()


def align(answers: pa.Table, questions: pa.Table) -> pa.Table:
    """One row of ANSWERS per row of `questions`, in its order; rows that were not asked are null beyond the row id.

    A null `chosen` means not asked, −1 asked and abstained (or tied). Raises InputError for answers to unknown
    questions and for answers given twice.
    """
    given = row_ids(answers)
    places = pc.index_in(given, value_set=row_ids(questions))
    known = places.drop_null().to_numpy()
    times = np.bincount(known, minlength=questions.num_rows)
    problems = [
        *_row_problem(
            "unknown_answers", "answer questions that this split does not have", given.filter(places.is_null())
        ),
        *_row_problem("duplicate_answers", "are given more than once", row_ids(questions.filter(pa.array(times > 1)))),
    ]
    if problems:
        raise InputError(problems)
    source = np.full(questions.num_rows, -1)
    source[known] = np.arange(answers.num_rows)
    taken = answers.take(pa.array(source, mask=source < 0))
    for name in ROW_ID:
        taken = taken.set_column(taken.column_names.index(name), ANSWERS.field(name), questions.column(name))
    return taken


def _row_problem(code: str, what: str, rows: pa.Array) -> list[Problem]:
    if not len(rows):
        return []
    example = " / ".join(part for part in rows[0].as_py().split("\0") if part)
    return [Problem(code=code, message=f"{len(rows)} answers {what}, for example {example}.")]
