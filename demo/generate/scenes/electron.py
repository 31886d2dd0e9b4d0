"""Scenes under the electron microscope: organelles, mitochondria in brain, nerve fibres. Dark is dense."""

import numpy as np

from demo.generate.drawing import Drawing, boxes_of
from demo.generate.microscopes import electron_image
from demo.generate.shapes import Blob, Map, blob, cells, clouds, paint, ramp, ridges, scatter, strokes


def organelles(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """A thin section of a cell; the label is the organelle that fills the view."""
    size = 112
    density = _cytoplasm(rng, size, style.uniform(0.28, 0.38))
    {
        "mitochondria": _mitochondria, "rough endoplasmic reticulum": _rough_er, "golgi apparatus": _golgi,
        "cell nucleus": _nucleus, "secretory granules": _granules,
    }[label](density, rng)  # fmt: skip
    return Drawing(
        image=electron_image(
            density, rng, blur_px=style.uniform(0.5, 0.8), noise=style.uniform(0.05, 0.12),
            contrast=style.uniform(0.55, 1.1),
        )
    )  # fmt: skip


def _cytoplasm(rng: np.random.Generator, size: int, level: float) -> Map:
    """Granular ground substance with free ribosomes and a few small vesicles."""
    density = level + 0.035 * clouds(rng, size, 5, octaves=3)
    n = int(rng.integers(120, 320))
    ribosomes = strokes(size, rng.uniform(0, size, (n, 1, 2)))
    density += np.minimum(ribosomes, 1.3) * rng.uniform(0.25, 0.4)
    for spot in scatter(rng, size, int(rng.integers(2, 9)), 8):
        radius = rng.uniform(2.2, 4)
        vesicle = blob(size, tuple(spot), (radius, radius), rng=rng, roughness=0.05)
        paint(density, vesicle, level - 0.1, vesicle.inside(1.2))
        density[vesicle.window] += 0.35 * vesicle.rim(0.8)
    return density.astype(np.float32)


def _mitochondrion(
    density: Map, shape: Blob, rng: np.random.Generator, *, matrix: float, crista_px: float, angle: float,
    fullness: float = 1.0,
) -> None:  # fmt: skip
    """Two membranes around a dense matrix that cristae cross. fullness: share of the cristae that remain."""
    size = density.shape[0]
    phase = ramp(size, angle) * np.pi / crista_px + 0.9 * clouds(rng, size, 16, octaves=2)
    folds = ridges(phase, 1.5)[shape.window]
    broken = (clouds(rng, size, 10)[shape.window] < 2.6 * fullness - 1.3).astype(np.float32)
    inner = np.clip((shape.depth - 1.8) / 1.5, 0, 1)
    body = matrix + 0.03 * clouds(rng, size, 3)[shape.window] + 0.40 * folds * broken * inner
    paint(density, shape, body, shape.inside(1.2))
    density[shape.window] += 0.42 * shape.rim(0.8, at=0.3) + 0.34 * shape.rim(0.8, at=2.6)


def _mitochondria(density: Map, rng: np.random.Generator) -> None:
    size = density.shape[0]
    for spot in scatter(rng, size, int(rng.integers(1, 5)), 42, margin=10, tries=30):
        radius, ratio, angle = rng.uniform(12, 20), rng.uniform(1.1, 2.2), rng.uniform(0, np.pi)
        shape = blob(size, tuple(spot), (radius * ratio, radius), angle=angle, rng=rng, roughness=0.05)
        _mitochondrion(
            density, shape, rng, matrix=rng.uniform(0.42, 0.55), crista_px=rng.uniform(4.2, 6.5),
            angle=angle + rng.normal(0, 0.25),
        )  # fmt: skip


def _sheets(position: Map, period: float, thickness: float | Map, lumen: float, level: Map) -> Map:
    """Parallel flat sacs: two dark membranes around a lumen, one sac every `period` pixels of `position`."""
    wave = np.cos(position * 2 * np.pi / period)
    membrane = np.exp(-(((wave - thickness) * period / (2 * np.pi * 0.8)) ** 2))
    return np.where(wave > thickness, lumen, level) + 0.42 * membrane


def _rough_er(density: Map, rng: np.random.Generator) -> None:
    size = density.shape[0]
    angle, period = rng.uniform(0, np.pi), rng.uniform(10, 15)
    position = ramp(size, angle) + rng.uniform(2, 4.5) * clouds(rng, size, 45)
    there = 1 / (1 + np.exp(-(clouds(rng, size, 55) + rng.uniform(0.2, 1.2)) * 6))
    sheets = _sheets(position, period, rng.uniform(0.35, 0.7), 0.2, density)
    density += (sheets - density) * there
    beside = (np.abs(np.cos(position * 2 * np.pi / period) - 0.1) < 0.25) & (there > 0.6)
    rows, columns = np.nonzero(beside)
    if len(rows):
        picks = rng.integers(0, len(rows), int(rng.integers(250, 420)))
        studs = np.stack([rows[picks], columns[picks]], axis=-1)[:, None, :].astype(float)
        density += 0.45 * np.minimum(strokes(size, studs), 1.3)


def _golgi(density: Map, rng: np.random.Generator) -> None:
    size = density.shape[0]
    for _ in range(rng.integers(1, 3)):
        centre = size / 2 + rng.normal(0, 13, 2)
        angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(26, 70)
        n_sacs, period, half_length = int(rng.integers(4, 8)), rng.uniform(6.4, 8.6), rng.uniform(22, 38)
        y = np.arange(size, dtype=np.float32)[:, None] - centre[0]
        x = np.arange(size, dtype=np.float32)[None, :] - centre[1]
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        across = across - along**2 / (2 * bend) + 1.1 * clouds(rng, size, 20)
        length = half_length * (1 + 0.15 * clouds(rng, size, 12)) - np.abs(across) * 0.4
        stack = (np.abs(across) < n_sacs * period / 2) * np.clip((length - np.abs(along)) / 2 + 0.5, 0, 1)
        swelling = np.clip((np.abs(along) / half_length) ** 4, 0, 1) * 0.35
        sheets = _sheets(across, period, rng.uniform(0.0, 0.25) - swelling, 0.15, density)
        density += (sheets - density) * stack
        for side in (-1, 1):  # vesicles pinch off at the rims
            for _ in range(rng.integers(4, 10)):
                at, off = side * half_length * rng.uniform(1.02, 1.4), rng.normal(0, n_sacs * period / 3)
                off += at**2 / (2 * bend)
                spot = centre + np.array(
                    [at * np.sin(angle) + off * np.cos(angle), at * np.cos(angle) - off * np.sin(angle)]
                )
                vesicle = blob(size, tuple(spot), (2.6, 2.4))
                if vesicle.depth.size:
                    paint(density, vesicle, 0.22, vesicle.inside(1.2))
                    density[vesicle.window] += 0.36 * vesicle.rim(0.8)


def _nucleus(density: Map, rng: np.random.Generator) -> None:
    size = density.shape[0]
    radius = rng.uniform(38, 62)
    side = rng.uniform(0, 2 * np.pi)
    centre = size / 2 + (radius - rng.uniform(20, 34)) * np.array([np.sin(side), np.cos(side)])
    shape = blob(size, tuple(centre), (radius * rng.uniform(1, 1.25), radius), angle=rng.uniform(0, 3), rng=rng,
                 roughness=0.05)  # fmt: skip
    clumps = np.clip(clouds(rng, size, rng.uniform(11, 18), octaves=2)[shape.window] - 0.35, 0, 1.2)
    edge = np.exp(-((np.maximum(shape.depth - 3, 0) / rng.uniform(2.5, 5)) ** 2))
    body = 0.30 + 0.28 * clumps + 0.26 * edge + 0.03 * clouds(rng, size, 3)[shape.window]
    paint(density, shape, body, shape.inside(1.2))
    gap = 1 - 0.75 * shape.rim(1.1, at=1.3)
    density[shape.window] = density[shape.window] * gap + 0.42 * shape.rim(0.8, at=-0.6) + 0.40 * shape.rim(0.8, at=3.2)
    if rng.random() < 0.6:
        spot = centre + (size / 2 - centre) * rng.uniform(0.1, 0.6)
        nucleolus = blob(size, tuple(spot), (9, 8), rng=rng, roughness=0.1)
        paint(density, nucleolus, 0.72 + 0.06 * clouds(rng, size, 4)[nucleolus.window], nucleolus.inside(3))


def _granules(density: Map, rng: np.random.Generator) -> None:
    size = density.shape[0]
    radius = rng.uniform(5.5, 9)
    for spot in scatter(rng, size, int(rng.integers(9, 24)), radius * 2.15, margin=0, tries=20):
        r = radius * rng.uniform(0.75, 1.1)
        granule = blob(
            size, tuple(spot), (r, r * rng.uniform(0.9, 1)), angle=rng.uniform(0, 3), rng=rng, roughness=0.03
        )
        paint(density, granule, 0.2, granule.inside(1.2))
        density[granule.window] += 0.35 * granule.rim(0.8)
        core = blob(
            size, tuple(spot + rng.normal(0, r * 0.1, 2)), (r * rng.uniform(0.55, 0.85),) * 2, rng=rng, roughness=0.04
        )
        paint(density, core, rng.uniform(0.65, 0.95), core.inside(2))


def neuropil(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """Block-face image of brain; the label is the state of the mitochondria among the cell processes."""
    size = 112
    seeds = scatter(rng, size, 70, 14, margin=-14, tries=8)
    warp = 3.0 * np.stack([clouds(rng, size, 14), clouds(rng, size, 14)])
    border, index = cells(size, seeds, warp)
    tone = rng.normal(0.27, 0.05, len(seeds)).astype(np.float32)
    density = tone[index] + 0.02 * clouds(rng, size, 4, octaves=2) + 0.45 * np.exp(-((border / 0.9) ** 2))
    shapes = []
    for spot, radii, angle in _mitochondrial_forms(label, size, rng):
        shape = blob(size, tuple(spot), radii, angle=angle, rng=rng, roughness=0.05)
        swollen = label == "swollen mitochondria"
        matrix = rng.uniform(0.08, 0.28) if swollen else rng.uniform(0.48, 0.58)
        _mitochondrion(
            density, shape, rng, matrix=matrix, crista_px=rng.uniform(3.6, 5),
            angle=angle + rng.normal(0, 0.3), fullness=rng.uniform(0.1, 0.4) if swollen else 0.95,
        )  # fmt: skip
        density[shape.window] += 0.25 * shape.rim(1.2, at=0.6)
        shapes.append(shape)
    image = electron_image(
        density.astype(np.float32), rng, blur_px=style.uniform(0.8, 1.1), noise=style.uniform(0.05, 0.11),
        contrast=style.uniform(0.65, 0.95),
    )  # fmt: skip
    return Drawing(image=image, boxes=boxes_of("mitochondrion", shapes))


def _mitochondrial_forms(
    label: str, size: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, tuple[float, float], float]]:
    number, apart, radius, ratio = {
        "tubular mitochondria": ((2, 5), 30, (5.5, 8.0), (1.7, 3.2)),
        "swollen mitochondria": ((2, 5), 32, (8, 14), (1.0, 1.5)),
        "fragmented mitochondria": ((3, 9), 18, (4.8, 7.4), (1.0, 1.35)),
    }[label]
    spots = scatter(rng, size, int(rng.integers(*number)), apart, margin=10, tries=40)
    forms = []
    for spot in spots:
        r = rng.uniform(*radius)
        forms.append((spot, (r * rng.uniform(*ratio), r), rng.uniform(0, np.pi)))
    return forms


def myelin(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """A cross-section of nerve; the label is the state of the sheaths around its fibres."""
    size = 112
    calibre = style.uniform(14, 20)
    density = 0.30 + 0.05 * clouds(rng, size, 8, octaves=3)
    spots = scatter(rng, size, 26, calibre * 1.8, margin=-8, tries=30)
    for spot in spots:
        radius = calibre * rng.uniform(0.62, 0.98)
        fibre = blob(size, tuple(spot), (radius * rng.uniform(1, 1.25), radius), angle=rng.uniform(0, 3), rng=rng,
                     roughness=0.09, waves=(2, 4))  # fmt: skip
        axoplasm = 0.22 + 0.03 * clouds(rng, size, 3)[fibre.window]
        paint(density, fibre, axoplasm, fibre.inside(1.2))
        _sheath(density, fibre, label, radius, rng)
        for _ in range(rng.integers(0, 3)):
            inside = spot + rng.normal(0, radius * 0.22, 2)
            small = blob(size, tuple(inside), (2.4, 1.8), angle=rng.uniform(0, 3))
            paint(density, small, 0.5, small.inside(1.2))
            density[small.window] += 0.3 * small.rim(0.7)
    image = electron_image(
        density.astype(np.float32), rng, blur_px=style.uniform(0.5, 0.9), noise=style.uniform(0.05, 0.11),
        contrast=style.uniform(0.85, 1.15),
    )  # fmt: skip
    return Drawing(image=image)


def _sheath(density: Map, fibre: Blob, label: str, radius: float, rng: np.random.Generator) -> None:
    size, depth = density.shape[0], fibre.depth
    if label == "unmyelinated axons":
        density[fibre.window] += 0.42 * fibre.rim(0.9, at=0.3)
        return
    thickness = radius * rng.uniform(0.26, 0.42)
    band = np.clip(depth + 0.5, 0, 1) * np.clip(thickness - depth + 0.5, 0, 1)
    lamellae = 0.10 * np.cos(depth * 2 * np.pi / 2.2)
    if label == "split myelin":
        depth = depth + 0.8 * clouds(rng, size, 9)[fibre.window]
        gaps = np.clip(ridges(depth * np.pi / rng.uniform(2.6, 3.8), 1.1), 0, 1)
        where = 1 / (1 + np.exp(-(clouds(rng, size, 12)[fibre.window] + rng.uniform(-0.3, 0.5)) * 5))
        value = 0.86 + lamellae - rng.uniform(0.35, 0.6) * gaps * where
    else:
        value = 0.86 + lamellae
    density[fibre.window] += (value - density[fibre.window]) * band
