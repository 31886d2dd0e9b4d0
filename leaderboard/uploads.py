"""Receiving files. In: a multipart request's chunks; out: a temporary file with its SHA-256, never over the limit."""

import hashlib
from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import TemporaryFileUploadHandler


class BoundedTemporaryFileUploadHandler(TemporaryFileUploadHandler):
    """Writes to UPLOAD_ROOT and hashes while it receives.

    The received file carries `sha256` (hex) and `too_large`; past MAX_UPLOAD_BYTES nothing more is written, so that an
    endless upload fills no disk while the submitter still gets a plain answer.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._hash = hashlib.sha256()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) <= settings.MAX_UPLOAD_BYTES:
            self._hash.update(raw_data)
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> Any:
        received = super().file_complete(file_size)
        received.sha256 = self._hash.hexdigest()
        received.too_large = file_size > settings.MAX_UPLOAD_BYTES
        return received
