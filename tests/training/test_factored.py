"""Steps of gradient descent that never touch all classes, against steps that do."""

import re
from functools import partial

import pytest
import torch

from lossbook import row_loss
from lossbook.losses import one_hot_squared_error_loss, taylor_softmax_loss, z_loss
from lossbook.metrics import cost
from lossbook.training import factor, factored_step

CLASSES, DIMENSION = 40, 5


def squared_error(right, total, squares):
    return squares - 2 * right + 1


def taylor(right, total, squares):
    return torch.log(CLASSES + total + squares / 2) - torch.log(((right + 1).square() + 1) / 2)


def standard(right, total, squares):
    mean = total / CLASSES
    score = (right - mean) / (squares / CLASSES - mean.square()).sqrt()
    return torch.nn.functional.softplus(-score)


LOSSES = [
    (squared_error, one_hot_squared_error_loss, 0.002),
    (taylor, taylor_softmax_loss, 0.5),
    (standard, z_loss, 0.5),
]


@pytest.mark.parametrize(("row", "loss", "step_size"), LOSSES, ids=["squared error", "Taylor softmax", "Z-loss"])
@pytest.mark.parametrize("rows", [1, 6])
def test_thirty_factored_steps_are_thirty_dense_ones(row, loss, step_size, rows, generator):
    weight = torch.randn(CLASSES, DIMENSION, dtype=torch.float64, generator=generator)
    layer, dense = factor(weight), weight.clone()
    for _ in range(30):
        features = torch.randn(rows, DIMENSION, dtype=torch.float64, generator=generator)
        target = torch.randint(CLASSES // 10, (rows,), generator=generator)  # few, so that classes repeat in a batch
        x, w = features.clone().requires_grad_(), dense.requires_grad_()
        wanted = loss(x @ w.T, target)
        by_features, by_weight = torch.autograd.grad(wanted, (x, w))
        found, gradient = factored_step(layer, features, target, row, step_size=step_size)
        dense = (w - step_size * by_weight).detach()
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(gradient, by_features, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(layer.weight(), dense, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(layer.gram, dense.T @ dense, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(layer.total, dense.sum(0), rtol=1e-10, atol=1e-11)
    assert (weight != dense).all()  # every class has moved


def test_the_work_of_a_step_does_not_know_the_number_of_classes():
    spent = []
    for classes in (100, 10_000):
        layer = factor(torch.randn(classes, 8))
        features, target = torch.randn(4, 8), torch.arange(4)
        spent.append(cost(partial(factored_step, layer, features, target, squared_error, step_size=1e-3)))
    assert spent[0] == spent[1]


def test_the_weight_that_was_factored_stays_as_it_was():
    weight = torch.ones(3, 2)
    factored_step(factor(weight), torch.ones(1, 2), torch.tensor([0]), squared_error, step_size=0.1)
    assert (weight == 1).all()


def test_row_statistics_say_the_same_as_the_layer(generator):
    layer = factor(torch.randn(9, 4, dtype=torch.float64, generator=generator))
    features, target = torch.randn(3, 4, dtype=torch.float64, generator=generator), torch.tensor([1, 8, 1])
    wanted = row_loss(
        lambda s: squared_error(s.target, s.sum, s.square_sum),
        features @ layer.weight().T,
        target,
        ("target", "sum", "square_sum"),
    )
    found, _ = factored_step(layer, features, target, squared_error, step_size=0.01)
    torch.testing.assert_close(found, wanted)


LAYER = factor(torch.ones(3, 2))
X, Y = torch.ones(1, 2), torch.tensor([0])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((torch.ones(3, 2), X, Y), TypeError, "layer: got a float32 tensor"),
        ((LAYER, torch.ones(1, 3), Y), ValueError, "features: got a float32 tensor of shape (1, 3), expected shape"),
        ((LAYER, torch.ones(0, 2), Y), ValueError, "with at least one row"),
        ((LAYER, X, torch.tensor([3])), ValueError, "target: got an int64 tensor of shape (1,), expected one class"),
        ((LAYER, X, torch.tensor([0.0])), TypeError, "target: got a float32 tensor"),
    ],
)
def test_bad_input_is_named(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        factored_step(*given, squared_error, step_size=0.1)


def test_a_bad_step_size_or_weight_is_named():
    with pytest.raises(ValueError, match="step_size: got 0"):
        factored_step(LAYER, X, Y, squared_error, step_size=0)
    with pytest.raises(ValueError, match="weight: got a float32 tensor of shape"):
        factor(torch.ones(3))
    with pytest.raises(TypeError, match="weight: got an int64 tensor"):
        factor(torch.ones(3, 2).long())
