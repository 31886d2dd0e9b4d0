"""P5: choosing options from embeddings, µ-Bench's size. `python -m tests.bench choices`.

17,315 images with six questions each (about 104,000 questions, 535,000 options), 512 numbers per embedding: five kinds
of question about every image with three to six options, and one of its dataset, up to five classes drawn for the image
and "none of the above". The loop is the one of CLIP_benchmark's image-caption selection: per question the product of
one image with its options, then `argmax().item()`. Beside it, in the line above the table, the same loop in numpy.
"""

from dataclasses import dataclass

import numpy as np
import torch

from evaluator.answering.choose import choose, cosines
from tests.bench.table import compare

IMAGES, DIM, DATASETS = 17_315, 512, 25
COARSE = ((4, 4), (14, 6), (3, 3), (14, 6), (20, 6))  # options in all, options asked
GOAL, ROUNDS, TOLERANCE = 3.0, 3, 1e-5


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The arguments of `cosines`."""

    images: np.ndarray
    texts: np.ndarray
    image_of: np.ndarray
    text_of: np.ndarray
    offsets: np.ndarray
    group_of: np.ndarray


def make_workload(n_images: int = IMAGES) -> Workload:
    """Random unit vectors; images in random order of datasets, as in a hidden split."""
    rng = np.random.default_rng(0)
    dataset_of = rng.integers(0, DATASETS, n_images)
    sizes = [n for n, _ in COARSE] + [int(n) + 1 for n in rng.integers(2, 40, DATASETS)]
    first = np.cumsum([0, *sizes])
    rows: list[np.ndarray] = []
    for dataset in dataset_of:
        for pool, asked in [*enumerate(n for _, n in COARSE), (len(COARSE) + dataset, 6)]:
            rows.append(first[pool] + rng.permutation(sizes[pool])[:asked])
    images, texts = (rng.normal(size=(n, DIM)).astype(np.float32) for n in (n_images, first[-1]))
    per_image = len(COARSE) + 1
    return Workload(
        images=images / np.linalg.norm(images, axis=1, keepdims=True),
        texts=texts / np.linalg.norm(texts, axis=1, keepdims=True),
        image_of=np.repeat(np.arange(n_images), per_image), group_of=np.repeat(dataset_of, per_image),
        text_of=np.concatenate(rows), offsets=np.cumsum([0, *map(len, rows)]),
    )  # fmt: skip


def ours(work: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Scores and choices by the evaluator."""
    scores = cosines(work.images, work.texts, work.image_of, work.text_of, work.offsets, work.group_of)
    return scores, choose(scores, work.offsets)


def loop_torch(work: Workload) -> np.ndarray:
    """Choices one question at a time, with torch."""
    images, texts, text_of = (torch.from_numpy(array) for array in (work.images, work.texts, work.text_of))
    chosen = []
    for row, image in enumerate(work.image_of.tolist()):
        options = texts[text_of[work.offsets[row] : work.offsets[row + 1]]]
        chosen.append((images[image] @ options.T).argmax().item())
    return np.array(chosen)


def loop_numpy(work: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Scores and choices one question at a time, with numpy."""
    scores, chosen = np.empty(len(work.text_of), np.float32), np.empty(len(work.image_of), np.int16)
    for row, image in enumerate(work.image_of.tolist()):
        part = slice(work.offsets[row], work.offsets[row + 1])
        found = work.texts[work.text_of[part]] @ work.images[image]
        scores[part], chosen[row] = found, found.argmax()
    return scores, chosen


def check(work: Workload) -> float:
    """The largest difference of a score; raises when it exceeds TOLERANCE or a clear choice differs."""
    scores, chosen = ours(work)
    expected, by_numpy = loop_numpy(work)
    difference = float(np.abs(scores - expected).max())
    best = np.partition(np.stack([np.pad(part, (0, 8 - len(part)), constant_values=-2) for part in
                                  np.split(expected, work.offsets[1:-1])]), -2, axis=1)  # fmt: skip
    is_clear = best[:, -1] - best[:, -2] > TOLERANCE
    for other in (by_numpy, loop_torch(work)):
        if difference > TOLERANCE or (chosen != other)[is_clear].any():
            raise AssertionError(f"scores differ by {difference}, clear choices by {(chosen != other)[is_clear].sum()}")
    return difference


def main() -> None:
    work = make_workload()
    print(f"  largest difference of a score {check(work):.1e}, the same choice wherever the margin exceeds {TOLERANCE}")
    by_numpy = compare(lambda: ours(work), lambda: loop_numpy(work), ROUNDS)
    print(f"  beside the same loop in numpy: {by_numpy.ratio:.1f} x (cpu {by_numpy.cpu_ratio:.1f})")
    compare(lambda: ours(work), lambda: loop_torch(work), ROUNDS).report(
        "P5", f"{len(work.image_of):,} choices from embeddings", GOAL
    )


if __name__ == "__main__":
    main()
