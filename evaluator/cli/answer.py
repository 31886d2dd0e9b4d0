"""`answer`: a checkpoint answers a split, in this process. Needs no key."""

import argparse
from pathlib import Path

from evaluator.answering.progress import Progress
from evaluator.answering.questions import default_protocol
from evaluator.answering.settings import RunSettings
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import find_architecture
from evaluator.cli.files import require_file
from evaluator.cli.progress import ProgressLine
from evaluator.cli.validate import add_architecture, add_base
from evaluator.encoders.choices import Device, Precision
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint

EXAMPLE = """\
example:
  python -m evaluator answer --release ubench-1.0 --split test --weights model.safetensors \\
      --architecture ViT-B-32 --out runs/model
  python -m evaluator answer --release ubench-1.0 --split test --weights lora/adapter_model.safetensors \\
      --base model.safetensors --architecture ViT-B-32 --out runs/lora
"""

NOTES = {
    "truncated_texts": "texts exceed the model's context: cut off, or as a prompt not asked",
    "unparsed_replies": "replies name no option, or more than one, and count as wrong",
    "unfinished_replies": "replies were cut off at the longest length",
}


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "answer", help="let a checkpoint answer the questions of a split", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--release", required=True, type=Path, help="a release folder or an unpacked question pack")
    parser.add_argument("--split", required=True, type=Split, choices=list(Split))
    parser.add_argument("--weights", required=True, type=Path, metavar="FILE.safetensors|FILE.index.json",
                        help="a safetensors file, the index of shards in the same folder, or an adapter")  # fmt: skip
    add_base(parser)
    add_architecture(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="gets answers.parquet, run.json …")
    add_how(parser)
    parser.add_argument("--no-image", action="store_true",
                        help="show a grey image in place of each, to learn what the questions tell alone")  # fmt: skip
    parser.set_defaults(run=run)


def add_how(parser: argparse.ArgumentParser) -> None:
    """The options that say how questions are answered, the same in every command that answers any."""
    parser.add_argument("--device", type=Device, choices=list(Device), default=Device.AUTO)
    parser.add_argument("--precision", type=Precision, choices=list(Precision), default=Precision.FP32)
    parser.add_argument(
        "--protocol", type=Protocol, choices=[protocol for protocol in Protocol if protocol != Protocol.SELF_REPORTED],
        help="default: captions for contrastive models, questions for generative ones, boxes for detectors",
    )  # fmt: skip
    parser.add_argument("--pixel-cache", type=Path, metavar="DIR",
                        help="keep decoded images here, for the next model on the same split")  # fmt: skip


def settings_of(args: argparse.Namespace, family: Family) -> RunSettings:
    """What those options say."""
    return RunSettings(protocol=args.protocol or default_protocol(family), device=args.device, precision=args.precision)


def run(args: argparse.Namespace) -> None:
    architecture = find_architecture(args.architecture)
    for path in (args.weights, args.base):
        if path is not None:
            require_file(path)
    settings = settings_of(args, architecture.family)
    # Wrong files are refused before torch comes.
    with open_checkpoint(args.weights, args.base) as weights, ProgressLine() as line:
        from evaluator.answering.run import answer_release, write_run

        def show(progress: Progress) -> None:
            line.show(progress.stage.value, progress.done, progress.total)

        done = answer_release(
            args.release, args.split, weights, architecture, settings, cache=PixelCache(folder=args.pixel_cache),
            on_progress=show, blank_images=args.no_image,
        )  # fmt: skip
        write_run(done, args.out)
    counts, seconds = done.record["counts"], done.record["seconds"]
    print(f"{counts['rows']:,} questions on {counts['images']:,} images answered in {seconds['total']:.1f} s")
    print(f"{done.record['images_per_s']:,.0f} images/s on {done.record['device']['name']}")
    if args.no_image:
        print("note: no image was shown; these answers are the no-image baseline of this model")
    for use in done.record["weights"]["tolerated"]:
        print(f"tolerated: {use['what']}")
    for count, what in NOTES.items():
        if counts.get(count):
            print(f"note: {counts[count]:,} {what}")
    print(f"written to {args.out}")
