"""Metrics of heads and curves against scikit-learn, and against curves worked by hand."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from evaluator.active_learning.experiments import metrics


def draw(seed, m=60, n_classes=5, leading=(), absent=()):
    rng = np.random.default_rng(seed)
    right = rng.choice([c for c in range(n_classes) if c not in absent], m)
    chances = rng.dirichlet(np.ones(n_classes), (*leading, m)).round(2)  # rounded: ties
    return right, chances


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 6))
def test_as_scikit_learn_has_them(seed, m, n_classes):
    right, chances = draw(seed, m, n_classes)
    chosen, present = chances.argmax(axis=-1), np.unique(right)
    recall = sklearn.recall_score(right, chosen, labels=present, average=None)
    assert metrics.accuracy(right, chosen) == pytest.approx(sklearn.accuracy_score(right, chosen))
    assert metrics.balanced_accuracy(right, chosen) == pytest.approx(recall.mean())
    assert metrics.worst_class_recall(right, chosen) == pytest.approx(recall.min())
    f1 = sklearn.f1_score(right, chosen, labels=present, average="macro", zero_division=0)
    assert metrics.macro_f1(right, chosen) == pytest.approx(f1)
    areas = [sklearn.roc_auc_score(right == c, chances[:, c]) for c in present if (right != c).any()]
    found = metrics.macro_auroc(right, chances)
    assert found == pytest.approx(np.mean(areas)) if areas else np.isnan(found)


def test_leading_axes_are_kept():
    right, chances = draw(0, leading=(2, 3), absent=(1,))
    chosen = chances.argmax(axis=-1)
    for metric in (metrics.accuracy, metrics.balanced_accuracy, metrics.worst_class_recall, metrics.macro_f1):
        assert metric(right, chosen).shape == (2, 3)
        assert metric(right, chosen)[1, 2] == metric(right, chosen[1, 2])
    for metric in (metrics.macro_auroc, metrics.calibration_error):
        assert metric(right, chances).shape == (2, 3)
        assert metric(right, chances)[1, 2] == metric(right, chances[1, 2])


def test_a_class_the_head_cannot_name_is_wrong_everywhere():
    right, chosen = np.array([0, 0, 1, -1]), np.array([0, 0, 1, 1])
    assert metrics.accuracy(right, chosen) == 0.75
    assert metrics.balanced_accuracy(right, chosen) == pytest.approx(2 / 3)
    assert metrics.worst_class_recall(right, chosen) == 0
    assert metrics.macro_f1(right, chosen) == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert metrics.macro_auroc(right, np.eye(2)[chosen]) == pytest.approx((1 + 2.5 / 3) / 2)


def test_calibration_error_by_a_loop_over_bins():
    right, chances = draw(3, m=200)
    confidence, is_right = chances.max(axis=1), chances.argmax(axis=1) == right
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - is_right[inside].mean())
    assert metrics.calibration_error(right, chances) == pytest.approx(expected, abs=1e-9)
    certain = np.eye(5)[right]
    assert metrics.calibration_error(right, certain) == 0 and metrics.calibration_error((right + 1) % 5, certain) == 1


def test_classes_found():
    assert metrics.classes_found(np.array([3])) == 1
    assert metrics.classes_found(np.array([[0, 4, 0], [1, 1, 1], [2, 1, 0]])).tolist() == [2, 1, 3]


def test_areas_under_curves_worked_by_hand():
    assert metrics.aulc_linear([20, 40, 80], [[0.2, 0.4, 0.8], [1, 1, 1]]).tolist() == pytest.approx([0.5, 1])
    freed = [0.0, 0.5, 1.0]  # of two classes: 0.5, 0.75, 1
    assert metrics.aulc_log2([2, 4, 32], [0.5, 0.75, 1.0], 2) == pytest.approx(
        (1 * (freed[0] + freed[1]) / 2 + 3 * (freed[1] + freed[2]) / 2) / 4
    )
    assert metrics.aulc_linear([20], [0.3]) == 0.3 and metrics.aulc_log2([20], [0.5], 2) == 0
    with pytest.raises(ValueError, match="ascend"):
        metrics.aulc_linear([20, 20], [0.1, 0.2])


def test_metrics_need_no_torch():
    modules = "evaluator.active_learning.experiments.metrics, evaluator.active_learning.names"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
