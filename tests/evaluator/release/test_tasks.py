"""Names of tasks and facets."""

import math

import pytest

from evaluator.release.tasks import describe_dataset, scale_facet, studies, task_slug, task_title


@pytest.mark.parametrize(
    ("question", "dataset", "slug"),
    [
        ("stain", "bccd_cells", "coarse-stain"),
        ("classification", "bccd_cells", "bccd_cells"),
        ("classification", "my cells/2", "my-cells-2"),
        ("cognition_3", "x", "cognition"),
    ],
)
def test_the_task_of_a_question(question, dataset, slug):
    assert task_slug(question, dataset) == slug


def test_an_unknown_kind_is_a_bug():
    with pytest.raises(ValueError, match="no task"):
        task_slug("weather", "x")


def test_known_and_unknown_datasets():
    assert describe_dataset("acevedo_et_al_2020").title == "White blood cell"
    assert describe_dataset("bccd_cells").title == "BCCD cells"
    assert describe_dataset("my_new_set").taxonomy == "other"
    assert task_title("my_new_set", {"my_new_set": describe_dataset("my_new_set")}) == "My new set"
    assert task_title("coarse-stain", {}) == "Stain"


def test_studies_name_known_datasets():
    assert all(describe_dataset(name).taxonomy != "other" for group in studies() for name in group)


@pytest.mark.parametrize(
    ("microns", "scale"),
    [
        (None, None), (0, None), (-1.0, None), (math.nan, None), (math.inf, None),
        (0.002, "below 0.01 µm per pixel"), (0.01, "0.01 to 0.1 µm per pixel"), (0.25, "0.1 to 1 µm per pixel"),
        (1.0, "1 µm per pixel and above"), (50.0, "1 µm per pixel and above"),
    ],
)  # fmt: skip
def test_scale_bins(microns, scale):
    assert scale_facet(microns) == scale
