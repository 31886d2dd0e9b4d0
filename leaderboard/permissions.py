"""Who may see and do what: the only home of these rules. In: a user and an address; out: the object, or 404 or 403.

404 for what one may not know of, 403 for what one may know of but not do.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import DataError
from django.db.models import Model as Table
from django.db.models import Q, QuerySet
from django.http import Http404

from leaderboard.models import Entry, Evaluation, Model, Release, Submission, Suggestion, User
from leaderboard.models.releases import Visibility

AnyUser = User | AnonymousUser
Row = TypeVar("Row", bound=Table)


class Action(StrEnum):
    """What one may want to do with a submission beyond looking at its public face."""

    VIEW = "view"
    INSPECT = "inspect"  # log, problems, progress, unpublished report
    PUBLISH = "publish"
    WITHDRAW = "withdraw"
    CANCEL = "cancel"
    RETRY = "retry"
    DESCRIBE = "describe"  # name its base, sweep, merge


STAFF_ONLY = frozenset({Action.RETRY})


def visible_to(user: AnyUser, rows: QuerySet[Row]) -> QuerySet[Row]:
    """The rows of releases, models, submissions or evaluations that `user` may know of."""
    if user.is_staff:
        return rows
    return rows.filter(RULES[rows.model](user))


def get_release(user: AnyUser, slug: str) -> Release:
    """The release, or 404."""
    return _one(visible_to(user, Release.objects.select_related("key_revision")), slug=slug)


def get_model(user: AnyUser, slug: str, *, to_edit: bool = False) -> Model:
    """The model, or 404; 403 when `to_edit` and it is another author's."""
    model = _one(visible_to(user, Model.objects.select_related("owner", "base")), slug=slug)
    if to_edit and not may_edit(user, model):
        raise PermissionDenied("this model belongs to another author")
    return model


def get_submission(user: AnyUser, pk: UUID | str, *, to: Action = Action.VIEW) -> Submission:
    """The submission, or 404; 403 when `user` may see it but not do `to`."""
    rows = Submission.objects.select_related("model", "owner", "release")
    submission = _one(visible_to(user, rows), pk=pk)
    if not may(user, to, submission):
        raise PermissionDenied(f"you may not {to} this submission")
    return submission


def get_evaluation(user: AnyUser, pk: UUID | str, *, to: Action = Action.VIEW) -> Evaluation:
    """The evaluation, or 404; 403 when `user` may see its submission but not do `to`."""
    rows = Evaluation.objects.select_related("submission__model", "submission__owner", "submission__release")
    evaluation = _one(visible_to(user, rows), pk=pk)
    if not may(user, to, evaluation.submission):
        raise PermissionDenied(f"you may not {to} this evaluation")
    return evaluation


def get_suggestion(user: AnyUser, pk: UUID | str) -> Suggestion:
    """One's own round of suggestions, or 404."""
    return _one(visible_to(user, Suggestion.objects.select_related("owner")), pk=pk)


def may(user: AnyUser, action: Action, submission: Submission) -> bool:
    """Whether `user`, who can see the submission, may do `action` with it."""
    if user.is_staff or action is Action.VIEW:
        return True
    return action not in STAFF_ONLY and submission.owner_id == user.pk


def may_download(user: AnyUser, submission: Submission, parents: Iterable[Submission] = ()) -> bool:
    """Whether `user` may fetch the files: its owner, and of a merge only who could fetch every parent's or finds it
    among the reference bases, for a merge and one parent give the other away."""
    if not may(user, Action.INSPECT, submission):
        return False
    return user.is_staff or all(parent.owner_id == user.pk or parent.model.is_reference for parent in parents)


def was_published(submission: Submission) -> bool:
    """Whether everyone may know of the submission."""
    return visible_to(AnonymousUser(), Submission.objects.filter(pk=submission.pk)).exists()


def is_known(model: Model) -> bool:
    """Whether everyone may know of the model."""
    return visible_to(AnonymousUser(), Model.objects.filter(pk=model.pk)).exists()


def may_edit(user: AnyUser, model: Model) -> bool:
    """Whether `user` may submit to the model and change its description."""
    return user.is_staff or model.owner_id == user.pk


def signed_in(user: AnyUser) -> User:
    """The person behind a request that needs one."""
    if not isinstance(user, User):
        raise PermissionDenied("sign in first")
    return user


def require_staff(user: AnyUser) -> User:
    """404 for everyone else: the organisers' pages do not exist for them."""
    if not isinstance(user, User) or not user.is_staff:
        raise Http404
    return user


def _release(user: AnyUser) -> Q:
    public = Q(visibility=Visibility.PUBLIC)
    if not user.is_authenticated:
        return public
    return public | Q(visibility=Visibility.LISTED, pk__in=Release.objects.filter(listed=user.pk).values("pk"))


def _published(user: AnyUser, column: str) -> QuerySet[Any]:
    """Keys of what was ever published on a visible release: a withdrawn entry is a tombstone, not a hole."""
    return Entry.objects.filter(release__in=Release.objects.filter(_release(user))).values(column)


def _owned(user: AnyUser, path: str) -> Q:
    return Q(**{path: user.pk}) if user.is_authenticated else Q(pk__in=[])


RULES: dict[type[Table], Callable[[AnyUser], Q]] = {
    Release: _release,
    Model: lambda user: Q(pk__in=_published(user, "model")) | _owned(user, "owner"),
    Submission: lambda user: Q(pk__in=_published(user, "submission")) | _owned(user, "owner"),
    Evaluation: lambda user: Q(pk__in=_published(user, "report__evaluation")) | _owned(user, "submission__owner"),
    Suggestion: lambda user: _owned(user, "owner"),
}


def _one(rows: QuerySet[Row], **where: Any) -> Row:
    try:
        return rows.get(**where)
    except (ObjectDoesNotExist, ValidationError, ValueError, DataError) as absent:
        raise Http404(f"no such {rows.model._meta.verbose_name}") from absent
