"""An image that says nothing. In: nothing; out: one uniform grey image, the same for every item.

A model that is shown it instead of each item's own image can only answer from what it knows of the questions. What it
gets right beyond chance is this knowledge, the text prior, and no sight: the no-image baseline. The definition:

- contrastive models see the grey image cropped by their own recipe (a uniform grey crop, whatever the recipe);
- generative models and detectors see it whole, through their own processor; boxes that a detector draws on it are
  stretched onto the stored image, whose size it is not told.
"""

import io

from PIL import Image

GREY = 128
SIDE = 224  # pixels; models that take any size spend little on it


def blank_image() -> Image.Image:
    """The image, RGB."""
    return Image.new("RGB", (SIDE, SIDE), (GREY,) * 3)


def blank_png() -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    blank_image().save(file, "PNG")
    return file.getvalue()
