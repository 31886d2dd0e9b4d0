"""The register of architectures as readers ask for it. In: a family and words; out: architectures, twins, sentences."""

from collections.abc import Iterable

from evaluator.encoders.architecture import Architecture
from evaluator.encoders.registry import get_architecture, list_architectures
from evaluator.errors import InputError

LONGEST_SEARCH = 80


def find(*, family: str = "", search: str = "") -> list[Architecture]:
    """The architectures of a family whose facts hold every word of `search`, by name. Empty arguments ask for all.

    Raises InputError `unknown_family`, `search_too_long`.
    """
    registered = list_architectures()
    known = families(registered)
    if family and family not in known:
        message = f"No architecture is of the family {family[:40]!r}; choose one of {', '.join(known)}."
        raise InputError.single("unknown_family", message, field="family")
    if len(search) > LONGEST_SEARCH:
        message = f"Search for at most {LONGEST_SEARCH} characters."
        raise InputError.single("search_too_long", message, field="search")
    words = search.lower().split()
    return [
        found for found in registered
        if family in ("", found.family) and all(word in _text(found) for word in words)
    ]  # fmt: skip


def families(registered: Iterable[Architecture] | None = None) -> list[str]:
    """The families that occur."""
    return sorted({str(found.family) for found in registered or list_architectures()})


def registered_or_none(name: str) -> Architecture | None:
    """The architecture of this name; None when it is empty or no longer registered."""
    try:
        return get_architecture(name) if name else None
    except InputError:
        return None


def twin_of(found: Architecture) -> Architecture | None:
    """The architecture with the same tensors and another activation: a file of one loads as the other, and scores
    differ."""
    return registered_or_none(found.twin or "")


def _text(found: Architecture) -> str:
    facts = (found.name, found.family, found.library, found.activation, f"{found.image_px} px", found.preprocessing)
    return " ".join(map(str, facts)).lower()
