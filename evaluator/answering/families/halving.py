"""Batches that fit. In: a range of items and a way to compute some of them; out: the results, in smaller batches where
memory ran out."""

import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from evaluator.encoders.device import is_out_of_memory

Result = TypeVar("Result")


class Halving:
    """Computes in batches of `size`, halved whenever one does not fit into memory; a smaller size stays."""

    def __init__(self, size: int) -> None:
        self.size = size

    def run(self, start: int, stop: int, compute: Callable[[int, int], Result]) -> Iterator[tuple[int, int, Result]]:
        """Yield (from, to, compute(from, to)) for the batches of start … stop, in order.

        Raises the out-of-memory error when a single item does not fit.
        """
        while start < stop:
            end = min(start + self.size, stop)
            try:
                result = compute(start, end)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or end - start == 1:
                    raise
                self.size = (end - start + 1) // 2
            else:
                yield start, end, result
                start = end
                continue
            _free()  # only here is the failed batch's traceback gone, and what it held with it


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
