"""The loss that predicts what each action would earn, the abstaining one included."""

import pytest
import torch

from lossbook import LinearLogits
from lossbook.losses import reward_prediction_loss


def reward(action, target, classes, cost):
    if action == classes:
        return 0.0
    return 1.0 if action == target else -cost


def by_hand(outputs, target, cost):
    classes = outputs.shape[1] - 1
    rows = []
    for row, y in zip(outputs.tolist(), target.tolist(), strict=True):
        rows.append(sum((f - reward(k, y, classes, cost)) ** 2 for k, f in enumerate(row)) / len(row))
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("cost", [0.0, 0.1, 4.0])
def test_it_is_the_mean_squared_error_to_the_rewards_over_actions_and_rows(cost, generator):
    outputs = 3 * torch.randn(9, 4, dtype=torch.float64, generator=generator)
    target = torch.arange(9) % 4  # 3: no class is right
    rows = by_hand(outputs, target, cost)
    torch.testing.assert_close(reward_prediction_loss(outputs, target, cost=cost, reduction="none"), rows)
    torch.testing.assert_close(reward_prediction_loss(outputs, target, cost=cost), rows.mean())
    torch.testing.assert_close(reward_prediction_loss(outputs, target, cost=cost, reduction="sum"), rows.sum())


def test_rows_that_are_ignored_do_not_count_and_weights_go_by_the_target(generator):
    outputs = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    target, weight = torch.tensor([0, -100, 1, 1]), torch.tensor([1.0, 3.0, 7.0]).double()
    rows = by_hand(outputs[[0, 2, 3]], target[[0, 2, 3]], 4.0)
    weighed = torch.tensor([1.0, 3.0, 3.0]).double()
    found = reward_prediction_loss(outputs, target, weight=weight)
    torch.testing.assert_close(found, (rows * weighed).sum() / weighed.sum())
    nothing = reward_prediction_loss(outputs.requires_grad_(), torch.full((4,), -100))
    assert nothing.item() == 0
    assert nothing.requires_grad


def test_the_mean_over_a_batch_is_least_at_the_mean_rewards(generator):
    target = torch.tensor([0, 0, 0, 1])
    outputs = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(reward_prediction_loss(outputs.expand(4, -1), target), outputs)
    best = outputs.detach() - gradient * 3 / 2  # a square: one Newton step from anywhere
    torch.testing.assert_close(best, torch.tensor([5 * 0.75 - 4, 5 * 0.25 - 4, 0.0]).double())


def test_linear_logits_give_the_value_and_gradients_of_the_outputs_they_stand_for(generator):
    features, weight, bias = (
        torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in ((6, 3), (4, 3), (4,))
    )
    target = torch.arange(6) % 3
    linear = reward_prediction_loss(LinearLogits(features, weight, bias), target)
    dense = reward_prediction_loss(features @ weight.T + bias, target)
    torch.testing.assert_close(linear, dense)
    for found, wanted in zip(
        *(torch.autograd.grad(loss, (features, weight, bias)) for loss in (linear, dense)), strict=True
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "expected"),
    [
        ((torch.zeros(2, 3), torch.zeros(2).long()), {"cost": -1.0}, ValueError, "cost: got -1.0, expected"),
        ((torch.zeros(2, 3), torch.zeros(2).long()), {"cost": "4"}, TypeError, "cost: got '4' (str), expected"),
        (
            (torch.zeros(2, 3), torch.zeros(3).long()),
            {},
            ValueError,
            "target: got an int64 tensor of shape (3,), expected class",
        ),
        ((torch.zeros(2, 3), None), {}, TypeError, "target: got None (NoneType), expected a tensor of class indices"),
        ((torch.zeros(2, 3), torch.tensor([0, 3])), {}, ValueError, "target: got class 3, expected classes 0 to 2"),
        (
            (torch.zeros(2, 3), torch.zeros(2)),
            {},
            TypeError,
            "target: got a float32 tensor of shape (2,), expected class",
        ),
        (
            (torch.zeros(2, 1), torch.zeros(2).long()),
            {},
            ValueError,
            "outputs: got a float32 tensor of shape (2, 1), expected",
        ),
        (
            (torch.zeros(2, 3).long(), torch.zeros(2).long()),
            {},
            TypeError,
            "outputs: got an int64 tensor of shape (2, 3)",
        ),
        (
            (torch.zeros(2, 3), torch.zeros(2).long()),
            {"reduction": "avg"},
            ValueError,
            "reduction: got 'avg', expected",
        ),
    ],
)
def test_bad_input_is_named(arguments, options, error, expected):
    with pytest.raises(error) as caught:
        reward_prediction_loss(*arguments, **options)
    assert str(caught.value).startswith(expected)
