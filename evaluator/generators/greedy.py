"""Greedy writing. In: sequences and the logits of their next tokens; out: the tokens each goes on with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evaluator.generators.sequences import Sequences


@dataclass(frozen=True, kw_only=True)
class Written:
    """tokens: without the one that ended it. finished: whether one did."""

    tokens: tuple[int, ...]
    finished: bool


def write_greedily(
    sequences: Sequences, logits: torch.Tensor, ends: frozenset[int], limits: Sequence[int]
) -> list[Written]:
    """The most probable token, again and again, until one of `ends` or `limits[row]` tokens, in each row.

    logits: of the first token, (rows, vocabulary). Rows that ended leave the batch; the others are not changed by it.
    """
    written: list[list[int]] = [[] for _ in limits]
    finished = [False] * len(limits)
    going = list(range(len(limits)))  # rows of `sequences` -> rows of the result
    while going:
        chosen = logits.argmax(dim=-1).tolist()
        kept = []
        for place, (row, token) in enumerate(zip(going, chosen, strict=True)):
            if token in ends:
                finished[row] = True
                continue
            written[row].append(token)
            if len(written[row]) < limits[row]:
                kept.append(place)
        if not kept:
            break
        if len(kept) < len(going):
            sequences.select(kept)
            going = [going[place] for place in kept]
        logits = sequences.extend([(written[row][-1],) for row in going])
    return [Written(tokens=tuple(tokens), finished=ended) for tokens, ended in zip(written, finished, strict=True)]
