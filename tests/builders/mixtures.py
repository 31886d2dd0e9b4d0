"""Pools of embeddings made by a recipe: a mixture of Gaussians in few dimensions, lifted into many, classes uneven."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LATENT, MODES, OFFSET_SD, NOISE_SD = 24, 3, 0.5, 0.15


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """The arrays of a POOL.npz."""

    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]

    def save(self, path: Path, **changed: object) -> Path:
        """Write it as POOL.npz; `changed` replaces arrays, and leaves out those that are None."""
        arrays = vars(self) | changed
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path


def mixture(*, n_pool: int = 4_000, n_test: int = 2_000, dim: int = 512, n_classes: int = 20, seed: int = 0) -> Mixture:
    """Centres N(0, 1) in 24 dimensions, three modes per class at 0.6 N(0, 1) of it with Dirichlet(1.5) shares, spread 1
    within a mode; classes as frequent as rank^−½; an orthonormal lift, a common offset N(0, 0.5²), noise 0.15."""
    rng = np.random.default_rng(seed)
    latent = min(LATENT, dim)
    modes = rng.normal(size=(n_classes, 1, latent)) + 0.6 * rng.normal(size=(n_classes, MODES, latent))
    shares = rng.dirichlet(np.full(MODES, 1.5), n_classes)
    prior = np.arange(1, n_classes + 1) ** -0.5
    lift, offset = np.linalg.qr(rng.normal(size=(dim, latent)))[0], rng.normal(0, OFFSET_SD, dim)

    def draw(n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        classes = rng.choice(n_classes, n, p=prior / prior.sum())
        mode = (rng.random((n, 1)) > shares[classes].cumsum(axis=1)[:, :-1]).sum(axis=1)
        points = modes[classes, mode] + rng.normal(size=(n, latent))
        return (points @ lift.T + offset + rng.normal(0, NOISE_SD, (n, dim))).astype(np.float32), classes

    (train_x, train_y), (test_x, test_y) = draw(n_pool), draw(n_test)
    return Mixture(train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y)
