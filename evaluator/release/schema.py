"""What a release on disk holds. In: nothing; out: the names and shapes every reader and writer of a release agrees on.

Layout of a release folder (the key never stands in the public part):

    release.json                      ReleaseInfo
    items.parquet                     ITEMS      one row per image
    questions.parquet                 QUESTIONS  one row per (image, question, variant)
    images/<split>/*.png              pixels only, embedded metadata stripped
    packs/<split>.zip                 question packs (dev carries its key, test does not, sealed has none)
    keys/<split>.parquet (0600)       KEY        one row per image: facets, label, source, boxes, answers
"""

from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

SCHEMA = 1


class Split(StrEnum):
    """Who may see what: dev all public; test with a hidden key; sealed entirely hidden."""

    DEV = "dev"
    TEST = "test"
    SEALED = "sealed"

    @property
    def key_is_public(self) -> bool:
        return self is Split.DEV


COARSE_KINDS = ("modality", "submodality", "domain", "subdomain", "stain")
CLASSIFICATION = "classification"
LOCALISATION = "localisation"  # asks for boxes; its options are the classes that boxes may have
COGNITION = "cognition"  # questions of kind cognition_<i>, in question form only
FACETS = (
    "modality", "submodality", "domain", "subdomain", "stain", "scale", "organism", "synthetic", "taxonomy",
)  # fmt: skip

# `file` is relative to the release folder and lies under images/<split>/, so it names the split too.
ITEMS = pa.schema([
    ("dataset", pa.string()), ("image_id", pa.string()), ("file", pa.string()),
    ("width", pa.int32()), ("height", pa.int32()),
])  # fmt: skip

# variant: 0 and 1 are the two caption paraphrases, null is the question form. A localisation row has no text, and its
# options are every class of its dataset, in the same order for all its images.
QUESTIONS = pa.schema([
    ("dataset", pa.string()), ("image_id", pa.string()), ("question", pa.string()), ("variant", pa.int8()),
    ("text", pa.string()), ("options", pa.list_(pa.string())),
])  # fmt: skip

BOX = pa.struct([
    ("class", pa.string()), ("x1", pa.float64()), ("y1", pa.float64()), ("x2", pa.float64()), ("y2", pa.float64()),
])  # fmt: skip
KEY_ANSWER = pa.struct([("question", pa.string()), ("variant", pa.int8()), ("answer_idx", pa.int16())])
# image_id is the public (opaque, outside dev) id; original_id the benchmark's own.
KEY = pa.schema([
    ("dataset", pa.string()), ("image_id", pa.string()), ("original_id", pa.string()), ("source", pa.string()),
    *[(facet, pa.string()) for facet in FACETS],  # null = not stated; synthetic is "yes" / "no"
    ("label_name", pa.string()), ("institution", pa.string()), ("pmid", pa.string()), ("license", pa.string()),
    ("path", pa.string()), ("microns_per_pixel", pa.float64()),
    ("boxes", pa.list_(BOX)), ("answers", pa.list_(KEY_ANSWER)),
])  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SplitInfo:
    """Sizes of one split, safe to publish."""

    items: int
    questions: int  # rows of QUESTIONS in this split, all variants
    sources: int


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is said in public of one fine dataset (its name is public even in hidden splits)."""

    title: str  # task name in tables, e.g. "White blood cell"
    taxonomy: str  # taxonomy group of the fine task
    licenses: tuple[str, ...] = ()
    attribution: str = ""


@dataclass(frozen=True, kw_only=True)
class ReleaseInfo:
    """release.json. `hash` covers images, questions and splits, never the key: an erratum is a new key revision."""

    name: str
    version: str
    hash: str
    public_items: bool  # True when the items were already public elsewhere (the whole of µ-Bench's Hub release)
    splits: dict[Split, SplitInfo]
    source_rule: dict[str, str]  # dataset -> regex whose first group is the source; absent = image_id across datasets
    datasets: dict[str, DatasetInfo]
    vote_groups: tuple[tuple[str, ...], ...] = ()  # fine datasets of one study that share one vote in macro means
    notes: tuple[str, ...] = field(default=())  # what the importer changed or could not keep, one sentence each

    @property
    def default_split(self) -> Split:
        """The split that a reader sees first."""
        return next(split for split in (Split.TEST, Split.SEALED, Split.DEV) if split in self.splits)
