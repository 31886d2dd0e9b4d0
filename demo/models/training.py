"""Contrastive training of a tiny model. In: a model, images and steps; out: the same model, trained. Knows no files.

An image is compared with the sentences that its questions may offer, as the evaluation does: cross-entropy over their
cosines, divided by a learned temperature.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from demo.generate.catalogue import DATASETS, Dataset
from demo.generate.questions import CLASSIFICATION, KINDS
from demo.models.images import TrainingImages
from demo.models.sentences import answers, collect_sentences
from demo.models.tiny import CLIP, SimpleTokenizer, Tiny

WARM_UP = 0.08  # share of the steps
WEIGHT_DECAY = 0.05
MAX_LOGIT_SCALE = math.log(100)
HAS_BF16 = torch.cpu._is_avx512_bf16_supported()  # elsewhere bfloat16 is slower than float32
# The fine question is the hard one; the five coarse ones together weigh less.
KIND_WEIGHTS = torch.tensor([0.1 if kind != CLASSIFICATION else 1.0 for kind in KINDS])


def train(
    tiny: Tiny, images: TrainingImages, *, steps: int, batch_images: int, peak_rate: float, seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:  # fmt: skip
    """Train in place on the CPU. The result depends on the arguments and the machine's arithmetic alone."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model, preprocessing = tiny.model, tiny.architecture.preprocessing
    lessons = [_Lesson(images, tiny.tokenizer, variant) for variant in (0, 1)]
    optimizer = torch.optim.AdamW(_parameter_groups(model), lr=peak_rate, betas=(0.9, 0.98))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    model.train()
    order = np.empty(0, int)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = peak_rate * _rate(step / steps)
        while len(order) < batch_images:
            order = np.concatenate([order, rng.permutation(len(images.pixels))])
        batch, order = order[:batch_images], order[batch_images:]
        pixels = torch.from_numpy(_vary(images.pixels[batch], rng)).permute(0, 3, 1, 2)
        optimizer.zero_grad(set_to_none=True)
        with sdpa_kernel(SDPBackend.MATH):  # torch's fused attention is slower backwards for so few tokens
            loss = lessons[step % 2].loss(model, (pixels - mean) / std, torch.from_numpy(batch))
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        on_step(step, loss.item())
    model.eval()


def keep_known_tokens(tiny: Tiny) -> None:
    """Zero the embeddings of tokens that no sentence uses: training never reaches them, and zeros pack small."""
    texts = [text for variant in (0, 1) for text in collect_sentences(DATASETS, variant).texts]
    used = torch.unique(tiny.tokenizer(texts))
    with torch.no_grad():
        rows = tiny.model.token_embedding.weight
        kept = rows[used].clone()
        rows.zero_()
        rows[used] = kept


class _Lesson:
    """Images and the sentences of one caption variant."""

    def __init__(self, images: TrainingImages, tokenizer: SimpleTokenizer, variant: int) -> None:
        taught: Sequence[Dataset] = list({dataset.name: dataset for dataset in images.datasets}.values())
        sentences = collect_sentences(taught, variant)
        row = {dataset.name: i for i, dataset in enumerate(taught)}
        self.tokens = tokenizer(sentences.texts)
        self.candidates = torch.from_numpy(sentences.candidates)
        self.rows = torch.tensor([row[dataset.name] for dataset in images.datasets])
        self.answers = torch.from_numpy(answers(sentences, images.datasets, images.facts))

    def loss(self, model: CLIP, pixels: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """The weighted mean over the batch's questions."""
        with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16):
            seen, read = model.encode_image(pixels), model.encode_text(self.tokens)
        seen, read = (functional.normalize(embedded.float(), dim=-1) for embedded in (seen, read))
        logits = model.logit_scale.exp() * seen @ read.T
        offered = self.candidates[self.rows[batch]]
        right = self.answers[batch]
        asked = right >= 0
        masked = logits[:, None, :].masked_fill(~offered, -math.inf)[asked]
        losses = functional.cross_entropy(masked, right[asked], reduction="none")
        weights = KIND_WEIGHTS.expand(len(batch), -1)[asked]
        return (losses * weights).sum() / weights.sum()


def _parameter_groups(model: CLIP) -> list[dict[str, object]]:
    """Weight decay for matrices alone, as CLIP does."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]


def _rate(progress: float) -> float:
    """Share of the peak rate: a linear rise, then half a cosine."""
    if progress < WARM_UP:
        return (progress + 1e-3) / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))


def _vary(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 images as float32 0–1, turned, mirrored, and a little lighter or darker; no label depends on these."""
    varied = np.empty(pixels.shape, np.float32)
    for i, turn in enumerate(rng.integers(0, 8, len(pixels))):
        image = np.rot90(pixels[i], turn % 4)
        varied[i] = image[:, ::-1] if turn >= 4 else image
    varied /= 255
    gain, shift = rng.uniform(0.85, 1.15, (len(pixels), 1, 1, 1)), rng.uniform(-0.05, 0.05, (len(pixels), 1, 1, 1))
    return np.clip(varied * gain + shift, 0, 1).astype(np.float32)
