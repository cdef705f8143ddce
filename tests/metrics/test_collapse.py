"""Softmax Collapse and naive loss minimisation: the definitions against loops, rounding bounds and Euler's theorem."""

import math

import numpy as np
import pytest
import torch

from lossbook.experiments.softmax_precision import FORMATS, collapse_gap, row_losses
from lossbook.losses import cross_entropy
from lossbook.metrics import collapsed, scaling_descent, weight_alignment, zero_loss, zero_share
from lossbook.models import Ensemble, multilayer

NUMPY = {torch.float16: np.float16, torch.float32: np.float32, torch.float64: np.float64}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", FORMATS)
def test_two_classes_collapse_at_the_gap_of_the_format_and_not_before(name):
    dtype = FORMATS[name]
    lead = collapse_gap(dtype) + torch.tensor([-0.1, 0.1], dtype=torch.float64)
    z = torch.stack([lead, torch.zeros(2, dtype=torch.float64)], 1)
    assert collapsed(z, dtype).tolist() == [False, True]


@pytest.mark.parametrize("dtype", NUMPY)
def test_the_share_agrees_with_a_double_loop_of_numpy_scalars(dtype):
    z = 12 * torch.randn(40, 3, 5, generator=seeded(), dtype=torch.float64)
    target = torch.randint(0, 5, (40, 3), generator=seeded(1))
    kind = NUMPY[dtype]
    for i in range(40):
        for j in range(3):
            row = [kind(value) for value in z[i, j].tolist()]
            shifted = [value - max(row) for value in row]
            # Added in float64 and rounded once, as an exact sum would be; five terms leave no tie near 1 here.
            total = kind(sum(float(np.exp(value)) for value in shifted))
            assert collapsed(z, dtype)[i, j].item() == bool(total == 1)
            right = shifted[target[i, j]] == 0
            assert zero_loss(z, target, dtype)[i, j].item() == bool(total == 1 and right)


@pytest.mark.parametrize("name", FORMATS)
def test_loss_zero_in_a_format_is_where_the_loss_of_that_format_is_zero(name):
    z = 10 * torch.randn(200, 4, generator=seeded(2))
    target = z.argmax(1)
    target[::7] = (target[::7] + 1) % 4
    wanted = row_losses(z.to(FORMATS[name]), target, "log-softmax") == 0
    assert (zero_loss(z, target, FORMATS[name]) == wanted).all()
    assert 0 < int(wanted.sum()) < 200 or name == "float64"


@pytest.mark.parametrize("name", FORMATS)
def test_a_collapsed_right_row_does_not_pull_its_right_class_and_another_does(name):
    dtype = FORMATS[name]
    lead = collapse_gap(dtype) + torch.tensor([-0.2, 0.2], dtype=torch.float64)
    z = torch.stack([lead, torch.zeros(2, dtype=torch.float64)], 1).to(dtype).requires_grad_()
    row_losses(z, torch.tensor([0, 0]), "log-softmax").sum().backward()
    assert (z.grad[:, 0] == 0).tolist() == collapsed(z).tolist() == [False, True]


def test_collapse_does_not_see_a_shift_that_the_format_can_hold():
    z = torch.randint(0, 60, (50, 4), generator=seeded(3)).float()  # whole numbers: a shift by 1024 is exact
    assert (collapsed(z) == collapsed(z + 1024)).all()
    assert 0 < int(collapsed(z).sum()) < 50


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_weights_times_descent_is_depth_times_the_scaling_descent(depth):
    """Euler's theorem for a function of degree L in the weights: ⟨θ, ∇f⟩ = L f, through the chain rule."""
    sizes = (6, *[9] * (depth - 1), 4)
    model = multilayer(sizes, generator=seeded(4), bias=False).double()
    x = torch.randn(30, 6, generator=seeded(5), dtype=torch.float64)
    target = torch.randint(0, 4, (30,), generator=seeded(6))
    logits = 5 * model(x)
    gradients = torch.autograd.grad(cross_entropy(logits, target), list(model.parameters()))
    inner = -sum((w * g).sum() for w, g in zip(model.parameters(), gradients, strict=True))
    torch.testing.assert_close(inner, depth * scaling_descent(logits, target).mean(), rtol=1e-10, atol=1e-12)


def test_scaling_descent_is_a_derivative_and_agrees_with_a_double_loop():
    z = 3 * torch.randn(20, 5, generator=seeded(7), dtype=torch.float64)
    target = torch.randint(0, 5, (20,), generator=seeded(8))
    c = torch.ones(20, 1, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(cross_entropy(c * z, target, reduction="sum"), c)[0][:, 0]
    torch.testing.assert_close(scaling_descent(z, target), -slope)
    for row, right, found in zip(z.tolist(), target.tolist(), scaling_descent(z, target).tolist(), strict=True):
        weights = [math.exp(value) for value in row]
        mean = sum(w * value for w, value in zip(weights, row, strict=True)) / sum(weights)
        assert found == pytest.approx(row[right] - mean, abs=1e-12)


def test_scaling_descent_is_positive_where_the_row_is_right_even_once_the_loss_has_vanished():
    z = torch.tensor([[60.0, 0.0, 0.0], [2.0, 1.0, 1.5]])
    found = scaling_descent(z, torch.tensor([0, 0]))
    assert (found > 0).all()
    assert float(found[0]) == pytest.approx(120 * math.exp(-60), rel=1e-5)  # differences first: 60 − 60 would be 0


def test_alignment_is_the_cosine_of_each_tensor_and_of_all_together():
    weights = [torch.randn(3, 4, 2, generator=seeded(9)), torch.randn(3, 5, generator=seeded(10))]
    gradients = [torch.randn(w.shape, generator=seeded(11)) for w in weights]
    found = weight_alignment(weights, gradients, member_axes=1)
    assert found.tensors.shape == (2, 3)
    for k in range(3):
        w = [one[k].double().numpy().ravel() for one in weights]
        g = [one[k].double().numpy().ravel() for one in gradients]
        for layer in range(2):
            wanted = -w[layer] @ g[layer] / np.linalg.norm(w[layer]) / np.linalg.norm(g[layer])
            assert float(found.tensors[layer, k]) == pytest.approx(wanted, abs=1e-12)
        whole_w, whole_g = np.concatenate(w), np.concatenate(g)
        wanted = -whole_w @ whole_g / np.linalg.norm(whole_w) / np.linalg.norm(whole_g)
        assert float(found.whole[k]) == pytest.approx(wanted, abs=1e-12)
    alone = weight_alignment([w[1] for w in weights], [g[1] for g in gradients])
    torch.testing.assert_close(alone.whole, found.whole[1])


def test_alignment_does_not_lose_gradients_whose_squares_float32_cannot_hold():
    w = torch.tensor([3.0, 4.0])
    assert float(weight_alignment([w], [-1e-30 * w]).whole) == pytest.approx(1)
    assert float(weight_alignment([w], [0 * w]).whole) == 0


def test_each_member_of_an_ensemble_has_the_alignment_it_has_alone():
    models = [multilayer((4, 6, 3), generator=seeded(seed), bias=False) for seed in (1, 2)]
    x, target = torch.randn(20, 4, generator=seeded(12)), torch.randint(0, 3, (20,), generator=seeded(13))

    def alignment(model, targets, axes):
        weights = list(model.parameters())
        loss = cross_entropy(model(x), targets, reduction="none").mean(0).sum()
        return weight_alignment(weights, torch.autograd.grad(loss, weights), member_axes=axes)

    together = alignment(Ensemble(models), target[:, None].expand(-1, 2), 1)
    for k, model in enumerate(models):
        torch.testing.assert_close(alignment(model, target, 0).tensors, together.tensors[:, k], rtol=1e-5, atol=1e-6)


def test_zero_share_counts_exact_zeros_of_all_tensors_and_of_each_member():
    a, b = torch.tensor([[0.0, 1.0], [0.0, -0.0]]), torch.tensor([[1e-45], [2.0]])
    assert zero_share([a, b], member_axes=1).tolist() == pytest.approx([1 / 3, 2 / 3])
    assert float(zero_share([a, b])) == 0.5


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: collapsed(torch.zeros(2, dtype=torch.long)), TypeError, "logits: got an int64 tensor"),
        (lambda: collapsed(torch.zeros(3, 0)), ValueError, "at least one class"),
        (lambda: collapsed(torch.zeros(3, 2), torch.int32), TypeError, "dtype: got torch.int32"),
        (lambda: collapsed(torch.zeros(3, 2), "float32"), TypeError, "dtype: got 'float32'"),
        (lambda: zero_loss(torch.zeros(3, 2), torch.zeros(3)), TypeError, "target: got a float32 tensor"),
        (lambda: zero_loss(torch.zeros(3, 2), torch.zeros(2).long()), ValueError, r"shape \(3,\)"),
        (lambda: scaling_descent(torch.zeros(1, 2), torch.tensor([2])), ValueError, "classes from 0 to 1"),
        (lambda: weight_alignment([], []), ValueError, "weights: got none, expected at least one"),
        (
            lambda: weight_alignment([torch.zeros(2)], []),
            ValueError,
            "gradients: got '0 tensors'",
        ),
        (lambda: weight_alignment([torch.zeros(2)], [torch.zeros(3)]), ValueError, "the shape of weights"),
        (
            lambda: weight_alignment([torch.zeros(2)], [torch.zeros(2)], member_axes=2),
            ValueError,
            "weights: .*at least 2 axes",
        ),
        (lambda: zero_share([]), ValueError, "at least one tensor"),
        (lambda: zero_share([torch.zeros(0)]), ValueError, "with numbers in them"),
        (lambda: zero_share([torch.zeros(2)], member_axes=-1), ValueError, "member_axes: got -1"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
