"""What a microscope makes of a specimen. In: float maps of dye, stain or density; out: uint8 images with defects."""

import numpy as np
from scipy.ndimage import gaussian_filter

from demo.generate.shapes import Map, clouds, ramp

# Optical density per unit of stain in red, green and blue. Haematoxylin and DAB: Ruifrok and Johnston 2001;
# the others by eye.
HAEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.09, 0.72, 0.24)
DAB = (0.27, 0.57, 0.78)
MASSON_RED = (0.10, 0.80, 0.55)
ANILINE_BLUE = (0.85, 0.45, 0.12)
GIEMSA_PURPLE = (0.62, 0.80, 0.22)
GIEMSA_BLUE = (0.60, 0.38, 0.12)
GIEMSA_PINK = (0.06, 0.36, 0.26)
GIEMSA_ORANGE = (0.08, 0.55, 0.75)

Image = np.ndarray  # uint8 (height, width) or (height, width, 3)


def fluoresce(
    dye: Map, rng: np.random.Generator, *, psf_px: float, photons: float, background: float = 0.03, haze: float = 0.0
) -> Map:
    """The camera's counts over those of dye 1.0: blurred, unevenly lit, with shot and read noise.

    psf_px: deviation of the blur; photons: counts at dye 1.0; haze: share of light from out of focus.
    """
    seen = gaussian_filter(dye, psf_px, truncate=3)
    if haze:
        seen = seen * (1 - haze / 2) + haze * gaussian_filter(seen, 9, truncate=2)
    seen = (seen + background) * lighting(rng, dye.shape[0], 0.18)
    counts = rng.poisson(np.maximum(seen, 0) * photons).astype(np.float32) / photons
    return counts + rng.normal(0, 0.008, dye.shape).astype(np.float32)


def lighting(rng: np.random.Generator, size: int, strength: float) -> Map:
    """Uneven illumination around 1: a slope and a fall-off towards the edges."""
    slope = ramp(size, rng.uniform(0, 2 * np.pi)) / size * rng.uniform(0, strength)
    y, x = (ramp(size, a) / size for a in (np.pi / 2, 0))
    return (1 + slope - rng.uniform(0, 2 * strength) * (x**2 + y**2)).astype(np.float32)


def as_grey(counts: Map, rng: np.random.Generator, *, fill: float | None = None) -> Image:
    """Grey levels with the display stretched as a person would: to the brightest pixels, or to the level `fill`."""
    low = np.quantile(counts, 0.01)
    high = np.quantile(counts, 0.997) if fill is None else fill
    shown = (counts - low) / max(high - low, 0.05) * rng.uniform(0.8, 1.05)
    return to_uint8(np.clip(shown, 0, 1) ** rng.uniform(0.8, 1.0))


def as_colour(channels: list[tuple[Map, tuple[float, float, float]]]) -> Image:
    """Channels (0–1) shown in their colours and added up."""
    total = sum(np.clip(counts, 0, 1)[..., None] * np.array(colour, np.float32) for counts, colour in channels)
    return to_uint8(np.asarray(total))


class Slide:
    """A stained slide under transmitted light: the same stain batch and lamp for every image of one source."""

    def __init__(self, style: np.random.Generator, *stains: tuple[float, float, float], spread: float = 1.0) -> None:
        densities = np.array(stains, np.float32)
        self.densities = densities * np.exp(style.normal(0, 0.12 * spread, densities.shape))
        self.strengths = np.exp(style.normal(-0.1, 0.30 * spread, len(stains)))
        self.lamp = np.array([0.965, 0.955, 0.96]) + style.normal(0, 0.012 * spread, 3)
        self.focus_px = style.uniform(0.45, 1.5)
        self.gamma = np.exp(style.normal(0, 0.08 * spread))

    def photograph(self, amounts: list[Map], rng: np.random.Generator) -> Image:
        """The colour image of as many maps of stain (0 none, 1 strong) as the slide has stains: Beer's law."""
        size = amounts[0].shape[0]
        total = np.zeros((size, size, 3), np.float32)
        for amount, strength, density in zip(amounts, self.strengths, self.densities, strict=True):
            blurred = gaussian_filter(np.maximum(amount, 0), self.focus_px, truncate=3)
            total += blurred[..., None] * (strength * density).astype(np.float32)
        light = self.lamp * 10**-total * lighting(rng, size, 0.05)[..., None]
        light = np.clip(light, 0, 1) ** self.gamma + rng.normal(0, 0.012, total.shape)
        return to_uint8(light)


def electron_image(
    density: Map, rng: np.random.Generator, *, blur_px: float, noise: float, contrast: float = 1.0
) -> Image:
    """Grey levels of a section: `density` 0 lets electrons through (white), 1 stops them (black)."""
    size = density.shape[0]
    seen = gaussian_filter(density, blur_px, truncate=3)
    grain = rng.normal(0, noise, density.shape) + noise * 0.8 * clouds(rng, size, 2.5)
    uneven = 0.05 * clouds(rng, size, size * 0.7) + ramp(size, rng.uniform(0, 7)) / size * rng.uniform(0, 0.12)
    grey = 0.5 + contrast * (0.47 - seen) + grain + uneven + rng.normal(0, 0.03)
    return to_uint8(grey)


def to_uint8(image: np.ndarray) -> Image:
    """Values 0–1 as 0–255."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
