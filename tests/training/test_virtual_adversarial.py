"""Virtual adversarial training: the direction of most change, found without a label; its loss; what stays as it is."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, linear, multilayer
from lossbook.training import conditional_entropy, virtual_adversarial_direction, virtual_adversarial_loss


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def network(*sizes: int, seed: int = 1, activation: str = "tanh") -> nn.Sequential:
    return multilayer(sizes, generator=seeded(seed), activation=activation).double()


def divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return (p * (p.log() - q.log())).sum(-1)


def test_lds_is_never_negative_and_0_without_a_radius_or_without_a_dependence():
    model, x = network(5, 8, 3), drawn(20, 5)
    rows = virtual_adversarial_loss(model, x, radius=0.5, generator=seeded(), reduction="none")
    assert rows.shape == (20,)
    assert (rows > 0).all()
    assert virtual_adversarial_loss(model, x, radius=0.0, generator=seeded()).item() == 0
    same = virtual_adversarial_loss(lambda x: 0 * x[:, :3] + torch.arange(3.0), x, radius=0.5, generator=seeded())
    assert same.item() == 0


def test_the_slope_of_the_divergence_is_0_at_the_input_itself():
    model, x = network(5, 8, 3), drawn(4, 5).requires_grad_()
    p = model(x.detach()).softmax(-1).detach()
    (slope,) = torch.autograd.grad(divergence(p, model(x).softmax(-1)).sum(), x)
    assert slope.abs().max() < 1e-15  # which is why the first step needs a length ξ


def hessian(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Jᵀ (diag p − p pᵀ) J at one input."""
    jacobian = torch.autograd.functional.jacobian(lambda one: model(one[None])[0], x)
    p = model(x[None])[0].softmax(-1).detach()
    return jacobian.T @ (p.diag() - torch.outer(p, p)) @ jacobian


def test_the_hessian_of_the_divergence_is_the_one_of_the_formula():
    model, x = network(5, 8, 3), drawn(5)
    p = model(x[None])[0].softmax(-1).detach()
    found = torch.autograd.functional.hessian(lambda one: divergence(p, model(one[None])[0].softmax(-1)), x)
    torch.testing.assert_close(found, hessian(model, x), rtol=1e-9, atol=1e-12)


def test_a_small_lds_is_half_the_quadratic_form():
    model, x = linear(5, 3, generator=seeded(2)).double(), drawn(6, 5)
    radius = 1e-3
    rows = virtual_adversarial_loss(model, x, radius=radius, power_steps=8, generator=seeded(3), reduction="none")
    for row, one in zip(rows, x, strict=True):
        top = torch.linalg.eigvalsh(hessian(model, one))[-1]
        # the third derivative is a radius smaller, relative to the value
        assert row.item() == pytest.approx(float(radius**2 * top / 2), rel=5e-3)


@pytest.mark.parametrize("seed", range(5))
def test_each_power_step_turns_towards_the_top_eigenvector(seed):
    model, x = linear(5, 3, generator=seeded(seed)).double(), drawn(1, 5, seed=seed)
    top = torch.linalg.eigh(hessian(model, x[0])).eigenvectors[:, -1]
    cosines = [
        float((virtual_adversarial_direction(model, x, power_steps=k, generator=seeded(seed)) @ top).abs())
        for k in range(1, 5)
    ]
    assert all(later > sooner - 1e-9 for sooner, later in pairwise(cosines))
    assert cosines[-1] > 0.99


def test_the_logistic_model_is_along_its_weights_after_one_step():
    weight = drawn(7)
    x = drawn(10, 7, seed=1)

    def model(inputs):
        return torch.stack([0 * (inputs @ weight), inputs @ weight], -1)

    found = virtual_adversarial_direction(model, x, generator=seeded())
    torch.testing.assert_close(found.abs(), (weight / weight.norm()).abs().expand(10, 7), rtol=1e-5, atol=1e-6)


def test_by_hand_step_by_step_as_released():
    """One power step by central formulae in plain loops: the released code's order of operations."""
    model, x, xi = network(4, 6, 3), drawn(5, 4), 1e-4

    def normalised(d):
        d = d / (1e-12 + d.abs().max())
        return d / math.sqrt(1e-6 + float((d**2).sum()))

    first = torch.randn(5, 4, generator=seeded(9)).double()
    wanted = []
    for one, d in zip(x, first, strict=True):
        step = (xi * normalised(d)).requires_grad_()
        p, q = model(one).softmax(-1).detach(), model(one + step).softmax(-1)
        (g,) = torch.autograd.grad((p * (p.log() - q.log())).sum(), step)
        r = 0.7 * normalised(g)
        wanted.append(divergence(p, model(one + r).softmax(-1)))
    rows = virtual_adversarial_loss(model, x, radius=0.7, xi=xi, generator=seeded(9), reduction="none")
    torch.testing.assert_close(rows, torch.stack(wanted), rtol=1e-6, atol=1e-12)  # 1e-12/ξ of rounding in g
    for reduction, value in (("mean", rows.mean()), ("sum", rows.sum())):
        again = virtual_adversarial_loss(model, x, radius=0.7, xi=xi, generator=seeded(9), reduction=reduction)
        torch.testing.assert_close(again, value)


def test_a_random_direction_changes_less_on_average():
    model, x = network(20, 30, 4), drawn(200, 20)
    lds, random = (
        virtual_adversarial_loss(model, x, radius=0.5, power_steps=steps, generator=seeded()).item() for steps in (1, 0)
    )
    assert lds > 3 * random  # in 20 dimensions a random direction has a twentieth of its square along any one


def test_directions_have_length_1_and_nothing_flows_through_them():
    model = network(5, 8, 3)
    x = drawn(9, 5).requires_grad_()
    found = virtual_adversarial_direction(model, x, generator=seeded())
    assert not found.requires_grad
    torch.testing.assert_close(found.norm(dim=1), torch.ones(9).double(), rtol=1e-6, atol=0)
    virtual_adversarial_loss(model, x, radius=0.3, generator=seeded()).backward()
    assert x.grad is None


def test_only_the_second_pass_has_a_gradient():
    model, x = network(5, 8, 3), drawn(9, 5)
    virtual_adversarial_loss(model, x, radius=0.3, generator=seeded()).backward()
    found = [p.grad.clone() for p in model.parameters()]
    d = virtual_adversarial_direction(model, x, generator=seeded())
    p = model(x).softmax(-1).detach()
    model.zero_grad()
    divergence(p, model(x + 0.3 * d).softmax(-1)).mean().backward()
    for one, other in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_step_of_the_finite_difference_suits_the_format(dtype):
    model, x = network(30, 40, 5), drawn(50, 30)
    exact = virtual_adversarial_direction(model, x, xi=1e-6, generator=seeded())
    found = virtual_adversarial_direction(model.to(dtype), x.to(dtype), generator=seeded()).double()
    cosines = (found * exact).sum(1)
    assert cosines.min() > (0.999 if dtype == torch.float32 else 1 - 1e-6)


def test_the_released_step_is_lost_in_rounding_in_single_precision():
    model, x = network(30, 40, 5), drawn(50, 30)
    exact = virtual_adversarial_direction(model, x, xi=1e-6, generator=seeded())
    found = virtual_adversarial_direction(model.float(), x.float(), xi=1e-6, generator=seeded()).double()
    assert (found * exact).sum(1).min() < 0.9


def test_no_example_depends_on_the_others():
    model, x = network(5, 8, 3), drawn(6, 5)
    together = virtual_adversarial_direction(model, x, generator=seeded())
    others = torch.cat([x[:1], 5 * drawn(5, 5, seed=7)])
    apart = virtual_adversarial_direction(model, others, generator=seeded())
    torch.testing.assert_close(apart[0], together[0], rtol=1e-6, atol=1e-9)
    assert not torch.allclose(apart[1:], together[1:])


def test_members_of_an_ensemble_have_directions_and_draws_of_their_own():
    models, x = [network(5, 8, 3, seed=seed) for seed in (1, 2)], drawn(2, 7, 5)
    own = partial(Ensemble(models), own=True)
    rows = virtual_adversarial_loss(
        own, x, radius=0.4, generator=[seeded(3), seeded(4)], sample_axes=2, reduction="none"
    )
    assert rows.shape == (7, 2)
    for k, model in enumerate(models):
        alone = virtual_adversarial_loss(model, x[k], radius=0.4, generator=seeded(3 + k), reduction="none")
        torch.testing.assert_close(rows[:, k], alone, rtol=1e-5, atol=1e-9)  # products in another order, over ξ


class Masked(nn.Module):
    """Batch normalisation and dropout, and a memory of the masks."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = linear(5, 8, generator=seeded()), nn.BatchNorm1d(8), nn.Dropout(0.5)
        self.last = linear(8, 3, generator=seeded(1))
        self.masks = []

    def forward(self, values):
        hidden = self.norm(self.first(values))
        kept = self.drop(torch.ones_like(hidden))
        self.masks.append(kept.detach())
        return self.last(hidden * kept)


def test_batch_normalisation_remembers_no_pass_and_dropout_masks_are_the_same():
    model, x = Masked().train(), drawn(16, 5, dtype=torch.float32)
    before = {name: value.clone() for name, value in model.named_buffers()}
    virtual_adversarial_loss(model, x, radius=0.5, power_steps=2, generator=seeded())
    assert len(model.masks) == 4
    assert all(torch.equal(mask, model.masks[0]) for mask in model.masks)
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert model.norm.track_running_stats
    model(x)
    assert model.norm.num_batches_tracked == 1  # a pass of the reader's own counts again
    assert not torch.equal(model.masks[-1], model.masks[0])


def test_an_interrupted_pass_leaves_the_normalisation_as_it_was():
    model = Masked().train()
    with pytest.raises(RuntimeError):
        virtual_adversarial_loss(model, drawn(4, 6, dtype=torch.float32), radius=0.5, generator=seeded())
    assert model.norm.track_running_stats


def test_lds_alone_pulls_the_boundary_out_of_a_crowd():
    """A cloud on the boundary of a logistic model: descent on LDS moves the boundary away, and asks for no label."""
    model = linear(1, 2, generator=seeded()).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        model.bias.copy_(torch.tensor([0.0, -0.2]))
    x = 0.1 * drawn(200, 1)
    before = virtual_adversarial_loss(model, x, radius=0.5, generator=seeded()).item()
    optimizer = torch.optim.SGD([model.bias], lr=0.5)
    for step in range(200):
        optimizer.zero_grad()
        virtual_adversarial_loss(model, x, radius=0.5, generator=seeded(step)).backward()
        optimizer.step()
    assert virtual_adversarial_loss(model, x, radius=0.5, generator=seeded()).item() < before / 2
    assert (model(x).argmax(-1) == model(x[:1]).argmax(-1)).all()


def test_the_entropy_is_between_0_and_log_classes_and_its_gradient_is_the_closed_form():
    z = drawn(50, 6).requires_grad_()
    rows = conditional_entropy(z, reduction="none")
    p = z.detach().softmax(-1)
    torch.testing.assert_close(rows.detach(), -(p * p.log()).sum(-1))
    torch.testing.assert_close(rows.detach(), cross_entropy(z.detach(), p, reduction="none"))
    assert rows.min() > 0
    assert rows.max() < math.log(6)
    (slope,) = torch.autograd.grad(rows.sum(), z)
    torch.testing.assert_close(slope, -p * (p.log() + rows.detach()[:, None]), rtol=1e-10, atol=1e-12)
    assert conditional_entropy(torch.tensor([[200.0, 0.0]])).item() == 0
    assert conditional_entropy(torch.zeros(4, 6)).item() == pytest.approx(math.log(6))


X = torch.zeros(4, 3)
BAD = {
    "inputs": [
        ({"inputs": [0.0]}, TypeError, "a floating-point tensor"),
        ({"inputs": X[0]}, ValueError, "more than 1"),
    ],
    "generator": [
        ({"generator": 0}, TypeError, "a torch.Generator"),
        ({"generator": [seeded()] * 3}, ValueError, "one, or 4"),
        ({"generator": [0] * 4}, TypeError, "a torch.Generator"),
    ],
    "power_steps": [({"power_steps": -1}, ValueError, "an integer >= 0"), ({"power_steps": 0.5}, TypeError, ">= 0")],
    "xi": [({"xi": 0.0}, ValueError, "> 0"), ({"xi": math.nan}, ValueError, "> 0")],
    "sample_axes": [({"sample_axes": 0}, ValueError, ">= 1"), ({"sample_axes": 2}, ValueError, "more than 2")],
    "radius": [({"radius": -1.0}, ValueError, ">= 0"), ({"radius": "1"}, TypeError, ">= 0")],
    "reduction": [({"reduction": "max"}, ValueError, "'mean', 'sum', 'none'")],
}


@pytest.mark.parametrize(
    ("argument", "changes", "error", "expected"),
    [(argument, *case) for argument, cases in BAD.items() for case in cases],
)
def test_bad_input_is_refused_by_name(argument, changes, error, expected):
    given = {"inputs": X, "radius": 0.1, "generator": seeded()} | changes
    inputs = given.pop("inputs")
    named = "inputs" if changes == {"sample_axes": 2} else argument
    with pytest.raises(error, match=f"^{named}: got") as raised:
        virtual_adversarial_loss(lambda x: x, inputs, **given)
    assert expected in str(raised.value)
    if argument not in ("radius", "reduction"):
        given.pop("radius")
        with pytest.raises(error, match=f"^{named}: got"):
            virtual_adversarial_direction(lambda x: x, inputs, **given)


def test_an_entropy_of_what_is_none_is_refused():
    for logits, error in (([0.0], TypeError), (X.long(), TypeError), (X[0, 0], ValueError), (X[:, :0], ValueError)):
        with pytest.raises(error, match=r"^logits: got"):
            conditional_entropy(logits)
    with pytest.raises(ValueError, match=r"^reduction: got 'max'"):
        conditional_entropy(X, reduction="max")
