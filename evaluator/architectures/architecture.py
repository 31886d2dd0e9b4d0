"""What an architecture is. In: nothing; out: Architecture and the values that describe it. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from evaluator.pixels.recipe import Centre, CropRecipe, Fit

PROCESSOR = "processor"


class Family(StrEnum):
    """What a model can be asked: a contrastive one compares an image with texts, a generative one writes a reply, a
    detector draws boxes."""

    CONTRASTIVE = "contrastive"
    GENERATIVE = "generative"
    DETECTOR = "detector"


class Library(StrEnum):
    """Whose classes an architecture is built from."""

    OPEN_CLIP = "open_clip"
    TRANSFORMERS = "transformers"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How an image becomes the model's input, in the words of open_clip's PreprocessCfg. Defaults are CLIP's.

    resize_px: the side that is resized to before the crop; None: the crop's own. centre: see pixels.recipe.Centre.
    resize_mode PROCESSOR: the model's own processor takes whole images, and nothing else here says anything.
    """

    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    resize_px: int | None = None
    centre: str = "even"

    def __str__(self) -> str:
        if self.resize_mode == PROCESSOR:
            return "RGB, whole images through the model's own processor"
        fit = {"shortest": "shortest side resized, centre cropped", "longest": "longest side resized, padded",
               "squash": "squashed to the square"}[self.resize_mode]  # fmt: skip
        if self.resize_px:
            fit += f" from {self.resize_px} px"
        mean, std = (" ".join(f"{value:.3f}" for value in values) for values in (self.mean, self.std))
        return f"RGB, {fit}, {self.interpolation}, mean {mean}, std {std}"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One architecture. `parameters` is None for a local config file; `twin` has the same tensors, other activation."""

    name: str
    family: Family
    parameters: int | None
    image_px: int
    context_length: int
    activation: str
    preprocessing: Preprocessing
    config: Mapping[str, Any]  # open_clip's model config, or the config.json of a transformers model
    twin: str | None = None
    library: Library = Library.OPEN_CLIP
    folder: Path | None = None  # config, tokenizer and processor files that organisers placed; None for open_clip's own
    notes: str | None = None  # what its organisers say of it

    @property
    def crop_recipe(self) -> CropRecipe | None:
        """How its images are cropped; None where the model's own processor takes whole images."""
        if self.family is not Family.CONTRASTIVE:
            return None
        how = self.preprocessing
        return CropRecipe(
            crop_px=self.image_px, resize_px=how.resize_px or self.image_px, fit=Fit(how.resize_mode),
            interpolation=how.interpolation, centre=Centre(how.centre),
        )  # fmt: skip
