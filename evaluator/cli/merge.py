"""`merge`: several checkpoints of one architecture become one, their weighted mean. Needs no release."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from evaluator.architectures.registry import find_architecture
from evaluator.cli.files import require_file, writing
from evaluator.cli.validate import add_architecture
from evaluator.errors import InputError, Problem
from evaluator.weights.adapter import is_adapter
from evaluator.weights.checkpoint import open_checkpoint
from evaluator.weights.mixture import check_mixture

EXAMPLE = """\
example:
  python -m evaluator merge --part clip.safetensors=0.6 --part pathology.safetensors=0.4 \\
      --architecture ViT-B-32 --out merged.safetensors
  python -m evaluator merge --part one.safetensors --part two.safetensors --part three.safetensors \\
      --architecture ViT-B-32 --out soup.safetensors

The first is α = 0.4 between base and tuned, the second a uniform soup. The file is in float32.
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "merge", help="mix checkpoints of one architecture into one", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--part", required=True, action="append", metavar="FILE[=WEIGHT]",
        help="a checkpoint, or an adapter on the first one, and its share; repeatable. The shares sum to 1; without "
        "any, all have the same",
    )  # fmt: skip
    add_architecture(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.safetensors", help="must not exist yet")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    paths, weights = parse_parts(args.part)
    for path in paths:
        require_file(path)
    if args.out.exists():
        raise InputError.single("file_exists", f"{args.out} exists already. Choose another name or remove it.")
    if not args.out.absolute().parent.is_dir():
        raise InputError.single("no_such_folder", f"The folder of {args.out} does not exist. Make it first.")
    architecture = find_architecture(args.architecture)
    partial = args.out.with_name(args.out.name + ".part")
    with ExitStack() as stack:
        checkpoints = [
            stack.enter_context(open_checkpoint(path, paths[0] if is_adapter([path.name]) else None)) for path in paths
        ]
        from evaluator.weights.merging import write_merged

        stack.callback(partial.unlink, missing_ok=True)
        with writing(args.out):
            with partial.open("wb") as file:
                facts = write_merged(file, checkpoints, weights, architecture)
            partial.replace(args.out)
    print(f"{facts['interpolated_tensors']:,} tensors mixed, {facts['equal_tensors']:,} equal in all")
    if facts["copied_from_tuned"]:
        print(f"note: whole numbers cannot be mixed, taken from the last: {', '.join(facts['copied_from_tuned'])}")
    for use in {use["tolerance"]: use["what"] for each in facts["tolerated"] for use in each}.values():
        print(f"tolerated: {use}")
    print(f"written to {args.out}, {facts['bytes']:,} bytes")


def parse_parts(parts: list[str]) -> tuple[list[Path], list[float]]:
    """Paths and weights of FILE=WEIGHT, or of FILE alone for all. InputError `merge_weights`, with every bad part."""
    split = [part.rpartition("=") for part in parts]
    if not any(equals for _, equals, _ in split):
        weights = [1 / len(parts)] * len(parts)
        check_mixture(weights)
        return [Path(part) for part in parts], weights
    problems, weights = [], []
    for part, (file, _, weight) in zip(parts, split, strict=True):
        try:
            weights.append(float(weight if file else ""))
        except ValueError:
            message = f"{part!r} is not of the form FILE=WEIGHT. Give every checkpoint a weight, or none."
            problems.append(Problem(code="merge_weights", message=message, field="parts"))
    if problems:
        raise InputError(problems)
    check_mixture(weights)
    return [Path(file) for file, _, _ in split], weights
