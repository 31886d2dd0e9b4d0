"""manage.py reconcile: put right what crashes left behind."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.queue import lifeline, reconciler
from leaderboard.queue.supervisor import stop_on_signals


class Command(BaseCommand):
    help = "Re-queue work whose worker was lost and ring for what waits, once or (--forever) every RECONCILE_S seconds."
    requires_system_checks = ()  # a worker serves no pages

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--forever", action="store_true")
        parser.add_argument("--parent", type=int, help="end when this parent process ends")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["parent"]:
            lifeline.die_with(options["parent"])
        if options["forever"]:
            reconciler.run(stop_on_signals())
        else:
            found = reconciler.reconcile()
            print("another reconciler is at work" if found is None else f"{found} expired leases")
