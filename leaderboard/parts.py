"""What an unfinished run gave so far, so that the next one goes on there. In: parts of a claim; out: rows in Postgres.

Written under the claim's token, like everything else of a run, and gone with its end.
"""

import logging

from django.db import DatabaseError, connection, transaction

from evaluator.answering.parts import Part, without_gaps
from leaderboard.models import Evaluation, EvaluationPart
from leaderboard.queue.claims import Claim
from leaderboard.states import TransitionRefused

log = logging.getLogger(__name__)


def kept_parts(evaluation: Evaluation, fingerprint: str) -> tuple[Part, ...]:
    """The parts of earlier runs that a run with this fingerprint may go on from."""
    rows = EvaluationPart.objects.filter(evaluation=evaluation, fingerprint=fingerprint)
    return without_gaps(Part(start=row.start, stop=row.stop, content=bytes(row.content)) for row in rows)


def keep_part(claim: Claim, fingerprint: str, part: Part) -> None:
    """Store one part. Raises TransitionRefused when the claim is lost; a lost database loses only the part."""
    try:
        with transaction.atomic():
            if not claim.held().select_for_update(no_key=True).exists():
                raise TransitionRefused(f"{claim.pk} is no longer held with token {claim.token}")
            EvaluationPart.objects.filter(evaluation_id=claim.pk).exclude(
                fingerprint=fingerprint, stop__lte=part.start
            ).delete()  # what this run did not go on from
            EvaluationPart.objects.create(
                evaluation_id=claim.pk, fingerprint=fingerprint, start=part.start, stop=part.stop,
                content=part.content,
            )  # fmt: skip
    except DatabaseError as error:
        log.warning("part %d to %d of %s: %s", part.start, part.stop, claim.pk, error)
        connection.close()


def drop_parts(evaluation: Evaluation) -> None:
    """Delete what is kept of an evaluation that came to its end."""
    EvaluationPart.objects.filter(evaluation=evaluation).delete()
