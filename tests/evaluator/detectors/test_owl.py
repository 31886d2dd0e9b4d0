"""Detectors of the OWL kind: built from a folder alone, and right about where a place is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluator.architectures.folders import read_folder
from evaluator.encoders.choices import Precision
from evaluator.encoders.loading import load_model, match_architecture
from evaluator.errors import InputError
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.detectors import (
    CONTEXT,
    NAMES,
    PATCH,
    SIDE,
    random_state,
    write_detector_folder,
)
from tests.builders.weights import write_state

GRID = SIDE // PATCH


def load(name: str, folder: Path, **changes: torch.Tensor):  # type: ignore[no-untyped-def]
    write_detector_folder(name, folder)
    architecture = read_folder(folder)
    weights = write_state(random_state(architecture) | changes, folder.parent / f"{name}.safetensors")
    with open_checkpoint(weights) as file:
        return load_model(
            file, match_architecture(file, architecture), architecture, device=torch.device("cpu"),
            precision=Precision.FP32,
        )  # fmt: skip


@pytest.mark.parametrize("size", [(60, 30), (30, 60), (48, 48)])
@pytest.mark.parametrize("name", NAMES)
def test_a_silent_box_head_leaves_each_box_at_its_place(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    """Then a box is as large as a patch and stands at the patch's lower right corner, in pixels of the stored image:
    of the padded square in OWLv2, of the squeezed image in OWL-ViT."""
    silent = {f"box_head.dense2.{part}": torch.zeros(shape) for part, shape in (("weight", (4, 32)), ("bias", (4,)))}
    detector = load(name, tmp_path / name, **silent)
    queries = detector.embed_prompts(["cell", "nucleus"])
    [places] = detector.look([Image.new("RGB", size, (9, 200, 40))], [queries])
    width, height = (max(size), max(size)) if name == "tiny-owlv2" else size
    expected = [
        ((column + 0.5) * width / GRID, (row + 0.5) * height / GRID,
         (column + 1.5) * width / GRID, (row + 1.5) * height / GRID)
        for row in range(GRID) for column in range(GRID)
    ]  # fmt: skip
    np.testing.assert_allclose(places.boxes, expected, atol=0.1)
    assert places.logits.shape == (GRID * GRID, 2)
    assert detector.n_places == GRID * GRID


def test_what_an_image_gives_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    detector = load("tiny-owlv2", tmp_path / "tiny-owlv2")
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (20 + 9 * i, 50, 3), np.uint8)) for i in range(5)]
    queries = [detector.embed_prompts(["cell", "nucleus"][: 1 + i % 2]) for i in range(5)]
    together = detector.look(images, queries)
    for image, query, places in zip(images, queries, together, strict=True):
        [alone] = detector.look([image], [query])
        np.testing.assert_allclose(places.boxes, alone.boxes, atol=1e-3)
        np.testing.assert_allclose(places.logits, alone.logits, atol=1e-5)


def test_prompts_are_cut_at_the_context(tmp_path: Path) -> None:
    detector = load("tiny-owlv2", tmp_path / "tiny-owlv2")
    assert detector.n_tokens("round cell") == 4 and detector.context_length == CONTEXT
    long = " ".join(["cell"] * (CONTEXT - 2))
    cut = detector.embed_prompts([long, f"{long} nucleus"])
    assert detector.n_tokens(f"{long} nucleus") == CONTEXT + 1
    torch.testing.assert_close(cut[0], cut[1])


def test_weights_are_float32_whatever_the_config_says(tmp_path: Path) -> None:
    detector = load("tiny-owlv2", tmp_path / "tiny-owlv2")
    assert json.loads((tmp_path / "tiny-owlv2/config.json").read_text())["torch_dtype"] == "float16"
    assert {tensor.dtype for tensor in detector.model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("file", ["preprocessor_config.json", "tokenizer.json"])
def test_folder_without_its_processor_is_named(file: str, tmp_path: Path) -> None:
    folder = tmp_path / "tiny-owlv2"
    write_detector_folder("tiny-owlv2", folder)
    architecture = read_folder(folder)
    (folder / file).unlink()
    weights = write_state(random_state(architecture), tmp_path / "a.safetensors")
    with open_checkpoint(weights) as opened, pytest.raises(InputError, match="bad_architecture_folder"):
        load_model(
            opened, match_architecture(opened, architecture), architecture, device=torch.device("cpu"),
            precision=Precision.FP32,
        )  # fmt: skip


def test_code_in_a_folder_never_runs(tmp_path: Path) -> None:
    folder = tmp_path / "tiny-owlv2"
    write_detector_folder("tiny-owlv2", folder)
    architecture = read_folder(folder)  # reading it later would refuse it already
    (folder / "trap.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Trap: pass\n")
    for name, key in (("tokenizer_config.json", "AutoTokenizer"), ("preprocessor_config.json", "AutoImageProcessor"),
                      ("config.json", "AutoModel")):  # fmt: skip
        path = folder / name
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"auto_map": {key: ["trap.Trap", "trap.Trap"]}, "tokenizer_class": "X"}))
    weights = write_state(random_state(architecture), tmp_path / "a.safetensors")
    try:
        with open_checkpoint(weights) as opened:
            load_model(
                opened, match_architecture(opened, architecture), architecture, device=torch.device("cpu"),
                precision=Precision.FP32,
            )  # fmt: skip
    except InputError:
        pass
    assert not (tmp_path / "ran").exists()
