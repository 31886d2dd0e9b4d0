"""Rows for tests of the leaderboard, in any state, without files or workers."""

from typing import Any
from uuid import uuid4

from evaluator.active_learning.names import HeadKind, Strategy
from evaluator.active_learning.suggesting.suggestion import Basis, Pick
from evaluator.active_learning.suggesting.suggestion import Suggestion as Found
from leaderboard.models import Evaluation, KeyRevision, Model, Release, Submission, Suggestion, User
from leaderboard.states import EvaluationState, SubmissionState

INFO = {
    "schema": 1, "name": "Tiny", "version": "1.0", "hash": "0" * 64, "public_items": False, "source_rule": {},
    "datasets": {}, "vote_groups": [], "notes": [],
    "splits": {name: {"items": 2, "questions": 4, "sources": 2} for name in ("dev", "test", "sealed")},
}  # fmt: skip


def make_user(name: str = "", **fields: Any) -> User:
    name = name or f"user-{uuid4().hex[:8]}"
    return User.objects.create_user(username=name, email=f"{name}@example.org", password="micro-graph-7", **fields)


def make_release(slug: str = "", **fields: Any) -> Release:
    slug = slug or f"release-{uuid4().hex[:8]}"
    release = Release.objects.create(
        slug=slug, name=slug.title(), version="1.0", hash=uuid4().hex * 2, info=INFO | {"name": slug}, **fields
    )
    release.key_revision = KeyRevision.objects.create(release=release, number=1)
    release.save()
    return release


def make_model(owner: User, slug: str = "", **fields: Any) -> Model:
    slug = slug or f"model-{uuid4().hex[:8]}"
    return Model.objects.create(slug=slug, name=slug, owner=owner, **fields)


def make_submission(owner: User, release: Release, state: str = SubmissionState.ACCEPTED, **fields: Any) -> Submission:
    fields.setdefault("model", fields.get("model") or make_model(owner))
    fields.setdefault("kind", "checkpoint")
    return Submission.objects.create(owner=owner, release=release, state=state, **fields)


def make_evaluation(submission: Submission, state: str = EvaluationState.QUEUED, **fields: Any) -> Evaluation:
    fields.setdefault("split", "test")
    return Evaluation.objects.create(submission=submission, state=state, **fields)


def make_suggestion(owner: User, **fields: Any) -> Suggestion:
    """A round that is done, of one image."""
    pick = Pick(id="a.tif", group=1, members=3, typicality=1.0)
    found = Found(
        basis=Basis.IMAGES, strategy=Strategy.DROPQUERY, head=HeadKind.PAPER, seed=0, images=3, labelled={},
        picks=(pick,),
    )  # fmt: skip
    given = {"state": "done", "document": found.as_dict(), "count": 1, "strategy": "dropquery", "name": "plate"}
    file = {"embeddings_name": "plate.npz", "embeddings_sha256": "0" * 64, "embeddings_size": 1}
    return Suggestion.objects.create(owner=owner, **(file | given | fields))
