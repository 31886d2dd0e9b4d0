"""`label-efficiency`: how few labels an encoder needs on every fine dataset of a release, on this machine."""

import argparse
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.active_learning.studies.soundness import curve_task
from evaluator.active_learning.tasks import CurveResult, CurveTask
from evaluator.analyses.forgetting import analysis_head
from evaluator.analyses.labels.efficiency import Efficiency, Evaluated, Facts, efficiency, not_measured
from evaluator.analyses.labels.efficiency_board import mean_area
from evaluator.analyses.labels.fine import (
    FineDataset,
    Side,
    Vectors,
    fine_datasets,
    halves,
    vectors_of,
    whole,
    zero_shot_marks,
)
from evaluator.analyses.splits import load_split, marks_of
from evaluator.answering.embeddings import read_embeddings
from evaluator.answering.progress import Progress
from evaluator.answers import read_answers
from evaluator.architectures.registry import find_architecture
from evaluator.cli.answer import add_how, settings_of
from evaluator.cli.files import require_file, write_document
from evaluator.cli.progress import ProgressLine
from evaluator.cli.score import KEY_REVISION
from evaluator.cli.validate import add_architecture, add_base
from evaluator.errors import InputError
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.scoring.report import rounded
from evaluator.statistics.bootstrap import percentile_interval
from evaluator.weights.checkpoint import open_checkpoint

EXAMPLE = """\
example:
  python -m evaluator label-efficiency --release ubench-1.0 --split dev --weights model.safetensors \\
      --architecture ViT-B-32 --out efficiency.json
  python -m evaluator label-efficiency --release ubench-1.0 --split dev --embeddings runs/model/embeddings.npz \\
      --answers runs/model/answers.parquet --out efficiency.json

On dev, half of its sources may be labelled and heads are scored on the other half. On another split, whose key you must
have, all of dev may be labelled.
"""
SEEDS = 20


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "label-efficiency", help="measure how few labels an encoder needs on each dataset", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--release", required=True, type=Path, help="a release folder or an unpacked question pack")
    parser.add_argument("--split", required=True, type=Split, choices=list(Split), help="where heads are scored")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--weights", type=Path, metavar="FILE.safetensors|FILE.index.json")
    given.add_argument("--embeddings", type=Path, nargs="+", metavar="embeddings.npz",
                       help="in place of weights: what `answer` wrote, of every split that is used")  # fmt: skip
    parser.add_argument("--answers", type=Path, metavar="answers.parquet",
                        help="beside --embeddings: answers to the split, for the zero-shot score")  # fmt: skip
    add_base(parser)
    add_architecture(parser, required=False)
    parser.add_argument("--key", type=Path, metavar="DIR", help="the folder of the keys (default: RELEASE/keys)")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"label orders (default {SEEDS})")
    add_how(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="efficiency.json")
    parser.set_defaults(run=run)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sides:
    """What may be labelled, and what heads are scored on; in one split when it is dev."""

    pool: Side
    evaluated: Side
    head: dict[str, Any]

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(dict.fromkeys(side.split.index.split for side in (self.pool, self.evaluated)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Encoded:
    """answers: to the evaluated split, None where there are none."""

    vectors: Vectors
    answers: pa.Table | None


def run(args: argparse.Namespace) -> None:
    _require_sense(args)
    sides = _sides(args)
    with ProgressLine() as line:
        encoded = _encode(args, sides, line) if args.weights else _read(args)
        found = _measure(args, sides, encoded, line)
    document = _document(sides, found)
    write_document(document, args.out)
    _print_summary(document)
    print(f"written to {args.out}")


def _require_sense(args: argparse.Namespace) -> None:
    """What can be wrong before anything is read."""
    for path in (args.weights, args.base, args.answers, *(args.embeddings or ())):
        if path is not None:
            require_file(path)
    if args.weights and not args.architecture:
        raise InputError.single("no_architecture", "Name the architecture of the weights.", field="architecture")
    if args.seeds < 2:
        raise InputError.single("bad_seeds", "Two label orders at least: intervals are over them.", field="seeds")


def _sides(args: argparse.Namespace) -> _Sides:
    split = load_split(args.release, args.split, args.key)
    head = analysis_head(split.info, args.split, key_revision=KEY_REVISION)
    if args.split is Split.DEV:
        pool, evaluated = halves(split)
        return _Sides(pool=pool, evaluated=evaluated, head=head | {"pool": "dev, one half", "split": "dev, other half"})
    dev = load_split(args.release, Split.DEV, args.key)
    return _Sides(pool=whole(dev), evaluated=whole(split), head=head)


def _read(args: argparse.Namespace) -> _Encoded:
    vectors: Vectors = {}
    for path in args.embeddings:
        try:
            vectors |= vectors_of(read_embeddings(path))
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            message = f"{path} holds no embeddings as `answer` writes them ({error})."
            raise InputError.single("embeddings_unreadable", message) from error
    return _Encoded(vectors=vectors, answers=read_answers(args.answers) if args.answers else None)


def _encode(args: argparse.Namespace, sides: _Sides, line: ProgressLine) -> _Encoded:
    """Embed every split that is used; the answers to the evaluated one come with it."""
    architecture = find_architecture(args.architecture)
    settings = settings_of(args, architecture.family)
    vectors: Vectors = {}
    answers = None
    with open_checkpoint(args.weights, args.base) as weights:
        from evaluator.answering.run import answer_release

        def show(progress: Progress) -> None:
            line.show(progress.stage.value, progress.done, progress.total)

        for split in sides.splits:
            done = answer_release(
                args.release, split, weights, architecture, settings, cache=PixelCache(folder=args.pixel_cache),
                on_progress=show,
            )  # fmt: skip
            if done.embeddings is None:
                message = f"A {architecture.family} model gives no image embeddings, so no head can be trained."
                raise InputError.single("no_embeddings", message)
            vectors |= vectors_of(done.embeddings)
            answers = done.answers
    return _Encoded(vectors=vectors, answers=answers)


def _measure(args: argparse.Namespace, sides: _Sides, encoded: _Encoded, line: ProgressLine) -> list[Efficiency]:
    from evaluator.active_learning.studies.study import perform
    from evaluator.encoders.device import prepare_device

    device, draws = prepare_device(args.device), sides.evaluated.draws()
    marks = None if encoded.answers is None else marks_of(sides.evaluated.split, encoded.answers)
    found = []
    for dataset in fine_datasets(sides.pool, sides.evaluated):
        facts = Facts(
            dataset=dataset.name, n_classes=dataset.n_classes, pool_items=len(dataset.labels),
            pool_sources=dataset.pool.n_sources, seeds=args.seeds,
        )  # fmt: skip
        evaluated = Evaluated(
            right=dataset.right, source=dataset.evaluated.sources, draws=draws,
            zero_shot=None if marks is None else zero_shot_marks(sides.evaluated, dataset, marks),
        )  # fmt: skip
        task = _task(args, sides, dataset, encoded.vectors)
        if isinstance(task, str):
            found.append(not_measured(facts, evaluated, task, head=sides.head))
            continue

        def show(share: float, name: str = dataset.name) -> None:
            line.show(f"heads, {name}, %", int(100 * share), 100)

        result = perform(task, show, device=device)
        assert isinstance(result, CurveResult)
        found.append(efficiency(facts, task, result, evaluated, head=sides.head))
    if not found:
        raise InputError.single("no_fine_dataset", "No dataset has fine questions on both sides. Name another split.")
    return found


def _task(args: argparse.Namespace, sides: _Sides, dataset: FineDataset, vectors: Vectors) -> CurveTask | str:
    """What is measured on a dataset, or why nothing is. Raises InputError `no_embedding`."""
    data = dataset.data(vectors)
    salt = f"{sides.pool.split.info.hash}:{dataset.name}"
    try:
        return curve_task(data, dataset.pool.ids, seeds=range(args.seeds), salt=salt)
    except InputError as error:
        return error.problems[0].message


def _document(sides: _Sides, found: list[Efficiency]) -> dict[str, Any]:
    """All datasets, and the means over those that are ranked."""
    ranked = [each for each in found if each.document["ranked"] and each.replicates is not None]
    return rounded({
        **{key: found[0].document[key] for key in ("schema", "analysis", "version", "pool")}, **sides.head,
        "mean": {
            "aulc": _mean([(each.document["aulc"]["log2"]["estimate"], each.replicates) for each in ranked]),
            "gain": _mean([(each.document["gain"]["log2"]["estimate"], each.gain_replicates) for each in ranked]),
            "n_datasets": len(ranked),
        },
        "datasets": [each.document for each in found],
    })  # fmt: skip


def _mean(areas: list[tuple[float, NDArray[np.float64] | None]]) -> dict[str, float | None]:
    known = [(estimate, drawn) for estimate, drawn in areas if drawn is not None]
    if not known:
        return {"estimate": None, "low": None, "high": None}
    estimate, drawn = mean_area(known)
    low, high = percentile_interval(drawn)
    return {"estimate": estimate, "low": low, "high": high}


def _print_summary(document: dict[str, Any]) -> None:
    print(f"{'dataset':<34} {'classes':>7} {'labels':>11} {'zero-shot':>9}  balanced accuracy, first to last budget")
    for each in document["datasets"]:
        budgets = each["budgets"]
        if not budgets:
            print(f"{each['dataset']:<34} {each['n_classes']:>7}  not measured: {each['reason']}")
            continue
        span = f"{budgets[0]['labels']} – {budgets[-1]['labels']}"
        zero_shot = f"{each['zero_shot']['balanced_accuracy']['estimate']:.1%}" if each["zero_shot"] else "–"
        curve = "  ".join(f"{budget['same']['balanced_accuracy']['estimate']:.1%}" for budget in budgets)
        area, gain = each["aulc"]["log2"], each["gain"]["log2"]
        print(f"{each['dataset']:<34} {each['n_classes']:>7} {span:>11} {zero_shot:>9}  {curve}")
        says = (f"area {area['estimate']:.3f} ({area['low']:.3f} – {area['high']:.3f}), gain of own choice "
                f"{gain['estimate']:+.3f} ({gain['low']:+.3f} – {gain['high']:+.3f})")  # fmt: skip
        print(f"{'':<34} {says}" + ("" if each["ranked"] else f"; not ranked: {each['reason']}"))
    mean = document["mean"]
    if mean["n_datasets"]:
        area, gain = mean["aulc"], mean["gain"]
        print(f"mean area over {mean['n_datasets']} ranked datasets: {area['estimate']:.3f} "
              f"({area['low']:.3f} – {area['high']:.3f}), gain of own choice {gain['estimate']:+.3f}")  # fmt: skip
