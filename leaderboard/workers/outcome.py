"""How a run that went well ends. In: a claim and what was stored; out: the evaluation answered, the scorer rung for."""

from typing import Any

from django.db import transaction

from leaderboard import parts, states
from leaderboard.models import Evaluation
from leaderboard.queue import Queue, dispatch
from leaderboard.queue.claims import Claim
from leaderboard.states import EvaluationState
from leaderboard.workers.presence import Presence


def answer_stored(evaluation: Evaluation, claim: Claim, *, run: dict[str, Any], **fields: Any) -> None:
    """The answers are safe: move on and forget the parts. Raises TransitionRefused when the claim is lost."""
    with transaction.atomic():
        states.advance_evaluation(
            evaluation, EvaluationState.ANSWERED, held_token=claim.token, attempts=0, run=run, progress={}, **fields
        )
        parts.drop_parts(evaluation)
        dispatch.ring(Queue.SCORE)
    if Presence.current:
        Presence.current.say(images_per_s=run["images_per_s"], peak_memory_bytes=run["peak_memory_bytes"])
