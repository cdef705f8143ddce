"""Fast adversarial training: the step, the band that is inactive where it says so, the pull to the mean weights."""

import math

import pytest
import torch

from lossbook.losses import cross_entropy
from lossbook.models import multilayer
from lossbook.training import SmoothConvergence, WeightCentre, fast_step, smoothing


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem():
    return multilayer((3, 16, 4), generator=seeded(1)), torch.rand(50, 3, generator=seeded(2)), torch.arange(50) % 4


def stepped(**options):
    model, inputs, target = problem()
    return fast_step(model, cross_entropy, inputs, target, **{"radius": 0.2, "generator": seeded(), **options})


def test_a_clean_start_is_the_inputs_and_a_random_one_lies_in_the_ball_and_the_bounds():
    _, inputs, _ = problem()
    assert torch.equal(stepped(start="clean").start, inputs)
    start = stepped().start
    assert float((start - inputs).abs().max()) <= 0.2 + 1e-6
    assert float(start.min()) >= 0
    assert float(start.max()) <= 1
    assert float((start - inputs).abs().mean()) > 0.05


def test_the_step_goes_up_the_loss_by_its_sign_from_where_it_starts():
    model, _, target = problem()
    found = stepped(step_size=0.1)
    leaf = found.start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(model(leaf), target), leaf)
    torch.testing.assert_close(found.moved, (found.start + 0.1 * slope.sign()).clamp(0, 1))


def test_unclipped_points_lie_outside_the_ball_and_clipped_ones_do_not():
    _, inputs, _ = problem()
    free, held = (float((stepped(clip=clip).moved - inputs).abs().max()) for clip in (False, True))
    assert free > 0.3  # up to 0.4: a random start and a whole step
    assert held <= 0.2 + 1e-6


def along(losses, base=1.0, **options):
    """What a constraint gives for one batch an epoch, and the side it pushes from."""
    constraint = SmoothConvergence(1, **options)
    found = []
    for loss in losses:
        value = constraint(torch.tensor(base), torch.tensor(loss), 1)
        found.append((float(value), float(constraint.outside)))
    return found


JUMPS = [2.0, 1.0, 1.6, 0.2, 0.21, 3.0]


def test_outside_the_band_the_loss_is_the_published_one_and_inside_it_the_base():
    found = along(JUMPS, weight=2.0, gamma=0.1)
    sides = [0, 0, 1, -1, 0, 1]  # of L_n against the mean of the epoch before
    assert [side for _, side in found] == sides
    for (value, _), side, loss in zip(found, sides, JUMPS, strict=True):
        assert value == pytest.approx(1.0 + 2.0 * side * loss)


def test_outside_it_differs_from_the_distance_by_a_constant_and_has_its_gradient():
    benign = torch.tensor(1.6, requires_grad=True)
    constraint = SmoothConvergence(1, weight=2.0, gamma=0.1)
    for loss in (2.0, 1.0):
        constraint(torch.tensor(0.0), torch.tensor(loss), 1)
    found = constraint(torch.tensor(0.0), benign, 1)
    distance = 2.0 * (benign - 1.0).abs()
    assert float((found - distance).detach()) == pytest.approx(2.0 * 1.0)  # w₂ s L̄
    for value in (found, distance):
        (slope,) = torch.autograd.grad(value, benign)
        assert float(slope) == 2.0


def test_inside_the_band_the_gradient_is_the_bases_to_the_bit():
    model, inputs, target = problem()
    constraint = SmoothConvergence(1, gamma=10.0)
    for _ in range(4):
        base = cross_entropy(model(inputs), target)
        found = constraint(base, cross_entropy(model(inputs + 0.1), target), len(target))
        slopes = [torch.autograd.grad(loss, model.parameters(), retain_graph=True) for loss in (found, base)]
        assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))


@pytest.mark.parametrize("options", [{"gamma": math.inf}, {"weight": 0.0}], ids=str)
def test_an_infinite_band_or_no_weight_is_plain_training(options):
    assert [value for value, _ in along(JUMPS, **options)] == [1.0] * len(JUMPS)


def test_the_first_two_epochs_have_no_band():
    assert [side for _, side in along([5.0, 0.0, 5.0], gamma=0.1)] == [0, 0, 1]


def test_the_band_waits_beside_the_changes_of_the_learning_rate():
    """Active where start + stride < epoch < end − stride, epochs from 0: of (0, 6, 12), 2-4 and 8-10."""
    constraint = SmoothConvergence(1, segments=(0, 6, 12), stride=1)
    active = []
    for epoch in range(14):
        active += [epoch] * constraint.active
        constraint(torch.tensor(0.0), torch.tensor(1.0), 1)
    assert active == [2, 3, 4, 8, 9, 10]


def test_the_published_segments_leave_out_the_last_epochs():
    constraint = SmoothConvergence(1, segments=(0, 100, 105, 110))
    active = []
    for epoch in range(112):
        active += [epoch] * constraint.active
        constraint(torch.tensor(0.0), torch.tensor(1.0), 1)
    assert active == [*range(2, 99), 102, 103, 107, 108]


def test_the_mean_of_an_epoch_counts_rows_and_not_batches():
    constraint = SmoothConvergence(2)
    constraint(torch.tensor(0.0), torch.tensor(1.0), 30)
    constraint(torch.tensor(0.0), torch.tensor(2.0), 10)
    assert [float(mean) for mean in constraint.means] == [1.25]
    assert constraint.epoch == 1


@pytest.mark.parametrize(("means", "wanted"), [((2.0, 1.0), 0.025), ((1.0, 1.06), 0.06), ((1.0, 2.0), 0.1)])
def test_the_width_is_the_last_change_between_its_limits(means, wanted):
    constraint = SmoothConvergence(1, gamma=0.1, ratio=4.0)
    for loss in (*means, 1.5):
        constraint(torch.tensor(0.0), torch.tensor(loss), 1)
    assert float(constraint.gamma_now) == pytest.approx(wanted, abs=1e-6)


def test_members_have_bands_of_their_own():
    constraint = SmoothConvergence(1, gamma=0.1)
    for losses in ([2.0, 2.0], [1.0, 1.0], [1.5, 1.05]):
        found = constraint(torch.zeros(2), torch.tensor(losses), 1)
    assert found.tolist() == [1.5, 0.0]


def test_the_weights_are_drawn_to_the_mean_of_the_epochs_that_are_over():
    model, *_ = problem()
    parameters = list(model.parameters())
    centre, seen = WeightCentre(parameters), []
    for shift in (0.3, -0.1, 0.5):
        with torch.no_grad():
            for one in parameters:
                one.add_(shift)
        seen.append([one.detach().clone() for one in parameters])
        centre.end_epoch()
    means = [torch.stack(list(values)).mean(0) for values in zip(*seen, strict=True)]
    wanted = sum(float((one.detach() - mean).square().sum()) for one, mean in zip(parameters, means, strict=True))
    distance = centre.distance()
    assert float(distance.detach()) == pytest.approx(wanted, rel=1e-5)
    slopes = torch.autograd.grad(distance, parameters)
    for slope, one, mean in zip(slopes, parameters, means, strict=True):
        torch.testing.assert_close(slope, 2 * (one.detach() - mean), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_smoothed_labels_sum_to_one_and_give_the_right_class_its_factor(classes):
    share = smoothing(0.6, classes)
    labels = torch.full((classes,), share / classes, dtype=torch.float64)
    labels[0] += 1 - share
    assert float(labels.sum()) == pytest.approx(1, abs=1e-12)
    assert float(labels[0]) == pytest.approx(0.6, abs=1e-12)
    assert float(labels[1]) == pytest.approx(0.4 / (classes - 1), abs=1e-12)


def test_the_released_smoothing_is_cross_entropys():
    """one_hot · factor + (one_hot − 1)(factor − 1)/(K − 1), and −Σ target log p."""
    logits, target = torch.randn(20, 10, dtype=torch.float64, generator=seeded()), torch.arange(20) % 10
    one_hot = torch.nn.functional.one_hot(target, 10).double()
    soft = one_hot * 0.6 + (one_hot - 1.0) * ((0.6 - 1) / 9.0)
    released = (-soft * torch.log_softmax(logits, -1)).sum(-1).mean()
    torch.testing.assert_close(cross_entropy(logits, target, label_smoothing=smoothing(0.6, 10)), released)


BAD = [
    (lambda: SmoothConvergence(0), ValueError, "steps_an_epoch: got 0"),
    (lambda: SmoothConvergence(1, weight=-1.0), ValueError, "weight: got -1.0"),
    (lambda: SmoothConvergence(1, gamma=0.0), ValueError, "gamma: got 0.0"),
    (lambda: SmoothConvergence(1, ratio=0.5), ValueError, "ratio: got 0.5"),
    (lambda: SmoothConvergence(1, segments=(5,)), ValueError, "segments: got"),
    (lambda: SmoothConvergence(1, segments=(0, 9, 9)), ValueError, "segments: got"),
    (lambda: SmoothConvergence(1, stride=-1), ValueError, "stride: got -1"),
    (lambda: WeightCentre([]), ValueError, "parameters: got"),
    (lambda: WeightCentre([1.0]), TypeError, "parameters: got"),
    (lambda: smoothing(0.05, 10), ValueError, "factor: got 0.05"),
    (lambda: smoothing(0.6, 1), ValueError, "classes: got 1"),
    (lambda: stepped(radius=-1.0), ValueError, "radius: got -1.0"),
    (lambda: stepped(step_size=-1.0), ValueError, "step_size: got -1.0"),
    (lambda: stepped(start="zero"), ValueError, "start: got 'zero'"),
    (lambda: stepped(generator=None), TypeError, "generator: got None"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
