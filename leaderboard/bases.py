"""What a LoRA adapter stands on: an earlier submission's weights, or the registry's. In: a submission, asked for or
stored; out: problems, the base's files, its name.

The base is named once, when the adapter comes in, by who may see it then; what it is called or whether it is withdrawn
later changes nothing. Its SHA-256 is established in validation and holds for every run.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from evaluator.architectures.own_weights import own_weights
from evaluator.architectures.registry import get_architecture, list_architectures
from evaluator.errors import EvaluationFailed, InputError, Problem
from evaluator.weights.adapter import is_adapter
from evaluator.weights.checkpoint import checkpoint_paths
from evaluator.weights.shards import set_digest
from leaderboard import permissions, storage
from leaderboard.models import Submission, User
from leaderboard.models.submissions import SubmissionKind
from leaderboard.states import SubmissionState

FIELD = "base"
MOST_SUGGESTED = 100


def stands_on_base(submission: Submission) -> bool:
    """Whether the submission's files are an adapter's, whoever made it: a baseline may run an author's files."""
    return is_adapter(file["name"] for file in submission.files)


def problems_with(user: User, base: str, architecture: str) -> Iterator[Problem]:
    """What is wrong with the base that `user` names for an adapter of `architecture`: a submission's id, or the name of
    the architecture for its own weights. What they may not know of is unknown."""
    if not base:
        message = f"An adapter changes other weights. Name its base: {_choices(architecture)}."
        yield Problem(code="base_missing", field=FIELD, message=message)
        return
    if base == architecture and _registered_weights(architecture) is not None:
        return
    found = find_submission(user, base)
    if found is None:
        message = f"No base {base[:80]!r} is known. Give {_choices(architecture)}."
        yield Problem(code="unknown_base", field=FIELD, message=message)
    elif found.kind != SubmissionKind.CHECKPOINT:
        message = "The base is no checkpoint, so it has no weights. Give the id of an accepted checkpoint."
        yield Problem(code="base_not_checkpoint", field=FIELD, message=message)
    elif stands_on_base(found):
        message = "The base is an adapter itself. Merge the two on your own machine, or name whole weights."
        yield Problem(code="base_is_adapter", field=FIELD, message=message)
    elif found.state != SubmissionState.ACCEPTED:
        message = f"The base is {found.state}; only an accepted checkpoint can be one. Wait for it or name another."
        yield Problem(code="base_not_accepted", field=FIELD, message=message)
    elif architecture and found.architecture != architecture:
        message = f"The base is a {found.architecture}, the adapter was submitted as {architecture}. Name one of both."
        yield Problem(code="base_other_architecture", field=FIELD, message=message)


def find_submission(user: User, base: str) -> Submission | None:
    """The submission of this id; None where `user` may not know of one."""
    try:
        pk = UUID(base)
    except ValueError:
        return None
    return permissions.visible_to(user, Submission.objects.select_related("model")).filter(pk=pk).first()


def suggestions(user: User) -> list[tuple[str, str]]:
    """(what to give as base, what it is): one's own accepted checkpoints, the latest first, and the registry's."""
    own = Submission.objects.filter(owner=user, kind=SubmissionKind.CHECKPOINT, state=SubmissionState.ACCEPTED)
    rows = own.select_related("model").order_by("-created_at")[:MOST_SUGGESTED]
    return [
        *(
            (str(row.pk), f"{row.model.slug}, {row.architecture}, {row.created_at:%Y-%m-%d}")
            for row in rows if not stands_on_base(row)
        ),
        *((found.name, "the registry's own weights") for found in list_architectures() if own_weights(found)),
    ]  # fmt: skip


@contextmanager
def local_base(submission: Submission) -> Iterator[Path | None]:
    """The base's file, or index of shards, for as long as the block runs; None for whole weights.

    Raises EvaluationFailed when it is not what the adapter was validated with: `base_gone`, `base_changed`.
    """
    if not stands_on_base(submission):
        yield None
        return
    validated = submission.facts.get("base", {}).get("sha256")
    if submission.base_submission is not None:
        with storage.local_files(submission.base_submission) as path:
            _require(validated, submission.base_submission.file_sha256)
            yield path
        return
    own = _registered_weights(submission.architecture)
    if own is None:
        message = f"The registry has no weights of {submission.architecture} any more: ask its organisers for them."
        raise EvaluationFailed("base_gone", message, retry=False)
    if validated:
        _require(validated, set_digest({name: _sha256(path) for name, path in checkpoint_paths(own).items()}))
    yield own


def name_base(submission: Submission, described: dict[str, Any]) -> None:
    """Say in what a child found of the weights which base they stand on; nothing happens to whole weights."""
    if "base" in described:
        of = submission.base_submission_id
        name = {"submission": str(of)} if of else {"architecture": submission.architecture}
        described["base"] = name | {"sha256": described["base"]["sha256"]}


def _require(validated: str | None, found: str) -> None:
    if validated not in (None, found):
        message = "The base's weights are not those that the adapter was validated with. Submit the adapter again."
        raise EvaluationFailed("base_changed", message, retry=False)


def _registered_weights(architecture: str) -> Path | None:
    try:
        return own_weights(get_architecture(architecture))
    except InputError:  # the architecture's own problem, told elsewhere
        return None


def _choices(architecture: str) -> str:
    of = f" of {architecture}" if architecture else ""
    words = f"the id of an accepted checkpoint{of}, as its address shows it"
    return f"{words}, or {architecture} for the registry's own weights" if _registered_weights(architecture) else words


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
