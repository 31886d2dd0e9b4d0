"""The published figures: whole, internally consistent, and shown only where they belong."""

import json
from importlib import resources

import pytest

from evaluator.answers import Protocol
from evaluator.release.paper import paper_rows
from evaluator.release.tasks import describe_dataset

PUBLISHED = json.loads(resources.files("evaluator.release").joinpath("data/paper.json").read_text("utf-8"))
MODELS = {model["name"]: model for model in PUBLISHED["models"]}
TASKS = list(MODELS["CLIP"]["tasks"])
# Images of each dataset, in the order of the table; microtubules are not in the public release, so about 300 stand in.
IMAGES = (
    600, 600, 600, 1600, 1000, 934, 743, 743, 743, 157, 646, 300, 576, 700, 256, 96, 193, 1000, 1800, 1314, 400, 491,
    800,
)  # fmt: skip
COLUMN_SUMS = {
    "ALIGN": 774, "BLIP": 584, "BiomedCLIP": 762, "CLIP": 718, "CogVLM": 678, "CONCH": 679, "OpenCLIP": 697,
    "PLIP": 623, "PaliGemma": 503, "QuiltNet": 604, "QwenVLM": 640, "Random": 472,
}  # fmt: skip


def test_every_cell_is_there():
    table_1 = [model for model in MODELS.values() if "table_1" in model]
    assert len(table_1) == 12 and all(list(model["table_1"]) == ["coarse", "fine", "cognition"] for model in table_1)
    reported = {name: model["tasks"] for name, model in MODELS.items() if "tasks" in model}
    assert len(TASKS) == 23 and all(list(tasks) == TASKS for tasks in reported.values())
    assert {name: sum(tasks.values()) for name, tasks in reported.items()} == COLUMN_SUMS


def test_every_dataset_is_a_known_one():
    assert all(describe_dataset(dataset).taxonomy != "other" for dataset in TASKS)


@pytest.mark.parametrize("name", ["ALIGN", "BiomedCLIP", "CLIP", "OpenCLIP", "PLIP"])
def test_the_table_of_tasks_pools_to_table_1(name):
    """Table 1 calls itself a macro average; its fine column is the pooled one of the table of tasks."""
    tasks = MODELS[name]["tasks"]
    pooled = sum(tasks[task] * n for task, n in zip(TASKS, IMAGES, strict=True)) / sum(IMAGES)
    assert pooled == pytest.approx(MODELS[name]["table_1"]["fine"][0], abs=0.6)


def test_table_1_needs_every_dataset_it_pools():
    public = set(TASKS) - {"held_et_al_2010_mt"}
    assert len(paper_rows("pooled-fine", public)) == len(paper_rows("cognition", TASKS)) == 12
    assert paper_rows("pooled-fine", public - {"hussain_et_al_2019"}) == []
    assert paper_rows("overall", TASKS) == paper_rows("fine", TASKS) == []


def test_a_row_holds_fractions_and_its_interval():
    best = paper_rows("pooled-coarse", TASKS)[0]
    assert (best.name, best.protocol, best.score, best.low, best.high) == (
        "GPT-4o", Protocol.QUESTIONS, 0.6268, 0.6233, 0.6303,
    )  # fmt: skip
    alone = {row.name: row for row in paper_rows("hussain_et_al_2019", ["hussain_et_al_2019"])}
    assert alone["PLIP"].score == 0.67 and alone["PLIP"].low is None and alone["PLIP"].protocol is Protocol.CAPTIONS
    assert "GPT-4o" not in alone and alone["Random"].protocol is None
    assert paper_rows("hussain_et_al_2019", ["bccd_cells"]) == []
