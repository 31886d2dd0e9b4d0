"""`suggest` from files to files: rounds, what is kept, what is said, what is refused. Without Django or keys."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from evaluator.answering.embeddings import read_embeddings
from evaluator.cli import main
from tests.builders.weights import TINY, tiny_state, write_state

SIZE = (24, 32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_state(tiny_state(seed=1), tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve 16-bit images of four channels: in a third of them the first channel is bright, in another the second."""
    random, folder = np.random.default_rng(0), tmp_path / "images"
    for place in range(12):
        channels = random.integers(100, 900, (4, *SIZE), dtype=np.uint16)
        channels[place % 3] *= 6
        path = folder / f"plate {place % 2}" / f"well_{place:02}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, channels, imagej=True, metadata={"axes": "CYX"})
    return folder


PIXELS = ("--normalise", "range:0,6000", "--channels", "3,2,1")


def suggest(images: Path, weights: Path, out: Path, *options: str, count: int = 4) -> list[str]:
    return ["suggest", "--weights", str(weights), "--architecture", TINY, "--images", str(images), "--device", "cpu",
            "--count", str(count), "--out", str(out), *options]  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fill_in(path: Path) -> None:
    """What a person does: the class of an image is which channel is bright."""
    filled = [
        f"{row['id']},{row['label'] or ('red', 'green', 'blue')[int(row['id'][-6:-4]) % 3]}" for row in rows(path)
    ]
    path.write_text("\n".join(["id,label", *filled]) + "\n", encoding="utf-8")


def test_rounds_until_everything_has_a_label(
    images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, seen = tmp_path / "out", set[str]()
    (images / ".DS_Store").write_text("x")
    (images / "readme.txt").write_text("x")
    shutil.copy(images / "plate 0/well_00.tif", images / "copy of well_00.tif")
    for turn in range(3):
        given = ("--labels", str(out / "labels.csv")) if turn else ()
        assert main(suggest(images, weights, out, *PIXELS, *given)) == 0
        said = capsys.readouterr().out
        chosen = [row["id"] for row in rows(out / "next.csv")]
        assert len(set(chosen)) == 4 and not seen & set(chosen)
        assert [row["order"] for row in rows(out / "next.csv")] == ["1", "2", "3", "4"]
        assert all(row["reason"] for row in rows(out / "next.csv"))
        assert [row["id"] for row in rows(out / "labels.csv") if not row["label"]] == chosen
        for note in (
            "normalisation: range:0,6000",
            "channels: 3, 2, 1",
            "1 .txt",
            "1 file is hidden",
            "1 file with the same",
        ):
            assert note in said
        assert f"{0 if turn else 12} embedded, {12 if turn else 0} known" in said
        record = json.loads((out / "run.json").read_text())
        assert record["recipe"] == {"normalise": "range:0,6000", "channels": [3, 2, 1], "planes": None}
        assert record["twins"] == {"plate 0/well_00.tif": "copy of well_00.tif"}
        assert record["suggestion"]["basis"] == ("classes" if turn else "images")
        seen |= set(chosen)
        fill_in(out / "labels.csv")
    assert len(seen) == 12
    assert main(suggest(images, weights, out, *PIXELS, "--labels", str(out / "labels.csv"))) == 2
    assert "only 1 of the 13 have no label" in capsys.readouterr().err


def test_the_sheet_stands_alone_and_shows_every_image(images: Path, weights: Path, tmp_path: Path) -> None:
    (images / "plate 0").rename(images / "a <b> & 'c'")
    assert main(suggest(images, weights, tmp_path / "out", *PIXELS, count=12)) == 0
    page = (tmp_path / "out/sheet.html").read_text(encoding="utf-8")
    assert page.count("<img") == page.count('src="data:image/') == 12
    assert "a &lt;b&gt; &amp; &#x27;c&#x27;/well_00.tif" in page and "<b> &" not in page
    assert not re.search(r"(?:src|href)=[\"'](?!data:)|url\(|<script|https?://", page)


def test_embeddings_are_those_of_answer(small_release: Path, weights: Path, tmp_path: Path) -> None:
    """Same encoder, crops and batches: to the bit, on the images of a release."""
    answered = ["answer", "--release", str(small_release), "--split", "dev", "--weights", str(weights),
                "--architecture", TINY, "--device", "cpu", "--out", str(tmp_path / "answers")]  # fmt: skip
    assert main(answered) == 0
    assert main(suggest(small_release / "images/dev", weights, tmp_path / "out", count=2)) == 0
    expected = {vector.tobytes() for vector in read_embeddings(tmp_path / "answers/embeddings.npz")["embedding"]}
    with np.load(tmp_path / "out/embeddings.npz") as stored:
        found = {vector.tobytes() for vector in stored["embedding"]}
    assert found == expected
    assert main(["suggest", "--embeddings", str(tmp_path / "answers/embeddings.npz"), "--count", "3",
                 "--out", str(tmp_path / "brought")]) == 0  # fmt: skip
    assert all("/" in row["id"] for row in rows(tmp_path / "brought/next.csv"))


def test_kept_embeddings_are_never_stale(
    images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "out", write_state(tiny_state(seed=2), tmp_path / "other.safetensors")

    def embedded(*options: str, by: Path = weights) -> int:
        capsys.readouterr()
        assert main(suggest(images, by, out, *options)) == 0
        return int(capsys.readouterr().out.split(" images: ")[1].split(" embedded")[0])

    assert embedded(*PIXELS) == 12 and embedded(*PIXELS) == 0
    changed = images / "plate 0/well_00.tif"
    values = tifffile.imread(changed)
    tifffile.imwrite(changed, values + 1, imagej=True, metadata={"axes": "CYX"})
    assert embedded(*PIXELS) == 1 and embedded(*PIXELS) == 0
    changed.rename(images / "renamed.tif")
    assert embedded(*PIXELS) == 0
    assert embedded(*PIXELS[:2], "--channels", "1") == 12
    assert embedded("--normalise", "dtype", "--channels", "1") == 12
    assert embedded("--normalise", "dtype", "--channels", "1", by=other) == 12
    (out / "embeddings.npz").write_bytes(b"PK\x03\x04 damaged")
    assert embedded("--normalise", "dtype", "--channels", "1", by=other) == 12


def test_every_image_that_cannot_be_read_is_named_before_any_is_embedded(
    images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (images / "empty.jpg").write_bytes(b"")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(images / "grey.png")
    assert main(suggest(images, weights, tmp_path / "out", *PIXELS)) == 2
    said = capsys.readouterr().err
    assert "unreadable_image: cut.png" in said and "empty_image: empty.jpg" in said
    assert "no_such_channel: grey.png" in said and said.count("\n") == 3
    assert list((tmp_path / "out").iterdir()) == []


def test_labels_that_a_person_wrote_are_not_written_over(
    images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(suggest(images, weights, tmp_path / "out", *PIXELS)) == 0
    fill_in(tmp_path / "out/labels.csv")
    before = (tmp_path / "out/labels.csv").read_bytes()
    assert main(suggest(images, weights, tmp_path / "out", *PIXELS)) == 2
    assert "labels_would_be_lost" in capsys.readouterr().err
    assert (tmp_path / "out/labels.csv").read_bytes() == before


def test_twins_share_a_label_and_may_not_contradict(
    images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(images / "plate 0/well_00.tif", images / "copy.tif")
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\nplate 0/well_00.tif,red\nplate 1/well_01.tif,green\n")
    assert main(suggest(images, weights, tmp_path / "out", *PIXELS, "--labels", str(labels), count=10)) == 0
    assert not {"copy.tif", "plate 0/well_00.tif"} & {row["id"] for row in rows(tmp_path / "out/next.csv")}
    labels.write_text(labels.read_text() + "copy.tif,green\n")
    assert main(suggest(images, weights, tmp_path / "other", *PIXELS, "--labels", str(labels))) == 2
    assert "contradicting_labels" in capsys.readouterr().err


def test_wrong_commands_say_what_to_do(
    images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out, npz = tmp_path / "labels.csv", tmp_path / "out", tmp_path / "e.npz"
    labels.write_text("id,label\nnone.tif,a\n")
    np.savez(npz, id=np.array(["a", "b"]), embedding=np.eye(2))
    base = ["suggest", "--count", "1", "--out", str(out)]
    for command, code in (
        (suggest(images, weights, out), "channels_needed"),
        (suggest(images, weights, out, "--channels", "1"), "normalisation_needed"),
        (suggest(images, weights, out, *PIXELS, "--labels", str(labels)), "unknown_id"),
        (suggest(images, weights, out, *PIXELS, count=13), "too_few_candidates"),
        (suggest(images, weights, out, *PIXELS, count=0), "bad_count"),
        (suggest(images, weights, out, "--normalise", "most"), "bad_normalisation"),
        (suggest(tmp_path / "none", weights, out), "no_such_folder"),
        (suggest(images, tmp_path / "none", out), "no_such_file"),
        (suggest(images, weights, labels), "cannot_write"),
        (base, "no_source"),
        ([*base, "--embeddings", str(npz), "--weights", str(weights)], "two_sources"),
        ([*base, "--embeddings", str(labels)], "unknown_format"),
        ([*base, "--embeddings", str(npz), "--labels", str(labels)], "unknown_id"),
    ):  # fmt: skip
        assert main(command) == 2
        assert code in capsys.readouterr().err, command


def test_models_without_image_embeddings_are_refused(
    images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from evaluator.architectures.architecture import Family
    from evaluator.architectures.registry import get_architecture

    for family in (Family.GENERATIVE, Family.DETECTOR):
        other = replace(get_architecture(TINY), family=family)
        monkeypatch.setattr("evaluator.cli.suggest.find_architecture", lambda name, other=other: other)
        assert main(suggest(images, weights, tmp_path / "out", *PIXELS)) == 2
        assert "not_an_encoder" in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["suggest", "--help"])
    assert ended.value.code == 0 and "example:\n  python -m evaluator suggest" in capsys.readouterr().out


def test_images_beside_embeddings_are_only_shown(images: Path, tmp_path: Path) -> None:
    names = ["plate 0/well_00.tif", "plate 1/well_01.tif", "not here.tif"]
    np.savez(tmp_path / "e.npz", id=np.array(names), embedding=np.eye(3))
    command = ["suggest", "--embeddings", str(tmp_path / "e.npz"), "--images", str(images), "--count", "3", *PIXELS]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out/sheet.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 and page.count("no picture") == 1
