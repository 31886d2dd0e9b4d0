"""The report of one evaluation: a pure function of questions, key and answers.

In: release info, questions, key, answers. Out: report.json as a document, the correctness of every row, replicates.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.answers import ABSTAINED, align
from evaluator.errors import ProblemLog
from evaluator.release.schema import ReleaseInfo, Split
from evaluator.scoring.aggregates import Aggregate, aggregate_means, covered, votes
from evaluator.scoring.index import Group, KeyIndex, build_index
from evaluator.scoring.localisation import localisation_marks
from evaluator.scoring.paper_rule import score_by_paper_rule
from evaluator.scoring.sums import SourceSums, mark, replicates, source_sums
from evaluator.statistics.bootstrap import percentile_interval
from evaluator.statistics.wilson import Estimate, clustered_wilson

SCHEMA = 1
SCORER_VERSION = "3"
DECIMALS = 6
VARIANTS: tuple[int | None, ...] = (None, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """`correct` (n,) per question row (NaN = not asked) and `replicates` (B, 6 + T) per variant are key material.

    Each variant's replicates are those of an entry whose core tasks it ranks: the tasks that are asked in question
    form alone stand in all of them.
    """

    report: dict[str, Any]
    correct: NDArray[np.float32]
    replicates: dict[int | None, NDArray[np.float32]]


def score(
    info: ReleaseInfo, split: Split, questions: pa.Table, key: pa.Table, answers: pa.Table, *,
    protocol: str, key_revision: int,
) -> Scored:  # fmt: skip
    """Score `answers` to `questions` by `key`. Byte-identical on every run with the same input.

    A task is answered whole in a variant, or not at all and then not reported there. Raises InputError for tasks
    answered in part, for answers to unknown questions or given twice and for boxes that are none, ValueError when the
    key does not fit the questions.
    """
    index = build_index(info, split, questions, key)
    aligned = align(answers, questions)
    correct = mark_answers(index, aligned, questions, key)
    head = report_head(info, split, protocol=protocol, key_revision=key_revision)
    if by_paper_rule := score_by_paper_rule(index, aligned, questions):
        head["paper_rule"] = by_paper_rule
    return score_marked(index, correct, head=head, counts=_counts(aligned, questions))


def mark_answers(index: KeyIndex, aligned: pa.Table, questions: pa.Table, key: pa.Table) -> NDArray[np.float32]:
    """(n,) the correctness of every question row, as in `Scored`. aligned: ANSWERS in the order of `questions`.

    Raises InputError for tasks answered in part and for boxes that are none.
    """
    chosen = aligned["chosen"].cast(pa.float64()).to_numpy()
    _require_whole_tasks(index, ~np.isnan(chosen))
    correct = mark(index, chosen)
    if (located := index.localisation_rows()).any():
        correct[located] = localisation_marks(aligned, questions, key, located)
    return correct


def report_head(info: ReleaseInfo, split: Split, *, protocol: str, key_revision: int) -> dict[str, Any]:
    """What a report says of how it came about."""
    return {
        "schema": SCHEMA,
        "release": {"name": info.name, "version": info.version, "hash": info.hash},
        "split": str(split),
        "key_revision": key_revision,
        "scorer": SCORER_VERSION,
        "protocol": str(protocol),
    }


def score_marked(
    index: KeyIndex, correct: NDArray[np.float32], *, head: dict[str, Any], counts: dict[str, Any]
) -> Scored:
    """The report of rows that are already marked right (1), wrong (0), in part (chance, boxes) or not asked (NaN)."""
    tasks: list[dict[str, Any]] = []
    facets: list[dict[str, Any]] = []
    aggregates: dict[str, dict[str, Any]] = {str(aggregate): {} for aggregate in Aggregate}
    drawn: dict[int | None, NDArray[np.float32]] = {}
    answered = ~np.isnan(correct)
    for variant in _variants(index, answered):
        rows = index.headline_rows(variant) & answered
        sums = source_sums(index, correct, rows)
        boot = replicates(index, sums)
        drawn[variant] = boot.astype(np.float32)
        tasks += _task_rows(index, sums, rows, variant, core=True)
        facets += _facet_rows(index, correct, rows, variant)
        for name, found in _aggregate_cells(index, sums, boot).items():
            aggregates[name][variant_name(variant)] = found
    if answered.any():
        rows = index.rows_of(None) & answered
        tasks += _task_rows(index, source_sums(index, correct, rows), rows, None, core=False)
    report = rounded({**head, "counts": counts, "tasks": tasks, "facets": facets, "aggregates": aggregates})
    return Scored(report=report, correct=correct, replicates=drawn)


def _variants(index: KeyIndex, answered: NDArray[np.bool_]) -> list[int | None]:
    """The variants in which core tasks were answered; the question form where nothing but the other tasks was."""
    core = index.core_rows() & answered
    found = [variant for variant in VARIANTS if (index.rows_of(variant) & core).any()]
    return found or ([None] if answered.any() else [])


def variant_name(variant: int | None) -> str:
    """The name of a variant as a JSON key: "0", "1", or "null" for the question form."""
    return "null" if variant is None else str(variant)


def canonical_json(report: dict[str, Any]) -> bytes:
    """The one byte form of a report: sorted keys, no spaces, numbers as rounded by `score`."""
    return json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def rounded(value: Any) -> Any:
    """`value` with every float rounded, −0.0 as 0.0."""
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return value


def report_digest(report: dict[str, Any]) -> str:
    """SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical_json(report)).hexdigest()


def interval(estimate: Estimate) -> dict[str, float | None]:
    """The JSON shape of an estimate with its interval."""
    return {"estimate": estimate.estimate, "low": estimate.low, "high": estimate.high}


def _require_whole_tasks(index: KeyIndex, answered: NDArray[np.bool_]) -> None:
    """Raise InputError when some but not all questions of a task are answered: leaving out hard ones must not pay."""
    problems = ProblemLog()
    for variant in VARIANTS:
        rows = index.rows_of(variant)
        asked = np.bincount(index.task[rows], minlength=len(index.tasks))
        given = np.bincount(index.task[rows & answered], minlength=len(index.tasks))
        for code in np.flatnonzero((given > 0) & (given < asked)):
            problems.add(
                "incomplete_answers",
                f"{asked[code] - given[code]} of the {asked[code]} questions of {index.tasks[code].slug} (variant "
                f"{variant_name(variant)}) have no answer. Answer every question of a task, or none.",
            )
    problems.raise_if_any()


def _task_rows(
    index: KeyIndex, sums: SourceSums, rows: NDArray[np.bool_], variant: int | None, *, core: bool
) -> list[dict[str, Any]]:
    found = []
    for code, task in enumerate(index.tasks):
        if task.group.is_core is not core:
            continue
        estimate = clustered_wilson(sums.correct[:, [code]], sums.count[:, [code]])
        found.append({
            "task": task.slug, "group": str(task.group), "question": task.question, "dataset": task.dataset,
            "variant": variant, "n_questions": estimate.n_questions,
            "n_items": len(np.unique(index.item[rows & (index.task == code)])),
            "n_sources": estimate.n_sources, "too_few": estimate.too_few, "accuracy": interval(estimate),
        })  # fmt: skip
    return found


def _facet_rows(
    index: KeyIndex, correct: NDArray[np.float32], rows: NDArray[np.bool_], variant: int | None
) -> list[dict[str, Any]]:
    """One row per facet value: fine macro within it, coarse beside it, by the Wilson interval of a mean of tasks."""
    found = []
    for name, facet in index.facets.items():
        for code, value in enumerate(facet.values):
            sums = source_sums(index, correct, rows & (facet.code == code)[index.item])
            share = votes(index, sums.count.sum(axis=0) > 0)
            groups = {
                str(group): _within(sums, np.array([task.group is group for task in index.tasks]), share)
                for group in (Group.FINE, Group.COARSE)
            }
            n_questions = sum(cell["n_questions"] for cell in groups.values())
            found.append({"facet": name, "value": value, "variant": variant, "n_questions": n_questions, **groups})
    return found


def _within(sums: SourceSums, inside: NDArray[np.bool_], share: NDArray[np.float64]) -> dict[str, Any]:
    estimate = clustered_wilson(sums.correct[:, inside], sums.count[:, inside], share[inside])
    return {
        **interval(estimate), "n_questions": estimate.n_questions, "n_sources": estimate.n_sources,
        "too_few": estimate.too_few,
    }  # fmt: skip


def _aggregate_cells(index: KeyIndex, sums: SourceSums, boot: NDArray[np.float64]) -> dict[str, dict[str, Any]]:
    correct, count = sums.correct.sum(axis=0), sums.count.sum(axis=0)
    means = aggregate_means(index, correct, count, count > 0)
    cells = {}
    for column, aggregate in enumerate(Aggregate):
        inside = covered(index, aggregate)
        measured = not np.isnan(means[column])
        low, high = percentile_interval(boot[:, column]) if measured else (None, None)
        cells[str(aggregate)] = {
            "estimate": float(means[column]) if measured else None, "low": low, "high": high,
            "n_tasks": int((count[inside] > 0).sum()), "n_questions": int(count[inside].sum()),
        }  # fmt: skip
    return cells


def _counts(aligned: pa.Table, questions: pa.Table) -> dict[str, Any]:
    """Per variant: rows answered, abstained (nothing offered), tied (scores whose best two are equal), truncated.

    unparsed: replies that no option could be read from; a part of abstained.
    """
    variant = questions["variant"].fill_null(-1).to_numpy()
    chosen = aligned["chosen"].cast(pa.float64()).to_numpy()
    scored = aligned["scores"].is_valid().to_numpy()
    truncated = aligned["truncated"].fill_null(False).to_numpy()
    replied = aligned["text"].is_valid().to_numpy()
    found = {}
    for name in VARIANTS:
        rows = (variant == (-1 if name is None else name)) & ~np.isnan(chosen)
        if rows.any():
            none = rows & (chosen == ABSTAINED)
            found[variant_name(name)] = {
                "answered": int(rows.sum()), "abstained": int((none & ~scored).sum()),
                "tied": int((none & scored).sum()), "truncated": int((rows & truncated).sum()),
                "unparsed": int((none & replied).sum()),
            }  # fmt: skip
    return found
