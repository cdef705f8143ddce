"""The laziness knob: 0 at the start, the same first velocity for every α, and the tangent as its limit."""

from itertools import pairwise

import pytest
import torch

from lossbook.losses import squared_error
from lossbook.models import Ensemble, PolynomialNet, multilayer
from lossbook.training import Lazy, Linearized, train

DOUBLE = torch.float64
X = torch.randn(6, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
Y = torch.randn(6, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(2))


def network(activation="tanh", seed=0):
    return multilayer((3, 30, 2), generator=torch.Generator().manual_seed(seed), activation=activation).double()


def trained(model, alpha, steps, rate=0.1):
    """Outputs after some steps of gradient descent on the squared error over α²."""
    train(
        model,
        lambda model, x: squared_error(model(x), Y) / alpha**2,
        lambda: X,
        torch.optim.SGD(model.parameters(), lr=rate),
        steps=steps,
    )
    return model(X).detach()


@pytest.mark.parametrize("alpha", [0.1, 1.0, 1e4])
def test_the_output_is_exactly_0_at_the_start_and_the_networks_change_times_alpha_later(alpha):
    model = network()
    before = model(X).detach()
    lazy = Lazy(model, alpha)
    assert not lazy(X).any()
    with torch.no_grad():
        model[0].weight += 0.01
    assert torch.allclose(lazy(X), alpha * (model(X) - before), rtol=1e-6)  # α itself is held in single precision
    assert lazy.model is model


def test_the_loss_over_alpha_squared_sets_the_outputs_off_at_the_same_speed_for_every_alpha():
    rate = 1e-4  # so short a step is along the tangent but for a ten-thousandth
    speeds = [trained(Lazy(network(), alpha), alpha, 1, rate) / rate for alpha in (1.0, 10.0, 1000.0)]
    assert torch.allclose(speeds[0], speeds[1], rtol=1e-3, atol=1e-4)
    assert torch.allclose(speeds[1], speeds[2], rtol=1e-3, atol=1e-4)


def test_so_does_the_step_size_over_alpha_squared():
    def by_step(alpha):
        model = Lazy(network(), alpha)
        train(
            model,
            lambda model, x: squared_error(model(x), Y),
            lambda: X,
            torch.optim.SGD(model.parameters(), lr=0.1 / alpha**2),
            steps=20,
        )
        return model(X).detach()

    assert torch.allclose(by_step(4.0), trained(Lazy(network(), 4.0), 4.0, 20), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["tanh", "polynomial"])
def test_lazy_training_goes_to_that_of_the_tangent_with_a_difference_of_order_1_over_alpha(kind):
    def make():
        if kind == "tanh":
            return network()
        weight = torch.randn(2, 30, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(3))
        return PolynomialNet(weight, curvature=0.5)

    rate = 0.1 if kind == "tanh" else 3.0  # a mean over 30 units has a small gradient
    limit = trained(Linearized(make()), 1.0, 60, rate)
    assert limit.abs().max() > 0.1
    gaps = [float((trained(Lazy(make(), alpha), alpha, 60, rate) - limit).norm()) for alpha in (50.0, 100.0, 200.0)]
    ratios = [first / second for first, second in pairwise(gaps)]
    assert ratios == pytest.approx([2, 2], rel=0.15)  # doubling α halves the gap, up to terms of order 1/α²


def test_the_tangent_is_linear_in_its_displacement_and_is_the_derivative_of_the_network():
    model = network("gelu")
    tangent = Linearized(model)
    assert not tangent(X).any()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in tangent.displacement:
            part.normal_(generator=generator)
    said = tangent(X).detach()
    size, moved = 1e-6, network("gelu")
    with torch.no_grad():
        for weight, part in zip(moved.parameters(), tangent.displacement, strict=True):
            weight += size * part
    assert torch.allclose((moved(X) - model(X)) / size, said, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        for part in tangent.displacement:
            part *= 3
    assert torch.allclose(tangent(X), 3 * said)


def test_an_ensemble_may_have_an_alpha_for_each_member():
    alphas = (0.5, 2.0, 8.0)
    together = Lazy(Ensemble([network(seed=seed) for seed in range(3)]), torch.tensor(alphas, dtype=DOUBLE)[:, None])

    def objective(model, x):
        errors = squared_error(model(x), Y[:, None].expand(-1, 3, -1), reduction="none").mean((0, 2))
        return (errors / torch.tensor(alphas) ** 2).sum()

    train(together, objective, lambda: X, torch.optim.SGD(together.parameters(), lr=0.1), steps=20)
    for k, alpha in enumerate(alphas):
        assert torch.allclose(together(X)[:, k], trained(Lazy(network(seed=k), alpha), alpha, 20), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Lazy(abs, 1.0), r"^model: .*expected a torch module"),
        (lambda: Lazy(network(), 0.0), r"^alpha: got 0.0, expected a finite number > 0"),
        (lambda: Lazy(network(), torch.tensor([1.0, -1.0])), r"^alpha: got \[1.0, -1.0\], expected finite numbers > 0"),
        (lambda: Lazy(network(), torch.tensor([float("nan")])), r"^alpha: got \[nan\]"),
        (lambda: Lazy(network(), torch.tensor([1, 2])), r"^alpha: .*floating"),
        (lambda: Lazy(network(), "1"), r"^alpha: got '1'"),
        (lambda: Linearized(None), r"^model: .*expected a torch module"),
    ],
)
def test_bad_input_is_refused_with_its_name(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
