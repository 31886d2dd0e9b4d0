"""Whose embeddings studies look at. In: a release; out: checkpoints on its boards, reference encoders among them."""

from leaderboard.boards.entries import LiveEntry, live_entries
from leaderboard.label_efficiency.pools import EVALUATED
from leaderboard.models import Entry, Evaluation, Model, Release, Submission
from leaderboard.states import EvaluationState

MOST_SHOWN = 100


def on_boards(release: Release) -> list[LiveEntry]:
    """The verified entries of the evaluated split, one per model: its author's choice, else the latest."""
    if EVALUATED not in release.info["splits"]:
        return []
    return [entry for entry in live_entries(release, EVALUATED) if entry.verified]


def reference_encoders(release: Release) -> list[Submission]:
    """The submission on the boards of every model that organisers marked, by the model's slug."""
    marked = set(Model.objects.filter(is_reference_encoder=True).values_list("slug", flat=True))
    chosen = [entry.submission for entry in on_boards(release) if entry.model in marked]
    found = Submission.objects.select_related("model", "release__key_revision").in_bulk(chosen)
    by_id = {str(pk): submission for pk, submission in found.items()}
    return [by_id[pk] for pk in chosen]


def candidates() -> list[Model]:
    """The models that can be marked: on a board, with embeddings kept. Marked ones first, then the latest."""
    embedded = Evaluation.objects.filter(state=EvaluationState.SCORED).exclude(embeddings_sha256="")
    live = Entry.objects.filter(split=EVALUATED, superseded_at=None)
    models = Model.objects.filter(is_baseline=False, pk__in=embedded.values("submission__model"))
    return list(
        models.filter(pk__in=live.values("model")).order_by("-is_reference_encoder", "-created_at")[:MOST_SHOWN]
    )
