"""What a child may use. In: nothing; out: limits of the process, and of its job, and what enforces them."""

import resource
from dataclasses import dataclass

MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the kernel holds any child to, from its start."""

    processes: int = 512  # threads count as well
    open_files: int = 1024
    written_file_bytes: int = 256 * MIB
    tmp_bytes: int = 1024 * MIB

    def prlimit_processes(self) -> list[str]:
        """The prlimit command line for the number of processes alone; see `prlimit`."""
        return ["prlimit", f"--nproc={self.processes}", "--"]

    def prlimit(self) -> list[str]:
        """The prlimit command line to put before another one, but for processes: the kernel counts all of an account's,
        so that limit belongs where the account is the child's own (inside its user namespace, or as nobody)."""
        return ["prlimit", f"--nofile={self.open_files}", "--core=0", f"--fsize={self.written_file_bytes}", "--"]


@dataclass(frozen=True, kw_only=True)
class JobLimits:
    """What one job may use. wall_s is the parent's to enforce; the child sets the others on itself, for good, before it
    reads a byte of the job. memory_bytes is address space; None for a GPU child, because CUDA reserves far more of it
    than it uses. cpu_s counts from the start of the job."""

    wall_s: float
    cpu_s: int | None = None
    memory_bytes: int | None = None

    def impose(self) -> None:
        """Child side: lower this process's own limits."""
        if self.memory_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (self.memory_bytes, self.memory_bytes))
        if self.cpu_s is not None:
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = self.cpu_s + int(used.ru_utime + used.ru_stime) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
