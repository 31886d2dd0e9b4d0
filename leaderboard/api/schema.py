"""The OpenAPI description: what every endpoint may refuse with, and how people authenticate."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from leaderboard.api.serializers import RefusalSerializer


def refusals(*codes: int) -> dict[int, type[RefusalSerializer]]:
    """The refusals of an endpoint; all have one shape."""
    return {code: RefusalSerializer for code in codes}


class KnoxScheme(OpenApiAuthenticationExtension):
    """`Authorization: Token …`."""

    target_class = "knox.auth.TokenAuthentication"
    name = "token"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """As an API key in a header, because the scheme word is Token."""
        return {
            "type": "apiKey", "in": "header", "name": "Authorization", "description": "Token, a space, your API token",
        }  # fmt: skip
