"""Chance, by name. In: a seed and what it is drawn for; out: a generator of its own.

One seed names many streams (the start, the dropout of a round, the choice of a round): drawing more of one never moves
another, and a run gives the same ids whatever runs beside it.
"""

from hashlib import sha256

import torch


def generator_of(seed: int, *names: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that depends on the seed and all names, by SHA-256: `generator_of(1, "head", "3")`."""
    digest = sha256("\n".join([str(seed), *names]).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
