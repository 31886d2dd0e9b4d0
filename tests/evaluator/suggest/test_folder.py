"""Which files of a folder are images, and what is said of the others."""

import os
from pathlib import Path

import pytest

from evaluator.errors import InputError
from evaluator.suggest.images.folder import list_images


def place(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_images_at_any_depth_are_ids_and_the_rest_is_counted(tmp_path: Path) -> None:
    root = place(
        tmp_path / "plates", "b/10.TIF", "b/9.tiff", "a.jpg", "ü µm.png", ".DS_Store", ".cache/x.png", "b/._9.tiff",
        "notes.txt", "more.txt", "scan.czi",
    )  # fmt: skip
    place(tmp_path, "elsewhere/secret.png")
    (root / "out.png").symlink_to(tmp_path / "elsewhere/secret.png")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (root / "round").symlink_to(root)
    (root / "gone.png").symlink_to(tmp_path / "gone.png")
    (root / "twin.png").symlink_to(root / "a.jpg")
    os.mkfifo(root / "pipe.png")
    found = list_images(root)
    assert found.ids == ("a.jpg", "b/10.TIF", "b/9.tiff", "twin.png", "ü µm.png")
    assert found.hidden == (".DS_Store", ".cache/x.png", "b/._9.tiff")
    assert found.outside == ("gone.png", "out", "out.png", "round")
    assert found.others == ("more.txt", "notes.txt", "pipe.png", "scan.czi")
    said = " ".join(found.notes())
    assert "4 files are no PNG, JPEG or TIFF" in said and "2 .txt" in said and "3 files are hidden" in said
    assert "4 links" in said and "out.png" in said


def test_a_folder_without_images_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no_images.*There is no PNG"):
        list_images(tmp_path)
    with pytest.raises(InputError, match="2 other files are there"):
        list_images(place(tmp_path, "a.txt", ".b.png"))
    with pytest.raises(InputError, match="no_such_folder.*is a file"):
        list_images(tmp_path / "a.txt")
    with pytest.raises(InputError, match="no_such_folder.*does not exist"):
        list_images(tmp_path / "nowhere")


def test_names_that_no_csv_can_hold_are_all_named(tmp_path: Path) -> None:
    place(tmp_path, "a.png", "line\nbreak.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin-\xe9.png")).write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        list_images(tmp_path)
    assert caught.value.counts == {"name_not_text": 2}


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, "a.png", "locked/b.png")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="folder_unreadable.*locked"):
        list_images(tmp_path)
