"""`import-ubench`: a Hub folder becomes a release folder."""

import argparse
from pathlib import Path

from evaluator.cli.progress import ProgressLine
from evaluator.errors import InputError
from evaluator.release.importer import GIVEN, Splits, import_hub
from evaluator.release.schema import Split

EXAMPLE = """\
example:
  python -m evaluator import-ubench uBench --out ubench-1.0 --splits dev=0.3,test=0.4,sealed=0.3 \\
      --source 'bccd_cells=^(.+)_[^_]+$' --public-items
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "import-ubench", help="turn a benchmark in the Hub's layout into a release folder", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("hub_dir", metavar="HUB_DIR", type=Path, help="folder with *.arrow or *.parquet, at any depth")
    parser.add_argument("--out", required=True, type=Path, metavar="RELEASE", help="folder to make; must not exist yet")
    parser.add_argument(
        "--splits", default="dev=0.3,test=0.4,sealed=0.3", metavar="SPLIT=FRACTION,…",
        help="shares of the images, or `given` to take the rows' own split column (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--source", action="append", default=[], metavar="DATASET=REGEX",
        help="first group of REGEX on image_id = the specimen it was cut from; repeatable (default: image_id itself)",
    )  # fmt: skip
    parser.add_argument("--exclude", action="append", default=[], metavar="DATASET", help="leave out; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="of the splits (default: %(default)s)")
    parser.add_argument("--name", help="name of the release (default: the name of HUB_DIR)")
    parser.add_argument("--version", default="1.0", help="version of the release (default: %(default)s)")
    parser.add_argument("--public-items", action="store_true", help="the items were public before, as µ-Bench's are")
    parser.add_argument(
        "--share-votes", action="store_true", help="datasets of one study share one vote in macro means"
    )
    parser.add_argument(
        "--id-secret",
        type=Path,
        metavar="FILE",
        help="id_secret of an earlier import, to give items the same opaque ids",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    with ProgressLine() as progress:
        info = import_hub(
            args.hub_dir, args.out, splits=parse_splits(args.splits), sources=parse_sources(args.source),
            exclude=args.exclude, seed=args.seed, name=args.name or args.hub_dir.resolve().name, version=args.version,
            public_items=args.public_items, share_votes=args.share_votes, id_secret=_read_secret(args.id_secret),
            on_progress=progress.show,
        )  # fmt: skip
    print(f"{info.name} {info.version}, hash {info.hash}")
    for split, sizes in info.splits.items():
        print(f"  {split:7} {sizes.items:6} images  {sizes.questions:7} question rows  {sizes.sources:6} sources")
    for note in info.notes:
        print(f"note: {note}")
    print(f"written to {args.out}; the keys lie in {args.out / 'keys'}, keep them private")


def parse_splits(text: str) -> Splits:
    """`dev=0.3,test=0.7` as fractions; `given` as itself. Raises InputError."""
    if text == GIVEN:
        return GIVEN
    fractions = {}
    for part in text.split(","):
        name, _, fraction = part.partition("=")
        try:
            fractions[Split(name.strip())] = float(fraction)
        except ValueError:
            raise InputError.single(
                "bad_splits", f"--splits {part!r}: write dev=0.3,test=0.4,sealed=0.3 (any of them) or given."
            ) from None
    return fractions


def parse_sources(texts: list[str]) -> dict[str, str]:
    """`DATASET=REGEX` rules as a mapping. Raises InputError."""
    rules = {}
    for text in texts:
        dataset, equals, rule = text.partition("=")
        if not (dataset and equals and rule):
            raise InputError.single("bad_source_rule", f"--source {text!r}: write DATASET=REGEX.")
        rules[dataset] = rule
    return rules


def _read_secret(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise InputError.single(
            "bad_id_secret", f"--id-secret {path}: {error}. Name the id_secret of a key folder."
        ) from None
