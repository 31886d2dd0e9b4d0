"""The target domain of a fine-tune. In: FACET=VALUE texts; out: a facet filter, and the question rows inside it.

Values of one facet are alternatives; different facets must all hold. Imports nothing that reads keys, so that those who
take submissions may read targets too.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluator.errors import InputError, Problem
from evaluator.release.schema import FACETS

Target = Mapping[str, tuple[str, ...]]


class Faceted(Protocol):
    """What a `KeyIndex` says of the facets of its question rows."""

    @property
    def split(self) -> str: ...

    @property
    def facets(self) -> Mapping[str, object]: ...

    def rows_in(self, facets: Target, /) -> NDArray[np.bool_]: ...


def parse_target(parts: Iterable[str]) -> Target:
    """The filter that parts like `domain=pathology` state, facets and values in sorted order, each value once.

    Raises InputError (`target`) that names every part which is not FACET=VALUE or whose facet does not exist.
    """
    found: dict[str, set[str]] = {}
    problems = []
    for part in parts:
        facet, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not facet or not value:
            message = f"{part!r} is not of the form FACET=VALUE. Write, for example, domain=pathology."
            problems.append(Problem(code="target", message=message, field="target"))
        elif facet not in FACETS:
            problems.append(_unknown_facet(facet, FACETS))
        else:
            found.setdefault(facet, set()).add(value)
    if problems:
        raise InputError(problems)
    return {facet: tuple(sorted(found[facet])) for facet in sorted(found)}


def check_target(target: Target, known: Mapping[str, Collection[str]]) -> None:
    """Raise InputError for every facet (`target`) and value (`target_unknown_value`) that `known` does not have."""
    problems = []
    for facet, values in target.items():
        if facet not in known:
            problems.append(_unknown_facet(facet, known))
            continue
        for value in values:
            if value not in known[facet]:
                there = ", ".join(sorted(known[facet])) or "none is stated"
                message = f"No image has {facet} = {value}. Choose one of its values here: {there}."
                problems.append(Problem(code="target_unknown_value", message=message, field="target"))
    if problems:
        raise InputError(problems)


def target_rows(index: Faceted, target: Target) -> NDArray[np.bool_]:
    """(n,) the question rows inside `target`.

    Raises InputError: `target_matches_nothing` when no image is inside, `target_matches_everything` when none is
    outside, `target` for a facet that does not exist.
    """
    if unknown := [facet for facet in target if facet not in index.facets]:
        raise InputError([_unknown_facet(facet, index.facets) for facet in unknown])
    inside = index.rows_in(target)
    if not inside.any():
        raise InputError.single(
            "target_matches_nothing",
            f"No image of split {index.split} is inside the target domain ({target_text(target)}). Different facets "
            "must all hold: name fewer of them, or more values of one.", field="target",
        )  # fmt: skip
    if inside.all():
        raise InputError.single(
            "target_matches_everything",
            f"Every image of split {index.split} is inside the target domain ({target_text(target)}), so nothing is "
            "left to forget. Name a narrower domain, or none.", field="target",
        )  # fmt: skip
    return inside


def target_text(target: Target) -> str:
    """The filter in words: `domain = pathology, stain = H&E or IHC`."""
    return ", ".join(f"{facet} = {' or '.join(values)}" for facet, values in target.items()) or "no facet named"


def target_document(target: Target | None) -> dict[str, list[str]] | None:
    """The filter as documents show it; None where none was declared."""
    return {facet: sorted(target[facet]) for facet in sorted(target)} if target else None


def _unknown_facet(facet: str, known: Iterable[str]) -> Problem:
    message = f"There is no facet {facet}. Choose one of {', '.join(known)}."
    return Problem(code="target", message=message, field="target")
