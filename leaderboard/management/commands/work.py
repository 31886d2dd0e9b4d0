"""manage.py work: run this host's workers under a supervisor."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.queue import Queue
from leaderboard.queue.supervisor import supervise


class Command(BaseCommand):
    help = "Run workers and the reconciler until stopped; restart those that die. Example: manage.py work --evaluate 2"
    requires_system_checks = ()  # a worker serves no pages

    def add_arguments(self, parser: ArgumentParser) -> None:
        for queue in Queue:
            parser.add_argument(f"--{queue}", type=int, default=1, metavar="N", help=f"workers of queue {queue}")

    def handle(self, *args: Any, **options: Any) -> None:
        supervise({queue: options[queue] for queue in Queue})
