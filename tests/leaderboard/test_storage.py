"""Blobs: named by content, whole or absent, checked when opened; keys in folders of their owner alone."""

import hashlib
import os
import stat
import time

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from leaderboard import storage, uploads
from leaderboard.models import Release, Submission


@pytest.fixture(autouse=True)
def roots(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.UPLOAD_ROOT = settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "uploads"
    settings.WORK_ROOT = tmp_path / "work"
    settings.KEY_ROOT = tmp_path / "keys"
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": settings.MEDIA_ROOT}
        }
    }  # fmt: skip
    settings.UPLOAD_ROOT.mkdir()


def received(content: bytes, **post):
    """A file as a multipart request brings it."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    request = RequestFactory().post("/", {"file": SimpleUploadedFile("weights.safetensors", content), **post})
    return uploads.received(request.FILES["file"]), request


def test_blob_is_named_by_its_content_and_stored_once(settings):
    first = storage.put_chunks([b"ab", b"c"])
    assert first == storage.put_bytes(b"abc") == storage.Blob(sha256=hashlib.sha256(b"abc").hexdigest(), size=3)
    assert [path.name for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] == [first.sha256]
    with storage.local_path(first.sha256) as path:
        assert path.read_bytes() == b"abc"
    assert not list(settings.UPLOAD_ROOT.iterdir())


def test_interrupted_stream_leaves_no_blob(settings):
    def broken():
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        storage.put_chunks(broken())
    assert not settings.MEDIA_ROOT.exists()


def test_received_file_is_hashed_on_its_way_in_and_moved(settings):
    content = os.urandom(300_000)
    file, request = received(content)
    assert (file.sha256, file.size, file.too_large) == (hashlib.sha256(content).hexdigest(), 300_000, False)
    inode = file.path.stat().st_ino
    blob = storage.put_received(file)
    request.close()
    with storage.local_path(blob.sha256) as path:
        assert path.stat().st_ino == inode
        assert path.read_bytes() == content


def test_endless_upload_stops_filling_the_disk_at_the_limit(settings):
    settings.MAX_UPLOAD_BYTES = 100_000
    file, _ = received(os.urandom(500_000))
    assert file.too_large
    assert file.path.stat().st_size <= 100_000


def test_altered_blob_is_not_opened():
    blob = storage.put_bytes(b"weights")
    submission = Submission(file_name="w.bin", files=[{"name": "w.bin", "sha256": blob.sha256, "size": 7}])
    with storage.local_files(submission) as path:
        assert (path.name, path.read_bytes()) == ("w.bin", b"weights")
    with storage.local_path(blob.sha256) as path:
        path.write_bytes(b"altered")
    with pytest.raises(OSError, match="altered"), storage.local_files(submission):
        pass


def test_stale_uploads_go_and_fresh_ones_stay(settings):
    old, new = settings.UPLOAD_ROOT / "old.upload", settings.UPLOAD_ROOT / "new.upload"
    old.touch()
    new.touch()
    long_ago = time.time() - settings.STALE_UPLOAD_S - 10
    os.utime(old, (long_ago, long_ago))
    assert storage.remove_stale_uploads() == 1
    assert list(settings.UPLOAD_ROOT.iterdir()) == [new]


def test_key_root_is_its_owners_alone(settings):
    assert stat.S_IMODE(storage.key_root().stat().st_mode) == 0o700


def test_process_without_key_root_cannot_ask_for_keys(settings):
    settings.KEY_ROOT = None
    with pytest.raises(ImproperlyConfigured):
        storage.key_folder(Release(slug="r"), 1)
