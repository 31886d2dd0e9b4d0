"""`interpolate`: what mixing a fine-tune with its base would give. Weights and key never meet in one process.

A child answers at every α (sandboxed where the architecture is registered) and is given no key; this process reads the
key and no weights.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from evaluator.analyses.forgetting import analysis_head
from evaluator.analyses.interpolation import score_sweep
from evaluator.analyses.splits import SplitKey, load_split
from evaluator.analyses.target import Target, parse_target, target_rows
from evaluator.answering.sweeps.sweep_answers import read_sweep, write_sweep_run
from evaluator.architectures.registry import find_architecture
from evaluator.cli.answer import add_how
from evaluator.cli.files import require_file, write_document
from evaluator.cli.progress import ProgressLine
from evaluator.cli.score import KEY_REVISION
from evaluator.cli.sweep import add_pair, base_of, parse_alphas, show_sweep
from evaluator.errors import EvaluationFailed, InputError
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.sandbox import SweepJob, sweep_in_child

EXAMPLE = """\
example:
  python -m evaluator interpolate --release ubench-1.0 --split test --select-on dev --base clip.safetensors \\
      --tuned pathology.safetensors --architecture ViT-B-32 --target domain=pathology --out interpolation.json

α = 0 is the base and 1 the tuned model. The α that --select-on chooses is reported on --split.
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "interpolate", help="score every mixture of a fine-tune with its base", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--release", required=True, type=Path, help="a release folder or an unpacked question pack")
    parser.add_argument("--split", required=True, type=Split, choices=list(Split), help="where every α is reported")
    parser.add_argument("--select-on", type=Split, choices=list(Split), help="the split on which an α is chosen")
    add_pair(parser)
    parser.add_argument("--target", action="append", default=[], metavar="FACET=VALUE",
                        help="what it was tuned for; repeatable: values of a facet are alternatives")  # fmt: skip
    parser.add_argument("--key", type=Path, metavar="DIR", help="the folder of the keys (default: RELEASE/keys)")
    add_how(parser)
    parser.add_argument("--answers", type=Path, metavar="DIR", help="also keep sweep.parquet and run.json here")
    parser.add_argument("--out", required=True, type=Path, metavar="interpolation.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    alphas, target = parse_alphas(args.alphas), parse_target(args.target) or None
    if args.select_on == args.split:
        message = "An α that is chosen on the split it is reported on looks better than it is. Name another split."
        raise InputError.single("bad_splits", message, field="select-on")
    for path in (args.base, args.tuned):
        require_file(path)
    _read_keys(args, target)  # what is wrong with them is said before hours of answering
    find_architecture(args.architecture)
    is_local = args.architecture.endswith(".json")
    answers, record = _sweep_apart(args) if is_local else _sweep_in_sandbox(args, alphas)
    if args.answers:
        write_sweep_run(answers, record, args.answers)
    keys = _read_keys(args, target)
    found = score_sweep(
        keys, answers, record, target, reported=args.split, select_on=args.select_on,
        head=analysis_head(keys[args.split].info, args.split, key_revision=KEY_REVISION),
    )  # fmt: skip
    write_document(found, args.out)
    show_sweep(record)
    _show(found)
    print(f"written to {args.out}")


def _splits(args: argparse.Namespace) -> tuple[Split, ...]:
    return (args.select_on, args.split) if args.select_on else (args.split,)


def _read_keys(args: argparse.Namespace, target: Target | None) -> dict[Split, SplitKey]:
    found = {split: load_split(args.release, split, args.key) for split in _splits(args)}
    if target is not None:
        target_rows(found[args.split].index, target)  # raises for one that splits nothing
    return found


def _sweep_in_sandbox(args: argparse.Namespace, alphas: tuple[float, ...]) -> tuple[Any, dict[str, Any]]:
    job = SweepJob(
        release=args.release, splits=_splits(args), base=args.base, tuned=args.tuned, tuned_base=base_of(args),
        architecture=args.architecture, alphas=alphas, protocol=args.protocol, device=args.device,
        precision=args.precision, timeout_s=float("inf"), cache=PixelCache(folder=args.pixel_cache),
    )  # fmt: skip
    with ProgressLine() as line:
        found = sweep_in_child(job, lambda progress: line.show(progress["stage"], progress["done"], progress["total"]))
    return found.answers, found.run


def _sweep_apart(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """By an architecture that is no registered one, which no sandboxed child knows: the command `sweep`, in a process
    of its own."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"release": args.release, "base": args.base, "tuned": args.tuned, "architecture": args.architecture,
                   "alphas": args.alphas, "device": args.device, "precision": args.precision,
                   "protocol": args.protocol, "pixel-cache": args.pixel_cache, "out": folder}  # fmt: skip
        command = [sys.executable, "-m", "evaluator", "sweep", *(f"--split={split}" for split in _splits(args))]
        command += [f"--{name}={value}" for name, value in options.items() if value is not None]
        ended = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
        if ended in (1, 2):
            sys.exit(ended)  # it has said why
        if ended:
            raise EvaluationFailed("child_crashed", f"The answering process ended with code {ended}.", retry=True)
        record = json.loads(Path(folder, "run.json").read_text("utf-8"))
        return read_sweep(Path(folder, "sweep.parquet")), record


def _show(found: dict[str, Any]) -> None:
    for each in found["alphas"]:
        print(f"alpha {each['alpha']:<5g} {_percent(each['aggregates']['macro'])}")
    for name, chosen in (found["selected"] or {}).items():
        if isinstance(chosen, dict):
            print(f"{chosen['rule']}: alpha {chosen['alpha']:g}, {_percent(chosen['macro'])}")
        elif chosen:
            print(f"{name}: {chosen}")


def _percent(found: dict[str, Any]) -> str:
    return "–" if found["estimate"] is None else f"{found['estimate']:.1%}  {found['low']:.1%} – {found['high']:.1%}"
