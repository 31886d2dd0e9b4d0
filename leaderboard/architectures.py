"""The register of architectures as readers ask for it. In: a family and words; out: architectures, twins, sentences."""

from collections.abc import Iterable

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.registry import get_architecture, list_architectures, list_with_broken
from evaluator.errors import InputError

LONGEST_SEARCH = 80


def find(*, family: str = "", search: str = "", among: list[Architecture] | None = None) -> list[Architecture]:
    """The architectures of a family whose facts hold every word of `search`, by name. Empty arguments ask for all.

    among: the register, where it was read already. Raises InputError `unknown_family`, `search_too_long`.
    """
    registered = list_architectures() if among is None else among
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


def families(registered: Iterable[Architecture]) -> list[str]:
    """The families that occur."""
    return sorted({str(found.family) for found in registered})


def broken() -> dict[str, list[str]]:
    """What is wrong with folders that organisers placed and that cannot be used, by the folder's name."""
    _, wrong = list_with_broken()
    return {name: [problem.message for problem in error.problems] for name, error in wrong.items()}


def library_of(found: Architecture) -> str:
    """Whose classes it is built from, and which of them: 'open_clip', 'transformers, siglip'."""
    model_type = found.config.get("model_type")
    return f"{found.library}, {model_type}" if isinstance(model_type, str) else str(found.library)


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
    facts = (found.name, found.family, library_of(found), found.activation, f"{found.image_px} px",
             found.preprocessing, found.notes or "")  # fmt: skip
    return " ".join(map(str, facts)).lower()
