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
