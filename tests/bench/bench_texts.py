"""Embedding the option texts of a demo release: each distinct text once, like lengths together, without padding; beside
embedding the options of every question in batches of the whole context. `python -m tests.bench.bench_texts`.

The loop runs on every n-th batch only; its time is scaled up to all of them. Rounds alternate; medians count.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from evaluator.answering.contrastive import embed_texts
from evaluator.answering.progress import StageClock
from evaluator.answering.settings import BATCH_SIZES
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import prepare_device
from evaluator.encoders.open_clip import Encoder, load_encoder, match_architecture
from evaluator.encoders.registry import get_architecture
from evaluator.weights.checkpoint import open_checkpoint
from tests.bench.bench_answering import Setting, prepare
from tests.builders.weights import TINY

SHARE = 0.9  # of instances / distinct texts
TRIM_GOAL = 1.5
TOLERANCE = 1e-5
ROUNDS = 3
LOOPED_BATCHES = 10


def main() -> None:
    """Measure both and print them beside the goals; raises when an embedding differs."""
    with tempfile.TemporaryDirectory() as folder:
        setting = prepare(Path(folder))
        encoder = load(setting)
    texts, size = setting.asked.texts, BATCH_SIZES["cpu"].texts
    instances = [texts[i] for i in setting.asked.text_of]
    starts = np.linspace(0, len(instances) - size, LOOPED_BATCHES, dtype=int)
    lengths = np.array([encoder.n_tokens(text) for text in texts])
    difference = np.abs(fast(encoder, texts, lengths, size) - padded(encoder, texts, size)).max()
    if difference > TOLERANCE:
        raise AssertionError(f"embeddings differ by {difference}")
    ours, whole, looped = [], [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: fast(encoder, texts, lengths, size)))
        whole.append(seconds(lambda: padded(encoder, texts, size)))
        loop_s = seconds(lambda: [padded(encoder, instances[at : at + size], size) for at in starts])
        looped.append(loop_s * len(instances) / (size * LOOPED_BATCHES))
    dedup = len(instances) / len(texts)
    total = median(b / a for a, b in zip(ours, looped, strict=True))
    trim = median(b / a for a, b in zip(ours, whole, strict=True))
    print(f"  {len(instances):,} options, {len(texts):,} distinct; largest difference {difference:.1e}")
    print(f"  every option, whole context    {median(looped):8.2f} s")
    print(f"  distinct, whole context        {median(whole):8.2f} s")
    goal = SHARE * dedup
    print(f"  distinct, by length, trimmed   {median(ours):8.2f} s   {total:7.0f} ×   goal ≥ {goal:.0f} ×   "
          f"{'met' if total >= goal else 'MISSED'}")  # fmt: skip
    print(f"  of which trimming              {trim:19.1f} ×   goal ≥ {TRIM_GOAL} ×   "
          f"{'met' if trim >= TRIM_GOAL else 'MISSED'}")  # fmt: skip


def load(setting: Setting) -> Encoder:
    architecture = get_architecture(TINY)
    with open_checkpoint(setting.weights) as file:
        keys = match_architecture(file, architecture)
        return load_encoder(file, keys, architecture, device=prepare_device(Device.CPU), precision=Precision.FP32)


def fast(encoder: Encoder, texts: list[str], lengths: np.ndarray, size: int) -> np.ndarray:
    """The evaluator's own stage."""
    return embed_texts(encoder, texts, lengths, size, StageClock(None))


def padded(encoder: Encoder, texts: list[str], size: int) -> np.ndarray:
    """Batches in the order given, every text padded to the whole context, by open_clip alone."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), size):
            parts.append(encoder.model.encode_text(encoder.tokenizer(texts[start : start + size]), normalize=True))
    return torch.cat(parts).numpy()


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
