"""The errors that leave the evaluator, sorted by who must act. Anything else is a bug and rises."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing the submitter must fix: a stable `code`, a plain sentence that says what to do, and where it stands."""

    code: str
    message: str
    field: str | None = None
    row: int | None = None  # 1-based data row of a prediction file

    def as_dict(self) -> dict[str, str | int]:
        """The JSON shape used by the API, the error download and the command line; absent places are left out."""
        found: dict[str, str | int] = {"code": self.code, "message": self.message}
        if self.field is not None:
            found["field"] = self.field
        if self.row is not None:
            found["row"] = self.row
        return found


class InputError(Exception):
    """The submitter's to fix. Carries every problem found, not only the first; `counts` is exact per code."""

    def __init__(self, problems: Iterable[Problem], counts: dict[str, int] | None = None) -> None:
        self.problems = tuple(problems)
        if not self.problems:
            raise ValueError("an InputError names at least one problem")
        if counts is None:
            counts = {}
            for problem in self.problems:
                counts[problem.code] = counts.get(problem.code, 0) + 1
        self.counts = counts
        super().__init__("; ".join(f"{p.code}: {p.message}" for p in self.problems[:3]))

    @classmethod
    def single(cls, code: str, message: str, *, field: str | None = None, row: int | None = None) -> "InputError":
        """The common case of exactly one problem."""
        return cls([Problem(code=code, message=message, field=field, row=row)])


class EvaluationFailed(Exception):
    """An evaluation ended without answers. `retry` tells infrastructure causes (True) from the submitter's (False)."""

    def __init__(self, code: str, message: str, *, retry: bool) -> None:
        self.code = code
        self.message = message
        self.retry = retry
        super().__init__(f"{code}: {message}")


class ProblemLog:
    """Collects problems while a file is read: exact counts per code, the first `kept` in full."""

    def __init__(self, kept: int = 1_000) -> None:
        self.kept = kept
        self.problems: list[Problem] = []
        self.counts: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, code: str, message: str, *, field: str | None = None, row: int | None = None) -> None:
        """Note one problem."""
        if len(self.problems) < self.kept:
            self.problems.append(Problem(code=code, message=message, field=field, row=row))
        self.count(code)

    def count(self, code: str, times: int = 1) -> None:
        """Count problems that are not worth a sentence of their own (past the first `kept`)."""
        self.counts[code] = self.counts.get(code, 0) + times

    def raise_if_any(self) -> None:
        """Raise everything collected as one InputError, in row order."""
        if self.counts:
            raise InputError(sorted(self.problems, key=_place), self.counts)


def _place(problem: Problem) -> tuple[bool, int]:
    return problem.row is None, problem.row or 0
