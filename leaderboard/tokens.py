"""API tokens. In: a person and a name; out: the token's text, once. Knox keeps only its digest."""

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from knox.models import AuthToken

from evaluator.errors import InputError
from leaderboard.models import TokenName, User

MOST_TOKENS = 20  # per person


def create(user: User, name: str, lifetime: timedelta) -> str:
    """A new token; the text is shown to its owner once and never again. Raises InputError at MOST_TOKENS."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if AuthToken.objects.filter(user=user).count() >= MOST_TOKENS:
            raise InputError.single("too_many_tokens", f"You have {MOST_TOKENS} tokens: revoke one first.")
        token, text = AuthToken.objects.create(user, expiry=lifetime)
        TokenName.objects.create(token=token, name=name)
    return text


def owned_by(user: User) -> QuerySet[TokenName]:
    """The person's tokens, latest first."""
    return TokenName.objects.filter(token__user=user).select_related("token").order_by("-token__created")


def revoke(user: User, pk: int) -> bool:
    """End a token at once; False when the person has none of this number."""
    found = owned_by(user).filter(pk=pk).first()
    if found is None:
        return False
    found.token.delete()
    return True
