"""Models that draw boxes: what every one of them can do, those of transformers' OWL kind, and which boxes are kept."""
