"""`architectures`: what a checkpoint may name."""

import argparse
import json

from evaluator.encoders.architecture import Architecture
from evaluator.encoders.registry import list_architectures

EXAMPLE = """\
example:
  python -m evaluator architectures --match ViT-B
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "architectures", help="list the architectures a checkpoint may name", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--match", default="", metavar="TEXT", help="only names that contain TEXT")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    shown = [found for found in list_architectures() if args.match.lower() in found.name.lower()]
    if args.json:
        print(json.dumps([as_json(architecture) for architecture in shown], indent=2))
        return
    print(f"{'name':34} {'family':11} {'parameters':>11} {'image':>6} {'context':>7}  activation and preprocessing")
    for found in shown:
        print(f"{found.name:34} {found.family:11} {(found.parameters or 0) / 1e6:9,.1f} M {found.image_px:4}px "
              f"{found.context_length:7}  {found.activation}; {found.preprocessing}")  # fmt: skip
        if found.twin:
            print(f"{'':34} same tensors as {found.twin}, other activation: name the one the model was trained with")


def as_json(architecture: Architecture) -> dict[str, object]:
    """What is shown of an architecture, for scripts."""
    return {
        "name": architecture.name, "family": architecture.family.value, "parameters": architecture.parameters,
        "image_px": architecture.image_px, "context_length": architecture.context_length,
        "activation": architecture.activation, "preprocessing": str(architecture.preprocessing),
        "twin": architecture.twin,
    }  # fmt: skip
