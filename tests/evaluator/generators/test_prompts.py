"""Prompts as tokens: the official text to the letter, the tokens of the letters, one image per prompt."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import transformers

from evaluator.errors import EvaluationFailed, InputError
from evaluator.generators.generator import AskedImage
from evaluator.generators.prompts import Prompter
from evaluator.release.prompts import render_prompt
from tests.builders.generators import CONTEXT, LLAVA_TEMPLATE, write_llava, write_qwen

PROMPT = render_prompt("Which stain is shown?", ["DAPI", "none of the above"])
OTHER = render_prompt("Which domain is shown?", ["biology", "pathology"])


def prompter_of(weights: Path, context: int = CONTEXT) -> Prompter:
    processor = transformers.AutoProcessor.from_pretrained(weights.parent)
    return Prompter(processor, processor.image_token, context)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prompts")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Prompter:
    return prompter_of(write_llava(folder / "plain"))


def test_without_a_template_the_image_comes_first_on_a_line(plain: Prompter) -> None:
    assert plain.render(PROMPT) == f"<image>\n{PROMPT}"


def test_with_a_template_the_prompt_stands_in_it_to_the_letter(folder: Path) -> None:
    chat = prompter_of(write_llava(folder / "chat", template=LLAVA_TEMPLATE))
    assert chat.render(PROMPT) == f"<s>USER: <image>\n{PROMPT} ASSISTANT:"
    qwen = prompter_of(write_qwen(folder / "qwen"))
    assert qwen.render(PROMPT) == (
        f"<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_that_changes_the_prompt_is_refused(folder: Path) -> None:
    shouting = prompter_of(
        write_llava(folder / "shouting", template=LLAVA_TEMPLATE.replace("text }}", "text|upper }}"))
    )
    with pytest.raises(InputError) as refused:
        shouting.render(PROMPT)
    assert refused.value.counts == {"template_changes_prompt": 1}


def test_the_prompts_of_an_image_share_all_that_is_alike(plain: Prompter) -> None:
    white, black = Image.new("RGB", (30, 20), "white"), Image.new("RGB", (20, 20))
    batch = plain.encode([
        AskedImage(image=white, prompts=(PROMPT, OTHER), n_options=(2, 2)),
        AskedImage(image=black, prompts=(PROMPT,), n_options=(2,)),
    ])  # fmt: skip
    first, second = batch.groups
    assert first.places == ((0, 0), (0, 1)) and second.places == ((1, 0),)
    shared = plain.decode(first.prefix)
    assert shared.endswith("Question:Which ") or shared.endswith("Question:Which")
    assert first.prefix + first.suffixes[0] == second.prefix + second.suffixes[0]
    assert len(second.suffixes[0]) == 1
    assert batch.vision["pixel_values"].shape == (2, 3, 32, 32)
    assert not torch.equal(*batch.vision["pixel_values"])


def test_what_a_template_puts_before_the_image_is_not_shared(folder: Path) -> None:
    template = (
        "{% for part in messages[0].content|reverse %}{{ part.text if part.type == 'text' else '<image>' }}{% endfor %}"
    )
    late = prompter_of(write_llava(folder / "late", template=template))
    assert late.render(PROMPT) == f"{PROMPT}<image>"
    batch = late.encode([AskedImage(image=Image.new("RGB", (8, 8)), prompts=(PROMPT, OTHER), n_options=(2, 2))])
    assert [group.places for group in batch.groups] == [((0, 0),), ((0, 1),)]
    assert [late.decode(group.prefix) for group in batch.groups] == [PROMPT, OTHER]


def test_a_question_that_holds_the_image_token_is_refused(plain: Prompter) -> None:
    with pytest.raises(InputError) as refused:
        plain.encode([AskedImage(image=Image.new("RGB", (8, 8)), prompts=("What is <image>?",), n_options=(2,))])
    assert refused.value.counts == {"image_token_in_prompt": 1}


def test_letters_are_the_tokens_that_the_tokenizer_goes_on_with(plain: Prompter) -> None:
    tokenizer: Any = plain._tokenizer
    a, b, c, space = tokenizer.convert_tokens_to_ids(["A", "B", "C", "Ġ"])
    assert tokenizer.tokenize("end A") == ["e", "n", "d", "Ġ", "A"]  # it knows no " A": the space tells nothing
    assert space not in {a, b, c}
    assert plain.letters(PROMPT, 3) == ((a,), (b,), (c,))


def prompter_on(tokenizer: Tokenizer) -> Prompter:
    """A model without a template whose tokens are those of `tokenizer`."""
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", extra_special_tokens=["<image>"]
    )
    return Prompter(SimpleNamespace(tokenizer=wrapped, chat_template=None), "<image>", CONTEXT)


def word_prompter(vocabulary: list[str]) -> Prompter:
    """Whole words only: a letter behind a word would melt into it."""
    words = ["<unk>", "<image>", "</s>", *vocabulary]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return prompter_on(tokenizer)


def test_a_letter_that_would_melt_into_the_prompt_is_taken_by_itself() -> None:
    assert word_prompter(["cell", "A", "B"]).letters("round cell", 2) == ((4,), (5,))


def test_a_letter_counts_with_and_without_a_space_before_it() -> None:
    tokens = ["<unk>", "<image>", "</s>", "A", "B", "Ġ", "ĠA", "ĠB", ":", "Ċ"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "A"), ("Ġ", "B")], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert prompter_on(tokenizer).letters(":", 2) == ((3, 6), (4, 7))


def test_letters_that_begin_alike_cannot_be_told_apart() -> None:
    with pytest.raises(EvaluationFailed) as failed:
        word_prompter(["cell", "A"]).letters("round cell", 3)  # B and C are both unknown
    assert failed.value.code == "letters_share_a_token" and not failed.value.retry
