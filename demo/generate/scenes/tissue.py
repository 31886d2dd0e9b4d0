"""Scenes of stained sections: colorectal tissue in H&E, heart muscle in Masson's trichrome, cortex in amyloid IHC."""

import numpy as np
from scipy.special import expit

from demo.generate.drawing import Drawing
from demo.generate.microscopes import ANILINE_BLUE, DAB, EOSIN, HAEMATOXYLIN, MASSON_RED, Slide
from demo.generate.shapes import Map, bands, blob, cells, clouds, paint, ramp, scatter

SIZE = 112


def colorectal(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """A tile of a slide of large bowel; the label is the tissue that fills it."""
    slide = Slide(style, HAEMATOXYLIN, EOSIN)
    scale = style.uniform(0.88, 1.15)
    draws = {
        "tumour epithelium": _tumour, "normal mucosa": _mucosa, "stroma": _stroma, "lymphocytes": _lymphocytes,
        "adipose tissue": _adipose, "smooth muscle": _muscle, "mucus": _mucus, "debris": _debris,
    }  # fmt: skip
    blue, pink = draws[label](rng, scale)
    if rng.random() < 0.7:  # the tile reaches into a neighbouring tissue
        beside = [name for name in draws if name != label][rng.integers(0, len(draws) - 1)]
        lie = ramp(SIZE, rng.uniform(0, 2 * np.pi)) + 6 * clouds(rng, SIZE, 40)
        share = expit(lie - np.quantile(lie, 1 - rng.uniform(0.15, 0.47)))
        blue, pink = (a + (b - a) * share for a, b in zip((blue, pink), draws[beside](rng, scale), strict=True))
    return Drawing(image=slide.photograph([blue, pink], rng))


def _nucleus(
    blue: Map, spot: np.ndarray, radius: float, ratio: float, angle: float, amount: float, rng: np.random.Generator,
    roughness: float = 0.06,
) -> None:  # fmt: skip
    """A nucleus with a darker membrane and clumped chromatin."""
    shape = blob(SIZE, tuple(spot), (radius * ratio, radius), angle=angle, rng=rng, roughness=roughness)
    rim = 0.35 * shape.rim(1.1, at=0.9)
    clumps = 0.25 * rng.standard_normal(shape.depth.shape)
    paint(blue, shape, np.maximum(amount * (0.62 + rim + clumps), 0.1), shape.inside(1.4))


def _fibrous(rng: np.random.Generator, angle: float, period: float, wave: float) -> Map:
    """Bundles across `angle`, 0 to about 1; wave in pixels is how far they sway."""
    sway = ramp(SIZE, angle + np.pi / 2) + wave * clouds(rng, SIZE, 42, octaves=2)
    strands = 0.5 + 0.3 * bands(rng, sway, period)
    return (strands * (0.8 + 0.3 * clouds(rng, SIZE, 16, octaves=2))).clip(0, 1.4)


def _tumour(rng: np.random.Generator, scale: float) -> tuple[Map, Map]:
    nests = clouds(rng, SIZE, rng.uniform(30, 55)) + rng.uniform(0.2, 1.1)
    pink = 0.30 + 0.10 * clouds(rng, SIZE, 10, octaves=2) + 0.12 * _fibrous(rng, rng.uniform(0, 3), 6, 6) * (nests < 0)
    pink = np.where(nests < -0.9, 0.05, pink)  # lumens and cracks
    blue = np.full((SIZE, SIZE), 0.06, np.float32)
    for spot in scatter(rng, SIZE, 130, 6.6 * scale, margin=-3, tries=6):
        inside = nests[tuple(np.clip(spot, 0, SIZE - 1).astype(int))]
        if inside > 0.0:
            radius, ratio = rng.uniform(3.0, 5.2) * scale, rng.uniform(1.0, 1.7)
            _nucleus(blue, spot, radius, ratio, rng.uniform(0, 3), rng.uniform(0.45, 0.95), rng, 0.12)
        elif inside > -0.8 and rng.random() < 0.4:
            _nucleus(blue, spot, 1.8 * scale, 2.2, rng.uniform(0, 3), 0.7, rng)
    return blue, pink


def _mucosa(rng: np.random.Generator, scale: float) -> tuple[Map, Map]:
    pink = 0.28 + 0.12 * clouds(rng, SIZE, 9, octaves=3)
    blue = np.full((SIZE, SIZE), 0.05, np.float32)
    crypt_px = rng.uniform(17, 21) * scale
    crypts = scatter(rng, SIZE, 16, crypt_px * 2.05, margin=-8, tries=30)
    for spot in scatter(rng, SIZE, 60, 6, tries=4):  # cells between the crypts
        if len(crypts) and np.hypot(*(crypts - spot).T).min() > crypt_px * 1.02:
            _nucleus(blue, spot, 1.9 * scale, rng.uniform(1, 1.8), rng.uniform(0, 3), 0.8, rng)
    for crypt in crypts:
        angle, ratio = rng.uniform(0, 3), rng.uniform(1.0, 1.25)
        gland = blob(SIZE, tuple(crypt), (crypt_px * ratio, crypt_px), angle=angle, rng=rng, roughness=0.03)
        paint(pink, gland, 0.33, gland.inside(1.5))
        lumen = blob(SIZE, tuple(crypt), (crypt_px * ratio * 0.26, crypt_px * 0.2), angle=angle, rng=rng, roughness=0.1)
        n = int(2 * np.pi * crypt_px / (4.4 * scale))
        for turn in np.arange(n) * 2 * np.pi / n + rng.uniform(0, 1):
            out = np.array([np.sin(turn), np.cos(turn)])
            stretch = 1 + (ratio - 1) * np.cos(turn - angle) ** 2
            if rng.random() < 0.55:  # a goblet of pale mucin above the nucleus
                spot = crypt + out * crypt_px * stretch * rng.uniform(0.5, 0.6)
                goblet = blob(SIZE, tuple(spot), (3.4 * scale, 2.5 * scale), angle=turn)
                paint(pink, goblet, 0.06, goblet.inside(1.5))
                blue[goblet.window] += 0.05 * goblet.inside(1.5)
            spot = crypt + out * crypt_px * stretch * rng.uniform(0.82, 0.9)
            _nucleus(blue, spot, 1.9 * scale, 1.5, turn, rng.uniform(0.65, 0.9), rng)
        paint(pink, lumen, 0.04, lumen.inside(2))
    return blue, pink


def _stroma(rng: np.random.Generator, scale: float) -> tuple[Map, Map]:
    angle = rng.uniform(0, np.pi)
    wave = rng.uniform(3, 7)
    fibres = _fibrous(rng, angle, rng.uniform(6, 11) * scale, wave)
    fine = bands(rng, ramp(SIZE, angle + np.pi / 2) + wave * clouds(rng, SIZE, 30), 3.0)
    pink = 0.03 + 0.58 * fibres * (1 + 0.25 * fine)
    blue = np.full((SIZE, SIZE), 0.04, np.float32)
    for spot in scatter(rng, SIZE, int(rng.integers(14, 34)), 9, tries=6):
        _nucleus(blue, spot, 1.5 * scale, rng.uniform(2.2, 4.0), angle + rng.normal(0, 0.5), rng.uniform(0.6, 0.9), rng)
    return blue, pink


def _lymphocytes(rng: np.random.Generator, scale: float) -> tuple[Map, Map]:
    pink = 0.14 + 0.06 * clouds(rng, SIZE, 8, octaves=2)
    blue = np.full((SIZE, SIZE), 0.07, np.float32)
    packing = rng.uniform(4.9, 6.4) * scale
    for spot in scatter(rng, SIZE, 330, packing, margin=-3, tries=4):
        radius = rng.uniform(2.0, 2.7) * scale
        _nucleus(blue, spot, radius, rng.uniform(1, 1.15), rng.uniform(0, 3), rng.uniform(0.8, 1.15), rng, 0.03)
    return blue, pink


def _adipose(rng: np.random.Generator, scale: float) -> tuple[Map, Map]:
    seeds = scatter(rng, SIZE, 26, rng.uniform(24, 32) * scale, margin=-24, tries=30)
    warp = 1.6 * np.stack([clouds(rng, SIZE, 16), clouds(rng, SIZE, 16)])
    border, _ = cells(SIZE, seeds, warp)
    membrane = np.exp(-((border / rng.uniform(0.9, 1.6)) ** 2))
    pink = 0.01 + 0.42 * membrane * (0.8 + 0.25 * clouds(rng, SIZE, 9))
    blue = np.full((SIZE, SIZE), 0.01, np.float32)
    rows, columns = np.nonzero(border < 0.8)
    for pick in rng.integers(0, len(rows), rng.integers(2, 8)):
        spot = np.array([rows[pick], columns[pick]], float)
        _nucleus(blue, spot, 1.4 * scale, 2.6, rng.uniform(0, 3), 0.8, rng)
    return blue, pink


def _muscle(rng: np.random.Generator, scale: float) -> tuple[Map, Map]:
    angle = rng.uniform(0, np.pi)
    bundles = _fibrous(rng, angle, rng.uniform(9, 16) * scale, rng.uniform(1, 3.5))
    pink = 0.30 + 0.34 * bundles
    blue = np.full((SIZE, SIZE), 0.06, np.float32)
    for spot in scatter(rng, SIZE, int(rng.integers(20, 40)), 9, tries=6):
        _nucleus(
            blue, spot, 1.5 * scale, rng.uniform(3.0, 4.8), angle + rng.normal(0, 0.08), rng.uniform(0.55, 0.8), rng
        )
    return blue, pink


def _mucus(rng: np.random.Generator, scale: float) -> tuple[Map, Map]:
    angle = rng.uniform(0, np.pi)
    strands = _fibrous(rng, angle, rng.uniform(8, 16), rng.uniform(12, 24))
    pools = clouds(rng, SIZE, 36, octaves=2)
    blue = 0.03 + 0.19 * strands + 0.05 * np.maximum(pools, 0)
    pink = 0.05 + 0.10 * strands + 0.03 * np.maximum(-pools, 0)
    for spot in scatter(rng, SIZE, int(rng.integers(2, 9)), 12):
        _nucleus(blue, spot, rng.uniform(1.6, 2.6) * scale, 1.2, rng.uniform(0, 3), 0.7, rng)
    return blue.astype(np.float32), pink


def _debris(rng: np.random.Generator, scale: float) -> tuple[Map, Map]:
    lumps = clouds(rng, SIZE, 20, octaves=3)
    pink = 0.26 + 0.15 * lumps.clip(-1.5, 2)
    blue = 0.09 + 0.06 * clouds(rng, SIZE, 7, octaves=3).clip(-1, 2)
    for spot in scatter(rng, SIZE, int(rng.integers(60, 150)), 3, tries=3):
        radius = rng.uniform(0.7, 2.0) * scale
        _nucleus(blue, spot, radius, rng.uniform(1, 1.6), rng.uniform(0, 3), rng.uniform(0.4, 1.0), rng, 0.2)
    return blue.astype(np.float32), pink


# Share of the section that is scar.
SCAR = {"healthy myocardium": (0.0, 0.08), "interstitial fibrosis": (0.10, 0.35), "replacement fibrosis": (0.12, 0.50)}


def myocardium(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """Heart muscle in Masson's trichrome, muscle red and collagen blue; the label is how it scars."""
    slide = Slide(style, MASSON_RED, ANILINE_BLUE, HAEMATOXYLIN)
    scale = style.uniform(0.85, 1.2)
    angle, is_lengthwise = rng.uniform(0, np.pi), rng.random() < 0.5
    stretch = 3.2 if is_lengthwise else 1.15
    border = _fibres_mosaic(rng, angle, 11.5 * scale, stretch)
    share = rng.uniform(*SCAR[label])
    if label == "replacement fibrosis":
        weight = clouds(rng, SIZE, 48) + 0.25 * clouds(rng, SIZE, 10)
    else:
        weight = -border + 1.4 * clouds(rng, SIZE, 22)
    collagen = expit((weight - np.quantile(weight, 1 - share)) * 3.5)
    grain = 1 + 0.13 * clouds(rng, SIZE, 4, octaves=2)
    if is_lengthwise:  # cross-striation
        grain = grain + 0.08 * np.sin(ramp(SIZE, angle) * 2 * np.pi / (2.8 * scale))
    red = 0.62 * np.clip(border / 1.6, 0, 1) * (1 - collagen) * grain
    blue = 0.58 * collagen * (0.6 + 0.7 * _fibrous(rng, angle, 7, 8)) + 0.03
    dark = np.zeros((SIZE, SIZE), np.float32)
    for spot in scatter(rng, SIZE, int(rng.integers(12, 26)), 12, tries=6):
        _nucleus(dark, spot, 1.7 * scale, rng.uniform(1.3, 2.6), angle, 0.75, rng)
    return Drawing(image=slide.photograph([red.astype(np.float32), blue.astype(np.float32), dark], rng))


def _fibres_mosaic(rng: np.random.Generator, angle: float, width: float, stretch: float) -> Map:
    """Distance to the borders between muscle fibres that are `stretch` times as long as wide."""
    span = SIZE * 1.5
    n = int(span * span / (width * width * stretch) * 1.5)
    seeds = scatter(rng, int(span), min(n, 160), width * 0.8, tries=4) - span / 2
    along = np.stack([ramp(SIZE, angle + np.pi / 2), ramp(SIZE, angle) / stretch])
    warp = 1.1 * np.stack([clouds(rng, SIZE, 14), clouds(rng, SIZE, 14)])
    grid = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    border, _ = cells(SIZE, seeds, along - grid + warp)
    return border


def amyloid(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """Brain cortex with amyloid-beta stained brown; the label is the form in which it lies."""
    slide = Slide(style, DAB, HAEMATOXYLIN)
    brown = np.maximum(0, 0.04 + 0.02 * clouds(rng, SIZE, 6, octaves=2))
    blue = np.maximum(0, style.uniform(0.07, 0.12) + 0.035 * clouds(rng, SIZE, 5, octaves=3))
    for spot in scatter(rng, SIZE, int(rng.integers(6, 16)), 12, tries=6):
        _nucleus(blue, spot, rng.uniform(2.0, 4.0), rng.uniform(1, 1.4), rng.uniform(0, 3), rng.uniform(0.35, 0.6), rng)
    centre = SIZE / 2 + rng.normal(0, 7, 2)
    draw = {"cored plaque": _cored, "diffuse plaque": _diffuse, "amyloid angiopathy": _angiopathy}
    if label in draw:
        draw[label](brown, blue, centre, rng)
    return Drawing(image=slide.photograph([brown, blue], rng))


def _cored(brown: Map, blue: Map, centre: np.ndarray, rng: np.random.Generator) -> None:
    radius = rng.uniform(15, 27)
    halo = blob(SIZE, tuple(centre), (radius, radius * rng.uniform(0.8, 1)), rng=rng, roughness=0.12, waves=(3, 9))
    spokes = clouds(rng, SIZE, 4.5, octaves=2)[halo.window]
    ring = np.clip(halo.depth / radius, 0, 1)
    brown[halo.window] += rng.uniform(0.15, 0.45) * np.maximum(0, 1 + 0.55 * spokes) * halo.inside(6) * (1 - 0.5 * ring)
    core = blob(SIZE, tuple(centre + rng.normal(0, 1.5, 2)), (radius * 0.34, radius * 0.3), rng=rng, roughness=0.1)
    paint(brown, core, rng.uniform(0.45, 1.1), core.inside(3))


def _diffuse(brown: Map, blue: Map, centre: np.ndarray, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 4)):
        radius = rng.uniform(15, 32)
        spot = centre + rng.normal(0, 15, 2)
        shape = blob(SIZE, tuple(spot), (radius, radius * rng.uniform(0.6, 1)), angle=rng.uniform(0, 3), rng=rng,
                     roughness=0.18)  # fmt: skip
        wisps = clouds(rng, SIZE, 6, octaves=3)[shape.window]
        brown[shape.window] += rng.uniform(0.12, 0.36) * np.maximum(0, 0.8 + 0.6 * wisps) * shape.inside(14)


def _angiopathy(brown: Map, blue: Map, centre: np.ndarray, rng: np.random.Generator) -> None:
    radius, ratio, angle = rng.uniform(14, 24), rng.uniform(1, 1.7), rng.uniform(0, 3)
    vessel = blob(SIZE, tuple(centre), (radius * ratio, radius), angle=angle, rng=rng, roughness=0.05)
    wall = rng.uniform(3.0, 5.5)
    paint(blue, vessel, 0.02, vessel.inside(2))
    paint(brown, vessel, 0.02, vessel.inside(2))
    patchy = np.clip(0.85 + 0.35 * clouds(rng, SIZE, 20)[vessel.window], 0.1, 1.5)
    brown[vessel.window] += rng.uniform(0.25, 0.8) * vessel.rim(wall * 0.7, at=wall) * patchy
    for turn in rng.uniform(0, 2 * np.pi, 5):
        out = np.array([np.sin(turn), np.cos(turn)]) * radius * 1.05
        _nucleus(blue, centre + out, 1.6, 2.2, turn + np.pi / 2, 0.6, rng)
