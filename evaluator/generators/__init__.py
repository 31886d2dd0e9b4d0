"""Models that answer by writing. In: images and prompts; out: replies, or how likely each letter is as the reply."""

import evaluator.encoders  # noqa: F401  says how torch's threads wait, before anything here imports torch
