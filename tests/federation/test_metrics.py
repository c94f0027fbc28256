"""Metrics from summed histograms, beside scikit-learn's from the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from fedhealth.federation import metrics, score_histogram, total
from fedhealth.model import sigmoid

ENDS = {f"{name}{end}" for name in ("auroc", "calibration_slope", "calibration_intercept") for end in ("_low", "_high")}
UNDEFINED = {"auroc", "auroc_bound", "auprc", "calibration_slope", "calibration_intercept", *ENDS}


def measure(risk, y, threshold=0.3):
    return metrics(score_histogram(np.asarray(risk, dtype=np.float64), np.asarray(y, dtype=np.float64), threshold))


def scored(n, seed, slope=1.0, intercept=0.0):
    """Risks, and labels drawn from risks whose logits are ``intercept + slope`` times theirs."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 1.5, n)
    return sigmoid(logit), (rng.random(n) < sigmoid(intercept + slope * logit)).astype(np.float64)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [30, 300, 5000])
def test_metrics_are_those_of_scikit_learn(seed, n):
    risk, y = scored(n, seed)
    found = measure(risk, y)
    assert abs(found.auroc - roc_auc_score(y, risk)) <= found.auroc_bound + 1e-12
    assert found.auprc == pytest.approx(average_precision_score(y, risk), abs=0.02)
    assert found.brier == pytest.approx(brier_score_loss(y, risk), abs=1e-12)
    assert found.log_loss == pytest.approx(log_loss(y, risk), abs=1e-12)
    assert found.accuracy == pytest.approx(np.mean((risk >= 0.5) == (y == 1)))
    assert found.sensitivity == pytest.approx(np.mean(risk[y == 1] >= 0.3))
    assert found.specificity == pytest.approx(np.mean(risk[y == 0] < 0.3))
    assert (found.n, found.prevalence) == (n, pytest.approx(y.mean()))


scores = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60)


@given(scores)
def test_auroc_lies_within_its_bound_and_losses_are_exact(pairs):
    risk, y = np.array([p[0] for p in pairs]), np.array([float(p[1]) for p in pairs])
    found = measure(risk, y)
    assert found.brier == pytest.approx(np.mean((risk - y) ** 2), abs=1e-8)
    if 0 < y.sum() < len(y):
        assert abs(found.auroc - roc_auc_score(y, risk)) <= found.auroc_bound + 1e-12
        assert 0 <= found.auroc <= 1
        assert 0 < found.auprc <= 1
    assert all(v is None or np.isfinite(v) for v in found.as_dict().values())


@given(scores, st.integers(0, 99))
def test_metrics_do_not_depend_on_how_rows_lie_at_nodes(pairs, seed):
    risk, y = np.array([p[0] for p in pairs]), np.array([float(p[1]) for p in pairs])
    place = np.random.default_rng(seed).integers(3, size=len(y))
    parts = total([score_histogram(risk[place == i], y[place == i], 0.3) for i in range(3)])
    together, apart = measure(risk, y).as_dict(), metrics(parts).as_dict()
    for name, value in together.items():
        if name.startswith("calibration") and value is not None and abs(value) > 20:
            continue  # separable: the slope has no finite value
        expected = value if value is None else pytest.approx(value, rel=1e-6, abs=1e-9)
        assert apart[name] == expected, name


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.3), (1.6, -0.4)])
def test_the_calibration_line_is_that_of_a_direct_fit(slope, intercept):
    risk, y = scored(20_000, seed=1, slope=slope, intercept=intercept)
    logit = np.log(risk / (1 - risk))

    def loss(line):
        margin = line[0] + line[1] * logit
        gap = sigmoid(margin) - y
        return np.mean(np.logaddexp(0, margin) - y * margin), [gap.mean(), (gap * logit).mean()]

    direct = minimize(loss, [0.0, 1.0], jac=True, options={"gtol": 1e-9}).x
    found = measure(risk, y)
    assert found.calibration_intercept == pytest.approx(direct[0], abs=2e-3)
    assert found.calibration_slope == pytest.approx(direct[1], abs=2e-3)
    assert found.calibration_slope == pytest.approx(slope, abs=0.08)


HALF_A_BIN = 0.025 / 4  # of risk, where a bin of 0.05 on the logit is widest


def test_calibration_error_by_hand():
    assert measure([0.3] * 10, [1] * 5 + [0] * 5).ece == pytest.approx(0.2, abs=HALF_A_BIN)
    assert measure([0.5] * 10, [1] * 5 + [0] * 5).ece == pytest.approx(0.0, abs=HALF_A_BIN)
    # Two groups, one 0.1 too high and one 0.2 too low.
    risk, y = [0.2] * 50 + [0.6] * 50, [1] * 5 + [0] * 45 + [1] * 40 + [0] * 10
    assert measure(risk, y).ece == pytest.approx(0.15, abs=HALF_A_BIN)


def test_calibration_error_of_honest_risks_is_small_and_of_spoilt_ones_large():
    risk, y = scored(20_000, seed=2)
    assert measure(risk, y).ece < 0.012
    assert measure(np.minimum(risk * 1.5, 0.999), y).ece > 0.05


def test_by_hand():
    found = measure([0.9, 0.8, 0.4, 0.1], [1, 0, 1, 0], threshold=0.4)
    assert found.auroc == pytest.approx(0.75)
    assert found.auroc_bound == 0
    assert 0 < found.auroc_low < 0.75 < found.auroc_high < 1
    squares = np.array([0.01, 0.64, 0.36, 0.01])
    half = 1.959964 * squares.std(ddof=1) / 2
    assert (found.brier_low, found.brier_high) == pytest.approx((0.255 - half, 0.255 + half))
    assert found.auprc == pytest.approx((1 + 2 / 3) / 2)
    assert found.brier == pytest.approx((0.01 + 0.64 + 0.36 + 0.01) / 4)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.2, 0.4, 0.9]).mean())
    assert (found.accuracy, found.sensitivity, found.specificity) == (0.5, 1.0, 0.5)
    assert (found.n, found.prevalence) == (4, 0.5)


def test_one_and_the_same_risk_for_all_tells_nothing():
    found = measure([0.2] * 10, [1] * 3 + [0] * 7)
    assert (found.auroc, found.auroc_bound) == (0.5, 0.5)
    assert found.auprc == pytest.approx(0.3)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_label_leaves_ranking_undefined_and_the_rest_defined(label):
    found = measure([0.1, 0.4, 0.7], [label] * 3).as_dict()
    expected = {*UNDEFINED, "specificity" if label else "sensitivity"} - ({"auprc"} if label else set())
    undefined = {name for name, value in found.items() if value is None}
    assert undefined | {"auprc"} == expected | {"auprc"}
    assert found["n"] == 3
    assert found["brier"] == pytest.approx(np.mean((np.array([0.1, 0.4, 0.7]) - label) ** 2))


def test_no_rows_leave_everything_undefined():
    found = measure([], []).as_dict()
    assert found.pop("n") == 0
    assert set(found.values()) == {None}


def test_certain_risks_are_finite():
    found = measure([0.0, 1.0, 0.0, 1.0], [0, 1, 1, 0])
    assert np.isfinite(found.log_loss)
    assert found.auroc == pytest.approx(0.5)


def test_separable_labels_do_not_warn_or_crash():
    found = measure(np.linspace(0.01, 0.99, 40), np.arange(40) >= 20)
    assert found.auroc == pytest.approx(1.0, abs=0.01)
