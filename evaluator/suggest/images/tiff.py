"""TIFF files as microscopes write them. In: bytes; out: planes and channels of the first series, unchanged.

Axes are taken from the file (OME, ImageJ, or its shape). Only the bytes given are read: an OME file that names others
is read without them.
"""

import io
import logging
from math import prod

import numpy as np
import tifffile
from numpy.typing import NDArray

from evaluator.errors import InputError
from evaluator.suggest.images.read import Stored, read_with_pillow, too_large

MAX_PIXEL_BYTES = 2 * 1024**3  # of one file, unpacked
KINDS = "buif"  # of numpy's types: booleans, whole numbers, floats
GREY_OR_RGB = {tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB}

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it finds wrong comes as an error, too


def read_tiff(content: bytes) -> Stored:
    """The first series. Raises InputError `image_too_large`, `unreadable_image`; tifffile's own errors as they come."""
    with tifffile.TiffFile(io.BytesIO(content), _multifile=False) as file:
        if not file.series:
            raise ValueError("it holds no image")
        series, page = file.series[0], file.pages.first
        if series.size * series.dtype.itemsize > MAX_PIXEL_BYTES:
            raise too_large(f"more than {MAX_PIXEL_BYTES / 1024**3:g} GiB of pixels")
        if series.dtype.kind not in KINDS:
            message = f"Its pixels are of the type {series.dtype}, which is no grey value. Save real numbers."
            raise InputError.single("unreadable_image", message)
        values = _decoded(series) if page.photometric in GREY_OR_RGB else None
        if values is None:
            return _through_pillow(content, page, n_pages=len(file.pages))
        notes = ["only the first of several image series was read"] if len(file.series) > 1 else []
        planes, axis = _arrange(values, series.axes)
        if page.extrasamples and "S" in series.axes and len(page.extrasamples) == planes.shape[1] - 3:
            planes, alpha = planes[:, :3], planes.shape[1] - 3
            notes.append("transparency was left out" if alpha == 1 else f"{alpha} extra samples were left out")
        if page.photometric is tifffile.PHOTOMETRIC.MINISWHITE:
            planes = _inverted(planes)
            notes.append("grey values were stored inverted and turned round")
    return Stored(planes=planes, axis=axis, notes=tuple(notes))


def _decoded(series: tifffile.TiffPageSeries) -> NDArray | None:
    """The values; None where tifffile lacks the decoder (LZW, JPEG …), which Pillow may bring."""
    try:
        return series.asarray()
    except ValueError as error:
        if "imagecodecs" in str(error):
            return None
        raise


def _through_pillow(content: bytes, page: tifffile.TiffPage, *, n_pages: int) -> Stored:
    """A single page whose compression or colours Pillow knows; refused where Pillow would lose bits or planes."""
    loses_bits = page.bitspersample > 8 and page.samplesperpixel > 1
    if n_pages > 1 or loses_bits:
        what = "stack" if n_pages > 1 else "file of more than 8 bits and several samples"
        packing = tifffile.COMPRESSION(page.compression).name
        message = (f"It is a {what} compressed by {packing}, which cannot be read without loss here. Save it "
                   "uncompressed, or with Deflate.")  # fmt: skip
        raise InputError.single("lossy_read", message)
    return read_with_pillow(content, ("TIFF",))


def _arrange(values: NDArray, axes: str) -> tuple[NDArray, str]:
    """(p, c, h, w) and the names of the planes' axes. C and S are channels; all else but Y and X is planes."""
    channels = [place for place, axis in enumerate(axes) if axis in "CS"]
    planes = [place for place, axis in enumerate(axes) if axis not in "CSYX"]
    if "Y" not in axes or "X" not in axes:
        raise ValueError(f"its axes are {axes}, without Y and X")
    rows, columns = axes.index("Y"), axes.index("X")
    ordered = np.transpose(values, [*planes, *channels, rows, columns])
    shape = (
        prod(values.shape[place] for place in planes), prod(values.shape[place] for place in channels),
        values.shape[rows], values.shape[columns],
    )  # fmt: skip
    return ordered.reshape(shape), "".join(axes[place] for place in planes if values.shape[place] > 1)


def _inverted(planes: NDArray) -> NDArray:
    if planes.dtype == np.bool_:
        return ~planes
    if not np.issubdtype(planes.dtype, np.unsignedinteger):
        raise ValueError("its grey values are stored inverted and are no unsigned whole numbers")
    return np.iinfo(planes.dtype).max - planes
