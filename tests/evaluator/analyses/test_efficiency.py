"""The label-efficiency document against its definitions, and what it must say where there is little to say."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.active_learning.experiments import metrics
from evaluator.analyses.labels.draws import Draws, draw
from evaluator.analyses.labels.efficiency import efficiency, not_measured
from evaluator.analyses.labels.labels_to import Reached, crossing, labels_to
from evaluator.scoring import canonical_json
from evaluator.statistics.bootstrap import REPLICATES, source_weights
from tests.builders.curves import HEAD, curve_study
from tests.builders.efficiency_coverage import SETTINGS, Setting, coverage
from tests.evaluator.analyses.slow_efficiency import (
    slow_curve,
    slow_labels_to,
    slow_log2_area,
    slow_log2_replicates,
    slow_recalls,
)


def document_of(**how: Any) -> dict[str, Any]:
    facts, task, result, evaluated = curve_study(**how)
    return efficiency(facts, task, result, evaluated, head=HEAD).document


def near(value: float) -> Any:
    return pytest.approx(value, abs=2e-6)


@pytest.mark.parametrize("absent", [0, 3])
def test_every_estimate_is_what_its_definition_says(absent: int) -> None:
    facts, task, result, evaluated = curve_study(absent=absent)
    document = efficiency(facts, task, result, evaluated, head=HEAD).document
    once, equal = np.ones(len(evaluated.right)), [1 / 3] * 3
    curves = {name: slow_curve(getattr(result, name), evaluated, once, equal) for name in ("same", "own")}
    for place, row in enumerate(document["budgets"]):
        assert (row["per_class"], row["labels"]) == ((1, 2, 4, 8)[place], (3, 6, 12, 24)[place])
        for name, ids in (("same", task.orders), ("own", result.own_ids)):
            balanced, accuracy = curves[name]
            assert row[name]["balanced_accuracy"]["estimate"] == near(balanced[place])
            assert row[name]["accuracy"]["estimate"] == near(accuracy[place])
            held = [len(set(task.data.labels[own[: row["labels"]]].tolist())) for own in ids]
            assert row[name]["classes_found"] == near(sum(held) / 3)
            chances = getattr(result, name)[:, place]
            for metric in ("macro_auroc", "calibration_error"):
                assert row[name][metric] == near(
                    np.mean([getattr(metrics, metric)(evaluated.right, own) for own in chances])
                )
            seeds = [slow_recalls(own.argmax(axis=1), evaluated, once)[0] for own in chances]
            assert row[name]["seeds_low"] == near(np.quantile(seeds, 0.1))
            assert row[name]["seeds_high"] == near(np.quantile(seeds, 0.9))
        assert row["gain"]["estimate"] == near(curves["own"][0][place] - curves["same"][0][place])
    areas = {name: slow_log2_area(task.budgets, curves[name][0], 3) for name in curves}
    assert document["aulc"]["log2"]["estimate"] == near(areas["same"])
    assert document["own_aulc"]["log2"] == near(areas["own"])
    assert document["gain"]["log2"]["estimate"] == near(areas["own"] - areas["same"])
    linear = {name: np.trapezoid(curves[name][0], task.budgets) / (24 - 3) for name in curves}
    assert document["aulc"]["linear"]["estimate"] == near(linear["same"])
    assert document["gain"]["linear"] == near(linear["own"] - linear["same"])
    ceiling = slow_recalls(result.ceiling.argmax(axis=1), evaluated, once)
    assert document["ceiling"]["balanced_accuracy"]["estimate"] == near(ceiling[0])
    assert document["ceiling"]["accuracy"]["estimate"] == near(ceiling[1])
    assert document["absent_classes"] == (absent > 0)


@pytest.mark.parametrize("absent", [0, 3])
def test_replicates_draw_sources_and_seeds_whole_and_at_once(absent: int) -> None:
    facts, task, result, evaluated = curve_study(absent=absent, n_sources=5)
    found = efficiency(facts, task, result, evaluated, head=HEAD)
    assert found.replicates is not None and found.gain_replicates is not None
    assert found.replicates == pytest.approx(slow_log2_replicates(task, result, evaluated, "cells"), abs=1e-6)
    own = slow_log2_replicates(task, replace(result, same=result.own), evaluated, "cells")
    assert found.gain_replicates == pytest.approx(np.array(own) - found.replicates, abs=1e-6)


def test_every_encoder_is_drawn_the_same_sources_and_seeds_and_every_dataset_has_its_own_seeds() -> None:
    stratum = np.array([0, 0, 1, 1, 1])
    drawn = draw(stratum, 7)
    assert drawn.sources.shape == (REPLICATES, 5)
    assert np.array_equal(drawn.sources, np.concatenate(list(source_weights(stratum, 7))))
    shares = drawn.of_seeds(20, "cells")
    assert np.array_equal(shares, draw(stratum, 7).of_seeds(20, "cells"))
    assert not np.array_equal(shares, drawn.of_seeds(20, "tissue"))
    assert np.allclose(shares.sum(axis=1), 1) and np.allclose(shares.mean(axis=0), 1 / 20, atol=0.005)
    assert shares.std(axis=0).mean() == pytest.approx(np.sqrt(1 / 20 * 19 / 20 / 20), rel=0.05)


def test_the_order_of_images_and_the_numbers_of_sources_do_not_matter() -> None:
    facts, task, result, evaluated = curve_study()
    order = np.random.default_rng(1).permutation(len(evaluated.right))
    moved = replace(
        result, same=result.same[:, :, order], own=result.own[:, :, order], ceiling=result.ceiling[order]
    )  # fmt: skip
    assert evaluated.zero_shot is not None
    alike = replace(
        evaluated, right=evaluated.right[order], source=evaluated.source[order], zero_shot=evaluated.zero_shot[order]
    )  # fmt: skip
    first = efficiency(facts, task, result, evaluated, head=HEAD).document
    assert canonical_json(first) == canonical_json(efficiency(facts, task, moved, alike, head=HEAD).document)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(0, 7))
def test_a_target_is_reached_where_the_curve_first_meets_it(heights: list[int], target: int) -> None:
    labels, scores = [15 * 2**place for place in range(len(heights))], np.array(heights) / 20
    found = float(crossing(labels, scores, target / 20))
    assert found == pytest.approx(slow_labels_to(labels, scores.tolist(), target / 20), rel=1e-3)
    said = labels_to(labels, scores, scores[None], target / 20, target / 20)
    reached = [height >= target for height in heights]
    assert said["state"] == ("from the first" if reached[0] else "reached" if any(reached) else "not reached")
    assert said["low"] == said["high"] == said["labels"]


def test_what_is_not_reached_is_no_number() -> None:
    labels, curve = (2, 4, 8), np.array([0.5, 0.6, 0.7])
    drawn = curve + np.linspace(-0.2, 0.2, 400)[:, None]
    reached = labels_to(labels, curve, drawn, 0.65, 0.65)
    assert reached["state"] == Reached.REACHED and reached["labels"] == pytest.approx(2**2.5)
    assert reached["low"] == 2 and reached["high"] is None, "some replicates end below the target"
    beyond = labels_to(labels, curve, drawn, 0.75, 0.75)
    assert (beyond["state"], beyond["labels"], beyond["high"]) == (Reached.NOT_REACHED, None, None)
    assert beyond["low"] is not None
    at_once = labels_to(labels, curve, drawn - 0.0, 0.2, 0.2)
    assert at_once == {"labels": 2.0, "low": 2.0, "high": 2.0, "state": "from the first"}
    assert labels_to(labels, curve, drawn, None, 0.0)["state"] == "not applicable"


def test_targets_are_the_zero_shot_score_eighty_percent_and_nine_tenths_of_the_ceiling() -> None:
    document = document_of(skill=1.6, seed=4)
    labels = [row["labels"] for row in document["budgets"]]
    curve = [row["same"]["balanced_accuracy"]["estimate"] for row in document["budgets"]]
    targets = {
        "zero_shot": document["zero_shot"]["balanced_accuracy"]["estimate"], "eighty_percent": 0.8,
        "ninety_of_ceiling": 0.9 * document["ceiling"]["balanced_accuracy"]["estimate"],
    }  # fmt: skip
    for name, target in targets.items():
        found = document["labels_to"][name]["labels"]
        assert (np.inf if found is None else found) == pytest.approx(slow_labels_to(labels, curve, target), rel=1e-3)
    assert document_of(zero_shot=False)["labels_to"]["zero_shot"]["state"] == "not applicable"
    assert document_of(zero_shot=False)["zero_shot"] is None


def test_an_interval_does_not_collapse_where_all_is_right() -> None:
    facts, task, result, evaluated = curve_study(n_sources=20, zero_shot=False)
    perfect = np.eye(3, dtype=np.float32)[evaluated.right]
    all_right = replace(
        result, same=np.broadcast_to(perfect, result.same.shape), own=np.broadcast_to(perfect, result.own.shape),
        ceiling=perfect,
    )  # fmt: skip
    document = efficiency(facts, task, all_right, evaluated, head=HEAD).document
    cells = [row["same"][name] for row in document["budgets"] for name in ("balanced_accuracy", "accuracy")]
    for cell in [*cells, document["ceiling"]["balanced_accuracy"]]:
        assert cell["estimate"] == cell["high"] == 1 and 0.7 < cell["low"] < 0.9
    assert document["aulc"]["log2"]["estimate"] == 1


def test_a_dataset_is_ranked_where_the_pool_and_the_sources_are_enough() -> None:
    assert document_of()["ranked"] and document_of()["cut"] and document_of()["reason"] is None
    few = document_of(n_sources=9)
    assert not few["ranked"] and "Only 9 sources" in few["reason"] and few["budgets"]
    small = document_of(n_pool=23)
    assert not small["ranked"] and "24 are needed" in small["reason"] and len(small["budgets"]) == 2
    assert document_of(n_pool=192)["cut"] is False


def test_what_cannot_be_measured_has_the_same_shape_and_a_reason() -> None:
    facts, task, result, evaluated = curve_study()
    measured = efficiency(facts, task, result, evaluated, head=HEAD).document
    found = not_measured(facts, evaluated, "All images have the same embedding.", head=HEAD)
    assert found.replicates is None and found.gain_replicates is None
    assert set(found.document) == set(measured)
    assert (found.document["ranked"], found.document["budgets"]) == (False, [])
    assert found.document["reason"] == "All images have the same embedding."
    for name in ("aulc", "own_aulc", "gain", "labels_to", "ceiling"):
        assert set(found.document[name]) == set(measured[name])


def test_is_the_same_bytes_every_time_and_holds_finite_numbers_alone() -> None:
    assert canonical_json(document_of(absent=2)) == canonical_json(document_of(absent=2))
    assert b"NaN" not in canonical_json(document_of(absent=2)) and b"Infinity" not in canonical_json(document_of())


@pytest.mark.parametrize("setting", [SETTINGS[0], SETTINGS[3]], ids=str)
def test_the_interval_of_the_area_holds_the_truth_as_often_as_promised(setting: Setting) -> None:
    """The short form of tests/faults/test_efficiency_coverage.py."""
    assert 0.86 <= coverage(setting, 80, seed=5, replicates=300)


def test_an_interval_that_knew_of_one_kind_of_chance_alone_would_be_too_narrow() -> None:
    """The simulation can tell: without seeds drawn, or without sources drawn, the truth is missed far more often."""
    setting = replace(SETTINGS[0], of_seeds=1.0, n_sources=200)
    both = coverage(setting, 50, seed=6, replicates=300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draws, "of_seeds", lambda self, n, dataset: np.full((len(self.sources), n), 1 / n))
        sources_alone = coverage(setting, 50, seed=6, replicates=300)
    assert sources_alone < 0.8 < 0.86 <= both
