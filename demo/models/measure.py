"""python -m demo.models.measure: generate the demo's benchmark and print each model's accuracy on its hidden split.

Besides the models it measures each specialist merged half and half with its base, which is no model of the demo.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from demo.generate.__main__ import generate
from demo.generate.catalogue import DATASETS, ELECTRON
from demo.generate.plan import source_rules
from evaluator.answering.run import answer_release
from evaluator.answering.settings import RunSettings
from evaluator.answers import Protocol
from evaluator.architectures.registry import get_architecture
from evaluator.release.importer import import_hub
from evaluator.release.key import read_key
from evaluator.release.read import read_info, read_questions
from evaluator.release.schema import Split
from evaluator.scoring import score
from evaluator.scoring.baselines import score_chance
from evaluator.weights.checkpoint import open_checkpoint

MODELS = Path(__file__).parent
SPLITS = {Split.DEV: 0.3, Split.TEST: 0.4, Split.SEALED: 0.3}
HEADLINE = 1  # the caption variant of the headline
AGGREGATES = ("macro", "coarse", "fine")
GROUPS = {
    "fine, pathology": [d.name for d in DATASETS if d.domain == "pathology"],
    "fine, electron": [d.name for d in DATASETS if d.modality == ELECTRON],
    "fine, other": [d.name for d in DATASETS if d.domain != "pathology" and d.modality != ELECTRON],
}

Column = Mapping[str, float]  # task or aggregate → accuracy


def measure(models: Path, release: Path, split: Split) -> dict[str, Column]:
    """Accuracy by task and aggregate: of chance, of every model of `models`/models.json, of merges with the base."""
    described = json.loads((models / "models.json").read_text(encoding="utf-8"))["models"]
    files = {model["slug"]: models / model["file"] for model in described}
    columns = {"chance": _chance(release, split)}
    with tempfile.TemporaryDirectory() as folder:
        for model in described:
            columns[model["slug"]] = _accuracies(files[model["slug"]], model["architecture"], release, split)
            if model["base"]:
                merged = Path(folder) / "merged.safetensors"
                _merge(files[model["base"]], files[model["slug"]], merged)
                name = f"{model['slug']}, half merged"
                columns[name] = _accuracies(merged, model["architecture"], release, split)
    return columns


def _merge(base: Path, tuned: Path, out: Path) -> None:
    """The mean of two checkpoints of one architecture."""
    first, second = load_file(base), load_file(tuned)
    save_file({name: (tensor.float() + second[name].float()) / 2 for name, tensor in first.items()}, out)


def _chance(release: Path, split: Split) -> Column:
    questions, key = read_questions(release, split), read_key(release / "keys", split)
    return _flatten(score_chance(read_info(release), split, questions, key, protocol="chance", key_revision=1).report)


def _accuracies(weights: Path, architecture: str, release: Path, split: Split) -> Column:
    settings = RunSettings(protocol=Protocol.CAPTIONS)
    with open_checkpoint(weights) as file:
        run = answer_release(release, split, file, get_architecture(architecture), settings)
    questions, key = read_questions(release, split), read_key(release / "keys", split)
    scored = score(
        read_info(release), split, questions, key, run.answers, protocol=settings.protocol, key_revision=1
    )  # fmt: skip
    return _flatten(scored.report)


def _flatten(report: dict[str, Any]) -> Column:
    """The headline variant's accuracies: of each task, of groups of fine tasks, of the aggregates."""
    found = {task["task"]: task["accuracy"]["estimate"] for task in report["tasks"] if task["variant"] == HEADLINE}
    for name, group in GROUPS.items():
        found[name] = sum(found[dataset] for dataset in group) / len(group)
    return found | {name: report["aggregates"][name][str(HEADLINE)]["estimate"] for name in AGGREGATES}


def table(columns: Mapping[str, Column]) -> str:
    """Markdown: a row per task, group and aggregate, in percent."""
    head = ["task, %", *columns]
    rows = [head, ["---"] + ["---:"] * len(columns)]
    for task in next(iter(columns.values())):
        rows.append([task, *(f"{100 * column[task]:.1f}" for column in columns.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.models.measure", description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="holds models.json")
    parser.add_argument("--release", type=Path, metavar="DIR", help="an imported release instead of the generated one")
    parser.add_argument("--split", type=Split, default=Split.TEST, choices=list(Split))
    args = parser.parse_args()
    if args.release:
        print(table(measure(args.models, args.release, args.split)))
        return
    with tempfile.TemporaryDirectory() as folder:
        hub, release = Path(folder) / "hub", Path(folder) / "release"
        generate(hub)
        import_hub(hub, release, splits=SPLITS, sources=source_rules(), name="Demo", version="1.0")
        print(table(measure(args.models, release, args.split)))


if __name__ == "__main__":
    main()
