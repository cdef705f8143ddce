"""The bounds: the published numbers, attained where the paper says so, never broken."""

import math

import numpy as np
import pytest
import torch

from lossbook.experiments import consistency
from lossbook.experiments.consistency import (
    Config,
    attained_excess,
    best_logits,
    conditional_risk,
    inverse_transform,
    random_excess,
    simple_inverse,
    transform,
)

TAUS = (0.0, 0.3, 0.5, 0.9, 1.0, 1.2, 1.5, 1.9, 2.0, 3.0)
GAPS = np.linspace(0, 1, 101)
each_tau = pytest.mark.parametrize("tau", TAUS)


@pytest.mark.parametrize(
    ("tau", "expected"), [(0, 0.2), (0.5, 0.186963), (1, 0.192745), (1.5, 0.235029), (2, 0.3), (3, 0.075)]
)
def test_the_transform_has_its_worked_values(tau, expected):
    assert float(transform(tau, 2, 0.6)) == pytest.approx(expected, abs=5e-7)


@each_tau
@pytest.mark.parametrize("classes", [2, 10])
def test_the_transform_rises_from_zero_and_is_convex(tau, classes):
    values = transform(tau, classes, GAPS)
    assert values[0] == 0
    assert (np.diff(values) > 0).all()
    assert (np.diff(values, 2) > -1e-14).all()


def test_the_number_of_classes_counts_above_one_only():
    for tau in (0.0, 0.5, 1.0):
        assert np.array_equal(transform(tau, 2, GAPS), transform(tau, 1000, GAPS))
    for tau in (1.5, 2.0, 3.0):
        ratio = transform(tau, 2, GAPS[1:]) / transform(tau, 1000, GAPS[1:])
        assert np.allclose(ratio, 500 ** (tau - 1), rtol=1e-12)


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_the_branches_meet(tau):
    for near in (tau - 1e-5, tau + 1e-5):
        assert np.abs(transform(near, 3, GAPS) - transform(tau, 3, GAPS)).max() < 1e-4


@pytest.mark.parametrize("tau", [tau for tau in TAUS if tau <= 2])
def test_the_construction_attains_the_transform(tau):
    found = attained_excess(tau, torch.from_numpy(GAPS)).numpy()
    assert np.abs(found - transform(tau, 2, GAPS)).max() < 1e-12


def test_above_two_the_bound_holds_but_is_not_attained():
    found = attained_excess(3, torch.tensor([0.6], dtype=torch.float64)).item()
    assert found == pytest.approx(0.275, abs=1e-9)
    assert found > transform(3, 2, 0.6) + 0.19


def test_a_plain_grid_of_probabilities_finds_the_same_least_risk():
    # p from 1e-6 to 1 − 1e-6; the risk written out for two classes at τ = 0: η/p + (1−η)/(1−p) − 1
    p = np.linspace(1e-6, 1 - 1e-6, 2_000_001)
    risk = 0.8 / p + 0.2 / (1 - p) - 1
    assert risk[p <= 0.5].min() - risk.min() == pytest.approx(attained_excess(0, torch.tensor([0.6])).item(), abs=1e-6)


@each_tau
def test_the_risk_is_the_expected_loss_class_by_class(tau):
    generator = torch.Generator().manual_seed(0)
    eta = torch.softmax(torch.randn(5, 4, generator=generator).double(), -1)
    logits = torch.randn(5, 4, generator=generator).double()
    for i in range(5):
        p = torch.softmax(logits[i], -1).tolist()
        expected = sum(
            eta[i, y].item() * (-math.log(p[y]) if tau == 1 else (p[y] ** (tau - 1) - 1) / (1 - tau)) for y in range(4)
        )
        assert conditional_risk(tau, eta, logits)[i].item() == pytest.approx(expected, rel=1e-12)


@each_tau
def test_no_scores_have_less_risk_than_the_best_ones(tau):
    generator = torch.Generator().manual_seed(0)
    eta = torch.softmax(torch.randn(20, 4, generator=generator).double(), -1)
    least = conditional_risk(tau, eta, best_logits(tau, eta))
    for scale in (0.01, 0.3, 3.0, 30.0):
        for start in (best_logits(min(tau, 1.9), eta), torch.zeros_like(eta)):
            other = start + scale * torch.randn(200, 20, 4, generator=generator).double()
            assert (conditional_risk(tau, eta, other) >= least - 1e-12).all()


@each_tau
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_random_scores_do_not_break_the_bound(tau, classes):
    zero_one, surrogate = random_excess(tau, classes, 2000, torch.Generator().manual_seed(0))
    assert (transform(tau, classes, zero_one.numpy()) <= surrogate.numpy() + 1e-12).all()
    assert (zero_one > 0).float().mean() > 0.2  # wrong decisions, which the bound is about


@each_tau
@pytest.mark.parametrize("classes", [2, 10])
def test_the_inverse_undoes_the_transform(tau, classes):
    # the transform goes like b² at 0, so its rounding error of 1e-16 is 1e-8 in b
    assert np.abs(inverse_transform(tau, classes, transform(tau, classes, GAPS)) - GAPS)[1:].max() < 1e-10
    assert inverse_transform(tau, classes, 0.0) < 1e-7
    assert inverse_transform(tau, classes, 2 * transform(tau, classes, 1.0)) == 1
    assert inverse_transform(tau, classes, math.inf) == 1


@each_tau
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_the_simple_inverse_is_never_below_the_exact_one(tau, classes):
    excess = transform(tau, classes, GAPS)
    assert (simple_inverse(tau, classes, excess) >= GAPS - 1e-12).all()


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 1.5])
def test_for_small_gaps_between_two_classes_the_simple_inverse_loses_a_known_factor(tau):
    # T ≈ b²/(2^τ (2−τ)) near 0 for τ ≤ 1: exact; for 1 < τ < 2 it is b²/(2 C^{τ−1} (2−τ)), so 1/√(2−τ) is lost
    gap = 1e-3
    ratio = float(simple_inverse(tau, 2, transform(tau, 2, gap))) / gap
    assert ratio == pytest.approx(1 if tau <= 1 else 1 / math.sqrt(2 - tau), rel=1e-4)


def test_a_run_is_a_tidy_table_of_both_checks():
    config = Config(taus=(0.5, 1.5), gaps=5, classes=(2, 3), points=40)
    run = consistency.run(config, progress=False)
    counts = run.history.groupby(["tau", "setting", "classes"]).size()
    assert counts.to_dict() == {
        (tau, setting, classes): count
        for tau in (0.5, 1.5)
        for setting, classes, count in (("construction", 2, 5), ("random", 2, 40), ("random", 3, 40))
    }
    assert list(run.history.columns[:5]) == ["setting", "tau", "classes", "seed", "step"]
    assert (run.history.excess_surrogate >= run.history["transform"] - 1e-12).all()


def test_the_seed_alone_sets_the_run():
    first, again, other = (
        consistency.run(Config(gaps=3, points=10, seed=s), progress=False).history for s in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.drop(columns="seed").equals(other.drop(columns="seed"))


BAD = [
    (transform, (-0.1, 2, 0.5), ValueError, "tau: got -0.1, expected a finite number >= 0"),
    (transform, ("1", 2, 0.5), TypeError, "tau: got '1'"),
    (transform, (1, 1, 0.5), ValueError, "classes: got 1, expected an integer >= 2"),
    (transform, (1, 2.5, 0.5), TypeError, "classes: got 2.5"),
    (transform, (1, 2, 1.5), ValueError, r"gap: got 1.5, expected numbers in \[0, 1\]"),
    (transform, (1, 2, math.nan), ValueError, "gap: got nan"),
    (inverse_transform, (1, 2, -0.1), ValueError, "excess: got -0.1, expected numbers >= 0"),
    (simple_inverse, (1, 2, math.nan), ValueError, "excess: got nan"),
]


@pytest.mark.parametrize(("function", "arguments", "error", "message"), BAD)
def test_bad_input_is_named(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(*arguments)
