"""The first labels, before there is a head. In: Start, Pool; out: ids."""

import torch
from torch import Tensor

from evaluator.active_learning.kmeans import kmeans, nearest_members
from evaluator.active_learning.names import Start
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.strategies.choosing import shuffled
from evaluator.active_learning.strategies.covering import most_covering
from evaluator.active_learning.strategies.typical import most_typical
from evaluator.errors import InputError


def choose_start(start: Start, pool: Pool, count: int, *, generator: torch.Generator) -> Tensor:
    """(count,) distinct ids. Random: uniform. Centroid: k-means of unit features into `count` clusters, the member
    nearest to each centre. TypiClust, ProbCover: their own first query.

    Raises InputError `too_few_candidates` when the pool has not so many images.
    """
    if not 1 <= count <= len(pool):
        message = f"{count} first labels were asked for of {len(pool)} images. Ask for fewer, or add images."
        raise InputError.single("too_few_candidates", message)
    nothing = pool.everyone[:0]
    match start:
        case Start.RANDOM:
            return shuffled(pool.everyone, generator)[:count]
        case Start.CENTROID:
            return nearest_members(pool.directions, kmeans(pool.directions, count, generator=generator))
        case Start.TYPICLUST:
            return most_typical(pool, nothing, count, generator=generator)
        case Start.PROBCOVER:
            return most_covering(pool, nothing, count, generator=generator)
