"""How well this host can isolate a child. In: the host; out: a SandboxLevel. Decides nothing about its use."""

import shutil
import subprocess
import sys
from enum import StrEnum
from functools import cache

from evaluator.sandbox.command import Exposure, sandboxed
from evaluator.sandbox.limits import Limits

PROBE_S = 20.0


class SandboxLevel(StrEnum):
    """BUBBLEWRAP: no network, own namespaces, one job's files. WEAK: a plain process with resource limits."""

    BUBBLEWRAP = "bubblewrap"
    WEAK = "weak"


@cache
def sandbox_level() -> SandboxLevel:
    """What works here, found by running this Python in a sandbox once per process (about 0.1 s)."""
    if shutil.which("bwrap") is None:
        return SandboxLevel.WEAK
    argv = sandboxed([sys.executable, "-I", "-c", "pass"], Exposure(), Limits())
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return SandboxLevel.WEAK
    return SandboxLevel.BUBBLEWRAP if done.returncode == 0 else SandboxLevel.WEAK
