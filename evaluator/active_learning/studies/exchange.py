"""Tasks and results as folders. In/out: dataclasses of arrays and plain values. Torch-free.

FOLDER/work.json                 {"nice": …, "tasks": [kind, …]}
FOLDER/<task>/task/*.npy         the arrays of a task, by field; values.json its other fields
FOLDER/<task>/result/*.npy       the same of its result; seen complete or not at all (the folder is renamed into place)
FOLDER/<task>/problems.json      in place of a result, where the task's input is wrong
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.active_learning.names import HeadKind, Start, Strategy
from evaluator.active_learning.tasks import CurveResult, CurveTask, Data, Result, StrategyResult, StrategyTask, Task
from evaluator.errors import InputError, Problem

TASKS: dict[str, type[CurveTask] | type[StrategyTask]] = {"curve": CurveTask, "strategy": StrategyTask}
RESULTS: dict[str, type[CurveResult] | type[StrategyResult]] = {"curve": CurveResult, "strategy": StrategyResult}
VALUES = "values.json"
WORK = "work.json"
PROBLEMS = "problems.json"


def write_work(folder: Path, tasks: list[Task], *, nice: int) -> None:
    """Write all tasks into an existing folder, which no one else should be able to read."""
    kinds = [next(kind for kind, made in TASKS.items() if isinstance(task, made)) for task in tasks]
    for place, task in enumerate(tasks):
        own = _place(folder, place) / "task"
        own.mkdir(parents=True)
        values = {field.name: getattr(task, field.name) for field in fields(task)}
        data: Data = values.pop("data")
        _write(own, values | {field.name: getattr(data, field.name) for field in fields(data)})
    (folder / WORK).write_text(json.dumps({"nice": nice, "tasks": kinds}), "utf-8")


def read_work(folder: Path) -> tuple[list[str], int]:
    """The kind of each task, and how far this process should step back for others."""
    found = json.loads((folder / WORK).read_text("utf-8"))
    return list(found["tasks"]), int(found["nice"])


def read_task(folder: Path, place: int, kind: str) -> Task:
    """One task; its arrays are mapped, not read."""
    found = _read(_place(folder, place) / "task")
    data = Data(**{field.name: found.pop(field.name) for field in fields(Data)})
    for name, made in (("strategy", Strategy), ("start", Start), ("head", HeadKind)):
        if name in found:
            found[name] = made(found[name])
    return TASKS[kind](data=data, **found)


def write_result(folder: Path, place: int, result: Result) -> None:
    """Write the result of one task beside it."""
    partial = _place(folder, place) / "partial"
    partial.mkdir()
    _write(partial, {field.name: getattr(result, field.name) for field in fields(result)})
    partial.rename(_place(folder, place) / "result")


def write_problems(folder: Path, place: int, error: InputError) -> None:
    """Write why a task has no result."""
    problems = [problem.as_dict() for problem in error.problems]
    (_place(folder, place) / PROBLEMS).write_text(json.dumps(problems), "utf-8")


def read_result(folder: Path, place: int, kind: str) -> Result:
    """The result of one task, its arrays mapped: they outlive the removal of the folder, and cost no memory until they
    are looked at. Raises InputError as the task did, OSError where there is none."""
    own = _place(folder, place)
    if (own / PROBLEMS).exists():
        raise InputError(Problem(**found) for found in json.loads((own / PROBLEMS).read_text("utf-8")))
    return RESULTS[kind](**_read(own / "result"))


def _place(folder: Path, place: int) -> Path:
    return folder / f"{place:05d}"


def _write(folder: Path, values: dict[str, Any]) -> None:
    plain = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            np.save(folder / f"{name}.npy", value, allow_pickle=False)
        else:
            plain[name] = value
    (folder / VALUES).write_text(json.dumps(plain), "utf-8")


def _read(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / VALUES).read_text("utf-8"))
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return values | {path.stem: _mapped(path) for path in folder.glob("*.npy")}


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an empty array cannot be mapped
        return np.load(path, allow_pickle=False)
