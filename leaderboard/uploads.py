"""Receiving files. In: a multipart request's chunks; out: a temporary file with its SHA-256, never over the limit."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler


@dataclass(frozen=True, kw_only=True)
class Received:
    """A file as it came in, not yet stored: `name` is the sender's, `path` ours."""

    name: str
    path: Path
    sha256: str
    size: int
    too_large: bool = False


class HashedUpload(TemporaryUploadedFile):
    """What the handler below makes of a file in a request."""

    sha256: str
    too_large: bool


def received(upload: UploadedFile) -> Received:
    """A file of a request, received by the handler below."""
    if not isinstance(upload, HashedUpload):
        raise TypeError(f"{upload!r} did not come in through FILE_UPLOAD_HANDLERS")
    upload.flush()
    return Received(
        name=upload.name or "", path=Path(upload.temporary_file_path()), sha256=upload.sha256, size=upload.size or 0,
        too_large=upload.too_large,
    )  # fmt: skip


def received_from(path: Path) -> Received:
    """A local file, for commands that submit without a request."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    return Received(name=path.name, path=path, sha256=sha256, size=size, too_large=size > settings.MAX_UPLOAD_BYTES)


class BoundedTemporaryFileUploadHandler(TemporaryFileUploadHandler):
    """Writes to UPLOAD_ROOT and hashes while it receives.

    The received file carries `sha256` (hex) and `too_large`; past MAX_UPLOAD_BYTES, counted over all
    files of the request, nothing more is written, so that an endless upload fills no disk while the submitter still
    gets a plain answer.
    """

    file: HashedUpload
    _before = 0  # bytes of the request's earlier files; one handler serves one request

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super(TemporaryFileUploadHandler, self).new_file(*args, **kwargs)
        self.file = HashedUpload(self.file_name or "", self.content_type, 0, self.charset, self.content_type_extra)
        self._hash = hashlib.sha256()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self._before + start + len(raw_data) <= settings.MAX_UPLOAD_BYTES:
            self._hash.update(raw_data)
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> Any:
        self.file.sha256 = self._hash.hexdigest()
        self._before += file_size
        self.file.too_large = self._before > settings.MAX_UPLOAD_BYTES
        return super().file_complete(file_size)
