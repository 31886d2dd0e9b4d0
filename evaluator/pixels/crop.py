"""One image cropped by a recipe. In: an RGB image; out: uint8 pixels, equal bit for bit to the reference transforms.

Follows the transforms of torchvision and open_clip, and transformers' image processors, on PIL images. Their resize
gives uint8 anyway: a model fed from these crops sees what it would see without them.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluator.pixels.recipe import Centre, CropRecipe, Fit

Pixels = NDArray[np.uint8]
MAX_PIXELS = 32 * 1024 * 1024  # of a resized image in memory, 4 bytes each


def crop(image: Image.Image, recipe: CropRecipe) -> Pixels:
    """(crop_px, crop_px, 3) uint8 of an RGB image."""
    return np.asarray(_centre(_resize(image, _resized_to(image.size, recipe), recipe), recipe))


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


def _resize(image: Image.Image, size: tuple[int, int], recipe: CropRecipe) -> Image.Image:
    """`image` resized to `size`; where that is very large, only the middle of it that is cut out anyway.

    An image of 1 x 20,000 px would take gigabytes. Pillow enlarges rows first, then columns, with whole numbers
    between, so rows may be cut before columns are enlarged a strip at a time: equal bit for bit.
    """
    how = Image.Resampling[recipe.interpolation.upper()]
    width, height = size
    if width * height <= MAX_PIXELS:
        return image.resize(size, how)
    side = recipe.crop_px
    left, top = _before(width, side, recipe.centre), _before(height, side, recipe.centre)
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


def _before(length: int, side: int, centre: Centre) -> int:
    """How much is cut off before the middle `side` of `length`."""
    spare = max(length - side, 0)
    return spare // 2 if centre is Centre.FLOOR else round(spare / 2.0)


def _centre(image: Image.Image, recipe: CropRecipe) -> Image.Image:
    """The square in the middle; what the image does not cover is filled."""
    side, (width, height) = recipe.crop_px, image.size
    floors = recipe.centre is Centre.FLOOR
    if width < side or height < side:
        padded = Image.new("RGB", (max(width, side), max(height, side)), (recipe.fill,) * 3)
        spare_x, spare_y = max(side - width, 0) + floors, max(side - height, 0) + floors
        padded.paste(image, (spare_x // 2, spare_y // 2))
        image, (width, height) = padded, padded.size
    left, top = _before(width, side, recipe.centre), _before(height, side, recipe.centre)
    return image.crop((left, top, left + side, top + side))
