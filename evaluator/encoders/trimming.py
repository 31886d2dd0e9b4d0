"""Text towers without their padding. In: a model and padded tokens; out: the same embeddings for fewer positions.

A causal tower that is read at the end token never looks past it, so what stands behind the longest end token of a batch
may be cut off: equal but for rounding. So may places that a tower of transformers masks. Towers that look both ways
without a mask, or are read elsewhere, are left alone.
"""

from typing import Any

import torch
from open_clip import CLIP, CustomTextCLIP
from open_clip.hf_model import ClsLastHiddenStatePooler, ClsPooler, HFTextEncoder, MeanPooler
from open_clip.transformer import TextTransformer


def encode_text(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """(n, d) embeddings of (n, context) tokens, as `model.encode_text` gives them."""
    tower = _trimmable_tower(model)
    if isinstance(getattr(model, "text", None), HFTextEncoder):
        return model.encode_text(_without_masked(tokens, model.text))
    if tower is None:
        return model.encode_text(tokens)
    ends = tokens.argmax(dim=-1)  # the end token has the highest number
    length = int(ends.max()) + 1
    embedded = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
    seen = tower.ln_final(tower.transformer(embedded, attn_mask=tower.attn_mask[:length, :length]))
    pooled = seen[torch.arange(len(seen), device=seen.device), ends]
    projection = tower.text_projection
    if projection is None:
        return pooled
    return projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection


def _without_masked(tokens: torch.Tensor, tower: HFTextEncoder) -> torch.Tensor:
    """Without the places at the end that are padding in every text; all where the pooler does not heed the mask."""
    if type(tower.pooler) not in (ClsPooler, ClsLastHiddenStatePooler, MeanPooler):
        return tokens
    used = (tokens != tower.config.pad_token_id).any(dim=0).nonzero()
    return tokens[:, : int(used.max()) + 1] if len(used) else tokens


def _trimmable_tower(model: Any) -> Any:
    """The part of `model` that holds its text tower, or None where positions behind the end token count."""
    if type(model) is CLIP:
        tower, pool = model, model.text_pool_type
    elif type(model) is CustomTextCLIP and type(model.text) is TextTransformer:
        tower, pool = model.text, model.text.pool_type
        if tower.cls_emb is not None or tower.use_pad_mask:
            return None
    else:
        return None
    return tower if pool == "argmax" and tower.attn_mask is not None else None
