"""`check-predictions`: is a prediction file complete and valid for a split?"""

import argparse
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from evaluator import __version__
from evaluator.answers import Protocol, write_answers
from evaluator.predictions.check import PredictionFacts, check_file
from evaluator.release.read import read_info
from evaluator.release.schema import Split

EXAMPLE = """\
example:
  python -m evaluator check-predictions predictions.jsonl --release pack --split test --out checked
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "check-predictions", help="check a prediction file completely", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", type=Path, help="JSONL, CSV or Parquet, also gzipped")
    parser.add_argument("--release", required=True, type=Path, help="release folder or unpacked question pack")
    parser.add_argument(
        "--split", required=True, choices=[split.value for split in Split], help="split that the file answers"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write DIR/answers.parquet and DIR/run.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    checked = check_file(args.file, args.release, Split(args.split))
    facts = checked.facts
    forms = ", ".join(
        "question form" if variant is None else f"caption variant {variant}" for variant in facts.variants
    )
    complete = ", ".join(text for text in (forms, *facts.tasks_beside) if text)
    print(f"valid: {facts.rows} rows ({facts.format}), complete for {complete}")
    if facts.abstained:
        print(f"note: {facts.abstained} rows abstain (wrong), {facts.unparsed} of them by a reply that cannot be read")
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        write_answers(checked.answers, args.out / "answers.parquet")
        (args.out / "run.json").write_text(json.dumps(_run_facts(args, facts), indent=2) + "\n", "utf-8")
        print(f"written to {args.out / 'answers.parquet'}")


def _run_facts(args: argparse.Namespace, facts: PredictionFacts) -> dict[str, object]:
    with args.file.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "evaluator": __version__, "protocol": Protocol.SELF_REPORTED, "release": read_info(args.release).hash,
        "split": args.split, "file_sha256": sha256, **asdict(facts),
    }  # fmt: skip
