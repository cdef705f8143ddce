"""Every claim of every record, True or False, held numerically at many settings of its parameters."""

import math

import pytest
import torch
from cases import (
    ALL,
    BY_RECORD,
    ERROR,
    LOGITS,
    MARGIN,
    RECORDS,
    SETS,
    claimed,
    draw,
    extremes,
    keywords,
    named,
    settings,
    steepness,
    values,
)
from torch import Tensor

over_records = pytest.mark.parametrize(("record", "parameters"), **BY_RECORD)
over_records_but_sets = pytest.mark.parametrize(
    ("record", "parameters"),
    [case for case in ALL if case[0].inputs != "sets"],  # how steep those can be depends on how many there are
    ids=[named(*case) for case in ALL if case[0].inputs != "sets"],
)
BEYOND = 50.0  # a loss or a gradient that passes it at the far points counts as unbounded
NEARLY = 0.995  # of a supremum must be reached on the grid


def cases(records, claim):
    """The settings at which something is claimed."""
    found = [
        (record, parameters, claimed(getattr(record.properties, claim), parameters))
        for record in records
        for parameters in settings(record)
    ]
    found = [case for case in found if case[2] is not None]
    return pytest.mark.parametrize(
        ("record", "parameters", "holds"), found, ids=[f"{named(*case[:2])} {case[2]}" for case in found]
    )


@over_records
def test_no_loss_passes_its_bounds(record, parameters, generator):
    lower = claimed(record.properties.lower, parameters)
    upper = claimed(record.properties.upper, parameters)
    for inputs in [draw(record, generator), *extremes(record)]:
        found = values(record, inputs, parameters)
        assert bool((found >= lower).all())
        assert upper is None or bool((found <= upper).all())


@over_records
def test_the_upper_bound_is_approached_and_where_there_is_none_the_loss_grows(record, parameters):
    upper = claimed(record.properties.upper, parameters)
    highest = max(float(values(record, inputs, parameters).max()) for inputs in extremes(record))
    assert highest > (BEYOND if upper is None or math.isinf(upper) else NEARLY * upper)


@over_records_but_sets
def test_no_gradient_is_longer_than_the_lipschitz_constant_and_some_nearly_are(record, parameters, generator):
    constant = claimed(record.properties.lipschitz, parameters)
    points = [draw(record, generator), *extremes(record)]
    longest = max(float(steepness(record, inputs, parameters).max()) for inputs in points)
    if constant is None or math.isinf(constant):
        assert longest > BEYOND
    else:
        assert NEARLY * constant <= longest <= constant * (1 + 1e-12)


def pairs(record, generator) -> list[tuple[Tensor, Tensor, tuple[Tensor, ...]]]:
    """Pairs of random points, near and far apart, on random lines and on lines through what a companion holds."""
    first, *rest = draw(record, generator, rows=2000)
    rest = [torch.zeros_like(rest[0])] if record.inputs == "error" else rest
    other = draw(record, generator, rows=2000)[0]
    centre = sum((make(torch.zeros_like(first)) for make in record.companions.values()), torch.zeros_like(first))
    if record.inputs in ("labels", "sets"):  # a companion there is no point of the scores
        centre = torch.zeros_like(first)
    stretch = torch.rand(first.shape[:1] + (1,) * (first.ndim - 1), dtype=first.dtype, generator=generator)
    found = [(scale * first, scale * other, tuple(rest)) for scale in (0.3, 3.0, 30.0)]
    return [*found, *((centre + 3 * first, centre + 3 * sign * stretch * first, tuple(rest)) for sign in (1, -1))]


@cases(RECORDS.values(), "convex")
def test_a_convex_loss_lies_below_its_chords_and_another_somewhere_above(record, parameters, holds, generator):
    worst = math.inf
    for a, b, rest in pairs(record, generator):
        at_a, at_b, between = (values(record, (point, *rest), parameters) for point in (a, b, (a + b) / 2))
        room = ((at_a + at_b) / 2 - between) / (1 + at_a.abs() + at_b.abs())  # relative, as rounding is
        worst = min(worst, float(room.min()))
    assert worst >= -1e-12 if holds else worst < -1e-6


@cases(LOGITS + SETS, "shift_invariant")
def test_a_shift_invariant_loss_does_not_see_a_constant_added_to_the_row(record, parameters, holds, generator):
    logits, target = draw(record, generator, rows=200)
    constant = 10 * torch.randn(200, 1, dtype=torch.float64, generator=generator)
    before, after = (values(record, (z, target), parameters) for z in (logits, logits + constant))
    difference = float(((after - before).abs() / (1 + before.abs())).max())
    assert difference < 1e-12 if holds else difference > 1e-3


@cases(ERROR, "even")
def test_an_even_loss_does_not_see_the_sign_of_the_error(record, parameters, holds):
    error = torch.arange(0.25, 20, 0.25).double()
    zero = torch.zeros_like(error)
    left, right = values(record, (-error, zero), parameters), values(record, (error, zero), parameters)
    assert torch.equal(left, right) is holds


@cases(MARGIN, "calibrated")
def test_a_calibrated_loss_is_least_at_a_score_on_the_likelier_side(record, parameters, holds):
    margin = torch.linspace(-20, 20, 8001).double()
    right, wrong = values(record, (margin,), parameters), values(record, (-margin,), parameters)
    for likely in (0.05, 0.2, 0.4, 0.49, 0.51, 0.6, 0.8, 0.95):
        best = margin[(likely * right + (1 - likely) * wrong).argmin()]
        assert (float(best) * (likely - 0.5) > 0) is holds


@cases(LOGITS, "proper")
def test_a_proper_loss_is_at_rest_in_expectation_where_the_softmax_is_the_truth(record, parameters, holds, generator):
    truth = torch.softmax(torch.randn(50, 4, dtype=torch.float64, generator=generator), -1)
    logits = truth.log().requires_grad_()
    every = logits[:, None].expand(-1, 4, -1)  # each row once for each class that may be right
    loss = record.value(every, torch.arange(4).expand(50, 4), **keywords(record, every, parameters))
    (force,) = torch.autograd.grad((truth * loss).sum(), logits)
    assert float(force.abs().max()) < 1e-12 if holds else float(force.abs().max()) > 1e-3
