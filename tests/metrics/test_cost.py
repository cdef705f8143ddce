"""Counting what a computation costs."""

import pytest
import torch

from lossbook import LinearLogits
from lossbook.losses import cross_entropy, z_loss
from lossbook.metrics import cost, linear_cost


def test_memory_that_is_given_back_before_is_not_added():
    def two_after_each_other():
        for _ in range(2):
            torch.zeros(1000)

    def two_at_once():
        return torch.zeros(1000), torch.zeros(1000)

    assert cost(two_after_each_other).peak_bytes == 4000
    assert cost(two_at_once).peak_bytes == 8000


def test_views_in_place_operations_and_inputs_cost_nothing():
    x = torch.zeros(100, 10)
    assert cost(lambda: x.add_(1).T[:5]).peak_bytes == 0
    assert cost(lambda: x.T.reshape(-1)).peak_bytes == 4000  # this one is a copy


def test_a_view_keeps_what_it_looks_at():
    def keep_a_corner():
        corner = torch.zeros(1000)[:1]
        torch.zeros(500)
        return corner

    assert cost(keep_a_corner).peak_bytes == 6000


def test_what_autograd_keeps_is_held_until_the_backward_pass():
    x = torch.randn(1000, requires_grad=True)
    assert cost(lambda: x.exp().exp().sum()).peak_bytes == 4 * (1000 + 1000 + 1)


def test_multiplications_are_those_of_the_matrix_products():
    a, b = torch.zeros(3, 5), torch.zeros(5, 7)
    assert cost(lambda: a @ b).multiplications == 3 * 5 * 7
    assert cost(lambda: torch.addmm(torch.zeros(7), a, b)).multiplications == 3 * 5 * 7
    assert cost(lambda: torch.zeros(3, 7).addmm_(a, b)).multiplications == 3 * 5 * 7
    assert cost(lambda: torch.bmm(a[None].repeat(2, 1, 1), b[None].repeat(2, 1, 1))).multiplications == 2 * 3 * 5 * 7
    assert cost(lambda: a * 2).multiplications == 0


def test_an_error_comes_through_and_leaves_no_mode_behind():
    with pytest.raises(ZeroDivisionError):
        cost(lambda: 1 / 0)
    assert cost(lambda: torch.zeros(1)).peak_bytes == 4


ROWS, CLASSES, DIMENSION, BUDGET = 256, 3000, 32, 2**18


@pytest.mark.parametrize("engine", ["held", "chunked", "tile", "gram"])
def test_the_formulas_of_the_engines_are_what_is_counted(engine):
    features, weight = torch.randn(ROWS, DIMENSION).requires_grad_(), torch.randn(CLASSES, DIMENSION).requires_grad_()
    target = torch.arange(ROWS)
    loss = z_loss if engine == "gram" else cross_entropy

    def once():
        if engine == "held":
            logits = features @ weight.T
        else:
            logits = LinearLogits(features, weight, memory_budget=BUDGET, engine=engine)
        return torch.autograd.grad(loss(logits, target), (features, weight))

    counted, formula = cost(once), linear_cost(engine, ROWS, CLASSES, DIMENSION, memory_budget=BUDGET)
    assert counted.multiplications == pytest.approx(formula.multiplications, rel=0.02)  # one row is asked twice
    beyond = counted.peak_bytes - 4 * (features.numel() + weight.numel())
    assert 0.5 < beyond / formula.peak_bytes < 2  # the formula names the largest part


def test_a_small_product_needs_no_more_than_its_logits():
    assert linear_cost("chunked", 10, 20, 4).peak_bytes == 10 * 20 * 4
    assert linear_cost("tile", 10, 20, 4).peak_bytes == 3 * 10 * 20 * 4
    assert linear_cost("chunked", 10, 1000, 4, memory_budget=8).peak_bytes == 4000  # one row at least


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eager", 1, 1, 1), "engine: got 'eager', expected one of 'held', 'chunked', 'tile', 'gram'"),
        (("held", 0, 1, 1), "rows: got 0"),
        (("held", 1, 0, 1), "classes: got 0"),
        (("held", 1, 1, 0), "dimension: got 0"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_cost(*arguments)
