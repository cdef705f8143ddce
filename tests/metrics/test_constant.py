"""The optimal constant of each loss, and the distance to it."""

import math

import pytest
import torch

from lossbook.losses import absolute_error, cross_entropy, reward_prediction_loss, squared_error
from lossbook.metrics import optimal_constant, optimal_constant_distance


def of_logits(loss, **options):
    return lambda constant, target: loss(constant.expand(len(target), -1), target, **options)


def gaussian(constant, target):
    mean, log_variance = constant
    return torch.nn.functional.gaussian_nll_loss(
        mean.expand_as(target), target, log_variance.exp().expand_as(target), full=True
    )


def binary(constant, target):
    return torch.nn.functional.binary_cross_entropy(constant.clamp(0, 1).expand_as(target), target)


MEAN_LOSS = {
    "cross_entropy": of_logits(cross_entropy),
    "reward_prediction_loss": of_logits(reward_prediction_loss, cost=2.5),
    "binary_cross_entropy": binary,
    "squared_error": lambda constant, target: squared_error(constant.expand_as(target), target),
    "absolute_error": lambda constant, target: absolute_error(constant.expand_as(target), target),
    "gaussian_negative_log_likelihood": gaussian,
}
OF_CLASSES = ("cross_entropy", "reward_prediction_loss")


def targets(loss, generator):
    if loss in OF_CLASSES:
        return torch.multinomial(torch.tensor([0.5, 0.3, 0.15, 0.05]), 200, True, generator=generator)
    skewed = torch.randn(201, dtype=torch.float64, generator=generator).exp() + 2
    return (skewed > 3).double() if loss == "binary_cross_entropy" else skewed


@pytest.mark.parametrize("loss", MEAN_LOSS)
def test_no_other_constant_has_a_lower_mean_loss(loss, generator):
    target = targets(loss, generator)
    best = optimal_constant(loss, target, classes=4, cost=2.5)
    least = float(MEAN_LOSS[loss](best, target))
    for reach in (1e-3, 0.1, 1, 10):
        for _ in range(200):
            other = best + reach * torch.randn(best.shape, dtype=torch.float64, generator=generator)
            assert float(MEAN_LOSS[loss](other, target)) >= least - 1e-12


def test_the_closed_forms():
    assert optimal_constant("squared_error", torch.tensor([1.0, 2.0, 30.0])).item() == 11
    assert optimal_constant("absolute_error", torch.tensor([1.0, 2.0, 4.0, 30.0])).item() == 3
    assert optimal_constant("binary_cross_entropy", torch.tensor([1.0, 0.0, 0.0, 0.0])).item() == 0.25
    mean, log_variance = optimal_constant("gaussian_negative_log_likelihood", torch.tensor([1.0, 3.0])).tolist()
    assert (mean, log_variance) == (2.0, 0.0)  # divided by n, not by n − 1
    logits = optimal_constant("cross_entropy", torch.tensor([0, 0, 1, 0]), classes=3)
    assert logits.exp().tolist() == [0.75, 0.25, 0.0]


@pytest.mark.parametrize(("classes", "best"), [(10, -3.5), (2, -1.5)])
def test_with_balanced_classes_answering_blindly_is_expected_to_cost(classes, best):
    constant = optimal_constant("reward_prediction_loss", torch.arange(classes), classes=classes)
    torch.testing.assert_close(constant[:-1], torch.full((classes,), best).double())
    assert constant[-1] == 0


@pytest.mark.parametrize("cost", [0.0, 0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("common", [0.3, 0.6, 0.9])
def test_abstaining_is_the_constant_action_exactly_where_no_class_is_likelier_than_the_cost_allows(cost, common):
    target = (torch.arange(1000) >= 1000 * common).long()
    constant = optimal_constant("reward_prediction_loss", target, classes=2, cost=cost)
    likeliest = max(common, 1 - common)
    assert bool(constant.argmax() == 2) == ((1 + cost) * likeliest < cost)


def test_the_distance_is_the_mean_divergence_of_each_prediction_from_the_shares(generator):
    logits = torch.randn(7, 3, dtype=torch.float64, generator=generator)
    shares = torch.tensor([0.6, 0.3, 0.1]).double()
    total = 0.0
    for row in torch.softmax(logits, 1).tolist():
        for p, share in zip(row, shares.tolist(), strict=True):
            total += p * math.log(p / share)
    assert float(optimal_constant_distance(logits, shares)) == pytest.approx(total / 7, rel=1e-12)


def test_the_distance_vanishes_at_the_optimal_constant_and_nowhere_else(generator):
    target = targets("cross_entropy", generator)
    constant = optimal_constant("cross_entropy", target, classes=4)
    assert float(optimal_constant_distance(constant + 3, constant.exp())) == pytest.approx(0, abs=1e-15)
    for _ in range(100):
        other = torch.randn(4, dtype=torch.float64, generator=generator)
        assert float(optimal_constant_distance(other, constant.exp())) > 1e-6


def test_the_mean_prediction_may_equal_the_shares_while_every_prediction_is_far():
    certain = 1000 * torch.eye(4)  # other probabilities underflow to 0 and must not count as 0 · −∞
    shares = torch.full((4,), 0.25)
    assert torch.equal(torch.softmax(certain, 1).mean(0), shares)
    assert float(optimal_constant_distance(certain, shares)) == pytest.approx(math.log(4), rel=1e-6)


def test_probability_on_a_class_that_was_never_seen_is_infinitely_far():
    shares = torch.tensor([1.0, 0.0])
    assert float(optimal_constant_distance(torch.zeros(2), shares)) == math.inf
    assert float(optimal_constant_distance(torch.tensor([1000.0, 0.0]), shares)) == 0


@pytest.mark.parametrize(
    ("call", "error", "expected"),
    [
        (lambda: optimal_constant("hinge", torch.ones(2)), ValueError, "loss: got 'hinge', expected one of "),
        (lambda: optimal_constant("squared_error", [1.0]), TypeError, "target: got [1.0] (list), expected a tensor"),
        (
            lambda: optimal_constant("squared_error", torch.ones(0)),
            ValueError,
            "target: got a float32 tensor of shape (0,)",
        ),
        (lambda: optimal_constant("squared_error", torch.ones(2).long()), TypeError, "target: got an int64 tensor"),
        (
            lambda: optimal_constant("cross_entropy", torch.ones(2)),
            TypeError,
            "target: got a float32 tensor of shape (2,)",
        ),
        (lambda: optimal_constant("cross_entropy", torch.ones(2).long()), ValueError, "classes: got None, expected"),
        (lambda: optimal_constant("cross_entropy", torch.tensor([3]), classes=3), ValueError, "target: got "),
        (
            lambda: optimal_constant("reward_prediction_loss", torch.tensor([0]), classes=3, cost=-1.0),
            ValueError,
            "cost: got -1.0, expected a finite number >= 0",
        ),
        (
            lambda: optimal_constant_distance(torch.ones(2, 3), torch.ones(2) / 2),
            ValueError,
            "marginals: got a float32 ",
        ),
        (
            lambda: optimal_constant_distance(torch.ones(2, 3), torch.ones(3)),
            ValueError,
            "marginals: got sum 3, expected",
        ),
        (
            lambda: optimal_constant_distance(torch.ones(0, 3), torch.ones(3) / 3),
            ValueError,
            "logits: got a float32 tensor",
        ),
        (
            lambda: optimal_constant_distance([1.0], torch.ones(1)),
            TypeError,
            "logits: got [1.0] (list), expected a floating",
        ),
    ],
)
def test_bad_input_is_named(call, error, expected):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(expected)
