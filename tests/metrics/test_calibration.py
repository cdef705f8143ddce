"""Calibration in bins: against other libraries and loops, and what theory says of bins and of Brier's score."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from lossbook.metrics import (
    brier_decomposition,
    calibration_error_plus_width,
    classwise_calibration_error,
    confidence_and_correctness,
    expected_calibration_error,
    interval_calibration_error,
    laplace_kernel_calibration_error,
    maximum_calibration_error,
    reliability_bins,
)
from lossbook.metrics.calibration_distances import shifted_bins_error

ONE = torch.ones(1, dtype=torch.float64)
forecasts = st.lists(
    st.tuples(st.floats(0, 1, allow_subnormal=False), st.sampled_from([0.0, 1.0])), min_size=1, max_size=30
)


def two(pairs):
    return (torch.tensor(column, dtype=torch.float64) for column in zip(*pairs, strict=True))


def drawn(n, generator, exponent=1.0):
    """Uniform forecasts, true with probability f^exponent."""
    forecast, chance = torch.rand(2, n, dtype=torch.float64, generator=generator)
    return forecast, (chance < forecast**exponent).double()


@pytest.fixture
def predictions(generator):
    logits = 2 * torch.randn(400, 5, dtype=torch.float64, generator=generator)
    return logits, torch.randint(5, (400,), generator=generator)


def test_confidence_is_the_largest_softmax_and_correct_its_class(predictions):
    logits, target = predictions
    confidence, correct = confidence_and_correctness(logits, target)
    p = torch.exp(logits) / torch.exp(logits).sum(-1, keepdim=True)
    assert torch.allclose(confidence, p.amax(-1), rtol=1e-14)
    assert correct.tolist() == [float(np.argmax(row) == k) for row, k in zip(logits.numpy(), target, strict=True)]
    shaped = confidence_and_correctness(logits.reshape(20, 20, 5), target.reshape(20, 20))
    assert torch.equal(shaped.confidence.reshape(-1), confidence)


@given(pairs=forecasts, bins=st.integers(1, 12))
def test_binned_error_is_a_loop_over_bins_that_hold_their_upper_edges(pairs, bins):
    edges = np.linspace(0, 1, bins + 1)
    total = largest = 0.0
    for b in range(bins):
        held = [(c, t) for c, t in pairs if edges[b] < c <= edges[b + 1] or (b == 0 and c == 0)]
        gap = abs(sum(c - t for c, t in held))
        total, largest = total + gap / len(pairs), max(largest, gap / max(1, len(held)))
    confidence, correct = two(pairs)
    assert expected_calibration_error(confidence, correct, bins=bins) == pytest.approx(total, abs=1e-14)
    assert maximum_calibration_error(confidence, correct, bins=bins) == pytest.approx(largest, abs=1e-14)


@pytest.mark.parametrize("bins", [1, 10, 15, 40])
def test_it_is_torchmetrics_to_rounding(bins, predictions):
    logits, target = predictions
    given = confidence_and_correctness(logits, target)
    for norm, ours in (("l1", expected_calibration_error), ("max", maximum_calibration_error)):
        theirs = multiclass_calibration_error(torch.softmax(logits, -1), target, 5, n_bins=bins, norm=norm)
        assert ours(*given, bins=bins) == pytest.approx(float(theirs), rel=1e-6)  # theirs sums in float32


@pytest.mark.parametrize("equal_mass", [False, True])
def test_the_diagram_is_scikit_learn_s(equal_mass, generator):
    confidence, correct = drawn(500, generator)
    theirs = calibration_curve(
        correct.numpy(), confidence.numpy(), n_bins=12, strategy="quantile" if equal_mass else "uniform"
    )
    found = reliability_bins(confidence, correct, bins=12, equal_mass=equal_mass)
    filled = found.counts > 0
    for ours, other in zip((found.accuracy, found.confidence), theirs, strict=True):
        assert ours[filled].tolist() == pytest.approx(other.tolist(), abs=1e-14)


def test_it_is_netcal_to_rounding(predictions):
    netcal = pytest.importorskip("netcal.metrics")
    confidence, correct = confidence_and_correctness(*predictions)
    for equal_mass in (False, True):
        theirs = netcal.ECE(12, equal_intervals=not equal_mass).measure(confidence.numpy(), correct.numpy())
        assert expected_calibration_error(confidence, correct, bins=12, equal_mass=equal_mass) == pytest.approx(theirs)


def test_bins_of_equal_mass_hold_equal_numbers_and_keep_ties_together(generator):
    confidence, correct = drawn(600, generator)
    assert reliability_bins(confidence, correct, bins=12, equal_mass=True).counts.tolist() == [50.0] * 12
    tied = torch.tensor([0.2] * 5 + [0.7]).double()
    found = reliability_bins(tied, torch.ones(6), bins=3, equal_mass=True)
    assert found.counts.tolist() == [5, 0, 1]
    shuffled = torch.tensor([3, 5, 0, 1, 4, 2])
    for correct in (torch.tensor([1, 0, 1, 0, 1, 0]), torch.tensor([0, 0, 0, 1, 1, 1])):
        one, other = (
            expected_calibration_error(tied[order], correct[order], bins=3, equal_mass=True)
            for order in (torch.arange(6), shuffled)
        )
        assert one == pytest.approx(other, abs=1e-15)


@given(pairs=forecasts, bins=st.integers(1, 12))
def test_it_lies_between_the_mean_residual_and_the_mean_absolute_one(pairs, bins):
    confidence, correct = two(pairs)
    residual = confidence - correct
    for equal_mass in (False, True):
        found = expected_calibration_error(confidence, correct, bins=bins, equal_mass=equal_mass)
        assert abs(float(residual.mean())) - 1e-12 <= found <= float(residual.abs().mean()) + 1e-12
    assert expected_calibration_error(confidence, correct, bins=1) == pytest.approx(abs(float(residual.mean())))


@given(pairs=forecasts, bins=st.integers(1, 12))
def test_with_its_width_it_is_no_less_than_the_distance_to_a_calibrated_predictor(pairs, bins):
    confidence, correct = two(pairs)
    place = torch.bucketize(confidence, torch.linspace(0, 1, bins + 1).double()[1:-1])
    calibrated = torch.stack([correct[place == b].mean() for b in place.tolist()])
    assert expected_calibration_error(calibrated, correct, bins=500) < 0.2  # it is one: but for values that share a bin
    distance = float((confidence - calibrated).abs().mean())
    assert calibration_error_plus_width(confidence, correct, bins=bins) >= distance - 1e-12


def test_the_discontinuity_of_bins_is_a_half():
    near, known = torch.tensor([0.5 - 1e-6, 0.5 + 1e-6]).double(), torch.tensor([0.0, 1.0])
    assert expected_calibration_error(near, known, bins=10) == pytest.approx(0.5, abs=2e-6)
    assert expected_calibration_error(near, known, bins=9) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("bins", [10, 100])
def test_a_calibrated_forecaster_has_the_error_that_normal_noise_gives(bins, generator):
    """√(2B/(πn)) · π/8; with 20 samples of 4,000 the mean is known to 0.6/√(20 B) of itself or better."""
    found = [expected_calibration_error(*drawn(4000, generator), bins=bins, equal_mass=True) for _ in range(20)]
    formula = math.sqrt(2 * bins / (math.pi * 4000)) * math.pi / 8
    assert np.mean(found) == pytest.approx(formula, rel=3 * 0.75 / math.sqrt(20 * bins) + 0.02)


def test_classwise_error_is_the_mean_of_each_class_alone(predictions):
    logits, target = predictions
    p = torch.softmax(logits, -1)
    each = [expected_calibration_error(p[:, k], (target == k).double(), bins=8) for k in range(5)]
    assert classwise_calibration_error(p, target, bins=8) == pytest.approx(np.mean(each), rel=1e-13)


@given(pairs=forecasts)
def test_murphy_s_decomposition_is_exact_where_each_forecast_is_a_group(pairs):
    coarse = [(round(c, 1), t) for c, t in pairs]
    confidence, correct = two(coarse)
    parts, n = brier_decomposition(confidence, correct), len(coarse)
    base = sum(t for _, t in coarse) / n
    reliability = resolution = 0.0
    for value in {c for c, _ in coarse}:
        group = [t for c, t in coarse if c == value]
        mean = sum(group) / len(group)
        reliability += len(group) / n * (value - mean) ** 2
        resolution += len(group) / n * (mean - base) ** 2
    assert parts.score == pytest.approx(sum((c - t) ** 2 for c, t in coarse) / n, abs=1e-13)
    assert (parts.reliability, parts.resolution) == pytest.approx((reliability, resolution), abs=1e-13)
    assert parts.uncertainty == pytest.approx(base * (1 - base), abs=1e-13)
    assert parts.within == pytest.approx(0, abs=1e-13)
    assert parts.score == pytest.approx(parts.reliability - parts.resolution + parts.uncertainty, abs=1e-13)


@given(pairs=forecasts, bins=st.integers(1, 12))
def test_in_bins_the_terms_within_them_complete_it(pairs, bins):
    confidence, correct = two(pairs)
    parts = brier_decomposition(confidence, correct, bins=bins)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert parts.score == pytest.approx(total, abs=1e-13)
    found = reliability_bins(confidence, correct, bins=bins)
    assert parts.reliability == pytest.approx(float((found.share * found.gap.square()).sum()), abs=1e-14)


@given(pairs=forecasts, width=st.sampled_from([1.0, 0.5, 0.125, 0.01]))
def test_bins_moved_over_all_places_are_the_mean_over_many_shifts(pairs, width):
    confidence, correct = two(pairs)
    residual = (confidence - correct) / len(pairs)
    shifts = (torch.arange(400) + 0.5) / 400 * width
    total = 0.0
    for shift in shifts.tolist():
        place = ((confidence + shift) / width).floor().long()
        total += float(torch.zeros(int(place.max()) + 1).double().index_add(0, place, residual).abs().sum())
    # each of the 2n jumps of the sum, at most 2/n high, is met by one of 400 shifts too early or too late
    assert shifted_bins_error(confidence, residual, width) == pytest.approx(total / 400, abs=4 / 400)


def test_interval_error_of_known_predictors():
    """One value: off by 0.2 at every width, and the narrowest width adds next to nothing."""
    assert interval_calibration_error(0.7 * torch.ones(2), torch.tensor([0.0, 1.0])) == pytest.approx(0.2, abs=1e-5)
    kept = torch.tensor([0.0, 1.0, 1.0, 0.5, 0.5]), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    assert interval_calibration_error(*kept) < 2e-6


@given(pairs=forecasts)
def test_the_laplace_error_is_its_double_sum(pairs):
    total = sum((c - t) * (d - u) * math.exp(-abs(c - d)) for c, t in pairs for d, u in pairs) / len(pairs) ** 2
    found = laplace_kernel_calibration_error(*two(pairs))
    # under the root a difference of terms of about 1: an error of 1e-15 may be all there is
    assert found**2 == pytest.approx(max(total, 0), abs=1e-14)
