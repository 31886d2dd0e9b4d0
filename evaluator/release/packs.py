"""Question packs. In: a release folder and a split; out: one zip with all that answering the split needs.

Reads nothing under keys/, except for dev, whose key is public. Unpacked, it is a valid release of its one split. The
same public part gives the same bytes.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.release.info import FILE_NAME, read_info, restrict_info, write_info
from evaluator.release.prompts import render_prompt
from evaluator.release.read import ITEMS_FILE, QUESTIONS_FILE, iter_questions, read_items, require_split
from evaluator.release.schema import LOCALISATION, QUESTIONS, ReleaseInfo, Split
from evaluator.release.tasks import is_cognition_kind

FIXED_DATE = (1980, 1, 1, 0, 0, 0)
NAME_COLUMNS = ("dataset", "image_id", "question", "variant")


class SealedSplit(ValueError):
    """A sealed split has no pack."""


def write_pack(release_dir: Path, split: Split, out_zip: Path) -> None:
    """Write the question pack of `split` to `out_zip`. Raises SealedSplit, and InputError on a damaged release."""
    if split is Split.SEALED:
        raise SealedSplit("nothing of a sealed split leaves the server")
    release_dir = Path(release_dir)
    info = read_info(release_dir)
    require_split(info, split)
    info = restrict_info(info, {split})
    with zipfile.ZipFile(out_zip, "w", zipfile.ZIP_DEFLATED) as pack:
        _add_text(pack, "README.md", render_readme(info, split))
        _add_text(pack, "make_predictions.py", _script())
        _add_tables(pack, release_dir, info, split)
        _add_questions(pack, release_dir, split)
        _add_samples(pack, release_dir, split)
        for file in read_items(release_dir, split)["file"].to_pylist():
            _add_file(pack, file, release_dir / file, zipfile.ZIP_STORED)
        if split.key_is_public:
            name = f"keys/{split}.parquet"
            _add_file(pack, name, release_dir / name, zipfile.ZIP_STORED)


def render_readme(info: ReleaseInfo, split: Split) -> str:
    """What is in the pack, how to answer and send it back, whose images these are."""
    sizes = info.splits[split]
    template = resources.files("evaluator.release").joinpath("data/pack_readme.md").read_text("utf-8")
    return template.format(
        name=info.name, version=info.version, hash=info.hash, split=split, items=sizes.items, questions=sizes.questions,
        key=f"\n- `keys/{split}.parquet`: the right answers; this split is public" if split.key_is_public else "",
        datasets="\n".join(
            f"| {key} | {known.title} | {', '.join(known.licenses) or 'not stated'} | {known.attribution or '–'} |"
            for key, known in sorted(info.datasets.items())
        ),
    )  # fmt: skip


def _add_tables(pack: zipfile.ZipFile, release_dir: Path, info: ReleaseInfo, split: Split) -> None:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_info(info, folder)
        pq.write_table(read_items(release_dir, split), folder / ITEMS_FILE, compression="zstd")
        with pq.ParquetWriter(folder / QUESTIONS_FILE, QUESTIONS, compression="zstd") as writer:
            for batch in iter_questions(release_dir, {split}):
                writer.write_batch(batch)
        for name in (FILE_NAME, ITEMS_FILE, QUESTIONS_FILE):
            _add_file(pack, name, folder / name, zipfile.ZIP_DEFLATED)


def _add_questions(pack: zipfile.ZipFile, release_dir: Path, split: Split) -> None:
    """questions.jsonl: every question with its image, its options in order and, in question form, its prompt.

    Localisation has no prompt: its options are classes to find, not letters to choose from.
    """
    items = read_items(release_dir, split).select(["dataset", "image_id", "file"]).to_pylist()
    files = {(item["dataset"], item["image_id"]): item["file"] for item in items}
    with _open_member(pack, "questions.jsonl") as member:
        for row in _rows(iter_questions(release_dir, {split})):
            is_lettered = row["variant"] is None and row["question"] != LOCALISATION
            prompt = render_prompt(row["text"] or "", row["options"]) if is_lettered else None
            row |= {"image": files[row["dataset"], row["image_id"]], "prompt": prompt}
            member.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _add_samples(pack: zipfile.ZipFile, release_dir: Path, split: Split) -> None:
    """sample_predictions.*: a complete, valid file of each kind that always takes the first option, and for boxes the
    whole image."""
    with _open_member(pack, "sample_predictions.jsonl") as member:
        for row in _sample_rows(release_dir, split):
            member.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    with _open_member(pack, "sample_predictions.csv") as member:
        text = io.TextIOWrapper(member, "utf-8", newline="")
        has_boxes = any("boxes" in row for row in _sample_rows(release_dir, split))
        columns = (*NAME_COLUMNS, "option", "boxes") if has_boxes else (*NAME_COLUMNS, "option")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for row in _sample_rows(release_dir, split):
            writer.writerow(row | {"boxes": json.dumps(row["boxes"])} if "boxes" in row else row)
        text.detach()


def _sample_rows(release_dir: Path, split: Split) -> Iterator[dict[str, Any]]:
    """One variant of the coarse and fine tasks, and whatever is asked in question form alone."""
    items = read_items(release_dir, split).to_pylist()
    sizes = {(item["dataset"], item["image_id"]): (item["width"], item["height"]) for item in items}
    variants = {
        row["variant"] for row in _rows(iter_questions(release_dir, {split})) if not _is_beside(row["question"])
    }
    variant = next((v for v in (None, 1, 0) if v in variants), None)
    for row in _rows(iter_questions(release_dir, {split})):
        named = {name: row[name] for name in NAME_COLUMNS}
        if row["question"] == LOCALISATION:
            width, height = sizes[row["dataset"], row["image_id"]]
            yield named | {"boxes": [{"class": row["options"][0], "x1": 0, "y1": 0, "x2": width, "y2": height}]}
        elif row["variant"] == variant or _is_beside(row["question"]):
            yield named | {"option": row["options"][0]}


def _is_beside(kind: str) -> bool:
    """Whether a kind of question is asked in question form alone and may be left out."""
    return kind == LOCALISATION or is_cognition_kind(kind)


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _script() -> str:
    return resources.files("evaluator.release").joinpath("data/make_predictions.py.txt").read_text("utf-8")


def _add_text(pack: zipfile.ZipFile, name: str, text: str) -> None:
    with _open_member(pack, name) as member:
        member.write(text.encode())


def _add_file(pack: zipfile.ZipFile, name: str, path: Path, compression: int) -> None:
    with path.open("rb") as file, _open_member(pack, name, compression) as member:
        while chunk := file.read(1 << 20):
            member.write(chunk)


@contextmanager
def _open_member(pack: zipfile.ZipFile, name: str, compression: int = zipfile.ZIP_DEFLATED) -> Iterator[IO[bytes]]:
    member = zipfile.ZipInfo(name, FIXED_DATE)
    member.compress_type = compression
    member.create_system = 3
    member.external_attr = 0o644 << 16
    with pack.open(member, "w", force_zip64=True) as file:
        yield file
