"""manage.py label_efficiency RELEASE: ask for every study of a release, the full grid in one command."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluator.active_learning.names import Start, Strategy
from evaluator.release.tasks import dataset_slug
from leaderboard.label_efficiency import grid
from leaderboard.label_efficiency.studies import SEEDS
from leaderboard.models import Release
from leaderboard.states import StudyState

TRACKS = ("a", "b", "both")
POLL_S = 1.0


class Command(BaseCommand):
    help = (
        "Ask for what is missing: track a, the label efficiency of every checkpoint; track b, every query strategy on "
        "every fine dataset by every reference encoder. Checkpoints without stored embeddings are run for them. Safe "
        "to run twice. Example: manage.py label_efficiency ubench-1 --track b --strategy dropquery --wait"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("release", help="its address, such as ubench-1")
        parser.add_argument("--track", choices=TRACKS, default="both")
        parser.add_argument("--dataset", action="append", default=[], metavar="NAME", help="track b: only these")
        parser.add_argument("--strategy", action="append", default=[], choices=list(Strategy), help="track b")
        parser.add_argument("--start", action="append", default=[], choices=list(Start),
                            help="track b (default: random and centroid)")  # fmt: skip
        parser.add_argument("--seeds", type=int, default=SEEDS, help=f"default {SEEDS}; 50 for announced comparisons")
        parser.add_argument("--wait", action="store_true", help="until all studies of the release have ended")

    def handle(self, *args: Any, **options: Any) -> None:
        release = Release.objects.select_related("key_revision").filter(slug=options["release"]).first()
        if release is None:
            raise CommandError(f"there is no release {options['release']}")
        if not grid.FEWEST_SEEDS <= options["seeds"] <= grid.MOST_SEEDS:
            raise CommandError(f"--seeds takes {grid.FEWEST_SEEDS} to {grid.MOST_SEEDS}: intervals are over them")
        lines = 0
        for line in self._ask(release, options):
            self.stdout.write(line)
            lines += 1
        if not lines:
            self.stdout.write("nothing to do: all of it stands or is being computed")
        if options["wait"]:
            self._wait(release)

    def _ask(self, release: Release, options: dict[str, Any]) -> Iterator[str]:
        if options["track"] in ("a", "both"):
            yield from grid.ask_track_a(release, seeds=options["seeds"])
        if options["track"] in ("b", "both"):
            wanted = {dataset_slug(name) for name in options["dataset"]}
            if unknown := wanted - set(grid.dataset_slugs(release)):
                raise CommandError(f"the release has no fine dataset {', '.join(sorted(unknown))} in dev and test")
            yield from grid.ask_track_b(
                release, datasets=wanted, strategies=[Strategy(name) for name in options["strategy"]],
                starts=[Start(name) for name in options["start"]], seeds=options["seeds"],
            )  # fmt: skip

    def _wait(self, release: Release) -> None:
        waited = grid.unfinished(release)
        shown = -1
        while left := grid.unfinished(release):
            waited |= left
            if len(left) != shown:
                shown = len(left)
                self.stdout.write(f"{shown} of {len(waited)} to go")
            time.sleep(POLL_S)
        failed = grid.studies_of(waited).filter(state=StudyState.FAILED)
        for study in failed:
            self.stdout.write(f"failed: {study.kind} of {study.submission.model.slug} {study.dataset}: "
                              f"{study.failure_message}")  # fmt: skip
        if failed:
            raise CommandError(f"{len(failed)} studies failed")
        self.stdout.write("all of it stands")
