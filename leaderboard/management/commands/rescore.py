"""manage.py rescore: score stored answers again, or verify every published number."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard import rescoring
from leaderboard.models import Analysis, Entry, LabelEfficiency, Release, StrategyRun


class Command(BaseCommand):
    help = "Score stale answers with the key and scorer in force; --verify recomputes all published numbers instead."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--verify", action="store_true", help="change nothing; exit 1 when a number differs")
        parser.add_argument("--release", metavar="SLUG", help="only this release")

    def handle(self, *args: Any, **options: Any) -> None:
        release = self._release(options["release"])
        if options["verify"]:
            self._verify(release)
            return
        stale = list(rescoring.stale_evaluations(release))
        for evaluation in stale:
            rescoring.rescore(evaluation)
            self.stdout.write(f"scored again: {evaluation.submission.model.slug} on {evaluation.split}")
        self.stdout.write(f"{len(stale)} evaluations scored again")
        self.stdout.write(f"{len(rescoring.refresh_analyses(release))} analyses made again")
        self.stdout.write(f"{len(rescoring.refresh_studies(release))} studies asked for")

    def _verify(self, release: Release | None) -> None:
        counts, n_differences = [], 0
        for checked in (
            rescoring.verify(release),
            rescoring.verify_analyses(release),
            rescoring.verify_studies(release),
        ):
            counts.append(0)
            for row, differences in checked:
                counts[-1] += 1
                n_differences += len(differences)
                for difference in differences:
                    self.stdout.write(f"{_name(row)}: {difference.what}")
        self.stdout.write(f"{counts[2]} documents of label efficiency recomputed")
        self.stdout.write(f"{counts[0]} entries and {counts[1]} analyses recomputed, {n_differences} differences")
        if n_differences:
            raise CommandError("published numbers differ from their recomputation")

    @staticmethod
    def _release(slug: str | None) -> Release | None:
        if slug is None:
            return None
        try:
            return Release.objects.get(slug=slug)
        except Release.DoesNotExist:
            raise CommandError(f"there is no release {slug}") from None


def _name(row: Entry | Analysis | LabelEfficiency | StrategyRun) -> str:
    match row:
        case Entry():
            return f"entry {row.pk} ({row.model.slug}, {row.release.slug}, {row.split})"
        case Analysis():
            return f"{row.kind} of {row.link.submission.model.slug} ({row.split})"
        case StrategyRun():
            return f"{row.strategy} from start {row.start} by {row.submission.model.slug} on {row.dataset}"
        case _:
            return f"label efficiency of {row.submission.model.slug} on {row.dataset}"
