"""The colour baseline against its definition as loops, by hand, and where it must give up."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluator.release.read import item_ids
from evaluator.release.schema import CLASSIFICATION
from evaluator.scoring.histogram import Pictures, histogram_answers, histograms
from tests.builders.tables import Tables, make_tables


def pictures(tables: Tables, colours: int, rng: np.random.Generator, *, with_sources: bool) -> Pictures:
    """Plain images of few colours, so that many are equally near."""
    ids = item_ids(tables.key).to_pylist()
    shades = rng.integers(0, colours, (len(ids), 2)) * (255 // colours)
    images = [Image.fromarray(np.full((4, 4, 3), [a, b, 7], np.uint8)) for a, b in shades]
    sources = tables.key["source"].to_pylist() if with_sources else None
    return Pictures(ids=ids, sources=sources, histograms=histograms(images))


def slow(dev: Tables, dev_seen: Pictures, asked: Tables, seen: Pictures) -> list[int]:
    """Question by question, every dev item sorted by its similarity."""
    right = {}
    for item, row in zip(item_ids(dev.key).to_pylist(), dev.key.to_pylist(), strict=True):
        for answer in row["answers"]:
            right[item, answer["question"], answer["variant"]] = answer["answer_idx"]
    chosen = []
    for item, row in zip(item_ids(asked.questions).to_pylist(), asked.questions.to_pylist(), strict=True):
        place = seen.ids.index(item)
        ranked = []
        for number, near in enumerate(zip(item_ids(dev.questions).to_pylist(), dev.questions.to_pylist(), strict=True)):
            near_item, near_row = near
            there = dev_seen.ids.index(near_item)
            same_task = (near_row["question"], near_row["variant"]) == (row["question"], row["variant"])
            same_set = row["question"] != CLASSIFICATION or near_row["dataset"] == row["dataset"]
            own = seen.sources is not None and seen.sources[place] == dev_seen.sources[there]
            if same_task and same_set and not own:
                alike = sum(math.sqrt(a * b) for a, b in zip(
                    seen.histograms[place] ** 2, dev_seen.histograms[there] ** 2, strict=True) if a and b)  # fmt: skip
                text = near_row["options"][right[near_item, row["question"], row["variant"]]]
                ranked.append((-round(alike, 6), there, number, text))
        texts = [text for *_, text in sorted(ranked)[:50]]
        chosen.append(next((row["options"].index(text) for text in texts if text in row["options"]), -1))
    return chosen


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans())
def test_it_follows_its_definition(seed: int, colours: int, on_dev: bool) -> None:
    rng = np.random.default_rng(seed)
    size = {"items": 24, "kinds": ("stain", CLASSIFICATION), "variants": (None, 1), "sources": 6}
    dev = make_tables(seed=seed, **size)
    dev_seen = pictures(dev, colours, rng, with_sources=True)
    asked = dev if on_dev else make_tables(seed=seed + 1, **size)
    seen = dev_seen if on_dev else pictures(asked, colours, rng, with_sources=False)
    found = histogram_answers(dev.questions, dev.key, dev_seen, asked.questions, seen)["chosen"].to_pylist()
    assert found == slow(dev, dev_seen, asked, seen)


def test_a_histogram_counts_pixels_of_a_colour() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0] = 255, 31, 32
    (row,) = histograms([Image.fromarray(pixels)])
    assert row[0] == pytest.approx(math.sqrt(3 / 4)) and row[7 * 64 + 0 * 8 + 1] == pytest.approx(math.sqrt(1 / 4))
    assert (row**2).sum() == pytest.approx(1) and np.count_nonzero(row) == 2


def test_nothing_is_chosen_where_no_neighbour_helps() -> None:
    """In dev, an item whose own source is the only one has no neighbour."""
    dev = make_tables(items=4, sources=1, kinds=("stain",), variants=(None,))
    seen = pictures(dev, 2, np.random.default_rng(0), with_sources=True)
    assert set(histogram_answers(dev.questions, dev.key, seen, dev.questions, seen)["chosen"].to_pylist()) == {-1}
