"""Import a benchmark from the Hub's layout. In: a folder of shards and the rules of splitting; out: a release folder.

Two passes, neither of which holds more than a few rows: the first reads everything but pixels and decides the splits,
the second writes the images. Nothing stands under the final name before all of it is right.
"""

import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from evaluator.errors import InputError, ProblemLog
from evaluator.release.importing import hub
from evaluator.release.importing.boxes import ask_for_boxes, fit_boxes
from evaluator.release.importing.ids import SECRET_BYTES, opaque_id, readable_file_name
from evaluator.release.importing.images import StoredImage, UndecodableImage, decode_pixels, store_png
from evaluator.release.importing.rows import HubRow, RowReader
from evaluator.release.importing.sources import SourceRules
from evaluator.release.importing.splitting import assign_splits
from evaluator.release.importing.staging import Placed, Staging
from evaluator.release.importing.writing import ReleaseWriter, private_file
from evaluator.release.info import write_info
from evaluator.release.packs import write_pack
from evaluator.release.schema import DatasetInfo, ReleaseInfo, Split, SplitInfo
from evaluator.release.tasks import dataset_slug, describe_dataset, is_reserved_slug, studies

GIVEN: Final = "given"
COLUMNS = (
    "image_id", "image", "label", "label_name", "dataset", "domain", "institution", "license", "microns_per_pixel",
    "modality", "ncbitaxon_id", "ncbitaxon_name", "pmid", "split", "stain", "subdomain", "submodality", "synthetic",
    "captions", "questions", "bbox", "polygon",
)  # fmt: skip
UNUSED_COLUMNS = frozenset({"image", "polygon", "ncbitaxon_id"})  # of the first pass
REQUIRED_COLUMNS = ("image_id", "image", "dataset")
QUESTION_COLUMNS = ("questions", "captions")
SECRET_FILE = "id_secret"
ENCODERS = 2
NAMED_IN_ATTRIBUTION = 10

Splits = Mapping[Split, float] | Literal["given"]
OnProgress = Callable[[str, int, int | None], None]  # what is being done, how many are done, of how many


def import_hub(
    hub_dir: Path, out: Path, *, splits: Splits, sources: Mapping[str, str] | None = None,
    exclude: Collection[str] = (), seed: int = 0, name: str, version: str, public_items: bool = False,
    share_votes: bool = False, id_secret: bytes | None = None, on_progress: OnProgress = lambda *_: None,
) -> ReleaseInfo:  # fmt: skip
    """Read `hub_dir` and write the release folder `out`, which must not exist yet.

    splits: fractions that sum to 1, or "given" to take the rows' own `split` column.
    sources: dataset -> regex on image_id whose first group names the source; other datasets: image_id itself.
    share_votes: datasets of one study share one vote in macro means. id_secret: keys the opaque ids of hidden
    splits; random by default, and kept beside the keys.
    Raises InputError with every problem found; then nothing is left under `out`.
    """
    out = Path(out)
    if out.exists():
        raise InputError.single("exists", f"{out} exists already. Name a folder that does not, or remove it.")
    _check_splits(splits)
    rules = SourceRules(sources or {})
    shards = hub.find_shards(hub_dir)
    columns = hub.read_columns(shards)
    _require_columns(columns)
    with _sibling_folder(out) as folder:
        staging = Staging(folder / "staging.db")
        with closing(staging):
            notes = _read_rows(shards, staging, rules, set(exclude), on_progress)
            notes += _place_rows(staging, splits, seed, id_secret or secrets.token_bytes(SECRET_BYTES), folder)
            _write_images(shards, staging, folder, on_progress)
            notes += fit_boxes(staging)
            notes += _note_columns(columns)
            info = _write_tables(staging, folder, on_progress)
            info = replace(
                info, name=name, version=version, public_items=public_items, source_rule=dict(sources or {}),
                vote_groups=_vote_groups(info, share_votes), notes=tuple(notes),
            )  # fmt: skip
        (folder / "staging.db").unlink()
        write_info(info, folder)
        _write_packs(folder, info, on_progress)
    return info


def _read_rows(
    shards: list[Path], staging: Staging, rules: SourceRules, exclude: set[str], on_progress: OnProgress
) -> list[str]:
    """First pass: understand and stage every row. Raises InputError with all problems, undecodable images included."""
    problems = ProblemLog()
    reader = RowReader(class_names=hub.read_class_names(shards), problems=problems, exclude=exclude)
    wanted = [column for column in COLUMNS if column not in UNUSED_COLUMNS]
    for part in hub.iter_slices(shards, keep=wanted):
        for row, raw in enumerate(part.rows.to_pylist(), start=part.first_row):
            found = reader.read(raw, row)
            if found is not None:
                _stage(found, staging, rules, problems)
        on_progress("reading rows", part.first_row + part.rows.num_rows - 1, None)
    _check_datasets(reader.seen, exclude, rules, problems)
    ask_for_boxes(staging, problems)
    if problems:
        _check_images(shards, staging, problems)
        problems.raise_if_any()
    left_out = [
        f"{name} ({n} images) was left out on request." for name, n in sorted(reader.seen.items()) if name in exclude
    ]
    return [change.format(n=n) for change, n in sorted(reader.changes.items())] + left_out


def _stage(row: HubRow, staging: Staging, rules: SourceRules, problems: ProblemLog) -> None:
    place = f"dataset {row.dataset}, image_id {row.image_id}"
    source = rules.source(row.dataset, row.image_id)
    if source is None:
        message = f"{place}: the --source rule of this dataset does not match the image_id. Correct the rule."
        problems.add("source_rule_no_match", message, row=row.row)
        return
    earlier = staging.add(row, source)
    if earlier is not None:
        message = f"{place} stands in row {earlier} already. Keep one of them."
        problems.add("duplicate_item", message, row=row.row)


def _check_datasets(seen: Counter[str], exclude: set[str], rules: SourceRules, problems: ProblemLog) -> None:
    held = ", ".join(sorted(seen)) or "none"
    for option, names in (("--exclude", exclude), ("--source", rules.datasets)):
        for name in sorted(names - set(seen)):
            problems.add("unknown_dataset", f"{option} names {name}, which is not there. The datasets are: {held}.")
    if seen and not problems and not set(seen) - exclude:
        problems.add("no_rows", "Every dataset is excluded. Keep at least one.")
    if not seen and not problems:
        problems.add("no_rows", "The shards hold no row. Download the benchmark again.")
    slugs: dict[str, str] = {}
    for name in sorted(set(seen) - exclude):
        slug = dataset_slug(name)
        if not slug or is_reserved_slug(slug):
            problems.add("bad_name", f"A dataset cannot be called {name!r}: its address is taken. Rename it.")
        elif slug in slugs:
            problems.add("bad_name", f"Datasets {slugs[slug]} and {name} would share the address {slug}. Rename one.")
        slugs[slug] = name


def _place_rows(staging: Staging, splits: Splits, seed: int, secret: bytes, folder: Path) -> list[str]:
    """Decide split, public id and file of every staged row; returns notes."""
    datasets, image_ids, rows = staging.column("dataset"), staging.column("image_id"), staging.column("row")
    notes: list[str] = []
    if splits == GIVEN:
        assigned = _given_splits(staging, rows)
    else:
        fractions = {split: fraction for split, fraction in splits.items() if fraction > 0}
        assigned, notes = assign_splits(datasets, staging.column("source"), staging.column("label"), fractions, seed)
    for row, dataset, image_id, split in zip(rows, datasets, image_ids, assigned, strict=True):
        public = image_id if split.key_is_public else opaque_id(secret, dataset, image_id)
        stem = readable_file_name(dataset, image_id) if split.key_is_public else public
        staging.place(row, split, public, f"images/{split}/{stem}.png")
    (folder / "keys").mkdir(mode=0o700)
    for split in set(assigned):
        (folder / "images" / split).mkdir(parents=True)
    if any(not split.key_is_public for split in assigned):
        with private_file(folder / "keys" / SECRET_FILE) as file:
            file.write(secret.hex().encode() + b"\n")
    return notes


def _given_splits(staging: Staging, rows: list[int]) -> list[Split]:
    problems = ProblemLog()
    known = {split.value: split for split in Split}
    assigned = []
    for row, stated in zip(rows, staging.column("given"), strict=True):
        if stated in known:
            assigned.append(known[stated])
        else:
            message = f"The row's split is {stated!r}. With --splits given it must be one of {', '.join(known)}."
            problems.add("unknown_split", message, row=row)
    for source, straddled in staging.straddling():
        names = straddled.replace(",", ", ")
        message = f"Source {source} has images in {names}. Put all images of one source into one split."
        problems.add("source_straddles", message)
    problems.raise_if_any()
    return assigned


def _write_images(shards: list[Path], staging: Staging, folder: Path, on_progress: OnProgress) -> None:
    """Second pass: write every staged row's image. Raises InputError naming every image that cannot be decoded."""
    problems = ProblemLog()
    done, total = 0, staging.count()
    with ThreadPoolExecutor(ENCODERS) as pool:
        for part in hub.iter_slices(shards, keep=("image",)):
            placed = staging.placed(part.first_row, part.first_row + part.rows.num_rows - 1)
            write = partial(_write_image, part.rows["image"], part.first_row, folder)
            for place, result in zip(placed, pool.map(write, placed), strict=True):
                if isinstance(result, UndecodableImage):
                    _add_undecodable(problems, place, result)
                else:
                    image, path = result
                    staging.add_image(place.row, image, path)
            done += len(placed)
            on_progress("writing images", done, total)
    problems.raise_if_any()


def _write_image(
    images: pa.Array, first_row: int, folder: Path, place: Placed
) -> tuple[StoredImage, str | None] | UndecodableImage:
    encoded, path = _image_cell(images, place.row - first_row)
    try:
        return store_png(encoded, folder / place.file), path
    except UndecodableImage as error:
        return error


def _check_images(shards: list[Path], staging: Staging, problems: ProblemLog) -> None:
    """Add the undecodable images to problems found otherwise, so that one run names everything."""
    for part in hub.iter_slices(shards, keep=("image",)):
        for place in staging.placed(part.first_row, part.first_row + part.rows.num_rows - 1):
            try:
                decode_pixels(_image_cell(part.rows["image"], place.row - part.first_row)[0])
            except UndecodableImage as error:
                _add_undecodable(problems, place, error)


def _add_undecodable(problems: ProblemLog, place: Placed, error: UndecodableImage) -> None:
    problems.add(
        "undecodable_image",
        f"dataset {place.dataset}, image_id {place.image_id}: the image cannot be decoded, {error}. "
        "Replace it or exclude the dataset.",
        row=place.row,
    )


def _image_cell(images: pa.Array, index: int) -> tuple[bytes | None, str | None]:
    """Bytes and path of one image; a column of plain bytes has no path."""
    cell = images[index].as_py()
    return (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)


def _write_tables(staging: Staging, folder: Path, on_progress: OnProgress) -> ReleaseInfo:
    """Write items, questions and keys; returns the info as far as the tables tell it."""
    sizes: dict[Split, SplitInfo] = {}
    with ExitStack() as stack:
        writer = ReleaseWriter(folder, stack)
        for split in (split for split in Split if (folder / "images" / split).is_dir()):
            items, questions = writer.write_split(split, staging.in_release_order(split))
            sizes[split] = SplitInfo(items=items, questions=questions, sources=staging.count_sources(split))
            on_progress("writing tables", sum(size.items for size in sizes.values()), None)
    return ReleaseInfo(
        name="", version="", hash=writer.content_hash(), public_items=False, splits=sizes, source_rule={},
        datasets=_describe_datasets(staging),
    )  # fmt: skip


def _describe_datasets(staging: Staging) -> dict[str, DatasetInfo]:
    stated: dict[str, dict[str, None]] = {}
    for dataset, institution, pmid in staging.attributions():
        found = stated.setdefault(dataset, {})
        found.update({text: None for text in (institution, f"PMID {pmid}" if pmid else None) if text})
    described = {}
    for dataset, licenses in staging.licenses().items():
        info = describe_dataset(dataset)
        credits = [info.attribution, *list(stated.get(dataset, {}))[:NAMED_IN_ATTRIBUTION]]
        described[dataset] = replace(info, licenses=licenses, attribution="; ".join(text for text in credits if text))
    return described


def _vote_groups(info: ReleaseInfo, share_votes: bool) -> tuple[tuple[str, ...], ...]:
    groups = (tuple(name for name in group if name in info.datasets) for group in studies())
    return tuple(group for group in groups if len(group) > 1) if share_votes else ()


def _write_packs(folder: Path, info: ReleaseInfo, on_progress: OnProgress) -> None:
    (folder / "packs").mkdir()
    for n, split in enumerate((split for split in info.splits if split is not Split.SEALED), start=1):
        write_pack(folder, split, folder / "packs" / f"{split}.zip")
        on_progress("writing packs", n, None)


def _check_splits(splits: Splits) -> None:
    if splits == GIVEN:
        return
    if any(not 0 <= fraction <= 1 for fraction in splits.values()) or abs(sum(splits.values()) - 1) > 1e-6:
        stated = ",".join(f"{split}={fraction:g}" for split, fraction in splits.items())
        raise InputError.single(
            "bad_splits", f"--splits {stated}: fractions lie between 0 and 1 and sum to 1. Example: dev=0.3,test=0.7."
        )


def _require_columns(columns: list[str]) -> None:
    problems = ProblemLog()
    for name in REQUIRED_COLUMNS:
        if name not in columns:
            problems.add("missing_column", f"The shards have no column {name!r}. They have: {', '.join(columns)}.")
    if not set(QUESTION_COLUMNS) & set(columns):
        problems.add("missing_column", "The shards have neither `questions` nor `captions`. Nothing could be asked.")
    problems.raise_if_any()


def _note_columns(columns: list[str]) -> list[str]:
    unknown = [name for name in columns if name not in COLUMNS]
    missing = [name for name in QUESTION_COLUMNS if name not in columns]
    return [f"The unknown column {name!r} was ignored." for name in unknown] + [
        f"The benchmark has no {name}; no question is asked in that form." for name in missing
    ]


@contextmanager
def _sibling_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name when all went well and vanishes otherwise."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise InputError.single("cannot_write", f"{out} cannot be made ({error}). Name another folder.") from error
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
