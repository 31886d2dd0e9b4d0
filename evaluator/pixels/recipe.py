"""How an image becomes a square of pixels. In: nothing; out: CropRecipe, the name of one way to crop."""

from dataclasses import dataclass
from enum import StrEnum

VERSION = 1  # raise it when `crop` gives other pixels for the same recipe


class Fit(StrEnum):
    """How an image that is not square meets a square."""

    SHORTEST = "shortest"  # shortest side resized, centre cropped
    LONGEST = "longest"  # longest side resized, padded
    SQUASH = "squash"  # squashed to the square


class Centre(StrEnum):
    """Where the middle is when an odd number of pixels is too many: the libraries differ by one pixel."""

    EVEN = "even"  # torchvision: half a pixel is rounded to the even number; what is padded goes right and below
    FLOOR = "floor"  # transformers: half a pixel is cut off; what is padded goes left and above


@dataclass(frozen=True, kw_only=True)
class CropRecipe:
    """`resize_px`: the side that is resized to; `crop_px`: the side of the square cut out of its centre."""

    crop_px: int
    resize_px: int
    fit: Fit
    interpolation: str  # a name of PIL.Image.Resampling, in lower case
    fill: int = 0  # the grey that pads, 0 to 255
    centre: Centre = Centre.EVEN

    @property
    def key(self) -> str:
        """A short name that is equal for equal pixels."""
        return f"v{VERSION}-{self.fit}-{self.resize_px}-{self.crop_px}-{self.interpolation}-{self.fill}-{self.centre}"
