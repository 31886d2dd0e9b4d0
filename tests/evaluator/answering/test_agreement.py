"""A run in bf16 says how far it agrees with fp32, and an official run is not slowed by it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaluator.answering import agreement
from evaluator.answering.agreement import agreement_with_fp32
from evaluator.answering.families import contrastive
from evaluator.answering.parts import Resume
from evaluator.answering.progress import StageClock
from evaluator.answering.questions import ask
from evaluator.answering.run import Run, answer_release
from evaluator.answering.settings import BatchSizes, RunSettings
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.encoder import unit_length
from evaluator.encoders.open_clip import OpenClipEncoder
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.weights import TINY

SIZES = BatchSizes(images=4, texts=8)


def run(release: Path, weights: Path, precision: Precision) -> Run:
    settings = RunSettings(device=Device.CPU, precision=precision, sizes=SIZES)
    with open_checkpoint(weights) as file:
        return answer_release(release, Split.TEST, file, get_architecture(TINY), settings)


@pytest.mark.parametrize("items", [5, 256])
def test_share_is_that_of_a_whole_official_run(
    small_release: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, items: int
) -> None:
    monkeypatch.setattr(agreement, "ITEMS", items)
    official, rough = (run(small_release, tiny_weights, precision) for precision in (Precision.FP32, Precision.BF16))
    first = set(read_items(small_release, Split.TEST)["image_id"].to_pylist()[:items])
    compared = np.isin(official.answers["image_id"].to_numpy(zero_copy_only=False), list(first))
    same = official.answers["chosen"].to_numpy() == rough.answers["chosen"].to_numpy()
    assert official.record["agreement"] is None
    found = rough.record["agreement"]
    assert found["rows"] == compared.sum() and 0 < found["rows"] <= len(same)
    assert (found["rows"] == len(same)) == (items == 256)
    assert found["same_choice"] == pytest.approx(same[compared].mean())


@dataclass(frozen=True, kw_only=True)
class Flipping:
    """In bf16 it embeds the images whose first pixel is odd the other way round, so that the worst option is chosen."""

    precision: Precision
    seen: list[tuple[Precision, str, int]]
    context_length: int = 77

    def n_tokens(self, text: str) -> int:
        return len(text)

    def encode_images(self, crops: np.ndarray) -> torch.Tensor:
        self.seen.append((self.precision, "images", len(crops)))
        sign = np.where(crops[:, 0, 0, 0] % 2 == 1, -1, 1) if self.precision is Precision.BF16 else 1
        vectors = [np.random.default_rng(crop.tobytes()[:8].hex().encode()[0]).normal(size=16) for crop in crops]
        return unit_length(torch.from_numpy(np.array(vectors) * np.reshape(sign, (-1, 1))))

    def encode_texts(self, texts: Any) -> torch.Tensor:
        self.seen.append((self.precision, "texts", len(texts)))
        vectors = [[len(text) ** 0.5, *map(float, text.encode()[:15].ljust(15))] for text in texts]
        return unit_length(torch.tensor(vectors))


def test_only_what_is_compared_is_computed_again(small_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "ITEMS", 6)
    items = read_items(small_release, Split.TEST)
    asked = ask(items, read_questions(small_release, Split.TEST), Protocol.CAPTIONS)
    crops = np.random.default_rng(0).integers(0, 256, (items.num_rows, 2, 2, 3), dtype=np.uint8)
    encoder = Flipping(precision=Precision.BF16, seen=[])
    answered = contrastive.answer(encoder, crops, asked, SIZES, StageClock(Family.CONTRASTIVE), Resume())
    official = contrastive.answer(
        replace(encoder, precision=Precision.FP32), crops, asked, SIZES, StageClock(Family.CONTRASTIVE), Resume()
    )
    encoder.seen.clear()
    found = agreement_with_fp32(encoder, crops, asked, answered, SIZES)
    first = asked.image_of < 6
    same = answered.answers["chosen"].to_numpy() == official.answers["chosen"].to_numpy()
    assert found.rows == first.sum() and found.same_choice == pytest.approx(same[first].mean())
    assert 0 < found.same_choice < 1, "some images are flipped and some are not"
    assert {precision for precision, *_ in encoder.seen} == {Precision.FP32}
    assert sum(n for _, what, n in encoder.seen if what == "images") == 6
    pairs = np.repeat(first, np.diff(asked.offsets))
    assert sum(n for _, what, n in encoder.seen if what == "texts") == len(set(asked.text_of[pairs]))


def test_official_run_computes_nothing_twice(
    small_release: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, encode = [], OpenClipEncoder.encode_images
    monkeypatch.setattr(
        OpenClipEncoder, "encode_images", lambda self, crops: (seen.append(len(crops)), encode(self, crops))[1]
    )
    run(small_release, tiny_weights, Precision.FP32)
    assert sum(seen) == read_items(small_release, Split.TEST).num_rows
