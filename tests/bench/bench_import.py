"""Memory of importing: a source four times as large may raise peak memory by at most a tenth.

`python -m tests.bench.bench_import` prints the figure with its goal. Each import runs in a process of its own, so that
its peak is its own.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.bench.table import Row, report
from tests.builders.hub import HUB_ROW, hub_row, png_bytes

GOAL = 1.10
IMAGE_PX = 200  # a random PNG of this size takes 120 kB
DIFFERENT_IMAGES = 16
IMPORT = """
import re, sys
from pathlib import Path
from evaluator.release.importer import import_hub
from evaluator.release.schema import Split
splits = {Split.DEV: 0.3, Split.TEST: 0.4, Split.SEALED: 0.3}
import_hub(Path(sys.argv[1]), Path(sys.argv[2]), splits=splits, name="Bench", version="1")
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])  # ru_maxrss would count the parent's
"""


def write_source(folder: Path, n_items: int) -> Path:
    """A Hub folder of one shard that is one record batch, the hardest case: it can only be read a slice at a time."""
    folder.mkdir()
    images = [png_bytes(np.random.default_rng(seed), size=IMAGE_PX) for seed in range(DIFFERENT_IMAGES)]
    rows = [
        hub_row(f"i{n}", f"set_{n % 4}", n % 3, image={"bytes": images[n % DIFFERENT_IMAGES], "path": None})
        for n in range(n_items)
    ]
    with pa.ipc.new_stream(folder / "ubench-test-00000-of-00001.arrow", HUB_ROW) as writer:
        writer.write_table(pa.Table.from_pylist(rows, HUB_ROW))
    return folder


def peak_bytes(hub_dir: Path, out: Path) -> int:
    """Peak resident memory of a process that imports `hub_dir`."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(hub_dir), str(out)], capture_output=True, text=True, check=True, timeout=600,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    return int(done.stdout) * 1024


def measure(folder: Path, n_items: int) -> tuple[int, int]:
    """Peak bytes for a source of `n_items` images and for one four times as large."""
    return tuple(
        peak_bytes(write_source(folder / f"hub{times}", n_items * times), folder / f"release{times}")
        for times in (1, 4)
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, large = measure(Path(folder), 500)
    report(Row(
        id="import", workload="peak memory for 60 and for 240 MB of images", goal=f"≤ {GOAL} x",
        ours=f"{small / 2**20:.0f} MiB, {large / 2**20:.0f} MiB", ratio=f"{large / small:.2f} x",
        met=large <= GOAL * small,
    ))  # fmt: skip


if __name__ == "__main__":
    main()
