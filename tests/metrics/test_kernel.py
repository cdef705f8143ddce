"""Tangent kernels, alignment and motion against loops, numpy and closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lossbook.metrics import kernel_alignment, kernel_similarity, relative_motion, tangent_kernel
from lossbook.models import Ensemble, PolynomialNet, convolutional, multilayer

DOUBLE = torch.float64


def numbers(seed):
    return torch.Generator().manual_seed(seed)


def looped_kernel(model, inputs, others):
    """One backward pass for each point and output, and a sum over all weights."""

    def slopes(point):
        found = []
        for value in model(point[None])[0].reshape(-1):
            model.zero_grad()
            value.backward(retain_graph=True)
            found.append(torch.cat([weight.grad.reshape(-1) for weight in model.parameters()]))
        return torch.stack(found)

    left, right = [slopes(x) for x in inputs], [slopes(x) for x in others]
    return torch.tensor([[float((a * b).sum()) for b in right] for a in left], dtype=DOUBLE)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sine"])
def test_the_tangent_kernel_is_the_loop_over_points_outputs_and_weights(activation):
    model = multilayer((5, 7, 6, 3), generator=numbers(0), activation=activation).double()
    x, y = torch.randn(4, 5, dtype=DOUBLE, generator=numbers(1)), torch.randn(2, 5, dtype=DOUBLE, generator=numbers(2))
    assert torch.allclose(tangent_kernel(model, x, y), looped_kernel(model, x, y), rtol=1e-12)
    kernel = tangent_kernel(model, x)
    assert torch.allclose(kernel, looped_kernel(model, x, x), rtol=1e-12)
    assert torch.allclose(kernel, kernel.T)
    assert torch.linalg.eigvalsh(kernel).min() > -1e-10 * kernel.trace()


def test_it_serves_convolutions_and_leaves_out_weights_that_do_not_learn():
    model = convolutional((2, 3), 4, generator=numbers(0)).double()
    x = torch.randn(3, 1, 28, 28, dtype=DOUBLE, generator=numbers(1))
    whole = tangent_kernel(model, x)
    assert torch.allclose(whole, looped_kernel(model, x, x), rtol=1e-10)
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    for weight in model.parameters():
        weight.requires_grad_(any(weight is own for own in last.parameters()))
    of_last = tangent_kernel(model, x)
    assert (whole - of_last).diagonal().min() > 0
    assert torch.linalg.matrix_rank(of_last) == 3


def test_the_kernel_of_the_polynomial_network_has_a_closed_form():
    net = PolynomialNet(torch.randn(9, 4, dtype=DOUBLE, generator=numbers(0)), curvature=0.7)
    x = torch.randn(6, 4, dtype=DOUBLE, generator=numbers(1))
    assert torch.allclose(tangent_kernel(net, x), net.kernel(x)[0].detach(), rtol=1e-12)


def test_a_gradient_step_moves_the_outputs_by_the_kernel_times_the_residuals():
    model = multilayer((3, 20, 1), generator=numbers(0), activation="tanh").double()
    x, y = torch.randn(5, 3, dtype=DOUBLE, generator=numbers(1)), torch.randn(5, 1, dtype=DOUBLE, generator=numbers(2))
    kernel, before = tangent_kernel(model, x), model(x).detach()
    (0.5 * (model(x) - y).square().sum()).backward()
    size = 1e-6
    with torch.no_grad():
        for weight in model.parameters():
            weight -= size * weight.grad
    assert torch.allclose((model(x) - before) / size, -kernel @ (before - y), rtol=1e-4)  # the next order is 1e-6 of it


def centred(kernel):
    n = len(kernel)
    centre = np.eye(n) - np.ones((n, n)) / n
    return centre @ kernel @ centre


def test_similarity_and_alignment_are_cosines_of_centred_matrices():
    a = torch.randn(2, 6, 4, dtype=DOUBLE, generator=numbers(0))
    b = torch.randn(2, 6, 5, dtype=DOUBLE, generator=numbers(1)) + 1
    first, second = a @ a.mT, b @ b.mT
    for use, prepare in ((True, centred), (False, lambda kernel: kernel)):
        wanted = []
        for one, other in zip(first.numpy(), second.numpy(), strict=True):
            k, m = prepare(one), prepare(other)
            wanted.append(np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m)))
        assert torch.allclose(kernel_similarity(first, second, centred=use), torch.tensor(wanted), rtol=1e-12)
        assert torch.allclose(kernel_alignment(first, b, centred=use), torch.tensor(wanted), rtol=1e-12)
    y = b[0, :, 0].numpy()
    k, y = centred(first[0].numpy()), y - y.mean()
    published = y @ k @ y / (np.linalg.norm(k) * (y @ y))
    assert float(kernel_alignment(first[0], b[0, :, 0])) == pytest.approx(published, rel=1e-12)


def test_similarity_sees_neither_scale_nor_rotation_nor_a_common_shift():
    features = torch.randn(8, 3, dtype=DOUBLE, generator=numbers(0))
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=DOUBLE, generator=numbers(1))).Q
    other = 5 * features @ turn + 2
    assert float(kernel_similarity(features @ features.T, other @ other.T)) == pytest.approx(1, abs=1e-12)
    assert float(kernel_similarity(features @ features.T, other @ other.T, centred=False)) < 0.99


def test_alignment_is_1_for_the_targets_own_kernel_and_1_over_the_root_for_the_identity():
    y = torch.randn(10, dtype=DOUBLE, generator=numbers(0))
    assert float(kernel_alignment(torch.outer(y, y), y)) == pytest.approx(1)
    assert float(kernel_alignment(torch.eye(10, dtype=DOUBLE), y)) == pytest.approx(1 / 3)
    assert torch.isnan(kernel_alignment(torch.eye(10, dtype=DOUBLE), torch.ones(10, dtype=DOUBLE)))


def test_motion_of_each_member_is_that_of_the_member_alone():
    models = [multilayer((3, 4, 2), generator=numbers(seed)) for seed in range(3)]
    moved = [multilayer((3, 4, 2), generator=numbers(seed)) for seed in range(7, 10)]
    together = relative_motion(Ensemble(moved).parameters(), Ensemble(models).parameters(), member_axes=1)
    for k, (now, then) in enumerate(zip(moved, models, strict=True)):
        flat = [torch.cat([weight.detach().reshape(-1) for weight in model.parameters()]) for model in (now, then)]
        assert float(together[k]) == pytest.approx(float((flat[0] - flat[1]).norm() / flat[1].norm()), rel=1e-5)
        assert float(relative_motion(now.parameters(), then.parameters())) == pytest.approx(
            float(together[k]), rel=1e-5
        )


SQUARE = torch.eye(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tangent_kernel(lambda x: x, SQUARE), r"^model: .*expected a torch module"),
        (lambda: tangent_kernel(nn.ReLU(), SQUARE), r"^model: .*weights that learn"),
        (lambda: tangent_kernel(nn.Linear(3, 1), SQUARE.int()), r"^inputs: .*floating"),
        (lambda: tangent_kernel(nn.Linear(3, 1), SQUARE[:0]), r"^inputs: .*at least one point"),
        (lambda: tangent_kernel(nn.Linear(3, 1), SQUARE, SQUARE[:0]), r"^others: .*at least one point"),
        (lambda: kernel_similarity(SQUARE[:2], SQUARE[:2]), r"^first: .*points, points"),
        (lambda: kernel_similarity(SQUARE, torch.eye(4)), r"^second: .*the shape of first"),
        (lambda: kernel_similarity(SQUARE, SQUARE.tolist()), r"^second: .*floating"),
        (lambda: kernel_similarity(SQUARE[:1, :1], SQUARE[:1, :1]), r"^first: .*at least two points"),
        (lambda: kernel_alignment(SQUARE, torch.ones(4)), r"^target: .*for each point"),
        (lambda: kernel_alignment(SQUARE, torch.ones(3).int()), r"^target: .*floating"),
        (lambda: relative_motion([SQUARE], []), r"^start: got none"),
        (lambda: relative_motion([SQUARE], [SQUARE, SQUARE]), r"^start: .*as many as weights"),
        (
            lambda: relative_motion([SQUARE, SQUARE[:2]], [SQUARE, SQUARE[:2]], member_axes=1),
            r"^weights: .*leading axes",
        ),
        (lambda: relative_motion([SQUARE], [torch.eye(2)]), r"^start: .*the shape of weights"),
        (lambda: relative_motion([SQUARE], [SQUARE], member_axes=3), r"^weights: .*at least 3 axes"),
    ],
)
def test_bad_input_is_refused_with_its_name(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
