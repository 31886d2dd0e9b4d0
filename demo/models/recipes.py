"""The demo's models and how each comes about. In: nothing; out: recipes, in the order in which they are trained."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model.

    target: facets that its training images share, all of them for an empty target; base: the model it starts from.
    images_per_dataset are drawn from training seed number `draw`.
    """

    slug: str
    name: str
    description: str
    base: str | None = None
    target: tuple[tuple[str, str], ...] = ()
    draw: int
    images_per_dataset: int
    steps: int
    peak_rate: float
    batch_images: int = 96


RECIPES = (
    Recipe(
        slug="tiny-generalist", name="Tiny generalist",
        description="A four-layer image tower and a three-layer text tower, trained from scratch on every dataset.",
        draw=0, images_per_dataset=250, steps=450, peak_rate=1.5e-3,
    ),
    Recipe(
        slug="tiny-novice", name="Tiny novice",
        description="The generalist's architecture and data with a fraction of its training.",
        draw=0, images_per_dataset=250, steps=120, peak_rate=1.5e-3,
    ),
    Recipe(
        slug="tiny-pathologist", name="Tiny pathologist",
        description="The generalist fine-tuned on stained tissue and blood alone. It forgets other microscopy.",
        base="tiny-generalist", target=(("domain", "pathology"),),
        draw=1, images_per_dataset=1200, steps=650, peak_rate=3.5e-4,
    ),
    Recipe(
        slug="tiny-electron", name="Tiny electron microscopist",
        description="The generalist fine-tuned on electron micrographs alone. It forgets light and fluorescence.",
        base="tiny-generalist", target=(("modality", "electron microscopy"),),
        draw=1, images_per_dataset=1200, steps=300, peak_rate=3.5e-4,
    ),
)  # fmt: skip
