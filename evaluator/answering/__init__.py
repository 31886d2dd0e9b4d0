"""How a model answers the questions of a split. Sees images, questions and weights; never a key."""

import evaluator.encoders  # noqa: F401  says how torch's threads wait, before anything here imports torch
