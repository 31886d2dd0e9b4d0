"""`suggest`: which of one's own images to label next. Images and labels stay on this machine."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.names import HeadKind, Strategy
from evaluator.active_learning.suggesting.suggestion import Suggestion
from evaluator.answering.progress import Progress
from evaluator.architectures.architecture import Architecture, Family
from evaluator.architectures.registry import find_architecture
from evaluator.cli.files import require_file, writing
from evaluator.cli.progress import ProgressLine
from evaluator.cli.validate import add_architecture, add_base
from evaluator.encoders.choices import Device, Precision
from evaluator.errors import InputError, Problem
from evaluator.suggest.images.develop import Planes, Recipe, parse_channels
from evaluator.suggest.images.folder import Folder, list_images
from evaluator.suggest.images.normalise import parse_normalisation
from evaluator.suggest.labels import Labels, read_labels
from evaluator.suggest.prepare import Prepared, read_developed
from evaluator.suggest.sheet import sheet, thumbnail
from evaluator.suggest.tables import check_labels_are_kept, labels_csv, next_csv
from evaluator.suggest.vectors import VectorLimits, read_vectors
from evaluator.suggest.words import counted, how_chosen
from evaluator.weights.checkpoint import open_checkpoint

EXAMPLE = """\
example:
  python -m evaluator suggest --weights model.safetensors --architecture ViT-B-32 --images plates/ --count 24 \\
      --normalise percentile:0.5,99.5 --channels 3,2,1 --out round/
  python -m evaluator suggest --weights model.safetensors --architecture ViT-B-32 --images plates/ --count 24 \\
      --normalise percentile:0.5,99.5 --channels 3,2,1 --out round/ --labels round/labels.csv
  python -m evaluator suggest --embeddings embeddings.npz --count 24 --out round/

The first round needs no labels. Fill in labels.csv and give it back: the second command asks for the next round.
DIR gets next.csv (the list), sheet.html (to look at and print), labels.csv, run.json, and embeddings.npz, so that
the next round embeds only what is new.
"""

LOCAL = VectorLimits(file_bytes=64 * 1024**3, unpacked_bytes=64 * 1024**3, rows=10_000_000)


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What is chosen from: distinct images, their features, files with the same bytes, and how it came about."""

    ids: Sequence[str]
    features: NDArray[np.float32]
    twins: Mapping[str, str] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "suggest", help="say which of your own images to label next", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--images", type=Path, metavar="DIR", help="a folder of PNG, JPEG and TIFF files, at any depth")
    parser.add_argument("--weights", type=Path, metavar="FILE.safetensors|FILE.index.json",
                        help="the encoder that looks at them: a contrastive checkpoint")  # fmt: skip
    add_base(parser)
    add_architecture(parser, required=False)
    parser.add_argument(
        "--embeddings", type=Path, metavar="FILE.npz|FILE.parquet",
        help="in place of weights: `id` and `embedding` of every image. With --images they are shown on the sheet",
    )  # fmt: skip
    parser.add_argument("--labels", type=Path, metavar="FILE.csv", help="the labels so far: `id,label`")
    parser.add_argument("--count", required=True, type=int, metavar="B", help="how many images to label next")
    parser.add_argument("--strategy", type=Strategy, choices=list(Strategy), default=Strategy.DROPQUERY,
                        help="how they are chosen once two classes have labels (default: %(default)s)")  # fmt: skip
    parser.add_argument("--head", type=HeadKind, choices=list(HeadKind), default=HeadKind.PAPER,
                        help="the classifier that the strategy asks (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn by chance (default: %(default)s)")
    _add_pixels(parser)
    parser.add_argument("--device", type=Device, choices=list(Device), default=Device.AUTO)
    parser.add_argument("--precision", type=Precision, choices=list(Precision), default=Precision.FP32)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="made when absent")
    parser.set_defaults(run=run)


def _add_pixels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--normalise", metavar="RULE",
        help="what is black and what is white: dtype (the ends of the file's type), range:LOW,HIGH (fixed values) or "
        "percentile:LOW,HIGH (of each channel of each image). Needed for images that are not 8-bit",
    )  # fmt: skip
    parser.add_argument("--channels", metavar="R,G,B|N",
                        help="which channels are red, green and blue, or which one is grey, from 1")  # fmt: skip
    parser.add_argument("--planes", type=Planes, choices=list(Planes),
                        help="what becomes of stacks: a plane, a projection, or their planes as channels")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    recipe = Recipe(
        normalise=parse_normalisation(args.normalise) if args.normalise is not None else None,
        channels=parse_channels(args.channels) if args.channels is not None else None, planes=args.planes,
    )  # fmt: skip
    _check_sources(args)
    folder = list_images(args.images) if args.images else None
    for note in folder.notes() if folder else []:
        print(f"note: {note}")
    labels_file = args.out / "labels.csv"
    with writing(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
    if args.embeddings:
        require_file(args.embeddings)
        found = read_vectors(args.embeddings.read_bytes(), LOCAL)
        labels = read_labels(args.labels, found.ids) if args.labels else {}
        check_labels_are_kept(labels_file, labels)
        material = Material(ids=found.ids, features=found.features, record={"embeddings": args.embeddings.name})
    else:
        assert folder is not None
        labels = read_labels(args.labels, folder.ids) if args.labels else {}
        check_labels_are_kept(labels_file, labels)
        material = _embedded(args, folder, recipe, len(set(folder.ids) - set(labels)))
    _choose_and_write(args, recipe, material, _of_distinct(labels, material.twins), labels, folder)


def _check_sources(args: argparse.Namespace) -> None:
    """Weights with their architecture and images, or embeddings."""
    given = [name for name in ("weights", "architecture", "images") if getattr(args, name) is not None]
    if args.embeddings is not None:
        wrong = [name for name in given if name != "images"]
        if wrong:
            message = f"--embeddings stands in place of a model: leave out --{' and --'.join(wrong)}."
            raise InputError.single("two_sources", message)
        return
    missing = [name for name in ("weights", "architecture", "images") if name not in given]
    if missing:
        message = f"--{' and --'.join(missing)} missing. Name weights, architecture and images, or give --embeddings."
        raise InputError.single("no_source", message)


def _embedded(args: argparse.Namespace, folder: Folder, recipe: Recipe, unlabelled: int) -> Material:
    architecture = find_architecture(args.architecture)
    _require_encoder(architecture)
    if args.count > unlabelled:  # known before minutes of work
        message = (f"{args.count:,} images were asked for, but only {unlabelled:,} of the {len(folder.ids):,} have no "
                   "label yet. Ask for fewer, or add images.")  # fmt: skip
        raise InputError.single("too_few_candidates", message, field="count")
    for path in (args.weights, args.base):
        if path is not None:
            require_file(path)
    with open_checkpoint(args.weights, args.base) as weights, ProgressLine() as line:
        from evaluator.suggest.embed import embed_folder

        def show(progress: Progress) -> None:
            line.show(progress.stage.value, progress.done, progress.total)

        embedded = embed_folder(
            args.images, folder.ids, recipe, weights, architecture, device=args.device, precision=args.precision,
            keep=args.out / "embeddings.npz", on_progress=show,
        )  # fmt: skip
    record = embedded.record
    _show_pixels(recipe, architecture, embedded.prepared, record)
    record |= {
        "left_out": {"hidden": list(folder.hidden), "outside": list(folder.outside), "others": list(folder.others)},
        "twins": embedded.prepared.twins, "read_notes": dict(embedded.prepared.notes),
        "pixels_cut_off": _mean(embedded.prepared.beyond),
    }  # fmt: skip
    return Material(ids=embedded.ids, features=embedded.vectors, twins=embedded.prepared.twins, record=record)


def _require_encoder(architecture: Architecture) -> None:
    if architecture.family is not Family.CONTRASTIVE:
        message = (f"{architecture.name} is a {architecture.family} model, which gives no image embeddings. Name a "
                   "contrastive model, or give --embeddings of your own.")  # fmt: skip
        raise InputError.single("not_an_encoder", message, field="architecture")


def _show_pixels(recipe: Recipe, architecture: Architecture, prepared: Prepared, record: Mapping[str, Any]) -> None:
    images = record["images"]
    print(f"{images['files']:,} images: {images['embedded']:,} embedded, {images['reused']:,} known from before")
    for name, value in _pixel_facts(recipe).items():
        print(f"{name}: {value}")
    print(f"preprocessing: {architecture.image_px} px, {architecture.preprocessing}")
    if prepared.beyond:
        print(f"note: {100 * _mean(prepared.beyond):.2f}% of pixels lay beyond black or white and were cut off there")
    for note, count in sorted(prepared.notes.items()):
        print(f"note: {counted(count, 'image')}: {note}")
    if prepared.twins:
        print(
            f"note: {counted(len(prepared.twins), 'file')} with the same bytes as another, which stands for all of them"
        )


def _pixel_facts(recipe: Recipe) -> dict[str, str]:
    rule, channels = recipe.normalise, recipe.channels
    return {
        "normalisation": str(rule) if rule else "none, 8-bit values as they are",
        "channels": ", ".join(map(str, channels)) if channels else "as stored: grey or red, green, blue",
        "stacks": recipe.planes.value if recipe.planes else "none",
    }


def _mean(shares: Sequence[float]) -> float:
    return round(sum(shares) / len(shares), 6) if shares else 0.0


def _of_distinct(labels: Labels, twins: Mapping[str, str]) -> Labels:
    """Labels by the ids that stand for files of the same bytes. Raises InputError `contradicting_labels`."""
    found, problems = Labels(), []
    for name, label in labels.items():
        twin = twins.get(name, name)
        if found.setdefault(twin, label) != label:
            message = f"{name!r} is {label!r}, but {twin!r}, with the same bytes, is {found[twin]!r}. Keep one of them."
            problems.append(Problem(code="contradicting_labels", message=message, field="labels"))
    if problems:
        raise InputError(problems)
    return found


def _choose_and_write(
    args: argparse.Namespace, recipe: Recipe, material: Material, labels: Labels, given: Labels, folder: Folder | None
) -> None:
    from evaluator.active_learning.suggesting.suggest import suggest

    suggestion = suggest(
        material.features, material.ids, labels, count=args.count, strategy=args.strategy, head=args.head,
        seed=args.seed,
    )  # fmt: skip
    shown = set(folder.ids) if folder else set()
    thumbnails = {
        pick.id: thumbnail(_read_again(args.images, pick.id, recipe)) for pick in suggestion.picks if pick.id in shown
    }
    record = {"schema": 1, "suggestion": suggestion.as_dict(), "recipe": recipe.as_dict(), **material.record}
    contents = {
        "next.csv": next_csv(suggestion), "sheet.html": sheet(suggestion, thumbnails, _facts(args, recipe, material)),
        "labels.csv": labels_csv(suggestion, given),
        "run.json": json.dumps(record, indent=2, ensure_ascii=False) + "\n",
    }  # fmt: skip
    for name, content in contents.items():
        _write(args.out / name, content)
    print(how_chosen(suggestion))
    _show_first(suggestion)
    print(f"written to {args.out}: next.csv, sheet.html, labels.csv (fill it in and give it as --labels), run.json")


def _read_again(folder: Path, name: str, recipe: Recipe) -> Any:
    try:
        return read_developed(folder, name, recipe).image
    except InputError as error:
        raise InputError(
            [Problem(code=each.code, message=each.message, field=name) for each in error.problems]
        ) from error


def _facts(args: argparse.Namespace, recipe: Recipe, material: Material) -> dict[str, str]:
    """What the sheet says of how it was made."""
    found = {"strategy": f"{args.strategy.display_name}, {args.head} head", "seed": str(args.seed)}
    if args.embeddings:
        return {"embeddings": args.embeddings.name, **found}
    weights = material.record["weights"]
    return {
        "encoder": f"{material.record['architecture']['name']}, weights {weights['sha256'][:16]}…",
        **_pixel_facts(recipe), **found,
    }  # fmt: skip


def _write(path: Path, content: str) -> None:
    partial = path.with_name(f"{path.name}.part")
    with writing(path):
        partial.write_text(content, encoding="utf-8")
        partial.replace(path)


def _show_first(suggestion: Suggestion, most: int = 10) -> None:
    for order, pick in enumerate(suggestion.picks[:most], 1):
        print(f"{order:>4}  {pick.id}")
    if len(suggestion.picks) > most:
        print(f"      … {len(suggestion.picks) - most:,} more")
