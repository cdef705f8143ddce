"""Dice losses: the papers' numbers, loops written out, monai, the official code's slips, and where DSC turns round."""

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.losses import dice_loss, self_adjusting_dice_loss
from lossbook.metrics import f_beta

scores = st.lists(st.floats(-6, 6), min_size=2, max_size=8)
labelled = scores.flatmap(
    lambda z: st.tuples(st.just(z), st.lists(st.sampled_from([0.0, 1.0]), min_size=len(z), max_size=len(z)))
)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_dice_gives_the_worked_numbers():
    logits, active = double([0.9, 0.2, 0.1, 0.6]).logit(), double([1.0, 0.0, 0.0, 1.0])
    assert round(float(dice_loss(logits, active)), 6) == 0.210526
    assert round(float(dice_loss(logits, active, power=2)), 6) == 0.068323


@given(case=labelled, power=st.sampled_from([1, 2]), smoothing=st.floats(1e-6, 2))
def test_dice_is_its_formula_term_by_term(case, power, smoothing):
    p = [sigmoid(z) for z in case[0]]
    shared = sum(one * y for one, y in zip(p, case[1], strict=True))
    whole = sum(one**power for one in p) + sum(case[1])
    found = float(dice_loss(*map(double, case), power=power, smoothing=smoothing))
    assert math.isclose(found, 1 - (2 * shared + smoothing) / (whole + smoothing), abs_tol=1e-14)


@pytest.mark.parametrize("axes", [None, (1, 2), 1, -2, (0, 1), (0, 2), -1])
@pytest.mark.parametrize("power", [1, 2])
def test_dice_is_monais_over_any_axes(axes, power):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own dependencies
        from monai.losses import DiceLoss
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(3, 5, 4, dtype=torch.float64, generator=generator)
    active = (torch.rand(3, 5, 4, generator=generator) < 0.3).double()
    chosen = (0, 1, 2) if axes is None else (axes,) if isinstance(axes, int) else axes
    chosen = tuple(axis % 3 for axis in chosen)
    kept = tuple(axis for axis in range(3) if axis not in chosen)
    shapes = [(-1, 1, *(logits.shape[axis] for axis in chosen))] * 2
    as_monai = [
        part.permute(*kept, *chosen).reshape(shape) for part, shape in zip((logits, active), shapes, strict=True)
    ]
    theirs = DiceLoss(sigmoid=True, squared_pred=power == 2, smooth_nr=0.1, smooth_dr=0.1, reduction="mean")
    found = dice_loss(logits, active, power=power, smoothing=0.1, reduce_over=axes)
    torch.testing.assert_close(found, theirs(*as_monai), rtol=1e-12, atol=0)


def test_dice_of_hard_decisions_is_one_minus_f1():
    generator = torch.Generator().manual_seed(3)
    said, active = (torch.rand(2, 40, 25, generator=generator) < 0.3).double().unbind()
    found = dice_loss(100 * (2 * said - 1), active, smoothing=0.0, reduction="none")
    torch.testing.assert_close(found, 1 - f_beta(said, active), rtol=0, atol=1e-15)


def test_dice_does_not_see_a_second_copy_nor_right_negatives_and_mean_cross_entropy_does():
    logits, active = double([2.0, -1.0, -3.0]), double([1.0, 1.0, 0.0])
    once = float(dice_loss(logits, active, smoothing=0.0))
    assert math.isclose(float(dice_loss(logits.repeat(2), active.repeat(2), smoothing=0.0)), once, rel_tol=1e-14)
    more = torch.cat([logits, torch.full((9,), -50.0)]), torch.cat([active, torch.zeros(9)])
    assert math.isclose(float(dice_loss(*more, smoothing=0.0)), once, rel_tol=1e-14)
    each = [float(torch.nn.functional.binary_cross_entropy_with_logits(*pair)) for pair in ((logits, active), more)]
    assert math.isclose(each[1], each[0] / 4, rel_tol=1e-12)


def test_a_silent_clip_that_is_called_silent_costs_nothing_and_no_overlap_costs_all():
    silent = torch.zeros(6).double()
    assert float(dice_loss(silent - 100, silent)) < 1e-30
    assert math.isclose(float(dice_loss(double([100.0, -100.0]), double([0.0, 1.0]))), 1, abs_tol=1e-6)  # ε/2
    assert float(dice_loss(double([100.0, -100.0]), double([1.0, 0.0]))) < 1e-30


def test_every_negative_has_the_same_push_and_every_positive_at_least_as_strong_a_pull():
    """By p, not by z. Positive to negative as S − I to I."""
    generator = torch.Generator().manual_seed(4)
    p = (0.05 + 0.9 * torch.rand(9, dtype=torch.float64, generator=generator)).requires_grad_()
    active = double([1.0] * 3 + [0.0] * 6)
    (force,) = torch.autograd.grad(dice_loss(p.logit(), active, smoothing=0.0), p)
    shared, whole = float((p * active).sum().detach()), float((p + active).sum().detach())
    torch.testing.assert_close(force[3:], double([2 * shared / whole**2] * 6), rtol=1e-12, atol=0)
    torch.testing.assert_close(force[:3], double([-2 * (whole - shared) / whole**2] * 3), rtol=1e-12, atol=0)
    assert whole - shared >= shared


@pytest.mark.parametrize(
    ("label", "numbers"), [(1.0, (0.153846, 0.339286, 0.431298)), (0.0, (0.375, 0.193548, 0.087591))]
)
def test_dsc_gives_the_worked_numbers(label, numbers):
    logit = double([0.6]).logit()
    found = [round(float(self_adjusting_dice_loss(logit, double([label]), alpha=a)), 6) for a in (0, 1, 2)]
    assert found == list(numbers)


@given(
    case=labelled,
    alpha=st.floats(0, 3),
    smoothing=st.floats(0.05, 2),
    level=st.sampled_from(["example", "set"]),
    power=st.sampled_from([1, 2]),
)
def test_dsc_is_its_formula_term_by_term(case, alpha, smoothing, level, power):
    u = [(1 - sigmoid(z)) ** alpha * sigmoid(z) for z in case[0]]

    def one_ratio(u, y):
        shared = sum(one * label for one, label in zip(u, y, strict=True))
        return 1 - (2 * shared + smoothing) / (sum(one**power for one in u) + sum(y) + smoothing)

    each = [one_ratio([one], [label]) for one, label in zip(u, case[1], strict=True)]
    wanted = one_ratio(u, case[1]) if level == "set" else sum(each) / len(each)
    options = {"alpha": alpha, "smoothing": smoothing, "level": level, "power": power}
    assert math.isclose(float(self_adjusting_dice_loss(*map(double, case), **options)), wanted, abs_tol=1e-13)


@given(case=labelled, false=st.floats(0.1, 0.9), smoothing=st.floats(0.1, 2))
def test_with_unequal_counts_it_is_the_tversky_index(case, false, smoothing):
    """TI = (p y + γ)/(p y + a p (1 − y) + b (1 − p) y + γ), a + b = 1: its γ is half of ours."""
    wanted = 0.0
    for z, y in zip(*case, strict=True):
        p = sigmoid(z)
        shared = p * y + smoothing
        wanted += 1 - shared / (shared + false * p * (1 - y) + (1 - false) * (1 - p) * y)
    options = {"alpha": 0.0, "smoothing": 2 * smoothing, "tversky": (false, 1 - false)}
    found = float(self_adjusting_dice_loss(*map(double, case), **options))
    assert math.isclose(found, wanted / len(case[0]), abs_tol=1e-14)


def test_without_self_adjustment_the_set_level_is_dice():
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(4, 9, dtype=torch.float64, generator=generator)
    target = (torch.rand(4, 9, generator=generator) < 0.4).double()
    for power in (1, 2):
        found = self_adjusting_dice_loss(logits, target, alpha=0.0, level="set", smoothing=1e-4, power=power)
        torch.testing.assert_close(found, dice_loss(logits, target, smoothing=1e-4, power=power), rtol=1e-14, atol=0)


def slope(p, label, **options):
    logit = double([p]).logit().requires_grad_()
    (found,) = torch.autograd.grad(self_adjusting_dice_loss(logit, double([label]), **options), logit)
    return float(found)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_past_its_turning_point_it_pushes_positives_down_and_negatives_up(alpha):
    turn = 1 / (1 + alpha)
    assert slope(turn - 0.01, 1.0, alpha=alpha) < 0 < slope(turn + 0.01, 1.0, alpha=alpha)
    assert slope(turn - 0.01, 0.0, alpha=alpha) > 0 > slope(turn + 0.01, 0.0, alpha=alpha)
    assert abs(slope(turn, 1.0, alpha=alpha)) < 1e-15


@pytest.mark.parametrize("p", [0.01, 0.4, 0.6, 0.99])
def test_with_alpha_0_or_the_weight_detached_it_never_turns(p):
    for options in ({"alpha": 0.0}, {"alpha": 1.0, "detach_weight": True}, {"alpha": 2.0, "detach_weight": True}):
        assert slope(p, 1.0, **options) < 0 < slope(p, 0.0, **options)


def test_with_alpha_1_a_positive_costs_least_at_one_half_where_it_costs_a_third():
    p = torch.linspace(0.01, 0.99, 99).double()
    cost = torch.stack([self_adjusting_dice_loss(one[None].logit(), double([1.0])) for one in p])
    assert math.isclose(float(p[cost.argmin()]), 0.5, abs_tol=1e-9)
    assert math.isclose(float(cost.min()), 1 / 3, rel_tol=1e-12)


def test_a_detached_weight_changes_the_gradient_and_not_the_value():
    logits, target = double([1.0, -0.5]), double([1.0, 0.0])
    assert float(self_adjusting_dice_loss(logits, target)) == float(
        self_adjusting_dice_loss(logits, target, detach_weight=True)
    )


def test_at_set_level_right_negatives_change_nothing():
    logits, target = double([1.0, -0.5]), double([1.0, 0.0])
    more = torch.cat([logits, torch.full((30,), -60.0)]), torch.cat([target, torch.zeros(30)])
    one, other = (float(self_adjusting_dice_loss(*pair, level="set")) for pair in ((logits, target), more))
    assert math.isclose(one, other, rel_tol=1e-14)


def official_columns(p, y, smoothing=1e-4):
    """The official code's loss of several classes: numerators stay a number an example, the denominator is one sum."""
    total = 0.0
    for column, hot in zip(p.T, y.T, strict=True):
        interaction = torch.sum(column.reshape(-1, 1) * hot.reshape(-1, 1), -1)
        total = total + 1 - (2 * interaction + smoothing) / (column.sum() + hot.sum() + smoothing)
    return float(total.mean())


def test_perfect_predictions_cost_two_and_a_half_in_the_official_code_of_three_classes():
    y = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1, 2, 2]), 3).double()
    assert round(official_columns(y, y), 4) == 2.4999  # C (1 − 1/M), with M = 6 and C = 3
    columns = self_adjusting_dice_loss((200 * y - 100).T, y.T, alpha=0.0, level="set", smoothing=1e-4, reduction="sum")
    assert float(columns) < 1e-30


def official_kept(p, y, ratio):
    """Which examples the official code keeps: above the score at place −keep + 1 of the sorted negatives."""
    negatives = torch.sort(p[y == 0]).values
    keep = min(int(int(y.sum()) * ratio), len(negatives))
    return (p > negatives[-keep + 1]) | (y == 1)


@pytest.mark.parametrize(("ratio", "asked", "official"), [(0.5, 1, 7), (1.0, 2, 0), (2.0, 4, 2), (3.0, 6, 4)])
def test_hard_negatives_are_as_many_as_asked_and_in_the_official_code_two_fewer(ratio, asked, official):
    logits = double([0.3, -0.2, 2.0, 1.0, 0.5, 0.1, -1.0, -2.0, -3.0, -4.0])
    y = double([1.0, 1.0] + [0.0] * 8)
    assert int((official_kept(torch.sigmoid(logits), y, ratio) & (y == 0)).sum()) == official
    found = self_adjusting_dice_loss(logits, y, hard_negatives=ratio)
    leaf = logits.clone().requires_grad_()
    (pull,) = torch.autograd.grad(self_adjusting_dice_loss(leaf, y, hard_negatives=ratio), leaf)
    assert int((pull[2:] != 0).sum()) == asked
    kept = torch.arange(10) < 2 + asked  # the negatives are in order
    alone = self_adjusting_dice_loss(logits[kept], y[kept])
    assert math.isclose(float(found) * 10, float(alone) * int(kept.sum()), rel_tol=1e-12)
