"""What is asked of a child and what comes back. Values only; `release` and `weights` are the parent's paths."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluator.answering.embeddings import Embeddings
from evaluator.answers import Protocol
from evaluator.encoders.choices import Device, Precision
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split


@dataclass(frozen=True, kw_only=True)
class AnswerJob:
    """One split, one checkpoint. Of `release` the child gets the split's images and questions, as open files."""

    release: Path
    split: Split
    weights: Path  # a safetensors file, the index beside its shards, or the weights of an adapter beside its config
    architecture: str  # a registered name
    base: Path | None = None  # what an adapter stands on
    weights_sha256: str | None = None  # of what was validated, see `set_digest`
    protocol: Protocol | None = None  # None: the family's own, see `default_protocol`
    device: Device = Device.AUTO
    precision: Precision = Precision.FP32
    blank_images: bool = False  # a grey image in place of each, see evaluator.pixels.blank
    timeout_s: float = 7200.0
    cache: PixelCache = field(default_factory=PixelCache)


@dataclass(frozen=True, kw_only=True)
class ChildAnswers:
    """Checked against the questions: exactly the rows asked, in canonical order. embeddings: None where the family has
    none. run: the content of run.json."""

    answers: pa.Table
    embeddings: Embeddings | None
    run: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """Some splits, answered at every α between two checkpoints of one architecture, α = 0 the base and 1 the tuned."""

    release: Path
    splits: tuple[Split, ...]  # each once
    base: Path  # as AnswerJob.weights
    tuned: Path
    architecture: str  # a registered name, the tuned model's
    alphas: tuple[float, ...]  # see `check_alphas`
    base_base: Path | None = None  # what an adapter stands on
    tuned_base: Path | None = None
    base_sha256: str | None = None  # of what was validated, see `set_digest`
    tuned_sha256: str | None = None
    protocol: Protocol | None = None  # None: the family's own, see `default_protocol`
    device: Device = Device.AUTO
    precision: Precision = Precision.FP32
    timeout_s: float = 21_600.0
    cache: PixelCache = field(default_factory=PixelCache)


@dataclass(frozen=True, kw_only=True)
class ChildSweep:
    """Checked against the questions: SWEEP, the rows asked in canonical order, split by split and α by α, at every α
    that run["broken"] does not name. run: the content of run.json."""

    answers: pa.Table
    run: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MergePart:
    """One checkpoint of a merge, and its share."""

    path: Path  # as AnswerJob.weights
    weight: float
    base: Path | None = None  # what an adapter stands on
    sha256: str | None = None  # of what was validated, see `set_digest`


@dataclass(frozen=True, kw_only=True)
class MergeJob:
    """Checkpoints of one architecture whose weighted mean is wanted: base, then tuned, or a soup. Weights sum to 1."""

    parts: tuple[MergePart, ...]
    architecture: str  # a registered name
