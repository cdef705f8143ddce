"""Soft top-k: the paper's numbers, sums to rounding, the implicit Jacobian, and its loss."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lossbook import soft_top_k
from lossbook.losses import cross_entropy, soft_top_k_loss

SCORES = torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64)
scores = st.lists(st.floats(-6, 6), min_size=2, max_size=8)
labelled = scores.flatmap(
    lambda z: st.tuples(st.just(z), st.lists(st.sampled_from([0.0, 1.0]), min_size=len(z), max_size=len(z)))
)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_soft_top_k_gives_the_worked_numbers():
    found = soft_top_k(SCORES, 2)
    assert [round(p, 6) for p in found.tolist()] == [0.817574, 0.622459, 0.377541, 0.182426]
    level = found.logit() - SCORES
    torch.testing.assert_close(level, torch.full((4,), -0.5).double(), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)], ids=str)
@pytest.mark.parametrize("sharpness", [0.3, 1.0, 30.0])
def test_memberships_add_up_to_k(dtype, tolerance, sharpness):
    generator = torch.Generator().manual_seed(6)
    given = (4 * torch.randn(50, 40, generator=generator)).to(dtype)
    k = torch.randint(1, 40, (50,), generator=generator).to(dtype) - 0.25
    found = soft_top_k(given, k, sharpness=sharpness)
    torch.testing.assert_close(found.double().sum(-1), k.double(), rtol=0, atol=40 * tolerance)  # forty are rounded


def test_a_hundred_thousand_equal_scores_share_one_place():
    """The official bracket, 10/α beyond the scores, does not reach: there Σp is 4.54."""
    assert round(1e5 * sigmoid(-10), 2) == 4.54
    found = soft_top_k(torch.zeros(100_000).double(), 1)
    torch.testing.assert_close(found, torch.full_like(found, 1e-5), rtol=1e-12, atol=0)


@given(case=st.lists(st.floats(-20, 20), min_size=2, max_size=7), share=st.floats(0.05, 0.95), shift=st.floats(-50, 50))
def test_soft_top_k_sees_neither_a_shift_nor_an_order_and_its_complement_is_that_of_the_opposite(case, share, shift):
    given, k = double(case), share * len(case)
    found = soft_top_k(given, k)
    torch.testing.assert_close(soft_top_k(given + shift, k), found, rtol=1e-9, atol=1e-13)  # 50 rounds a gap to 1e-14
    torch.testing.assert_close(soft_top_k(given.flip(0), k).flip(0), found, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(soft_top_k(-given, len(case) - k), 1 - found, rtol=1e-9, atol=1e-13)


def test_a_very_sharp_one_is_the_top_k_itself():
    generator = torch.Generator().manual_seed(7)
    given = torch.stack([torch.randperm(9, generator=generator) for _ in range(20)]).double()
    for k in (1, 4, 8):
        wanted = (given >= 9 - k).double()
        torch.testing.assert_close(soft_top_k(given, k, sharpness=100.0), wanted, rtol=0, atol=1e-15)


def test_the_jacobian_is_that_of_the_implicit_equation():
    leaf = SCORES.clone().requires_grad_()
    for sharpness in (0.5, 3.0):
        jacobian = torch.autograd.functional.jacobian(lambda s: soft_top_k(s, 1.7, sharpness=sharpness), leaf)  # noqa: B023
        p = soft_top_k(SCORES, 1.7, sharpness=sharpness)
        v = sharpness * p * (1 - p)
        torch.testing.assert_close(jacobian, v.diag() - torch.outer(v, v) / v.sum(), rtol=1e-12, atol=1e-15)
        assert float(jacobian.sum(0).abs().max()) < 1e-15  # Σp does not move


def test_soft_top_k_is_differentiated_as_finite_differences_say_with_a_k_for_each_row():
    generator = torch.Generator().manual_seed(8)
    given = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    k = double([1.0, 2.5, 4.0])
    assert gradcheck(lambda s: soft_top_k(s, k, sharpness=2.0), given)
    assert torch.autograd.gradgradcheck(lambda s: soft_top_k(s, k, sharpness=2.0), given)


def test_where_all_is_decided_the_gradient_is_a_number():
    leaf = double([500.0, 400.0, -400.0, -500.0]).requires_grad_()
    (pull,) = torch.autograd.grad(soft_top_k(leaf, 2, sharpness=50.0)[1], leaf)
    assert bool(pull.isfinite().all())
    torch.testing.assert_close(pull, torch.zeros(4).double(), rtol=0, atol=1e-300)


def test_a_score_of_minus_infinity_takes_no_part():
    masked = torch.cat([SCORES, double([-math.inf] * 3)]).requires_grad_()
    found = soft_top_k(masked, 2)
    torch.testing.assert_close(found[:4], soft_top_k(SCORES, 2), rtol=1e-14, atol=0)
    (pull,) = torch.autograd.grad(found[0], masked)
    assert found[4:].tolist() == pull[4:].tolist() == [0.0, 0.0, 0.0]


@given(case=labelled, sharpness=st.floats(0.5, 4))
def test_the_loss_is_the_mean_logarithm_of_the_right_memberships(case, sharpness):
    z, y = case
    number = int(sum(y))
    found = float(soft_top_k_loss(*map(double, case), sharpness=sharpness))
    if number in (0, len(y)):
        assert found == 0
        return
    low, high = -60.0, 60.0
    for _ in range(200):
        t = (low + high) / 2
        low, high = (t, high) if sum(sigmoid(sharpness * (s + t)) for s in z) < number else (low, t)
    wanted = sum(math.log1p(math.exp(-sharpness * (s + low))) for s, label in zip(z, y, strict=True) if label) / number
    assert math.isclose(
        found, wanted, rel_tol=1e-6, abs_tol=1e-9
    )  # a sum near `number` places t to 1e-16 over its slope


def test_of_two_scores_with_one_right_it_is_the_logistic_loss_of_half_the_gap():
    gap = torch.linspace(-9, 9, 13).double()
    rows, right = torch.stack([gap, torch.zeros_like(gap)], -1), double([1.0, 0.0]).expand(13, 2)
    found = soft_top_k_loss(rows, right, reduction="none")
    torch.testing.assert_close(found, torch.nn.functional.softplus(-gap / 2), rtol=1e-12, atol=0)
    assert bool((found > cross_entropy(rows, torch.zeros(13).long(), reduction="none"))[gap > 0].all())


def test_who_of_the_right_ones_is_first_does_not_matter_once_both_are_in():
    right = double([1.0, 1.0, 0.0, 0.0])
    leaf = double([30.0, 5.0, -30.0, -30.0]).requires_grad_()
    loss = soft_top_k_loss(leaf, right)
    (pull,) = torch.autograd.grad(loss, leaf)
    assert float(loss.detach()) < 1e-7
    assert float(pull.abs().max()) < 1e-7
    softmax = cross_entropy(leaf.detach()[None], right[None] / 2)
    assert float(softmax) > 12  # it asks for equal scores


def test_masking_the_right_labels_beyond_k_lets_the_loss_reach_zero():
    right, far = double([1.0, 1.0, 1.0, 0.0]), double([40.0, 40.0, 40.0, -40.0])
    assert float(soft_top_k_loss(far, right, k=2)) > 0.4  # three ask for two places: −log (2/3) each
    kept = double([1.0, 1.0, 0.0, 0.0])
    assert float(soft_top_k_loss(far.masked_fill(kept != right, -math.inf), kept, k=2)) < 1e-15


def test_a_right_label_at_the_border_is_pushed_down_for_one_that_is_lost():
    """Soft top-k lets right labels stand in any order inside, and is no stranger to rivalry at the border."""
    leaf, right = double([3.0, 0.5, -2.0, 1.0, -0.5, -1.0]).requires_grad_(), double([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    (slope,) = torch.autograd.grad(soft_top_k_loss(leaf, right, sharpness=4.0), leaf)
    assert float(slope[1]) > 0.1
    assert float(slope[2]) < -1
