"""Correctness-aware loss: the atlas's numbers, its limits in the temperature, and which powers keep a promise."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.losses import correctness_aware_loss, cross_entropy

NARROW, TRUTH = torch.tensor([[1.0, 1.2, -3.0]], dtype=torch.float64), torch.tensor([0])
TEMPERATURES = (0.2, 0.5, 1.0, 2.0, 5.0, 50.0)
scores = st.lists(st.integers(-3000, 3000), min_size=2, max_size=6, unique=True).map(lambda row: [k / 100 for k in row])


def at_temperatures(loss, logits, target):
    return [round(float(loss(logits / T, target)), 4) for T in TEMPERATURES]


@given(row=scores, power=st.floats(1, 4), data=st.data())
def test_it_is_its_formula_term_by_term(row, power, data):
    right = data.draw(st.integers(0, len(row) - 1))
    top = max(row)
    confidence = 1 / math.fsum(math.exp(score - top) for score in row)
    rest = confidence * math.fsum(math.exp(score - top) for score in row if score != top)
    wanted = rest**power if row[right] == top else confidence**power
    found = correctness_aware_loss(torch.tensor([row], dtype=torch.float64), torch.tensor([right]), exponent=power)
    assert math.isclose(float(found), wanted, rel_tol=1e-11, abs_tol=1e-15)


def test_a_narrowly_wrong_answer_has_the_worked_numbers():
    """Cross-entropy turns near T = 1.4 and leaves the confidence at a half; this loss goes on falling."""
    assert at_temperatures(cross_entropy, NARROW, TRUTH) == [1.3133, 0.9131, 0.8064, 0.8067, 0.9123, 1.0740]
    assert at_temperatures(correctness_aware_loss, NARROW, TRUTH) == [0.5344, 0.3583, 0.2974, 0.2433, 0.1747, 0.1177]
    T = torch.linspace(0.5, 5, 4501, dtype=torch.float64)
    best = T[cross_entropy(NARROW / T[:, None], TRUTH.expand(len(T)), reduction="none").argmin()]
    assert 1.2 < float(best) < 1.6
    assert float(torch.softmax(NARROW / best, -1).max()) == pytest.approx(0.52, abs=0.01)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_a_right_answer_costs_nothing_in_the_cold_and_a_wrong_one_least_in_the_heat(power):
    right = correctness_aware_loss(NARROW / 1e-3, torch.tensor([1]), exponent=power)
    wrong = correctness_aware_loss(NARROW / 1e9, TRUTH, exponent=power)
    assert float(right) < 1e-50
    assert float(wrong) == pytest.approx(3.0**-power)


@given(row=scores)
def test_a_falling_temperature_helps_a_right_answer_and_hurts_a_wrong_one(row):
    """dℓ/dβ = 2 (c − t) c (z_max − Σ p z): its sign says whether the answer is right."""
    logits, beta = torch.tensor([row], dtype=torch.float64), torch.ones((), dtype=torch.float64, requires_grad=True)
    p = torch.softmax(logits, -1)
    c, best = (found[0] for found in p.max(-1))
    lead = (logits.max() - (p * logits).sum()).item()
    for right in range(len(row)):
        (slope,) = torch.autograd.grad(correctness_aware_loss(beta * logits, torch.tensor([right])), beta)
        t = float(right == best)
        assert math.isclose(float(slope), 2 * (c - t) * c * lead, rel_tol=1e-7, abs_tol=1e-9)
        assert float(slope) <= 1e-12 if t else float(slope) >= -1e-12


def best_constant(accuracy, power, share=None):
    """The confidence that costs least where answers are right with this probability, by looking."""
    c = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    right, wrong = (accuracy, 1 - accuracy) if share is None else (share, 1 - share)
    return float(c[(right * (1 - c) ** power + wrong * c**power).argmin()])


@pytest.mark.parametrize("accuracy", [0.1, 0.3, 0.6, 0.9])
def test_squared_it_is_least_at_the_accuracy_and_to_the_first_power_at_zero_or_one(accuracy):
    assert best_constant(accuracy, 2.0) == pytest.approx(accuracy, abs=1e-4)
    assert best_constant(accuracy, 1.0) == float(accuracy > 0.5)
    assert abs(best_constant(accuracy, 3.0) - accuracy) > 0.03


def test_balanced_as_the_published_code_has_it_the_best_constant_is_a_half_whatever_the_accuracy():
    """Right answers weigh 1 − a and wrong ones a: then each kind weighs a (1 − a)."""
    for accuracy in (0.2, 0.8):
        weights = accuracy * (1 - accuracy), (1 - accuracy) * accuracy
        assert best_constant(accuracy, 2.0, weights[0] / sum(weights)) == pytest.approx(0.5)


def test_the_loss_itself_keeps_that_promise_for_a_batch_of_two_classes():
    """A constant confidence c over 100 answers of which 70 are right: the batch mean is least at 0.7."""
    target = (torch.arange(100) >= 70).long()
    gaps = torch.linspace(0, 4, 4001, dtype=torch.float64)
    for power, best in ((2.0, 0.7), (1.0, float(torch.sigmoid(gaps[-1])))):
        costs = [
            correctness_aware_loss(torch.stack([gap, 0 * gap]).expand(100, 2), target, exponent=power)
            for gap in gaps[1:]
        ]
        assert float(torch.sigmoid(gaps[1:][torch.stack(costs).argmin()])) == pytest.approx(best, abs=1e-3)


def test_a_classifier_trained_with_it_could_prefer_the_wrong_answer():
    """Three classes, true probabilities 0.5, 0.4, 0.1: to answer the last costs less than to answer the first."""
    truth = torch.tensor([0.5, 0.4, 0.1], dtype=torch.float64)

    def least(answer):
        c = torch.linspace(0.3334, 0.9999, 2000, dtype=torch.float64)
        logits = torch.log(
            ((1 - c) / 2)[:, None].expand(-1, 3).clone().index_copy(1, torch.tensor([answer]), c[:, None])
        )
        every = logits[:, None].expand(-1, 3, -1)
        loss = correctness_aware_loss(every, torch.arange(3).expand(len(c), 3), reduction="none")
        return float((truth * loss).sum(-1).min())

    assert least(0) == pytest.approx(0.25, abs=1e-6)
    assert least(2) < 0.15


def test_of_equal_scores_each_class_counts_as_the_answer():
    level = torch.zeros(3, 3, dtype=torch.float64)
    found = correctness_aware_loss(level, torch.arange(3), reduction="none")
    torch.testing.assert_close(found, torch.full((3,), 4 / 9, dtype=torch.float64))
