"""Losses against loops and formulas written out here, the numbers of the papers, and what their families promise."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lossbook import losses
from lossbook.losses import comp_sum_loss, general_robust_loss, smooth_adversarial_comp_sum_loss

TAUS = (0.0, 0.3, 1.0, 1.4, 2.0, 3.0)
scores = st.lists(st.floats(-30, 30), min_size=2, max_size=6)
errors = st.floats(-1e3, 1e3)


def by_hand(logits, target, tau, rho=1.0):
    """Φ_τ of the sum over wrong classes, one exponential at a time."""
    total = 0.0
    for k, score in enumerate(logits):
        if k != target:
            total += math.exp((score - logits[target]) / rho)
    return math.log1p(total) if tau == 1 else ((1 + total) ** (1 - tau) - 1) / (1 - tau)


@given(logits=scores, target=st.integers(0, 5), tau=st.sampled_from(TAUS))
def test_comp_sum_is_phi_of_the_sum_of_exponentials(logits, target, tau):
    assume(target < len(logits))
    found = comp_sum_loss(torch.tensor([logits], dtype=torch.float64), torch.tensor([target]), tau=tau)
    wanted = by_hand(logits, target, tau)  # which loses digits where the right class has all the mass
    assert math.isclose(float(found), wanted, rel_tol=1e-9, abs_tol=1e-13)


@pytest.mark.parametrize(
    ("tau", "value"),
    [(0, 0.503215), (0.5, 0.452113), (1, 0.407606), (1.7, 0.354614), (2, 0.334759), (3, 0.278727)],
)
def test_comp_sum_gives_the_worked_numbers(tau, value):
    logits, target = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    assert round(float(comp_sum_loss(logits, target, tau=tau)), 6) == value


def test_comp_sum_falls_as_tau_grows(generator):
    logits = 4 * torch.randn(100, 5, dtype=torch.float64, generator=generator)
    target = torch.randint(5, (100,), generator=generator)
    taus = [k / 20 for k in range(81)]
    found = torch.stack([comp_sum_loss(logits, target, tau=tau, reduction="none") for tau in taus])
    assert bool((found.diff(dim=0) < 0).all())


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, 1e-12, 1e-15])
def test_comp_sum_passes_through_cross_entropy_without_a_seam(step, generator):
    logits = 2 * torch.randn(100, 5, dtype=torch.float64, generator=generator)
    target = torch.randint(5, (100,), generator=generator)
    middle = losses.cross_entropy(logits, target, reduction="none")
    for side in (-step, step):
        found = comp_sum_loss(logits, target, tau=1 + side, reduction="none")
        left = (found - (middle - side * middle.square() / 2)).abs()  # of (1 − exp(−x m))/x = m − x m²/2 + x² m³/6 − …
        assert bool((left <= step**2 * middle**3 / 5 + 1e-14 * middle).all())


def test_the_members_of_the_family_are_comp_sum_at_their_tau(generator):
    logits = torch.randn(20, 5, dtype=torch.float64, generator=generator)
    target = torch.randint(5, (20,), generator=generator)
    members = {
        0.0: losses.sum_exponential_loss(logits, target),
        1.0: losses.cross_entropy(logits, target),
        1.7: losses.generalized_cross_entropy(logits, target),
        2.0: losses.mean_absolute_error_loss(logits, target),
    }
    for tau, member in members.items():
        torch.testing.assert_close(comp_sum_loss(logits, target, tau=tau), member, rtol=1e-15, atol=0)


@given(logits=scores)
def test_mean_absolute_error_summed_over_all_targets_is_one_less_than_the_classes(logits):
    classes = len(logits)
    rows = torch.tensor([logits], dtype=torch.float64).expand(classes, -1)
    total = losses.mean_absolute_error_loss(rows, torch.arange(classes), reduction="sum")
    assert math.isclose(float(total), classes - 1, rel_tol=1e-12)


@pytest.mark.parametrize("tau", [0.0, 0.5, 0.9])
def test_with_a_weight_limit_the_loss_goes_on_as_a_straight_line_of_log_p(tau):
    limit = 8.0
    knee = -math.log(limit) / (1 - tau)
    log_p = torch.cat([torch.linspace(3 * knee, -1e-3, 400), torch.tensor([knee - 1e-9, knee + 1e-9])]).double()
    logits = torch.stack(
        [log_p, torch.log(-torch.expm1(log_p))], -1
    ).requires_grad_()  # rows whose softmax is (p, 1 − p)
    target = torch.zeros(len(log_p), dtype=torch.long)
    limited = comp_sum_loss(logits, target, tau=tau, max_weight=limit, reduction="none")
    free = comp_sum_loss(logits, target, tau=tau, reduction="none")
    plain = losses.cross_entropy(logits, target, reduction="none")
    inside = log_p > knee
    torch.testing.assert_close(limited[inside], free[inside], rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(
        limited[~inside].detach(), (limit - 1) / (1 - tau) + limit * (knee - log_p[~inside]), rtol=1e-12, atol=1e-12
    )
    pull, unit = (torch.autograd.grad(loss.sum(), logits)[0].norm(dim=-1) for loss in (limited, plain))
    assert bool((pull <= limit * unit * (1 + 1e-12)).all())
    assert float((limited[-2] - limited[-1]).detach()) < 1e-7


def test_a_weight_limit_beyond_the_largest_number_is_none():
    logits, target = torch.tensor([[0.0, 1.0], [0.0, 60.0]]), torch.tensor([0, 0])
    free, limited = (comp_sum_loss(logits, target, tau=0.0, max_weight=limit) for limit in (None, 1e300))
    assert torch.equal(free, limited)


@pytest.mark.parametrize("tau", [0.0, 1.0, 1.5])
@pytest.mark.parametrize(("rho", "nu"), [(1.0, 1.0), (0.5, 3.0), (2.0, 0.0)])
def test_the_smooth_adversarial_loss_is_its_double_loop(tau, rho, nu, generator):
    clean, moved = torch.randn(2, 6, 4, dtype=torch.float64, generator=generator)
    target = torch.randint(4, (6,), generator=generator)
    found = smooth_adversarial_comp_sum_loss(
        clean, target, adversarial_logits=moved, tau=tau, rho=rho, nu=nu, reduction="none"
    )
    for row, right in enumerate(target.tolist()):
        z, attacked = clean[row].tolist(), moved[row].tolist()
        square = 0.0
        for k in range(4):
            square += ((attacked[right] - attacked[k]) - (z[right] - z[k])) ** 2
        assert math.isclose(float(found[row]), by_hand(z, right, tau, rho) + nu * math.sqrt(square), rel_tol=1e-12)


def test_the_smooth_adversarial_loss_pulls_on_both_sets_of_scores(generator):
    clean, moved = torch.randn(2, 6, 4, dtype=torch.float64, generator=generator).unbind()
    leaves = clean.requires_grad_(), moved.requires_grad_()
    target = torch.randint(4, (6,), generator=generator)
    loss = smooth_adversarial_comp_sum_loss(clean, target, adversarial_logits=moved, reduction="sum")
    price = loss - losses.cross_entropy(clean, target, reduction="sum")
    by_clean, by_moved = torch.autograd.grad(price, leaves)
    torch.testing.assert_close(
        by_clean, -by_moved, rtol=1e-12, atol=1e-14
    )  # only the movement between them is paid for
    assert float(by_moved.norm()) > 1


def test_a_common_shift_of_the_attacked_scores_costs_nothing_even_in_single_precision(generator):
    clean, moved = torch.randn(2, 6, 4, generator=generator)
    target = torch.randint(4, (6,), generator=generator)
    near, far = (
        smooth_adversarial_comp_sum_loss(clean, target, adversarial_logits=moved + shift, reduction="none")
        for shift in (0, 1000)
    )
    torch.testing.assert_close(far, near, rtol=1e-3, atol=0)  # scores near 1000 are 6e-5 apart


MARGIN_FORMULAS = {
    "logistic_loss": lambda m: math.log(1 + math.exp(-m)),
    "hinge_loss": lambda m: max(0.0, 1 - m),
    "squared_hinge_loss": lambda m: max(0.0, 1 - m) ** 2,
    "exponential_loss": lambda m: math.exp(-m),
    "savage_loss": lambda m: 1 / (1 + math.exp(2 * m)) ** 2,
    "tangent_loss": lambda m: (2 * math.atan(m) - 1) ** 2,
    "zero_one_loss": lambda m: float(m <= 0),
}


@pytest.mark.parametrize("name", MARGIN_FORMULAS)
@given(margin=st.floats(-20, 20))
def test_margin_losses_are_their_formulas(name, margin):
    found = getattr(losses, name)(torch.tensor([margin], dtype=torch.float64))
    assert math.isclose(float(found), MARGIN_FORMULAS[name](margin), rel_tol=1e-7, abs_tol=1e-15)


@given(error=st.floats(-700, 700))
def test_log_cosh_is_its_formula(error):
    found = losses.log_cosh_loss(torch.tensor(error, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
    wanted = math.log(math.cosh(error)) if abs(error) > 1e-3 else error**2 / 2 - error**4 / 12
    assert math.isclose(float(found), wanted, rel_tol=1e-9, abs_tol=1e-300)


@given(prediction=errors, target=errors, quantile=st.floats(0.01, 0.99))
def test_quantile_loss_charges_each_side_its_own_price(prediction, target, quantile):
    found = losses.quantile_loss(torch.tensor(prediction).double(), torch.tensor(target).double(), quantile=quantile)
    prediction, target = (float(torch.tensor(value)) for value in (prediction, target))
    wanted = quantile * (target - prediction) if prediction < target else (1 - quantile) * (prediction - target)
    assert math.isclose(float(found), wanted, rel_tol=1e-12, abs_tol=1e-300)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_the_best_constant_under_quantile_loss_is_the_quantile(quantile, generator):
    data = torch.randn(1001, dtype=torch.float64, generator=generator)
    cost = [float(losses.quantile_loss(guess.expand(1001), data, quantile=quantile)) for guess in data]
    assert float(data[torch.tensor(cost).argmin()]) == float(data.quantile(quantile, interpolation="nearest"))


@given(error=errors, alpha=st.floats(-8, 4), scale=st.floats(0.1, 10))
def test_the_general_robust_loss_is_barrons_formula(error, alpha, scale):
    assume(min(abs(alpha), abs(alpha - 2)) > 0.01)  # where the formula itself loses its digits
    found = general_robust_loss(torch.tensor(error).double(), torch.tensor(0.0).double(), alpha=alpha, scale=scale)
    square = (float(torch.tensor(error)) / scale) ** 2
    wanted = abs(alpha - 2) / alpha * ((square / abs(alpha - 2) + 1) ** (alpha / 2) - 1)
    assert math.isclose(float(found), wanted, rel_tol=1e-9, abs_tol=1e-12)


@given(error=errors, low=st.floats(-8, 2), high=st.floats(-8, 2))
def test_the_general_robust_loss_grows_with_alpha(error, low, high):
    low, high = sorted((low, high))
    small, large = (
        float(general_robust_loss(torch.tensor(error).double(), torch.tensor(0.0).double(), alpha=alpha))
        for alpha in (low, high)
    )
    assert small <= large * (1 + 1e-12)


@given(error=errors, alpha=st.floats(-8, 2), scale=st.floats(0.1, 10), stretch=st.floats(0.1, 10))
def test_the_general_robust_loss_knows_no_unit_of_length(error, alpha, scale, stretch):
    zero, error = torch.tensor(0.0).double(), torch.tensor(error).double()
    one, other = (general_robust_loss(s * error, zero, alpha=alpha, scale=s * scale) for s in (1.0, stretch))
    assert math.isclose(float(one), float(other), rel_tol=1e-12, abs_tol=1e-300)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("special", [-math.inf, 0.0, 2.0, math.inf])
def test_the_general_robust_loss_is_continuous_at_its_special_cases(special, dtype):
    error = torch.linspace(-3, 3, 61).to(dtype)
    at, zero = general_robust_loss(error, 0 * error, alpha=special, reduction="none"), 0 * error
    near = (math.copysign(1e9, special),) if math.isinf(special) else (special - 1e-9, special + 1e-9, special + 5e-324)
    for alpha in near:
        found = general_robust_loss(error, zero, alpha=alpha, reduction="none")
        torch.testing.assert_close(found, at, rtol=1e-6, atol=1e-7)
