"""architecture.json, the organisers' own words on a placed architecture. In: JSON; out: Description. Torch-free."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from evaluator.architectures.architecture import Family, Library, Preprocessing
from evaluator.architectures.open_clip_config import PREPROCESS_FIELDS
from evaluator.architectures.processor_config import CODE, FIELD, three_numbers
from evaluator.errors import ProblemLog
from evaluator.pixels.recipe import Centre, Fit

FILE = "architecture.json"
MOST_TEXT = 2_000


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is stated; None is derived from the folder's other files. preprocessing: fields of Preprocessing."""

    family: Family
    library: Library
    parameters: int
    activation: str | None = None
    image_px: int | None = None
    context_length: int | None = None
    preprocessing: Mapping[str, Any]
    twin: str | None = None
    notes: str | None = None


def read_description(content: Mapping[str, Any], log: ProblemLog) -> Description | None:
    """Read strictly: unknown keys and wrong types are problems. None when `log` says what is wrong."""
    stated = _read_fields(content, FIELDS, log, FILE)
    overrides = content.get("preprocessing", {})
    if isinstance(overrides, dict):
        preprocessing = _read_fields(overrides, PREPROCESSING, log, f"{FILE}: preprocessing")
    else:
        log.add(CODE, f"{FILE}: preprocessing is not a JSON object.", field=FIELD)
    for key in ("family", "library", "parameters"):
        if key not in content:
            log.add(CODE, f"{FILE} does not state {key}.", field=FIELD)
    return None if log else Description(**stated | {"preprocessing": preprocessing})


def read_preprocess_cfg(values: Mapping[str, Any], log: ProblemLog, where: str) -> Preprocessing:
    """An open_clip preprocess_cfg, strictly; what it does not state is CLIP's, as open_clip has it."""
    stated = {key: value for key, value in values.items() if key in OPEN_CLIP and value is not None}
    for key, usual in (("fill_color", 0), ("mode", "RGB")):
        if values.get(key) not in (None, usual):
            log.add(
                CODE, f"{where} has the {key} {str(values[key])[:60]!r}, which is not reproduced here.", field=FIELD
            )
    found = _read_fields(stated, OPEN_CLIP, log, f"{where}: preprocess_cfg")
    return Preprocessing() if log else Preprocessing(**found)


Reader = tuple[Callable[[Any], Any], str]  # gives None for what it does not accept; what it does accept, in words


def _one_of(names: list[str]) -> Reader:
    return lambda value: value if isinstance(value, str) and value in names else None, f"one of {', '.join(names)}"


def _enum(kind: type[Family] | type[Library]) -> Reader:
    read, words = _one_of([member.value for member in kind])
    return lambda value: kind(value) if read(value) else None, words


def _whole(most: int) -> Reader:
    return (
        lambda value: value if type(value) is int and 0 < value <= most else None,
        f"a whole number from 1 to {most:,}",
    )


TEXT: Reader = (
    lambda value: value if isinstance(value, str) and 0 < len(value) <= MOST_TEXT else None,
    f"text of at most {MOST_TEXT:,} characters",
)
THREE: Reader = (three_numbers, "a list of three numbers")
ABOVE_0: Reader = (
    lambda value: found if (found := three_numbers(value)) and min(found) > 0 else None,
    "a list of three numbers above 0",
)
FIELDS: dict[str, Reader] = {
    "family": _enum(Family), "library": _enum(Library), "parameters": _whole(10**13), "activation": TEXT,
    "image_px": _whole(4096), "context_length": _whole(10**7), "twin": TEXT, "notes": TEXT,
    "preprocessing": (lambda value: value, ""),
}  # fmt: skip
PREPROCESSING: dict[str, Reader] = {
    "mean": THREE, "std": ABOVE_0, "resize_px": _whole(4096), "resize_mode": _one_of([fit.value for fit in Fit]),
    "interpolation": _one_of([name.name.lower() for name in Image.Resampling]),
    "centre": _one_of([centre.value for centre in Centre]),
}  # fmt: skip
OPEN_CLIP = {name: PREPROCESSING[name] for name in PREPROCESS_FIELDS} | {
    "interpolation": _one_of(["bilinear", "bicubic"])
}


def _read_fields(
    content: Mapping[str, Any], fields: Mapping[str, Reader], log: ProblemLog, where: str
) -> dict[str, Any]:
    found = {}
    for key, value in content.items():
        if key not in fields:
            log.add(CODE, f"{where} has the unknown key {key[:60]!r}; known are {', '.join(fields)}.", field=FIELD)
            continue
        read, words = fields[key]
        found[key] = read(value)
        if found[key] is None:
            log.add(CODE, f"{where}: {key} is {str(value)[:60]!r}; it must be {words}.", field=FIELD)
    return found
