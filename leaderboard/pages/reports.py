"""A report as a table. In: a report's document; out: its aggregates and tasks, headline wording first."""

from typing import Any

from evaluator.release.info import info_from_json
from evaluator.release.tasks import task_title
from evaluator.scoring.boards import AGGREGATE_BOARDS
from evaluator.scoring.index import Group
from leaderboard.boards.entries import CAPTION, headline_variant
from leaderboard.boards.names import AGGREGATE_TITLES, OVERALL
from leaderboard.boards.render import draw
from leaderboard.detail import EvaluationDetail
from leaderboard.models import Release
from leaderboard.pages import runs
from leaderboard.runs import read_run

OTHER_CAPTION = 0
VARIANT_WORDS = {None: "question form", CAPTION: "caption wording 1", OTHER_CAPTION: "caption wording 0"}


def shown(found: EvaluationDetail, release: Release) -> dict[str, Any]:
    """What the submission page shows of one split."""
    assert found.report is not None, "only scored evaluations are shown"
    document = found.report.document
    headline = headline_variant(document["protocol"], _answered(document))
    datasets = info_from_json(release.info).datasets
    reworded = [task for task in document["tasks"] if task["variant"] == OTHER_CAPTION]
    run, rule = read_run(found.evaluation.run), document.get("paper_rule")
    by_rule = {task["task"]: task["accuracy"] for task in rule["tasks"]} if rule else {}
    other = {task["task"]: task["accuracy"]["estimate"] for task in reworded}
    ranked = [
        task for task in document["tasks"]
        if task["variant"] == headline or (not Group(task["group"]).is_core and task["n_questions"])
    ]  # fmt: skip
    tasks = [
        {
            "slug": task["task"], "title": task_title(task["task"], datasets), "group": task["group"],
            "n_questions": task["n_questions"], "n_sources": task["n_sources"], "too_few": task["too_few"],
            "drawn": draw(**_interval(task["accuracy"])), **_interval(task["accuracy"]),
            "other": other.get(task["task"]), "by_rule": by_rule.get(task["task"]),
        }
        for task in ranked
    ]  # fmt: skip
    return {
        "evaluation": found.evaluation, "report": found.report, "entry": found.entry, "split": found.evaluation.split,
        "aggregates": _aggregates(document, headline), "tasks": tasks, "wording": VARIANT_WORDS[headline],
        "has_other": headline == CAPTION and bool(other),
        "paper_rule": rule, "unparsed": document["counts"].get("null", {}).get("unparsed"),
        "run": runs.course(run), "reduced": run.precision if run and not run.official_precision else "",
    }  # fmt: skip


def _answered(document: dict[str, Any]) -> set[str]:
    """The names of the variants in which core tasks were answered."""
    return {str(task["variant"]) for task in document["tasks"] if Group(task["group"]).is_core and task["n_questions"]}


def _aggregates(document: dict[str, Any], headline: int | None) -> list[dict[str, Any]]:
    by_rule = document.get("paper_rule", {}).get("aggregates", {})
    key = "null" if headline is None else str(headline)
    rows = []
    for board, title in AGGREGATE_TITLES.items():
        aggregate = AGGREGATE_BOARDS[board]
        cell = document["aggregates"][aggregate].get(key)
        if cell is not None and cell["estimate"] is not None:
            name = title if board != OVERALL else "Overall (macro)"
            rows.append({"name": name, "board": board, **_interval(cell), "drawn": draw(**_interval(cell)),
                         "n_tasks": cell["n_tasks"], "n_questions": cell["n_questions"],
                         "by_rule": by_rule.get(aggregate)})  # fmt: skip
    return rows


def _interval(cell: dict[str, Any]) -> dict[str, float | None]:
    return {"score": cell["estimate"], "low": cell["low"], "high": cell["high"]}
