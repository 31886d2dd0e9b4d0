"""One image cropped by a recipe. In: an RGB image; out: uint8 pixels, equal bit for bit to the reference transforms.

Follows torchvision's and open_clip's transforms on PIL images, whose resize gives uint8 anyway: a model fed from these
crops sees what it would see without them.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluator.pixels.recipe import CropRecipe, Fit

Pixels = NDArray[np.uint8]
MAX_PIXELS = 32 * 1024 * 1024  # of a resized image in memory, 4 bytes each


def crop(image: Image.Image, recipe: CropRecipe) -> Pixels:
    """(crop_px, crop_px, 3) uint8 of an RGB image."""
    how = Image.Resampling[recipe.interpolation.upper()]
    return np.asarray(_centre(_resize(image, _resized_to(image.size, recipe), recipe.crop_px, how), recipe))


def _resized_to(size: tuple[int, int], recipe: CropRecipe) -> tuple[int, int]:
    """(width, height) after resizing. Truncated for SHORTEST and rounded for LONGEST, as the references do."""
    width, height = size
    side = recipe.resize_px
    if recipe.fit is Fit.SQUASH:
        return side, side
    if recipe.fit is Fit.LONGEST:
        ratio = max(width, height) / side
        return max(round(width / ratio), 1), max(round(height / ratio), 1)
    shortest = min(width, height)
    return (side, int(side * height / shortest)) if width <= height else (int(side * width / shortest), side)


def _resize(image: Image.Image, size: tuple[int, int], side: int, how: Image.Resampling) -> Image.Image:
    """`image` resized to `size`; where that is very large, only its middle of at most `side` x `side`.

    An image of 1 x 20,000 px would take gigabytes. Pillow enlarges rows first, then columns, with whole numbers
    between, so rows may be cut before columns are enlarged a strip at a time: equal bit for bit.
    """
    width, height = size
    if width * height <= MAX_PIXELS:
        return image.resize(size, how)
    left, top = _before(width, side), _before(height, side)
    rows = _middle(image.resize((width, image.height), how), left, 0, side, image.height)
    whole = Image.new("RGB", (rows.width, min(height, side)))
    step = max(1, MAX_PIXELS // height)
    for at in range(0, rows.width, step):
        strip = _middle(rows, at, 0, step, rows.height)
        whole.paste(_middle(strip.resize((strip.width, height), how), 0, top, step, side), (at, 0))
    return whole


def _middle(image: Image.Image, left: int, top: int, width: int, height: int) -> Image.Image:
    """What the box covers of the image."""
    return image.crop((left, top, min(left + width, image.width), min(top + height, image.height)))


def _before(length: int, side: int) -> int:
    """How much is cut off before the middle `side` of `length`; rounded half to even, as the references do."""
    return max(round((length - side) / 2.0), 0)


def _centre(image: Image.Image, recipe: CropRecipe) -> Image.Image:
    """The square in the middle; what the image does not cover is filled."""
    side, (width, height) = recipe.crop_px, image.size
    if width < side or height < side:
        padded = Image.new("RGB", (max(width, side), max(height, side)), (recipe.fill,) * 3)
        padded.paste(image, (max(side - width, 0) // 2, max(side - height, 0) // 2))
        image, (width, height) = padded, padded.size
    left, top = _before(width, side), _before(height, side)
    return image.crop((left, top, left + side, top + side))
