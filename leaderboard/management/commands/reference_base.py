"""manage.py reference_base SLUG: offer a model to authors as what theirs was tuned from."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.models import Model


class Command(BaseCommand):
    help = "Register a model as a reference base, which authors are offered first; --remove takes it off the list."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the model's short name")
        parser.add_argument("--remove", action="store_true", help="no longer a reference base")

    def handle(self, *args: Any, **options: Any) -> None:
        found = Model.objects.filter(slug=options["slug"], is_baseline=False)
        if not found.update(is_reference=not options["remove"]):
            raise CommandError(f"there is no model {options['slug']}")
        state = "no reference base any more" if options["remove"] else "a reference base"
        self.stdout.write(f"{options['slug']} is {state}")
