"""Words, cells and drawings of label efficiency and of strategies, apart from any page."""

import re

import pytest

from evaluator.active_learning.names import Strategy
from evaluator.release.tasks import describe_dataset
from leaderboard.pages.labels import efficiency, learning_figures, small_curves, strategies
from leaderboard.pages.labels.strategy_words import STRATEGIES
from tests.builders import efficiency as build

DATASETS = {name: describe_dataset(name) for name in ("cells_a", "cells_b", "cells_c")}
NBSP = "\u00a0"


def test_a_passed_zero_shot_score_is_told_in_whole_labels_per_class():
    document = build.efficiency(zero_shot=0.55)
    document["labels_to"]["zero_shot"] = {"labels": 10.1, "low": 7.0, "high": 16.0, "state": "reached"}
    assert efficiency.zero_shot_words(document) == (
        f"With 4 labels per class a linear head on this encoder passes its own zero-shot score (55.0{NBSP}%)."
    )
    document["labels_to"]["zero_shot"]["labels"] = 9.0  # three of each of three classes, and not one more
    assert "With 3 labels per class" in efficiency.zero_shot_words(document)


@pytest.mark.parametrize(("zero_shot", "begins"), [
    (0.1, "Already with 1 label per class"), (0.97, "Up to 32 labels per class"),
    (None, "It has no zero-shot score"),
])  # fmt: skip
def test_every_state_of_the_zero_shot_target_has_its_sentence(zero_shot, begins):
    assert efficiency.zero_shot_words(build.efficiency(zero_shot=zero_shot)).startswith(begins)


def test_not_reached_is_no_number_and_names_the_largest_budget():
    document = build.efficiency(skill=0.3)
    cell = efficiency.needed(document["labels_to"]["eighty_percent"], document["budgets"][-1]["labels"])
    assert (cell["text"], cell["beside"]) == ("not reached", "with 96")
    assert "80\u00a0% balanced accuracy is not reached with 32 labels per class." in efficiency.eighty_words(document)


@pytest.mark.parametrize(("found", "text", "beside"), [
    ({"state": "reached", "labels": 12.2, "low": 8.6, "high": 20.4}, "13", "9–20"),
    ({"state": "reached", "labels": 12.0, "low": 8.6, "high": None}, "12", "9 to more than 96"),
    ({"state": "from the first", "labels": 3.0, "low": 3.0, "high": 3.0}, f"≤{NBSP}3", ""),
    ({"state": "not applicable", "labels": None, "low": None, "high": None}, "–", "no zero-shot score"),
])  # fmt: skip
def test_labels_needed_round_up_and_an_open_end_is_said(found, text, beside):
    cell = efficiency.needed(found, 96)
    assert (cell["text"], cell["beside"]) == (text, beside)


def test_over_datasets_the_first_sentence_says_where_it_passes_and_where_not():
    documents = [build.efficiency("cells_a"), build.efficiency("cells_b", skill=0.2, zero_shot=0.9),
                 build.efficiency("cells_c", zero_shot=None)]  # fmt: skip
    first, second = efficiency.sentences(documents, DATASETS)
    assert re.fullmatch(r".* on 1 of 2 datasets, with \d+ labels? per class; not on Cells b\.", first)
    assert "significantly more than common labels on 3 of 3 datasets." in second


def test_a_gain_is_as_strong_as_its_interval():
    assert "gives 3.0 points: significant" in efficiency.choice_words(build.efficiency(gain=0.03))
    assert "costs 3.0 points: significant" in efficiency.choice_words(build.efficiency(gain=-0.03))
    assert "no significant difference (+0.5 points" in efficiency.choice_words(build.efficiency(gain=0.005))


def test_ranked_datasets_come_first_and_those_without_a_budget_are_named():
    small = build.efficiency("cells_b", per_class=(), ranked=False, reason="too few images")
    unranked = build.efficiency("cells_a", ranked=False, reason="too few sources")
    shown = efficiency.shown([small, unranked, build.efficiency("cells_c")], DATASETS)
    assert [row["title"] for row in shown["rows"]] == ["Cells c", "Cells a"]
    assert shown["unmeasured"] == [("Cells b", "too few images")]


def test_a_small_curve_stands_where_its_numbers_say():
    document = build.efficiency(per_class=(1, 2, 4))
    drawn = small_curves.draw(document, build.PER_CLASS)
    assert drawn is not None
    left, top, right, bottom = drawn.box
    xs = [x for x, _ in drawn.same.points]
    assert xs[0] == left and xs[2] - xs[1] == pytest.approx(xs[1] - xs[0], abs=0.11)  # doubling is one step
    assert xs[-1] < right  # the budgets of other datasets go on
    for (_, y), budget in zip(drawn.own.points, document["budgets"], strict=True):
        shown = (bottom - y) / (bottom - top)
        assert shown == pytest.approx(budget["own"]["balanced_accuracy"]["estimate"], abs=0.001)
    assert drawn.chance == pytest.approx(bottom - (bottom - top) / 3, abs=0.06)
    assert small_curves.draw(build.efficiency(per_class=()), build.PER_CLASS) is None


def test_a_figure_holds_each_model_once_and_leaves_missing_budgets_open():
    whole = learning_figures.Named(name="a", labels=[1, 2, 4], scores=[0.5, 0.6, 0.7], level=0.4)
    short = learning_figures.Named(name="b", labels=[1, 2], scores=[0.3, 0.4])
    figure = learning_figures.choice_of_curves({"x": [whole, short], "y": [short]}, "labels per class")
    assert list(figure["series"]) == ["a", "b"] and list(figure["choices"]["y"]) == ["b"]
    assert figure["choices"]["x"]["a"] == [[40.0, 40.0], [50.0, 60.0, 70.0]]
    assert figure["choices"]["x"]["b"] == [[None, None], [30.0, 40.0, None]]
    alone = learning_figures.without_choice(figure, "x")
    of_whole, of_short = ([each["y"] for each in alone["data"][place : place + 2]] for place in (0, 2))
    assert of_whole == [[40.0, 40.0], [50.0, 60.0, 70.0]] and of_short == [[None, None], [30.0, 40.0, None]]


def test_curves_are_told_apart_without_colour():
    many = [learning_figures.Named(name=f"m{n}", labels=[1, 2], scores=[0.1, 0.2]) for n in range(12)]
    data = learning_figures.curves(many, "labels held")["data"]
    marks = {(trace["line"]["dash"], trace["marker"]["symbol"]) for trace in data}
    assert len(marks) == 12


def test_every_strategy_has_a_plain_line():
    assert set(STRATEGIES) == set(Strategy)


def test_strategies_stand_by_mean_rank_with_their_gain_on_one_scale():
    shown = strategies.shown(build.comparison())
    assert [row["title"] for row in shown["rows"]][:2] == ["DropQuery", "TypiClust"]
    gains = {row["title"]: row for row in shown["rows"]}
    assert gains["DropQuery"]["significant"] and not gains["Margin"]["significant"]
    assert gains["Coreset"]["saving"] == "not reached" and gains["DropQuery"]["p"] == "<\u00a0.001"
    margin, coreset = (float(gains[name]["drawn"]["point"].rstrip("%")) for name in ("Margin", "Coreset"))
    assert margin > 50 > coreset


def test_the_matrix_is_ordered_as_the_table_and_opposite_cells_mirror():
    document = build.comparison()
    shown = strategies.shown(document)
    titles = [row["title"] for row in shown["matrix"]]
    assert titles == [row["title"] for row in shown["rows"]]
    cells = [row["cells"] for row in shown["matrix"]]
    for i in range(len(cells)):
        assert cells[i][i] is None
        for j in range(i):
            assert (cells[i][j]["wins"], cells[i][j]["losses"]) == (cells[j][i]["losses"], cells[j][i]["wins"])
    last_first = cells[-1][0]
    assert last_first["text"].startswith("−") and last_first["css"].startswith("loss")


def test_the_answer_is_as_strong_as_the_intervals():
    assert strategies.best_words(build.comparison()) == (
        "3 of 5 strategies are significantly better than random choice, 1 significantly worse; DropQuery gains most."
    )
    none = build.comparison(gains={"random": 0.0, "margin": 0.001})
    assert strategies.best_words(none) == "None of 1 strategies is significantly better than random choice here."
