"""Use cases of models: describing them, choosing what stands on the boards. In: an author and what they say."""

from typing import Any

from django.db import transaction

from leaderboard import publication
from leaderboard.models import Entry, Model


def describe(model: Model, facts: dict[str, Any]) -> None:
    """Store what the author says of the model; its boards are rebuilt, because they show its name and choice."""
    with transaction.atomic():
        for name, value in facts.items():
            setattr(model, name, value)
        model.save(update_fields=list(facts))
        live = Entry.objects.filter(model=model, superseded_at=None).select_related("release")
        for release, split in {(entry.release, entry.split) for entry in live}:
            publication.request_boards(release, split)
