"""Smooth ECE: the atlas's numbers, its bounds, relplot's values, and an integral known by other means."""

import itertools
import math

import numpy as np
import pytest
import relplot
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from lossbook.metrics import expected_calibration_error, smooth_ece, smooth_ece_at, smooth_reliability

QUARTERS = torch.tensor([0.25, 0.25, 0.75, 0.75]).double(), torch.tensor([0.0, 1.0, 0.0, 1.0])
forecasts = st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=1, max_size=20)
bandwidths = st.sampled_from([0.003, 0.02, 0.1, 0.4, 1.0])


def two(pairs):
    return (torch.tensor(column, dtype=torch.float64) for column in zip(*pairs, strict=True))


def drawn(n, generator, exponent=1.0):
    forecast, chance = torch.rand(2, n, dtype=torch.float64, generator=generator)
    return forecast, (chance < forecast**exponent).double()


def smoothed(u, forecast, residual, s):
    """The smoothed residual at points u, by images, in numpy."""
    images = [2 * k + sign * forecast for k in range(-3, 4) for sign in (1, -1)]
    return sum(norm.pdf(np.asarray(u)[..., None], image, s) for image in images) @ residual / len(residual)


def by_zeros(forecast, residual, s):
    """∫|r| between the zeros of r, each found by bisection, with the primitive in closed form."""
    u = np.linspace(0, 1, 4001)
    value = smoothed(u, forecast, residual, s)
    zeros = [
        brentq(lambda x: smoothed(x, forecast, residual, s), u[j], u[j + 1], xtol=1e-14)
        for j in np.flatnonzero(value[:-1] * value[1:] < 0)
    ]
    ends = np.array([0.0, *zeros, 1.0])
    images = [(2 * k, sign) for k in range(-3, 4) for sign in (1, -1)]
    primitive = sum(norm.cdf(ends[:, None], shift + sign * forecast, s) for shift, sign in images) @ residual
    return np.abs(np.diff(primitive)).sum() / len(residual)


@pytest.mark.parametrize("s", [0.02, 0.1, 0.3, 1.0])
def test_it_is_the_integral_between_the_zeros_of_the_smoothed_residual(s, generator):
    forecast, outcome = drawn(40, generator)
    wanted = by_zeros(forecast.numpy(), (forecast - outcome).numpy(), s)
    found = float(smooth_ece_at(forecast, outcome, bandwidth=s))
    # a cell of s/32 that a zero divides is taken as straight: off by (1/32)³/12 of the residual's change over s
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("s", "wanted"), [(0.02, 0.25), (0.1, 0.2469), (0.2, 0.1971), (0.5, 0.0655)])
def test_two_groups_with_opposite_errors_give_the_atlas_s_numbers(s, wanted):
    assert round(float(smooth_ece_at(*QUARTERS, bandwidth=s)), 4) == wanted


def test_their_fixed_point_is_where_error_and_width_meet():
    found = smooth_ece(*QUARTERS)
    assert round(found, 4) == 0.1982
    assert float(smooth_ece_at(*QUARTERS, bandwidth=found)) == pytest.approx(found, abs=1e-9)


@given(value=st.floats(0, 1), outcomes=st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=20), s=bandwidths)
def test_one_forecast_alone_is_off_by_its_distance_from_the_mean_at_every_width(value, outcomes, s):
    forecast, outcome = torch.full((len(outcomes),), value, dtype=torch.float64), torch.tensor(outcomes).double()
    distance = abs(value - float(outcome.mean()))
    assert float(smooth_ece_at(forecast, outcome, bandwidth=s)) == pytest.approx(distance, abs=1e-10)
    if distance > 1e-3 or distance < 1e-6:
        assert smooth_ece(forecast, outcome) == pytest.approx(distance, abs=1e-9)


def test_a_constant_of_seven_tenths_where_half_come_true_is_off_by_two():
    always = torch.tensor([0.7, 0.7], dtype=torch.float64)
    assert smooth_ece(always, torch.tensor([0.0, 1.0])) == pytest.approx(0.2, abs=1e-9)


def test_perfectly_calibrated_groups_are_not_off():
    forecast = torch.tensor([0.0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 1.0]).double()
    outcome = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    assert smooth_ece(forecast, outcome) < 1e-12


@given(pairs=forecasts, s=bandwidths)
def test_it_lies_between_the_mean_residual_and_the_mean_absolute_one(pairs, s):
    forecast, outcome = two(pairs)
    residual = forecast - outcome
    found = float(smooth_ece_at(forecast, outcome, bandwidth=s))
    assert abs(float(residual.mean())) - 1e-7 <= found <= float(residual.abs().mean()) + 1e-7


@given(pairs=forecasts)
def test_a_wider_kernel_never_finds_more(pairs):
    given = [*two(pairs)]
    found = [float(smooth_ece_at(*given, bandwidth=s)) for s in (0.003, 0.01, 0.05, 0.2, 0.7, 2.0)]
    assert all(wide <= narrow + 1e-6 for narrow, wide in itertools.pairwise(found))  # the integral's error


def test_either_side_of_a_half_bins_see_a_half_and_a_kernel_next_to_nothing():
    near, known = torch.tensor([0.5 - 1e-6, 0.5 + 1e-6]).double(), torch.tensor([0.0, 1.0])
    assert expected_calibration_error(near, known, bins=10) == pytest.approx(0.5, abs=2e-6)
    assert f"{float(smooth_ece_at(near, known, bandwidth=0.1)):.0e}" == "4e-06"
    for apart, wanted in ((1e-6, 6.3e-4), (1e-4, 6.3e-3), (1e-2, 6.2e-2)):
        pair = torch.tensor([0.5 - apart, 0.5 + apart]).double()
        assert smooth_ece(pair, known) == pytest.approx(wanted, rel=0.01)  # two digits are given: like √apart


@pytest.mark.parametrize("s", [0.05, 0.3])
def test_at_a_fixed_width_a_nudge_moves_it_by_no_more_than_the_bound_and_bins_jump(s, generator):
    forecast, outcome = drawn(200, generator)
    for size in (1e-6, 1e-3, 0.1):
        moved = (forecast + size * (torch.rand(200, generator=generator).double() - 0.5)).clamp(0, 1)
        change = float(smooth_ece_at(moved, outcome, bandwidth=s) - smooth_ece_at(forecast, outcome, bandwidth=s))
        worst = float((forecast - outcome).abs().max())
        bound = float((moved - forecast).abs().mean()) * (1 + math.sqrt(2 / math.pi) * worst / s)
        assert abs(change) <= bound + 1e-7


def test_order_and_copies_change_nothing(generator):
    forecast, outcome = drawn(300, generator)
    found = smooth_ece(forecast, outcome)
    order = torch.randperm(300, generator=generator)
    assert smooth_ece(forecast[order], outcome[order]) == pytest.approx(found, abs=1e-9)
    assert smooth_ece(forecast.repeat(3), outcome.repeat(3)) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_it_is_relplot_s_fixed_point_to_three_thousandths(exponent, generator):
    forecast, outcome = drawn(2000, generator, exponent)
    assert smooth_ece(forecast, outcome) == pytest.approx(relplot.smECE(forecast.numpy(), outcome.numpy()), abs=3e-3)


@pytest.mark.parametrize("s", [0.01, 0.03, 0.08])
def test_at_small_widths_it_is_relplot_s(s, generator):
    """Their kernel is cut off at half of the interval, which is far away at these; they round to a mesh."""
    forecast, outcome = drawn(1000, generator)
    theirs = float(relplot.smECE_sigma(forecast.numpy(), outcome.numpy(), sigma=s))
    assert float(smooth_ece_at(forecast, outcome, bandwidth=s)) == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize(("s", "theirs"), [(0.2, 0.1998), (0.5, 0.1403)])
def test_at_wide_ones_relplot_cuts_its_kernel_off_and_finds_more(s, theirs):
    found = float(relplot.smECE_sigma(QUARTERS[0].numpy(), QUARTERS[1].numpy(), sigma=s))
    assert found == pytest.approx(theirs, abs=5e-4)
    assert found > float(smooth_ece_at(*QUARTERS, bandwidth=s)) + 2e-3


def test_of_a_calibrated_forecaster_it_falls_with_the_number_of_predictions(generator):
    small, large = (np.mean([smooth_ece(*drawn(n, generator)) for _ in range(5)]) for n in (100, 10_000))
    assert large < small / 2


def test_its_gradient_by_the_forecasts_is_that_of_differences(generator):
    forecast, outcome = drawn(30, generator)
    forecast.requires_grad_()
    (slope,) = torch.autograd.grad(smooth_ece_at(forecast, outcome, bandwidth=0.1), forecast)
    way = torch.randn(30, dtype=torch.float64, generator=generator)
    step = 1e-5
    with torch.no_grad():
        ends = [float(smooth_ece_at(forecast + side * step * way, outcome, bandwidth=0.1)) for side in (1, -1)]
    # the integral's own error, 1e-6 or less, hardly moves over such a step
    assert float(slope @ way) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-2, abs=1e-4)


def test_the_curve_is_a_ratio_of_kernel_sums_and_its_density_integrates_to_one(generator):
    forecast, outcome = drawn(60, generator)
    found = smooth_reliability(forecast, outcome, bandwidth=0.07, points=41)
    u = np.linspace(0, 1, 41)
    density = smoothed(u, forecast.numpy(), np.ones(60), 0.07)
    assert found.density.tolist() == pytest.approx(density.tolist(), abs=1e-12)
    curve = smoothed(u, forecast.numpy(), outcome.numpy(), 0.07) / density
    assert found.accuracy.tolist() == pytest.approx(curve.tolist(), abs=1e-10)
    assert found.error == pytest.approx(float(smooth_ece_at(forecast, outcome, bandwidth=0.07)))
    whole = smooth_reliability(forecast, outcome, bandwidth=0.07, points=1025).density
    assert float(torch.trapezoid(whole, dx=1 / 1024)) == pytest.approx(1, abs=1e-9)


def test_where_nothing_was_predicted_there_is_no_curve():
    found = smooth_reliability(torch.tensor([0.9, 0.95]).double(), torch.ones(2), bandwidth=0.01, points=11)
    assert found.accuracy[:8].isnan().all()
    assert found.accuracy[9] == pytest.approx(1, abs=1e-9)


def test_the_band_is_of_resampled_curves_and_holds_the_truth_where_it_should(generator):
    """At 21 points 95 % bands of the smoothed truth: 19.95 on average; far fewer would be a band that is too narrow."""
    held = []
    for _ in range(10):
        forecast, outcome = drawn(1500, generator)
        found = smooth_reliability(forecast, outcome, bandwidth=0.05, points=21, resamples=100, generator=generator)
        truth = smooth_reliability(forecast, forecast, bandwidth=0.05, points=21).accuracy  # outcomes at their means
        held.append(float(((found.low <= truth) & (truth <= found.high)).double().mean()))
        assert bool((found.low <= found.high).all())
    assert np.mean(held) > 0.85


def test_the_same_generator_gives_the_same_band(generator):
    given = drawn(100, generator)
    bands = [
        smooth_reliability(*given, resamples=20, points=9, generator=torch.Generator().manual_seed(3)).low
        for _ in range(2)
    ]
    assert torch.equal(*bands)


def test_a_hundred_thousand_predictions_are_no_trouble(generator):
    assert smooth_ece(*drawn(100_000, generator, 2.0)) == pytest.approx(1 / 6, abs=0.005)
