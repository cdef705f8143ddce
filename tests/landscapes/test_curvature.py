"""Hessian products, the largest eigenvalue and the trace: equal to the dense Hessian in float64 on small networks."""

import pytest
import torch
from torch import nn

from lossbook.landscapes import hessian_vector_product, hutchinson_trace, largest_eigenvalue
from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, multilayer


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


FEATURES, LABELS = torch.randn(30, 4, generator=seeded(3), dtype=torch.float64), torch.arange(30) % 3


def network(seed: int = 1, activation: str = "tanh") -> nn.Sequential:
    return multilayer((4, 5, 3), generator=seeded(seed), activation=activation).double()


def loss_of(model: nn.Module):
    return lambda: cross_entropy(model(FEATURES), LABELS)


def dense(model: nn.Module) -> torch.Tensor:
    """The whole Hessian, column by column of torch's own double backward on one flat vector."""
    shapes = [p.shape for p in model.parameters()]
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    names = [name for name, _ in model.named_parameters()]

    def loss(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        named = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return cross_entropy(torch.func.functional_call(model, named, (FEATURES,)), LABELS)

    return torch.autograd.functional.hessian(loss, flat)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "relu"])
def test_a_product_is_that_with_the_dense_hessian(activation):
    model = network(activation=activation)
    vector = [torch.randn(p.shape, generator=seeded(i), dtype=p.dtype) for i, p in enumerate(model.parameters())]
    found = hessian_vector_product(loss_of(model), model.parameters(), vector)
    flat = torch.cat([v.flatten() for v in vector])
    torch.testing.assert_close(torch.cat([f.flatten() for f in found]), dense(model) @ flat, rtol=1e-9, atol=1e-12)
    assert [f.shape for f in found] == [p.shape for p in model.parameters()]


def test_a_product_is_the_slope_of_the_gradient():
    model = network()
    parameters = list(model.parameters())
    vector = [torch.randn(p.shape, generator=seeded(i), dtype=p.dtype) for i, p in enumerate(parameters)]
    slopes, step = [], 1e-5
    for sign in (1, -1):
        moved = network()
        with torch.no_grad():
            for p, v in zip(moved.parameters(), vector, strict=True):
                p += sign * step * v
        slopes.append(torch.autograd.grad(loss_of(moved)(), list(moved.parameters())))
    for found, up, down in zip(hessian_vector_product(loss_of(model), parameters, vector), *slopes, strict=True):
        torch.testing.assert_close(found, (up - down) / (2 * step), rtol=1e-5, atol=1e-8)  # error of order step²


def test_what_does_not_bend_gives_0_and_what_is_not_used_too():
    w, other = (torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    zero = [torch.zeros(3).double()] * 2
    for loss in (lambda: 2 * w.sum(), lambda: w.sum() + other.square().sum()):
        found = hessian_vector_product(loss, [w, other], [torch.ones(3).double(), zero[0]])
        assert torch.equal(found[0], zero[0])
    (mixed, _) = hessian_vector_product(lambda: (w * other).sum(), [w, other], [zero[0], torch.ones(3).double()])
    assert torch.equal(mixed, torch.ones(3).double())
    assert largest_eigenvalue(lambda: w.sum(), [w], generator=seeded()).value == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_eigenvalue_is_that_of_the_dense_hessian(seed):
    model = network(seed)
    eigen = torch.linalg.eigh(dense(model))
    found = largest_eigenvalue(loss_of(model), model.parameters(), generator=seeded(seed), tolerance=1e-9)
    assert float(found.value) == pytest.approx(float(eigen.eigenvalues[-1]), rel=1e-10)
    assert abs(float(found.vector @ eigen.eigenvectors[:, -1])) == pytest.approx(1, abs=1e-8)
    assert found.products < len(eigen.eigenvalues)


def test_the_residual_bounds_the_error_and_the_value_comes_from_below():
    model = network()
    matrix = dense(model)
    values = torch.linalg.eigvalsh(matrix)
    for most in (1, 2, 4, 8):
        found = largest_eigenvalue(loss_of(model), model.parameters(), generator=seeded(), tolerance=1e-12, most=most)
        assert found.products == most
        assert float(found.value) <= float(values[-1]) + 1e-12
        assert float((values - found.value).abs().min()) <= float(found.residual) + 1e-12
        true = (matrix @ found.vector - found.value * found.vector).norm()
        assert float(found.residual) == pytest.approx(float(true), abs=1e-12)


@pytest.mark.parametrize(
    "diagonal", [[1.0, 2.0, 3.0, 4.0], [-4.0, -3.0, -2.0, -1.0], [5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 0.0, 0.0]]
)
def test_negative_equal_and_vanishing_eigenvalues(diagonal):
    """The largest is meant, not the largest in size; an exhausted space ends the search."""
    d = torch.tensor(diagonal, dtype=torch.float64)
    w = torch.ones(4, dtype=torch.float64, requires_grad=True)
    found = largest_eigenvalue(lambda: (d * w.square()).sum() / 2, [w], generator=seeded(), tolerance=1e-10)
    assert float(found.value) == pytest.approx(max(diagonal), abs=1e-10)
    assert found.products <= 4


def test_members_are_served_at_once_and_one_that_ends_early_does_not_disturb_the_other():
    d = torch.tensor([[-1.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], dtype=torch.float64)
    w = torch.ones(2, 6, dtype=torch.float64, requires_grad=True)
    options = {"generator": seeded(), "tolerance": 1e-10}
    found = largest_eigenvalue(lambda: (d * w.square()).sum() / 2, [w], member_axes=1, **options)
    torch.testing.assert_close(found.value, torch.tensor([-1.0, 6.0]).double())
    assert found.vector[0].norm().item() == pytest.approx(1)

    models = [network(seed) for seed in (1, 2, 3)]
    ensemble = Ensemble(models)
    together = largest_eigenvalue(
        lambda: cross_entropy(ensemble(FEATURES), LABELS[:, None].expand(-1, 3), reduction="none").mean(0).sum(),
        ensemble.parameters(),
        generator=seeded(),
        tolerance=1e-8,
        member_axes=1,
    )
    wanted = [float(torch.linalg.eigvalsh(dense(model))[-1]) for model in models]
    assert together.value.tolist() == pytest.approx(wanted, rel=1e-9)


def test_a_convolution_and_single_precision():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8, 2))
    for p in model.parameters():
        nn.init.normal_(p, generator=seeded(p.numel()))
    x, y = torch.randn(6, 1, 4, 4, generator=seeded()), torch.arange(6) % 2
    single = largest_eigenvalue(lambda: cross_entropy(model(x), y), model.parameters(), generator=seeded())
    exact = model.double()
    double = largest_eigenvalue(lambda: cross_entropy(exact(x.double()), y), exact.parameters(), generator=seeded())
    assert float(single.value) == pytest.approx(float(double.value), rel=1e-5)


def test_the_trace_is_exact_for_a_diagonal_hessian_and_within_its_error_for_another():
    d = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    found = hutchinson_trace(lambda: (d * w.square()).sum() / 2, [w], probes=2, generator=seeded())
    assert (float(found.trace), float(found.standard_error)) == (2.0, 0.0)

    model = network()
    matrix = dense(model)
    found = hutchinson_trace(loss_of(model), model.parameters(), probes=1000, generator=seeded())
    off = matrix - matrix.diagonal().diag()
    assert float(found.standard_error) == pytest.approx(float((2 * off.square().sum() / 1000).sqrt()), rel=0.15)
    # Four standard errors: once in 16,000 seeds.
    assert abs(float(found.trace - matrix.trace())) < 4 * float(found.standard_error)


def test_traces_of_members():
    d = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    w = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    found = hutchinson_trace(lambda: (d * w.square()).sum() / 2, [w], generator=seeded(), member_axes=1)
    assert found.trace.tolist() == [3.0, 7.0]


def test_nothing_is_left_behind():
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():  # as inside `measure` of a training
        largest_eigenvalue(loss_of(model), model.parameters(), generator=seeded())
        hutchinson_trace(loss_of(model), model.parameters(), generator=seeded(), probes=2)
        assert not torch.is_grad_enabled()
    assert all(p.grad is None for p in model.parameters())
    assert all(map(torch.equal, model.parameters(), before))


W = torch.ones(3, requires_grad=True)


def bent():
    return W.square().sum()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hessian_vector_product(bent, [], []), ValueError, "parameters: got none"),
        (
            lambda: hessian_vector_product(bent, [torch.ones(3)], [W]),
            ValueError,
            "parameters: got .* require gradients",
        ),
        (lambda: hessian_vector_product(bent, ["w"], [W]), TypeError, "parameters: got 'w'"),
        (lambda: hessian_vector_product(bent, [W], []), ValueError, "vector: got 0 tensors, expected 1"),
        (lambda: hessian_vector_product(bent, [W], [torch.ones(2)]), ValueError, r"vector: got .*\(2,\), expected"),
        (lambda: hessian_vector_product(lambda: W, [W], [torch.ones(3)]), ValueError, "loss: got .* one number"),
        (lambda: hessian_vector_product(lambda: 1.0, [W], [torch.ones(3)]), ValueError, "loss: got 1.0"),
        (lambda: hessian_vector_product(lambda: torch.ones(()), [W], [W]), ValueError, "loss: got .* with gradients"),
        (lambda: largest_eigenvalue(bent, [W], generator=0), TypeError, "generator: got 0"),
        (lambda: largest_eigenvalue(bent, [W], generator=seeded(), tolerance=0), ValueError, "tolerance: got 0"),
        (lambda: largest_eigenvalue(bent, [W], generator=seeded(), most=0), ValueError, "most: got 0"),
        (
            lambda: largest_eigenvalue(bent, [W], generator=seeded(), member_axes=2),
            ValueError,
            "parameters: got .* axes",
        ),
        (lambda: hutchinson_trace(bent, [W], generator=seeded(), probes=1), ValueError, "probes: got 1, expected .* 2"),
        (lambda: hutchinson_trace(bent, [W], generator=None), TypeError, "generator: got None"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
