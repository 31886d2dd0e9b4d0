"""A model between base and tuned, and what is put to it at each α. In: members, material; out: answers of one α.

Knows which towers of a contrastive model are the same at every α, and embeds with those once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evaluator.answering.answered import Answered
from evaluator.answering.families import contrastive
from evaluator.answering.families.halving import Halving
from evaluator.answering.families.localisation import ask_localisation
from evaluator.answering.material import Material
from evaluator.answering.parts import Resume
from evaluator.answering.progress import StageClock
from evaluator.answering.questions import ask
from evaluator.answering.run import answer_material
from evaluator.answering.settings import BatchSizes, RunSettings
from evaluator.answering.sweeps.sweep_answers import TUNED
from evaluator.architectures.architecture import Architecture, Family
from evaluator.encoders.encoder import Encoder
from evaluator.weights.merging import Differences, Member, interpolate

IMAGE, TEXT = "image", "text"
PROBED = 4  # inputs from each end


class InterpolatedWeights:
    """The parameters of a loaded model, set to θ(α) in place. Only those that differ are held and written."""

    def __init__(self, model: torch.nn.Module, base: Member, tuned: Member, found: Differences) -> None:
        state = model.state_dict()  # shares the model's memory
        self._pairs = [
            (base[name].to(state[name].device), tuned[name].to(state[name].device), state[name])
            for name in found.interpolated
        ]

    def set(self, alpha: float) -> None:
        """Let the model compute with θ(alpha)."""
        for base, tuned, parameter in self._pairs:
            interpolate(base, tuned, alpha, parameter)

    def spoil(self) -> None:
        """NaN wherever base and tuned differ."""
        for _, _, parameter in self._pairs:
            parameter.fill_(float("nan"))


@dataclass(kw_only=True)
class ContrastiveSplit:
    """The questions of a split to a contrastive model, and the embeddings of the last α."""

    encoder: Encoder
    material: Material
    architecture: Architecture
    settings: RunSettings
    sizes: BatchSizes
    texts: np.ndarray | None = None
    images: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.asked = ask(self.material.items, self.material.questions, self.settings.protocol)
        self.rows = self.asked.rows
        self.crops = self.material.crops(self.architecture)
        self.lengths = contrastive.text_lengths(self.encoder, self.asked)

    def answer(self, clock: StageClock, unchanged: frozenset[str]) -> Answered:
        """Answers by the model as it is now; the embeddings of `unchanged` towers are those of an earlier call."""
        truncated, batches = self.lengths > self.encoder.context_length, Halving(self.sizes.images)
        if self.texts is None or TEXT not in unchanged:
            self.texts = contrastive.embed_texts(
                self.encoder, self.asked.texts, self.lengths, self.sizes.texts, clock
            )  # fmt: skip
        if self.images is None or IMAGE not in unchanged:
            self.images = contrastive.embed_images(self.encoder, self.crops, batches, clock, Resume())
        answers = contrastive.compare(self.asked, self.images, self.texts, truncated, clock)
        counts = {"texts": len(self.asked.texts), "truncated_texts": int(truncated.sum()), "image_batch": batches.size}
        return Answered(answers=answers, counts=counts)

    def probe(self) -> dict[str, torch.Tensor]:
        """What each tower gives for a few of its inputs: the first and the last, of texts the shortest and longest."""
        order = np.argsort(self.lengths, kind="stable")
        texts = [self.asked.texts[i] for i in _ends(order)]
        return {
            TEXT: self.encoder.encode_texts(texts), IMAGE: self.encoder.encode_images(_ends(self.crops))
        }  # fmt: skip


def _ends(values: NDArray[Any]) -> NDArray[Any]:
    return values if len(values) <= 2 * PROBED else np.concatenate([values[:PROBED], values[-PROBED:]])


@dataclass(kw_only=True)
class OtherSplit:
    """The questions of a split to a model of another family, which is asked everything anew at each α."""

    loaded: Any
    material: Material
    architecture: Architecture
    settings: RunSettings
    sizes: BatchSizes

    def __post_init__(self) -> None:
        material = self.material
        if self.architecture.family is Family.DETECTOR:
            self.rows = ask_localisation(material.items, material.questions).rows
        else:
            self.rows = ask(material.items, material.questions, self.settings.protocol).rows

    def answer(self, clock: StageClock, unchanged: frozenset[str]) -> Answered:
        """Answers by the model as it is now."""
        return answer_material(
            self.loaded, self.architecture, self.material, self.settings, self.sizes, clock, Resume()
        )


def split_for(
    loaded: Any, architecture: Architecture, material: Material, settings: RunSettings, sizes: BatchSizes
) -> ContrastiveSplit | OtherSplit:
    """The split in `material` as it is put to a `loaded` model. InputError where there is nothing to ask."""
    how: dict[str, Any] = {
        "material": material, "architecture": architecture, "settings": settings, "sizes": sizes,
    }  # fmt: skip
    if architecture.family is Family.CONTRASTIVE:
        return ContrastiveSplit(encoder=loaded, **how)
    return OtherSplit(loaded=loaded, **how)


def unchanged_towers(weights: InterpolatedWeights, splits: Sequence[ContrastiveSplit]) -> frozenset[str]:
    """The towers (IMAGE, TEXT) on which nothing that differs has any bearing; the weights are NaN afterwards.

    Asked of the model itself, for every library names its parts otherwise: a tower that gives the same embeddings to
    the bit with NaN in all that differs does not depend on it.
    """
    if not splits:
        return frozenset()
    weights.set(TUNED)
    before = [split.probe() for split in splits]
    weights.spoil()
    after = [split.probe() for split in splits]
    return frozenset(
        tower for tower in (IMAGE, TEXT)
        if all(torch.equal(one[tower], other[tower]) for one, other in zip(before, after, strict=True))
    )  # fmt: skip
