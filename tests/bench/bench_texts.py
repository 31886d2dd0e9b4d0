"""P4: embedding the option texts of a demo release: each distinct text once, like lengths together, without padding;
beside embedding the options of every question in batches of the whole context. `python -m tests.bench texts`.

The loop runs on every n-th batch only; its time is scaled up to all of them. Rounds alternate; medians count.
"""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

from evaluator.answering.families.contrastive import embed_texts
from evaluator.answering.progress import StageClock
from evaluator.answering.settings import BATCH_SIZES
from evaluator.architectures.architecture import Family
from evaluator.encoders.open_clip import OpenClipEncoder
from tests.bench.bench_answering import load, prepare
from tests.bench.table import compare

SHARE = 0.9  # of instances / distinct texts
TRIM_GOAL = 1.5
TOLERANCE = 1e-5
ROUNDS = 3
LOOPED_BATCHES = 10


def main() -> None:
    """Measure both and report them; raises when an embedding differs."""
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
    plain = open_clip.SimpleTokenizer(context_length=encoder.context_length)  # which keeps no text's tokens
    dedup = len(instances) / len(texts)
    print(f"  {len(instances):,} options, {len(texts):,} distinct; largest difference {difference:.1e}")
    compare(
        lambda: fast(encoder, texts, lengths, size),
        lambda: [padded(encoder, instances[at : at + size], size, plain) for at in starts],
        ROUNDS, scale=len(instances) / (size * LOOPED_BATCHES),
    ).report("P4", f"{len(instances):,} option texts / every option, whole context", SHARE * dedup,
             f"≥ {SHARE} x {len(instances):,} / {len(texts):,} = {SHARE * dedup:.0f} x")  # fmt: skip
    compare(lambda: fast(encoder, texts, lengths, size), lambda: padded(encoder, texts, size), ROUNDS).report(
        "P4", f"{len(texts):,} distinct texts / whole context", TRIM_GOAL
    )


def fast(encoder: OpenClipEncoder, texts: list[str], lengths: np.ndarray, size: int) -> np.ndarray:
    """The evaluator's own stage."""
    return embed_texts(encoder, texts, lengths, size, StageClock(Family.CONTRASTIVE))


def padded(encoder: OpenClipEncoder, texts: list[str], size: int, tokenizer: Any = None) -> np.ndarray:
    """Batches in the order given, every text padded to the whole context, by open_clip alone."""
    parts, tokenize = [], tokenizer or encoder.tokenizer
    with torch.inference_mode():
        for start in range(0, len(texts), size):
            parts.append(encoder.model.encode_text(tokenize(texts[start : start + size]), normalize=True))
    return torch.cat(parts).numpy()


if __name__ == "__main__":
    main()
