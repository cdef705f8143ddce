"""SAM: a step uphill of a given length, the gradient there, the weights back to the bit, any optimiser behind it."""

import copy

import pytest
import torch

from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, multilayer
from lossbook.training import PerpGrad, SharpnessAware, Shuffled, train, uphill


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


FEATURES, LABELS = drawn(60, 5, seed=3, dtype=torch.float32), torch.arange(60) % 3


def network(seed: int = 1) -> torch.nn.Module:
    return multilayer((5, 8, 3), generator=seeded(seed), activation="tanh")


def objective(model, batch):
    logits = model(FEATURES[batch])
    target = LABELS[batch] if logits.ndim == 2 else LABELS[batch, None].expand(-1, logits.shape[1])
    return cross_entropy(logits, target, reduction="none").mean(0).sum()


def trained(model, optimizer, steps: int = 12, **options):
    train(model, objective, Shuffled(60, 20, seeded(5)), optimizer, steps=steps, at=steps, **options)
    return [p.detach().clone() for p in model.parameters()]


MAKERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
}


def test_the_step_uphill_has_length_rho_along_the_whole_gradient():
    parts = [drawn(3, 4), drawn(7, seed=1)]
    moves = uphill(parts, rho=0.3)
    whole, moved = (torch.cat([part.flatten() for part in given]) for given in (parts, moves))
    assert moved.norm().item() == pytest.approx(0.3, rel=1e-12)
    assert float(moved @ whole) == pytest.approx(0.3 * float(whole.norm()), rel=1e-12)
    assert all(move.abs().max() == 0 for move in uphill([0 * part for part in parts], rho=0.3))


def test_members_have_steps_of_their_own():
    parts = [drawn(2, 3, 4), drawn(2, 1, 5, seed=1)]
    moves = uphill(parts, rho=0.3, member_axes=1)
    for k in range(2):
        for move, alone in zip(moves, uphill([part[k] for part in parts], rho=0.3), strict=True):
            torch.testing.assert_close(move[k], alone, rtol=1e-13, atol=0)


def test_on_a_quadratic_the_gradient_is_the_closed_form():
    """L = ½ wᵀAw: the gradient at w + ρ Aw/‖Aw‖ is A (w + ρ Aw/‖Aw‖)."""
    root, w = drawn(4, 4), torch.nn.Parameter(drawn(4, seed=1))
    matrix, rho, rate = root @ root.T, 0.2, 0.05
    optimizer = SharpnessAware(torch.optim.SGD([w], lr=rate), rho=rho)

    def again():
        optimizer.zero_grad()
        loss = w @ matrix @ w / 2
        loss.backward()
        return loss

    again()
    before = w.detach().clone()
    slope = matrix @ before
    value = optimizer.step(again)
    moved = before + rho * slope / slope.norm()
    torch.testing.assert_close(w.detach(), before - rate * matrix @ moved, rtol=1e-12, atol=1e-14)
    assert value.item() == pytest.approx(float(moved @ matrix @ moved / 2), rel=1e-12)  # the loss uphill


@pytest.mark.parametrize("name", MAKERS)
def test_rho_0_is_the_plain_optimiser_to_the_bit(name):
    one, other = network(), network()
    wrapped = trained(one, SharpnessAware(MAKERS[name](one.parameters()), rho=0.0))
    plain = trained(other, MAKERS[name](other.parameters()))
    assert all(map(torch.equal, wrapped, plain))


@pytest.mark.parametrize("name", MAKERS)
def test_in_the_training_loop_it_is_two_gradients_and_one_step(name):
    model, other = network(), network()
    found = trained(model, SharpnessAware(MAKERS[name](model.parameters()), rho=0.1))
    optimizer, batches = MAKERS[name](other.parameters()), Shuffled(60, 20, seeded(5))
    for _ in range(12):
        batch = batches()
        slopes = torch.autograd.grad(objective(other, batch), list(other.parameters()))
        length = torch.cat([slope.flatten() for slope in slopes]).norm()
        moved = copy.deepcopy(other)
        with torch.no_grad():
            for p, slope in zip(moved.parameters(), slopes, strict=True):
                p += 0.1 * slope / length
        uphill_slopes = torch.autograd.grad(objective(moved, batch), list(moved.parameters()))
        for p, slope in zip(other.parameters(), uphill_slopes, strict=True):
            p.grad = slope
        optimizer.step()
    for one, wanted in zip(found, other.parameters(), strict=True):
        torch.testing.assert_close(one, wanted.detach(), rtol=1e-4, atol=1e-6)  # float32, a dozen steps


def test_the_weights_come_back_to_the_bit_even_where_the_second_gradient_fails():
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = SharpnessAware(torch.optim.SGD(model.parameters(), lr=0.0), rho=0.7)
    objective(model, torch.arange(10)).backward()

    def failing():
        assert any(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(failing)
    assert all(map(torch.equal, model.parameters(), before))
    optimizer.step(lambda: objective(model, torch.arange(10)).backward())
    assert all(map(torch.equal, model.parameters(), before))  # a rate of 0: nothing else moved them


def test_in_an_ensemble_each_member_goes_as_alone():
    models = [network(seed) for seed in (1, 2)]
    ensemble = Ensemble(models)
    trained(ensemble, SharpnessAware(torch.optim.SGD(ensemble.parameters(), lr=0.1), rho=0.2, member_axes=1))
    for k, model in enumerate(models):
        alone = trained(model, SharpnessAware(torch.optim.SGD(model.parameters(), lr=0.1), rho=0.2))
        for found, expected in zip(ensemble.member(k).parameters(), alone, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)  # products in another order


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path):
    def make():
        model = network()
        return model, SharpnessAware(MAKERS["sgd"](model.parameters()), rho=0.1)

    model, optimizer = make()
    whole = trained(model, optimizer, 12)
    model, optimizer = make()
    trained(model, optimizer, 5, checkpoint=tmp_path / "c")
    model, optimizer = make()
    assert all(map(torch.equal, trained(model, optimizer, 12, checkpoint=tmp_path / "c"), whole))


def test_a_scheduler_and_a_transform_reach_the_step():
    model, halved = network(), network()
    optimizer = SharpnessAware(torch.optim.SGD(model.parameters(), lr=0.1), rho=0.1)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 0.5, total_iters=100)
    found = trained(model, optimizer, scheduler=scheduler)
    plain = SharpnessAware(torch.optim.SGD(halved.parameters(), lr=0.05), rho=0.1)
    assert all(map(torch.equal, found, trained(halved, plain)))

    def nothing(model, batch):
        for p in model.parameters():
            p.grad.zero_()

    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    stays = SharpnessAware(torch.optim.SGD(model.parameters(), lr=0.1), rho=0.1)
    assert all(map(torch.equal, trained(model, stays, transform=nothing), before))


def test_it_wraps_a_wrapper():
    model = network()
    optimizer = SharpnessAware(PerpGrad(torch.optim.SGD(model.parameters(), lr=0.1)), rho=0.1)
    before = [p.detach().norm().item() for p in model.parameters()]
    trained(model, optimizer, 1)
    for p, length in zip(model.parameters(), before, strict=True):
        assert p.detach().norm().item() >= length  # the step is across the weights


def test_parameters_without_a_gradient_are_left_alone():
    used, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = SharpnessAware(torch.optim.SGD([used, unused], lr=0.1), rho=0.1)

    def again():
        optimizer.zero_grad()
        loss = used.square().sum()
        loss.backward()
        return loss

    optimizer.step(again)  # no gradient at all: nothing to climb, nothing moves
    assert torch.equal(used, torch.ones(2))
    again()
    optimizer.step(again)
    assert torch.equal(unused, torch.ones(2))
    assert not torch.equal(used, torch.ones(2))


W = [torch.nn.Parameter(torch.ones(2))]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SharpnessAware(W), TypeError, "optimizer: got .*expected a torch optimiser"),
        (lambda: SharpnessAware(torch.optim.SGD(W, lr=1.0), rho=-0.1), ValueError, "rho: got -0.1, expected .* >= 0"),
        (lambda: SharpnessAware(torch.optim.SGD(W, lr=1.0), rho="1"), TypeError, "rho: got '1'"),
        (lambda: SharpnessAware(torch.optim.SGD(W, lr=1.0), member_axes=-1), ValueError, "member_axes: got -1"),
        (lambda: SharpnessAware(torch.optim.SGD(W, lr=1.0)).step(), TypeError, "closure: got None"),
        (lambda: uphill([], rho=0.1), ValueError, "gradients: got none"),
        (lambda: uphill([torch.ones(2).long()], rho=0.1), TypeError, "gradients: got an int64 tensor"),
        (lambda: uphill([torch.ones(2)], rho=-1.0), ValueError, "rho: got -1.0"),
        (lambda: uphill([torch.ones(2), torch.ones(3)], rho=1.0, member_axes=1), ValueError, "gradients: got leading"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=f"(?s)^{message}"):
        call()
