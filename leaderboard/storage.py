"""Where bytes lie. In: streams, releases, reports; out: content-addressed blobs, folders. Knows no formats."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files import File
from django.core.files.storage import default_storage

from leaderboard.models import Release, Report, Submission
from leaderboard.uploads import Received

CHUNK = 2**20
UNFINISHED = ".part"
CORRECT, REPLICATES = "correct.npy", "replicates.npz"  # in a report's derived folder
AREAS = "areas.npz"  # in the derived folder of a label efficiency


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A stored file: its name is its content's digest."""

    sha256: str
    size: int


def put_chunks(chunks: Iterable[bytes]) -> Blob:
    """Store a stream, hashing while it is written; the blob appears whole or not at all."""
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=settings.UPLOAD_ROOT, suffix=UNFINISHED, delete=False) as part:
        for chunk in chunks:
            digest.update(chunk)
            part.write(chunk)
            size += len(chunk)
    return _adopt(Path(part.name), Blob(sha256=digest.hexdigest(), size=size))


def put_bytes(content: bytes) -> Blob:
    """Store a small file from memory."""
    return put_chunks([content])


def put_file(path: Path) -> Blob:
    """Store a copy of a file."""
    with path.open("rb") as file:
        return put_chunks(iter(lambda: file.read(CHUNK), b""))


def put_received(file: Received) -> Blob:
    """Store a received file; one that lies in UPLOAD_ROOT was hashed while it came in, so it is moved, not copied."""
    if file.path.parent != settings.UPLOAD_ROOT:
        return put_file(file.path)
    part = file.path.with_name(f"{file.path.name}.{uuid4().hex}{UNFINISHED}")
    part.hardlink_to(file.path)  # the upload handler removes its own name
    return _adopt(part, Blob(sha256=file.sha256, size=file.size))


def exists(sha256: str) -> bool:
    """Whether the blob is stored."""
    return default_storage.exists(blob_name(sha256))


@contextmanager
def local_path(sha256: str) -> Iterator[Path]:
    """The blob as a local read-only file for as long as the block runs; a remote blob is fetched and checked."""
    if (local := _local_file(sha256)) is not None:
        yield local
        return
    with work_folder("blob") as folder, default_storage.open(blob_name(sha256)) as remote:
        path, digest = folder / sha256, hashlib.sha256()
        with path.open("wb") as copy:
            for chunk in remote.chunks(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
        if digest.hexdigest() != sha256:
            raise OSError(f"blob {sha256} came back with another content from storage")
        yield path


@contextmanager
def local_files(submission: Submission) -> Iterator[Path]:
    """The submitted files under their own names in a private folder; yields the only file, or the index of shards.

    Every file is hashed again: what is opened is what was submitted.
    """
    with work_folder("files") as folder:
        for file in submission.files:
            with local_path(file["sha256"]) as blob, blob.open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != file["sha256"]:
                    raise OSError(f"blob {file['sha256']} was altered in storage")
                _link_or_copy(blob, folder / file["name"])
        yield folder / submission.file_name


@contextmanager
def work_folder(prefix: str) -> Iterator[Path]:
    """An empty private folder that is removed at the end of the block."""
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=settings.WORK_ROOT))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale_uploads() -> int:
    """Delete half-received files and abandoned work folders older than STALE_UPLOAD_S; returns how many."""
    before, removed = time.time() - settings.STALE_UPLOAD_S, 0
    for folder in (settings.UPLOAD_ROOT, settings.WORK_ROOT):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.lstat().st_mtime < before:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                removed += 1
    return removed


def release_folder(release: Release) -> Path:
    """The public part of a release: images, questions, packs."""
    return settings.RELEASE_ROOT / release.slug


def key_folder(release: Release, revision: int) -> Path:
    """The key of one revision, a file per split; scorer, web and importer only."""
    return key_root() / release.slug / str(revision)


def derived_folder(report: Report) -> Path:
    """Correctness bits and bootstrap replicates of a report: key material, so they lie with the keys."""
    return derived_path(report.evaluation.submission.release, report.pk)


def derived_path(release: Release, report_pk: int) -> Path:
    """The same, for a reader that knows only the report's number."""
    return key_root() / "derived" / release.slug / str(report_pk)


def efficiency_folder(release_slug: str, efficiency_pk: int) -> Path:
    """Bootstrap replicates of a label efficiency, by its number: they lie with the keys too."""
    return key_root() / "derived" / release_slug / f"efficiency-{efficiency_pk}"


def key_root() -> Path:
    """KEY_ROOT, made for its owner alone; a process that is not told of it has no business with keys."""
    if settings.KEY_ROOT is None:
        raise ImproperlyConfigured("this process has no KEY_ROOT: it must not read keys")
    settings.KEY_ROOT.mkdir(parents=True, mode=0o700, exist_ok=True)
    return settings.KEY_ROOT


def blob_name(sha256: str) -> str:
    """Where a blob lies in the default storage."""
    return f"blobs/{sha256[:2]}/{sha256}"


def _local_file(sha256: str) -> Path | None:
    """Where the blob lies, or would lie, on this machine; None when blobs are remote."""
    try:
        return Path(default_storage.path(blob_name(sha256)))
    except NotImplementedError:
        return None


def _adopt(part: Path, blob: Blob) -> Blob:
    """Give a complete file its content's name, durably: file, then name, then folder reach the disk in this order."""
    try:
        part.chmod(0o644)
        if (target := _local_file(blob.sha256)) is None:
            if not default_storage.exists(blob_name(blob.sha256)):
                with part.open("rb") as file:
                    default_storage.save(blob_name(blob.sha256), File(file))
            return blob
        _sync(part)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(part, target)
        _sync(target.parent)
        return blob
    finally:
        part.unlink(missing_ok=True)


def _link_or_copy(path: Path, name: Path) -> None:
    try:
        name.hardlink_to(path)
    except OSError:  # another file system
        shutil.copyfile(path, name)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
