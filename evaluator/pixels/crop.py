"""One image cropped by a recipe. In: an RGB image; out: uint8 pixels, equal bit for bit to the reference transforms.

Follows the transforms of torchvision and open_clip, and transformers' image processors, on PIL images. Their resize
gives uint8 anyway: a model fed from these crops sees what it would see without them.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluator.pixels.recipe import Centre, CropRecipe, Fit

Pixels = NDArray[np.uint8]


def crop(image: Image.Image, recipe: CropRecipe) -> Pixels:
    """(crop_px, crop_px, 3) uint8 of an RGB image."""
    resized = image.resize(_resized_to(image.size, recipe), Image.Resampling[recipe.interpolation.upper()])
    return np.asarray(_centre(resized, recipe))


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


def _centre(image: Image.Image, recipe: CropRecipe) -> Image.Image:
    """The square in the middle; what the image does not cover is filled."""
    side, (width, height) = recipe.crop_px, image.size
    floors = recipe.centre is Centre.FLOOR
    if width < side or height < side:
        padded = Image.new("RGB", (max(width, side), max(height, side)), (recipe.fill,) * 3)
        spare_x, spare_y = max(side - width, 0) + floors, max(side - height, 0) + floors
        padded.paste(image, (spare_x // 2, spare_y // 2))
        image, (width, height) = padded, padded.size
    if floors:
        left, top = (width - side) // 2, (height - side) // 2
    else:
        left, top = round((width - side) / 2.0), round((height - side) / 2.0)
    return image.crop((left, top, left + side, top + side))
