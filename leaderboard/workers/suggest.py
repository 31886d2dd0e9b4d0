"""Choosing images to label. In: what waits; out: one round done, refused, or put off. Opens no uploaded file itself."""

import logging
from contextlib import ExitStack

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.suggesting.suggestion import Suggestion as Suggested
from evaluator.errors import EvaluationFailed, InputError
from evaluator.sandbox import SuggestJob, suggest_in_child
from leaderboard import storage, suggestions
from leaderboard.models import Suggestion
from leaderboard.queue import dispatch

log = logging.getLogger(__name__)


def serve_next() -> bool:
    """Do the next round; False when none waits. A child that cannot be had leaves it for later."""
    row = suggestions.begin()
    if row is None:
        return False
    with transaction.atomic():  # holds the row: whoever dies lets go of it
        if not suggestions.hold(row):
            return True
        try:
            found, labels = _compute(row)
        except InputError as error:
            suggestions.refuse(row, error)
        except EvaluationFailed as error:
            _put_off(row, error)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("a bug or a broken machine stopped suggestion %s", row.pk)
        else:
            suggestions.finish(row, found, labels)
    return True


def _compute(row: Suggestion) -> tuple[Suggested, dict[str, str]]:
    with ExitStack() as stack:
        embeddings = stack.enter_context(storage.local_path(row.embeddings_sha256))
        labels = stack.enter_context(storage.local_path(row.labels_sha256)) if row.labels_sha256 else None
        job = SuggestJob(
            embeddings=embeddings, labels=labels, earlier=row.earlier, count=row.count,
            strategy=Strategy(row.strategy), seed=row.seed, limits=suggestions.LIMITS,
            timeout_s=settings.SUGGESTION_TIMEOUT_S,
        )  # fmt: skip
        return suggest_in_child(job, should_stop=dispatch.stopping.is_set)


def _put_off(row: Suggestion, error: EvaluationFailed) -> None:
    if error.code == "stopped":
        suggestions.put_back(row)
    elif error.code == "timeout":
        message = f"It took longer than {settings.SUGGESTION_TIMEOUT_S:.0f} s. Send fewer images, or ask for fewer."
        suggestions.refuse(row, InputError.single("timeout", message))
    elif not error.retry:
        suggestions.refuse(row, InputError.single(error.code, error.message))
    else:
        log.warning("suggestion %s will be tried again: %s", row.pk, error)
