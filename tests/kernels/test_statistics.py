"""Each row statistic against a loop written out here, and its gradient against autograd."""

import math

import pytest
import torch

from lossbook import row_statistics
from lossbook.kernels.statistics import (
    NAMES,
    NEED_CLASS_INDEX,
    NEED_SOFT_TARGET,
    Rows,
    accumulation_dtype,
    logits_gradient_,
    values,
    whole,
)

ROWS, CLASSES = 5, 4
BY_CLASS = tuple(name for name in NAMES if name not in NEED_SOFT_TARGET)
BY_MASS = tuple(name for name in NAMES if name not in NEED_CLASS_INDEX)
weightings = pytest.mark.parametrize("weighted", [False, True])


def problem(names, weighted, generator):
    """Rows with the kind of target that the statistics look at."""
    logits = 2 * torch.randn(ROWS, CLASSES, dtype=torch.float64, generator=generator)
    if NEED_SOFT_TARGET.intersection(names):
        target = torch.softmax(torch.randn(ROWS, CLASSES, dtype=torch.float64, generator=generator), -1)
    else:
        target = torch.randint(CLASSES, (ROWS,), generator=generator)
    return Rows(
        logits, target, 0.5 + torch.rand(CLASSES, dtype=torch.float64, generator=generator) if weighted else None
    )


def by_hand(name, row, target, weight):
    """A statistic of one row, score by score. The target is a class or a list of masses."""
    total = 0.0
    for score in row:
        total += math.exp(score)
    log_sum = math.log(total)
    if name in ("target", "log_probability"):
        return row[target] - (log_sum if name == "log_probability" else 0)
    if name in ("logsumexp", "max"):
        return log_sum if name == "logsumexp" else sorted(row)[-1]
    if name == "others_logsumexp":
        return math.log(math.fsum(math.exp(score) for j, score in enumerate(row) if j != target))
    if name in ("mean", "variance"):
        mean = math.fsum(row) / len(row)
        return mean if name == "mean" else math.fsum((score - mean) ** 2 for score in row) / len(row)
    total = 0.0
    for j, score in enumerate(row):
        if name == "sum":
            total += score
        elif name == "square_sum":
            total += score * score
        elif name == "softplus_sum":
            total += math.log(1 + math.exp(score))
        elif name == "stablemax_sum":
            total += score + 1 if score >= 0 else 1 / (1 - score)
        elif name == "entropy":
            total -= math.exp(score - log_sum) * (score - log_sum)
        elif name == "log_probability_sum":
            total += weight[j] * (score - log_sum)
        elif name == "soft_log_probability":
            total += weight[j] * target[j] * (score - log_sum)
    return total


@weightings
@pytest.mark.parametrize("name", NAMES)
def test_each_statistic_is_its_double_loop(name, weighted, generator):
    rows = problem((name,), weighted, generator)
    found = getattr(row_statistics(rows.logits, rows.target, (name,), weight=rows.weight), name)
    weight = [1.0] * CLASSES if rows.weight is None else rows.weight.tolist()
    for i in range(ROWS):
        wanted = by_hand(name, rows.logits[i].tolist(), rows.target[i].tolist(), weight)
        assert math.isclose(float(found[i]), wanted, rel_tol=1e-13)


def gradients(names, rows, coefficients):
    """Of Σ_i Σ_k c_ik statistic_k of row i by the logits: as the engines form it, and by autograd."""
    leaf = rows.logits.clone().requires_grad_()
    found = values(names, rows._replace(logits=leaf))
    total = sum((found[name] * coefficients[name]).sum() for name in names)
    (wanted,) = torch.autograd.grad(total, leaf)
    known = whole(rows, values(names, rows))
    return logits_gradient_(rows._replace(logits=rows.logits.clone()), dict(coefficients), known), wanted


@weightings
@pytest.mark.parametrize("names", [*((name,) for name in NAMES), BY_CLASS, BY_MASS], ids=lambda names: "+".join(names))
def test_the_gradient_of_each_statistic_alone_and_of_all_together_is_autograds(names, weighted, generator):
    rows = problem(names, weighted, generator)
    coefficients = {name: torch.randn(ROWS, dtype=torch.float64, generator=generator) for name in names}
    found, wanted = gradients(names, rows, coefficients)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("names", [BY_CLASS, BY_MASS], ids=lambda names: "+".join(names))
def test_scores_of_minus_infinity_have_the_gradient_of_autograd_where_it_is_defined(names, generator):
    names = tuple(
        name for name in names if name not in ("square_sum", "sum", "mean", "variance", "log_probability_sum")
    )  # −inf by definition
    rows = problem(names, False, generator)
    rows.logits[:, -1] = -math.inf
    if NEED_SOFT_TARGET.intersection(names):
        rows.target[:, -1] = 0
    else:
        rows.target.clamp_(max=CLASSES - 2)
    coefficients = {name: torch.randn(ROWS, dtype=torch.float64, generator=generator) for name in names}
    found, wanted = gradients(names, rows, coefficients)
    assert all(bool(value.isfinite().all()) for value in values(names, rows).values())
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-14)


def test_scores_that_tie_for_the_maximum_share_its_gradient():
    logits = torch.tensor([[1.0, 1.0, 0.0, -1.0], [2.0, 2.0, 2.0, 2.0], [3.0, 1.0, 2.0, 0.0]]).double()
    found, wanted = gradients(("max",), Rows(logits, None), {"max": torch.tensor([1.0, 2.0, -3.0]).double()})
    assert torch.equal(found, wanted)
    assert torch.equal(found, torch.tensor([[0.5, 0.5, 0, 0], [0.5, 0.5, 0.5, 0.5], [-3, 0, 0, 0]]).double())


def test_a_statistic_without_a_coefficient_adds_nothing_to_the_gradient(generator):
    rows = problem(BY_CLASS, True, generator)
    some = torch.randn(ROWS, dtype=torch.float64, generator=generator)
    with_nothing = {name: some if name == "logsumexp" else None for name in BY_CLASS}
    known = whole(rows, values(BY_CLASS, rows))
    alone = logits_gradient_(rows._replace(logits=rows.logits.clone()), {"logsumexp": some}, known)
    assert torch.equal(logits_gradient_(rows._replace(logits=rows.logits.clone()), with_nothing, known), alone)


def test_the_gradient_is_written_over_the_log_probabilities_or_the_logits(generator):
    rows = problem(BY_CLASS, False, generator)
    coefficients = {name: torch.ones(ROWS, dtype=torch.float64) for name in BY_CLASS}
    log_p = torch.log_softmax(rows.logits, -1)
    known = whole(rows, values(BY_CLASS, rows))
    assert logits_gradient_(rows, coefficients, known, log_p).data_ptr() == log_p.data_ptr()
    assert logits_gradient_(rows, {"sum": coefficients["sum"]}, known).data_ptr() == rows.logits.data_ptr()


def test_an_unknown_statistic_is_refused_by_the_engine_too(generator):
    with pytest.raises(KeyError, match="median"):
        values(("median",), problem((), False, generator))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_sums_are_never_taken_in_half_precision(dtype):
    classes = 4096  # too many ones to count in bfloat16, whose integers end at 256
    stats = row_statistics(torch.ones(1, classes, dtype=dtype), None, ("sum", "square_sum", "logsumexp"))
    assert stats.sum.dtype == accumulation_dtype(dtype) == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert float(stats.sum) == float(stats.square_sum) == classes
    assert math.isclose(float(stats.logsumexp), 1 + math.log(classes), rel_tol=1e-6)
