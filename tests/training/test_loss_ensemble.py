"""EnsLoss: each drawn slope is that of a convex, calibrated loss, and nothing but the slope reaches the network."""

import math

import numpy as np
import pytest
import torch

from lossbook.training import EnsLoss
from lossbook.training.loss_ensemble import LEAST, box_cox_inverse, slopes_of


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def margins(count=200, seed=1, scale=2.0):
    return scale * torch.randn(count, dtype=torch.float64, generator=chance(seed))


@pytest.mark.parametrize(
    ("box_cox", "wanted"),
    [(0.5, [0.25, 1, 2.25]), (0.0, [0.3679, 1, 2.7183]), (1.0, [0, 1, 2]), (-1.0, [0.5, 1, math.inf])],
)
def test_the_inverse_of_box_and_cox_gives_the_worked_numbers(box_cox, wanted):
    found = box_cox_inverse(torch.tensor([-1.0, 0.0, 1.0]), box_cox)
    assert found.tolist() == pytest.approx(wanted, abs=5e-5)


def test_it_undoes_scipy_s_transform():
    from scipy.stats import boxcox

    sizes = np.linspace(0.2, 4, 20)
    for box_cox in (-0.8, -0.2, 0.0, 0.4, 1.0):
        drawn = torch.tensor(boxcox(sizes, box_cox))
        assert box_cox_inverse(drawn, box_cox).tolist() == pytest.approx(sizes.tolist(), rel=1e-12)


@pytest.mark.parametrize("box_cox", [-0.9, -0.5, 0.0, 0.5, 0.9])
def test_every_slope_is_negative_bounded_and_does_not_fall_with_the_margin(box_cox):
    """So the loss it belongs to is convex and falls at 0: calibrated (Bartlett, Jordan & McAuliffe 2006)."""
    loss = EnsLoss(chance(), box_cox=box_cox)
    for seed in range(20):
        s = margins(seed=seed)
        order, g = s.argsort(), loss.slopes(s)
        assert bool((g[order].diff() >= 0).all())
        assert bool((g < 0).all() & (g >= -1 - LEAST).all())


def test_about_half_of_the_slopes_are_cut_off_and_they_go_to_the_smallest_margins():
    g = EnsLoss(chance()).slopes(margins(20_000, scale=0.1))  # no margin beyond 1
    cut = g == -1 - LEAST
    assert abs(float(cut.double().mean()) - 0.5) < 5 * 0.5 / math.sqrt(20_000)
    s = margins(20_000, scale=0.1)
    assert float(s[cut].max()) < float(s[~cut].min())


def test_the_released_steps_written_out():
    s = torch.tensor([2.0, -1.0, 0.5, 4.0, 0.9], dtype=torch.float64)
    drawn = torch.tensor([0.3, -2.0, -0.5, 1.0, -1.0], dtype=torch.float64)
    g = sorted(max(-math.exp(u), -1.0) for u in drawn.tolist())
    wanted = [0.0] * 5
    for place, size in zip(sorted(range(5), key=lambda i: float(s[i])), g, strict=True):
        wanted[place] = size * (1 / float(s[place]) if s[place] > 1 else 1) - 1e-6
    assert slopes_of(s, drawn.exp()).tolist() == pytest.approx(wanted, rel=1e-14)


def test_backward_gives_the_slopes_over_the_batch_and_the_value_is_no_risk():
    s = margins().requires_grad_()
    loss = EnsLoss(chance())
    value = loss(s)
    value.backward()
    wanted = EnsLoss(chance()).slopes(s.detach())
    torch.testing.assert_close(s.grad, wanted / len(s), rtol=1e-15, atol=0)
    assert float(EnsLoss(chance())(torch.full((4,), 3.0, dtype=torch.float64))) < 0


def test_with_all_slopes_minus_one_it_is_the_linear_loss():
    s = margins(scale=0.1)
    torch.testing.assert_close(slopes_of(s, torch.full_like(s, 5.0)), torch.full_like(s, -1 - LEAST))


def test_the_same_draws_in_another_order_of_the_examples_deal_the_same_slopes():
    s = margins()
    turn = torch.randperm(len(s), generator=chance(3))
    torch.testing.assert_close(EnsLoss(chance()).slopes(s)[turn], EnsLoss(chance()).slopes(s[turn]), rtol=0, atol=0)


def test_members_have_slopes_of_their_own_each_in_order():
    s = torch.stack([margins(seed=1), margins(seed=2)], 1)
    g = EnsLoss(chance()).slopes(s)
    for k in range(2):
        assert bool((g[s[:, k].argsort(), k].diff() >= 0).all())
    assert not torch.equal(g[:, 0].sort().values, g[:, 1].sort().values)
    assert EnsLoss(chance())(s).shape == (2,)


def test_the_power_is_redrawn_after_each_period_in_training_alone():
    loss, seen = EnsLoss(chance(), period=3), []
    for _ in range(9):
        loss(margins())
        seen.append(loss.box_cox)
    assert seen[:3] == [0.0] * 3
    assert len(set(seen)) == 3
    assert all(-1 <= power <= 1 for power in seen)
    loss.eval()
    for _ in range(9):
        loss(margins())
    assert loss.box_cox == seen[-1]


def test_training_goes_on_from_its_state_with_the_same_draws():
    loss, other = EnsLoss(chance(), period=2), EnsLoss(chance(9), period=2)
    for _ in range(3):
        loss(margins())
    other.load_state_dict(loss.state_dict())
    for _ in range(3):
        assert torch.equal(loss(margins()), other(margins()))


def test_it_draws_from_its_generator_alone():
    before = torch.get_rng_state()
    EnsLoss(chance(), period=1)(margins())
    assert torch.equal(before, torch.get_rng_state())
