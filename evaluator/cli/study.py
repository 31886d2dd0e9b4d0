"""`study`: the process in which heads are trained; started by others (evaluator.active_learning.studies.process)."""

import argparse
import os
import sys
import threading
from pathlib import Path

from evaluator.active_learning.studies.exchange import read_task, read_work, write_problems, write_result
from evaluator.errors import InputError

EXAMPLE = """\
example:
  python -m evaluator study FOLDER      a folder that evaluator.active_learning.studies.exchange wrote
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "study", help="(internal) train heads as a folder of tasks asks", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input is closed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    if args.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    kinds, nice = read_work(args.folder)
    os.nice(nice)
    from evaluator.active_learning.studies.study import perform  # torch, after this process has stepped back

    for place, kind in enumerate(kinds):

        def show(share: float, place: int = place) -> None:
            print(place + share, flush=True)

        try:
            result = perform(read_task(args.folder, place, kind), show)
        except InputError as error:
            write_problems(args.folder, place, error)
        else:
            write_result(args.folder, place, result)
        show(1.0)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: the interpreter could not end while a buffer is being read
        pass
    os._exit(1)
