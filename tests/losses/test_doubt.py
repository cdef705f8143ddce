"""LDR-KL and direct coverage: the papers' numbers, maxima found by looking, loops written out, and the far ends."""

import math

import pytest
import torch
from cases import linear
from hypothesis import given
from hypothesis import strategies as st

from lossbook import LinearLogits
from lossbook.losses import cross_entropy, direct_coverage_loss, ldr_kl_loss
from lossbook.losses._coverage import log_covered

TOY, RIGHT = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
scores = st.lists(st.floats(-10, 10), min_size=2, max_size=6)


def ldr(values, **options):
    return float(ldr_kl_loss(torch.tensor([values], dtype=torch.float64), RIGHT, **options))


@pytest.mark.parametrize(
    ("temperature", "margin", "value"), [(1.0, 0.0, -0.691006), (1.0, 0.1, -0.656405), (1e7, 0.1, -0.933333)]
)
def test_ldr_gives_the_worked_numbers(temperature, margin, value):
    assert round(float(ldr_kl_loss(TOY, RIGHT, temperature=temperature, margin=margin)), 6) == value


@given(scores=scores, temperature=st.floats(0.2, 20), margin=st.floats(0, 2))
def test_ldr_is_its_formula_term_by_term(scores, temperature, margin):
    total = sum(math.exp((z - scores[0] + margin * (k > 0)) / temperature) for k, z in enumerate(scores))
    wanted = temperature * math.log(total / len(scores))
    found = ldr(scores, temperature=temperature, margin=margin)
    assert math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-13 * (1 + temperature))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 10.0])
def test_ldr_is_the_worst_distribution_over_the_classes_at_the_price_of_its_divergence_from_even(temperature):
    """Every distribution on a grid of the simplex is below it, and the best of them nearly as high."""
    margin, parts = 0.4, 200
    i, j = torch.meshgrid(torch.arange(parts + 1.0), torch.arange(parts + 1.0), indexing="ij")
    q = torch.stack([i, j, parts - i - j], -1).reshape(-1, 3).double() / parts
    q = q[q[:, 2] >= 0]
    behind = TOY[0] - TOY[0, 0] + margin * torch.tensor([0.0, 1.0, 1.0])
    divergence = math.log(3) - torch.special.entr(q).sum(-1)
    charged = q @ behind - temperature * divergence
    found = float(ldr_kl_loss(TOY, RIGHT, temperature=temperature, margin=margin))
    assert float(charged.max()) <= found + 1e-12
    # moving to a grid point within 1/200 costs at most λ/2 · Σ dq²/q; q is above 0.001 here
    assert float(charged.max()) >= found - 0.02 * temperature


@given(scores=scores, margin=st.floats(0, 2))
def test_a_cold_ldr_is_the_hinge_of_crammer_and_singer(scores, margin):
    """λ log (1/V) Σ exp(a_k/λ) lies between max a − λ log V and max a."""
    hinge = max(0.0, *(z - scores[0] + margin for z in scores[1:]))
    found = ldr(scores, temperature=1e-3, margin=margin)
    assert hinge - 1e-3 * math.log(len(scores)) - 1e-9 <= found <= hinge + 1e-9


@given(scores=scores, margin=st.floats(0, 2))
def test_a_hot_ldr_is_the_mean_of_the_differences(scores, margin):
    """The rest is at most (max a − min a)²/(8 λ), by Hoeffding."""
    ahead = [0.0, *(z - scores[0] + margin for z in scores[1:])]
    found = ldr(scores, temperature=1e5, margin=margin)
    slack = (max(ahead) - min(ahead)) ** 2 / 8e5
    assert -1e-9 <= found - sum(ahead) / len(ahead) <= slack + 1e-9


def test_summed_over_all_labels_the_hot_loss_is_constant_and_a_lukewarm_one_is_not(generator):
    """A symmetric loss is robust to uniform noise: noise only adds a constant to its risk."""
    logits, labels = torch.randn(50, 1, 4, dtype=torch.float64, generator=generator).expand(50, 4, 4), torch.arange(4)

    def spread(temperature):
        sums = ldr_kl_loss(logits, labels.expand(50, 4), temperature=temperature, reduction="none").sum(-1)
        return float(sums.max() - sums.min())

    assert spread(1e6) < 1e-3
    assert spread(1.0) > 1.0


@given(scores=scores, temperature=st.floats(0.2, 20))
def test_both_ways_to_compute_it_agree_where_they_meet(scores, temperature):
    """A margin of the temperature is the last that goes by p alone; its slope by the margin is at most 1."""
    below, above = (ldr(scores, temperature=temperature, margin=temperature * by) for by in (1 - 1e-12, 1 + 1e-12))
    assert abs(above - below) <= 2e-12 * temperature + 1e-12 * (1 + abs(below))


@pytest.mark.parametrize("normalise", ["softplus", "l1"])
def test_normalised_scores_are_the_code_s_written_out(normalise, generator):
    logits, target = torch.randn(30, 5, dtype=torch.float64, generator=generator), torch.arange(30) % 5
    f = torch.nn.functional.softplus(logits) if normalise == "softplus" else logits
    f = f / (f.norm(p=1, dim=1, keepdim=True) / 5)
    ahead = f - f.gather(1, target[:, None]) + 0.1 * (1 - torch.nn.functional.one_hot(target, 5).double())
    wanted = 3 * torch.log(torch.exp(ahead / 3).mean(1))
    found = ldr_kl_loss(logits, target, temperature=3.0, normalise=normalise, reduction="none")
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13)


def test_normalised_scores_do_not_see_the_scale_of_l1_and_a_row_of_zeros_has_a_gradient():
    grown = ldr_kl_loss(7 * TOY, RIGHT, normalise="l1")
    torch.testing.assert_close(grown, ldr_kl_loss(TOY, RIGHT, normalise="l1"), rtol=1e-14, atol=0)
    zeros = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    ldr_kl_loss(zeros, RIGHT, normalise="l1").backward()
    assert bool(zeros.grad.isfinite().all())


@pytest.mark.parametrize("normalise", ["none", "softplus", "l1"])
@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("margin", [0.3, 3.0])
def test_ldr_of_linear_logits_is_that_of_the_logits_they_stand_for(margin, normalise, softcap, generator):
    made, target = linear(generator, (7,), 5), torch.arange(7) % 5
    logits = LinearLogits(made.features, made.weight, made.bias, softcap=softcap, memory_budget=made.memory_budget)
    options = {"temperature": 2.5, "margin": margin, "normalise": normalise}
    parts = (made.features, made.weight, made.bias)
    found, wanted = (ldr_kl_loss(z, target, **options) for z in (logits, logits.materialize()))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13)
    for ours, plain in zip(torch.autograd.grad(found, parts), torch.autograd.grad(wanted, parts), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("p", "samples", "loss", "factor"),
    [
        (0.1, 4, 1.067404, 0.847921),
        (0.1, 64, 0.001180, 0.008394),
        (0.5, 4, 0.064539, 0.266667),
        (0.01, 64, 0.745697, 0.716225),
    ],
)
def test_direct_coverage_gives_the_worked_numbers(p, samples, loss, factor):
    logits = torch.tensor([[math.log(p), math.log1p(-p)]], dtype=torch.float64, requires_grad=True)
    found = direct_coverage_loss(logits, RIGHT, samples=samples)
    (pull,) = torch.autograd.grad(found, logits)
    (plain,) = torch.autograd.grad(cross_entropy(logits, RIGHT), logits)
    assert round(float(found.detach()), 6) == loss
    assert (pull / plain).tolist()[0] == pytest.approx([factor, factor], abs=6e-7)


def test_the_factor_falls_with_confidence_and_with_samples(generator):
    log_p = torch.linspace(-12, -1e-3, 500, dtype=torch.float64, requires_grad=True)
    factors = []
    for samples in (1, 2, 4, 16, 64, 256):
        (slope,) = torch.autograd.grad(log_covered(log_p, samples).sum(), log_p)
        factors.append(slope)
        assert bool((slope.diff() <= 1e-12).all())
    assert bool((torch.stack(factors).diff(dim=0) <= 1e-12).all())
    assert float((factors[0] - 1).abs().max()) < 1e-12


def test_the_loss_of_n_draws_is_that_of_drawing(generator):
    """Four classes, 200,000 times three draws: the share of threes with the right class, to five standard errors."""
    logits = torch.tensor([0.3, -0.5, 1.0, 0.0], dtype=torch.float64)
    drawn = torch.multinomial(torch.softmax(logits, -1), 600_000, replacement=True, generator=generator).view(-1, 3)
    share = float((drawn == 1).any(1).double().mean())
    found = float(torch.exp(-direct_coverage_loss(logits[None], torch.tensor([1]), samples=3)))
    assert abs(share - found) < 5 * math.sqrt(found * (1 - found) / 200_000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("samples", [1.0, 1.5, 2.0, 16.0, 64.0, 1e6])
def test_value_and_slope_are_right_from_log_p_of_minus_ten_thousand_to_zero(samples, dtype):
    """Against thousands of digits; the error is a few roundings of the result or of log p."""
    mpmath = pytest.importorskip("mpmath")
    points = [
        -1e4,
        -745.0,
        -200.0,
        -104.0,
        -88.0,
        -40.0,
        -20.0,
        -15.0,
        -9.0,
        -5.0,
        -1.0,
        -0.694,
        -0.69,
        -0.1,
        -1e-3,
        -1e-6,
        0.0,
    ]
    log_p = torch.tensor(points, dtype=dtype, requires_grad=True)
    found = -log_covered(log_p, samples)
    (slope,) = torch.autograd.grad(found.sum(), log_p)
    eps = torch.finfo(dtype).eps
    assert bool(found.isfinite().all() & slope.isfinite().all())
    with mpmath.workdps(4500):
        for given_p, value, pull in zip(log_p.tolist(), found.tolist(), slope.tolist(), strict=True):
            p, n = mpmath.exp(mpmath.mpf(given_p)), mpmath.mpf(samples)
            missed = (1 - p) ** n
            wanted, factor = -mpmath.log(1 - missed), n * (1 - p) ** (n - 1) * p / (1 - missed)
            slack = 8 * eps * (1 + abs(given_p))  # that of log p, and of N log(1 − p), which is relative
            assert abs(value - wanted) <= slack
            assert abs(pull + factor) <= slack


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_no_seam_shows_where_the_ways_to_compute_it_meet(dtype):
    """Value and slope on both sides of each seam, a rounding apart."""
    eps = torch.finfo(dtype).eps
    for samples in (2.0, 16.0, 64.0):
        for seam in (math.log(math.sqrt(eps) / samples), -math.log(2)):
            around = torch.tensor([seam * (1 + 8 * eps), seam * (1 - 8 * eps)], dtype=dtype, requires_grad=True)
            found = log_covered(around, samples)
            (slope,) = torch.autograd.grad(found.sum(), around)
            assert abs(float((found[0] - found[1]).detach())) <= 40 * eps * (1 + abs(seam))
            assert abs(float(slope[0] - slope[1])) <= 40 * eps * samples


def test_a_sure_and_a_hopeless_row_have_a_gradient():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        for gap in (-1000.0, 0.0, 1000.0):
            logits = torch.tensor([[gap, 0.0, 0.0]], dtype=dtype, requires_grad=True)
            direct_coverage_loss(logits, RIGHT, samples=64).backward()
            assert bool(logits.grad.isfinite().all())
            assert bool((logits.grad[0, 0] <= 0) & (logits.grad[0, 1:] >= 0).all())


def test_direct_coverage_is_least_at_the_best_answers_where_the_truth_is_a_distribution():
    """The paper's optimum for pass@4 of chances (0.6, 0.3, 0.1) maximises Σ a (1 − (1 − q)^N), not its logarithm.

    With N = 1 both are known: the loss is least at q = a. With N = 4 its optimum is flatter than a.
    """
    chances = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)

    def rest(samples):
        logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = chances @ direct_coverage_loss(
                logits.expand(3, 3), torch.arange(3), samples=samples, reduction="none"
            )
            loss.backward()
            return loss

        optimizer.step(closure)
        return torch.softmax(logits.detach(), -1)

    assert rest(1).tolist() == pytest.approx(chances.tolist(), abs=1e-6)
    four = rest(4)
    assert float(four.max()) < 0.6
    assert float(four.min()) > 0.1
