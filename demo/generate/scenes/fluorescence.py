"""Scenes under the fluorescence microscope: nuclei, chromatin through mitosis, filaments, colocalised molecules."""

import numpy as np

from demo.generate.drawing import Drawing, boxes_of
from demo.generate.microscopes import as_colour, as_grey, fluoresce
from demo.generate.shapes import Blob, Map, blob, clouds, paint, scatter, strokes, walks

NUCLEI = {"few scattered nuclei": (3, 9), "moderately packed nuclei": (11, 20), "densely packed nuclei": (23, 42)}


def nuclei(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """A field of cultured cells' nuclei; the label is their number. Half of the cultures are imaged confocally."""
    size = 112
    is_confocal = style.random() < 0.5
    radius, roughness = style.uniform(5.5, 8.5), style.uniform(0.03, 0.09)
    low, high = NUCLEI[label]
    spots = scatter(rng, size, int(rng.integers(low, high + 1)), radius * 1.65, margin=3, tries=40)
    texture = 1 + 0.22 * clouds(rng, size, 6, octaves=3)
    dye = np.zeros((size, size), np.float32)
    shapes = []
    for spot in spots:
        radii = radius * rng.uniform(0.85, 1.3), radius * rng.uniform(0.75, 1.0)
        shape = blob(size, tuple(spot), radii, angle=rng.uniform(0, np.pi), rng=rng, roughness=roughness, waves=(2, 4))
        shapes.append(shape)
        brightness = np.exp(rng.normal(-0.35, 0.28))
        patch = brightness * texture[shape.window] * (0.75 + 0.25 * np.clip(shape.depth / 4, 0, 1))
        dye[shape.window] = np.maximum(dye[shape.window], patch * shape.inside(1.6))
        for _ in range(rng.integers(0, 3)):
            hole = blob(size, tuple(spot + rng.normal(0, radius / 3, 2)), (1.6, 1.3))
            dye[hole.window] *= 1 - 0.45 * hole.inside(1.5)
    photons = np.exp(style.uniform(3.2, 4.6))
    if is_confocal:
        counts = fluoresce(dye, rng, psf_px=0.7, photons=photons * 0.6, background=0.012)
    else:
        counts = fluoresce(dye, rng, psf_px=1.5, photons=photons * 1.5, background=0.06, haze=0.6)
    return Drawing(
        image=as_grey(counts, rng, fill=1.15),
        boxes=boxes_of("nucleus", shapes),
        submodality="confocal microscopy" if is_confocal else "epifluorescence microscopy",
    )


def mitosis(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """One cell's chromatin; the label is its phase."""
    size = 64
    middle = tuple(size / 2 + rng.normal(0, 2.0, 2))
    angle = rng.uniform(0, np.pi)
    dye = np.zeros((size, size), np.float32)
    {
        "interphase": _interphase, "prophase": _prophase, "metaphase": _metaphase,
        "anaphase": _anaphase, "apoptosis": _apoptosis,
    }[label](dye, middle, angle, rng)  # fmt: skip
    for _ in range(rng.integers(0, 3)):  # neighbours cut by the border
        side = rng.uniform(0, 2 * np.pi)
        far = size / 2 + 34 * np.array([np.sin(side), np.cos(side)])
        _interphase(dye, tuple(far), rng.uniform(0, np.pi), rng)
    dye *= style.uniform(0.7, 1.1)
    counts = fluoresce(
        dye, rng, psf_px=style.uniform(0.9, 1.6), photons=np.exp(style.uniform(3.3, 4.6)), background=0.05, haze=0.3
    )
    return Drawing(image=as_grey(counts, rng, fill=style.uniform(0.9, 1.4)))


def _interphase(dye: Map, centre: tuple[float, float], angle: float, rng: np.random.Generator) -> None:
    size, radius = dye.shape[0], rng.uniform(11, 15)
    shape = blob(size, centre, (radius * rng.uniform(1, 1.25), radius), angle=angle, rng=rng, roughness=0.05)
    texture = 0.45 + 0.08 * clouds(rng, size, 8, octaves=3)[shape.window]
    paint(dye, shape, np.maximum(texture, 0.1), shape.inside(2))
    for _ in range(rng.integers(1, 4)):
        hole = blob(size, tuple(np.array(centre) + rng.normal(0, radius / 3, 2)), (2.6, 2.1))
        dye[hole.window] *= 1 - 0.5 * hole.inside(2)


def _prophase(dye: Map, centre: tuple[float, float], angle: float, rng: np.random.Generator) -> None:
    size, radius = dye.shape[0], rng.uniform(11, 14)
    shape = blob(size, centre, (radius * 1.1, radius), angle=angle, rng=rng, roughness=0.06)
    starts = np.array(centre) + rng.normal(0, radius / 2.2, (26, 2))
    threads = strokes(size, walks(rng, starts, rng.uniform(0, 2 * np.pi, 26), 9, 0.5), rng.uniform(0.2, 0.42, 26))
    paint(dye, shape, 0.25 + threads[shape.window], shape.inside(2))


def _metaphase(dye: Map, centre: tuple[float, float], angle: float, rng: np.random.Generator) -> None:
    _plate(dye, centre, angle, rng, length=rng.uniform(11, 14), width=rng.uniform(2.6, 4.0), brightness=0.95)


def _anaphase(dye: Map, centre: tuple[float, float], angle: float, rng: np.random.Generator) -> None:
    apart = rng.uniform(4.5, 10)
    for side in (-1, 1):
        place = np.array(centre) + side * apart * np.array([np.cos(angle), -np.sin(angle)])
        tilt = angle + rng.normal(0, 0.12)
        _plate(dye, tuple(place), tilt, rng, length=rng.uniform(8, 11), width=rng.uniform(2.2, 3.2), brightness=0.85)


def _plate(
    dye: Map, centre: tuple[float, float], angle: float, rng: np.random.Generator,
    *, length: float, width: float, brightness: float,
) -> None:  # fmt: skip
    size = dye.shape[0]
    plate = blob(size, centre, (length, width), angle=angle, rng=rng, roughness=0.16, waves=(3, 11))
    paint(dye, plate, brightness * (1 + 0.12 * clouds(rng, size, 4)[plate.window]), plate.inside(2))
    arms = rng.uniform(-length, length, 14)
    starts = np.array(centre) + np.stack([arms * np.sin(angle), arms * np.cos(angle)], axis=1)
    turned = angle + np.pi / 2 + np.pi * rng.integers(0, 2, 14) + rng.normal(0, 0.4, 14)
    dye += strokes(size, walks(rng, starts, turned, width + 2.5, 0.2), 0.16)


def _apoptosis(dye: Map, centre: tuple[float, float], angle: float, rng: np.random.Generator) -> None:
    spread = rng.uniform(4, 7.5)
    for _ in range(rng.integers(4, 9)):
        radius = rng.uniform(1.8, 4.8)
        place = np.array(centre) + rng.normal(0, spread, 2)
        lump = blob(dye.shape[0], tuple(place), (radius, radius * rng.uniform(0.85, 1)), angle=angle)
        paint(dye, lump, rng.uniform(0.7, 1.2), lump.inside(1.8))


def filaments(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """One spread cell with a labelled cytoskeleton; the label is how its filaments are arranged."""
    size = 112
    centre = np.array([size / 2, size / 2]) + rng.normal(0, 7, 2)
    radius = style.uniform(40, 52)
    axis = rng.uniform(0, np.pi)
    cell = blob(
        size, tuple(centre), (radius * rng.uniform(1, 1.35), radius * rng.uniform(0.75, 1)),
        angle=axis, rng=rng, roughness=0.09,
    )  # fmt: skip
    arrange = {
        "parallel stress fibres": _stress_fibres, "radial microtubule array": _aster,
        "cortical actin ring": _cortex, "isotropic filament mesh": _mesh,
    }[label]  # fmt: skip
    ink = arrange(cell, centre, axis, rng, size)
    body = np.zeros((size, size), np.float32)
    body[cell.window] = cell.inside(4) * (0.10 + 0.06 * style.random()) * (1 + 0.3 * np.clip(cell.depth / 25, 0, 1))
    dye = ink + body * (1 + 0.25 * clouds(rng, size, 9, octaves=2))
    nucleus = blob(size, tuple(centre + rng.normal(0, 3, 2)), (radius * 0.30, radius * 0.24), angle=axis)
    dye[nucleus.window] *= 1 - rng.uniform(0.35, 0.75) * nucleus.inside(6)
    counts = fluoresce(
        dye, rng, psf_px=style.uniform(0.6, 1.1), photons=np.exp(style.uniform(2.8, 4.4)), background=0.03, haze=0.25
    )
    return Drawing(image=as_grey(counts, rng))


def _within(cell: Blob, ink: Map, softness: float = 3.0) -> Map:
    mask = np.zeros_like(ink)
    mask[cell.window] = cell.inside(softness)
    return ink * mask


def _stress_fibres(cell: Blob, centre: np.ndarray, axis: float, rng: np.random.Generator, size: int) -> Map:
    n = int(rng.integers(22, 45))
    starts = centre + rng.uniform(-48, 48, (n, 2))
    angles = axis + rng.normal(0, rng.uniform(0.06, 0.25), n)
    paths = walks(rng, starts, angles, 60, 0.012)
    return _within(cell, strokes(size, paths - 30 * np.array([np.sin(axis), np.cos(axis)]), rng.uniform(0.15, 0.7, n)))


def _aster(cell: Blob, centre: np.ndarray, axis: float, rng: np.random.Generator, size: int) -> Map:
    n = int(rng.integers(40, 75))
    hub = centre + rng.normal(0, 8, 2)
    starts = hub + rng.normal(0, rng.uniform(1.5, 5), (n, 2))
    return _within(
        cell, strokes(size, walks(rng, starts, rng.uniform(0, 2 * np.pi, n), 58, 0.035), rng.uniform(0.1, 0.4, n))
    )


def _cortex(cell: Blob, centre: np.ndarray, axis: float, rng: np.random.Generator, size: int) -> Map:
    ink = np.zeros((size, size), np.float32)
    band = cell.rim(rng.uniform(1.4, 3.0), at=rng.uniform(1.5, 4)) + 0.4 * cell.rim(1.0, at=rng.uniform(5, 9))
    ink[cell.window] = band * rng.uniform(0.5, 0.9) * (1 + 0.35 * clouds(rng, size, 12)[cell.window])
    n = int(rng.integers(3, 12))
    stray = strokes(size, walks(rng, centre + rng.normal(0, 22, (n, 2)), rng.uniform(0, 7, n), 22, 0.05), 0.2)
    return np.maximum(ink, 0) + _within(cell, stray)


def _mesh(cell: Blob, centre: np.ndarray, axis: float, rng: np.random.Generator, size: int) -> Map:
    n = int(rng.integers(70, 120))
    starts = centre + rng.uniform(-50, 50, (n, 2))
    paths = walks(rng, starts, rng.uniform(0, 2 * np.pi, n), rng.uniform(16, 30), 0.10)
    return _within(cell, strokes(size, paths, rng.uniform(0.12, 0.45, n)))


# Share of the green molecules that sit where a red one does.
OVERLAP = {
    "very weak colocalization": (0.0, 0.12), "weak colocalization": (0.22, 0.38),
    "moderate colocalization": (0.48, 0.66), "strong colocalization": (0.78, 1.0),
}  # fmt: skip


def colocalization(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """Single molecules of two colours near the coverslip; the label is the share that lies together."""
    size = 80
    n = int(style.integers(25, 70))
    overlap = rng.uniform(*OVERLAP[label])
    red = rng.uniform(0, size, (n, 2))
    together = rng.random(n) < overlap
    green = np.where(together[:, None], red + rng.normal(0, 0.35, (n, 2)), rng.uniform(0, size, (n, 2)))
    shown = []
    psf, photons = style.uniform(1.1, 1.6), np.exp(style.uniform(2.8, 4.0))
    cell = 0.05 + 0.03 * clouds(rng, size, 30)
    for spots in (red, green):
        dye = strokes(size, spots[:, None, :], np.exp(rng.normal(2.0, 0.35, n)) * psf) + np.maximum(cell, 0)
        counts = fluoresce(dye, rng, psf_px=psf, photons=photons, background=0.02)
        shown.append(
            (counts - np.quantile(counts, 0.2)) / (np.quantile(counts, 0.995) + 0.02) * style.uniform(0.85, 1.1)
        )
    return Drawing(image=as_colour([(shown[0], (1.0, 0.05, 0.0)), (shown[1], (0.0, 1.0, 0.1))]))


ROUGHNESS = {
    "irregular contours": (0.11, 0.17),
    "intermediate contours": (0.05, 0.075),
    "smooth contours": (0.0, 0.02),
}
AXIS_RATIO = {"elongated shape": (2.1, 3.2), "intermediate shape": (1.4, 1.75), "round shape": (1.0, 1.16)}
GRAIN_PX = {"coarse texture": (7.0, 11.0), "intermediate texture": (3.6, 4.8), "fine texture": (1.2, 2.2)}


def contour(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """Simulated cells; the label is how rough their outlines are, their other properties vary freely."""
    return _simulated_cells(style, rng, roughness=ROUGHNESS[label])


def eccentricity(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """Simulated cells; the label is how elongated they are, their other properties vary freely."""
    return _simulated_cells(style, rng, axis_ratio=AXIS_RATIO[label])


def texture(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """Simulated cells; the label is the grain of their cytoplasm, their other properties vary freely."""
    return _simulated_cells(style, rng, grain_px=GRAIN_PX[label])


def _simulated_cells(
    style: np.random.Generator, rng: np.random.Generator, *, roughness: tuple[float, float] = (0.02, 0.12),
    axis_ratio: tuple[float, float] = (1.0, 1.9), grain_px: tuple[float, float] = (2.0, 8.0),
) -> Drawing:  # fmt: skip
    size = 72
    grain = rng.uniform(*grain_px)
    pattern = np.clip(1 + rng.uniform(0.35, 0.55) * clouds(rng, size, grain), 0.15, 2.2)
    dye = np.zeros((size, size), np.float32)
    n, shapes = int(rng.integers(1, 3)), []
    area_px = rng.uniform(700, 1100) * (1.5 if n == 1 else 0.9)
    for spot in scatter(rng, size, n, 36, margin=21, tries=60):
        ratio = rng.uniform(*axis_ratio)
        radii = float(np.sqrt(area_px / np.pi * ratio)), float(np.sqrt(area_px / np.pi / ratio))
        shape = blob(
            size, tuple(spot), radii, angle=rng.uniform(0, np.pi), rng=rng,
            roughness=rng.uniform(*roughness), waves=(3, 9),
        )  # fmt: skip
        shapes.append(shape)
        body = rng.uniform(0.4, 0.7) * pattern[shape.window] * np.clip(0.6 + shape.depth / 9, 0, 1)
        dye[shape.window] = np.maximum(dye[shape.window], body * shape.inside(1.2))
        core = blob(size, tuple(spot + rng.normal(0, 1.5, 2)), (4.4, 3.7), angle=rng.uniform(0, np.pi))
        dye[core.window] += 0.22 * core.inside(2.5)
    counts = fluoresce(
        dye, rng, psf_px=style.uniform(0.6, 1.0), photons=np.exp(style.uniform(3.0, 4.6)), background=0.03, haze=0.12
    )
    return Drawing(image=as_grey(counts, rng), boxes=boxes_of("cell", shapes))
