"""manage.py no_image_baseline --submission UUID: what a published checkpoint answers without seeing the images."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from evaluator.errors import InputError
from leaderboard import no_image
from leaderboard.models import Submission


class Command(BaseCommand):
    help = (
        "Queue the no-image baseline of a published checkpoint on each split of its release: an unranked entry that "
        "shows what the questions alone give away to it. Safe to run twice; a failed split is started anew."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--submission", required=True, type=UUID, metavar="UUID", help="of a published checkpoint")

    def handle(self, *args: Any, **options: Any) -> None:
        submission = Submission.objects.filter(pk=options["submission"]).first()
        if submission is None:
            raise CommandError(f"there is no submission {options['submission']}")
        try:
            queued = no_image.ask_without_images(submission)
        except InputError as error:
            raise CommandError("\n".join(problem.message for problem in error.problems)) from error
        for evaluation in queued:
            self.stdout.write(f"queued: {evaluation.submission.model} on {evaluation.split}")
        if not queued:
            self.stdout.write("nothing to do: every split is answered or being answered")
