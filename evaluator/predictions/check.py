"""Check a prediction file completely and turn it into answers. In: a file, a release, a split; out: an ANSWERS table.

Every error is found in one go: exact counts, the first thousand by row. Never opens a key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from evaluator.errors import InputError, ProblemLog
from evaluator.predictions import careful, fast
from evaluator.predictions.formats import Format, PlainFile, open_plain
from evaluator.predictions.index import QuestionIndex
from evaluator.predictions.judge import Judge
from evaluator.predictions.limits import Limits, too_many_rows
from evaluator.predictions.parquet import read_parquet
from evaluator.release.read import item_ids, read_info, read_items, read_questions, require_split
from evaluator.release.schema import Split


@dataclass(frozen=True, kw_only=True)
class PredictionFacts:
    """What is worth saying of a valid prediction file."""

    format: Format
    rows: int
    variants: tuple[int | None, ...]  # null = the question form; each is complete in its coarse and fine tasks
    tasks_beside: tuple[str, ...]  # cognition and localisation tasks that are answered, each complete
    abstained: int  # rows without an option or boxes; wrong, and counted
    unparsed: int  # of these, rows whose reply could not be read


@dataclass(frozen=True, kw_only=True)
class CheckedPredictions:
    """`answers`: ANSWERS rows of every variant in the file, in canonical order."""

    answers: pa.Table
    facts: PredictionFacts


def check_file(path: Path, release_dir: Path, split: Split, limits: Limits | None = None) -> CheckedPredictions:
    """Read and check the prediction file at `path` against the questions of `split`.

    Raises InputError with every problem: exact counts per code, the first 1,000 with row numbers.
    """
    limits = limits or Limits()
    if split is Split.SEALED:
        raise InputError.single(
            "sealed_split", "Prediction files are scored on dev and test; submit a checkpoint for the sealed split."
        )
    require_split(read_info(release_dir), split)
    with open_plain(path, limits) as file:
        index = QuestionIndex(read_questions(release_dir, split), read_items(release_dir, split))
        judge = _judge_file(file, index, _other_items(release_dir, split), limits)
    answers = judge.finish()
    facts = PredictionFacts(
        format=file.format, rows=judge.n_rows, variants=judge.variants(), tasks_beside=judge.tasks_beside(),
        abstained=judge.n_abstained, unparsed=judge.n_unparsed,
    )  # fmt: skip
    return CheckedPredictions(answers=answers, facts=facts)


def _judge_file(file: PlainFile, index: QuestionIndex, others: dict[Split, pa.Array], limits: Limits) -> Judge:
    """Read in blocks; where that fails, start over line by line to name what is wrong."""
    max_rows = limits.max_rows(index.n_questions)
    try:
        return _judge_rows(_fast_batches(file, limits, max_rows), file, index, others, ProblemLog(), max_rows)
    except fast.NeedsCareful:
        problems = ProblemLog()
        read = careful.read_jsonl if file.format is Format.JSONL else careful.read_csv
        return _judge_rows(read(file, limits, max_rows, problems), file, index, others, problems, max_rows)


def _judge_rows(
    batches: Iterator[pa.RecordBatch], file: PlainFile, index: QuestionIndex, others: dict[Split, pa.Array],
    problems: ProblemLog, max_rows: int,
) -> Judge:  # fmt: skip
    judge = Judge(index, others, problems, text_may_be_index=file.format is Format.CSV)
    for batch in batches:
        judge.add(batch)
        if judge.n_rows > max_rows:
            raise too_many_rows(max_rows)
    return judge


def _fast_batches(file: PlainFile, limits: Limits, max_rows: int) -> Iterator[pa.RecordBatch]:
    if file.format is Format.PARQUET:
        return read_parquet(file, limits, max_rows)
    return fast.read_jsonl(file, limits) if file.format is Format.JSONL else fast.read_csv(file, limits)


def _other_items(release_dir: Path, split: Split) -> dict[Split, pa.Array]:
    """Item ids of the release's other public splits, to tell a file for the wrong split from one of nonsense."""
    others = (other for other in read_info(release_dir).splits if other not in (split, Split.SEALED))
    return {other: item_ids(read_items(release_dir, other)) for other in others}
