"""Public names of items. In: dataset and image_id; out: opaque ids for hidden splits, readable file names for dev."""

import hashlib
import hmac
import re

SECRET_BYTES = 32
ID_BYTES = 16


def opaque_id(secret: bytes, dataset: str, image_id: str) -> str:
    """The id of a hidden item: a keyed hash, so that nobody without the secret can test a guess."""
    return hmac.new(secret, f"{dataset}\0{image_id}".encode(), hashlib.sha256).digest()[:ID_BYTES].hex()


def readable_file_name(dataset: str, image_id: str) -> str:
    """A safe file stem for a public item, unique per (dataset, image_id)."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", image_id)[:60].strip("-")
    digest = hashlib.sha256(f"{dataset}\0{image_id}".encode()).hexdigest()[:12]
    return f"{stem}-{digest}".lstrip("-")
