"""AnyLoss: the papers' numbers, a loop written out, and what is left of the gradient away from one half."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.losses import anyloss
from lossbook.metrics import accuracy, balanced_accuracy, f_beta, g_mean

METRICS = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "f_beta": f_beta, "g_mean": g_mean}
P = torch.tensor([0.9, 0.6, 0.45, 0.2], dtype=torch.float64)
Y = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
scores = st.lists(st.floats(-6, 6), min_size=2, max_size=8)
labelled = scores.flatmap(
    lambda z: st.tuples(st.just(z), st.lists(st.sampled_from([0.0, 1.0]), min_size=len(z), max_size=len(z)))
)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("metric", "sharpness", "score"),
    [
        ("f_beta", 73.0, 0.993538),
        ("f_beta", 5.0, 0.729116),
        ("balanced_accuracy", 5.0, 0.720752),
        ("g_mean", 5.0, 0.720090),
        ("accuracy", 5.0, 0.720752),
    ],
)
def test_anyloss_gives_the_worked_numbers(metric, sharpness, score):
    assert round(1 - float(anyloss(P.logit(), Y, metric=metric, sharpness=sharpness)), 6) == score


@given(case=labelled, sharpness=st.floats(0.5, 80), beta=st.floats(0.3, 3))
def test_anyloss_is_the_score_of_a_confusion_matrix_filled_one_example_after_the_other(case, sharpness, beta):
    hit = missed = false = spared = 0.0
    for z, y in zip(*case, strict=True):
        a = sigmoid(sharpness * (sigmoid(z) - 0.5))
        hit, missed = hit + y * a, missed + y * (1 - a)
        false, spared = false + (1 - y) * a, spared + (1 - y) * (1 - a)
    assert math.isclose(hit + missed + false + spared, len(case[0]), rel_tol=1e-12)
    logits, target = map(double, case)
    wanted = {"accuracy": (hit + spared) / len(case[0])}
    if hit + missed > 0:
        weight = 1 + beta**2
        wanted["f_beta"] = weight * hit / (beta**2 * (hit + missed) + hit + false)
    if 0 < hit + missed < len(case[0]):
        rates = hit / (hit + missed), spared / (spared + false)
        wanted |= {"balanced_accuracy": sum(rates) / 2, "g_mean": math.sqrt(math.prod(rates))}
    for metric, score in wanted.items():
        found = float(anyloss(logits, target, metric=metric, sharpness=sharpness, beta=beta))
        assert math.isclose(found, 1 - score, abs_tol=1e-13), metric


@pytest.mark.parametrize("metric", METRICS)
def test_a_very_sharp_anyloss_is_the_metric_itself(metric):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 30, dtype=torch.float64, generator=generator)
    target = (torch.rand(20, 30, generator=generator) < 0.3).double()
    logits = torch.where(logits.abs() < 0.05, 0.05, logits)  # |p − 1/2| is then above 0.012: a is off by e^(−12)
    found = anyloss(logits, target, metric=metric, sharpness=1000.0, reduction="none")
    torch.testing.assert_close(found, 1 - METRICS[metric]((logits > 0).double(), target), rtol=0, atol=1e-4)


def test_the_f1_form_does_not_see_far_negatives_when_sharp_and_does_when_blunt():
    more = torch.cat([P.logit(), torch.full((50,), -40.0).double()]), torch.cat([Y, torch.zeros(50).double()])
    sharp, blunt = (float(anyloss(*more, sharpness=s) - anyloss(P.logit(), Y, sharpness=s)) for s in (73.0, 5.0))
    assert abs(sharp) < 1e-14  # a(0) = σ(−36.5) = 1.4e-16 each
    assert blunt > 0.2  # a(0) = σ(−2.5) = 0.076 each: 3.8 false positives more
    assert round(sigmoid(-2.5), 3) == 0.076


def test_the_anyloss_gradient_dies_away_from_one_half():
    logits = double([0.0, 0.4]).requires_grad_()
    (pull,) = torch.autograd.grad(anyloss(logits, double([1.0, 1.0]), metric="accuracy"), logits)
    assert math.isclose(float(-pull[0]), 73 / 4 / 4 / 2, rel_tol=1e-12)  # L a(1−a) p(1−p), over two
    assert abs(float(pull[1])) < 0.01 * abs(float(pull[0]))  # p = 0.599, and e^(−7.2) is 0.0007


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("sharpness", [73.0, 1e4])
def test_the_g_mean_of_a_class_that_is_never_found_has_a_gradient_that_is_a_number(dtype, sharpness):
    """At L = 10⁴ the soft count underflows to 0, and √ has no slope there."""
    logits = torch.tensor([-9.0, -9.0, -9.0], dtype=dtype, requires_grad=True)
    loss = anyloss(logits, torch.tensor([1.0, 0.0, 0.0], dtype=dtype), metric="g_mean", sharpness=sharpness)
    (pull,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) >= 1 - 1e-7  # √1e-16 is left of it at L = 73
    assert bool(pull.isfinite().all())


def test_a_set_without_positives_costs_what_the_docstring_says():
    logits, none = double([3.0, -3.0]), torch.zeros(2).double()
    assert float(anyloss(logits, none)) == 1.0
    said = sigmoid(73 * (sigmoid(3) - 0.5)) + sigmoid(73 * (sigmoid(-3) - 0.5))
    assert math.isclose(float(anyloss(logits, none, metric="balanced_accuracy")), said / 4, rel_tol=1e-12)


def test_the_authors_code_with_the_size_of_the_training_set_is_not_the_accuracy_of_a_batch():
    """It divides sums over a batch by the number of all training examples: right only for the full batch."""
    a = torch.sigmoid(73 * (P - 0.5))
    for number in (4, 400):
        official = 1 - (number - Y.sum() - a.sum() + 2 * (Y * a).sum()) / number
        ours = anyloss(P.logit(), Y, metric="accuracy")
        assert math.isclose(float(official), float(ours) * 4 / number, rel_tol=1e-9)
