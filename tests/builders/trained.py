"""A generative model that has learnt something, in seconds on a CPU. In: a folder; out: weights and what they know."""

import io
from pathlib import Path
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import numpy as np
import torch
import transformers
from PIL import Image

from evaluator.release.prompts import render_prompt
from evaluator.release.schema import CLASSIFICATION
from tests.builders.generators import write_llava
from tests.builders.hub import COARSE_VALUES, LABELS, NONE_OF_THE_ABOVE, hub_row

GREY = (40, 128, 216)  # of each label
STAIN_REPLY = "I cannot tell"
STEPS, BATCH, EXAMPLES = 160, 24, 240


def grey_png(label: int, rng: np.random.Generator) -> bytes:
    """An image whose brightness tells its label."""
    pixels = np.clip(rng.normal(GREY[label], 12, (24, 24, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def grey_rows(n_items: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of the Hub with such images."""
    rng = np.random.default_rng(seed)
    return [
        hub_row(f"grey_{i:04d}", "greys", i % 3, image={"bytes": grey_png(i % 3, rng), "path": f"{i}.png"})
        for i in range(n_items)
    ]


def write_trained(folder: Path, seed: int = 0) -> Path:
    """Weights of a LLaVA that names the label by brightness (a letter), the modality by a lettered option, and that
    answers about stains with STAIN_REPLY. It has seen no image of `grey_rows(seed=0)`."""
    weights = write_llava(folder, hidden=48, seed=seed, favoured=False)
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    rng = np.random.default_rng(seed + 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=STEPS)
    model.train()
    lesson = _lesson(processor, [_example(rng) for _ in range(EXAMPLES)])
    for _ in range(STEPS):
        some = torch.from_numpy(rng.choice(EXAMPLES, BATCH, replace=False))
        loss = model(**{name: tensor[some] for name, tensor in lesson.items()}).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    model.save_pretrained(folder)
    return weights


def _example(rng: np.random.Generator) -> tuple[Image.Image, str, str]:
    """An image, a prompt and the reply to learn."""
    label = int(rng.integers(3))
    image = Image.open(io.BytesIO(grey_png(label, rng))).convert("RGB")
    kind = rng.choice([CLASSIFICATION, CLASSIFICATION, "modality", "stain"])
    values = LABELS if kind == CLASSIFICATION else COARSE_VALUES[kind]
    reply = {
        CLASSIFICATION: "ABC"[label], "modality": "B) fluorescence microscopy", "stain": STAIN_REPLY,
    }[str(kind)]  # fmt: skip
    return image, render_prompt(f"Which {kind} is shown?", [*values, NONE_OF_THE_ABOVE]), reply


def _lesson(processor: Any, examples: list[tuple[Image.Image, str, str]]) -> dict[str, torch.Tensor]:
    """The model's input, and as labels the replies with what ends them."""
    end = processor.tokenizer.eos_token
    made = processor(
        text=[f"<image>\n{prompt}{reply}{end}" for _, prompt, reply in examples],
        images=[[image] for image, *_ in examples], padding=True, padding_side="right", return_tensors="pt",
    )  # fmt: skip
    labels = torch.full_like(made["input_ids"], -100)
    for row, (_, _, reply) in enumerate(examples):
        n_reply = len(processor.tokenizer(reply + end, add_special_tokens=False)["input_ids"])
        stop = int(made["attention_mask"][row].sum())
        labels[row, stop - n_reply : stop] = made["input_ids"][row, stop - n_reply : stop]
    return {**made, "labels": labels}
