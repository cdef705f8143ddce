"""Brier's score and the spherical one: their formulas, what a lie costs, and what proper is a word about."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from lossbook import LinearLogits
from lossbook.losses import (
    brier_loss,
    comp_sum_loss,
    cross_entropy,
    focal_loss,
    generalized_cross_entropy,
    spherical_score_loss,
)

SCORES = (cross_entropy, brier_loss, spherical_score_loss)
CLASSES = 4
scores = st.lists(st.floats(-30, 30), min_size=2, max_size=6)


def simplex(count, generator, classes=CLASSES):
    return torch.softmax(1.5 * torch.randn(count, classes, dtype=torch.float64, generator=generator), -1)


def expected(loss, report, truth, **parameters):
    """The expected loss of each report: one value a row."""
    every = report.log()[:, None].expand(-1, report.shape[-1], -1)
    target = torch.arange(report.shape[-1]).expand(len(report), -1)
    return (truth * loss(every, target, reduction="none", **parameters)).sum(-1)


def excess(loss, report, truth):
    return expected(loss, report, truth) - expected(loss, truth, truth)


@given(scores=scores)
def test_both_are_their_formulas_term_by_term(scores):
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    p = [weight / sum(weights) for weight in weights]
    logits, target = torch.tensor([scores], dtype=torch.float64), torch.tensor([0])
    brier = (p[0] - 1) ** 2 + sum(share**2 for share in p[1:])
    spherical = 1 - p[0] / math.sqrt(sum(share**2 for share in p))
    # p has an error of a few ε, the largest exponent of 60 rounds to 60 ε
    assert float(brier_loss(logits, target)) == pytest.approx(brier, abs=1e-13)
    assert float(spherical_score_loss(logits, target)) == pytest.approx(spherical, abs=1e-13)


def test_of_two_classes_brier_is_twice_scikit_learn_s(generator):
    p = simplex(50, generator, classes=2)
    labels = torch.randint(2, (50,), generator=generator)
    found = float(brier_loss(p.log(), labels))
    assert found == pytest.approx(2 * brier_score_loss(labels.numpy(), p[:, 1].numpy()), rel=1e-12)


@pytest.mark.parametrize("loss", SCORES, ids=lambda loss: loss.__name__)
def test_every_lie_costs(loss, generator):
    truth, report = simplex(2000, generator), simplex(2000, generator)
    apart = (truth - report).abs().sum(-1) > 0.05
    assert bool((excess(loss, report, truth)[apart] > 1e-6).all())
    near = torch.softmax(truth.log() + 1e-3 * torch.randn(truth.shape, dtype=torch.float64, generator=generator), -1)
    assert bool((excess(loss, near, truth) > -1e-15).all())


def test_a_lie_costs_the_divergence_that_each_score_is_known_for(generator):
    truth, report = simplex(500, generator), simplex(500, generator)
    prices = {
        cross_entropy: (truth * (truth / report).log()).sum(-1),
        brier_loss: (truth - report).square().sum(-1),
        spherical_score_loss: truth.norm(dim=-1) - (truth * report).sum(-1) / report.norm(dim=-1),
    }
    for loss, price in prices.items():
        assert torch.allclose(excess(loss, report, truth), price, rtol=0, atol=1e-14)


def test_that_is_the_bregman_divergence_of_what_the_truth_costs(generator):
    """Savage: L(p, π) is the tangent of H at p, read at π."""
    truth, report = simplex(500, generator), simplex(500, generator).requires_grad_()
    costs = {
        cross_entropy: lambda p: -(p * p.log()).sum(-1),
        brier_loss: lambda p: 1 - p.square().sum(-1),
        spherical_score_loss: lambda p: 1 - p.norm(dim=-1),
    }
    for loss, cost in costs.items():
        assert torch.allclose(cost(truth), expected(loss, truth, truth), rtol=0, atol=1e-14)
        (slope,) = torch.autograd.grad(cost(report).sum(), report)
        tangent = cost(report) + (slope * (truth - report)).sum(-1)
        assert torch.allclose(tangent, expected(loss, report.detach(), truth), rtol=0, atol=1e-13)


def test_the_spherical_score_is_half_of_generalised_cross_entropy_at_twice_the_logits(generator):
    logits, target = 5 * torch.randn(200, 6, dtype=torch.float64, generator=generator), torch.arange(200) % 6
    found = spherical_score_loss(logits, target, reduction="none")
    for other in (
        generalized_cross_entropy(2 * logits, target, q=0.5, reduction="none"),
        comp_sum_loss(2 * logits, target, tau=1.5, reduction="none"),
    ):
        assert torch.allclose(found, other / 2, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("q", [0.25, 0.5, 0.8])
def test_generalised_cross_entropy_rests_at_the_truth_sharpened(q, generator):
    truth = simplex(50, generator)
    sharp = truth ** (1 / (1 - q))
    logits = (sharp / sharp.sum(-1, keepdim=True)).log().requires_grad_()
    target = torch.arange(CLASSES).expand(50, -1)
    each = generalized_cross_entropy(logits[:, None].expand(-1, CLASSES, -1), target, q=q, reduction="none")
    (force,) = torch.autograd.grad((truth * each).sum(), logits)
    assert float(force.abs().max()) < 1e-14


def test_focal_loss_asks_for_less_than_the_truth_and_the_two_scores_do_not(generator):
    truth = torch.tensor([[0.7, 0.3]], dtype=torch.float64)
    reports = torch.linspace(0.01, 0.99, 981, dtype=torch.float64)
    both = torch.stack([reports, 1 - reports], -1)
    least = {loss: float(reports[expected(loss, both, truth).argmin()]) for loss in (*SCORES, focal_loss)}
    assert least.pop(focal_loss) < 0.65
    assert list(least.values()) == pytest.approx([0.7] * 3, abs=1e-3)  # the mesh


def test_the_logarithm_alone_is_local_and_convex():
    """Two reports that give the right class the same: Brier and the spherical score tell them apart."""
    pair = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.49, 0.01]], dtype=torch.float64).log()
    target = torch.zeros(2, dtype=torch.long)
    gaps = {loss: float(loss(pair, target, reduction="none").diff().abs()) for loss in SCORES}
    assert gaps[cross_entropy] < 1e-15
    assert min(gaps[brier_loss], gaps[spherical_score_loss]) > 0.05


def test_a_sure_mistake_costs_the_bound_and_hardly_pulls():
    logits = torch.tensor([[-60.0, 60.0, 0.0]], dtype=torch.float64, requires_grad=True)
    for loss, bound in ((brier_loss, 2.0), (spherical_score_loss, 1.0)):
        value = loss(logits, torch.tensor([0]))
        (pull,) = torch.autograd.grad(value, logits)
        assert float(value.detach()) == pytest.approx(bound, abs=1e-15)
        assert float(pull.abs().max()) < 1e-20


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_the_spherical_score_doubles_linear_logits_and_their_cap(softcap, generator):
    features, weight = (torch.randn(n, 3, dtype=torch.float64, generator=generator) for n in (7, 5))
    linear = LinearLogits(features, weight, torch.ones(5).double(), softcap=softcap)
    target = torch.arange(7) % 5
    held = spherical_score_loss(linear.materialize(), target)
    assert float(spherical_score_loss(linear, target)) == pytest.approx(float(held), rel=1e-14)
