"""What answering a split gives, whatever the family. Torch-free."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of `rows` rows that were answered in float32 too, the share with the same choice."""

    rows: int
    same_choice: float


@dataclass(frozen=True, kw_only=True)
class Answered:
    """answers: ANSWERS, one row per row asked, in canonical order. embeddings (items, d): unit-length float32, in items
    order; None for families that have none. counts: what is worth knowing of the run, by a stable name. how: what the
    family did beyond the run's settings, for run.json. agreement: of a run in lower precision."""

    answers: pa.Table
    embeddings: np.ndarray | None = None
    counts: dict[str, int] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)
    agreement: Agreement | None = None
