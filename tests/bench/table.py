"""Lines of the table that `make bench` prints. In: what one benchmark measured; out: a line of text, or of JSON.

Every benchmark reports here, so that one run of all of them ends in one table.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

ROWS_WANTED = "BENCH_ROWS"  # set by tests.bench: rows go to it as JSON
MARK = "ROW "
HEADINGS = ("id", "workload", "ours", "loop", "ratio", "goal", "met")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure beside its goal. `loop`: what it is compared with, where there is something; `ratio`: loop / ours."""

    id: str
    workload: str
    ours: str
    goal: str
    met: bool
    loop: str = ""
    ratio: str = ""

    def cells(self) -> tuple[str, ...]:
        return self.id, self.workload, self.ours, self.loop, self.ratio, self.goal, "met" if self.met else "MISSED"


def report(row: Row) -> None:
    """Print a row: as JSON for the table, as a line for a person."""
    if os.environ.get(ROWS_WANTED):
        print(MARK + json.dumps(asdict(row)), flush=True)
    else:
        print("  " + "   ".join(cell for cell in row.cells() if cell), flush=True)


def report_limit(id: str, workload: str, value: float, limit: float, unit: str, loop: str = "") -> None:
    """Report a figure that must not exceed `limit`."""
    report(Row(id=id, workload=workload, ours=f"{value:.3g} {unit}", loop=loop, goal=f"≤ {limit:g} {unit}",
               met=value <= limit))  # fmt: skip


def table_of(rows: Sequence[Row]) -> str:
    """The rows under their headings, in columns."""
    cells = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Seconds of both sides, one entry per round; wall and processor."""

    ours: list[float]
    loop: list[float]
    ours_cpu: list[float]
    loop_cpu: list[float]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(self._ratios())

    @property
    def cpu_ratio(self) -> float:
        """The same of processor seconds, which other work on the machine hardly changes."""
        return median(loop / ours for ours, loop in zip(self.ours_cpu, self.loop_cpu, strict=True))

    def _ratios(self) -> list[float]:
        return [loop / ours for ours, loop in zip(self.ours, self.loop, strict=True)]

    def report(self, id: str, workload: str, goal: float, goal_text: str = "") -> None:
        """Report a row whose goal is a ratio of wall seconds; CPU seconds stand beside them."""
        ratios = self._ratios()
        report(Row(
            id=id, workload=workload, ours=f"{median(self.ours):.3g} s (cpu {median(self.ours_cpu):.3g})",
            loop=f"{median(self.loop):.3g} s (cpu {median(self.loop_cpu):.3g})",
            ratio=f"{self.ratio:.1f} x ({min(ratios):.1f}-{max(ratios):.1f}; cpu {self.cpu_ratio:.1f})",
            goal=goal_text or f"≥ {goal:g} x", met=self.ratio >= goal,
        ))  # fmt: skip


def compare(ours: Callable[[], object], loop: Callable[[], object], rounds: int, scale: float = 1.0) -> Compared:
    """Time both in turn. `scale`: how much of the work the loop was given a share of."""
    times: list[list[tuple[float, float]]] = [[], []]
    for _ in range(rounds):
        for side, work in zip(times, (ours, loop), strict=True):
            side.append(seconds(work))
    return Compared(
        ours=[wall for wall, _ in times[0]], ours_cpu=[cpu for _, cpu in times[0]],
        loop=[wall * scale for wall, _ in times[1]], loop_cpu=[cpu * scale for _, cpu in times[1]],
    )  # fmt: skip


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of this process, its threads included."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu
