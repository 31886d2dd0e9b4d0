"""Target domains: what is understood, and what is refused with every problem at once."""

import pytest

from evaluator.analyses.target import check_target, parse_target, target_document, target_rows
from evaluator.errors import InputError
from evaluator.release.schema import Split
from evaluator.scoring.index import build_index
from tests.builders.tables import make_tables


def test_values_of_one_facet_are_alternatives() -> None:
    assert parse_target(["stain=IHC", "domain=pathology", "stain=H&E", "stain=IHC"]) == {
        "domain": ("pathology",), "stain": ("H&E", "IHC"),
    }  # fmt: skip
    assert parse_target(["scale = a=b"]) == {"scale": ("a=b",)}
    assert parse_target([]) == {}


def test_every_part_that_is_wrong_is_named() -> None:
    with pytest.raises(InputError) as error:
        parse_target(["domain", "=x", "stain=", "colour=red", "domain=pathology"])
    assert [(p.code, p.field) for p in error.value.problems] == [("target", "target")] * 4
    assert "'domain'" in error.value.problems[0].message and "colour" in error.value.problems[3].message


def test_unknown_values_are_named_beside_the_known_ones() -> None:
    known = {"domain": ("biology", "pathology"), "stain": ()}
    check_target({"domain": ("pathology",)}, known)
    with pytest.raises(InputError) as error:
        check_target({"domain": ("pathologie", "biology"), "stain": ("H&E",), "scale": ("x",)}, known)
    assert [p.code for p in error.value.problems] == ["target_unknown_value", "target_unknown_value", "target"]
    assert "biology, pathology" in error.value.problems[0].message


def test_rows_inside_are_those_whose_item_has_a_value_of_every_facet() -> None:
    tables = make_tables(items=40, sources=10)
    index = build_index(tables.info, Split.TEST, tables.questions, tables.key)
    items = {(row["dataset"], row["image_id"]): row for row in tables.key.to_pylist()}
    target = {"modality": ("light",), "stain": ("H&E", "DAPI")}
    wanted = []
    for dataset, image in zip(*(tables.questions[name].to_pylist() for name in ("dataset", "image_id")), strict=True):
        item = items[dataset, image]
        wanted.append(item["modality"] == "light" and item["stain"] in ("H&E", "DAPI"))
    assert target_rows(index, target).tolist() == wanted


def test_no_target_is_shown_as_none() -> None:
    assert target_document(None) is target_document({}) is None
    assert target_document({"stain": ("b", "a")}) == {"stain": ["a", "b"]}
