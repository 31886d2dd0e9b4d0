"""`architectures`: what a checkpoint may name."""

import argparse
import json
import sys
from pathlib import Path

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.folders import ENVIRONMENT, read_folder
from evaluator.architectures.registry import list_with_broken
from evaluator.errors import InputError

EXAMPLE = f"""\
example:
  python -m evaluator architectures --match ViT-B

Folders inside the folder that {ENVIRONMENT} names are architectures too; --folder shows what one would become.
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "architectures", help="list the architectures a checkpoint may name", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--match", default="", metavar="TEXT", help="only names that contain TEXT")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="only what this folder would become, or why not")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    broken: dict[str, InputError] = {}
    if args.folder:
        shown = [read_folder(args.folder.resolve())]
    else:
        every, broken = list_with_broken()
        shown = [found for found in every if args.match.lower() in found.name.lower()]
    if args.json:
        print(json.dumps([as_json(architecture) for architecture in shown], indent=2))
    else:
        _print_table(shown)
    for name, error in broken.items():
        for problem in error.problems:
            print(f"{name} is left out: {problem.message}", file=sys.stderr)


def _print_table(shown: list[Architecture]) -> None:
    wide = max([34, *(len(found.name) for found in shown)])
    print(f"{'name':{wide}} {'family':11} {'library':12} {'parameters':>11} {'image':>6} {'context':>7}  "
          "activation and preprocessing")  # fmt: skip
    for found in shown:
        print(f"{found.name:{wide}} {found.family:11} {found.library:12} {(found.parameters or 0) / 1e6:9,.1f} M "
              f"{found.image_px:4}px {found.context_length:7}  {found.activation}; {found.preprocessing}")  # fmt: skip
        if found.twin:
            print(f"{'':{wide}} same tensors as {found.twin}, other activation: name the one it was trained with")
        if found.notes:
            print(f"{'':{wide}} {found.notes}")


def as_json(architecture: Architecture) -> dict[str, object]:
    """What is shown of an architecture, for scripts."""
    return {
        "name": architecture.name, "family": architecture.family.value, "library": architecture.library.value,
        "parameters": architecture.parameters, "image_px": architecture.image_px,
        "context_length": architecture.context_length, "activation": architecture.activation,
        "preprocessing": str(architecture.preprocessing), "twin": architecture.twin, "notes": architecture.notes,
    }  # fmt: skip
