"""What a run cost and how it went, as readers may know it. In: Evaluation.run (run.json); out: Run, or JSON of it.

A field that a run did not record is None and is not shown. Worker and host names are never in it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a run of reduced precision chose as the one in fp32 did."""

    rows: int
    share: float  # of `rows`, 0–1


@dataclass(frozen=True, kw_only=True)
class Run:
    """The readable part of run.json."""

    device: str | None  # the GPU's model, or cpu with its number of threads
    device_kind: str | None  # cpu or cuda
    driver: str | None
    precision: str | None
    official_precision: bool
    agreement: Agreement | None
    images_per_s: float | None
    peak_memory_bytes: int | None  # of the GPU where there was one, else of the process
    seconds: float | None
    resumed_at: int | None  # images that an interrupted run had done already
    counts: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same, flat and explicit."""
        return asdict(self)


def read_run(run: Mapping[str, Any]) -> Run | None:
    """The readable part of a run.json; None where no model ran, as for prediction files."""
    device = run.get("device")
    if not isinstance(device, Mapping):
        return None
    seconds = run.get("seconds") or {}
    return Run(
        device=device.get("name"), device_kind=device.get("kind"), precision=run.get("precision"),
        driver=device.get("driver") if device.get("kind") == "cuda" else None,
        official_precision=run.get("official_precision") is not False, agreement=read_agreement(run.get("agreement")),
        images_per_s=run.get("images_per_s"), peak_memory_bytes=run.get("peak_memory_bytes"),
        seconds=seconds.get("total"), resumed_at=run.get("resumed_at"),
        counts={name: n for name, n in (run.get("counts") or {}).items() if isinstance(n, int)},
    )  # fmt: skip


def read_agreement(found: Any) -> Agreement | None:
    """`{rows, same_choice}` of a run.json, `same_choice` as a share of them; None where none were compared."""
    if not isinstance(found, Mapping) or not found.get("rows"):
        return None
    return Agreement(rows=found["rows"], share=found["same_choice"])


def reduced_precision(run: Mapping[str, Any]) -> str:
    """The precision of a run that was not the official one; empty for all others."""
    return str(run.get("precision") or "") if run.get("official_precision") is False else ""
