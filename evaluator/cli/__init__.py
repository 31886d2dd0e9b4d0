"""The evaluator's command line. One module per command: `register(subparsers)` declares it and names its `run(args)`.

Exit codes: 0 done, 1 failed, 2 the input is wrong (every problem listed, no traceback).
"""

import argparse
import importlib
import sys

from evaluator.errors import EvaluationFailed, InputError

COMMANDS = (
    "import_ubench", "convert", "architectures", "validate", "answer", "score", "check_predictions", "forgetting",
    "sweep", "interpolate", "merge", "active_learning", "label_efficiency", "suggest", "study",
)  # fmt: skip
SHOWN_PROBLEMS = 50


def main(argv: list[str] | None = None) -> int:
    """Run one command; `argv` defaults to the process's arguments."""
    parser = argparse.ArgumentParser(prog="python -m evaluator", description="µ-Bench evaluator")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"evaluator.cli.{name}").register(subparsers)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except InputError as error:
        _print_problems(error)
        return 2
    except EvaluationFailed as error:
        print(f"failed: {error.code}: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    return 0


def _print_problems(error: InputError) -> None:
    for problem in error.problems[:SHOWN_PROBLEMS]:
        place = f"row {problem.row}: " if problem.row is not None else f"{problem.field}: " if problem.field else ""
        print(f"{problem.code}: {place}{problem.message}", file=sys.stderr)
    total = sum(error.counts.values())
    if total > SHOWN_PROBLEMS:
        by_code = ", ".join(f"{n} × {code}" for code, n in sorted(error.counts.items()))
        print(f"… {total} problems in all: {by_code}", file=sys.stderr)
