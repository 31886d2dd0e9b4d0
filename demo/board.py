"""Fill a release's board with the demo models. In: a client and a folder of weights; out: progress, line by line."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from demo.client import Client

POLL_S = 1.0


class NotScored(Exception):
    """A demo model did not reach the board; the message says which and why."""


def fill(client: Client, release: str, models: Path, *, check: Callable[[], None]) -> Iterator[str]:
    """Submit every model and wait until all are ranked. `check` is called often and may raise. Raises NotScored."""
    waiting = {}
    for model in json.loads((models / "models.json").read_text())["models"]:
        fields = {"release": release, "kind": "checkpoint", "publish": "true", "model": model["slug"]}
        fields |= {name: model[name] for name in ("architecture", "base", "target", "sha256") if model[name]}
        waiting[client.submit(fields, models / model["file"])] = model["slug"]
        check()
    said: dict[str, str] = {}
    while waiting:
        check()
        for submission, model in list(waiting.items()):
            found = client.get(f"submissions/{submission}/")
            if said.get(model) != found["state"]:
                said[model] = found["state"]
                yield f"  {model}: {found['state']}"
            if _is_done(found, model):
                del waiting[submission]
        time.sleep(POLL_S)
    while True:
        check()
        rows = client.get(f"releases/{release}/boards/overall/")["rows"]
        if set(said) <= {row["model"] for row in rows if row["rank"]}:
            yield from _table(rows)
            return
        time.sleep(POLL_S)


def _is_done(found: dict[str, Any], model: str) -> bool:
    states = [evaluation["state"] for evaluation in found["evaluations"]]
    if found["submission_state"] in ("rejected", "withdrawn") or {"failed", "cancelled"} & set(states):
        raise NotScored(f"{model} is {found['state']}: {json.dumps(found, indent=2)[:3000]}")
    return bool(states) and set(states) == {"scored"}


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield ""
    for row in rows:
        interval = "" if row["low"] is None else f"  [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        yield f"  {row['rank'] or '–':>3}  {row['model']:24} {100 * row['score']:5.1f} %{interval}"
