"""What an adversary raises: the paper's numbers, loops written out, and what floating point leaves of each."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lossbook import LinearLogits
from lossbook.losses import (
    carlini_wagner_loss,
    cross_entropy,
    logits_ratio_loss,
    probability_margin_loss,
    rescaled_cross_entropy,
)

TOY, RIGHT = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
ATTACKS = (carlini_wagner_loss, logits_ratio_loss, probability_margin_loss, rescaled_cross_entropy)
scores = st.lists(st.floats(-30, 30), min_size=3, max_size=6)


def pull(loss, logits, target, **options):
    leaf = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(leaf, target, reduction="sum", **options), leaf)
    return found


def probabilities(row):
    weights = [math.exp(score - max(row)) for score in row]
    return [weight / sum(weights) for weight in weights]


def drawn(generator, rows=200, classes=5):
    logits = 2 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    return logits, torch.randint(classes, (rows,), generator=generator)


def test_the_probability_margin_gives_the_worked_numbers():
    assert round(float(probability_margin_loss(TOY, RIGHT)), 6) == -0.420512
    found = pull(probability_margin_loss, TOY, RIGHT)[0]
    assert [round(number, 6) for number in found.tolist()] == [-0.385499, 0.347640, 0.037859]
    assert abs(float(found.sum())) < 1e-15


@given(row=scores, target=st.integers(0, 5))
def test_margins_are_their_formulas_class_by_class(row, target):
    assume(target < len(row))
    logits, y = torch.tensor([row], dtype=torch.float64), torch.tensor([target])
    others = [k for k in range(len(row)) if k != target]
    p, best = probabilities(row), max(row[k] for k in others)
    margin = max(p[k] for k in others) - p[target]
    assert math.isclose(float(probability_margin_loss(logits, y)), margin, abs_tol=1e-14)
    assert math.isclose(float(carlini_wagner_loss(logits, y)), best - row[target], abs_tol=1e-14)
    first, _, third = sorted(row, reverse=True)[:3]
    ratio = (best - row[target]) / (first - third if first > third else 1.0)
    assert math.isclose(float(logits_ratio_loss(logits, y)), ratio, rel_tol=1e-12, abs_tol=1e-14)


def test_the_probability_margin_lies_between_minus_one_and_one_and_its_sign_is_the_decision(generator):
    logits, target = drawn(generator)
    margin = probability_margin_loss(logits, target, reduction="none")
    assert bool((margin.abs() < 1).all())
    wrong = logits.argmax(-1) != target
    assert 0 < int(wrong.sum()) < len(target)
    for loss in (probability_margin_loss, carlini_wagner_loss, logits_ratio_loss):
        assert torch.equal(loss(logits, target, reduction="none") > 0, wrong)


def test_its_gradient_is_cross_entropys_of_y_and_of_its_rival_each_by_its_probability(generator):
    logits, target = drawn(generator)
    p = torch.softmax(logits, -1)
    rival = logits.scatter(-1, target[:, None], -math.inf).argmax(-1)
    away, towards = pull(cross_entropy, logits, target), pull(cross_entropy, logits, rival)
    own, other = (p.gather(-1, index[:, None]) for index in (target, rival))
    torch.testing.assert_close(pull(probability_margin_loss, logits, target), own * away - other * towards)


def test_of_two_classes_it_is_the_hyperbolic_tangent_of_half_the_gap(generator):
    logits, target = drawn(generator, classes=2)
    gap = logits.gather(-1, 1 - target[:, None]) - logits.gather(-1, target[:, None])
    margin = probability_margin_loss(logits, target, reduction="none")
    torch.testing.assert_close(margin, torch.tanh(gap[:, 0] / 2), rtol=1e-13, atol=1e-15)
    rival = torch.softmax(logits, -1).gather(-1, 1 - target[:, None])[:, 0]
    torch.testing.assert_close(margin, 2 * rival - 1, rtol=1e-13, atol=1e-15)


def test_ratios_of_scores_see_neither_shift_nor_scale_and_the_cw_margin_grows_with_it(generator):
    logits, target = drawn(generator)
    for loss in (logits_ratio_loss, rescaled_cross_entropy):
        before, after = (loss(z, target, reduction="none") for z in (logits, 100 * logits + 7))
        torch.testing.assert_close(before, after, rtol=1e-9, atol=1e-12)
    grown = carlini_wagner_loss(100 * logits, target, reduction="none")
    torch.testing.assert_close(grown, 100 * carlini_wagner_loss(logits, target, reduction="none"))


def test_in_single_precision_a_large_scale_takes_the_gradient_from_probabilities_only():
    """At a thousandfold every difference of probabilities has underflowed; margins and ratios of scores have not."""
    logits = 1e3 * TOY.float()
    for loss in (cross_entropy, probability_margin_loss):
        assert int(pull(loss, logits, RIGHT).count_nonzero()) == 0
    for loss in (carlini_wagner_loss, logits_ratio_loss, rescaled_cross_entropy):
        assert float(pull(loss, logits, RIGHT)[0, 0]) < 0


def test_at_a_hundredfold_a_gap_of_one_leaves_a_single_denormal_number():
    """The smallest normal number is 1.2e-38, and e^−100 = 3.7e-44."""
    found = pull(cross_entropy, 100 * TOY.float(), RIGHT)[0]
    assert int(found.count_nonzero()) <= 1
    assert float(found.abs().max()) < torch.finfo(torch.float32).tiny
    exact = pull(cross_entropy, 100 * TOY, RIGHT)[0]
    assert float(exact[1]) == pytest.approx(math.exp(-100), rel=1e-12)


def test_a_row_that_is_judged_right_has_a_ratio_between_minus_one_and_zero(generator):
    logits, _ = drawn(generator)
    ratio = logits_ratio_loss(logits, logits.argmax(-1), reduction="none")
    assert bool(((ratio >= -1) & (ratio <= 0)).all())


def test_the_ratio_is_that_of_the_authors_to_what_they_add(generator):
    """Sorted scores, an indicator of whether y is on top, and 1e-12 in the denominator."""
    logits, target = drawn(generator)
    ordered, places = logits.sort(-1)
    on_top = (places[:, -1] == target).double()
    own = logits.gather(-1, target[:, None])[:, 0]
    margin = own - ordered[:, -2] * on_top - ordered[:, -1] * (1 - on_top)
    authors = -margin / (ordered[:, -1] - ordered[:, -3] + 1e-12)
    torch.testing.assert_close(logits_ratio_loss(logits, target, reduction="none"), authors, rtol=1e-9, atol=1e-10)


def test_the_unit_of_rescaled_cross_entropy_is_a_constant_for_its_gradient(generator):
    logits, target = drawn(generator)
    top = logits.topk(2).values
    unit = (top[:, 0] - top[:, 1])[:, None]
    leaf = logits.clone().requires_grad_()
    (held,) = torch.autograd.grad(cross_entropy(leaf / unit, target, reduction="sum"), leaf)
    torch.testing.assert_close(pull(rescaled_cross_entropy, logits, target), held)
    moving = (leaf.topk(2).values[:, :1] - leaf.topk(2).values[:, 1:2]).abs()
    (whole,) = torch.autograd.grad(cross_entropy(leaf / moving, target, reduction="sum"), leaf)
    assert float((whole - held).abs().max()) > 0.1  # the formula's own gradient is another


def test_a_row_judged_right_costs_at_most_the_logarithm_of_one_and_the_others_over_e(generator):
    logits, _ = drawn(generator)
    costs = rescaled_cross_entropy(logits, logits.argmax(-1), reduction="none")
    assert bool((costs <= math.log(1 + 4 / math.e) + 1e-12).all())
    tied = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)  # all others second: the bound is attained
    assert float(rescaled_cross_entropy(tied, RIGHT)) == pytest.approx(math.log(1 + 4 / math.e), rel=1e-14)


@pytest.mark.parametrize("loss", ATTACKS, ids=lambda loss: loss.__name__)
def test_level_rows_have_a_finite_gradient(loss):
    for level in (torch.zeros(1, 4), torch.tensor([[3.0, 3.0, 3.0, -5.0]])):
        for y in range(4):
            assert bool(pull(loss, level, torch.tensor([y])).isfinite().all())


def test_a_class_alone_has_no_rival():
    for loss in (carlini_wagner_loss, probability_margin_loss, rescaled_cross_entropy):
        assert float(loss(torch.tensor([[3.0]]), RIGHT)) == 0
        assert float(pull(loss, torch.tensor([[3.0]]), RIGHT)) == 0


@pytest.mark.parametrize("loss", ATTACKS, ids=lambda loss: loss.__name__)
def test_of_linear_logits_it_is_what_it_is_of_logits(loss, generator):
    features, weight = torch.randn(7, 3, generator=generator), torch.randn(5, 3, generator=generator)
    target = torch.randint(5, (7,), generator=generator)
    linear = LinearLogits(features, weight, memory_budget=2 * 5 * 4)
    torch.testing.assert_close(loss(linear, target), loss(features @ weight.T, target))
