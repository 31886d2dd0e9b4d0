"""One module per kind of microscopy. A scene draws one image of a class: `scene(label, style, rng) -> Drawing`."""
