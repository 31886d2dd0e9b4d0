"""`sweep`: base, tuned and what lies between them answer splits, in this process. Needs no key."""

import argparse
from contextlib import ExitStack
from decimal import Decimal, InvalidOperation
from pathlib import Path

from evaluator.answering.progress import Progress
from evaluator.answering.sweeps.sweep_answers import MAX_ALPHAS, check_alphas, write_sweep_run
from evaluator.architectures.registry import find_architecture
from evaluator.cli.answer import add_how, settings_of
from evaluator.cli.files import require_file, writing
from evaluator.cli.progress import ProgressLine
from evaluator.cli.validate import add_architecture
from evaluator.errors import InputError
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.weights.adapter import is_adapter
from evaluator.weights.checkpoint import open_checkpoint

EXAMPLE = """\
example:
  python -m evaluator sweep --release ubench-1.0 --split dev --split test --base clip.safetensors \\
      --tuned pathology.safetensors --architecture ViT-B-32 --alphas 0:1:0.05 --out runs/sweep

α = 0 is the base and 1 the tuned model. `interpolate` does this, and scores the answers.
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "sweep", help="let every mixture of two checkpoints answer splits", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--release", required=True, type=Path, help="a release folder or an unpacked question pack")
    parser.add_argument("--split", required=True, action="append", type=Split, choices=list(Split), help="repeatable")
    add_pair(parser)
    add_how(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="gets sweep.parquet and run.json")
    parser.set_defaults(run=run)


def add_pair(parser: argparse.ArgumentParser) -> None:
    """The options that name two checkpoints and what lies between them, the same in every command that takes them."""
    parser.add_argument("--base", required=True, type=Path, metavar="FILE.safetensors|FILE.index.json",
                        help="the checkpoint that was tuned")  # fmt: skip
    parser.add_argument("--tuned", required=True, type=Path, metavar="FILE.safetensors|FILE.index.json",
                        help="the tuned checkpoint, or an adapter trained on the base")  # fmt: skip
    add_architecture(parser)
    parser.add_argument("--alphas", default="0:1:0.05", metavar="START:STOP:STEP|A,B,…",
                        help="shares of the tuned checkpoint, 0 and 1 among them (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    alphas, splits = parse_alphas(args.alphas), list(dict.fromkeys(args.split))
    architecture = find_architecture(args.architecture)
    settings = settings_of(args, architecture.family)
    for path in (args.base, args.tuned):
        require_file(path)
    with ExitStack() as stack:
        base = stack.enter_context(open_checkpoint(args.base))
        tuned = stack.enter_context(open_checkpoint(args.tuned, base_of(args)))
        line = stack.enter_context(ProgressLine())
        from evaluator.answering.sweeps.sweep import sweep_release

        def show(progress: Progress) -> None:
            line.show(progress.stage.value, progress.done, progress.total)

        done = sweep_release(
            args.release, splits, base, tuned, architecture, alphas, settings,
            cache=PixelCache(folder=args.pixel_cache), on_progress=show,
        )  # fmt: skip
    with writing(args.out):
        write_sweep_run(done.answers, done.record, args.out)
    show_sweep(done.record)
    print(f"written to {args.out}")


def base_of(args: argparse.Namespace) -> Path | None:
    """What the tuned checkpoint stands on, where it is an adapter: the base."""
    return args.base if is_adapter([args.tuned.name]) else None


def parse_alphas(text: str) -> tuple[float, ...]:
    """START:STOP:STEP, or a list with commas. InputError `bad_alphas`, also as `check_alphas`."""
    try:
        if ":" not in text:
            return check_alphas(float(Decimal(part.strip())) for part in text.split(","))
        start, stop, step = (Decimal(part.strip()) for part in text.split(":"))
        count = int((stop - start) / step) + 1 if step > 0 else 0
    except (ValueError, ArithmeticError, InvalidOperation):
        count = -1
    if not 0 < count <= MAX_ALPHAS:
        message = (f"{text!r} does not say which alphas to answer. Write START:STOP:STEP with a step above 0 and at "
                   f"most {MAX_ALPHAS} steps, such as 0:1:0.05, or a list such as 0,0.5,1.")  # fmt: skip
        raise InputError.single("bad_alphas", message, field="alphas")
    return check_alphas(float(start + number * step) for number in range(count))


def show_sweep(record: dict) -> None:
    """Print what is worth knowing of a sweep."""
    counts, merge = record["counts"], record["merge"]
    print(f"{counts['rows']:,} questions on {counts['images']:,} images answered at {counts['alphas']} alphas in "
          f"{record['seconds']['total']:.1f} s")  # fmt: skip
    print(f"{merge['interpolated_tensors']:,} tensors interpolated, {merge['equal_tensors']:,} equal")
    if merge["copied_from_tuned"]:
        print(
            f"note: whole numbers cannot be mixed, taken from the tuned model: {', '.join(merge['copied_from_tuned'])}"
        )
    for tower in merge["unchanged_towers"]:
        print(f"note: base and tuned have the same {tower} tower")
    for side in ("base", "tuned"):
        for use in record[side]["tolerated"]:
            print(f"tolerated of the {side}: {use['what']}")
    for broken in record["broken"]:
        print(f"note: no answers at alpha {broken['alpha']:g}: {broken['message']}")
