"""ALDR-KL: the published update step by step, a maximum found by looking, temperatures that stay with their example."""

import math

import pytest
import torch

from lossbook.losses import ldr_kl_loss
from lossbook.training import ALDRKLLoss

TOY, RIGHT, FIRST = torch.tensor([[2.0, 1.0, 0.0]]).double(), torch.tensor([0]), torch.tensor([0])


def made(examples=1, **options):
    return ALDRKLLoss(examples, **{"temperature": 1.0, "normalise": "none"} | options).double()


def objective(scores, target, level, margin, start, alpha):
    """G(λ): the maximum over q written out, for a row of scores and a column of temperatures."""
    ahead = scores - scores[target] + margin * (torch.arange(len(scores)) != target)
    best = level * (torch.logsumexp(ahead / level[:, None], -1) - math.log(len(scores)))
    return best - alpha * math.log(len(scores)) / (2 * start) * (level - start) ** 2


def test_the_exact_update_gives_the_worked_maximiser_and_value():
    loss = made(update="exact")
    value = loss(TOY, RIGHT, FIRST)
    assert round(float(loss.temperatures), 4) == 0.8634
    assert round(float(value), 6) == -0.640322


def test_repeating_the_code_s_update_comes_to_another_temperature():
    """Without the margin; its 10⁻⁵ moves the fourth digit by less than one."""
    loss = made()
    for _ in range(60):
        loss(TOY, RIGHT, FIRST)
    assert float(loss.temperatures) == pytest.approx(0.8424, abs=6e-5)


@pytest.mark.parametrize(
    ("q", "level"), [((1 / 3, 1 / 3, 1 / 3), 1.0), ((0.6, 0.39, 0.01), 0.827583), ((0.98, 0.01, 0.01), 0.550929)]
)
def test_the_best_temperature_of_a_given_q_is_the_worked_one(q, level):
    found = made()._best_for(torch.tensor([q], dtype=torch.float64))
    assert round(float(found), 6) == level


def test_one_call_is_the_released_step_written_out(generator):
    logits = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    target, ids = torch.arange(6) % 4, torch.tensor([5, 1, 7, 2, 0, 9])
    loss, start, alpha, margin = made(10, temperature=3.0, normalise="l1"), 3.0, 2.0, 0.1
    levels = torch.full((10,), start, dtype=torch.float64)
    for _ in range(3):
        f = logits / (logits.abs().sum(1, keepdim=True) / 4)
        q = torch.softmax(f / levels[ids][:, None], 1) + 1e-5
        q = q / q.sum(1, keepdim=True)
        divergence = (q * torch.log(4 * q)).sum(1)
        levels[ids] = start - start * divergence / (alpha * math.log(4))
        ahead = f - f.gather(1, target[:, None]) + margin * (1 - torch.nn.functional.one_hot(target, 4).double())
        level = levels[ids]
        rows = level * torch.log(torch.exp(ahead / level[:, None]).mean(1))
        wanted = rows - alpha * math.log(4) / (2 * start) * (level - start) ** 2
        found = loss(logits, target, ids, reduction="none")
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(loss.temperatures, levels, rtol=1e-13, atol=0)
    assert bool((loss.temperatures[[3, 4, 6, 8]] == start).all())  # examples that were not seen


def test_the_exact_update_is_the_highest_of_all_temperatures(generator):
    """Against 20,000 temperatures, 200 random rows: no grid point is above it, and its own value is the formula's."""
    grid = torch.linspace(1e-3, 2.0, 20_000, dtype=torch.float64)
    scores = 3 * torch.randn(200, 4, dtype=torch.float64, generator=generator)
    target = torch.arange(200) % 4
    loss = made(200, update="exact", alpha=2.0)
    values = loss(scores, target, torch.arange(200), reduction="none")
    for row in range(200):
        best = objective(scores[row], target[row], grid, 0.1, 1.0, 2.0).max()
        assert float(values[row]) >= float(best) - 1e-6


def test_temperatures_stay_between_their_bounds(generator):
    for alpha in (1.0, 2.0, 5.0):
        for update in ("code", "exact"):
            loss = made(100, alpha=alpha, update=update, temperature=10.0)
            scores = 50 * torch.randn(100, 5, dtype=torch.float64, generator=generator)
            value = loss(scores, torch.zeros(100).long(), torch.arange(100))
            low, high = 10 * (1 - 1 / alpha), 10.0
            assert bool((loss.temperatures > 0).all() & (loss.temperatures >= low - 1e-9).all())
            assert bool((loss.temperatures <= high + 1e-12).all() & value.isfinite())


def test_with_a_stiff_penalty_it_is_ldr(generator):
    logits, target = torch.randn(8, 3, dtype=torch.float64, generator=generator), torch.arange(8) % 3
    found = made(8, alpha=1e9, temperature=2.0)(logits, target, torch.arange(8))
    torch.testing.assert_close(found, ldr_kl_loss(logits, target, temperature=2.0), rtol=1e-7, atol=1e-8)


def test_the_gradient_is_that_of_ldr_at_the_temperatures_held(generator):
    logits, target = (
        torch.randn(5, 3, dtype=torch.float64, generator=generator, requires_grad=True),
        torch.arange(5) % 3,
    )
    loss = made(5)
    (found,) = torch.autograd.grad(loss(logits, target, torch.arange(5), reduction="sum"), logits)
    for row, level in enumerate(loss.temperatures.tolist()):
        plain = ldr_kl_loss(logits[row], target[row], temperature=level, reduction="sum")
        (wanted,) = torch.autograd.grad(plain, logits)
        torch.testing.assert_close(found[row], wanted[row], rtol=1e-12, atol=1e-14)


def test_in_evaluation_the_temperatures_stay():
    loss = made()
    loss.eval()
    loss(TOY, RIGHT, FIRST)
    assert float(loss.temperatures) == 1.0


def test_the_temperatures_travel_with_the_state():
    loss, other = made(3), made(3)
    loss(TOY, RIGHT, torch.tensor([2]))
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other.temperatures, loss.temperatures)
    assert float(other.temperatures[2]) < 1


def test_members_are_as_if_alone(generator):
    logits = torch.randn(4, 2, 3, dtype=torch.float64, generator=generator)
    target, ids = torch.randint(3, (4, 2), generator=generator), torch.tensor([3, 0, 5, 1])
    both = made(6, members=2)
    values = both(logits, target, ids, reduction="none")
    for k in range(2):
        one = made(6)
        torch.testing.assert_close(one(logits[:, k], target[:, k], ids, reduction="none"), values[:, k])
        torch.testing.assert_close(one.temperatures, both.temperatures[:, k])


def test_it_touches_no_global_state():
    before = torch.get_rng_state()
    made()(TOY, RIGHT, FIRST)
    assert torch.equal(before, torch.get_rng_state())
