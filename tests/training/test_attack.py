"""The attacks: inside the box, at its worst corner where that is known, and without a trace on the model."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from lossbook.losses import comp_sum_loss, cross_entropy, smooth_adversarial_comp_sum_loss
from lossbook.models import linear, multilayer
from lossbook.training import margin_attack, projected_attack


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def on_loss(model: nn.Module, inputs: Tensor, target: Tensor, **options) -> Tensor:
    return projected_attack(model, cross_entropy, inputs, target, **options)


ATTACKS = {"projected": on_loss, "margin": margin_attack}
each_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


def problem() -> tuple[nn.Module, Tensor, Tensor]:
    return multilayer((3, 16, 4), generator=seeded(1)), torch.randn(50, 3, generator=seeded(2)), torch.arange(50) % 4


def movement(model: nn.Module, moved: Tensor, inputs: Tensor, target: Tensor) -> Tensor:
    """‖D(x') − D(x)‖₂ by its definition, class by class."""
    total = torch.zeros(len(inputs))
    for i, y in enumerate(target.tolist()):
        now, before = model(moved[i]), model(inputs[i])
        total[i] = sum(((now[y] - now[k]) - (before[y] - before[k])) ** 2 for k in range(4) if k != y) ** 0.5
    return total.detach()


@each_attack
@pytest.mark.parametrize("steps", [0, 1, 10])
def test_no_coordinate_leaves_its_box(attack, steps):
    model, inputs, target = problem()
    moved = attack(model, inputs, target, radius=0.3, steps=steps, generator=seeded())
    assert ((moved >= inputs - 0.3) & (moved <= inputs + 0.3)).all()
    assert not moved.requires_grad


@each_attack
def test_radius_zero_moves_nothing(attack):
    model, inputs, target = problem()
    assert torch.equal(attack(model, inputs, target, radius=0, generator=seeded()), inputs)


@each_attack
def test_the_same_seed_gives_the_same_attack_and_leaves_torch_s_own_generator_alone(attack):
    model, inputs, target = problem()
    before = torch.get_rng_state()
    # the random start itself: after the steps, different starts may end in the same corner
    first, again, other = (attack(model, inputs, target, radius=0.3, steps=0, generator=seeded(s)) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@each_attack
def test_an_attack_leaves_no_gradient_on_the_model_or_the_inputs(attack):
    model, inputs, target = problem()
    inputs.requires_grad_()
    attack(model, inputs, target, radius=0.3, generator=seeded())
    assert all(parameter.grad is None for parameter in (*model.parameters(), inputs))


@each_attack
def test_an_attack_works_where_gradients_are_off(attack):
    model, inputs, target = problem()
    with torch.no_grad():
        quiet = attack(model, inputs, target, radius=0.3, generator=seeded())
        assert not torch.is_grad_enabled()
    assert torch.equal(quiet, attack(model, inputs, target, radius=0.3, generator=seeded()))


def test_against_a_linear_model_of_two_classes_the_worst_point_is_the_corner_against_the_weights():
    model = linear(5, 2, generator=seeded(1))
    inputs, target = torch.randn(20, 5, generator=seeded(2)), torch.arange(20) % 2
    moved = on_loss(model, inputs, target, radius=0.3, generator=seeded())
    towards_the_other = (model.weight[1 - target] - model.weight[target]).sign()
    torch.testing.assert_close(moved, inputs + 0.3 * towards_the_other)


def test_against_a_linear_model_of_two_classes_the_margin_moves_by_the_radius_times_the_one_norm():
    model = linear(5, 2, generator=seeded(1))
    inputs, target = torch.randn(20, 5, generator=seeded(2)), torch.arange(20) % 2
    moved = margin_attack(model, inputs, target, radius=0.3, generator=seeded())
    change = (model(moved) - model(inputs)).diff(dim=1).abs()
    torch.testing.assert_close(
        change, torch.full((20, 1), 0.3 * (model.weight[0] - model.weight[1]).abs().sum().item())
    )


def test_the_best_of_many_margin_attacks_on_a_linear_model_is_the_worst_corner():
    # The movement is a norm of a linear map, convex, so its largest value in the box is at one of the 8 corners.
    model = linear(3, 4, generator=seeded(1))
    inputs, target = torch.randn(6, 3, generator=seeded(2)), torch.tensor([0, 1, 2, 3, 0, 1])
    corners = [inputs + 0.3 * torch.tensor(signs) for signs in itertools.product((-1.0, 1.0), repeat=3)]
    worst = torch.stack([movement(model, corner, inputs, target) for corner in corners]).amax(0)
    g = seeded()
    attacks = [margin_attack(model, inputs, target, radius=0.3, generator=g) for _ in range(20)]
    found = torch.stack([movement(model, moved, inputs, target) for moved in attacks])
    assert (found <= worst + 1e-5).all()
    torch.testing.assert_close(found.amax(0), worst)


def test_the_loss_of_attacked_inputs_is_higher_than_of_random_ones_for_nearly_all_rows():
    model, inputs, target = problem()
    random, attacked = (on_loss(model, inputs, target, radius=0.3, steps=s, generator=seeded()) for s in (0, 10))
    gain = cross_entropy(model(attacked), target, reduction="none") - cross_entropy(
        model(random), target, reduction="none"
    )
    assert (gain > -1e-6).float().mean() >= 0.95


def test_the_movement_of_margin_attacks_is_larger_than_of_random_ones_for_nearly_all_rows():
    model, inputs, target = problem()
    random, attacked = (margin_attack(model, inputs, target, radius=0.3, steps=s, generator=seeded()) for s in (0, 10))
    gain = movement(model, attacked, inputs, target) - movement(model, random, inputs, target)
    assert (gain > -1e-6).float().mean() >= 0.95


def test_without_a_radius_the_smooth_adversarial_loss_is_the_comp_sum_loss():
    model, inputs, target = problem()
    moved = margin_attack(model, inputs, target, radius=0, generator=seeded())
    loss = smooth_adversarial_comp_sum_loss(model(inputs), target, adversarial_logits=model(moved), tau=0.5)
    assert loss == comp_sum_loss(model(inputs), target, tau=0.5)


def test_the_movement_found_is_what_the_smooth_adversarial_loss_prices():
    model, inputs, target = problem()
    moved = margin_attack(model, inputs, target, radius=0.3, generator=seeded())
    options = {"adversarial_logits": model(moved), "reduction": "none"}
    with_price, without = (
        smooth_adversarial_comp_sum_loss(model(inputs), target, nu=nu, **options) for nu in (2.0, 0.0)
    )
    torch.testing.assert_close(with_price - without, 2 * movement(model, moved, inputs, target), rtol=1e-4, atol=1e-5)


BAD = [
    ({"radius": -0.1}, ValueError, "radius: got -0.1, expected a finite number >= 0"),
    ({"radius": float("nan")}, ValueError, "radius: got nan"),
    ({"steps": -1}, ValueError, "steps: got -1"),
    ({"steps": 2.0}, TypeError, "steps: got 2.0"),
    ({"step_size": 0.0}, ValueError, "step_size: got 0.0, expected a finite number > 0"),
    ({"generator": None}, TypeError, "generator: got None"),
]


@each_attack
@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(attack, change, error, message):
    model, inputs, target = problem()
    with pytest.raises(error, match=message):
        attack(model, inputs, target, **{"radius": 0.1, "generator": seeded()} | change)


@each_attack
def test_integer_inputs_are_refused(attack):
    model, inputs, target = nn.Identity(), torch.zeros(2, 3).long(), torch.zeros(2).long()
    with pytest.raises(TypeError, match="inputs: got an int64 tensor"):
        attack(model, inputs, target, radius=0.1, generator=seeded())
