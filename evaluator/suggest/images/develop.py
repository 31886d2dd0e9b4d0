"""From what a file holds to what an encoder is shown. In: Stored and a stated Recipe; out: one RGB image.

A file that the recipe does not decide is refused: no channel, plane or contrast is picked by itself.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluator.errors import InputError
from evaluator.suggest.images.normalise import EXAMPLES, WHITE, Normalisation, to_8_bits
from evaluator.suggest.images.read import MAX_PIXELS, Stored, too_large

DARK = 16  # of 255: what shows little more than noise


class Planes(StrEnum):
    """What becomes of a stack (z-planes, time points): one plane, a projection, or its planes as channels."""

    FIRST = "first"
    MIDDLE = "middle"
    MAX = "max"
    MEAN = "mean"
    CHANNELS = "channels"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """normalise None: 8-bit files as they are, no others. channels: 1-based, one for grey or three for red, green,
    blue; None: files of one or three channels, no others. planes None: no stacks."""

    normalise: Normalisation | None = None
    channels: tuple[int, ...] | None = None
    planes: Planes | None = None

    def as_dict(self) -> dict[str, str | list[int] | None]:
        """For run.json, and for the key of stored embeddings."""
        return {
            "normalise": str(self.normalise) if self.normalise else None,
            "channels": list(self.channels) if self.channels else None,
            "planes": self.planes.value if self.planes else None,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Developed:
    """image: RGB. beyond: the share of pixels cut off at black or white, None where no contrast was set."""

    image: Image.Image
    beyond: float | None
    notes: tuple[str, ...]


def parse_channels(text: str) -> tuple[int, ...]:
    """`3,2,1` or `2`. Raises InputError `bad_channels`."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in (1, 3) or min(found) < 1:
        message = (
            f"{text[:80]!r} names no channels. Write one for grey, or three for red, green and blue, such as 3,2,1."
        )
        raise InputError.single("bad_channels", message, field="channels")
    return found


def develop(stored: Stored, recipe: Recipe) -> Developed:
    """Raises InputError `stack_needs_planes`, `channels_needed`, `no_such_channel`, `normalisation_needed`,
    `no_type_range`, `image_too_large`."""
    channels = _channels(_one_plane(stored, recipe.planes), recipe.channels)
    if channels[0].size > MAX_PIXELS:
        raise too_large(f"more than {MAX_PIXELS:,} pixels")
    notes = list(stored.notes)
    if recipe.normalise is None:
        shown, beyond = [_as_stored(channel) for channel in channels], None
    else:
        pairs = [to_8_bits(channel, recipe.normalise) for channel in channels]
        shown, beyond = [pair[0] for pair in pairs], float(np.mean([pair[1] for pair in pairs]))
    if recipe.normalise and max(channel.max() for channel in shown) < DARK:
        notes.append(f"no pixel is brighter than {100 * DARK // WHITE}% of white: is the normalisation right?")
    if any(channel.max() == channel.min() for channel in channels):
        notes.append("a channel has one value everywhere")
    red, green, blue = shown if len(shown) == 3 else shown * 3
    return Developed(image=Image.fromarray(np.stack([red, green, blue], axis=2)), beyond=beyond, notes=tuple(notes))


def _one_plane(stored: Stored, planes: Planes | None) -> NDArray:
    """(c, h, w)."""
    values = stored.planes
    if len(values) == 1:
        return values[0]
    match planes:
        case None:
            message = (f"It is a stack of {len(values)} planes (axis {stored.axis}). Say what to do with stacks: "
                       "--planes first, middle, max, mean, or channels where the planes are channels.")  # fmt: skip
            raise InputError.single("stack_needs_planes", message)
        case Planes.FIRST:
            return values[0]
        case Planes.MIDDLE:
            return values[len(values) // 2]
        case Planes.MAX:
            return values.max(axis=0)
        case Planes.MEAN:
            return values.mean(axis=0) if values.dtype.kind == "f" else _rounded_mean(values)
        case Planes.CHANNELS:
            return values.reshape(-1, *values.shape[2:])


def _rounded_mean(values: NDArray) -> NDArray:
    """Of whole numbers, as the same kind of whole numbers: `dtype` and 8-bit images keep their meaning."""
    return np.rint(values.mean(axis=0)).astype(values.dtype)


def _channels(values: NDArray, wanted: tuple[int, ...] | None) -> list[NDArray]:
    """One channel or three, each (h, w)."""
    if not values.size:
        raise InputError.single("empty_image", "It holds no pixels. Take it out of the folder.")
    if wanted is None:
        if len(values) not in (1, 3):
            message = f"It has {len(values)} channels. Say which are red, green and blue, such as --channels 3,2,1."
            raise InputError.single("channels_needed", message)
        return list(values)
    if max(wanted) > len(values):
        message = f"It has no channel {max(wanted)}, only {len(values)}. Leave it out, or name others by --channels."
        raise InputError.single("no_such_channel", message)
    return [values[number - 1] for number in wanted]


def _as_stored(channel: NDArray) -> NDArray[np.uint8]:
    if channel.dtype == np.uint8:
        return channel
    message = f"Its pixels are {channel.dtype}, not 8-bit. Say what black and white are: --normalise {EXAMPLES}."
    raise InputError.single("normalisation_needed", message)
