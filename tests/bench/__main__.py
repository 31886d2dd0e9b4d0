"""`make bench`: every benchmark in a process of its own, one after the other. Exit 1 when a goal is missed."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    missed = []
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n{path.stem.removeprefix('bench_')}", flush=True)
        run = subprocess.run([sys.executable, "-m", f"tests.bench.{path.stem}"], stdout=subprocess.PIPE, text=True)
        print(run.stdout, end="", flush=True)
        if run.returncode or "MISSED" in run.stdout:
            missed.append(path.stem)
    print(f"\n{'every goal met' if not missed else 'missed: ' + ', '.join(missed)}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
