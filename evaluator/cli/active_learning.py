"""`active-learning`: what a query strategy makes of a pool of embeddings whose labels are known."""

import argparse
from pathlib import Path
from typing import Any

from evaluator.active_learning.experiments.curves import curves_of
from evaluator.active_learning.experiments.pools import read_pool
from evaluator.active_learning.names import HeadKind, Start, Strategy, own_start
from evaluator.active_learning.tasks import StrategyTask
from evaluator.cli.files import require_file, write_document
from evaluator.cli.progress import ProgressLine
from evaluator.encoders.choices import Device
from evaluator.errors import InputError

EXAMPLE = """\
example:
  python -m evaluator active-learning --pool pool.npz --strategy dropquery --start own --rounds 8 --per-round 20 \\
      --seeds 1,10,100 --out curves.json

pool.npz holds train_x, train_y (embeddings of the pool, and its labels, read as they are asked for) and test_x, test_y
(those that heads are scored on).
"""
OWN = "own"
SEEDS = "1,10,100,1000,10000"
LARGEST_SEED = 2**63 - 1


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "active-learning", help="run a query strategy on a pool of embeddings", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--pool", required=True, type=Path, metavar="POOL.npz")
    parser.add_argument("--strategy", required=True, type=Strategy, choices=list(Strategy))
    parser.add_argument("--start", default=OWN, choices=[*Start, OWN],
                        help="how the first labels are chosen; own: as its authors do (default)")  # fmt: skip
    parser.add_argument("--head", type=HeadKind, choices=list(HeadKind), default=HeadKind.PAPER,
                        help="paper (default), or the leaderboard's standard one")  # fmt: skip
    parser.add_argument("--propagate", action="store_true",
                        help="train on the whole pool, labels spread to neighbours")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=8, metavar="N", help="the start counts as the first (default 8)")
    parser.add_argument("--per-round", type=int, metavar="B", help="labels per round (default: one per class)")
    parser.add_argument("--seeds", default=SEEDS, metavar="1,10,…", help=f"one run for each (default {SEEDS})")
    parser.add_argument("--device", type=Device, choices=list(Device), default=Device.AUTO)
    parser.add_argument("--out", required=True, type=Path, metavar="curves.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    seeds = parse_seeds(args.seeds)
    require_file(args.pool)
    pool = read_pool(args.pool)
    start = own_start(args.strategy) if args.start == OWN else Start(args.start)
    task = StrategyTask(
        data=pool.data, strategy=args.strategy, start=start, head=args.head, rounds=args.rounds,
        per_round=pool.data.n_classes if args.per_round is None else args.per_round, seeds=seeds,
    )  # fmt: skip
    _check_budget(task)
    from evaluator.active_learning.experiments import runs  # torch, which --help and wrong input need not wait for
    from evaluator.encoders.device import prepare_device

    with ProgressLine() as line:
        result = runs.run(
            task, device=prepare_device(args.device), propagates=args.propagate,
            on_round=lambda done: line.show(f"{args.strategy.display_name}, rounds", done, args.rounds),
        )  # fmt: skip
    curves = curves_of(task, result, pool.right, propagates=args.propagate)
    write_document(curves, args.out)
    _show(curves)
    print(f"written to {args.out}")


def parse_seeds(text: str) -> tuple[int, ...]:
    """Distinct whole numbers from 0, between commas. Raises InputError `bad_seeds`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) <= LARGEST_SEED for part in parts):
        message = f"{text!r} is no list of seeds: write whole numbers from 0, such as {SEEDS}."
        raise InputError.single("bad_seeds", message, field="seeds")
    seeds = tuple(map(int, parts))
    if len(set(seeds)) < len(seeds):
        message = f"{text!r} names a seed twice, which would give the same run twice."
        raise InputError.single("bad_seeds", message, field="seeds")
    return seeds


def _check_budget(task: StrategyTask) -> None:
    for name, value in (("rounds", task.rounds), ("per-round", task.per_round)):
        if value < 1:
            raise InputError.single("bad_budget", f"{value} is too few: at least 1.", field=name)
    wanted, there = task.rounds * task.per_round, len(task.data.pool)
    if wanted > there:
        message = (f"{task.rounds} rounds of {task.per_round} ask for {wanted} labels, but the pool has {there} "
                   "images. Ask for fewer, or add images.")  # fmt: skip
        raise InputError.single("too_few_candidates", message)


def _show(curves: dict[str, Any]) -> None:
    runs = curves["runs"]
    print(f"{Strategy(curves['strategy']).display_name}, start {curves['start']}, {curves['head']} head, "
          f"mean of {len(runs)} seeds")  # fmt: skip
    print(f"{'labels':>8}  {'accuracy':>8}  {'balanced':>8}  {'classes found':>13}")
    for place, labels in enumerate(runs[0]["labels"]):
        accuracy, balanced, found = (
            sum(run[name][place] for run in runs) / len(runs)
            for name in ("accuracy", "balanced_accuracy", "classes_found")
        )
        print(f"{labels:>8,}  {accuracy:>8.1%}  {balanced:>8.1%}  {found:>6.1f} of {curves['n_classes']}")
    for title, area in (("accuracy", curves["aulc"]), ("balanced accuracy", curves["balanced_aulc"])):
        deviation = "" if area["sd"] is None else f" ± {area['sd']:.4f} (sd over seeds)"
        print(f"area under the curve of {title}: {area['mean']:.4f}{deviation}")
    print(f"{sum(run['seconds'] for run in runs) / len(runs):.2f} s per run")
