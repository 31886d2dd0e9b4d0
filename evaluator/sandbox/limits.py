"""What a child may use. In: nothing; out: Limits and the prlimit command that enforces them."""

from dataclasses import dataclass

MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """wall_s is the parent's to enforce, the rest the kernel's. memory_bytes is address space; None for a GPU child,
    because CUDA reserves far more of it than it uses."""

    wall_s: float
    cpu_s: int | None = None
    memory_bytes: int | None = None
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
        options = [f"--nofile={self.open_files}", "--core=0", f"--fsize={self.written_file_bytes}"]
        if self.cpu_s is not None:
            options.append(f"--cpu={self.cpu_s}")
        if self.memory_bytes is not None:
            options.append(f"--as={self.memory_bytes}")
        return ["prlimit", *options, "--"]
