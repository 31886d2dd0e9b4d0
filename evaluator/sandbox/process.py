"""Sandboxed processes that wait for a job. In: what they may use; out: a Child, or the spare one kept ready.

A child does exactly one job and ends. A spare has done its imports before its job comes; nothing that a stranger sent
was near it until then.
"""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from evaluator.architectures.folders import ENVIRONMENT
from evaluator.encoders.choices import Device
from evaluator.sandbox.command import Exposure, environment, has_gpu, sandboxed, unsandboxed
from evaluator.sandbox.level import SandboxLevel, sandbox_level
from evaluator.sandbox.limits import Limits

INNER = (sys.executable, "-I", "-m", "evaluator.sandbox.child")
ARCHITECTURES_INSIDE = "/architectures"


@dataclass(frozen=True, kw_only=True)
class Child:
    """A started process, our end of its socket, and how well it is shut in."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    level: SandboxLevel
    gpu: bool


def start_child(*, device: Device, warm: bool, limits: Limits | None = None) -> Child:
    """Start a child that waits for its job; a `warm` one imports torch and prepares the device meanwhile. `limits`: for
    a job that needs others than every child's.

    Call it from the thread that will outlive the child: the kernel ends the child with the thread that started it.
    """
    limits = limits or Limits()
    level, gpu = sandbox_level(), device is not Device.CPU and has_gpu()
    ours, theirs = socket.socketpair()
    inner = [*INNER, str(theirs.fileno()), *([device] if warm else [])]
    variables = environment()
    if level is SandboxLevel.BUBBLEWRAP:
        argv = sandboxed(inner, exposed(gpu=gpu), limits)
    else:
        argv = unsandboxed(inner, limits)
        if ENVIRONMENT in os.environ:
            variables[ENVIRONMENT] = os.environ[ENVIRONMENT]
    with theirs:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables,
            pass_fds=[theirs.fileno()], start_new_session=True,
        )  # fmt: skip
    return Child(process=process, channel=ours, level=level, gpu=gpu)


def exposed(*, gpu: bool) -> Exposure:
    """What every child sees beside libraries and Python: the architectures that organisers placed, and GPUs or none."""
    folder = os.environ.get(ENVIRONMENT)
    if not folder or not Path(folder).is_dir():
        return Exposure(gpu=gpu)
    return Exposure(
        files={ARCHITECTURES_INSIDE: Path(folder).resolve()}, gpu=gpu, variables={ENVIRONMENT: ARCHITECTURES_INSIDE}
    )


class SpareChild:
    """One child kept ready by a worker that asks for it. The next one starts when one is taken, so that its imports
    run beside the job instead of before the next."""

    def __init__(self) -> None:
        self._kept: Child | None = None
        self._device: Device | None = None

    def keep(self, device: Device) -> None:
        """From now on keep a spare for jobs on `device`."""
        self._device = device
        self._kept = start_child(device=device, warm=True)

    @property
    def is_kept(self) -> bool:
        """Whether this process keeps spares."""
        return self._device is not None

    def take(self, device: Device) -> Child:
        """The spare, if there is one for this device that still lives; else a new child."""
        taken, self._kept = self._kept, None
        if self._device is not None:
            self._kept = start_child(device=self._device, warm=True)
        if taken is not None and device is self._device and taken.process.poll() is None:
            return taken
        if taken is not None:
            discard(taken)
        return start_child(device=device, warm=True)

    def discard(self) -> None:
        """End the spare and keep none."""
        taken, self._kept, self._device = self._kept, None, None
        if taken is not None:
            discard(taken)


def discard(child: Child) -> None:
    """End a child that got no job: it leaves by itself when its socket closes."""
    child.channel.close()
    assert child.process.stdout is not None
    child.process.stdout.close()
    child.process.kill()
    child.process.wait()


spare = SpareChild()
