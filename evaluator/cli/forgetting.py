"""`forgetting`: what a fine-tune forgot, from its answers and its base's. Torch-free."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from evaluator.analyses.forgetting import Side, analysis_head, forgetting
from evaluator.analyses.splits import SplitKey, load_split, marks_of
from evaluator.analyses.target import check_target, parse_target
from evaluator.answers import read_answers
from evaluator.cli.files import read_protocol, require_file, write_document
from evaluator.cli.score import KEY_REVISION
from evaluator.errors import InputError, Problem
from evaluator.release.schema import FACETS, Split
from evaluator.scoring.baselines import chance_marks

EXAMPLE = f"""\
example:
  python -m evaluator forgetting --release ubench-1.0 --split dev --base runs/clip/answers.parquet \\
    --tuned runs/plip/answers.parquet --target domain=pathology --target "stain=H&E" --out forgetting.json

--target repeats: values of one facet are alternatives, different facets must all hold.
facets: {", ".join(FACETS)}
"""
Found = TypeVar("Found")


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "forgetting", help="compare a fine-tune with its base: what it forgot and gained", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--release", required=True, type=Path, help="a release folder or an unpacked question pack")
    parser.add_argument("--split", required=True, type=Split, choices=list(Split))
    parser.add_argument("--base", required=True, type=Path, metavar="A/answers.parquet", help="the base's answers")
    parser.add_argument("--tuned", required=True, type=Path, metavar="B/answers.parquet", help="the fine-tune's")
    parser.add_argument(
        "--target", action="append", default=[], metavar="FACET=VALUE", help="the domain it was tuned for (repeats)"
    )
    parser.add_argument("--key", type=Path, metavar="DIR", help="the folder of the keys (default: RELEASE/keys)")
    parser.add_argument("--out", required=True, type=Path, metavar="forgetting.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    problems: list[Problem] = []
    stated = [part for part in args.target if _collect(problems, partial(parse_target, [part]))]
    target = parse_target(stated)
    split = _collect(problems, lambda: load_split(args.release, args.split, args.key))
    base, tuned = (_collect(problems, partial(_read_side, split, path)) for path in (args.base, args.tuned))
    if split is not None:
        known = {name: facet.values for name, facet in split.index.facets.items()}
        _collect(problems, lambda: check_target(target, known))
    if problems:
        raise InputError(problems)
    assert split is not None and base is not None and tuned is not None
    document = forgetting(
        split.index, base, tuned, target, chance=chance_marks(split.questions),
        hidden=not args.split.key_is_public,
        head=analysis_head(split.info, args.split, key_revision=KEY_REVISION),
    )  # fmt: skip
    write_document(document, args.out)
    _print_summary(document)
    print(f"document written to {args.out}")


def _collect(problems: list[Problem], step: Callable[[], Found]) -> Found | None:
    """Run one step; what is wrong with its input goes to `problems`, so that all of it is listed at once."""
    try:
        return step()
    except InputError as error:
        problems.extend(error.problems)
        return None


def _read_side(split: SplitKey | None, answers: Path) -> Side | None:
    """Marks and protocol of one model, None where there is no split to mark it by; its problems name the file."""
    require_file(answers)
    if split is None:
        return None
    try:
        return Side(correct=marks_of(split, read_answers(answers)), protocol=read_protocol(answers))
    except InputError as error:
        problems = [
            problem if str(answers.parent) in problem.message else replace(problem, field=str(answers))
            for problem in error.problems
        ]
        raise InputError(problems, error.counts) from error


def _print_summary(document: dict[str, Any]) -> None:
    for task in document["tasks"]:
        shown = task["outside"]
        if shown is None:
            continue
        few = "  too few sources" if shown["too_few"] else ""
        significant = shown["p_holm"] is not None and shown["p_holm"] < 0.05
        print(f"{task['task']:<40} {_difference(shown)}{'  *' if significant else ''}{few}")
    headline = document["headline"]
    for side in ("outside", "inside", "all"):
        if headline[side] is not None:
            print(f"mean {side:<35} {_difference(headline[side])}  {headline[side]['n_tasks']} tasks")
    share = headline["retained_share"]
    if share["estimate"] is not None:
        print(f"{'retained share outside':<40} {share['estimate']:7.1%}  {share['low']:.1%} – {share['high']:.1%}")
    flips = headline["flips"]
    print(f"of {flips['n_questions']:,} questions {flips['lost']:,} were lost and {flips['gained']:,} gained")
    print("tasks: tuned minus base in points, outside the target domain; * p < 0.05 after Holm's adjustment")


def _difference(shown: dict[str, Any]) -> str:
    delta = shown["delta"]
    if delta["estimate"] is None:
        return "     –                  "
    low, estimate, high = (100 * delta[name] for name in ("low", "estimate", "high"))
    return f"{estimate:+7.1f}  {low:+.1f} to {high:+.1f}"
