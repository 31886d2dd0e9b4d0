"""The pixel cache: found by all that matters, made whole or not at all, bounded, and never a reason to fail."""

import errno
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL
import pytest
from PIL import Image

from evaluator.errors import EvaluationFailed
from evaluator.pixels import cache as cache_module
from evaluator.pixels.cache import MAKING, PixelCache, Wanted, open_pixels
from evaluator.pixels.crop import crop
from evaluator.pixels.files import open_crops
from evaluator.pixels.recipe import CropRecipe, Fit
from evaluator.release.read import read_info, read_items
from evaluator.release.schema import Split

RECIPE = CropRecipe(crop_px=8, resize_px=8, fit=Fit.SHORTEST, interpolation="bicubic")


@pytest.fixture
def wanted(small_release: Path) -> Wanted:
    files = read_items(small_release, Split.TEST)["file"].to_pylist()
    return Wanted(
        release=small_release, release_hash=read_info(small_release).hash, split=Split.TEST, files=files, form=RECIPE
    )


@pytest.fixture
def cache(tmp_path: Path) -> PixelCache:
    return PixelCache(folder=tmp_path / "cache")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """Every making of a file from here on."""
    found, write = [], Wanted.write

    def counted(self: Wanted, out: BinaryIO, on_done: cache_module.OnDone) -> None:
        found.append(self)
        write(self, out, on_done)

    monkeypatch.setattr(Wanted, "write", counted)
    return found


def content(wanted: Wanted, cache: PixelCache) -> bytes:
    with open_pixels(wanted, cache) as file:
        assert not file.writable() and file.tell() == 0
        return file.read()


def kept(cache: PixelCache) -> list[str]:
    assert cache.folder is not None
    return sorted(path.name for path in cache.folder.iterdir())


def test_crops_are_the_images_in_order_made_once(wanted: Wanted, cache: PixelCache, made: list[Wanted]) -> None:
    heard: list[int] = []
    for _ in range(2):
        with open_pixels(wanted, cache, heard.append) as file:
            crops = open_crops(file, len(wanted.files), RECIPE)
    for name, found in zip(wanted.files, crops, strict=True):
        with Image.open(wanted.release / name) as image:
            assert np.array_equal(found, crop(image.convert("RGB"), RECIPE))
    assert len(made) == 1 and heard == [len(wanted.files)] * 3
    assert content(wanted, PixelCache()) == content(wanted, cache) == crops.tobytes()


def test_name_depends_on_every_field_but_the_place(wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [{"release_hash": "0" * 64}, {"split": Split.DEV}, {"files": wanted.files[::-1]}, {"form": None},
              {"files": wanted.files[1:]}, {"form": replace(RECIPE, fill=1)}]  # fmt: skip
    names = {wanted.name, *(replace(wanted, **other).name for other in others)}
    assert len(names) == len(others) + 1
    assert replace(wanted, release=Path("/elsewhere")).name == wanted.name
    monkeypatch.setattr(PIL, "__version__", "0.0")
    assert wanted.name not in names


@pytest.mark.parametrize("harm", ["flip a bit", "cut short", "lose the digest", "damage the digest"])
def test_changed_file_is_found_and_made_again(
    wanted: Wanted, cache: PixelCache, made: list[Wanted], harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = content(wanted, cache)
    assert cache.folder is not None
    path = cache.folder / wanted.name
    digest = path.with_suffix(".sha256")
    match harm:
        case "flip a bit":
            path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        case "cut short":
            path.write_bytes(whole[:-1])
        case "lose the digest":
            digest.unlink()
        case "damage the digest":
            digest.write_bytes(b"\xff")
    assert content(wanted, cache) == whole and len(made) == 2
    assert content(wanted, cache) == whole and len(made) == 2
    assert ("is not as it was made" in caplog.text) == (harm != "lose the digest")


def test_most_recently_used_stay_and_never_more_than_allowed(
    wanted: Wanted, cache: PixelCache, made: list[Wanted]
) -> None:
    one = wanted.n_bytes()
    cache = replace(cache, max_bytes=2 * one + one // 2)
    first, second, third = (replace(wanted, form=replace(RECIPE, fill=fill)) for fill in (1, 2, 3))
    content(first, cache)
    content(second, cache)
    time.sleep(0.02)  # file times are coarse
    content(first, cache)
    with open_pixels(second, cache) as in_use:
        os.utime(cache.folder / first.name)  # type: ignore[operator]
        content(third, cache)
        assert len(in_use.read()) == one  # what was evicted stays readable to who holds it
    assert kept(cache) == sorted(Path(w.name).stem + end for w in (first, third) for end in (".pixels", ".sha256"))
    made.clear()
    content(first, cache)
    content(third, cache)
    assert made == []


def test_room_is_made_before_the_file_is(wanted: Wanted, cache: PixelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = replace(cache, max_bytes=wanted.n_bytes())
    content(wanted, cache)
    held, write = [], Wanted.write

    def looked(self: Wanted, out: BinaryIO, on_done: cache_module.OnDone) -> None:
        held.append([name for name in kept(cache) if name.endswith(".pixels")])
        write(self, out, on_done)

    monkeypatch.setattr(Wanted, "write", looked)
    content(replace(wanted, form=replace(RECIPE, fill=1)), cache)
    assert held == [[]] and len(kept(cache)) == 2


def test_what_is_larger_than_the_cache_is_not_kept_and_evicts_nothing(wanted: Wanted, cache: PixelCache) -> None:
    cache = replace(cache, max_bytes=wanted.n_bytes())
    content(wanted, cache)
    before = kept(cache)
    large = replace(wanted, form=replace(RECIPE, crop_px=9, resize_px=9))
    assert len(content(large, cache)) == large.n_bytes() > cache.max_bytes
    assert kept(cache) == before


MAKE = """
import sys
from pathlib import Path
from evaluator.pixels import cache, files
from evaluator.pixels.recipe import CropRecipe, Fit
from evaluator.release.read import read_items
from evaluator.release.schema import Split
release, folder, slow = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "slow"
if slow:
    import time
    write = cache.Wanted.write
    def slowly(self, out, on_done):
        write(self, out, on_done); out.flush(); print("making", flush=True); time.sleep(60)
    cache.Wanted.write = slowly
wanted = cache.Wanted(release=release, release_hash="h", split=Split.TEST, form=CropRecipe(
    crop_px=64, resize_px=64, fit=Fit.SHORTEST, interpolation="bicubic"),
    files=read_items(release, Split.TEST)["file"].to_pylist())
if not slow:
    print("ready", flush=True); sys.stdin.readline()
with cache.open_pixels(wanted, cache.PixelCache(folder=folder)) as file:
    print(len(file.read()), wanted.n_bytes(), flush=True)
"""


def start(release: Path, folder: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, str(release), str(folder), how], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip


def test_processes_that_make_the_same_file_at_once_each_get_it_whole(small_release: Path, tmp_path: Path) -> None:
    makers = [start(small_release, tmp_path / "cache", "fast") for _ in range(3)]
    for maker in makers:
        assert maker.stdout is not None and maker.stdout.readline() == "ready\n"
    outputs = [maker.communicate("\n", timeout=60)[0].split() for maker in makers]
    assert all(len(output) == 2 and output[0] == output[1] for output in outputs)
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".pixels", ".sha256"]


def test_killed_making_leaves_no_half_file(small_release: Path, wanted: Wanted, cache: PixelCache) -> None:
    assert cache.folder is not None
    maker = start(small_release, cache.folder, "slow")
    try:
        assert maker.stdout is not None and maker.stdout.readline() == "making\n"
        content(wanted, cache)
        (part,) = [path for path in cache.folder.iterdir() if path.name.startswith(MAKING)]  # alive: left alone
        maker.send_signal(signal.SIGKILL)
        maker.wait(10)
        assert part.exists() and len(kept(cache)) == 3
        content(replace(wanted, form=replace(RECIPE, fill=1)), cache)
        assert not part.exists() and len(kept(cache)) == 4
    finally:
        maker.kill()
        maker.communicate()


@pytest.mark.parametrize("form", [RECIPE, None], ids=["crops", "packed"])
@pytest.mark.parametrize("keep", [True, False], ids=["cache", "no cache"])
def test_unreadable_image_is_named_and_nothing_is_left(
    wanted: Wanted, cache: PixelCache, tmp_path: Path, form: CropRecipe | None, keep: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    release = tmp_path / "release"
    shutil.copytree(wanted.release, release)
    (release / wanted.files[5]).unlink()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with pytest.raises(EvaluationFailed) as failed:
        content(replace(wanted, release=release, form=form), cache if keep else PixelCache())
    assert failed.value.code == "unreadable_image" and not failed.value.retry
    assert Path(wanted.files[5]).name in failed.value.message and str(tmp_path) not in failed.value.message
    assert not list((tmp_path / "tmp").iterdir())
    assert not cache.folder.exists() or kept(cache) == []  # type: ignore[union-attr]


def full(self: Wanted, out: BinaryIO, on_done: cache_module.OnDone) -> None:
    out.write(b"half of it")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_falls_back_to_a_temporary_file(
    wanted: Wanted, cache: PixelCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected, write, times = content(wanted, PixelCache()), Wanted.write, []

    def full_at_first(self: Wanted, out: BinaryIO, on_done: cache_module.OnDone) -> None:
        times.append(1)
        (full if len(times) == 1 else write)(self, out, on_done)

    monkeypatch.setattr(Wanted, "write", full_at_first)
    with caplog.at_level(logging.WARNING):
        assert content(wanted, cache) == expected
    assert "cannot be used (No space left on device)" in caplog.text
    assert kept(cache) == []


def test_no_room_anywhere_says_what_to_do(
    wanted: Wanted, cache: PixelCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Wanted, "write", full)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with pytest.raises(EvaluationFailed, match="No space left on device.*Make room") as failed:
        content(wanted, cache)
    assert failed.value.code == "no_room_for_pixels" and failed.value.retry
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("what", ["a file", "below a file", "unwritable"])
def test_folder_that_cannot_be_used_falls_back(
    wanted: Wanted, tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / ("file/cache" if what == "below a file" else "file")
    if what == "unwritable":
        folder = tmp_path / "closed"
        folder.mkdir()

        def refuse(*args: object, **options: object) -> tuple[int, str]:  # root may write everywhere
            if options.get("dir") == folder:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return make(*args, **options)  # type: ignore[arg-type]

        make = tempfile.mkstemp
        monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert content(wanted, PixelCache(folder=folder)) == content(wanted, PixelCache())
    assert "cannot be used" in caplog.text


def test_cache_that_may_only_be_read_is_used(
    wanted: Wanted, cache: PixelCache, made: list[Wanted], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = content(wanted, cache)

    def refuse(*args: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "utime", refuse)
    assert content(wanted, cache) == whole and len(made) == 1


def test_lock_of_the_maker_is_what_protects_its_file(wanted: Wanted, cache: PixelCache) -> None:
    assert cache.folder is not None
    cache.folder.mkdir()
    (cache.folder / f"{MAKING}old").write_bytes(b"1")
    with (cache.folder / f"{MAKING}new").open("wb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        content(wanted, cache)
        assert [name for name in kept(cache) if name.startswith(MAKING)] == [f"{MAKING}new"]
