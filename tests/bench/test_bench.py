"""The benchmarks' own code: what cannot be measured here at least runs, and the table says what was reported."""

import numpy as np
import pytest
import torch

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.tasks import Data
from tests.bench import bench_active_learning, bench_choices, gpu
from tests.bench.table import Compared, Row, table_of
from tests.builders.mixtures import mixture


def test_without_a_gpu_the_benchmark_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    assert capsys.readouterr().out.startswith("no GPU")


def test_the_gpu_benchmark_runs_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--device", "cpu", "--shapes", "ubench-tiny", "--images", "20", "--batch", "8", "--rounds", "2"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert "20 images, batches of 8" in head
    assert [line.split()[:2] for line in lines] == [["ubench-tiny", "fp32"], ["ubench-tiny", "bf16"]]
    assert all(float(line.split()[2].replace(",", "")) > 0 for line in lines)


def test_the_share_of_a_limit_is_that_of_the_performance_notes() -> None:
    device = torch.device("cpu")
    assert "limit" not in gpu.line("ViT-B-32", gpu.Precision.BF16, [1.0], 790.0, device)
    limits = {name: round(790_000 / gflop, -1) for name, gflop in gpu.GFLOP.items()}
    assert limits == {"ViT-B-32": 89_570, "ViT-B-16": 22_510, "ViT-L-14": 4_880}


def test_choices_are_checked_before_they_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    work = bench_choices.make_workload(200)
    assert bench_choices.check(work) <= bench_choices.TOLERANCE
    monkeypatch.setattr(bench_choices, "cosines", lambda *given: np.zeros(len(work.text_of), np.float32))
    with pytest.raises(AssertionError, match="differ"):
        bench_choices.check(work)


def test_a_goal_is_met_by_the_median_of_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    compared = Compared(ours=[1, 1, 1], loop=[2, 3, 100], ours_cpu=[1, 1, 1], loop_cpu=[4, 4, 4])
    assert (compared.ratio, compared.cpu_ratio) == (3, 4)
    compared.report("P0", "work", 3.0)
    compared.report("P0", "work", 3.1)
    first, second = capsys.readouterr().out.splitlines()
    assert "3.0 x (2.0-100.0; cpu 4.0)" in first and first.endswith("met") and second.endswith("MISSED")


def test_the_table_has_every_row_in_columns() -> None:
    rows = [Row(id="P0", workload="work", ours="1 s", loop="2 s", ratio="2 x", goal="≥ 1 x", met=True),
            Row(id="long id", workload="w", ours="1 s", goal="≤ 0 s", met=False)]  # fmt: skip
    head, first, second = table_of(rows).splitlines()
    assert head.split() == ["id", "workload", "ours", "loop", "ratio", "goal", "met"]
    assert {line.index(cell) for line, cell in ((head, "ours"), (first, "1 s"), (second, "1 s"))} == {19}
    assert first.endswith("met") and second.endswith("MISSED")


def test_runs_are_checked_before_they_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = mixture(n_pool=300, n_test=100, dim=32)
    data = Data(pool=made.train_x, labels=made.train_y, evaluated=made.test_x, n_classes=20)
    monkeypatch.setattr(bench_active_learning, "TOLERANCE", 0.2)
    bench_active_learning.check(data, made.test_y)
    results = iter([bench_active_learning.run(bench_active_learning.a_task(data, Strategy.DROPQUERY, seeds))
                    for seeds in ((1,), (2,))])  # fmt: skip
    monkeypatch.setattr(bench_active_learning, "run", lambda task: next(results))
    with pytest.raises(AssertionError, match="the same ids twice: False"):
        bench_active_learning.check(data, made.test_y)
