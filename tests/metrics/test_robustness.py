"""Robust accuracy: rows counted one by one, the worst attack for each, and what is no attack refused."""

import pytest
import torch
from torch import nn

from lossbook.metrics import robust_accuracy

SCORES = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
TARGET = SCORES.argmax(-1)
TARGET[:5] = (TARGET[:5] + 1) % 3


def push(amount, by=0):
    """Moves one score of every row."""
    return lambda model, x, y: x + amount * nn.functional.one_hot(torch.tensor(by), 3)


ATTACKS = {"first": push(1.5), "second": push(1.0, 1), "nothing": push(0.0)}


def test_accuracies_are_counts_of_rows_that_are_right_before_and_after():
    found = robust_accuracy(nn.Identity(), ATTACKS, SCORES, TARGET)
    before = [int(row.argmax()) == int(y) for row, y in zip(SCORES, TARGET, strict=True)]
    assert float(found.clean) == pytest.approx(sum(before) / 40) == 35 / 40
    for name, (amount, by) in {"first": (1.5, 0), "second": (1.0, 1), "nothing": (0.0, 0)}.items():
        right = 0
        for row, y, was in zip(SCORES.tolist(), TARGET.tolist(), before, strict=True):
            row[by] += amount
            right += was and row.index(max(row)) == y
        assert float(found.by_attack[name]) == pytest.approx(right / 40)
    assert float(found.by_attack["nothing"]) == float(found.clean)


def test_the_worst_for_each_row_is_below_every_attack_and_above_what_they_leave_added_up():
    found = robust_accuracy(nn.Identity(), ATTACKS, SCORES, TARGET)
    lost = sum(float(found.clean - accuracy) for accuracy in found.by_attack.values())
    assert float(found.clean) - lost - 1e-6 <= float(found.worst) < min(float(a) for a in found.by_attack.values())
    assert float(found.withstood.float().mean()) == pytest.approx(float(found.worst))


def test_leading_axes_of_the_target_stay():
    model = lambda x: torch.tensor([1.0, -1.0])[:, None, None] * x  # noqa: E731
    found = robust_accuracy(model, ATTACKS, SCORES.expand(2, -1, -1), TARGET.expand(2, -1))
    alone = robust_accuracy(nn.Identity(), ATTACKS, SCORES, TARGET)
    assert found.worst.shape == (2,)
    assert found.withstood.shape == (2, 40)
    assert float(found.worst[0]) == float(alone.worst)
    assert float(found.clean[1]) != float(found.clean[0])


@pytest.mark.parametrize(
    ("attacks", "error", "message"),
    [
        ({}, ValueError, "attacks: got {}, expected at least one"),
        ([push(1.0)], TypeError, "attacks: got .*expected a mapping"),
        ({"pgd": 3}, TypeError, "attacks: got"),
        ({"half": lambda model, x, y: x[:3]}, ValueError, r"attacks: got .*shape of the inputs, \(40, 3\)"),
    ],
)
def test_what_is_no_attack_is_refused(attacks, error, message):
    with pytest.raises(error, match=message):
        robust_accuracy(nn.Identity(), attacks, SCORES, TARGET)


def test_integer_inputs_are_refused():
    with pytest.raises(TypeError, match="inputs: got an int64 tensor"):
        robust_accuracy(nn.Identity(), ATTACKS, SCORES.long(), TARGET)
