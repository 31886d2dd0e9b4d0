"""Every contrastive family answers as its library does with one image and one text at a time, and tells errors."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from evaluator.answering.run import Run, answer_release
from evaluator.answering.settings import BatchSizes, RunSettings
from evaluator.architectures import folders
from evaluator.architectures.folders import CONTRASTIVE_TYPES, ENVIRONMENT
from evaluator.architectures.registry import get_architecture
from evaluator.encoders import transformers_contrastive
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.encoder import Encoder
from evaluator.encoders.loading import load_model, maker_of, match_architecture
from evaluator.errors import InputError
from evaluator.pixels.crop import crop
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.weights.check import check_weights
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.families import ARCHITECTURES, FAMILIES, LETTERS, contrastive_folders
from tests.evaluator.answering.slow_loop import option_texts
from tests.evaluator.encoders.references import reference

SETTINGS = RunSettings(device=Device.CPU, sizes=BatchSizes(images=7, texts=5))
LONG = "The cell " + LETTERS * 2


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Path]]]:
    """The registry folders, and the weights of each."""
    folder = tmp_path_factory.mktemp("families")
    weights = contrastive_folders(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(folder / ARCHITECTURES))
        yield folder / ARCHITECTURES, weights


Placed = tuple[Path, dict[str, Path]]


def load(name: str, weights: Path) -> Encoder:
    architecture = get_architecture(name)
    with open_checkpoint(weights) as file:
        return load_model(
            file, match_architecture(file, architecture), architecture, device=torch.device("cpu"),
            precision=Precision.FP32,
        )  # fmt: skip


def answer(release: Path, name: str, weights: Path) -> Run:
    with open_checkpoint(weights) as file:
        return answer_release(release, Split.TEST, file, get_architecture(name), SETTINGS)


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_equal_the_librarys_own(name: str, placed: Placed, small_release: Path) -> None:
    root, weights = placed
    answers = answer(small_release, name, weights[name]).answers.to_pylist()
    files = {(item["dataset"], item["image_id"]): small_release / item["file"]
             for item in read_items(small_release, Split.TEST).to_pylist()}  # fmt: skip
    rows = [row for row in read_questions(small_release, Split.TEST).to_pylist() if row["variant"] is not None]
    score, clear = reference(root / name, weights[name]), 0
    with torch.inference_mode():
        for row, found in list(zip(rows, answers, strict=True))[::7]:
            image = Image.open(files[row["dataset"], row["image_id"]]).convert("RGB")
            expected = [score(image, text) for text in option_texts(row)]
            np.testing.assert_allclose(found["scores"], expected, rtol=0, atol=1e-5)
            second, first = np.sort(expected)[-2:]
            if first - second > 1e-5:
                clear += 1
                assert found["chosen"] == int(np.argmax(expected))
    assert clear > len(rows) / 14


@pytest.mark.parametrize("name", FAMILIES)
def test_padding_and_company_change_nothing(name: str, placed: Placed) -> None:
    """Texts of every length, the longest beyond the context, in one batch and alone."""
    encoder = load(name, placed[1][name])
    texts = ["cell", "A micrograph of a cell.", "none of the above", LONG, "DAPI"]
    together = encoder.encode_texts(texts)
    alone = torch.cat([encoder.encode_texts([text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert (together @ together.T).fill_diagonal_(0).max() < 1 - 1e-4  # they are told apart


@pytest.mark.parametrize("name", FAMILIES)
def test_a_long_text_is_cut_off_by_the_tokenizers_rule_and_counted(name: str, placed: Placed) -> None:
    root, weights = placed
    encoder = load(name, weights[name])
    assert encoder.context_length == get_architecture(name).context_length
    assert encoder.n_tokens("cell") <= encoder.context_length < encoder.n_tokens(LONG)
    score = reference(root / name, weights[name])
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 41, 3), dtype=np.uint8))
    recipe = get_architecture(name).crop_recipe
    assert recipe is not None
    with torch.inference_mode():
        expected = score(image, LONG)
    found = float(encoder.encode_images(crop(image, recipe)[None]) @ encoder.encode_texts([LONG]).T)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_check_accepts_the_weights(name: str, placed: Placed) -> None:
    architecture = get_architecture(name)
    with open_checkpoint(placed[1][name]) as file:
        facts = check_weights(file, architecture)
    assert facts["tolerated"] == [] and facts["architecture"] == name
    buffers = {"running_mean", "running_var"}
    parameters = sum(
        int(np.prod(tensor.shape)) for key, tensor in file.tensors.items() if key.split(".")[-1] not in buffers
        and tensor.dtype != "I64"
    )  # fmt: skip
    assert parameters == architecture.parameters


@pytest.mark.parametrize(
    ("name", "other"), [("tiny-siglip", "tiny-blip"), ("tiny-clip", "tiny-align"), ("tiny-open-clip-bert", "tiny-clip")]
)
def test_weights_of_another_family_are_refused(name: str, other: str, placed: Placed, small_release: Path) -> None:
    with pytest.raises(InputError) as refused:
        answer(small_release, name, placed[1][other])
    assert refused.value.counts.keys() >= {"missing_keys", "unexpected_keys"}
    assert "Choose the architecture the model was trained with" in refused.value.problems[0].message


def test_listed_types_are_those_that_can_be_built() -> None:
    assert CONTRASTIVE_TYPES.keys() == transformers_contrastive.KINDS.keys()
    for name, usual in CONTRASTIVE_TYPES.items():
        config = transformers_contrastive.KINDS[name].config()
        text, image = config.text_config, config.vision_config
        assert (image.image_size, text.max_position_embeddings) == (usual.image_px, usual.context_length)
        assert (image.hidden_act, text.hidden_act) == (usual.image_activation, usual.text_activation)


def changed(root: Path, name: str, file: str, **values: Any) -> str:
    """A copy of a folder with other values in one of its files; returns its name."""
    copy = root / f"{name}-changed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root / name, copy)
    content = json.loads((copy / file).read_text())
    (copy / file).write_text(json.dumps(content | values))
    return copy.name


def test_a_config_of_another_kind_is_refused(placed: Placed, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(placed[0], root)
    for model_type, said in (("bert", "Known are clip"), ("siglip2", "NaFlex"), (None, "None")):
        with pytest.raises(InputError, match=said):
            folders.read_folder(root / changed(root, "tiny-clip", "config.json", model_type=model_type))
    with pytest.raises(InputError, match="text towers for open_clip are bert"):
        folders.read_folder(root / changed(root, "tiny-open-clip-bert", "text_config.json", model_type="gpt2"))


@pytest.mark.parametrize(
    ("name", "file", "values"),
    [
        ("tiny-clip", "config.json", {"text_config": {"hidden_size": 31, "num_attention_heads": 4}}),
        ("tiny-siglip", "config.json", {"vision_config": {"image_size": 32, "hidden_size": "wide"}}),
        ("tiny-open-clip-bert", "text_config.json", {"hidden_size": 33}),
    ],
)
def test_a_config_that_does_not_build_is_told(
    name: str, file: str, values: dict[str, Any], placed: Placed, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(placed[0], root)
    architecture = folders.read_folder(root / changed(root, name, file, **values))
    with pytest.raises(InputError, match=r"bad_architecture_(folder|file)"):
        maker_of(architecture).build_model(architecture)


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-blip", "tiny-open-clip-siglip", "tiny-siglip"])
def test_a_missing_or_broken_tokenizer_is_told(
    name: str, placed: Placed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    shutil.copytree(placed[0], root)
    monkeypatch.setenv(ENVIRONMENT, str(root))
    file = next(path for path in (root / name).iterdir() if path.name in ("tokenizer.json", "spiece.model"))
    file.write_text("{}")
    with pytest.raises(InputError, match=f"The tokenizer of {name} does not load"):
        load(name, placed[1][name])
    file.unlink()
    with pytest.raises(InputError, match="tokenizer is missing"):
        get_architecture(name)


def test_what_a_config_says_of_kernels_and_types_is_not_followed(placed: Placed, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(placed[0], root)
    asks = {"_attn_implementation": "flash_attention_2", "attn_implementation": "someone/kernel", "dtype": "float16",
            "torch_dtype": "float16", "quantization_config": {"quant_method": "bitsandbytes"}}  # fmt: skip
    architecture = folders.read_folder(root / changed(root, "tiny-clip", "config.json", **asks))
    model = maker_of(architecture).build_model(architecture)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config._attn_implementation in ("sdpa", "eager")


def test_a_tokenizer_with_tokens_unknown_to_the_model_is_refused(placed: Placed, tmp_path: Path) -> None:
    root, weights = placed
    name = "tiny-clip"
    known = json.loads((root / name / "config.json").read_text())["text_config"]["vocab_size"]
    shutil.copytree(root / "tiny-clip", tmp_path / "placed" / name)
    tokenizer = json.loads((root / name / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["unheard"] = known
    (tmp_path / "placed" / name / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(tmp_path / "placed"))
        with pytest.raises(InputError, match=f"tokens up to number {known}"):
            load(name, weights[name])
