"""manage.py worker QUEUE: one worker process, usually started by manage.py work."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from evaluator.encoders.choices import Device
from evaluator.sandbox import spare
from leaderboard.queue import Queue, dispatch, lifeline
from leaderboard.workers import fitness
from leaderboard.workers.presence import Presence


class Command(BaseCommand):
    help = "Serve one queue until stopped or Redis is lost. Example: manage.py worker evaluate"
    requires_system_checks = ()  # a worker serves no pages

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("queue", choices=list(Queue))
        parser.add_argument("--parent", type=int, help="end when this parent process ends")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["parent"]:
            lifeline.die_with(options["parent"])
        with Presence(Queue(options["queue"])) as presence:
            if presence.queue is Queue.EVALUATE:
                if not fitness.wait_until_fit(presence):
                    return
                spare.keep(Device(settings.EVALUATION_DEVICE))
            elif presence.queue is Queue.VALIDATE:
                spare.keep(Device.CPU)
            dispatch.serve(presence.queue, presence.name)
