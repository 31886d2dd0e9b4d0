"""`score`: answers and a key become a report. Torch-free."""

import argparse
from pathlib import Path
from typing import Any

from evaluator.answers import read_answers
from evaluator.cli.files import read_protocol, require_file, write_document
from evaluator.errors import InputError
from evaluator.release.key import read_key
from evaluator.release.read import read_info, read_questions
from evaluator.release.schema import Split
from evaluator.scoring import score
from evaluator.scoring.index import Group

EXAMPLE = """\
example:
  python -m evaluator score --release ubench-1.0 --split dev --answers runs/model/answers.parquet --out report.json
"""
HEADLINE = ("1", "null", "0")  # the variant shown first, where it was answered
KEY_REVISION = 1  # of a folder of keys as imported; the server numbers later ones


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "score", help="score answers by a release's key", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--release", required=True, type=Path, help="a release folder or an unpacked question pack")
    parser.add_argument("--split", required=True, type=Split, choices=list(Split))
    parser.add_argument("--answers", required=True, type=Path, metavar="answers.parquet")
    parser.add_argument("--key", type=Path, metavar="DIR", help="the folder of the keys (default: RELEASE/keys)")
    parser.add_argument("--out", required=True, type=Path, metavar="report.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    require_file(args.answers)
    info = read_info(args.release)
    questions = read_questions(args.release, args.split)
    key = read_key(args.key or args.release / "keys", args.split)
    try:
        scored = score(
            info, args.split, questions, key, read_answers(args.answers),
            protocol=read_protocol(args.answers), key_revision=KEY_REVISION,
        )  # fmt: skip
    except ValueError as error:
        raise InputError.single("key_mismatch", f"This key is not of this release: {error}.") from error
    write_document(scored.report, args.out)
    _print_summary(scored.report)
    print(f"report written to {args.out}")


def _print_summary(report: dict[str, Any]) -> None:
    variants = report["aggregates"]["macro"]
    headline = next((name for name in HEADLINE if name in variants), None)
    if headline is None:
        print("nothing was answered")
        return
    for task in report["tasks"]:
        is_core = Group(task["group"]).is_core
        is_headline = str(task["variant"]).replace("None", "null") == headline
        if is_headline if is_core else task["n_questions"]:
            few = "  too few sources" if task["too_few"] else ""
            print(f"{task['task']:<40} {_percent(task['accuracy'])}  n {task['n_questions']:>6,}{few}")
    for name, found in report["aggregates"].items():
        print(f"{name:<40} {_percent(found[headline])}  {found[headline]['n_tasks']} tasks")


def _percent(found: dict[str, Any]) -> str:
    if found["estimate"] is None:
        return "     –              "
    return f"{found['estimate']:7.1%}  {found['low']:.1%} – {found['high']:.1%}"
