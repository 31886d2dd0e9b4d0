"""The board page at full size. `python -m tests.bench.bench_board` prints queries, server time and size with goals.

Beside it, the same rows rendered by a template for each request: what rendering them once saves.
"""

import gzip
import os
import time
from collections.abc import Callable
from statistics import median

from tests import embedded  # first: it fixes the servers' addresses before Django's settings are read

import django  # isort: skip

ENTRIES, TASKS = 500, 30
QUERIES_GOAL, SERVER_GOAL_MS, SIZE_GOAL_KB = 3, 50.0, 60.0
REQUESTS = 30


def main() -> None:
    """Measure on a database made for this."""
    from django.test.utils import setup_test_environment, teardown_test_environment

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    embedded.start()
    django.setup()
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=0, interactive=False)
    setup_test_environment()
    databases = runner.setup_databases()
    try:
        measure()
    finally:
        runner.teardown_databases(databases)
        teardown_test_environment()


def measure() -> None:
    """Print every figure; expects a database."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from leaderboard.boards.render import with_html
    from tests.bench.table import report_limit
    from tests.builders.boards import store_board
    from tests.builders.leaderboard import make_release

    tasks = [{"slug": f"dataset_{i}"} for i in range(TASKS)]
    release = make_release("large", summary={"test": {"tasks": tasks, "facets": {}}})
    board = store_board(release, entries=ENTRIES, tasks=TASKS)
    client = Client(headers={"accept-encoding": "gzip"})
    address = "/releases/large/overall/?split=test"
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
        n_queries = len(queries)
    assert client.get(f"{address}&sort=dataset_7").status_code == 200
    assert answer.status_code == 200 and answer["Content-Encoding"] == "gzip"
    ours = _median_ms(lambda: client.get(address), REQUESTS)
    sorted_ms = _median_ms(lambda: client.get(f"{address}&sort=dataset_7"), REQUESTS)
    scores = {row.model: [board.cell(row, task)[0] for task in board.scores] for row in board.rows}
    rendered = _median_ms(lambda: [with_html(row, scores[row.model], "large/test") for row in board.rows], 3)
    size_kb = len(answer.content) / 1000
    whole_kb = len(gzip.decompress(answer.content)) / 1000
    page = f"board page, {ENTRIES} entries x {TASKS} tasks"
    report_limit("P12", f"{page}: queries", n_queries, QUERIES_GOAL, "")
    report_limit("P12", f"{page}: server", ours, SERVER_GOAL_MS, "ms", f"+ {rendered:.0f} ms rendered per request")
    report_limit("P12", f"{page}: server, sorted by a task", sorted_ms, SERVER_GOAL_MS, "ms")
    report_limit("P13", f"{page}: gzip", size_kb, SIZE_GOAL_KB, "kB", f"{whole_kb:.0f} kB plain")


def _median_ms(act: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        taken.append((time.perf_counter() - started) * 1000)
    return median(taken)


if __name__ == "__main__":
    main()
