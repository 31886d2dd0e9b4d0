"""Growing token sequences of a causal model, many at once. In: a model, prefixes, suffixes; out: logits, step by step.

Every row keeps its own keys and values, its own padding and its own next position, so that what stands beside it in the
batch changes nothing but the order of sums:

    prefix …… │ padding │ padding │ suffix …… │ generated
    (of its image, computed once, then copied)

Padding is masked for whatever comes later, and positions count real tokens only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from evaluator.errors import EvaluationFailed
from evaluator.generators.prompts import Batch, Tokens

# (ids, mask, vision tensors) → positions of the tokens, (rows, tokens) or (axes, rows, tokens)
Positions = Callable[[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]], torch.Tensor]


@dataclass(kw_only=True)
class Sequences:
    """Rows of a batch, each a sequence under way. mask (rows, tokens so far): real tokens. position (rows,): the next.

    axes: 3 for models that place tokens in time, height and width (M-RoPE); 0 for one position per token.
    """

    model: Any
    axes: int
    mask: torch.Tensor
    position: torch.Tensor
    cache: DynamicCache = field(default_factory=DynamicCache)

    def __len__(self) -> int:
        return len(self.position)

    def extend(self, suffixes: Sequence[Tokens]) -> torch.Tensor:
        """Append a suffix to each row; returns the logits of the next token, float32 (rows, vocabulary).

        Raises EvaluationFailed `non_finite_output`.
        """
        ids, mask = padded(suffixes, self.position.device, left=True)
        self.mask = torch.cat([self.mask, mask], dim=1)
        steps = mask.long().cumsum(1)
        positions = self.position[:, None] + (steps - 1).clamp(min=0)
        if self.axes:
            positions = positions.expand(self.axes, *positions.shape)
        made = self.model(
            input_ids=ids, attention_mask=self.mask.long(), position_ids=positions, past_key_values=self.cache,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        self.position = self.position + steps[:, -1]
        logits: torch.Tensor = made.logits[:, -1].float()
        if not torch.isfinite(logits.amax(dim=-1)).all():  # -inf for tokens that a model never gives is its right
            message = "The model gave NaN or infinite numbers. Check that the checkpoint runs in float32."
            raise EvaluationFailed("non_finite_output", message, retry=False)
        return logits

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; one may be named more than once."""
        places = torch.tensor(rows, device=self.position.device)
        self.cache.batch_select_indices(places)
        self.mask, self.position = self.mask[places], self.position[places]


def begin(model: Any, batch: Batch, positions: Positions, device: torch.device) -> Sequences:
    """One row per group of the batch, holding its prefix: images and shared tokens are computed here, once."""
    ids, mask = padded([group.prefix for group in batch.groups], device, left=False)
    vision = {name: tensor.to(device) for name, tensor in batch.vision.items()}
    place = positions(ids, mask, vision)
    axes = place.shape[0] if place.ndim == 3 else 0
    cache = DynamicCache()
    model(
        input_ids=ids, attention_mask=mask.long(), position_ids=place, past_key_values=cache, use_cache=True,
        logits_to_keep=1, **vision,
    )  # fmt: skip
    furthest = place.amax(dim=0) if axes else place
    following = furthest.masked_fill(~mask, -1).amax(dim=1) + 1
    return Sequences(model=model, axes=axes, mask=mask, position=following, cache=cache)


def padded(rows: Sequence[Tokens], device: torch.device, *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, longest) token ids, padded with 0, and which of them are real."""
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, tokens in enumerate(rows):
        part = slice(longest - len(tokens), None) if left else slice(len(tokens))
        ids[row, part] = torch.tensor(tokens)
        mask[row, part] = True
    return ids.to(device), mask.to(device)
