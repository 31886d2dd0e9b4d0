"""manage.py rescore: score stored answers again, or verify every published number."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard import rescoring
from leaderboard.models import Release


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

    def _verify(self, release: Release | None) -> None:
        n_entries = n_differences = 0
        for entry, differences in rescoring.verify(release):
            n_entries += 1
            n_differences += len(differences)
            for difference in differences:
                name = f"entry {entry.pk} ({entry.model.slug}, {entry.release.slug}, {entry.split})"
                self.stdout.write(f"{name}: {difference.what}")
        n_analyses = 0
        for analysis, differences in rescoring.verify_analyses(release):
            n_analyses += 1
            n_differences += len(differences)
            for difference in differences:
                name = f"{analysis.kind} of {analysis.link.submission.model.slug} ({analysis.split})"
                self.stdout.write(f"{name}: {difference.what}")
        self.stdout.write(f"{n_entries} entries and {n_analyses} analyses recomputed, {n_differences} differences")
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
