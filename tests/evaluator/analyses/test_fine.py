"""The fine datasets of a release, and `label-efficiency` on them: rows that fit, halves that share no source."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evaluator.analyses.forgetting import analysis_head
from evaluator.analyses.labels.efficiency import Evaluated, Facts, efficiency
from evaluator.analyses.labels.fine import Vectors, fine_datasets, halves, vectors_of, whole, zero_shot_marks
from evaluator.analyses.splits import SplitKey, load_split, marks_of, split_key
from evaluator.answering.embeddings import write_embeddings
from evaluator.answers import write_answers
from evaluator.cli import main
from evaluator.errors import InputError
from evaluator.release.importer import import_hub
from evaluator.release.read import read_items
from evaluator.release.schema import CLASSIFICATION, Split
from evaluator.scoring import canonical_json, score
from tests.builders.hub import hub_rows, write_hub
from tests.builders.tables import random_answers
from tests.builders.weights import TINY, tiny_state, write_state


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """140 images of two datasets of three classes, half of them in dev."""
    folder = tmp_path_factory.mktemp("fine")
    write_hub(folder / "hub", hub_rows(140))
    import_hub(
        folder / "hub", folder / "release", name="Fine", version="1.0", splits={Split.DEV: 0.5, Split.TEST: 0.5},
        id_secret=b"s" * 32,
    )  # fmt: skip
    return folder / "release"


@pytest.fixture(scope="module")
def embeddings(release: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Split, Path]:
    """Of an encoder that sees the class and much else."""
    folder, paths = tmp_path_factory.mktemp("embeddings"), {}
    for number, split in enumerate((Split.DEV, Split.TEST)):
        key = load_split(release, split).key
        r, names = np.random.default_rng(number), key["label_name"].to_pylist()
        vectors = r.normal(size=(len(names), 8))
        vectors[np.arange(len(names)), [sorted(set(names)).index(name) for name in names]] += 2.5
        paths[split] = folder / f"{split}.npz"
        write_embeddings({
            "dataset": np.array(key["dataset"].to_pylist()), "image_id": np.array(key["image_id"].to_pylist()),
            "embedding": vectors.astype(np.float32),
        }, paths[split])  # fmt: skip
    return paths


def right_options(split: SplitKey) -> dict[tuple[str, str], str]:
    """The class of every image, from the key's own column."""
    key = split.key.select(["dataset", "image_id", "label_name"]).to_pylist()
    return {(row["dataset"], row["image_id"]): row["label_name"] for row in key}


def test_every_image_is_on_the_side_and_of_the_class_that_the_key_says(release: Path) -> None:
    dev, test = (load_split(release, split) for split in (Split.DEV, Split.TEST))
    found = fine_datasets(whole(dev), whole(test))
    assert [each.name for each in found] == ["cells_a", "cells_b"]
    for each in found:
        classes = sorted(set(each.pool.classes))
        for side, images, codes in ((dev, each.pool, each.labels), (test, each.evaluated, each.right)):
            known = right_options(side)
            ids = sorted(name for dataset, name in known if dataset == each.name)
            assert list(images.ids) == ids
            assert [classes[code] for code in codes.tolist()] == [known[each.name, name] for name in ids]
            of_source = {row["image_id"]: row["source"] for row in side.key.to_pylist() if row["dataset"] == each.name}
            sources = sorted(set(side.key["source"].to_pylist()))
            assert [sources[code] for code in images.sources.tolist()] == [of_source[name] for name in ids]


def test_halves_share_no_source_and_share_out_datasets_and_classes_alike(release: Path) -> None:
    dev = load_split(release, Split.DEV)
    pool, evaluated = halves(dev)
    assert not (pool.kept & evaluated.kept).any() and (pool.kept | evaluated.kept).all()
    for each in fine_datasets(pool, evaluated):
        assert not set(each.pool.sources.tolist()) & set(each.evaluated.sources.tolist())
        counts = Counter(each.pool.classes), Counter(each.evaluated.classes)
        assert all(abs(counts[0][name] - counts[1][name]) <= 1 for name in set(counts[0]) | set(counts[1]))


def test_halves_depend_on_images_and_not_on_how_the_key_is_ordered(release: Path) -> None:
    dev = load_split(release, Split.DEV)
    order = pa.array(np.random.default_rng(0).permutation(dev.key.num_rows))
    shuffled = split_key(dev.info, Split.DEV, dev.questions, dev.key.take(order))
    assert np.array_equal(halves(dev)[0].kept, halves(shuffled)[0].kept)


def test_a_half_draws_as_many_of_its_own_sources_as_it_has(release: Path) -> None:
    _, evaluated = halves(load_split(release, Split.DEV))
    drawn = evaluated.draws().sources
    assert (drawn[:, ~evaluated.kept] == 0).all() and (drawn.sum(axis=1) == evaluated.kept.sum()).all()
    assert (drawn[:, evaluated.kept].std(axis=0) > 0).all()


def test_classes_that_the_pool_lacks_are_numbered_below_zero(release: Path) -> None:
    dev, test = (load_split(release, split) for split in (Split.DEV, Split.TEST))
    sources = sorted(set(dev.key["source"].to_pylist()))
    kept = {row["source"] for row in dev.key.to_pylist() if row["label_name"] == "long cell"}
    pool = replace(whole(dev), kept=np.array([name in kept for name in sources]))
    for found in fine_datasets(pool, whole(test)):
        assert found.n_classes == 1 and set(found.labels.tolist()) == {0}
        expected = {"long cell": 0, "no cell": -1, "round cell": -2}
        assert found.right.tolist() == [expected[name] for name in found.evaluated.classes]
        assert set(found.right.tolist()) == {0, -1, -2}


def test_the_zero_shot_score_is_the_reports(release: Path) -> None:
    test = load_split(release, Split.TEST)
    side, answers = whole(test), random_answers(test.questions, 3)
    report = score(test.info, Split.TEST, test.questions, test.key, answers, protocol="captions", key_revision=1).report
    marks = marks_of(test, answers)
    for each in fine_datasets(whole(load_split(release, Split.DEV)), side):
        found = zero_shot_marks(side, each, marks)
        row = next(row for row in report["tasks"] if row["dataset"] == each.name and row["variant"] == 1)
        assert found is not None and found.mean() == pytest.approx(row["accuracy"]["estimate"], abs=1e-6)
    partly = answers.filter(pc.or_(pc.not_equal(answers["question"], CLASSIFICATION), pc.is_null(answers["variant"])))
    by_form = zero_shot_marks(side, each, marks_of(test, partly))
    assert by_form is not None and not np.array_equal(by_form, found)
    nothing = answers.filter(pc.not_equal(answers["question"], CLASSIFICATION))
    assert zero_shot_marks(side, each, marks_of(test, nothing)) is None


def arguments(release: Path, split: str, out: Path, *more: object) -> list[str]:
    return ["label-efficiency", "--release", str(release), "--split", split, "--seeds", "3", "--device", "cpu",
            "--out", str(out), *map(str, more)]  # fmt: skip


def test_the_command_writes_what_the_analysis_gives(
    release: Path, embeddings: dict[Split, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from evaluator.active_learning.studies.soundness import curve_task
    from evaluator.active_learning.studies.study import perform

    test, out = load_split(release, Split.TEST), tmp_path / "new" / "efficiency.json"
    answers = random_answers(test.questions, 3)
    write_answers(answers, tmp_path / "answers.parquet")
    given = ["--embeddings", *embeddings.values(), "--answers", tmp_path / "answers.parquet"]
    assert main(arguments(release, "test", out, *given)) == 0
    document = json.loads(out.read_bytes())
    dev = load_split(release, Split.DEV)
    vectors: Vectors = {}
    for path in embeddings.values():
        with np.load(path) as stored:
            vectors |= vectors_of(dict(stored))
    for each, found in zip(fine_datasets(whole(dev), whole(test)), document["datasets"], strict=True):
        facts = Facts(
            dataset=each.name, n_classes=3, pool_items=len(each.labels), pool_sources=each.pool.n_sources, seeds=3
        )
        evaluated = Evaluated(
            right=each.right, source=each.evaluated.sources, draws=whole(test).draws(),
            zero_shot=zero_shot_marks(whole(test), each, marks_of(test, answers)),
        )  # fmt: skip
        task = curve_task(each.data(vectors), each.pool.ids, seeds=range(3), salt=f"{test.info.hash}:{each.name}")
        head = analysis_head(test.info, Split.TEST, key_revision=1)
        expected = efficiency(facts, task, perform(task), evaluated, head=head).document  # type: ignore[arg-type]
        assert canonical_json(found) == canonical_json(expected)
        assert found["ranked"] and found["aulc"]["log2"]["estimate"] > 0.2
    assert document["mean"]["n_datasets"] == 2
    means = [found["aulc"]["log2"]["estimate"] for found in document["datasets"]]
    assert document["mean"]["aulc"]["estimate"] == pytest.approx(np.mean(means), abs=2e-6)
    shown = capsys.readouterr().out
    assert "cells_a" in shown and "mean area over 2 ranked datasets" in shown


def test_on_dev_one_half_is_labelled_and_the_other_evaluated(
    release: Path, embeddings: dict[Split, Path], tmp_path: Path
) -> None:
    assert main(arguments(release, "dev", tmp_path / "e.json", "--embeddings", embeddings[Split.DEV])) == 0
    document = json.loads((tmp_path / "e.json").read_bytes())
    n_items = read_items(release, Split.DEV).num_rows
    assert sum(found["pool_items"] + found["items"] for found in document["datasets"]) == n_items
    assert (document["pool"], document["split"]) == ("dev, one half", "dev, other half")
    assert all(found["zero_shot"] is None for found in document["datasets"])


def test_weights_are_embedded_and_asked_first(small_release: Path, tmp_path: Path) -> None:
    weights = write_state(tiny_state(seed=1), tmp_path / "tiny.safetensors")
    how = ["--weights", weights, "--architecture", TINY]
    assert main(arguments(small_release, "test", tmp_path / "e.json", *how)) == 0
    document = json.loads((tmp_path / "e.json").read_bytes())
    assert [found["dataset"] for found in document["datasets"]] == ["cells_a", "cells_b"]
    for found in document["datasets"]:
        assert found["zero_shot"] is not None and found["budgets"][0]["labels"] == 3
        assert not found["ranked"] and "Too few images" in found["reason"]
    assert document["mean"]["aulc"] == {"estimate": None, "low": None, "high": None}


def test_what_is_wrong_is_said(
    release: Path, embeddings: dict[Split, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "e.json"
    (tmp_path / "bad.npz").write_bytes(b"no arrays")

    def code(*more: object, split: str = "test") -> str:
        assert main(arguments(release, split, out, *more)) == 2
        return capsys.readouterr().err.split(":")[0]

    assert code("--embeddings", embeddings[Split.DEV]) == "no_embedding"
    assert code("--embeddings", tmp_path / "bad.npz") == "embeddings_unreadable"
    assert code("--embeddings", tmp_path / "none.npz") == "no_such_file"
    assert code("--weights", tmp_path / "bad.npz") == "no_architecture"
    assert code("--embeddings", embeddings[Split.DEV], "--seeds", 1, split="dev") == "bad_seeds"
    assert code("--embeddings", *embeddings.values(), "--key", tmp_path) == "no_key"
    assert not out.exists()


def test_equal_embeddings_are_not_applicable_and_the_command_says_why(
    release: Path, embeddings: dict[Split, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of blank images."""
    with np.load(embeddings[Split.DEV]) as stored:
        blank = dict(stored) | {"embedding": np.ones_like(stored["embedding"])}
    write_embeddings(blank, tmp_path / "blank.npz")
    assert main(arguments(release, "dev", tmp_path / "e.json", "--embeddings", tmp_path / "blank.npz")) == 0
    for found in json.loads((tmp_path / "e.json").read_bytes())["datasets"]:
        assert not found["ranked"] and "same embedding" in found["reason"] and found["budgets"] == []
    assert "not measured" in capsys.readouterr().out
    with pytest.raises(InputError, match="no_embedding"):
        fine_datasets(*halves(load_split(release, Split.DEV)))[0].data({})
