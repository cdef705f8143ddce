"""The Gram engine: equal to the logits it never forms, and cheaper than forming them."""

import pytest
import torch
from cases import DTYPES, Watch, linear, parts
from torch.autograd import gradcheck, gradgradcheck

from lossbook import LinearLogits, row_statistics
from lossbook.kernels import gram

NAMES = tuple(sorted(gram.NAMES))
ROWS, CLASSES, DIMENSION = 9, 30, 5
biases = pytest.mark.parametrize("bias", [False, True])


def as_gram(logits, **changes):
    options = {"engine": "gram"} | changes
    return LinearLogits(logits.features, logits.weight, logits.bias, **options)


def total(logits, target, coefficients):
    found = row_statistics(logits, target, NAMES)
    return sum((getattr(found, name) * c).sum() for name, c in zip(NAMES, coefficients, strict=True))


@biases
def test_statistics_and_gradients_are_those_of_the_logits_held(bias, generator):
    logits = linear(generator, (ROWS,), CLASSES, DIMENSION, bias=bias)
    target = torch.randint(CLASSES, (ROWS,), generator=generator)
    coefficients = torch.randn(len(NAMES), ROWS, dtype=torch.float64, generator=generator)
    found, wanted = (total(z, target, coefficients) for z in (as_gram(logits), logits.materialize()))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    both = (torch.autograd.grad(value, parts(logits)) for value in (found, wanted))
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_first_and_second_derivatives_are_those_of_finite_differences(generator):
    tensors = parts(linear(generator, (3,), 4, 2))
    target = torch.tensor([0, 3, -100])

    def variance_and_score(*tensors):
        found = row_statistics(LinearLogits(*tensors, engine="gram"), target, ("variance", "target", "square_sum"))
        return found.variance, found.target, found.square_sum

    assert gradcheck(variance_and_score, tensors)
    assert gradgradcheck(variance_and_score, tensors)


def test_an_offset_that_all_scores_share_costs_the_variance_no_digits(generator):
    """Σz²/V − μ² would keep about one digit here: 1e8 times float32's 6e-8, against a variance near 5."""
    logits = linear(generator, (ROWS,), CLASSES, DIMENSION, dtype=torch.float32)
    moved = as_gram(logits, engine="gram")
    moved = LinearLogits(moved.features, moved.weight, moved.bias.detach() + 1e4, engine="gram")
    exact = LinearLogits(*(part.detach().double() for part in (moved.features, moved.weight, moved.bias)))
    wanted = row_statistics(exact.materialize(), None, ("variance",)).variance
    found = row_statistics(moved, None, ("variance",)).variance
    # The offsets themselves are float32 numbers near 1e4, exact in both; what is left are a few roundings.
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sums_are_taken_in_float32_at_least(dtype, generator):
    logits = linear(generator, (ROWS,), CLASSES, DIMENSION, dtype=dtype)
    found = row_statistics(as_gram(logits), None, ("variance", "sum"))
    exact = LinearLogits(*(part.detach().double() for part in parts(logits)))
    wanted = row_statistics(exact.materialize(), None, ("variance", "sum"))
    limit = 1e-12 if dtype == torch.float64 else 1e-4  # the parts are exact in float32; sums of 30 products of 5
    torch.testing.assert_close(found.variance.double(), wanted.variance, rtol=limit, atol=limit)
    torch.testing.assert_close(found.sum.double(), wanted.sum, rtol=limit, atol=limit)


def test_nothing_as_large_as_the_logits_is_made_and_the_products_do_not_grow_with_rows_times_classes(generator):
    rows, classes, dimension = 2048, 2048, 8
    logits = linear(generator, (rows,), classes, dimension)
    target = torch.randint(classes, (rows,), generator=generator)
    with Watch() as watch:
        statistics = row_statistics(as_gram(logits), target, ("variance", "target"))
        torch.autograd.grad((statistics.variance + statistics.target).sum(), parts(logits))
    assert watch.largest <= max(rows, classes) * dimension
    assert watch.multiplications <= 6 * (rows + classes) * dimension**2
    assert watch.multiplications < rows * classes * dimension / 5


def test_it_serves_unasked_where_it_is_cheaper_and_only_there(generator):
    target = torch.zeros(64, dtype=torch.long)
    wide, narrow = linear(generator, (64,), 256, 2), linear(generator, (64,), 8, 32)
    for logits, formed in ((wide, False), (narrow, True)):
        with Watch() as watch:
            row_statistics(LinearLogits(*parts(logits)), target, ("variance", "target"))
        assert (watch.largest >= logits.shape.numel()) == formed or logits is narrow
    assert gram.is_faster(_linear(wide))
    assert not gram.is_faster(_linear(narrow))


def _linear(logits):
    from lossbook.kernels import Linear

    return Linear(*parts(logits), None, None, 1)


@pytest.mark.parametrize(("names", "options"), [(("logsumexp",), {}), (("variance",), {"softcap": 30.0})])
def test_what_it_cannot_give_is_refused(names, options, generator):
    logits = as_gram(linear(generator, (ROWS,), CLASSES), **options)
    with pytest.raises(ValueError, match=r"engine: got 'gram', expected .*the loss needs"):
        row_statistics(logits, None, names)
