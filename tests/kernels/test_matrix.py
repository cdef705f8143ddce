"""Every row loss on every engine in every dtype, against float64 with all logits held."""

import math

import pytest
import torch
from cases import DTYPES, LOGITS, linear, parts, settings

from lossbook import LinearLogits, kernels

# The reward loss forms its few outputs itself.
RECORDS = [r for r in LOGITS if r.statistics and not r.companions and r.key != "reward_prediction_loss"]
ENGINES = ("chunked", "tile", "gram")
MANY_CLASSES = (1, 2, 3, 127, 128, 129, 1000, 32_000, 50_257)
by_record = pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.key)
by_engine = pytest.mark.parametrize("engine", ENGINES)


def serves(engine, record):
    return engine != "gram" or set(record.statistics) <= kernels.gram.NAMES


def on(engine, logits, **options):
    return LinearLogits(*parts(logits), memory_budget=logits.memory_budget, engine=engine, **options)


def run(record, logits, target, leaves, **options):
    """The loss and its gradients, as float64."""
    loss = record.function(logits, target, **options)
    return [part.detach().double() for part in (loss, *torch.autograd.grad(loss.sum(), leaves))]


def exactly(logits):
    return LinearLogits(*(part.detach().double().requires_grad_() for part in parts(logits)))


@by_engine
@by_record
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_error_is_at_most_twice_that_of_the_same_dtype_with_all_logits_held(record, engine, dtype, generator):
    if not serves(engine, record):
        pytest.skip("the Gram engine has only sums")
    logits = linear(generator, (24,), 37, 8, dtype=dtype, rows_per_chunk=5)
    target = torch.randint(37, (24,), generator=generator)
    target[::7] = -100
    exact = exactly(logits)
    wanted = run(record, exact.materialize(), target, parts(exact))
    theirs = run(record, logits.materialize(), target, parts(logits))
    ours = run(record, on(engine, logits), target, parts(logits))
    for name, found, other, truth in zip(("loss", "features", "weight", "bias"), ours, theirs, wanted, strict=True):
        error, allowed = float((found - truth).norm()), 2 * float((other - truth).norm())
        # Rounding of the result itself is free; a single number may also be right by luck, and so may float64.
        allowed += (16 if dtype == torch.float64 else 1) * torch.finfo(dtype).eps * float(truth.norm())
        assert error <= allowed, f"{name}: {error:.3g} > {allowed:.3g}"


@by_record
@pytest.mark.parametrize("classes", MANY_CLASSES)
def test_any_number_of_classes_on_every_engine(record, classes, generator):
    logits = linear(generator, (3,), classes, 3, rows_per_chunk=2)
    target = torch.tensor([0, classes - 1, classes // 2])
    wanted = run(record, logits.materialize(), target, parts(logits), reduction="none")
    for engine in ENGINES:
        if serves(engine, record):
            found = run(record, on(engine, logits), target, parts(logits), reduction="none")
            for ours, theirs in zip(found, wanted, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10, equal_nan=True)


@by_engine
@by_record
def test_transposed_strided_and_expanded_parts_and_upstream_gradients_change_nothing(record, engine, generator):
    if not serves(engine, record):
        pytest.skip("the Gram engine has only sums")
    plain = linear(generator, (6,), 10, 4)
    target = torch.randint(10, (6,), generator=generator)
    features = torch.empty(4, 12, dtype=torch.float64).T[::2].copy_(plain.features.detach())
    weight = torch.empty(4, 10, dtype=torch.float64).T.copy_(plain.weight.detach())
    bias = torch.tensor(0.3, dtype=torch.float64).expand(10)
    assert not any(part.is_contiguous() for part in (features, weight, bias))
    strided = torch.randn(2, 6, dtype=torch.float64, generator=generator).T[:, 0]
    upstreams = strided, torch.tensor(2.0).double().expand(6)
    odd = [part.requires_grad_() for part in (features, weight)]
    same = [part.detach().clone(memory_format=torch.contiguous_format).requires_grad_() for part in odd]
    for upstream in upstreams:
        found = record.function(LinearLogits(*odd, bias, engine=engine), target, reduction="none")
        wanted = record.function((same[0] @ same[1].T + bias.contiguous()), target, reduction="none")
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
        made = (torch.autograd.grad(*both, upstream) for both in ((found, odd), (wanted, same)))
        for ours, theirs in zip(*made, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


@by_engine
@by_record
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_same_input_gives_the_same_bits_twice(record, engine, reduction, generator):
    if not serves(engine, record):
        pytest.skip("the Gram engine has only sums")
    logits = linear(generator, (50,), 33, 8, dtype=torch.float32, rows_per_chunk=7)
    target = torch.randint(33, (50,), generator=generator)
    first, second = (run(record, on(engine, logits), target, parts(logits), reduction=reduction) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@by_engine
@by_record
def test_where_no_row_counts_the_loss_and_all_gradients_are_zero_even_of_nan(record, engine, generator):
    if not serves(engine, record):
        pytest.skip("the Gram engine has only sums")
    logits = linear(generator, (4,), 6)
    with torch.no_grad():
        logits.features.fill_(math.nan)
    for reduction in ("mean", "sum", "none"):
        found = run(record, on(engine, logits), torch.full((4,), -100), parts(logits), reduction=reduction)
        assert all(float(part.abs().sum()) == 0 for part in found)


@by_record
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("extreme", [1e4, -1e4, "-inf"], ids=str)
def test_extreme_logits_give_what_the_same_logits_held_give(record, dtype, extreme, generator):
    """A feature of 1 against a column of the weight sets one class of every row to the extreme."""
    logits = linear(generator, (5,), 9, 4, dtype=dtype)
    target = torch.tensor([0, 1, 2, 3, 4])
    bias = logits.bias.detach().clone()
    bias[5] = float(extreme)
    made = LinearLogits(logits.features, logits.weight, bias)
    leaves = parts(logits)[:2]
    wanted = run(record, made.materialize(), target, leaves)
    for engine in ("chunked", "tile"):
        found = run(record, LinearLogits(*leaves, bias, engine=engine), target, leaves)
        beyond = not bool(wanted[0].isfinite())  # the sum-exponential loss of e^1e4: no gradient to speak of
        for ours, theirs in zip(found[: 1 if beyond else None], wanted[: 1 if beyond else None], strict=True):
            rtol = 1e-10 if dtype == torch.float64 else 2e-4  # at 1e4 a float32 score is exact to 1e-3 of a nat
            torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol, equal_nan=True)


@by_record
def test_the_gradient_filter_is_taken_where_the_record_allows_it_and_refused_elsewhere(record, generator):
    logits, target = linear(generator, (5,), 9, 4), torch.arange(5)
    filtered = LinearLogits(*parts(logits), engine="tile", gradient_filter=0.0)
    if not record.filterable:
        refused = []
        for setting in settings(record):  # at some it may be a function of log p_y alone
            try:
                record.function(filtered, target, **setting)
            except ValueError as error:
                refused.append(str(error))
        assert refused
        assert all("gradient_filter: got 0.0, expected None" in message for message in refused)
        return
    found, exact = (run(record, z, target, parts(logits)) for z in (filtered, logits))
    for ours, theirs in zip(found, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_the_losses_whose_gradient_may_be_filtered_are_those_of_the_right_probability():
    assert {record.key for record in RECORDS if record.filterable} == {
        record.key for record in RECORDS if set(record.statistics) <= {"log_probability", "target", "logsumexp"}
    }
    assert not any(record.filterable for record in RECORDS if record.key in ("stablemax_cross_entropy", "z_loss"))


@by_engine
def test_a_feature_that_is_nan_makes_its_row_and_the_shared_gradients_nan_as_torch_does(engine, generator):
    record = next(record for record in RECORDS if serves(engine, record))
    logits, target = linear(generator, (4,), 6), torch.arange(4)
    with torch.no_grad():
        logits.features[1, 0] = math.nan
    found = record.function(on(engine, logits), target, reduction="none")
    assert found.isnan().tolist() == [False, True, False, False]
    (weight,) = torch.autograd.grad(found.sum(), logits.weight)
    assert bool(weight.isnan().any())
