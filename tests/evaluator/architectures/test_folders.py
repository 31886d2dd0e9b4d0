"""Architectures that organisers place as folders: what is read from them, and how a wrong one is told and left out."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evaluator.architectures.architecture import Architecture, Family, Library, Preprocessing
from evaluator.architectures.folders import ENVIRONMENT, NAME, read_folder
from evaluator.architectures.registry import get_architecture, list_architectures
from evaluator.cli import main
from evaluator.errors import InputError

DESCRIPTION = {"family": "contrastive", "library": "transformers", "parameters": 151_277_313}
CONFIG = {"model_type": "clip", "text_config": {}, "vision_config": {"image_size": 224}}
PROCESSOR = {
    "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 256}, "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224}, "resample": 2, "do_convert_rgb": True,
    "image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3],
}  # fmt: skip


def place(folder: Path, **files: Any) -> Path:
    """A good CLIP folder, but for `files` (name without .json → content; None: no such file)."""
    content = {"architecture": DESCRIPTION, "config": CONFIG, "preprocessor_config": PROCESSOR, "tokenizer": {},
               "tokenizer_config": {"model_max_length": 77}} | files  # fmt: skip
    folder.mkdir(parents=True)
    for name, value in content.items():
        if value is not None:
            (folder / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "architectures"
    folder.mkdir()
    monkeypatch.setenv(ENVIRONMENT, str(folder))
    return folder


def problems_of(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_folder(folder)
    assert set(refused.value.counts) == {"bad_architecture_folder"}
    assert all(problem.field == "architecture" for problem in refused.value.problems)
    return " ".join(problem.message for problem in refused.value.problems)


def test_what_is_not_stated_comes_from_the_other_files(root: Path) -> None:
    folder = place(root / "clip-b")
    assert read_folder(folder) == Architecture(
        name="clip-b", family=Family.CONTRASTIVE, library=Library.TRANSFORMERS, parameters=151_277_313, image_px=224,
        context_length=77, activation="QuickGELU", config=CONFIG, folder=folder,
        preprocessing=Preprocessing(
            mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), interpolation="bilinear", resize_px=256, centre="floor"
        ),
    )  # fmt: skip


def test_what_is_stated_counts(root: Path) -> None:
    stated = {"activation": "GELU", "image_px": 224, "context_length": 40, "twin": "clip-c", "notes": "For tests.",
              "preprocessing": {"mean": [0, 0, 0], "interpolation": "bicubic", "resize_mode": "squash"}}  # fmt: skip
    found = read_folder(place(root / "clip-b", architecture=DESCRIPTION | stated))
    assert (found.activation, found.context_length, found.twin, found.notes) == ("GELU", 40, "clip-c", "For tests.")
    how = found.preprocessing
    assert (how.mean, how.std) == ((0, 0, 0), (0.1, 0.2, 0.3)) and how.interpolation == "bicubic"
    assert how.resize_mode == "squash"


def test_the_tokenizer_may_read_less_than_the_tower(root: Path) -> None:
    assert read_folder(place(root / "a", tokenizer_config={"model_max_length": 32})).context_length == 32
    assert read_folder(place(root / "b", tokenizer_config={"model_max_length": int(1e30)})).context_length == 77
    assert read_folder(place(root / "c", tokenizer_config=None)).context_length == 77


def test_the_processor_may_stand_in_the_newer_file(root: Path) -> None:
    newer = {"image_processor": PROCESSOR, "processor_class": "CLIPProcessor"}
    assert read_folder(place(root / "a", preprocessor_config=None, processor_config=newer)).preprocessing == (
        read_folder(place(root / "b")).preprocessing
    )


def test_other_families_leave_images_to_their_own_processor(root: Path) -> None:
    config = {"model_type": "owlv2", "vision_config": {"image_size": 960}, "text_config": {}}
    stated = DESCRIPTION | {"family": "detector", "context_length": 16}
    found = read_folder(place(root / "owl", architecture=stated, config=config, preprocessor_config={"do_pad": True}))
    assert found.family is Family.DETECTOR and found.crop_recipe is None and found.config == config
    assert (found.image_px, found.context_length) == (960, 16) and "own processor" in str(found.preprocessing)
    unsaid = place(root / "vl", architecture=DESCRIPTION | {"family": "generative"}, config={"model_type": "x"})
    assert "does not say image_px" in problems_of(unsaid) and "does not say context_length" in problems_of(unsaid)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"architecture": None}, "architecture.json is missing"),
        ({"architecture": "{"}, "not JSON"),
        ({"architecture": []}, "not a JSON object"),
        ({"architecture": {}}, "does not state family"),
        ({"architecture": DESCRIPTION | {"colour": 1}}, "unknown key 'colour'"),
        ({"architecture": DESCRIPTION | {"family": "Contrastive"}}, "one of contrastive, generative, detector"),
        ({"architecture": DESCRIPTION | {"parameters": True}}, "parameters is 'True'"),
        ({"architecture": DESCRIPTION | {"parameters": 1.5}}, "a whole number"),
        ({"architecture": DESCRIPTION | {"preprocessing": {"mean": [1, 2]}}}, "three numbers"),
        ({"architecture": DESCRIPTION | {"preprocessing": {"size": 2}}}, "unknown key 'size'"),
        ({"architecture": DESCRIPTION | {"preprocessing": []}}, "preprocessing is not a JSON object"),
        ({"architecture": DESCRIPTION | {"context_length": 78}}, "77 positions"),
        ({"architecture": DESCRIPTION | {"library": "open_clip"}}, "open_clip_config.json cannot be read"),
        ({"architecture": DESCRIPTION | {"preprocessing": {"std": [1, 0, 1]}}}, "three numbers above 0"),
        ({"config": None}, "config.json is missing"),
        ({"config": CONFIG | {"auto_map": {"AutoModel": "hub--code"}}}, "auto_map"),
        ({"tokenizer_config": {"auto_map": {}}}, "tokenizer_config.json has an auto_map"),
        ({"config": CONFIG | {"text_config": {"auto_map": {}}}}, "auto_map"),
        ({"config": {"model_type": "bert"}}, "'bert'. Known are clip, siglip, align, blip"),
        ({"config": {"model_type": "siglip2"}}, "NaFlex"),
        ({"config": CONFIG | {"vision_config": {"image_size": [1, 2]}}}, "only squares"),
        ({"config": CONFIG | {"vision_config": {"image_size": 336}}}, "do not belong together"),
        ({"preprocessor_config": None}, "preprocessor_config.json is missing"),
        ({"preprocessor_config": None, "processor_config": {}}, "no image_processor"),
        ({"preprocessor_config": PROCESSOR | {"image_processor_type": "ViTImageProcessor"}}, "'ViTImageProcessor'"),
        ({"preprocessor_config": PROCESSOR | {"do_pad": True}}, "asks for do_pad"),
        ({"preprocessor_config": PROCESSOR | {"do_resize": False}}, "do_resize false"),
        ({"preprocessor_config": PROCESSOR | {"do_center_crop": False}}, "crops nothing"),
        ({"preprocessor_config": PROCESSOR | {"size": {"height": 224, "width": 200}}}, "squares"),
        ({"preprocessor_config": PROCESSOR | {"size": {"longest_edge": 224}}}, "squares"),
        ({"preprocessor_config": PROCESSOR | {"crop_size": {"shortest_edge": 224}}}, "state height and width"),
        ({"preprocessor_config": PROCESSOR | {"resample": 9}}, "unknown resample 9"),
        ({"preprocessor_config": PROCESSOR | {"image_std": [0, 1, 1]}}, "deviations above 0"),
        ({"preprocessor_config": PROCESSOR | {"rescale_factor": -1}}, "rescale_factor"),
        ({"tokenizer": None}, "tokenizer is missing"),
    ],
)  # fmt: skip
def test_a_wrong_folder_is_told(files: dict[str, Any], said: str, root: Path) -> None:
    assert said in problems_of(place(root / "wrong", **files))


MODEL_CFG: dict[str, Any] = {"embed_dim": 8, "vision_cfg": {"image_size": 32}, "text_cfg": {"context_length": 20}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"model_cfg": MODEL_CFG | {"text_cfg": {"hf_model_name": "x/bert"}}}, "put its config.json beside"),
        ({"model_cfg": MODEL_CFG | {"text_cfg": {"hf_tokenizer_name": "x/bert"}}}, "tokenizer is missing"),
        ({"model_cfg": MODEL_CFG | {"vision_cfg": {"image_size": [8, 9]}}}, "only squares"),
        ({"model_cfg": MODEL_CFG | {"text_cfg": {"context_length": "x"}}}, "context_length 'x'"),
        ({"model_cfg": MODEL_CFG, "preprocess_cfg": []}, "not a JSON object"),
        ({"model_cfg": MODEL_CFG, "preprocess_cfg": {"mean": "grey"}}, "mean is 'grey'"),
        ({"model_cfg": MODEL_CFG, "preprocess_cfg": {"mean": [float("nan"), 0, 0]}}, "three numbers"),
        ({"model_cfg": MODEL_CFG, "preprocess_cfg": {"std": [1, 1, -1]}}, "three numbers above 0"),
        ({"model_cfg": MODEL_CFG, "preprocess_cfg": {"interpolation": "random"}}, "one of bilinear, bicubic"),
        ({"model_cfg": MODEL_CFG, "preprocess_cfg": {"resize_mode": "stretch"}}, "one of shortest, longest, squash"),
        ({"model_cfg": MODEL_CFG, "preprocess_cfg": {"fill_color": 3, "mode": "L"}}, "fill_color '3'"),
        ({"embed_dim": 8}, "no open_clip model config"),
    ],
)  # fmt: skip
def test_a_wrong_open_clip_config_is_told(content: dict[str, Any], said: str, root: Path) -> None:
    stated = DESCRIPTION | {"library": "open_clip"}
    assert said in problems_of(
        place(root / "oc", architecture=stated, open_clip_config=content, tokenizer=None, config=None)
    )


def test_an_open_clip_config_is_read(root: Path) -> None:
    content = {"model_cfg": MODEL_CFG, "preprocess_cfg": {"size": [32, 32], "resize_mode": "squash", "mean": None}}
    folder = place(root / "oc", architecture=DESCRIPTION | {"library": "open_clip"}, open_clip_config=content)
    found = read_folder(folder)
    assert (found.library, found.config, found.folder) == (Library.OPEN_CLIP, MODEL_CFG, folder)
    assert (found.image_px, found.context_length, found.preprocessing) == (32, 20, Preprocessing(resize_mode="squash"))


@pytest.mark.parametrize("file", ["modeling_x.py", "pytorch_model.bin", "deep/er/model.PT", "x.pkl"])
def test_code_and_weights_are_refused_by_name(file: str, root: Path) -> None:
    folder = place(root / "wrong")
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(b"")
    assert f"{file} is code or weights" in problems_of(folder)


def test_every_problem_of_the_description_is_told_at_once(root: Path) -> None:
    said = problems_of(place(root / "wrong", architecture={"family": "x", "colour": 1}, tokenizer_config="["))
    assert all(part in said for part in ("family is 'x'", "colour", "state library", "state parameters", "not JSON"))


def test_folders_join_the_list_without_a_restart_and_broken_ones_do_not(root: Path) -> None:
    built_in = list_architectures()
    place(root / "clip-b")
    place(root / "broken", config=None)
    place(root / "vit-b-32")
    place(root / ".hidden")
    names = [architecture.name for architecture in list_architectures()]
    assert sorted(set(names) - {architecture.name for architecture in built_in}) == ["clip-b"]
    assert names == sorted(names, key=str.lower)
    assert get_architecture("clip-b").name == "clip-b"
    with pytest.raises(InputError, match="config.json is missing"):
        get_architecture("broken")
    with pytest.raises(InputError, match="built-in architecture ViT-B-32"):
        get_architecture("vit-b-32")
    with pytest.raises(InputError, match="clip-b"):
        get_architecture("clip-bb")


@pytest.mark.parametrize("name", ["../clip-b", ".hidden", "", "clip-b/", "clip b", "x" * 101])
def test_only_plain_names_reach_the_file_system(name: str, root: Path) -> None:
    place(root / "clip-b")
    place(root / ".hidden")
    with pytest.raises(InputError, match="unknown_architecture"):
        get_architecture(name)


def test_built_in_names_follow_the_same_rule() -> None:
    assert all(NAME.fullmatch(architecture.name) for architecture in list_architectures())


def test_a_root_that_is_missing_breaks_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(root / "missing"))
    assert len(list_architectures()) > 80 and get_architecture("ViT-B-32")
    assert main(["architectures"]) == 0
    assert "cannot be read" in capsys.readouterr().err


def test_command_lists_folders_and_names_broken_ones(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place(root / "clip-b", architecture=DESCRIPTION | {"notes": "Kept by the organisers."})
    place(root / "broken", config=None)
    assert main(["architectures", "--match", "clip-b"]) == 0
    shown = capsys.readouterr()
    assert "transformers" in shown.out and "224px" in shown.out and "Kept by the organisers." in shown.out
    assert "broken is left out: config.json is missing." in shown.err
    assert main(["architectures", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["clip-b"]["library"] == "transformers" and listed["ViT-B-32"]["library"] == "open_clip"
    assert main(["architectures", "--folder", str(root / "clip-b"), "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["clip-b"]
    assert main(["architectures", "--folder", str(root / "broken")]) == 2
    assert "config.json is missing" in capsys.readouterr().err


def test_listing_folders_needs_no_torch(root: Path) -> None:
    place(root / "clip-b")
    code = ("import sys, evaluator.architectures.registry as r; "
            "assert 'clip-b' in [a.name for a in r.list_architectures()];"
            "assert not {'torch', 'transformers', 'open_clip'} & set(sys.modules)")  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[3])
