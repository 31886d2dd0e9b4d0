"""Training images. In: datasets and a training seed; out: small pixel arrays and facts. Never a benchmark's."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from PIL import Image

from demo.generate.catalogue import Dataset
from demo.generate.plan import FIRST_TRAINING_SEED, ImagePlan, draw, plan_images
from demo.generate.questions import state_facts

CHUNK = 50


@dataclass(frozen=True, kw_only=True)
class TrainingImages:
    """pixels: uint8 (n, image_px, image_px, 3); datasets and facts (answer by question kind) aligned to them."""

    pixels: np.ndarray
    datasets: list[Dataset]
    facts: list[dict[str, str | None]]


def draw_training_images(
    datasets: tuple[Dataset, ...], *, per_dataset: int, number: int, image_px: int, processes: int
) -> TrainingImages:
    """Draw `per_dataset` images of each dataset from training seed `number`; the same ones for the same arguments."""
    plans = plan_images(per_dataset * len(datasets), FIRST_TRAINING_SEED + number, datasets)
    work = [(plan, image_px) for plan in plans]
    if processes == 1:
        drawn = [_draw_small(*task) for task in work]
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            drawn = list(pool.map(_draw_small, *zip(*work, strict=True), chunksize=CHUNK))
    by_name = {dataset.name: dataset for dataset in datasets}
    return TrainingImages(
        pixels=np.stack([pixels for pixels, _ in drawn]),
        datasets=[by_name[plan.dataset] for plan in plans],
        facts=[facts for _, facts in drawn],
    )


def _draw_small(plan: ImagePlan, image_px: int) -> tuple[np.ndarray, dict[str, str | None]]:
    """One image as the evaluator will show it to the model: bicubic, in RGB (drawings are square)."""
    drawing = draw(plan)
    small = Image.fromarray(drawing.image).convert("RGB").resize((image_px, image_px), Image.Resampling.BICUBIC)
    return np.asarray(small), state_facts(plan, drawing)
