"""What every page's frame shows. In: a request; out: names, places, the reader's choice of colours. No query."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

THEME_COOKIE = "theme"
THEMES = ("auto", "light", "dark")
PLACES = (("Boards", "home"), ("Models", "models"), ("Submit", "submit"), ("Label next", "suggest"), ("Rules", "rules"))


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor of all templates."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return {
        "site_name": settings.SITE_NAME,
        "themes": THEMES,
        "theme": theme if theme in ("light", "dark") else "",
        "places": [
            {"name": name, "url": reverse(address), "here": request.path == reverse(address)}
            for name, address in PLACES
        ],
    }
