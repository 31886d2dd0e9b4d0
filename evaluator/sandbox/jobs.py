"""What is asked of a child and what comes back. Values only; `release` and `weights` are the parent's paths."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluator.answering.embeddings import Embeddings
from evaluator.answers import Protocol
from evaluator.encoders.choices import Device, Precision
from evaluator.release.schema import Split


@dataclass(frozen=True, kw_only=True)
class AnswerJob:
    """One split, one checkpoint. `release` is a view (evaluator.release.view): all that is in it, the child may see."""

    release: Path
    split: Split
    weights: Path  # a safetensors file, the index beside its shards, or the weights of an adapter beside its config
    architecture: str  # a registered name
    base: Path | None = None  # what an adapter stands on
    weights_sha256: str | None = None  # of what was validated, see `set_digest`
    protocol: Protocol = Protocol.CAPTIONS
    device: Device = Device.AUTO
    precision: Precision = Precision.FP32
    timeout_s: float = 7200.0


@dataclass(frozen=True, kw_only=True)
class ChildAnswers:
    """Checked against the questions: exactly the rows asked, in canonical order. run: the content of run.json."""

    answers: pa.Table
    embeddings: Embeddings
    run: dict[str, Any]
