"""manage.py import_release FOLDER: take in a benchmark release and register its baselines."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify

from evaluator.cli.import_ubench import parse_sources, parse_splits
from evaluator.cli.progress import ProgressLine
from evaluator.errors import InputError
from leaderboard import baselines, releases
from leaderboard.models.releases import Visibility


class Command(BaseCommand):
    help = (
        "Import a Hub folder or a release folder. Example: manage.py import_release uBench --slug ubench-1 "
        "--splits dev=0.3,test=0.4,sealed=0.3 --source 'bccd_cells=^(.+)_[^_]+$'"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--slug", help="its address (default: from the folder's name)")
        parser.add_argument("--visibility", choices=Visibility.values, default=Visibility.PUBLIC)
        parser.add_argument("--name", help="name of the release (default: the folder's)")
        parser.add_argument("--release-version", default="1.0", metavar="VERSION")
        parser.add_argument("--splits", default="dev=0.3,test=0.4,sealed=0.3", metavar="SPLIT=FRACTION,…")
        parser.add_argument("--source", action="append", default=[], metavar="DATASET=REGEX")
        parser.add_argument("--exclude", action="append", default=[], metavar="DATASET")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--public-items", action="store_true", help="the items were public before, as µ-Bench's")
        parser.add_argument("--share-votes", action="store_true", help="datasets of one study share one vote")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"].resolve()
        slug = options["slug"] or slugify(folder.name)
        try:
            hub = releases.HubOptions(
                splits=parse_splits(options["splits"]), sources=parse_sources(options["source"]),
                exclude=options["exclude"], seed=options["seed"], name=options["name"] or folder.name,
                version=options["release_version"], public_items=options["public_items"],
                share_votes=options["share_votes"],
            )  # fmt: skip
            with ProgressLine() as progress:
                release = releases.import_release(
                    folder, slug, hub=hub, visibility=options["visibility"], on_progress=progress.show
                )
        except InputError as error:
            raise CommandError("\n".join(f"{problem.code}: {problem.message}" for problem in error.problems)) from error
        baselines.register(release)
        print(f"{release} stands at /releases/{release.slug}/")
        for note in release.info["notes"]:
            print(f"note: {note}")
