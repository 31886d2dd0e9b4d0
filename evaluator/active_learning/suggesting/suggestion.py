"""What to label next, as values. In: nothing; out: Suggestion, which crosses pipes as JSON. Torch-free."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from evaluator.active_learning.names import HeadKind, Strategy


class Basis(StrEnum):
    """What the choice could stand on: nothing but the images, labels of one class alone, or of several."""

    IMAGES = "images"
    ONE_CLASS = "one class"
    CLASSES = "classes"


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One image to label. group: 1 … k of all images by likeness, the largest first, with `members` images; typicality:
    the share of members at least as far from the group's middle, 1 for the most typical. From a head, None without one:
    guess: its class; disagreement: the share of passes with dropout that give another class; lead: of its class over
    the second in probability."""

    id: str
    group: int
    members: int
    typicality: float
    guess: str | None = None
    disagreement: float | None = None
    lead: float | None = None


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """picks: in the order in which to label them. labelled: images by class, of `images` in all."""

    basis: Basis
    strategy: Strategy
    head: HeadKind
    seed: int
    images: int
    labelled: Mapping[str, int]
    picks: tuple[Pick, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)


def suggestion_from(content: Mapping[str, Any]) -> Suggestion:
    """The inverse of `as_dict`. Raises KeyError, TypeError or ValueError for anything else."""
    return Suggestion(
        basis=Basis(content["basis"]), strategy=Strategy(content["strategy"]), head=HeadKind(content["head"]),
        seed=int(content["seed"]), images=int(content["images"]), labelled=dict(content["labelled"]),
        picks=tuple(Pick(**pick) for pick in content["picks"]),
    )  # fmt: skip
