"""Focal loss and squentropy: the papers' numbers, loops written out, and what each does to easy and to wrong scores."""

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.losses import cross_entropy, focal_loss, squentropy_loss

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
TOY = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
RIGHT = torch.tensor([0])
ROUNDING = 4 * torch.finfo(torch.float64).eps
scores = st.lists(st.floats(-30, 30), min_size=2, max_size=6)


def close_to_focal(found, log_p, missing, gamma):
    """Equal, but that log p_y has the digits of a number near 1: its error passes to the power too."""
    slack = ROUNDING * (1 + gamma) * (missing + ROUNDING) ** gamma
    return math.isclose(found, -(missing**gamma) * log_p, rel_tol=1e-12, abs_tol=slack)


@given(scores=scores, gamma=st.floats(0, 5))
def test_focal_is_its_formula_term_by_term(scores, gamma):
    below = [math.exp(score - scores[0]) for score in scores[1:]]
    log_p, missing = -math.log1p(sum(below)), sum(below) / (1 + sum(below))
    found = focal_loss(torch.tensor([scores], dtype=torch.float64), RIGHT, gamma=gamma)
    assert close_to_focal(float(found), log_p, missing, gamma)


@given(margin=st.floats(-30, 30), gamma=st.floats(0, 5))
def test_of_two_classes_focal_is_the_paper_s_of_a_logistic_score(margin, gamma):
    """−(1 − p_t)^γ log p_t, p_t = σ(x) where the label is 1: x is the gap of the two scores."""
    found = float(focal_loss(torch.tensor([[0.0, margin]], dtype=torch.float64), torch.tensor([1]), gamma=gamma))
    assert close_to_focal(found, -math.log1p(math.exp(-margin)), 1 / (1 + math.exp(margin)), gamma)


def test_with_two_the_paper_s_easy_row_counts_a_hundred_times_less():
    """Section 3.2: at p_y = 0.9 a hundred times less than cross-entropy, at p_y ≈ 0.968 a thousand times."""
    for p, less in ((0.9, 100), (0.968, 1000)):
        logits = torch.tensor([[math.log(p / (1 - p)), 0.0]], dtype=torch.float64)
        ratio = float(cross_entropy(logits, RIGHT) / focal_loss(logits, RIGHT, gamma=2))
        assert ratio == pytest.approx(less, rel=0.03)  # (1 − 0.968)² is 0.00102


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("gamma", [0.0, 1e-3, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("gap", [0.0, 20.0, 90.0, 1000.0])
def test_the_focal_gradient_is_a_number_where_the_row_is_certain(gamma, gap, dtype):
    """(1 − p)^γ has no finite slope at p = 1 where γ < 1."""
    logits = torch.tensor([[gap, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    loss = focal_loss(logits, RIGHT, gamma=gamma)
    (pull,) = torch.autograd.grad(loss, logits)
    assert bool(loss >= 0)
    assert bool(pull.isfinite().all())
    assert bool((pull[0, 0] <= 0) & (pull[0, 1:] >= 0).all())


def test_focal_is_least_at_probabilities_less_sure_than_the_truth():
    """Two classes, the first right three times in four: the slope at the truth draws towards a half."""
    logits = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64, requires_grad=True)
    both = logits.expand(2, 2)
    loss = focal_loss(both, torch.tensor([0, 1]), reduction="none") @ torch.tensor([0.75, 0.25]).double()
    (force,) = torch.autograd.grad(loss, logits)
    assert float(force[0, 0]) > 0  # downhill lowers the likelier class


def test_squentropy_gives_the_worked_numbers():
    logits = TOY.clone().requires_grad_()
    loss = squentropy_loss(logits, RIGHT)
    (pull,) = torch.autograd.grad(loss, logits)
    assert round(float(loss.detach()), 6) == 0.907606
    assert round(float(squentropy_loss(TOY + 1, RIGHT)), 6) == 2.907606
    assert [round(number, 6) for number in pull[0].tolist()] == [-0.334759, 1.244728, 0.090031]


@given(scores=scores)
def test_squentropy_is_its_formula_term_by_term(scores):
    top = max(scores)
    log_sum = top + math.log(sum(math.exp(score - top) for score in scores))
    squares = sum(score**2 for score in scores[1:]) / (len(scores) - 1)
    found = squentropy_loss(torch.tensor([scores], dtype=torch.float64), RIGHT)
    # Σ z² − z_y² rounds like Σ z², at most 6 · 900
    assert math.isclose(float(found), log_sum - scores[0] + squares, rel_tol=1e-12, abs_tol=6 * 900 * 1e-15)


@given(scores=scores)
def test_the_squentropy_gradient_sums_to_twice_the_mean_of_the_wrong_scores(scores):
    logits = torch.tensor([scores], dtype=torch.float64, requires_grad=True)
    (pull,) = torch.autograd.grad(squentropy_loss(logits, RIGHT), logits)
    assert math.isclose(float(pull.sum()), 2 * sum(scores[1:]) / (len(scores) - 1), abs_tol=1e-12)


@pytest.mark.parametrize(("own", "best"), [(0.0, -0.298679), (5.0, -0.006605)])
def test_squentropy_is_at_rest_with_the_wrong_scores_a_little_below_zero(own, best):
    """Three classes, the right score held: the atlas gives where the other two come to rest."""
    logits = torch.tensor([[own, best, best]], dtype=torch.float64, requires_grad=True)
    (pull,) = torch.autograd.grad(squentropy_loss(logits, RIGHT), logits)
    assert float(pull[0, 1:].abs().max()) < 1e-6  # `best` has six digits, and the curvature there is below 2


def test_squentropy_of_one_class_alone_is_nothing():
    logits = torch.tensor([[3.0]], requires_grad=True)
    loss = squentropy_loss(logits, RIGHT)
    loss.backward()
    assert float(loss.detach()) == float(logits.grad) == 0.0


def test_focal_is_monais_of_a_softmax():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own dependencies
        from monai.losses import FocalLoss
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20, 6, dtype=torch.float64, generator=generator)
    target = torch.randint(6, (20,), generator=generator)
    theirs = FocalLoss(use_softmax=True, gamma=1.5, reduction="none")
    wanted = theirs(logits, torch.nn.functional.one_hot(target, 6).double()).sum(1)
    found = focal_loss(logits, target, gamma=1.5, reduction="none")
    assert torch.allclose(found, wanted.double(), rtol=1e-5, atol=1e-6)  # theirs is in single precision


def test_squentropy_falls_to_nothing_as_the_right_score_leads_the_others_at_zero():
    leads = torch.tensor([[10.0, 0.0, 0.0], [20.0, 0.0, 0.0], [40.0, 0.0, 0.0]], dtype=torch.float64)
    losses = squentropy_loss(leads, torch.zeros(3, dtype=torch.long), reduction="none")
    assert losses.tolist() == pytest.approx([2 * math.exp(-10), 2 * math.exp(-20), 2 * math.exp(-40)], rel=1e-4)


@pytest.mark.parametrize("smoothing", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_smoothed_labels_rest_where_the_right_score_leads_by_the_logarithm_of_the_target_s_ratio(classes, smoothing):
    lead = math.log((1 - smoothing + smoothing / classes) / (smoothing / classes))

    def pull(score):
        logits = torch.zeros(1, classes, dtype=torch.float64)
        logits[0, 0] = score
        logits.requires_grad_()
        return float(torch.autograd.grad(cross_entropy(logits, RIGHT, label_smoothing=smoothing), logits)[0][0, 0])

    assert pull(lead) == pytest.approx(0, abs=1e-12)  # p has a rounding for each of a thousand terms
    assert pull(lead - 0.01) < -1e-6 < 1e-6 < pull(lead + 0.01)  # the slope there is p (1 − p), at least 1e-3


@given(scores=scores, smoothing=st.floats(0, 0.9))
def test_shared_among_the_wrong_classes_smoothing_is_that_among_all_with_another_strength(scores, smoothing):
    """As fairseq does: ε/(V − 1) to each wrong class is ε' = ε V/(V − 1), as long as ε' is at most 1."""
    classes = len(scores)
    smoothing *= (classes - 1) / classes
    logits = torch.tensor([scores], dtype=torch.float64)
    theirs = torch.full_like(logits, smoothing / (classes - 1))
    theirs[0, 0] = 1 - smoothing
    found = cross_entropy(logits, RIGHT, label_smoothing=smoothing * classes / (classes - 1))
    assert math.isclose(float(found), float(cross_entropy(logits, theirs)), rel_tol=1e-12, abs_tol=1e-12)
