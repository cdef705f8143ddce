"""Row and column statistics of one product: exact, in four products and little memory, and what they refuse."""

import math

import pytest
import torch
from cases import Watch

from lossbook.kernels.pairs import PAIR_NAMES, indexed_scores, pair_statistics

PAIRS, DIMENSION = 12, 5
BUDGETS = (1, 3 * PAIRS * 8, 2**20)  # one row a chunk, three, all


def sides(generator, pairs=PAIRS, dimension=DIMENSION, scale=1.0):
    both = scale * torch.randn(2, pairs, dimension, dtype=torch.float64, generator=generator)
    return [side.requires_grad_() for side in both.unbind()]


def held(first, second):
    """The same statistics of scores that are kept, by plain torch."""
    scores = first @ second.T
    return {
        "row_logsumexp": scores.logsumexp(1),
        "column_logsumexp": scores.logsumexp(0),
        "diagonal": scores.diagonal(),
        "row_log_probability": torch.log_softmax(scores, 1).diagonal(),
        "column_log_probability": torch.log_softmax(scores, 0).diagonal(),
    }


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", [*PAIR_NAMES, "all"])
def test_each_statistic_and_its_gradient_are_those_of_scores_that_are_held(name, budget, generator):
    leaves = sides(generator)
    names = PAIR_NAMES if name == "all" else (name,)
    upstream = {known: torch.randn(PAIRS, dtype=torch.float64, generator=generator) for known in names}
    pulls = []
    for found in (pair_statistics(*leaves, budget), held(*leaves)):
        torch.testing.assert_close(found, held(*leaves), rtol=1e-12, atol=1e-13)
        total = sum((found[known] * upstream[known]).sum() for known in names)
        pulls.append(torch.autograd.grad(total, leaves))
    for ours, theirs in zip(*pulls, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_in_single_precision_huge_scores_lose_no_more_than_torch_does(scale, generator):
    first, second = (side.detach() for side in sides(generator, 40, 8, scale))  # scores up to 10⁴

    def run(function, dtype):
        leaves = [side.float().to(dtype).requires_grad_() for side in (first, second)]
        found = function(*leaves)
        total = sum(found[name].sum() for name in ("row_log_probability", "column_log_probability"))
        pulls = torch.autograd.grad(total, leaves)
        return torch.cat([found["row_log_probability"], *(pull.reshape(-1) for pull in pulls)]).double().detach()

    exact = run(held, torch.float64)
    ours, torchs = (
        float((run(function, torch.float32) - exact).norm())
        for function in (lambda x, y: pair_statistics(x, y, 1000), held)
    )
    assert ours <= 2 * torchs


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_summed_in_single(dtype):
    """Equal scores of 4096 columns, more than bfloat16 can count one by one."""
    first, second = torch.zeros(4096, 1, dtype=dtype), torch.ones(4096, 1, dtype=dtype, requires_grad=True)
    found = pair_statistics(first, second, 2**22)
    for name in ("row_logsumexp", "column_logsumexp"):
        assert found[name].dtype == torch.float32
        # The chunks' sums are exact here; the logarithm is not.
        assert float((found[name].detach() - math.log(4096)).abs().max()) < 1e-6


def test_values_take_one_product_and_gradients_three_more(generator):
    first, second = sides(generator, 64, 4)
    one = 64 * 64 * 4
    with Watch() as watch:
        found = pair_statistics(first, second, 64 * 8 * 8)
    assert watch.multiplications == one
    with Watch() as watch:
        (found["row_log_probability"] + found["column_log_probability"]).sum().backward()
    assert watch.multiplications == 3 * one
    assert watch.largest <= 8 * 64


def test_only_the_side_that_is_learned_gets_a_gradient(generator):
    first, second = sides(generator)
    for leaves, one in (((first, second.detach()), first), ((first.detach(), second), second)):
        found = pair_statistics(*leaves, 100)["column_logsumexp"].sum()
        wanted = held(*leaves)["column_logsumexp"].sum()
        pulls = [torch.autograd.grad(value, one)[0] for value in (found, wanted)]
        torch.testing.assert_close(*pulls, rtol=1e-12, atol=1e-14)
    with torch.no_grad():
        assert not pair_statistics(first, second, 100)["diagonal"].requires_grad


def test_second_derivatives_are_refused(generator):
    first, second = sides(generator)
    for value in (
        pair_statistics(first, second, 100)["diagonal"].sum(),
        indexed_scores(first, second, None, torch.zeros(PAIRS, 1, dtype=torch.long)).sum(),
    ):
        with pytest.raises(RuntimeError, match="first derivatives only"):
            torch.autograd.grad(value, first, create_graph=True)


def test_the_same_bits_twice(generator):
    first, second = sides(generator, 50, 6)

    def once():
        found = pair_statistics(first, second, 50 * 8 * 7)
        return *found.values(), *torch.autograd.grad(sum(value.sum() for value in found.values()), (first, second))

    assert all(torch.equal(one, other) for one, other in zip(once(), once(), strict=True))


@pytest.mark.parametrize("bias", [False, True])
def test_indexed_scores_are_the_scores_at_the_index(bias, generator):
    features, weight = sides(generator)
    leaves = [features, weight]
    if bias:
        leaves.append(torch.randn(PAIRS, dtype=torch.float64, generator=generator).requires_grad_())
    index = torch.randint(PAIRS, (PAIRS, 3), generator=generator)
    index[0] = 5  # the same class three times
    found = indexed_scores(features, weight, leaves[2] if bias else None, index)
    scores = features @ weight.T
    wanted = (scores + leaves[2] if bias else scores).gather(1, index)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-14)
    upstream = torch.randn(PAIRS, 3, dtype=torch.float64, generator=generator)
    for ours, theirs in zip(*(torch.autograd.grad(value, leaves, upstream) for value in (found, wanted)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_indexed_scores_hold_no_more_than_the_features(generator):
    features, weight = sides(generator, 64, 4)
    with Watch() as watch:
        indexed_scores(features, weight, None, torch.randint(64, (64, 5), generator=generator)).sum().backward()
    assert watch.largest <= 64 * 5
