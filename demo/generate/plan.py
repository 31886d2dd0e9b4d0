"""Which images a seed stands for. In: a number of images and a seed; out: one plan per image, and its drawing.

An image depends on (seed, dataset, source, number) alone, so any part can be drawn again, in any order.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from demo.generate.catalogue import BY_NAME, DATASETS, Dataset
from demo.generate.drawing import Drawing

# Benchmarks are drawn from seeds below this one, training images from seeds at or above it: they can share no image.
FIRST_TRAINING_SEED = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ImagePlan:
    """One image to draw. `number` counts the dataset's images, `source` the slides they are cut from."""

    seed: int
    dataset: str
    source: int
    number: int
    label: str

    @property
    def image_id(self) -> str:
        """Where several images share a source, the part before the last `_` names it."""
        per_source = BY_NAME[self.dataset].images_per_source
        if per_source == 1:
            return f"{self.dataset}-{self.number:05d}"
        return f"{self.dataset}-{self.source:04d}_{self.number % per_source}"

    def generator(self, *purpose: int) -> np.random.Generator:
        """A generator of its own for each purpose."""
        return np.random.default_rng([self.seed, zlib.crc32(self.dataset.encode()), *purpose])


STYLE, SCENE, OPTIONS, LABELS = range(4)


def plan_images(n_images: int, seed: int, datasets: tuple[Dataset, ...] = DATASETS) -> list[ImagePlan]:
    """`n_images` dealt evenly over the datasets, and within each over its classes in random order."""
    plans = []
    for place, dataset in enumerate(datasets):
        share = n_images // len(datasets) + (place < n_images % len(datasets))
        names = list(dataset.classes)
        deal = np.random.default_rng([seed, zlib.crc32(dataset.name.encode()), LABELS]).permutation(share)
        plans += [
            ImagePlan(
                seed=seed, dataset=dataset.name, source=number // dataset.images_per_source, number=number,
                label=names[deal[number] % len(names)],
            )
            for number in range(share)
        ]  # fmt: skip
    return plans


def draw(plan: ImagePlan) -> Drawing:
    """The planned image."""
    style, rng = plan.generator(STYLE, plan.source), plan.generator(SCENE, plan.number)
    return BY_NAME[plan.dataset].scene(plan.label, style, rng)


def source_rules() -> dict[str, str]:
    """dataset → regex on image_id whose first group is the source, for the importer's --source."""
    return {dataset.name: r"^(.+)_\d+$" for dataset in DATASETS if dataset.images_per_source > 1}
