"""What the demo shows of fine-tunes. In: a client, a release whose board stands; out: sweeps queued, line by line."""

import json
from collections.abc import Iterator
from pathlib import Path

from demo.client import Client


def bases(models: Path) -> list[str]:
    """The demo models that others were tuned from."""
    described = json.loads((models / "models.json").read_text())["models"]
    return sorted({model["base"] for model in described if model["base"]})


def sweep_fine_tunes(client: Client, release: str, models: Path) -> Iterator[str]:
    """Press the one button of every fine-tune: queue the sweep of its merges with its base. They run on by themselves;
    one that stands already is left alone."""
    described = json.loads((models / "models.json").read_text())["models"]
    tuned = {model["slug"] for model in described if model["base"]}
    seen: set[str] = set()
    for submission in client.get("submissions/")["results"]:  # the latest first
        if submission["model"] in tuned - seen and submission["release"] == release:
            seen.add(submission["model"])
            sweep = client.post(f"submissions/{submission['id']}/sweep/")
            yield f"  sweep of {submission['model']} with its base: {sweep['state']}"
