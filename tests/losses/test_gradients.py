"""Closed forms against autograd, autograd against differences, and both at the points where losses break."""

import math

import pytest
import torch
from cases import ALL, BY_RECORD, LOGITS, PAIRS, RECORDS, draw, gradient, keywords, named, settings, ties, values
from torch.autograd import gradcheck, gradgradcheck

from lossbook import check_gradient
from lossbook.losses import cross_entropy

over_records = pytest.mark.parametrize(("record", "parameters"), **BY_RECORD)
WITH_CORNERS = {"hinge_loss", "squared_hinge_loss", "zero_one_loss", "absolute_error", "huber_loss", "quantile_loss"}
HOLDS_A_UNIT = {"rescaled_cross_entropy"}  # its gradient leaves out how the unit of the scores moves
ONCE = {record.key for record in PAIRS}  # of linear logits, which refuse second derivatives
SMOOTH = [record for record in RECORDS.values() if record.key not in WITH_CORNERS | ONCE | HOLDS_A_UNIT]
SOFTMAX_ALONE = [
    (record, parameters)
    for record in LOGITS
    for parameters in settings(record)
    if record.family == "comp-sum" and not record.companions and not parameters.get("label_smoothing")
]

# Not here: exp(200/rho), the sum-exponential loss at a hundred, where rho puts the loss itself beyond float64.
IN_RANGE = [case for case in ALL if not (case[1].get("tau") == 0 and case[1].get("rho", 1.0) < 0.3)]


@over_records
def test_the_closed_form_gradient_is_autograds(record, parameters, generator):
    for inputs in (draw(record, generator), ties(record, parameters)):
        largest = float(gradient(record, inputs, parameters).abs().max())
        worst = check_gradient(record, record.slope, *inputs, **keywords(record, inputs[0], parameters))
        assert worst <= 1e-13 * (1 + largest)


@over_records
def test_the_gradient_is_what_finite_differences_say(record, parameters, generator):
    if record.key in HOLDS_A_UNIT:
        pytest.skip("differences see the unit move")
    first, *rest = draw(record, generator, rows=3, classes=4)
    if record.inputs == "logits":
        first = first / 5  # at rho=1/4 the sum-exponential loss is too steep for differences further out
    first.requires_grad_()
    assert gradcheck(lambda moved: values(record, (moved, *rest), parameters), first)


@pytest.mark.parametrize("record", SMOOTH, ids=lambda record: record.key)
def test_the_second_derivative_of_a_smooth_loss_is_what_finite_differences_say(record, generator):
    first, *rest = draw(record, generator, rows=3, classes=4)
    first.requires_grad_()
    assert gradgradcheck(lambda moved: values(record, (moved, *rest), record.defaults), first)


def hundreds(record):
    """All ways to set three scores, two coordinates, a margin or an error to −100, 0 and 100."""
    levels = torch.tensor([-100.0, 0.0, 100.0], dtype=torch.float64)
    if record.inputs == "pairs":
        places = torch.cartesian_prod(levels, levels)
        return places, places.flip(0)
    if record.inputs == "logits":
        rows = torch.cartesian_prod(levels, levels, levels)
        return rows.repeat_interleave(3, 0), torch.arange(3).repeat(len(rows))
    if record.inputs == "sets":
        rows = torch.cartesian_prod(levels, levels, levels)
        return rows, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64).expand_as(rows)
    if record.inputs == "labels":
        return levels.repeat(2), torch.tensor([0.0, 1.0], dtype=torch.float64).repeat_interleave(3)
    return (levels,) if record.inputs == "margin" else (levels, torch.zeros_like(levels))


@pytest.mark.parametrize(("record", "parameters"), IN_RANGE, ids=[named(*case) for case in IN_RANGE])
def test_loss_and_gradient_are_finite_at_a_hundred_and_at_ties(record, parameters):
    for inputs in (hundreds(record), ties(record, parameters)):
        assert bool(values(record, inputs, parameters).isfinite().all())
        assert bool(gradient(record, inputs, parameters).isfinite().all())


@pytest.mark.parametrize(("record", "parameters"), SOFTMAX_ALONE, ids=[named(*case) for case in SOFTMAX_ALONE])
def test_a_wrong_class_at_minus_infinity_is_as_if_it_were_not_there(record, parameters, generator):
    logits, target = draw(record, generator, classes=4)
    masked = torch.cat([logits, torch.full((len(logits), 3), -math.inf)], -1)
    found, pull = values(record, (masked, target), parameters), gradient(record, (masked, target), parameters)
    torch.testing.assert_close(found, values(record, (logits, target), parameters), rtol=1e-14, atol=0)
    torch.testing.assert_close(pull[:, :4], gradient(record, (logits, target), parameters), rtol=1e-13, atol=1e-15)
    assert bool((pull[:, 4:] == 0).all())


def test_a_soft_target_without_mass_on_a_masked_class_does_not_see_it(generator):
    logits = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    soft = torch.softmax(torch.randn(6, 3, dtype=torch.float64, generator=generator), -1)
    soft = torch.cat([soft, torch.zeros(6, 2)], -1)
    masked = logits.clone().index_fill_(-1, torch.tensor([3, 4]), -math.inf).requires_grad_()
    loss = cross_entropy(masked, soft)
    torch.testing.assert_close(loss, cross_entropy(logits[:, :3], soft[:, :3]), rtol=1e-14, atol=0)
    (found,) = torch.autograd.grad(loss, masked)
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4])
def test_cross_entropy_of_huge_scores_is_as_accurate_as_torchs(scale, generator):
    logits = scale * torch.randn(200, 30, generator=generator)
    logits[0], logits[1, :2] = scale, torch.tensor([scale, -scale])
    target = torch.randint(30, (200,), generator=generator)

    def run(function, dtype):
        leaf = logits.to(dtype).requires_grad_()
        loss = function(leaf, target, reduction="none")
        return torch.cat([loss[:, None], torch.autograd.grad(loss.sum(), leaf)[0]], -1).double().detach()

    exact = run(torch.nn.functional.cross_entropy, torch.float64)
    ours, torchs = (
        (run(f, torch.float32) - exact).abs().max() for f in (cross_entropy, torch.nn.functional.cross_entropy)
    )
    assert float(ours) <= 2 * float(torchs)
