"""What the demo shows of labels. In: a client, a release whose board stands; out: what to ask for, when it stands."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from demo.client import Client

DATASET = "heart_fibrosis"  # of the generated benchmark; of another release its first fine dataset
STRATEGIES = ("random", "margin", "typiclust", "dropquery")
POLL_S = 2.0


def reference_encoders(models: Path) -> list[str]:
    """The demo models that strategies are compared on: the generalist, and those that were tuned from it."""
    described = json.loads((models / "models.json").read_text())["models"]
    return sorted({name for model in described if model["base"] for name in (model["base"], model["slug"])})


def strategies_wanted(client: Client, release: str) -> list[str]:
    """The arguments of `manage.py label_efficiency` that compare a few strategies on one dataset from both common
    starts; empty where the release has no fine dataset."""
    fine = [task["slug"] for task in client.get(f"releases/{release}/")["tasks"] if task["group"] == "fine"]
    if not fine:
        return []
    dataset = DATASET if DATASET in fine else fine[0]
    chosen = [word for strategy in STRATEGIES for word in ("--strategy", strategy)]
    return [release, "--track", "b", "--dataset", dataset, *chosen]


def watch(client: Client, release: str, began: float) -> Iterator[str]:
    """Look, each time it is asked, whether all studies have ended: nothing until they have, then what stands, once.

    began: of time.monotonic, when the board stood.
    """
    next_look = 0.0
    while True:
        if time.monotonic() < next_look:
            yield ""
            continue
        board, compared = (client.get(f"releases/{release}/{name}/") for name in ("label-efficiency", "strategies"))
        if not board["waiting"] and not compared["waiting"]:
            break
        next_look = time.monotonic() + POLL_S
        yield ""
    seconds = time.monotonic() - began
    yield (
        f"\nLabel efficiency of {len(board['rows'])} models and {len(compared['comparisons'])} comparisons of query "
        f"strategies stand {seconds:.0f} s after the board:\n"
        f"  {client.url}/releases/{release}/label-efficiency/\n  {client.url}/releases/{release}/strategies/"
    )
