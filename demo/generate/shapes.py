"""Shapes that specimens are drawn with. In: a canvas size and numbers; out: float32 maps. Knows no stain."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

Map = np.ndarray  # float32 (height, width)


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A closed outline, known only inside `window` of the canvas. `depth`: pixels within it, negative outside."""

    window: tuple[slice, slice]
    depth: Map

    def inside(self, softness: float = 1.0) -> Map:
        """1 inside, 0 outside, with an edge `softness` pixels wide."""
        return np.clip(self.depth / softness + 0.5, 0, 1)

    def rim(self, width: float, at: float = 0.0) -> Map:
        """A line of about `width` pixels that follows the outline `at` pixels within it."""
        return np.exp(-(((self.depth - at) / width) ** 2))

    def box(self) -> tuple[float, float, float, float] | None:
        """x1, y1, x2, y2 of what lies on the canvas; None when nothing does."""
        rows, columns = np.nonzero(self.depth > 0)
        if not len(rows):
            return None
        top, left = self.window[0].start, self.window[1].start
        return (
            float(left + columns.min()),
            float(top + rows.min()),
            float(left + columns.max() + 1),
            float(top + rows.max() + 1),
        )


def blob(
    size: int,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    angle: float = 0.0,
    rng: np.random.Generator | None = None,
    roughness: float = 0.0,
    waves: tuple[int, int] = (2, 6),
) -> Blob:
    """An ellipse whose outline is bent by `roughness` (share of the radius) in `waves` periods around.

    centre is (y, x), radii the half axes in pixels, angle the direction of the first axis from the x axis.
    """
    reach = max(radii) * (1 + 2 * roughness) + 4
    top, left = (int(np.clip(c - reach, 0, size)) for c in centre)
    bottom, right = (int(np.clip(c + reach + 1, 0, size)) for c in centre)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - centre[0]
    x = np.arange(left, right, dtype=np.float32)[None, :] - centre[1]
    along = (x * np.cos(angle) + y * np.sin(angle)) / radii[0]
    across = (y * np.cos(angle) - x * np.sin(angle)) / radii[1]
    distance = np.sqrt(along**2 + across**2)
    outline: Map | float = 1.0
    if roughness and rng is not None and distance.size:
        around = np.arctan2(across, along)
        periods = np.arange(waves[0], waves[1] + 1)
        strengths = rng.normal(0, roughness / np.sqrt(len(periods)), len(periods))
        phases = rng.uniform(0, 2 * np.pi, len(periods))
        outline = 1 + sum(s * np.cos(p * around + f) for p, s, f in zip(periods, strengths, phases, strict=True))
    depth = ((outline - distance) * min(radii)).astype(np.float32)
    return Blob(window=(slice(top, bottom), slice(left, right)), depth=depth)


def paint(canvas: Map, shape: Blob, value: float | Map, coverage: Map | None = None) -> None:
    """Lay `value` over the canvas where the blob is, in place. `coverage` (0–1) defaults to the blob's inside."""
    share = shape.inside() if coverage is None else coverage
    canvas[shape.window] += (value - canvas[shape.window]) * share


def clouds(rng: np.random.Generator, size: int, grain_px: float, octaves: int = 1) -> Map:
    """Smooth noise of mean 0 and deviation 1; `grain_px` is the size of its coarsest lumps, each octave halves it."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        grain = max(1.0, grain_px / 2**octave)
        n = int(np.ceil(size / grain)) + 3
        knots = Image.fromarray(rng.standard_normal((n, n), dtype=np.float32))
        shift = rng.uniform(0, 1, 2) if grain > 1 else (0, 0)
        left, top = 1 + shift[0], 1 + shift[1]
        area = (left, top, min(left + size / grain, n), min(top + size / grain, n))
        total += np.asarray(knots.resize((size, size), Image.Resampling.BICUBIC, box=area)) / 1.6**octave
    return (total - total.mean()) / (total.std() + 1e-6)


def ramp(size: int, angle: float) -> Map:
    """Distance in pixels along direction `angle`, 0 at the centre."""
    axis = np.arange(size, dtype=np.float32) - size / 2
    return axis[None, :] * np.float32(np.cos(angle)) + axis[:, None] * np.float32(np.sin(angle))


def bands(rng: np.random.Generator, position: Map, grain_px: float, octaves: int = 3) -> Map:
    """Noise of mean 0 and deviation 1 that varies with `position` only: fibres of random width and strength."""
    total = np.zeros_like(position)
    start = position - position.min()
    for octave in range(octaves):
        at = start / np.float32(grain_px / 2**octave) + np.float32(rng.uniform())
        knots = rng.standard_normal(int(at.max()) + 2)
        total += np.interp(at, np.arange(len(knots)), knots).astype(np.float32) / 1.4**octave
    return (total - total.mean()) / (total.std() + 1e-6)


def ridges(phase: Map, sharpness: float) -> Map:
    """Lines of height 1 where `phase` crosses a multiple of π; the larger `sharpness`, the thinner."""
    return np.exp(-((np.sin(phase) * sharpness) ** 2))


def scatter(
    rng: np.random.Generator, size: int, count: int, apart_px: float, *, margin: float = 0.0, tries: int = 12
) -> np.ndarray:
    """Up to `count` points (y, x) at least `apart_px` from one another; `margin` may be negative to reach outside."""
    points = np.empty((0, 2))
    candidates = rng.uniform(margin, size - margin, (count * tries, 2))
    for candidate in candidates:
        if len(points) == count:
            break
        if not len(points) or ((points - candidate) ** 2).sum(axis=1).min() >= apart_px**2:
            points = np.vstack([points, candidate])
    return points


def cells(size: int, seeds: np.ndarray, warp: np.ndarray | None = None) -> tuple[Map, np.ndarray]:
    """A mosaic: distance in pixels to the nearest border between two cells, and the index of each pixel's cell.

    seeds (n, 2) are the cells' centres as (y, x); warp (2, size, size) bends the borders.
    """
    grid = np.mgrid[0:size, 0:size].astype(np.float32)
    if warp is not None:
        grid = grid + warp
    near, index = cKDTree(seeds).query(grid.reshape(2, -1).T, k=2)
    border = (near[:, 1] - near[:, 0]).reshape(size, size).astype(np.float32) / 2
    return border, index[:, 0].reshape(size, size)


def strokes(size: int, paths: np.ndarray, weights: np.ndarray | float = 1.0) -> Map:
    """Ink along paths (n, points, 2) of (y, x), one unit per point, spread over the four pixels around it."""
    points = paths.reshape(-1, 2)
    ink = np.broadcast_to(np.asarray(weights, np.float32).reshape(-1, 1), paths.shape[:2]).reshape(-1)
    corner = np.floor(points).astype(int)
    part = points - corner
    total = np.zeros(size * size, np.float32)
    for dy in (0, 1):
        for dx in (0, 1):
            y, x = corner[:, 0] + dy, corner[:, 1] + dx
            share = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1]) * ink
            on = (y >= 0) & (y < size) & (x >= 0) & (x < size)
            total += np.bincount(y[on] * size + x[on], share[on], size * size).astype(np.float32)
    return total.reshape(size, size)


def walks(
    rng: np.random.Generator,
    starts: np.ndarray,
    angles: np.ndarray,
    length_px: float,
    bend: float,
    step_px: float = 0.7,
) -> np.ndarray:
    """Curved paths (n, points, 2) from starts (n, 2) in directions `angles`; bend is the turn in radians per pixel."""
    n_points = max(2, int(length_px / step_px))
    turns = rng.normal(0, bend * step_px * 3, (len(starts), n_points)).cumsum(axis=1) * 0.3
    heading = angles[:, None] + turns
    moves = np.stack([np.sin(heading), np.cos(heading)], axis=-1) * step_px
    return starts[:, None, :] + moves.cumsum(axis=1)
