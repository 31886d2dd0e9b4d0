"""`validate`: would this checkpoint be accepted?"""

import argparse
from pathlib import Path
from typing import Any

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.registry import find_architecture
from evaluator.cli.files import require_file
from evaluator.weights.checkpoint import open_checkpoint

EXAMPLE = """\
example:
  python -m evaluator validate model.safetensors --architecture ViT-B-32
  python -m evaluator validate lora/adapter_model.safetensors --base model.safetensors --architecture ViT-B-32
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "validate", help="check a checkpoint as the server would", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("weights", metavar="FILE.safetensors|FILE.index.json", type=Path)
    add_base(parser)
    add_architecture(parser)
    parser.set_defaults(run=run)


def add_architecture(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The --architecture option, the same in every command."""
    parser.add_argument(
        "--architecture", required=required, metavar="NAME|FILE.json",
        help="a name from `architectures`, or a file with an open_clip model config (local use only)",
    )  # fmt: skip


def add_base(parser: argparse.ArgumentParser) -> None:
    """The --base option, the same in every command that takes weights."""
    parser.add_argument(
        "--base", type=Path, metavar="FILE.safetensors|FILE.index.json",
        help="for a LoRA adapter (adapter_model.safetensors, its adapter_config.json beside it): the weights that it "
        "was trained on",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    architecture = find_architecture(args.architecture)
    show_facts(check_locally(args.weights, architecture, args.base), architecture)


def check_locally(weights: Path, architecture: Architecture, base: Path | None = None) -> dict[str, Any]:
    """`check_weights` in this process, the headers first so that wrong files are refused before torch is imported."""
    for path in (weights, base):
        if path is not None:
            require_file(path)
    with open_checkpoint(weights, base) as checkpoint:
        from evaluator.weights.check import check_weights

        return check_weights(checkpoint, architecture)


def show_facts(facts: dict[str, Any], architecture: Architecture) -> None:
    """Print what is known of a checkpoint that passed."""
    dtypes = ", ".join(f"{count} {dtype}" for dtype, count in facts["dtypes"].items())
    print(f"valid: {facts['tensors']} tensors ({dtypes}), {facts['parameters']:,} parameters, "
          f"{facts['file_bytes']:,} bytes")  # fmt: skip
    print(f"sha256: {facts['sha256']}")
    if adapter := facts.get("adapter"):
        print(f"base: {facts['base']['name']}, sha256 {facts['base']['sha256']}")
        scaling = ", ".join(f"{each:g}" for each in adapter["scaling"])
        print(f"adapter: {adapter['adapted_tensors']} tensors changed ({', '.join(adapter['targets'])}), "
              f"scaling {scaling}")  # fmt: skip
    print(f"architecture: {facts['architecture']}, activation {facts['activation']}")
    if architecture.twin:
        print(f"note: {architecture.twin} has the same tensors and another activation; no check can tell them apart")
    print(f"preprocessing: {architecture.image_px} px, {facts['preprocessing']}")
    for use in facts["tolerated"]:
        print(f"tolerated: {use['what']}")
