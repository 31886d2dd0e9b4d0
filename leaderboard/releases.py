"""Taking a release in. In: a Hub folder or a release folder; out: its public part, its keys apart, and its row."""

import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from evaluator.errors import InputError
from evaluator.release.importer import Splits, import_hub
from evaluator.release.info import FILE_NAME, read_info
from evaluator.release.packs import write_pack
from evaluator.release.schema import ReleaseInfo, Split
from leaderboard import storage
from leaderboard.boards.summary import summarise_release
from leaderboard.models import KeyRevision, Release
from leaderboard.models.releases import Visibility

KEYS = "keys"


@dataclass(frozen=True, kw_only=True)
class HubOptions:
    """How a Hub folder becomes a release; see `evaluator.release.importer.import_hub`."""

    splits: Splits
    sources: Mapping[str, str] = field(default_factory=dict)
    exclude: Collection[str] = ()
    seed: int = 0
    name: str
    version: str = "1.0"
    public_items: bool = False
    share_votes: bool = False


def import_release(
    folder: Path, slug: str, *, hub: HubOptions, visibility: Visibility = Visibility.PUBLIC,
    on_progress: Callable[[str, int, int | None], None] = lambda *_: None,
) -> Release:  # fmt: skip
    """Import `folder` under `slug`: a release folder is copied, anything else is read as a Hub folder with `hub`.

    Keys move to KEY_ROOT as revision 1. Raises InputError with every problem; then nothing is left behind.
    """
    if Release.objects.filter(slug=slug).exists():
        raise InputError.single("slug_taken", f"A release {slug} is there already: choose another --slug.")
    settings.RELEASE_ROOT.mkdir(parents=True, exist_ok=True)
    incoming = settings.RELEASE_ROOT / f".incoming-{uuid4().hex}"
    try:
        if (folder / FILE_NAME).exists():
            shutil.copytree(folder, incoming)
        else:
            import_hub(
                folder, incoming, splits=hub.splits, sources=hub.sources, exclude=hub.exclude, seed=hub.seed,
                name=hub.name, version=hub.version, public_items=hub.public_items, share_votes=hub.share_votes,
                on_progress=on_progress,
            )  # fmt: skip
        return _adopt(incoming, slug, read_info(incoming), visibility)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _adopt(incoming: Path, slug: str, info: ReleaseInfo, visibility: Visibility) -> Release:
    if Release.objects.filter(hash=info.hash).exists():
        raise InputError.single("release_known", "A release with the same images, questions and splits is there.")
    _require_keys(incoming, info)
    _write_missing_packs(incoming, info)
    try:
        summary = summarise_release(info, incoming, incoming / KEYS)
    except ValueError as error:
        raise InputError.single("key_mismatch", f"The keys are not those of this release: {error}.") from error
    release = Release(
        slug=slug, name=info.name, version=info.version, hash=info.hash, public_items=info.public_items,
        visibility=visibility, info=asdict(info), summary=summary,
    )  # fmt: skip
    keys, public = storage.key_folder(release, 1), storage.release_folder(release)
    if keys.parent.exists() or public.exists():
        raise InputError.single("slug_taken", f"Files of an earlier release {slug} are there: choose another --slug.")
    try:
        _move_keys(incoming / KEYS, keys)
        incoming.rename(public)
        with transaction.atomic():
            release.save()
            release.key_revision = KeyRevision.objects.create(release=release, number=1, note="as imported")
            release.save(update_fields=["key_revision"])
    except BaseException:
        shutil.rmtree(keys.parent, ignore_errors=True)
        shutil.rmtree(public, ignore_errors=True)
        raise
    return release


def _require_keys(folder: Path, info: ReleaseInfo) -> None:
    missing = [split for split in info.splits if not (folder / KEYS / f"{split}.parquet").exists()]
    if missing:
        message = f"The release has no key for {', '.join(missing)}: import the whole folder, not a question pack."
        raise InputError.single("keys_missing", message)


def _write_missing_packs(folder: Path, info: ReleaseInfo) -> None:
    (folder / "packs").mkdir(exist_ok=True)
    for split in info.splits:
        pack = folder / "packs" / f"{split}.zip"
        if split is not Split.SEALED and not pack.exists():
            write_pack(folder, split, pack)


def _move_keys(source: Path, target: Path) -> None:
    """Keys go to their owner alone: folders 0700, files 0600, whatever they were."""
    storage.key_root()
    for folder in (target.parent, target):
        folder.mkdir(mode=0o700)
    for path in source.iterdir():
        shutil.move(path, target / path.name)
        (target / path.name).chmod(0o600)
    source.rmdir()
