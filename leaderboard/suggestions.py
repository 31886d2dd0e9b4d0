"""Asking which images to label next. In: files and labels of a person; out: rounds, queued; and how they end.

A round has no lease: the worker that computes it holds its row locked, and the lock goes with the worker.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.suggesting.suggestion import Suggestion as Found
from evaluator.errors import InputError, Problem
from evaluator.suggest.labels import MAX_LABEL_CHARS
from evaluator.suggest.vectors import MIB, VectorLimits
from leaderboard import storage
from leaderboard.models import Suggestion, User
from leaderboard.models.suggestions import FRUITLESS, SuggestionState
from leaderboard.queue import Queue, dispatch
from leaderboard.uploads import Received

QUEUE = Queue.VALIDATE  # its worker has no key and hands strangers' files to sandboxed children, as here
SHOWN_PROBLEMS = 1_000
MAX_COUNT = 200
MAX_LABELS_FILE = 8 * MIB
WAITING_AT_ONCE = 3
LIMITS = VectorLimits(file_bytes=128 * MIB, unpacked_bytes=256 * MIB, rows=50_000)
GAVE_UP = "The server lost the worker that held it several times. It cost nothing: ask again, or tell the organisers."


class TooManyRounds(Exception):
    """Nothing more today, or not before one of those that wait is done; the sentence says which."""


def ask(
    user: User, *, name: str, embeddings: Received, labels: Received | None, count: int, strategy: Strategy
) -> Suggestion:
    """Queue the first round on these embeddings. Raises InputError with every problem that needs no worker to be found,
    TooManyRounds."""
    problems = [*_file_problems(embeddings, LIMITS.file_bytes, "embeddings"), *_labels_problems(labels)]
    problems += _count_problems(count)
    if problems:
        raise InputError(problems)
    blob = storage.put_received(embeddings)
    row = Suggestion(
        owner=user, name=name or embeddings.name[:120], embeddings_name=embeddings.name[:255],
        embeddings_sha256=blob.sha256, embeddings_size=blob.size, count=count, strategy=strategy,
    )  # fmt: skip
    return _queue(user, row, labels)


def ask_again(
    before: Suggestion, by: User, *, typed: Mapping[str, str], labels: Received | None, count: int, strategy: Strategy
) -> Suggestion:
    """Queue the round after `before`, its answers `typed` or sent as CSV; labels given again replace earlier ones.

    Raises InputError (`not_done`, `asked_already`, `no_new_labels` …), TooManyRounds.
    """
    problems = [*_labels_problems(labels), *_count_problems(count)]
    if before.state != SuggestionState.DONE:
        message = "This round has no list yet. Wait until it is done, then send its labels."
        problems.append(Problem(code="not_done", message=message))
    if not typed and labels is None:
        message = "No label was given. Write at least one, or send labels.csv filled in."
        problems.append(Problem(code="no_new_labels", message=message))
    if any(len(label) > MAX_LABEL_CHARS for label in typed.values()):
        message = f"A label has more than {MAX_LABEL_CHARS} characters. Shorten it."
        problems.append(Problem(code="label_too_long", message=message))
    if problems:
        raise InputError(problems)
    row = Suggestion(
        owner=before.owner, session=before.session, round=before.round + 1, name=before.name,
        embeddings_name=before.embeddings_name, embeddings_sha256=before.embeddings_sha256,
        embeddings_size=before.embeddings_size, earlier=before.labels | dict(typed), count=count, strategy=strategy,
    )  # fmt: skip
    try:
        return _queue(by, row, labels)
    except IntegrityError as error:
        message = "The next round was asked for already. Open it from the list of rounds."
        raise InputError.single("asked_already", message) from error


def left_today(user: User) -> int:
    """How many rounds the user may still ask for today."""
    return max(settings.SUGGESTIONS_PER_DAY - _spent(user), 0)


def rounds_of(row: Suggestion) -> list[Suggestion]:
    """All rounds of its session, in order."""
    return list(Suggestion.objects.filter(session=row.session).order_by("round").defer("document", "labels", "earlier"))


def written_before(row: Suggestion) -> dict[str, str]:
    """id → label of the latest try at the round after this one, if it was in vain: nobody writes labels twice."""
    tries = Suggestion.objects.filter(session=row.session, round=row.round + 1, state__in=FRUITLESS)
    return tries.order_by("-created_at").values_list("earlier", flat=True).first() or {}


def waiting() -> QuerySet[Suggestion]:
    """What a worker could take now, or holds."""
    due = Q(not_before=None) | Q(not_before__lte=Now())
    return Suggestion.objects.filter(due, state__in=(SuggestionState.QUEUED, SuggestionState.RUNNING))


def begin() -> Suggestion | None:
    """Take the next round for this worker, or None; one that was begun too often ends here instead."""
    while True:
        with transaction.atomic():
            row = waiting().select_for_update(skip_locked=True, no_key=True).order_by("created_at").first()
            if row is None:
                return None
            if row.attempts < settings.MAX_ATTEMPTS:
                row.attempts += 1
                rest = timedelta(seconds=settings.BACKOFF_S * 2 ** (row.attempts - 1))
                row.state, row.not_before = SuggestionState.RUNNING, None
                Suggestion.objects.filter(pk=row.pk).update(
                    state=row.state, attempts=row.attempts, not_before=Now() + rest
                )  # nobody else takes it meanwhile; if the worker dies, it comes back after that
                return row
            end(row, SuggestionState.FAILED, problems=[Problem(code="worker_lost", message=GAVE_UP)])


def hold(row: Suggestion) -> bool:
    """Lock the row to the end of the transaction; False when it ended, or another worker holds it."""
    mine = Suggestion.objects.filter(pk=row.pk, state=SuggestionState.RUNNING, attempts=row.attempts)
    return mine.select_for_update(skip_locked=True, no_key=True).exists()


def finish(row: Suggestion, found: Found, labels: Mapping[str, str]) -> None:
    """The round is done."""
    end(row, SuggestionState.DONE, document=found.as_dict(), labels=dict(labels))


def refuse(row: Suggestion, error: InputError) -> None:
    """Something is wrong with what was sent; it costs nothing."""
    end(row, SuggestionState.REFUSED, problems=error.problems, counts=error.counts)


def put_back(row: Suggestion) -> None:
    """The worker ends: the work is not to blame."""
    Suggestion.objects.filter(pk=row.pk).update(
        state=SuggestionState.QUEUED, attempts=row.attempts - 1, not_before=None
    )  # fmt: skip


def end(
    row: Suggestion, state: SuggestionState, *, problems: Any = (), counts: Mapping[str, int] | None = None,
    **fields: Any,
) -> None:  # fmt: skip
    """Write how a round ended."""
    told = [problem.as_dict() for problem in problems]
    counts = counts or {problem["code"]: 1 for problem in told}
    Suggestion.objects.filter(pk=row.pk).update(
        state=state, problems=told[:SHOWN_PROBLEMS], problem_counts=dict(counts), finished_at=Now(), **fields
    )


def _queue(user: User, row: Suggestion, labels: Received | None) -> Suggestion:
    if labels is not None:
        row.labels_sha256 = storage.put_received(labels).sha256
    with transaction.atomic():
        with connection.cursor() as cursor:  # one after the other, so that races cannot overspend
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"leaderboard.suggest.{user.pk}"])
        _require_room(user)
        row.save(force_insert=True)
        dispatch.ring(QUEUE)
    return row


def _require_room(user: User) -> None:
    """Staff are not limited."""
    if user.is_staff:
        return
    if not left_today(user):
        raise TooManyRounds(
            f"You have used your {settings.SUGGESTIONS_PER_DAY} rounds of today; the next one is allowed after 00:00 "
            "UTC (refused and failed ones cost nothing)."
        )
    if waiting().filter(owner=user).count() >= WAITING_AT_ONCE:
        raise TooManyRounds(f"{WAITING_AT_ONCE} of your rounds wait already. Ask again when one of them is done.")


def _spent(user: User) -> int:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Suggestion.objects.filter(owner=user, created_at__gte=midnight).exclude(state__in=FRUITLESS).count()


def _file_problems(file: Received, most: int, field: str) -> Iterator[Problem]:
    if not file.size:
        yield Problem(code="file_empty", field=field, message=f"{file.name} is empty: send it again.")
    elif file.too_large or file.size > most:
        message = f"{file.name} has more than {most // MIB} MiB: send a part of it."
        yield Problem(code="file_too_large", field=field, message=message)


def _labels_problems(labels: Received | None) -> Iterator[Problem]:
    if labels is not None:
        yield from _file_problems(labels, MAX_LABELS_FILE, "labels")


def _count_problems(count: int) -> Iterator[Problem]:
    if not 1 <= count <= MAX_COUNT:
        yield Problem(code="bad_count", field="count", message=f"Ask for 1 to {MAX_COUNT} images.")
