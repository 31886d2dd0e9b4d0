"""Choosing images from a stranger's files: what the child says is checked, and what it may use is bounded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.suggesting.suggest import suggest
from evaluator.errors import EvaluationFailed, InputError
from evaluator.sandbox import SuggestJob, suggest_in_child, suggesting

IDS = [f"{place:02}.tif" for place in range(30)]
FEATURES = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)


@pytest.fixture
def job(tmp_path: Path) -> SuggestJob:
    np.savez(tmp_path / "embeddings.npz", id=np.array(IDS), embedding=FEATURES)
    (tmp_path / "labels.csv").write_text("id,label\n00.tif,cell\n01.tif,nucleus\n02.tif,nucleus\n")
    return SuggestJob(
        embeddings=tmp_path / "embeddings.npz", labels=tmp_path / "labels.csv", count=5,
        earlier={"00.tif": "debris", "03.tif": "debris", "not there.tif": "cell"},
    )  # fmt: skip


def test_a_child_suggests_what_this_process_would(job: SuggestJob) -> None:
    found, labels = suggest_in_child(job)
    assert labels == {"00.tif": "cell", "01.tif": "nucleus", "02.tif": "nucleus", "03.tif": "debris"}
    expected = suggest(FEATURES, IDS, labels, count=5)
    assert [pick.id for pick in found.picks] == [pick.id for pick in expected.picks]
    assert found.labelled == {"cell": 1, "debris": 1, "nucleus": 2}


def test_what_is_wrong_with_the_files_comes_back_with_its_code(job: SuggestJob) -> None:
    assert job.labels is not None
    job.labels.write_text("id,label\nnone.tif,cell\n04.tif,\n")
    with pytest.raises(InputError) as caught:
        suggest_in_child(job)
    assert caught.value.counts == {"unknown_id": 1, "empty_label": 1}
    job.embeddings.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match="damaged_npz"):
        suggest_in_child(replace(job, labels=None))


def test_a_child_that_takes_too_long_is_ended(job: SuggestJob) -> None:
    with pytest.raises(EvaluationFailed) as caught:
        suggest_in_child(replace(job, timeout_s=0.2))
    assert caught.value.code == "timeout" and not caught.value.retry


def test_a_child_gets_no_more_memory_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "many.npz", id=np.arange(2**16), embedding=np.zeros((2**16, 2**12), np.uint8))
    monkeypatch.setattr(suggesting.parent, "LIBRARIES_BYTES", 2**29)
    monkeypatch.setattr(suggesting, "COPIES", 0)
    with pytest.raises(EvaluationFailed) as caught:
        suggest_in_child(SuggestJob(embeddings=tmp_path / "many.npz", labels=None, count=1))
    assert caught.value.code == "out_of_memory" and not caught.value.retry


GOOD: dict[str, Any] = {
    "suggestion": suggest(FEATURES, IDS, {"00.tif": "a", "01.tif": "b"}, count=2).as_dict(),
    "labels": {"00.tif": "a", "01.tif": "b"},
}  # fmt: skip
PICK = GOOD["suggestion"]["picks"][0]


def with_pick(**changes: Any) -> dict[str, Any]:
    picks = [{**PICK, **changes}, GOOD["suggestion"]["picks"][1]]
    return {**GOOD, "suggestion": {**GOOD["suggestion"], "picks": picks}}


@pytest.mark.parametrize("content", [
    {}, {**GOOD, "labels": ["00.tif"]}, {**GOOD, "labels": {"00.tif": "a", "01.tif": 2}}, {**GOOD, "labels": {}},
    {**GOOD, "suggestion": {**GOOD["suggestion"], "strategy": "oracle"}},
    {**GOOD, "suggestion": {**GOOD["suggestion"], "picks": [PICK]}},
    {**GOOD, "suggestion": {**GOOD["suggestion"], "picks": [PICK, PICK]}},
    with_pick(id=""), with_pick(id="x" * 501), with_pick(id=7), with_pick(id="00.tif"), with_pick(group="1"),
    with_pick(members=0), with_pick(typicality=2.0), with_pick(disagreement="often"), with_pick(guess=1),
    with_pick(lead=float("nan")), with_pick(more=1),
])  # fmt: skip
def test_a_child_that_says_anything_else_is_not_believed(content: dict[str, Any]) -> None:
    assert suggesting._checked(GOOD, 2)[0].strategy is Strategy.DROPQUERY
    with pytest.raises(EvaluationFailed, match="child_misbehaved"):
        suggesting._checked(content, 2)
