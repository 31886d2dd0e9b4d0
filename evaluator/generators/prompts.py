"""Prompts as a model's tokens. In: images and prompt texts; out: token sequences that begin alike, and pixel tensors.

An image stands in a prompt as one placeholder token, which the model's processor expands. The processor sees each image
once: the other prompts about it take over the expansion, and so begin with the same tokens up to the image's end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from string import ascii_uppercase
from typing import Any

import torch
from PIL import Image

from evaluator.errors import EvaluationFailed, InputError
from evaluator.generators.generator import AskedImage

KEPT = 8192  # prompts whose tokens are kept: most images are asked the same
TEXT_TENSORS = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}

Tokens = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Prompts about one image that begin with the same tokens, the image's among them. places: of the prompts in the
    batch, as (image, prompt); suffixes: what each goes on with, one token at least."""

    image: Image.Image
    places: tuple[tuple[int, int], ...]
    prefix: Tokens
    suffixes: tuple[Tokens, ...]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Groups, and the processor's tensors of their images in the same order."""

    groups: tuple[Group, ...]
    vision: dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """Prompts about one image before its placeholder is expanded."""

    image: Image.Image
    places: tuple[tuple[int, int], ...]
    prompts: tuple[str, ...]


class Prompter:
    """Turns prompts into tokens by the model's own processor and, where the folder has one, its chat template."""

    def __init__(self, processor: Any, image_token: str, context_length: int) -> None:
        self._processor, self._tokenizer = processor, processor.tokenizer
        self._image_token = image_token
        self._image_id = int(self._tokenizer.convert_tokens_to_ids(image_token))
        self._context_length = context_length
        self._tokens = lru_cache(KEPT)(self._tokenize)
        self._letters = lru_cache(KEPT)(self._find_letters)

    def render(self, prompt: str) -> str:
        """The text that is tokenized: the image, then the official prompt to the letter, in the model's chat template
        where it has one; else the image, a line break and the prompt."""
        if not self._processor.chat_template:
            return f"{self._image_token}\n{prompt}"
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        conversation = [{"role": "user", "content": content}]
        text: str = self._processor.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
        if prompt not in text:
            message = "The chat template of this architecture changes the official prompt; an organiser must mend it."
            raise InputError.single("template_changes_prompt", message, field="architecture")
        return text

    def letters(self, prompt: str, n_options: int) -> Tokens:
        """The token of each letter A, B, … as the next one after the prompt.

        It is the first token that the tokenizer gives beyond the prompt's own for the prompt with the letter written
        directly behind it. Where the letter would melt into the prompt's last token, it is the first token of the
        letter by itself. Raises EvaluationFailed `letters_share_a_token`.
        """
        return self._letters(prompt, n_options)

    def encode(self, asked: Sequence[AskedImage]) -> Batch:
        """The prompts that fit into the context, grouped. Which do not: those without a place in the batch."""
        return self._encode([
            raw for place, one in enumerate(asked) if one.prompts for raw in self._with_shared_image(place, one)
        ])  # fmt: skip

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of generated tokens, special ones left out."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _encode(self, raws: list[_Raw]) -> Batch:
        if not raws:
            return Batch(groups=(), vision={})
        vision, expansions = self._process(raws)
        groups, fitting = [], []
        for raw, expansion in zip(raws, expansions, strict=True):
            if group := self._fit(raw, expansion):
                groups.append(group)
                fitting.append(raw)
        if len(fitting) < len(raws):  # the tensors of several images cannot be told apart in general
            return self._encode(fitting)
        return Batch(groups=tuple(groups), vision=vision)

    def _with_shared_image(self, place: int, asked: AskedImage) -> list[_Raw]:
        """All prompts together; each for itself where a template puts what differs before the image."""
        places = tuple((place, number) for number in range(len(asked.prompts)))
        tokens = [self._tokens(prompt) for prompt in asked.prompts]
        if self._image_id in tokens[0][: _common(tokens)]:
            return [_Raw(image=asked.image, places=places, prompts=asked.prompts)]
        return [
            _Raw(image=asked.image, places=(one,), prompts=(prompt,))
            for one, prompt in zip(places, asked.prompts, strict=True)
        ]

    def _process(self, raws: Sequence[_Raw]) -> tuple[dict[str, torch.Tensor], list[Tokens]]:
        """The images' tensors, and the tokens that stand for each image."""
        texts = [self.render(raw.prompts[0]) for raw in raws]
        made = self._processor(
            text=texts, images=[[raw.image] for raw in raws], add_special_tokens=self._adds_special(texts[0]),
            padding=True, padding_side="right", return_tensors="pt",
        )  # fmt: skip
        vision = {name: tensor for name, tensor in made.items() if name not in TEXT_TENSORS}
        whole = [
            tuple(ids[mask.bool()].tolist())
            for ids, mask in zip(made["input_ids"], made["attention_mask"], strict=True)
        ]
        return vision, [
            self._expansion(self._tokens(raw.prompts[0]), expanded) for raw, expanded in zip(raws, whole, strict=True)
        ]

    def _expansion(self, tokens: Tokens, expanded: Tokens) -> Tokens:
        at = tokens.index(self._image_id)
        end = len(expanded) - (len(tokens) - at - 1)
        if expanded[:at] != tokens[:at] or expanded[end:] != tokens[at + 1 :] or self._image_id not in expanded[at:end]:
            message = (
                "The processor of this architecture writes more than the image into a prompt; it is not supported."
            )
            raise InputError.single("unsupported_processor", message, field="architecture")
        return expanded[at:end]

    def _fit(self, raw: _Raw, expansion: Tokens) -> Group | None:
        """The prompts that leave room for one token of an answer, with all that they share as the prefix."""
        fitting = []
        for place, prompt in zip(raw.places, raw.prompts, strict=True):
            tokens = self._tokens(prompt)
            at = tokens.index(self._image_id)
            tokens = tokens[:at] + expansion + tokens[at + 1 :]
            if len(tokens) < self._context_length:
                fitting.append((place, tokens))
        if not fitting:
            return None
        n_shared = _common([tokens for _, tokens in fitting])
        return Group(
            image=raw.image, places=tuple(place for place, _ in fitting), prefix=fitting[0][1][:n_shared],
            suffixes=tuple(tokens[n_shared:] for _, tokens in fitting),
        )  # fmt: skip

    def _tokenize(self, prompt: str) -> Tokens:
        text = self.render(prompt)
        tokens = tuple(self._tokenizer(text, add_special_tokens=self._adds_special(text))["input_ids"])
        if tokens.count(self._image_id) != 1:
            message = (f"A prompt holds {tokens.count(self._image_id)} times the token that stands for the image "
                       f"({self._image_token}); a question of this release must not contain it.")  # fmt: skip
            raise InputError.single("image_token_in_prompt", message, field="architecture")
        return tokens

    def _adds_special(self, text: str) -> bool:
        """Whether the tokenizer adds its first token: not where the template wrote it (as transformers decides)."""
        bos = self._tokenizer.bos_token
        return bos is None or not text.startswith(bos)

    def _find_letters(self, prompt: str, n_options: int) -> Tokens:
        text, tokens = self.render(prompt), self._tokens(prompt)
        found = []
        for letter in ascii_uppercase[:n_options]:
            longer = self._tokenizer(text + letter, add_special_tokens=self._adds_special(text))["input_ids"]
            if tuple(longer[: len(tokens)]) == tokens and len(longer) > len(tokens):
                found.append(longer[len(tokens)])
            else:
                found.append(self._tokenizer(letter, add_special_tokens=False)["input_ids"][0])
        if len(set(found)) < len(found):
            message = "The tokenizer of this architecture begins several letters alike; use the protocol 'questions'."
            raise EvaluationFailed("letters_share_a_token", message, retry=False)
        return tuple(found)


def _common(sequences: Sequence[Tokens]) -> int:
    """How many tokens all begin with; at least one token of each is left over."""
    shortest = min(map(len, sequences)) - 1
    alike = takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False))
    return min(sum(1 for _ in alike), shortest)
