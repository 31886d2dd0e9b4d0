"""What a board column is called. In: question kinds and dataset names; out: slugs, titles, taxonomy groups, facets.

Knows the 25 datasets of µ-Bench (data/datasets.json); a dataset it does not know gets a title from its name.
"""

import json
import math
import re
from functools import cache
from importlib import resources
from typing import Any

from evaluator.release.schema import CLASSIFICATION, COARSE_KINDS, COGNITION, LOCALISATION, DatasetInfo

OTHER_TAXONOMY = "other"
# Board addresses that a dataset's own slug must not take.
RESERVED_SLUGS = frozenset({
    "overall", "coarse", "fine", "pooled", "pooled-coarse", "pooled-fine", COGNITION,
    *(f"coarse-{kind}" for kind in COARSE_KINDS), LOCALISATION, "forgetting", "label-efficiency", "strategies",
})  # fmt: skip
LOCALISATION_PREFIX = f"{LOCALISATION}-"  # nor may it begin so
SCALES = (
    (0.01, "below 0.01 µm per pixel"),
    (0.1, "0.01 to 0.1 µm per pixel"),
    (1.0, "0.1 to 1 µm per pixel"),
    (math.inf, "1 µm per pixel and above"),
)


def task_slug(question: str, dataset: str) -> str:
    """The task that a question counts for: `coarse-<kind>`, `<dataset slug>`, `localisation-<dataset slug>` or
    `cognition`. Raises ValueError."""
    if question in COARSE_KINDS:
        return f"coarse-{question}"
    if question == CLASSIFICATION:
        return dataset_slug(dataset)
    if question == LOCALISATION:
        return LOCALISATION_PREFIX + dataset_slug(dataset)
    if is_cognition_kind(question):
        return COGNITION
    raise ValueError(f"no task for questions of kind {question!r}")


def dataset_slug(dataset: str) -> str:
    """The dataset's name as it stands in an address: itself where its letters allow it (`bccd_cells`)."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", dataset).strip("-")


def is_reserved_slug(slug: str) -> bool:
    """Whether a board other than a dataset's own has, or may have, this address."""
    return slug in RESERVED_SLUGS or slug.startswith(LOCALISATION_PREFIX)


def is_question_kind(name: str) -> bool:
    """Whether a benchmark may state questions of this kind. Localisation is made from boxes, never stated."""
    return name in COARSE_KINDS or name == CLASSIFICATION or is_cognition_kind(name)


def is_cognition_kind(name: str) -> bool:
    """Whether questions of this kind belong to the cognition set: `cognition_0`, `cognition_1`, …"""
    return re.fullmatch(rf"{COGNITION}_\d+", name, re.ASCII) is not None


def task_title(task: str, datasets: dict[str, DatasetInfo]) -> str:
    """The task's name on pages. `datasets`: the release's, by dataset name."""
    if task == COGNITION:
        return "Cognition"
    if task.startswith("coarse-"):
        return task.removeprefix("coarse-").capitalize()
    titles = {dataset_slug(name): info.title for name, info in datasets.items()}
    if task.startswith(LOCALISATION_PREFIX):
        return f"{titles[task.removeprefix(LOCALISATION_PREFIX)]}: localisation"
    return titles[task]


def describe_dataset(name: str) -> DatasetInfo:
    """Title, taxonomy group and attribution of a dataset, without licences, which a release states itself."""
    known = _known()["datasets"].get(name)
    if known is None:
        return DatasetInfo(title=_title_from_name(name), taxonomy=OTHER_TAXONOMY)
    return DatasetInfo(title=known["title"], taxonomy=known["taxonomy"], attribution=known["attribution"])


def studies() -> tuple[tuple[str, ...], ...]:
    """Groups of known datasets that come from one study each and so may share one vote in the macro mean."""
    return tuple(tuple(group) for group in _known()["studies"])


def scale_facet(microns_per_pixel: float | None) -> str | None:
    """The scale bin of an image, by decades of pixel size in µm; None when not stated or not a positive number."""
    if microns_per_pixel is None or not math.isfinite(microns_per_pixel) or microns_per_pixel <= 0:
        return None
    return next(label for bound, label in SCALES if microns_per_pixel < bound)


@cache
def _known() -> dict[str, Any]:
    return json.loads(resources.files("evaluator.release").joinpath("data/datasets.json").read_text("utf-8"))


def _title_from_name(name: str) -> str:
    """`bccd_cells` reads "BCCD cells": a first word that cannot be pronounced is an abbreviation."""
    first, *rest = re.split(r"[_\s]+", name.strip("_ ")) or [name]
    return " ".join([first.upper() if not re.search("[aeiouy]", first) else first[:1].upper() + first[1:], *rest])
