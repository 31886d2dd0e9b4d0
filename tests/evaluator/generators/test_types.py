"""Every supported type of model, from its files: replies and letters in batches equal the library's one at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluator.encoders.choices import Precision
from evaluator.encoders.loading import load_model, match_architecture
from evaluator.generators.generator import AskedImage, Generator, Reply
from evaluator.generators.transformers import SUPPORTED
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.generators import CORPUS, generative_architecture, write_llava, write_qwen
from tests.builders.more_generators import WRITERS
from tests.evaluator.answering.slow_generate import SlowGenerator

ALL = {"llava": write_llava, "qwen2_vl": write_qwen, **WRITERS}
SHAPES = ((40, 50), (20, 60), (33, 33), (70, 30))
TOKENS = 12


def load(weights: Path) -> Generator:
    architecture = generative_architecture(weights.parent)
    with open_checkpoint(weights) as file:
        keys = match_architecture(file, architecture)
        loaded: Generator = load_model(
            file, keys, architecture, device=torch.device("cpu"), precision=Precision.FP32
        )  # fmt: skip
    return loaded


def test_no_type_is_supported_untested() -> None:
    assert ALL.keys() == SUPPORTED.keys()


@pytest.mark.parametrize("kind", ALL)
def test_batches_equal_the_library_one_at_a_time(kind: str, tmp_path: Path) -> None:
    weights = ALL[kind](tmp_path / kind)
    generator, slow = load(weights), SlowGenerator(weights.parent)
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in SHAPES]
    prompts = (CORPUS[0], CORPUS[5] + " It is stained.")
    asked = [AskedImage(image=image, prompts=prompts, n_options=(3, 3)) for image in images]
    replies, scores = generator.reply(asked, TOKENS), generator.score_letters(asked)
    said = set()
    for image, ours, letters in zip(images, replies, scores, strict=True):
        for prompt, reply, likely in zip(prompts, ours, letters, strict=True):
            assert isinstance(reply, Reply) and likely is not None
            assert reply.text == slow.reply(image, prompt, TOKENS)
            np.testing.assert_allclose(likely, slow.letters(image, prompt, 3), rtol=0, atol=1e-4)
            said.add(reply.text)
    assert len(said) > 1


def test_half_precision_is_near(tmp_path: Path) -> None:
    weights = write_llava(tmp_path / "llava", favoured=False)
    architecture = generative_architecture(weights.parent)
    image = Image.new("RGB", (30, 40), "teal")
    asked = [AskedImage(image=image, prompts=(CORPUS[0], CORPUS[1]), n_options=(3, 3))]
    found = []
    for precision in Precision:
        with open_checkpoint(weights) as file:
            keys = match_architecture(file, architecture)
            generator = load_model(file, keys, architecture, device=torch.device("cpu"), precision=precision)
        found.append(np.stack(generator.score_letters(asked)[0]))
    assert 0 < np.abs(found[0] - found[1]).max() < 0.1
