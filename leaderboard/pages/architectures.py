"""The register of architectures. In: a query string; out: what each one is and what it does with an image."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.registry import get_architecture, list_architectures
from leaderboard import architectures as register


@require_safe
@gzip_page  # Django pads the answer against length attacks on what it reflects
def architectures(request: HttpRequest) -> HttpResponse:
    """Every architecture that a checkpoint may name, narrowed by `?family=` and `?search=`."""
    family, search = request.GET.get("family", ""), request.GET.get("search", "").strip()
    everything = list_architectures()
    names = {found.name for found in everything}
    found = register.find(family=family, search=search, among=everything)
    context = {
        "rows": [_row(each, names) for each in found], "total": len(everything),
        "families": register.families(everything), "family": family, "search": search,
        "longest_search": register.LONGEST_SEARCH,
    }  # fmt: skip
    return render(request, "architectures/architectures.html", context)


@require_safe
def chosen(request: HttpRequest) -> HttpResponse:
    """What the submit form says of the architecture just chosen in it. Raises InputError for an unknown one."""
    name = request.GET.get("architecture", "")
    return render(request, "architectures/_chosen.html", chosen_context(get_architecture(name) if name else None))


def chosen_context(found: Architecture | None) -> dict[str, Any]:
    """What `_chosen.html` shows: the architecture and its twin."""
    return {"architecture": found, "twin": register.twin_of(found) if found else None}


def _row(found: Architecture, names: set[str]) -> dict[str, Any]:
    """An architecture with its preprocessing in two parts: what happens to the shape, and to the values."""
    shape, _, values = str(found.preprocessing).removeprefix("RGB, ").partition(", mean ")
    return {
        "found": found, "twin": found.twin if found.twin in names else "", "library": register.library_of(found),
        "shape": shape, "values": values and f"mean {values}",
    }  # fmt: skip
