"""`make bench`: every benchmark in a process of its own, one after the other, then one table of all their figures.

`python -m tests.bench texts choices` runs only those. Exit 1 when a goal is missed or a benchmark fails.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.table import MARK, ROWS_WANTED, Row, table_of

# Two threads, which sleep rather than spin where they wait: spinning ones would measure each other.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
LIMIT_S = 600


def main(names: list[str]) -> int:
    known = {path.stem.removeprefix("bench_"): path.stem for path in sorted(Path(__file__).parent.glob("bench_*.py"))}
    if unknown := [name for name in names if name not in known]:
        print(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    rows: list[Row] = []
    failed: list[str] = []
    for name in names or known:
        started = time.monotonic()
        print(f"\n{name}", flush=True)
        found, ended_well = run(known[name])
        rows += found
        print(f"  {time.monotonic() - started:.0f} s", flush=True)
        if not ended_well:
            failed.append(name)
    print(f"\n{table_of(rows)}\n")
    missed = [f"{row.id} {row.workload}" for row in rows if not row.met]
    print("every goal met" if not missed and not failed else "missed: " + ", ".join([*missed, *failed]))
    return bool(missed or failed)


def run(module: str) -> tuple[list[Row], bool]:
    """The rows one benchmark reports, and whether it ended well; what else it says is passed on."""
    process = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}"], stdout=subprocess.PIPE, text=True, timeout=LIMIT_S,
        env=os.environ | THREADS | {"OMP_WAIT_POLICY": "PASSIVE", ROWS_WANTED: "1"},
    )  # fmt: skip
    lines = process.stdout.splitlines()
    rows = [Row(**json.loads(line.removeprefix(MARK))) for line in lines if line.startswith(MARK)]
    said = [line for line in lines if not line.startswith(MARK)]
    if said:
        print("\n".join(said), flush=True)
    return rows, process.returncode == 0 and "MISSED" not in "".join(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
