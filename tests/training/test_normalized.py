"""Gradient descent on the logistic loss with steps of any size, and what it becomes."""

import math

import pytest
import torch
from scipy.integrate import solve_ivp

from lossbook.datasets import separable_worst_case
from lossbook.experiments.perceptron import largest_margin, path, two_classes
from lossbook.losses import logistic_loss
from lossbook.training.normalized import batch_perceptron_step, logistic_step, normalized_logistic_step

STEPS = (logistic_step, normalized_logistic_step)


def a_set(generator, points=40, dimension=6):
    features = torch.randn(points, dimension, dtype=torch.float64, generator=generator)
    return features, torch.where(features[:, 0] > 0.3, 1.0, -1.0).double()


def worst_case(points):
    return tuple(tensor.double() for tensor in separable_worst_case(points))


def steps_to_separate(step, features, labels, most=20_000, **options):
    def one(weights, features, labels):
        return step(weights, features, labels, **options)

    *_, (done, _, margins) = path(one, features, labels, steps=most)
    assert float(margins.min()) > 0
    return done


def test_a_step_goes_against_the_gradient_of_the_mean_logistic_loss(generator):
    features, labels = a_set(generator)
    weights = torch.randn(6, dtype=torch.float64, generator=generator, requires_grad=True)
    (gradient,) = torch.autograd.grad(logistic_loss(labels * (features @ weights)), weights)
    stepped = logistic_step(weights.detach(), features, labels, step_size=0.7)
    torch.testing.assert_close(stepped, weights.detach() - 0.7 * gradient, rtol=1e-13, atol=1e-15)


def test_a_normalised_step_is_the_gradient_divided_by_the_mean_residual(generator):
    features, labels = a_set(generator)
    weights = torch.randn(6, dtype=torch.float64, generator=generator)
    residual = torch.sigmoid(-labels * (features @ weights)).mean()
    plain = logistic_step(weights, features, labels, step_size=0.7 / float(residual))
    normalised = normalized_logistic_step(weights, features, labels, step_size=0.7)
    torch.testing.assert_close(normalised, plain, rtol=1e-13, atol=1e-15)


def test_two_huge_steps_separate_two_points_though_the_first_makes_the_loss_an_eighth_of_the_step():
    features = torch.tensor([[1.0, -1.0], [-1.0, -4.0]]).double()
    labels = torch.tensor([1.0, -1.0]).double()
    first = logistic_step(torch.zeros(2).double(), features, labels, step_size=1e4)
    second = logistic_step(first, features, labels, step_size=1e4)
    assert (first / 1e4).tolist() == [0.5, 0.75]
    assert (second / 1e4).tolist() == [1.0, 0.25]
    assert float(logistic_loss(labels * (features @ first))) == pytest.approx(1e4 / 8, rel=1e-12)
    assert float(logistic_loss(labels * (features @ second))) < 1e-12


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e6])
def test_a_normalised_step_is_never_longer_than_the_step_size_times_the_farthest_point(size, generator):
    features, labels = a_set(generator)
    farthest = float(features.norm(dim=1).max())
    weights = torch.zeros(6).double()
    for _ in range(50):
        after = normalized_logistic_step(weights, features, labels, step_size=size)
        assert float((after - weights).norm()) <= size * farthest * (1 + 1e-9)
        weights = after


def test_a_normalised_step_survives_where_all_residuals_are_zero_in_floating_point():
    features, labels = torch.eye(3), torch.ones(3)
    weights = torch.tensor([300.0, 301.0, 400.0])
    assert float(torch.sigmoid(-features @ weights).sum()) == 0
    moved = normalized_logistic_step(weights, features, labels, step_size=1.0) - weights
    e = math.exp(-1)  # the residuals stand as 1 to e^-1 to e^-100
    torch.testing.assert_close(moved, torch.tensor([1 / (1 + e), e / (1 + e), 0.0]), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("step", "normalized"), [(logistic_step, False), (normalized_logistic_step, True)])
def test_with_an_enormous_step_the_path_divided_by_the_step_is_the_perceptrons(step, normalized):
    features, labels = two_classes("digits")
    descent, perceptron = (torch.zeros(features.shape[1]).double() for _ in range(2))
    for k in range(40):
        if k and float((labels * (features @ perceptron)).min()) > 0 and normalized:
            break  # the perceptron rests; a normalised step goes on towards the nearest point
        descent = step(descent, features, labels, step_size=1e6)
        perceptron = batch_perceptron_step(perceptron, features, labels, normalized=normalized)
        # σ is 0 or 1 to the last digit once a margin passes 40; here nearly all are thousands.
        assert float((descent / 1e6 - perceptron).abs().max()) < 1e-14
    assert k >= 20


def test_the_first_step_of_the_batch_perceptron_is_half_the_mean_of_the_signed_points(generator):
    features, labels = a_set(generator)
    first = batch_perceptron_step(torch.zeros(6).double(), features, labels)
    torch.testing.assert_close(first, (labels[:, None] * features).mean(0) / 2)


def test_a_perceptron_that_has_separated_the_points_stays_where_it_is():
    features, labels = worst_case(10)
    *_, (_, weights, _) = path(batch_perceptron_step, features, labels, steps=100)
    for normalized in (False, True):
        assert torch.equal(batch_perceptron_step(weights, features, labels, normalized=normalized), weights)


def test_with_a_small_step_the_path_is_the_gradient_flow_up_to_an_error_in_proportion_to_the_step(generator):
    features, labels = a_set(generator)
    signed = (labels[:, None] * features).numpy()

    def flow(time, weights):
        return (1 / (1 + torch.exp(torch.from_numpy(signed @ weights)))).numpy() @ signed / len(signed)

    end = torch.from_numpy(solve_ivp(flow, (0, 2), [0.0] * 6, rtol=1e-11, atol=1e-12).y[:, -1])
    errors = []
    for steps in (50, 100):
        weights = torch.zeros(6).double()
        for _ in range(steps):
            weights = logistic_step(weights, features, labels, step_size=2 / steps)
        errors.append(float((weights - end).norm()))
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)  # Euler's method is of first order


@pytest.mark.parametrize(
    ("step", "size", "wanted"),
    [
        (logistic_step, 1, {10: 37, 30: 141, 100: 561, 300: 1928, 1000: 7313}),
        (logistic_step, 10, {10: 4, 30: 14, 100: 55, 300: 191, 1000: 729}),
        (logistic_step, 100, {100: 31, 1000: 308}),
        (normalized_logistic_step, 1, {10: 7, 30: 9, 100: 11, 300: 14, 1000: 16}),
        (normalized_logistic_step, 10, {10: 2, 30: 2, 100: 2, 300: 2, 1000: 2}),
        (normalized_logistic_step, 100, {100: 2, 1000: 2}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_worst_case_takes_the_published_numbers_of_steps(step, size, wanted):
    found = {points: steps_to_separate(step, *worst_case(points), step_size=size) for points in wanted}
    assert found == wanted


@pytest.mark.parametrize("data", ["worst case", "digits"])
def test_no_method_needs_more_steps_than_its_bound(data):
    features, labels = worst_case(100) if data == "worst case" else two_classes("digits")
    points = len(labels)
    ratio = (float(features.norm(dim=1).max()) / largest_margin(features, labels)) ** 2
    assert steps_to_separate(batch_perceptron_step, features, labels) <= points * ratio
    assert steps_to_separate(batch_perceptron_step, features, labels, normalized=True) <= ratio
    for size in (0.1, 1, 10, 100):
        more = 2 * math.log(2 * points - 1) / (size * largest_margin(features, labels) ** 2)
        assert steps_to_separate(normalized_logistic_step, features, labels, step_size=size) <= ratio + more


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("argument", "wrong", "error", "expected"),
    [
        ("step_size", 0.0, ValueError, "step_size: got 0.0, expected a finite number > 0"),
        ("weights", torch.zeros(3), ValueError, "weights: got a float32 tensor of shape (3,), expected one weight per"),
        (
            "features",
            torch.zeros(4),
            ValueError,
            "features: got a float32 tensor of shape (4,), expected shape (points, ",
        ),
        (
            "features",
            torch.zeros(4, 2).long(),
            TypeError,
            "features: got an int64 tensor of shape (4, 2), expected a floating",
        ),
        (
            "labels",
            torch.ones(3),
            ValueError,
            "labels: got a float32 tensor of shape (3,), expected one label per point",
        ),
        ("labels", torch.tensor([0.0, 1, 1, 1]), ValueError, "labels: got values other than −1 and 1"),
    ],
)
def test_bad_input_is_named(step, argument, wrong, error, expected):
    good = {"weights": torch.zeros(2), "features": torch.ones(4, 2), "labels": torch.ones(4), "step_size": 1.0}
    with pytest.raises(error) as caught:
        step(**(good | {argument: wrong}))
    assert str(caught.value).startswith(expected)
