"""What the demo asks for and waits for of label efficiency."""

import time
from dataclasses import dataclass, field
from typing import Any

from demo import label_efficiency
from demo.run import MODELS


@dataclass
class Answers:
    """A client whose answers are given, one after the other; the last one stays."""

    given: dict[str, list[Any]]
    url: str = "http://demo"
    asked: list[str] = field(default_factory=list)

    def get(self, path: str) -> Any:
        self.asked.append(path)
        answers = self.given[path]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def tasks(*fine: str) -> dict[str, list[Any]]:
    listed = [{"slug": "coarse-stain", "group": "coarse"}, *({"slug": slug, "group": "fine"} for slug in fine)]
    return {"releases/demo/": [{"tasks": listed}]}


def test_the_generalist_and_both_specialists_are_reference_encoders():
    assert label_efficiency.reference_encoders(MODELS) == ["tiny-electron", "tiny-generalist", "tiny-pathologist"]


def test_strategies_are_compared_on_one_dataset():
    wanted = label_efficiency.strategies_wanted(Answers(tasks("a", label_efficiency.DATASET)), "demo")
    assert wanted[:5] == ["demo", "--track", "b", "--dataset", label_efficiency.DATASET]
    assert wanted[6::2] == list(label_efficiency.STRATEGIES)
    assert label_efficiency.strategies_wanted(Answers(tasks("a", "b")), "demo")[4] == "a"
    assert label_efficiency.strategies_wanted(Answers(tasks()), "demo") == []


def test_it_tells_once_when_all_stands(monkeypatch):
    monkeypatch.setattr(label_efficiency, "POLL_S", 0.0)
    client = Answers({
        "releases/demo/label-efficiency/": [{"waiting": 1, "rows": []}, {"waiting": 0, "rows": [1, 2]}],
        "releases/demo/strategies/": [{"waiting": 0, "comparisons": []}, {"waiting": 0, "comparisons": [1]}],
    })  # fmt: skip
    said = list(label_efficiency.watch(client, "demo", time.monotonic()))
    assert said[:-1] == [""] and "2 models and 1 comparisons" in said[-1]
    assert "http://demo/releases/demo/label-efficiency/" in said[-1]
