"""manage.py reference_encoder SLUG: have query strategies compared on a model's embeddings."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.label_efficiency import studies
from leaderboard.models import Model


class Command(BaseCommand):
    help = "Mark models whose embeddings query strategies are compared on; --remove takes the mark away."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", nargs="+", help="short names of models")
        parser.add_argument("--remove", action="store_true", help="no longer a reference encoder")

    def handle(self, *args: Any, **options: Any) -> None:
        for slug in options["slug"]:
            model = Model.objects.filter(slug=slug, is_baseline=False).first()
            if model is None:
                raise CommandError(f"there is no model {slug}")
            studies.mark_reference_encoder(model, marked=not options["remove"], by=None)
            state = "no reference encoder any more" if options["remove"] else "a reference encoder"
            self.stdout.write(f"{slug} is {state}")
