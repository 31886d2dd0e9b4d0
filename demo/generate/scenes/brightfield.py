"""Scenes of single cells under transmitted light: a stained blood smear, and unstained budding yeast."""

import numpy as np
from scipy.ndimage import gaussian_filter

from demo.generate.drawing import Drawing, boxes_of
from demo.generate.microscopes import (
    GIEMSA_BLUE,
    GIEMSA_ORANGE,
    GIEMSA_PINK,
    GIEMSA_PURPLE,
    Slide,
    lighting,
    to_uint8,
)
from demo.generate.shapes import Blob, Map, blob, clouds, paint, scatter


class Smear:
    """The stains of a blood smear while it is drawn: maps of purple, blue, pink and orange."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.purple, self.blue, self.pink, self.orange = (np.zeros((size, size), np.float32) for _ in range(4))

    @property
    def maps(self) -> list[Map]:
        return [self.purple, self.blue, self.pink, self.orange]

    def clear(self, shape: Blob) -> None:
        """Take away what lies under a cell that is drawn next."""
        for amount in self.maps:
            amount[shape.window] *= 1 - shape.inside(1.5)

    def granules(
        self, onto: Map, cell: Blob, centre: np.ndarray, rng: np.random.Generator, n: int, radius: float, amount: float
    ) -> None:
        """Grains strewn over a cell."""
        reach = max(cell.depth.max(), 4)
        for spot in centre + rng.normal(0, reach * 0.5, (n, 2)):
            y, x = int(spot[0]) - cell.window[0].start, int(spot[1]) - cell.window[1].start
            if 0 <= y < cell.depth.shape[0] and 0 <= x < cell.depth.shape[1] and cell.depth[y, x] > radius:
                grain = blob(self.size, tuple(spot), (radius * rng.uniform(0.8, 1.2), radius))
                paint(onto, grain, amount * rng.uniform(0.8, 1.2), grain.inside(1.2))


def blood(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """A Giemsa-stained smear cut out around one cell; the label is that cell's type."""
    size = 96
    slide = Slide(style, GIEMSA_PURPLE, GIEMSA_BLUE, GIEMSA_PINK, GIEMSA_ORANGE, spread=1.5)
    crowding, pallor = style.integers(4, 13), style.uniform(0.4, 0.8)
    smear = Smear(size)
    smear.pink += np.maximum(0, 0.03 + 0.012 * clouds(rng, size, 30))
    for spot in scatter(rng, size, int(crowding), 24, margin=-12, tries=20):
        if np.hypot(*(spot - size / 2)) > 25:
            _red_cell(smear, spot, pallor, rng)
    centre = size / 2 + rng.normal(0, 3, 2)
    draw = {
        "neutrophil": _neutrophil, "lymphocyte": _lymphocyte, "monocyte": _monocyte, "eosinophil": _eosinophil,
        "basophil": _basophil, "platelet": _platelet,
    }[label]  # fmt: skip
    cell = draw(smear, centre, rng)
    return Drawing(image=slide.photograph(smear.maps, rng), boxes=boxes_of(label, [cell]))


def _red_cell(smear: Smear, centre: np.ndarray, pallor: float, rng: np.random.Generator) -> None:
    radius = rng.uniform(11.5, 14)
    shape = blob(
        smear.size, tuple(centre), (radius, radius * rng.uniform(0.86, 1)), angle=rng.uniform(0, 3), rng=rng,
        roughness=0.03,
    )  # fmt: skip
    thickness = 1 - pallor * np.exp(-(((radius - shape.depth) / (0.6 * radius)) ** 2))
    smear.pink[shape.window] += rng.uniform(0.55, 0.7) * thickness * shape.inside(1.8)


def _body(smear: Smear, centre: np.ndarray, radius: float, rng: np.random.Generator, roughness: float = 0.05) -> Blob:
    shape = blob(
        smear.size, tuple(centre), (radius * rng.uniform(1, 1.12), radius), angle=rng.uniform(0, 3), rng=rng,
        roughness=roughness,
    )  # fmt: skip
    smear.clear(shape)
    return shape


def _chromatin(
    smear: Smear, nucleus: Blob, amount: float, rng: np.random.Generator, grain: float = 5, depth: float = 0.12
) -> None:
    texture = amount * (1 + depth * clouds(rng, smear.size, grain, octaves=2)[nucleus.window])
    paint(smear.purple, nucleus, np.maximum(texture, 0), nucleus.inside(1.5))


def _lobes(
    smear: Smear, centre: np.ndarray, n: int, reach: float, radius: float, rng: np.random.Generator, amount: float
) -> None:
    start, turn = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1]) * rng.uniform(1.0, 1.5)
    spots = [
        centre + reach * np.array([np.sin(start + i * turn), np.cos(start + i * turn)]) * rng.uniform(0.8, 1.1)
        for i in range(n)
    ]
    for here, there in zip(spots, spots[1:], strict=False):  # thin bridges between lobes
        bridge = blob(smear.size, tuple((here + there) / 2), (np.hypot(*(here - there)) / 2, 1.5),
                      angle=float(np.arctan2(*(there - here))))  # fmt: skip
        paint(smear.purple, bridge, amount * 0.9, bridge.inside(1.5))
    for spot in spots:
        lobe = blob(
            smear.size, tuple(spot), (radius * rng.uniform(0.95, 1.3), radius * rng.uniform(0.8, 1)),
            angle=rng.uniform(0, 3), rng=rng, roughness=0.08,
        )  # fmt: skip
        _chromatin(smear, lobe, amount, rng)


def _neutrophil(smear: Smear, centre: np.ndarray, rng: np.random.Generator) -> Blob:
    cell = _body(smear, centre, rng.uniform(18, 22), rng)
    smear.pink[cell.window] += 0.24 * cell.inside(2)
    smear.granules(smear.pink, cell, centre, rng, 90, 0.9, rng.uniform(0.3, 0.65))
    _lobes(smear, centre, int(rng.integers(2, 6)), rng.uniform(6.5, 8.5), rng.uniform(4.4, 5.4), rng, 0.75)
    return cell


def _eosinophil(smear: Smear, centre: np.ndarray, rng: np.random.Generator) -> Blob:
    cell = _body(smear, centre, rng.uniform(18, 22), rng)
    smear.pink[cell.window] += 0.25 * cell.inside(2)
    smear.granules(smear.orange, cell, centre, rng, 230, 1.1, rng.uniform(0.10, 0.32))
    _lobes(smear, centre, int(rng.integers(2, 4)), rng.uniform(6.5, 8.0), rng.uniform(4.6, 6.2), rng, 0.7)
    return cell


def _basophil(smear: Smear, centre: np.ndarray, rng: np.random.Generator) -> Blob:
    cell = _body(smear, centre, rng.uniform(16, 20), rng)
    smear.pink[cell.window] += 0.2 * cell.inside(2)
    _lobes(smear, centre, int(rng.integers(2, 4)), 6, rng.uniform(5.5, 7), rng, 0.5)
    smear.granules(smear.purple, cell, centre, rng, int(rng.integers(25, 100)), 1.3, rng.uniform(0.45, 0.8))
    return cell


def _lymphocyte(smear: Smear, centre: np.ndarray, rng: np.random.Generator) -> Blob:
    radius = rng.uniform(13, 21)
    cell = _body(smear, centre, radius, rng)
    smear.blue[cell.window] += rng.uniform(0.3, 0.5) * cell.inside(2)
    nucleus = blob(
        smear.size, tuple(centre + rng.normal(0, 1, 2)), (radius * 0.86, radius * rng.uniform(0.64, 0.84)),
        angle=rng.uniform(0, 3), rng=rng, roughness=0.04,
    )  # fmt: skip
    _chromatin(smear, nucleus, 0.82, rng, grain=7, depth=0.16)
    return cell


def _monocyte(smear: Smear, centre: np.ndarray, rng: np.random.Generator) -> Blob:
    radius = rng.uniform(17, 24)
    cell = _body(smear, centre, radius, rng, roughness=0.09)
    smear.blue[cell.window] += rng.uniform(0.25, 0.45) * cell.inside(2) * (
        1 + 0.12 * clouds(rng, smear.size, 4)[cell.window]
    )  # fmt: skip
    for spot in scatter(rng, smear.size, 5, 4):  # vacuoles
        hole = blob(smear.size, tuple(centre + (spot - smear.size / 2) * 0.3), (1.8, 1.8))
        smear.blue[hole.window] *= 1 - 0.6 * hole.inside(1.5)
    angle = rng.uniform(0, 2 * np.pi)
    nucleus = blob(
        smear.size, tuple(centre), (radius * 0.66, radius * 0.55), angle=angle, rng=rng, roughness=0.1, waves=(2, 3)
    )
    notch_at = centre + radius * rng.uniform(0.4, 0.6) * np.array([np.cos(angle), -np.sin(angle)])
    notch = blob(smear.size, tuple(notch_at), (radius * 0.3, radius * 0.28), angle=angle)
    bite = np.zeros((smear.size, smear.size), np.float32)
    bite[notch.window] = notch.inside(2.5)
    kidney = Blob(window=nucleus.window, depth=np.minimum(nucleus.depth, (0.5 - bite[nucleus.window]) * 8))
    _chromatin(smear, kidney, rng.uniform(0.5, 0.75), rng, grain=6, depth=0.2)
    return cell


def _platelet(smear: Smear, centre: np.ndarray, rng: np.random.Generator) -> Blob:
    found = []
    for i in range(rng.integers(1, 4)):
        spot = centre if i == 0 else centre + rng.normal(0, 11, 2)
        radius = rng.uniform(3.2, 6)
        shape = blob(smear.size, tuple(spot), (radius, radius * rng.uniform(0.7, 1)), angle=rng.uniform(0, 3), rng=rng,
                     roughness=0.14)  # fmt: skip
        smear.clear(shape)
        smear.blue[shape.window] += 0.24 * shape.inside(2)
        smear.granules(smear.purple, shape, spot, rng, 22, 1.0, 0.55)
        found.append(shape)
    return found[0]


def yeast(label: str, style: np.random.Generator, rng: np.random.Generator) -> Drawing:
    """Unstained yeast slightly out of focus; the label is how the cells hang together."""
    size = 80
    field = np.zeros((size, size), np.float32)
    focus, contrast = style.choice([-1, 1]), style.uniform(0.75, 1.1)
    found: list[Blob] = []
    place = {"single cells": _singles, "budding cells": _budding, "cell clusters": _clusters, "cell chains": _chains}
    for spot, radius, ratio, angle in place[label](size, rng):
        shape = blob(size, tuple(spot), (radius * ratio, radius), angle=angle, rng=rng, roughness=0.025)
        _refract(field, shape, float(focus), rng)
        found.append(shape)
    dust = clouds(rng, size, 3) * 0.012 + clouds(rng, size, 40) * 0.015
    grey = 0.58 + contrast * gaussian_filter(field, style.uniform(0.5, 0.9), truncate=3) + dust
    grey = grey * lighting(rng, size, 0.14) + rng.normal(0, style.uniform(0.012, 0.03), field.shape)
    return Drawing(image=to_uint8(grey), boxes=boxes_of("yeast cell", found))


def _refract(field: Map, shape: Blob, focus: float, rng: np.random.Generator) -> None:
    """A thick cell bends light: a dark wall, a bright fringe outside and a bright or dark middle."""
    inside = shape.inside(1.5)
    field[shape.window] *= 1 - inside
    middle = focus * (0.10 + 0.10 * np.clip(shape.depth / 6, 0, 1))
    field[shape.window] += inside * middle - 0.34 * shape.rim(1.3, at=0.6) + 0.16 * shape.rim(1.6, at=-2.4)
    vacuole_at = tuple(np.array([(s.start + s.stop) / 2 for s in shape.window]) + rng.normal(0, 1.6, 2))
    vacuole = blob(field.shape[0], vacuole_at, (2.6, 2.3))
    field[vacuole.window] += (0.13 * vacuole.inside(1.5) - 0.10 * vacuole.rim(0.9)) * focus


Placed = list[tuple[np.ndarray, float, float, float]]  # centre, radius, ratio of axes, angle


def _singles(size: int, rng: np.random.Generator) -> Placed:
    spots = scatter(rng, size, int(rng.integers(3, 7)), 22, margin=8, tries=40)
    return [(spot, rng.uniform(6, 8), rng.uniform(1, 1.25), rng.uniform(0, 3)) for spot in spots]


def _budding(size: int, rng: np.random.Generator) -> Placed:
    placed: Placed = []
    for spot in scatter(rng, size, int(rng.integers(2, 5)), 30, margin=12, tries=40):
        radius, angle = rng.uniform(6, 8), rng.uniform(0, 2 * np.pi)
        placed.append((spot, radius, rng.uniform(1, 1.2), angle))
        bud = radius * rng.uniform(0.4, 0.72)
        placed.append((spot + (radius + bud * 0.75) * np.array([np.sin(angle), np.cos(angle)]), bud, 1.05, angle))
    return placed


def _clusters(size: int, rng: np.random.Generator) -> Placed:
    middle = size / 2 + rng.normal(0, 8, 2)
    near = scatter(rng, size, 50, 12.5, tries=10)
    distance = np.hypot(*(near - middle).T)
    kept = near[np.argsort(distance)[: int(rng.integers(7, 14))]]
    return [(spot, rng.uniform(5.8, 7.6), rng.uniform(1, 1.2), rng.uniform(0, 3)) for spot in kept]


def _chains(size: int, rng: np.random.Generator) -> Placed:
    placed: Placed = []
    for _ in range(rng.integers(1, 3)):
        spot, angle = rng.uniform(14, size - 14, 2), rng.uniform(0, 2 * np.pi)
        for _ in range(rng.integers(4, 7)):
            radius, ratio = rng.uniform(4.2, 5.4), rng.uniform(1.5, 2.1)
            placed.append((spot, radius, ratio, angle))
            inward = np.arctan2(*(size / 2 - spot))
            angle += rng.normal(0, 0.3) + 0.25 * np.sin(inward - angle)
            spot = spot + (2 * radius * ratio - 1.2) * np.array([np.sin(angle), np.cos(angle)])
    return placed
