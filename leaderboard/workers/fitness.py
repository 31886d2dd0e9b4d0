"""Whether this worker's device is fit for work. In: the device it has; out: a worker that claims nothing until it is.

A sick device is the machine's trouble: the evaluation goes back to the queue, and this worker ends. Its successor,
which the supervisor starts, answers no ring before the device computes again.
"""

import logging

from django.conf import settings

from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed
from evaluator.sandbox import probe_in_child
from evaluator.sandbox.command import has_gpu
from leaderboard.queue import dispatch
from leaderboard.workers.presence import Presence

log = logging.getLogger(__name__)
SICK = ("gpu_sick", "no_gpu")


def is_sick(error: Exception) -> bool:
    """Whether the error says that the device, not the work, is at fault."""
    return isinstance(error, EvaluationFailed) and error.code in SICK


def wait_until_fit(presence: Presence) -> bool:
    """Try the device until it computes, saying so meanwhile; False when the worker was told to stop first."""
    device = Device(settings.EVALUATION_DEVICE)
    if device is not Device.CUDA and not (device is Device.AUTO and has_gpu()):
        return True
    while not dispatch.stopping.is_set():
        try:
            probe_in_child(device)
        except EvaluationFailed as error:
            log.warning("this worker claims nothing, its device is not fit: %s", error)
            presence.say(sick=error.message)
            dispatch.stopping.wait(settings.SICK_DEVICE_RETRY_S)
        else:
            presence.say(sick=None)
            return True
    return False
