"""How a submission was run, in words. In: a Run; out: (name, sentence) pairs; nothing for what was not recorded."""

from collections.abc import Iterator

from leaderboard.numbers import count, duration, percent, size
from leaderboard.runs import Run

Fact = tuple[str, str]


def cost(run: Run | None) -> list[Fact]:
    """What it takes to run the model: device, speed, memory, precision."""
    return list(_cost(run)) if run else []


def course(run: Run | None) -> list[Fact]:
    """All of `cost`, and what happened on the way."""
    return [*cost(run), *_happened(run)] if run else []


def _cost(run: Run) -> Iterator[Fact]:
    if run.device:
        yield "device", f"{run.device}, driver {run.driver}" if run.driver else run.device
    if run.images_per_s:
        yield "speed", f"{_rate(run.images_per_s)} images/s"
    if run.peak_memory_bytes:
        yield "peak memory", f"{size(run.peak_memory_bytes)} {'of the GPU' if run.device_kind == 'cuda' else 'of RAM'}"
    if run.precision:
        yield "precision", run.precision if run.official_precision else _reduced(run)


def _reduced(run: Run) -> str:
    words = f"{run.precision}, not the official fp32"
    if run.agreement is None:
        return f"{words}; not compared with a run in fp32"
    return f"{words}; {percent(run.agreement.share)} % of {count(run.agreement.rows)} choices are those of fp32"


def _happened(run: Run) -> Iterator[Fact]:
    if run.seconds is not None:
        yield "time", duration(run.seconds)
    if cut := run.counts.get("truncated_texts"):
        yield "cut texts", f"{count(cut)} of {count(run.counts.get('texts'))} texts were longer than the context"
    if unparsed := run.counts.get("unparsed_replies"):
        yield "unparsed replies", f"{count(unparsed)} named no single option and count as wrong"
    if unfinished := run.counts.get("unfinished_replies"):
        yield "unfinished replies", f"{count(unfinished)} were cut at the longest reply allowed"
    if batch := run.counts.get("image_batch"):
        yield "batch", f"{count(batch)} image{'' if batch == 1 else 's'} at a time"
    if run.resumed_at:
        yield "resumed", f"an interruption on our side; {count(run.resumed_at)} images had been done and were kept"


def _rate(images_per_s: float) -> str:
    return count(images_per_s) if images_per_s >= 100 else f"{images_per_s:.1f}"
