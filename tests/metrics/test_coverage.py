"""Coverage: draws counted, all subsets written out, and a maximum found by looking."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.metrics import best_answers, log_coverage, pass_at_n, pass_at_n_estimate

probabilities = st.floats(0, 1)


@given(p=probabilities, samples=st.integers(1, 200))
def test_pass_at_n_is_one_less_the_chance_that_all_are_wrong(p, samples):
    found = float(pass_at_n(torch.tensor(p, dtype=torch.float64), samples))
    assert math.isclose(found, 1 - (1 - p) ** samples, rel_tol=1e-12, abs_tol=1e-13)


def test_small_chances_keep_their_digits():
    """1 − (1 − 10⁻²⁰)⁶⁴ is 64 · 10⁻²⁰, where the plain formula says 0."""
    assert float(pass_at_n(torch.tensor(1e-20, dtype=torch.float64), 64)) == pytest.approx(64e-20, rel=1e-12)


def test_pass_at_n_has_a_slope_at_both_ends():
    p = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    pass_at_n(p, 4).sum().backward()
    assert p.grad.tolist() == pytest.approx([4.0, 0.5, 0.0])


@given(p=st.floats(1e-12, 1), samples=st.integers(1, 100))
def test_log_coverage_is_the_logarithm_of_pass_at_n(p, samples):
    p = torch.tensor(p, dtype=torch.float64)
    found = float(log_coverage(p.log(), samples))
    assert math.isclose(found, math.log(float(pass_at_n(p, samples))), rel_tol=1e-11, abs_tol=1e-11)


def test_a_proof_of_k_steps_needs_about_the_kth_root_of_the_samples_a_step():
    """Three steps of chance 0.2 each: 4 tries a step do as well as 48 to 64 of whole proofs; both by the formula."""
    steps = torch.full((3,), 0.2, dtype=torch.float64).log()
    whole = float(log_coverage(steps.sum(), 64).exp())
    in_steps = float(log_coverage(steps, 4).sum().exp())
    assert in_steps == pytest.approx((1 - 0.8**4) ** 3, rel=1e-12)
    assert whole == pytest.approx(1 - (1 - 0.008) ** 64, rel=1e-12)
    assert abs(in_steps - whole) < 0.2


@pytest.mark.parametrize(("drawn", "samples"), [(4, 1), (5, 2), (6, 3), (6, 6)])
def test_the_estimate_is_the_share_of_all_subsets_that_hold_a_right_answer(drawn, samples):
    for correct in range(drawn + 1):
        subsets = list(itertools.combinations(range(drawn), samples))
        share = sum(min(subset) < correct for subset in subsets) / len(subsets)  # the first `correct` are right
        assert float(pass_at_n_estimate(torch.tensor(correct), drawn, samples)) == pytest.approx(share, abs=1e-14)


def test_the_estimate_is_unbiased_and_the_plain_one_too_low():
    """Over the binomial distribution of counts, written out: no chance in it."""
    p, drawn, samples = 0.3, 10, 4
    weights = [math.comb(drawn, c) * p**c * (1 - p) ** (drawn - c) for c in range(drawn + 1)]
    counts = torch.arange(drawn + 1)
    mean = float(torch.tensor(weights, dtype=torch.float64) @ pass_at_n_estimate(counts, drawn, samples))
    plain = sum(w * (1 - (1 - c / drawn) ** samples) for c, w in enumerate(weights))
    exact = 1 - (1 - p) ** samples
    assert mean == pytest.approx(exact, abs=1e-12)
    assert plain < exact - 0.02


@pytest.mark.parametrize(
    ("samples", "wanted"), [(1, [1, 0, 0]), (4, [0.5094, 0.3819, 0.1086]), (16, [0.3699, 0.3401, 0.2900])]
)
def test_the_best_answers_are_the_worked_ones(samples, wanted):
    found = best_answers(torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64), samples)
    assert found.tolist() == pytest.approx(wanted, abs=5e-5)


@given(chances=st.lists(st.floats(1e-3, 1), min_size=1, max_size=5), samples=st.floats(1.05, 60))
def test_the_best_answers_add_up_and_no_exchange_between_two_is_better(chances, samples):
    """The objective is concave: at the best, the slope a N (1 − q)^(N−1) is one number on all answers that are given.

    On the others it is at most that.
    """
    a = torch.tensor(chances, dtype=torch.float64)
    q = best_answers(a, samples)
    assert float(q.sum()) == pytest.approx(1, abs=1e-9)
    assert bool((q >= 0).all())
    slope = a.log() + (samples - 1) * torch.log1p(-q.clamp(max=1 - 1e-15))
    given = q > 1e-9
    if int(given.sum()) > 1:
        assert float(slope[given].max() - slope[given].min()) < 1e-6
        if bool((~given).any()):
            assert float(slope[~given].max()) <= float(slope[given].max()) + 1e-6


def test_who_may_answer_oftener_should_be_less_sure():
    a = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    surest = [float(best_answers(a, n).max()) for n in (1, 1.5, 2, 4, 16, 64, 1e6)]
    assert surest == sorted(surest, reverse=True)
    assert surest[-1] == pytest.approx(1 / 3, abs=1e-5)


def test_each_row_of_chances_is_its_own():
    a = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.6, 0.3]], dtype=torch.float64)
    both = best_answers(a, 4)
    torch.testing.assert_close(both[1], both[0][[2, 0, 1]])
