"""A whole small system for tests: an imported release, weights, server processes on the test's database."""

import atexit
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import quote

from django.core.management import call_command
from django.db import connection

from leaderboard.models import Release
from tests.builders.hub import hub_rows, write_hub
from tests.builders.weights import tiny_state, write_state


@cache
def tiny_hub(splits: Sequence[str] = ("dev", "test", "sealed"), items_per_split: int = 8) -> Path:
    """A Hub folder of a few noise images, with its splits given."""
    rows = hub_rows(items_per_split * len(splits))
    for number, row in enumerate(rows):
        row["split"] = splits[number // items_per_split]
    return write_hub(run_folder("tiny-hub-") / "hub", rows)


def import_tiny_release(slug: str = "tiny", hub: Path | None = None) -> Release:
    """The release as an organiser imports it, baselines included."""
    call_command("import_release", str(hub or tiny_hub()), slug=slug, splits="given", verbosity=0)
    return Release.objects.get(slug=slug)


@cache
def tiny_weights(seed: int = 0) -> Path:
    """An untrained checkpoint of the demo's architecture, as a safetensors file."""
    return write_state(tiny_state(seed), run_folder("tiny-weights-") / f"tiny-{seed}.safetensors")


def run_folder(prefix: str) -> Path:
    """A folder for as long as the test run lasts."""
    folder = Path(mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def server_environment(**changes: str) -> dict[str, str]:
    """The environment of server processes that work on this test's database and folders."""
    database = connection.settings_dict
    url = (
        f"postgresql://{quote(database['USER'])}:{quote(database['PASSWORD'])}@/{quote(database['NAME'])}"
        f"?host={quote(database['HOST'])}&port={quote(str(database['PORT']))}"
    )
    given: Mapping[str, str] = {
        "DATABASE_URL": url, "OMP_NUM_THREADS": "1",
        "PYTHONPATH": ".",
    }  # fmt: skip
    return {**os.environ, **given, **changes}
