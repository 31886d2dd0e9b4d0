"""Figures and words of the analyses' documents, apart from any page."""

import json

import pytest

from evaluator.release.paper import benchmark_datasets
from evaluator.release.paper_merges import paper_merges
from evaluator.release.tasks import describe_dataset
from leaderboard.pages import figures
from leaderboard.pages.tuned import curves, forgetting, merging
from tests.builders import analyses

DATASETS = {name: describe_dataset(name) for name in analyses.FINE}


def trace(figure: figures.Figure, name: str) -> dict:
    [found] = [each for each in figure.data if each.get("name") == name]
    return found


def test_a_curve_holds_the_documents_numbers_in_percent():
    document = analyses.interpolation(broken=(0.95,))
    curve = figures.alpha_curve(document)
    inside = trace(curve, "inside the target")
    assert inside["x"] == [point["alpha"] for point in document["alphas"]] and 0.95 not in inside["x"]
    assert inside["y"] == pytest.approx([100 * point["inside"]["estimate"] for point in document["alphas"]], abs=0.006)
    assert curve.layout["shapes"][0]["x0"] == 0.35
    assert trace(curve, "ensemble of both (macro)")["line"]["dash"] == "dot"


def test_a_band_is_the_paired_interval_around_the_base():
    document = analyses.interpolation()
    low, high = figures.alpha_curve(document).data[:2]
    base = document["alphas"][0]["inside"]["estimate"]
    assert low["y"][0] == high["y"][0] == pytest.approx(100 * base, abs=0.006)  # closed at α = 0
    last = document["alphas"][-1]["inside"]["delta"]
    assert (low["y"][-1], high["y"][-1]) == pytest.approx(
        (100 * (base + last["low"]), 100 * (base + last["high"])), abs=0.006
    )
    assert high["fill"] == "tonexty" and low["hoverinfo"] == "skip"


def test_the_choice_that_varies_most_comes_first_and_groups_follow_each_other():
    choices = curves.choices_of(analyses.interpolation(), DATASETS)
    assert [choice.group for choice in choices] == ["coarse tasks"] * 5 + ["fine tasks"] * 2 + [
        "modality", "stain", "stain",
    ]  # fmt: skip
    assert curves.liveliest(choices).key == analyses.LIVELIEST
    assert [line.series.key for line in choices[7].lines] == ["fine", "coarse"]


def test_what_a_choice_draws_is_the_documents_numbers_rounded_to_a_tenth():
    document = analyses.interpolation(broken=(0.95,))
    figure = curves.shown(document, DATASETS)["figure"]
    level, low, high, line = figure["choices"]["cells_b"]["task"]
    cells = [point["tasks"][-1] for point in document["alphas"]]
    base = cells[0]["accuracy"]["estimate"]
    assert line == [round(100 * cell["accuracy"]["estimate"], 1) for cell in cells] and level == [line[0]] * 2
    assert low == pytest.approx([100 * (base + cell["delta"]["low"]) for cell in cells], abs=0.051)
    assert high == pytest.approx([100 * (base + cell["delta"]["high"]) for cell in cells], abs=0.051)
    traces = figure["series"]["task"]
    assert [len(trace["x"]) for trace in traces] == [2, 20, 20, 20] and traces[2]["fill"] == "tonexty"


def test_a_band_ends_where_accuracies_end():
    document = analyses.interpolation()
    for point in document["alphas"]:
        point["tasks"][0] |= {"accuracy": analyses.change(0.02), "delta": analyses.change(0.0, 0.05)}
    _, low, high, _ = curves.shown(document, DATASETS)["figure"]["choices"]["coarse-domain"]["task"]
    assert set(low) == {0.0} and set(high) == {7.0}


def test_a_large_release_keeps_its_figure_small():
    """Thirty tasks and a hundred facet values, as the largest releases have: tens of kilobytes before compression."""
    document = analyses.interpolation()
    for point in document["alphas"]:
        point["tasks"] = point["tasks"][:5] + [point["tasks"][5]] * 25
        point["facets"] = [point["facets"][0] | {"value": str(number)} for number in range(100)]
    figure = curves.shown(document, DATASETS)["figure"]
    assert len(json.dumps(figure)) < 90_000 and len(figure["choices"]) == 106


def test_without_a_target_coarse_stands_against_fine_and_there_is_no_frontier():
    document = analyses.interpolation(target=None)
    names = {each.get("name") for each in figures.alpha_curve(document).data}
    assert {"coarse tasks", "fine tasks", "all tasks (macro)"} <= names and "inside the target" not in names
    assert figures.frontier(document, []) is None


def test_without_dev_nothing_is_chosen():
    document = analyses.interpolation(dev=False)
    assert "shapes" not in figures.alpha_curve(document).layout
    shown = merging.shown(document, DATASETS)
    assert "no dev split" in shown["sentences"][0] and not shown["rules"] and not shown["figures"]


def test_the_papers_points_are_drawn_where_its_datasets_are():
    document = analyses.interpolation()
    assert paper_merges(set(benchmark_datasets()) - {"kather_et_al_2016"}) == []
    published = paper_merges(benchmark_datasets())
    alone, beside = figures.frontier(document, []), figures.frontier(document, published)
    assert alone is not None and beside is not None
    drawn = [each for each in beside.data if str(each.get("name")).startswith("paper")]
    assert len(drawn) == 4 and sum(each["showlegend"] for each in drawn) == 2
    points = {name: (x, y) for each in drawn if "fine" in each["name"]
              for name, x, y in zip(each["customdata"], each["x"], each["y"], strict=True)}  # fmt: skip
    assert points["OpenCLIP+PLIP"] == (50.0, 30.9) and points["QuiltNet"] == (43.1, 26.6)
    assert "all tasks" in {each.get("name") for each in beside.data}  # what their y is
    assert not any(str(each.get("name")).startswith("paper") for each in alone.data)


def test_gains_carry_intervals_on_both_axes():
    row = figures.Gain(name="a", base="b", inside={"estimate": 0.1, "low": 0.04, "high": 0.18},
                       retained={"estimate": 0.8, "low": 0.7, "high": 0.85})  # fmt: skip
    [drawn] = figures.gains([row]).data
    assert (drawn["x"], drawn["y"]) == ([10.0], [80.0])
    assert (drawn["error_x"]["array"], drawn["error_x"]["arrayminus"]) == ([8.0], [6.0])
    assert (drawn["error_y"]["array"], drawn["error_y"]["arrayminus"]) == ([5.0], [10.0])


def test_no_text_of_a_figure_holds_markup():
    """Plotly would make inline styles of it, which the content security policy refuses."""
    made = (figures.alpha_curve(analyses.interpolation()),
            figures.frontier(analyses.interpolation(), paper_merges(benchmark_datasets())))  # fmt: skip
    single = curves.shown(analyses.interpolation(), DATASETS)["figure"]
    assert "<" not in json.dumps(single).replace("<extra></extra>", "")
    for figure in made:
        assert figure is not None
        assert "<" not in json.dumps(figure.as_json()).replace("<extra></extra>", "")


@pytest.mark.parametrize(("delta", "css"), [
    (0.0, ""), (0.0099, ""), (0.01, "gain1"), (-0.05, "loss2"), (-0.1, "loss3"), (0.2, "gain4"), (-0.9, "loss4"),
])  # fmt: skip
def test_the_stronger_the_change_the_stronger_the_colour(delta, css):
    assert forgetting.tint(delta) == css


def test_a_bound_that_touches_zero_is_not_significant():
    headline = analyses.forgetting()["headline"]
    headline["outside"]["delta"] = {"estimate": -0.02, "low": -0.04, "high": 0.0}
    assert "not significant" in forgetting.sentences(headline, has_target=True)[0]
    headline["outside"]["delta"] = {"estimate": 0.02, "low": 0.001, "high": 0.04}
    assert "2.0 points better than its base: significant" in forgetting.sentences(headline, has_target=True)[0]


def test_what_was_not_measured_has_words_and_no_large_number():
    headline = analyses.forgetting(retained=None)["headline"]
    nothing = {"estimate": None, "low": None, "high": None}
    headline["outside"]["delta"] = headline["inside"]["delta"] = nothing
    document = analyses.forgetting() | {"headline": headline}
    shown = forgetting.shown(document, DATASETS)
    assert shown["figures"] == [] and "no task has 10 sources" in shown["sentences"][0]


def test_the_positive_part_stands_only_beside_its_expectation():
    document = analyses.forgetting()
    assert forgetting.shown(document, DATASETS)["positive"]["expected"] == 0.021
    document["headline"]["positive_part"]["expected"] = None
    assert forgetting.shown(document, DATASETS)["positive"] is None


def test_a_merge_no_better_than_a_parent_is_not_advised():
    document = analyses.interpolation(selected=1.0)
    assert "not advised" in merging.sentences(document)[0] and merging.shown(document, DATASETS)["figures"] == []


def test_a_withheld_cell_tells_its_size_alone():
    cell = forgetting.shown_cell(analyses.withheld())
    assert cell["delta"] is None and cell["css"] == "" and not cell["significant"] and cell["n_questions"] == 12
