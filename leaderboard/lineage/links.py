"""Naming a base and a target domain. In: an author's words; out: a BaseLink in force, older ones kept beside it.

What was declared after scores could be seen says so for good.
"""

from collections.abc import Collection, Iterator
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from evaluator.analyses.target import check_target, parse_target, target_rows
from evaluator.errors import InputError, Problem
from evaluator.release.info import info_from_json
from evaluator.release.schema import Split
from leaderboard import permissions, states
from leaderboard.boards.compute import key_index
from leaderboard.boards.summary import known_values
from leaderboard.lineage import pairs, requests
from leaderboard.models import BaseLink, Model, Release, Report, Submission, User
from leaderboard.models.submissions import SubmissionKind

LONGEST_CHAIN = 50


def declare(submission: Submission, base: str, target: Collection[str], *, by: User) -> BaseLink:
    """Say what `submission` was tuned from (a model's slug, or the id of a submission) and for which items.

    The same words again change nothing. Raises InputError with every problem.
    """
    with transaction.atomic():
        # One declaration of a submission after the other; its states may move on meanwhile.
        submission = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
        problems = [
            *base_problems(by, submission.release, base), *_cycle_problems(by, submission, base),
            *target_problems(submission.release, target),
        ]  # fmt: skip
        if problems:
            raise InputError(problems)
        named = find(by, submission.release, base)
        assert named is not None, "an unknown base is a problem"
        model, artefact = named
        words = {"model": model, "base": artefact, "target": sorted(set(target))}
        standing = pairs.in_force(submission)
        if standing is not None and words == {name: getattr(standing, name) for name in words}:
            return standing
        BaseLink.objects.filter(submission=submission, superseded_at=None).update(superseded_at=Now())
        link = BaseLink.objects.create(
            submission=submission, declared_by=by.actor_id, after_scores=has_scores(submission), **words
        )
        Submission.objects.filter(pk=submission.pk).update(base=model, target=words["target"])
        states.record(
            submission=submission, to_state="base named", actor=by.actor_id,
            note=f"{model.slug}; target {', '.join(link.target) or 'not declared'}",
        )  # fmt: skip
        requests.request(link)
    return link


def find(user: User, release: Release, base: str) -> tuple[Model, Submission | None] | None:
    """The model that `base` names and its artefact on `release`: the one named, else the one that its author shows,
    else the latest. None where `user` may not know of any."""
    visible = permissions.visible_to(user, Submission.objects.select_related("model"))
    try:
        named = visible.filter(pk=UUID(base)).first()
    except ValueError:
        model = permissions.visible_to(user, Model.objects.filter(slug=base)).first()
        return None if model is None else (model, artefact_of(model, release, visible))
    return None if named is None else (named.model, named)


def artefact_of(model: Model, release: Release, among: QuerySet[Submission]) -> Submission | None:
    """The submission that stands for a model as a base on one release, of those in `among`."""
    rows = list(among.filter(model=model, release=release).exclude(state__in=pairs.GONE).order_by("-created_at"))
    shown = [row for row in rows if row.pk == model.shown_submission_id]
    checkpoints = [row for row in rows if row.kind == SubmissionKind.CHECKPOINT]
    return next(iter(shown or checkpoints or rows), None)


def has_scores(submission: Submission) -> bool:
    """Whether its author could have seen a score of it."""
    return Report.objects.filter(evaluation__submission=submission).exists()


def base_problems(user: User, release: Release, base: str) -> Iterator[Problem]:
    """What is wrong with a base. What `user` may not know of is unknown."""
    named = find(user, release, base)
    if named is None:
        message = f"No model or submission {base[:80]!r} is known. Give a model's short name or a submission's id."
        yield Problem(code="unknown_base", field=pairs.FIELD, message=message)
        return
    model, artefact = named
    if model.is_baseline:
        message = f"{model} is a baseline, which nothing is tuned from. Name a model."
        yield Problem(code="base_is_baseline", field=pairs.FIELD, message=message)
    if artefact is not None and artefact.release_id != release.pk:
        message = f"That submission answers {artefact.release}, not {release}. Name one on the same release."
        yield Problem(code="base_other_release", field=pairs.FIELD, message=message)
    if artefact is not None and artefact.state in pairs.GONE:
        message = f"That submission of {model} was {artefact.state}, so its answers are not to be used. Name another."
        yield Problem(code=f"base_{artefact.state}", field=pairs.FIELD, message=message)


def _cycle_problems(user: User, submission: Submission, base: str) -> Iterator[Problem]:
    named = find(user, submission.release, base)
    at = named[1] if named else None
    seen: list[Submission] = []
    while at is not None and len(seen) < LONGEST_CHAIN:
        if at.pk == submission.pk:
            chain = " → ".join(str(each.model) for each in (*seen, at))
            message = (
                "A submission cannot be its own base. Name what it was tuned from." if not seen else
                f"{seen[0].model} goes back to this submission already ({chain}). Name what came before it."
            )  # fmt: skip
            yield Problem(code="base_cycle", field=pairs.FIELD, message=message)
            return
        seen.append(at)
        link = BaseLink.objects.filter(submission=at, superseded_at=None).select_related("base__model").first()
        at = link.base if link else None


def target_problems(release: Release, target: Collection[str]) -> Iterator[Problem]:
    """What is wrong with a target domain on `release`; none at all is fine."""
    if not target:
        return
    try:
        parsed = parse_target(target)
        known: dict[str, set[str]] = {}
        for split in release.info["splits"]:
            for facet, values in known_values(release.summary, Split(split)).items():
                known.setdefault(facet, set()).update(values)
        check_target(parsed, known)
        if parsed:
            target_rows(key_index(release, info_from_json(release.info).default_split), parsed)
    except InputError as error:
        yield from error.problems
