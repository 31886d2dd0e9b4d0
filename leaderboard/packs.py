"""Question packs: the files of a release that may leave the server. In: a release and a split; out: a file, or none."""

from pathlib import Path

from evaluator.release.schema import Split
from leaderboard import storage
from leaderboard.models import Release

OPEN_SPLITS = (Split.DEV, Split.TEST)  # the sealed split has no pack, whatever lies in its folder


def pack_path(release: Release, split: str) -> Path | None:
    """The pack of a split, or None when there is none to give."""
    if split not in OPEN_SPLITS or split not in release.info["splits"]:
        return None
    path = storage.release_folder(release) / "packs" / f"{split}.zip"
    return path if path.is_file() else None
