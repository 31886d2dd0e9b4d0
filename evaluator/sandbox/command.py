"""Command lines of sandboxed processes. In: an inner command, what it may see; out: the full argv. Starts nothing.

Run by root, the inner process becomes `nobody`: a process limit does not bind root, and files that only root may
read stay unreadable even where a mount shows them. Run by anyone else, it gets a user namespace of its own.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.sandbox.limits import Limits

NOBODY = 65534
SYSTEM_FOLDERS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
# setpriv needs these to become nobody; it drops them all before the inner command starts.
CAPABILITIES_OF_SETPRIV = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
GPU_DEVICES = "nvidia*"


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What the inner process sees beside the system's libraries and Python: files by place inside, GPUs or none, and
    variables of its own."""

    files: Mapping[str, Path] = field(default_factory=dict)  # place inside → host path, read-only
    gpu: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


def sandboxed(inner: Sequence[str], exposure: Exposure, limits: Limits) -> list[str]:
    """The argv that runs `inner` under bubblewrap: no network, own namespaces, read-only files, an own /tmp."""
    is_root = os.geteuid() == 0
    argv = [*limits.prlimit(), "bwrap", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    for space in ("ipc", "pid", "net", "uts", "cgroup-try"):
        argv.append(f"--unshare-{space}")
    if is_root:
        for capability in CAPABILITIES_OF_SETPRIV:
            argv += ["--cap-add", capability]
    else:
        argv += ["--unshare-user", "--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    argv += ["--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev"]
    argv += ["--size", str(limits.tmp_bytes), "--perms", "1777", "--tmpfs", "/tmp", "--chdir", "/tmp"]
    argv += _system_mounts() + _file_mounts({**_python_mounts(), **exposure.files})
    for device in _gpu_devices() if exposure.gpu else []:
        argv += ["--dev-bind", str(device), str(device)]
    # Last, for nothing can be mounted after: bubblewrap's own tmpfs under / and /dev belongs to whoever runs inside.
    argv += ["--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in {**environment(), **exposure.variables}.items():
        argv += ["--setenv", name, value]
    argv.append("--")
    if is_root:
        argv += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
                 "--bounding-set=-all", "--inh-caps=-all", "--"]  # fmt: skip
    return [*argv, *limits.prlimit_processes(), *inner]


def unsandboxed(inner: Sequence[str], limits: Limits) -> list[str]:
    """The argv of the weak level: limits only. The caller passes `environment()` and a new session."""
    return [*limits.prlimit(), *inner]


def environment() -> dict[str, str]:
    """All variables of an inner process: no secrets, no hub, no home."""
    found = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "USER": "nobody", "LANG": "C.UTF-8", "TMPDIR": "/tmp",
             "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    passed = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return found | {name: os.environ[name] for name in passed if name in os.environ}


def has_gpu() -> bool:
    """Whether this host shows an NVIDIA device; torch in the child has the last word."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _gpu_devices() -> list[Path]:
    return sorted(Path("/dev").glob(GPU_DEVICES))


def _system_mounts() -> list[str]:
    argv = ["--ro-bind", "/usr", "/usr"]
    for folder in (Path("/", name) for name in SYSTEM_FOLDERS):
        if folder.is_symlink():
            argv += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            argv += ["--ro-bind", str(folder), str(folder)]
    for file in SYSTEM_FILES:
        argv += ["--ro-bind-try", file, file]
    return argv


def _python_mounts() -> dict[str, Path]:
    """This Python's folders, at their own places: the virtual environment and the installation under it."""
    folders = {Path(sys.prefix).absolute(), Path(sys.base_prefix).resolve()}
    return {str(folder): folder for folder in sorted(folders) if not folder.is_relative_to("/usr")}


def _file_mounts(files: Mapping[str, Path]) -> list[str]:
    """Read-only mounts; the folders above each are made readable, for bubblewrap would make them its owner's alone."""
    argv: list[str] = []
    made = {Path("/")}
    for place, source in files.items():
        for parent in reversed(Path(place).parents):
            if parent not in made:
                argv += ["--perms", "0755", "--dir", str(parent)]
                made.add(parent)
        argv += ["--ro-bind", str(source), place]
        made.add(Path(place))
    return argv
