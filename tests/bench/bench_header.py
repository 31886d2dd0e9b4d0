"""The header validator on the worst files we know. `python -m tests.bench.bench_header` prints time and memory.

Each file is read in a process of its own: the time is the processor's (other work on the machine does not show), best
of five readings; the memory is the peak of the process less what it had before. Beside it, the safetensors library.
"""

import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluator.errors import InputError
from evaluator.weights.header import MAX_TENSORS, read_header
from evaluator.weights.sniff import MAX_HEADER_BYTES
from tests.bench.table import Row, report

TIME_GOAL_MS, MEMORY_GOAL_MB = 50.0, 64.0
READINGS = 5
ROOM = MAX_HEADER_BYTES - 64


def main() -> None:
    """Print every file's figures, or, called with a reader and a path, measure that one."""
    if len(sys.argv) == 3:
        print(json.dumps(measure(READERS[sys.argv[1]], Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WORST.items():
            path = Path(folder, "file.safetensors")
            write(path)
            ours, library = (measure_apart(reader, path) for reader in READERS)
            report(Row(
                id="header", workload=name, ours=f"{ours['ms']:.1f} ms, {ours['mb']:.1f} MB",
                loop=f"safetensors: {library['ms']:.1f} ms, {library['mb']:.1f} MB",
                goal=f"≤ {TIME_GOAL_MS:.0f} ms, ≤ {MEMORY_GOAL_MB:.0f} MB",
                met=ours["ms"] <= TIME_GOAL_MS and ours["mb"] <= MEMORY_GOAL_MB,
            ))  # fmt: skip


def measure_apart(reader: str, path: Path) -> dict[str, float]:
    """Measure in a fresh process, whose peak memory is its own."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_header", reader, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def measure(read: Callable[[Path], object], path: Path) -> dict[str, float]:
    """Best processor milliseconds of READINGS readings and the megabytes they added to the process's peak."""
    before = peak_kb()
    best = float("inf")
    for _ in range(READINGS):
        started = time.process_time()
        read(path)
        best = min(best, time.process_time() - started)
    return {"ms": best * 1000, "mb": (peak_kb() - before) / 1024}


def peak_kb() -> int:
    """The most memory this process ever held. Not getrusage: that begins with what the parent held."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def _read_ours(path: Path) -> None:
    try:
        read_header(path)
    except InputError:
        pass


def _read_with_library(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            list(file.keys())
    except SafetensorError:
        pass


READERS = {"ours": _read_ours, "library": _read_with_library}


def _file(path: Path, header: str, data_bytes: int = 0) -> None:
    raw = header.encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        file.truncate(8 + len(raw) + data_bytes)


def _largest_allowed(path: Path) -> None:
    """As many tensors of as high a rank as the limits allow: accepted, so every check runs."""
    entries: dict[str, Any] = {
        f"layer.{i:05d}.w": {"dtype": "F32", "shape": [1, 2, 3, 1, 1, 1], "data_offsets": [24 * i, 24 * i + 24]}
        for i in range(MAX_TENSORS)
    }
    _file(path, json.dumps(entries, separators=(",", ":")), 24 * MAX_TENSORS)


def _all_names_bad(path: Path) -> None:
    entries = {
        f"bad {i}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]} for i in range(MAX_TENSORS)
    }
    _file(path, json.dumps(entries, separators=(",", ":")), 4 * MAX_TENSORS)


WORST: dict[str, Callable[[Path], None]] = {
    "20,000 tensors of rank 6 (valid)": _largest_allowed,
    "20,000 bad names": _all_names_bad,
    "a million empty tensors (57 MB)": lambda path: _file(
        path, "{" + ",".join(f'"{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(10**6)) + "}"),
    "35,000 objects": lambda path: _file(path, "{" + ",".join(f'"{i:x}":{{}}' for i in range(35_000)) + "}"),
    "200,000 arrays deep": lambda path: _file(path, '{"a":' + "[" * 200_000),
    "a duplicate among 15,000 names": lambda path: _file(
        path, "{" + ",".join(f'"{i % 14_999:x}":1' for i in range(15_000)) + "}"),
    "numbers of 4,290 digits": lambda path: _file(path, '{"a":[' + ",".join(["1" * 4290] * (ROOM // 4291)) + "]}"),
    "one long string of escapes": lambda path: _file(path, '{"a":"' + "\\u00e9" * (ROOM // 6) + '"}'),
    "a million numbers": lambda path: _file(path, '{"a":[' + ",".join(["1"] * 1_000_000) + "]}"),
    "only blanks": lambda path: _file(path, "{" + " " * ROOM + "}"),
    "sparse file of 8 GiB": lambda path: _file(path, "{}", 8 * 1024**3),
}  # fmt: skip

if __name__ == "__main__":
    main()
