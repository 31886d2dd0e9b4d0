"""`convert`: a .pt checkpoint becomes safetensors, on the machine of its author."""

import argparse
from pathlib import Path

from evaluator.architectures.registry import find_architecture
from evaluator.cli.files import require_file
from evaluator.cli.validate import add_architecture, check_locally, show_facts
from evaluator.errors import InputError
from evaluator.weights.header import read_header

EXAMPLE = """\
example:
  python -m evaluator convert epoch_32.pt --out model.safetensors --architecture ViT-B-32

Run it only on a checkpoint you trust, on your own machine: .pt files are pickles. The server accepts safetensors only.
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "convert", help="turn your own .pt checkpoint into safetensors and validate it", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("checkpoint", metavar="CKPT.pt", type=Path)
    parser.add_argument("--out", required=True, metavar="FILE.safetensors", type=Path, help="must not exist yet")
    add_architecture(parser, required=False)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    require_file(args.checkpoint)
    if args.out.exists():
        raise InputError.single("file_exists", f"{args.out} exists already. Choose another name or remove it.")
    if not args.out.absolute().parent.is_dir():
        raise InputError.single("no_such_folder", f"The folder of {args.out} does not exist. Make it first.")
    architecture = find_architecture(args.architecture) if args.architecture else None
    from evaluator.weights.convert import convert_checkpoint

    for note in convert_checkpoint(args.checkpoint, args.out):
        print(f"note: {note}")
    print(f"written to {args.out}")
    if architecture is not None:
        show_facts(check_locally(args.out, architecture), architecture)
    else:
        header = read_header(args.out)
        print(f"valid header: {len(header.tensors)} tensors; add --architecture NAME to check them against a model")
