"""Attacks made stronger: bounds, starts, schedules, restarts, the best point, several in turn."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from lossbook.losses import carlini_wagner_loss, cross_entropy, probability_margin_loss
from lossbook.models import multilayer
from lossbook.training import (
    attack_in_turn,
    cosine_steps,
    margin_attack,
    margin_decomposition,
    projected_attack,
    two_cycle_steps,
)

OPTIONS = {"radius": 0.3, "steps": 6}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def each(loss):
    return lambda scores, target: loss(scores, target, reduction="none")


def problem(rows: int = 60) -> tuple[nn.Module, Tensor, Tensor]:
    model = multilayer((3, 16, 4), generator=seeded(1))
    inputs = torch.rand(rows, 3, generator=seeded(2))
    with torch.no_grad():
        target = model(inputs).argmax(-1)  # all right to begin with
    target[:3] = (target[:3] + 1) % 4  # but these
    return model, inputs, target


def attacked(loss=cross_entropy, **options):
    model, inputs, target = problem()
    return projected_attack(model, each(loss), inputs, target, **{**OPTIONS, "generator": seeded(), **options})


@pytest.mark.parametrize("options", [{}, {"keep": "best"}, {"restarts": 3}, {"start": "clean"}], ids=str)
def test_with_bounds_no_coordinate_leaves_them_nor_the_box(options):
    _, inputs, _ = problem()
    moved = attacked(bounds=(0, 1), **options)
    assert bool(((moved >= 0) & (moved <= 1)).all())
    assert float((moved - inputs).abs().max()) <= 0.3 + 1e-6
    assert float((attacked(**options) - moved).abs().max()) > 0  # without them some coordinate is outside


def test_the_margin_attack_keeps_to_bounds():
    model, inputs, target = problem()
    moved = margin_attack(model, inputs, target, **OPTIONS, bounds=(0.0, 1.0), generator=seeded())
    assert bool(((moved >= 0) & (moved <= 1)).all())


def test_from_a_clean_start_chance_plays_no_part():
    assert torch.equal(attacked(start="clean"), attacked(start="clean", generator=seeded(9)))
    assert torch.equal(attacked(start="clean", steps=0), problem()[1])


def test_one_step_of_the_radius_from_a_clean_start_is_the_fast_gradient_sign():
    model, inputs, target = problem()
    leaf = inputs.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(model(leaf), target), leaf)
    moved = attacked(start="clean", steps=1, step_size=0.3)
    torch.testing.assert_close(moved, inputs + 0.3 * slope.sign())


def test_the_best_point_is_wrong_whenever_any_point_of_the_way_is():
    model, _, target = problem()
    decisions = []
    moved = attacked(keep="best", watch=lambda step, scores: decisions.append(scores.argmax(-1)))
    assert len(decisions) == OPTIONS["steps"] + 1
    ever = (torch.stack(decisions) != target).any(0)
    assert torch.equal(model(moved).argmax(-1) != target, ever)
    last = model(attacked()).argmax(-1) != target
    assert int(ever.sum()) >= int(last.sum())


def test_a_row_that_is_judged_wrong_is_moved_no_more():
    decisions = []
    attacked(keep="best", watch=lambda step, scores: decisions.append(scores))
    _, _, target = problem()
    for before, after in pairwise(decisions):
        wrong = before.argmax(-1) != target
        torch.testing.assert_close(before[wrong], after[wrong])


def test_a_row_that_withstands_goes_where_the_loss_was_highest():
    values, (model, _, target) = [], problem()
    loss = each(carlini_wagner_loss)
    moved = attacked(carlini_wagner_loss, radius=0.05, keep="best",
                     watch=lambda step, scores: values.append(loss(scores, target)))  # fmt: skip
    right = model(moved).argmax(-1) == target
    assert int(right.sum()) > 10
    torch.testing.assert_close(loss(model(moved), target)[right], torch.stack(values).amax(0)[right])


def test_more_restarts_leave_no_more_rows_right():
    model, _, target = problem()
    left = [int((model(attacked(radius=0.1, restarts=n, steps=2)).argmax(-1) == target).sum()) for n in (1, 5)]
    assert left[1] <= left[0]


def test_members_of_an_ensemble_are_attacked_as_if_alone():
    models = [multilayer((3, 16, 4), generator=seeded(seed)) for seed in (1, 2)]
    _, inputs, target = problem()

    def both(points: Tensor) -> Tensor:
        return torch.stack([model(part) for model, part in zip(models, points, strict=True)])

    options = {**OPTIONS, "start": "clean", "keep": "best", "generator": seeded()}
    loss = each(probability_margin_loss)
    together = projected_attack(both, loss, inputs.expand(2, -1, -1), target.expand(2, -1), **options)
    for model, found in zip(models, together, strict=True):
        torch.testing.assert_close(found, projected_attack(model, loss, inputs, target, **options))


def test_cosine_steps_begin_at_twice_the_radius_and_fall():
    sizes = cosine_steps(0.1, 50)
    assert sizes[0] == 0.2
    assert all(a > b > 0 for a, b in pairwise(sizes))
    assert sum(sizes) == pytest.approx(0.1 * 51)  # Σ cos(π i/n) over i < n is 1
    assert sizes[25] == pytest.approx(0.1)


def test_two_cycles_are_the_released_schedule_step_by_step():
    """attacks/MD.py: 2ε · ½ (1 + cos((i − 1)/(n − n/2) π)) up to the change point n/2, and from there on again."""
    n, radius = 10, 0.1
    change = n / 2
    for i, size in enumerate(two_cycle_steps(radius, n)):
        place = (i - change - 1) if i > change else (i - 1)
        assert size == pytest.approx(2 * radius * 0.5 * (1 + math.cos(place / (n - change) * math.pi)))


def test_margin_decomposition_raises_its_parts_in_their_order():
    scores, target = torch.randn(7, 5, generator=seeded()), torch.arange(7) % 5
    p = torch.softmax(scores, -1)
    own = p.gather(-1, target[:, None])[:, 0]
    rival = p.scatter(-1, target[:, None], 0.0).amax(-1)
    for first, half in (("own", -own), ("rival", rival)):
        found = [loss(scores, target) for loss in margin_decomposition(each(probability_margin_loss), 6, first)]
        for value, wanted in zip(found, (own, half, half, rival - own, rival - own, rival - own), strict=True):
            torch.testing.assert_close(value, wanted)


def test_attacks_in_turn_only_meet_the_rows_that_withstood():
    model, inputs, target = problem()
    met = []

    def weak(model, x, y):
        met.append(len(x))
        return x

    def strong(model, x, y):
        met.append(len(x))
        return projected_attack(model, each(cross_entropy), x, y, **OPTIONS, keep="best", generator=seeded())

    moved = attack_in_turn(model, [weak, strong, strong], inputs, target)
    assert met[0] == met[1] == len(inputs) - 3  # three were wrong as they are
    assert met[2] < met[1]
    assert torch.equal(moved[:3], inputs[:3])
    alone = strong(model, inputs, target)
    assert int((model(moved).argmax(-1) == target).sum()) <= int((model(alone).argmax(-1) == target).sum())


BAD = [
    ({"start": "zero"}, ValueError, "start: got 'zero', expected one of 'random', 'clean'"),
    ({"keep": "first"}, ValueError, "keep: got 'first', expected one of 'last', 'best'"),
    ({"restarts": 0}, ValueError, "restarts: got 0, expected an integer >= 1"),
    ({"bounds": (1, 0)}, ValueError, "bounds: got"),
    ({"bounds": 1.0}, TypeError, "bounds: got 1.0"),
    ({"bounds": (0, math.nan)}, ValueError, "bounds: got nan"),
    ({"step_size": (0.1, 0.1)}, ValueError, "step_size: got .*one for each of 6 steps"),
    ({"step_size": [-0.1] * 6}, ValueError, "step_size: got -0.1"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        attacked(**change)


def test_a_loss_that_has_no_row_cannot_keep_the_best():
    model, inputs, target = problem()
    with pytest.raises(ValueError, match=r"loss: got .*expected a loss for each row, shape \(60,\)"):
        projected_attack(model, cross_entropy, inputs, target, **OPTIONS, keep="best", generator=seeded())


@pytest.mark.parametrize(
    ("loss", "error"), [([cross_entropy] * 2, ValueError), ([1] * 6, TypeError), (None, TypeError)]
)
def test_losses_that_are_none_or_too_few_are_refused(loss, error):
    model, inputs, target = problem()
    with pytest.raises(error, match="loss"):
        projected_attack(model, loss, inputs, target, **OPTIONS, generator=seeded())


def test_schedules_and_turns_refuse_what_they_cannot_use():
    model, inputs, target = problem()
    for call, error, message in (
        (lambda: cosine_steps(-1.0, 5), ValueError, "radius: got -1.0"),
        (lambda: two_cycle_steps(0.1, 0), ValueError, "steps: got 0"),
        (lambda: margin_decomposition(cross_entropy, 4, "both"), ValueError, "first: got 'both'"),
        (lambda: attack_in_turn(model, [None], inputs, target), TypeError, "attacks: got"),
        (lambda: attack_in_turn(model, [], inputs.long(), target), TypeError, "inputs: got an int64 tensor"),
    ):
        with pytest.raises(error, match=message):
            call()
