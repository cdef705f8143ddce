"""Softmax element by element: four algorithms that agree, pairs that add like numbers, and steps that count memory."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.kernels.softmax import (
    ALGORITHMS,
    EXP_COEFFICIENTS,
    LN2_FUSED,
    LN2_PLAIN,
    add_pairs,
    extended_exp,
    logsumexp,
    power_of_two,
    softmax,
    softmax_steps,
)

INFINITY, NAN = math.inf, math.nan
STABLE = [name for name in ALGORITHMS if name != "naive"]
EDGES = {
    "one class": [5.0],
    "ties": [2.0, 2.0, 2.0],
    "far apart": [-1e4, 1e4, 0.0],
    "large": [1e4, 1e4 - 1],
    "masked first": [-INFINITY, -INFINITY, 2.0, 1.0],
    "masked by a large number": [-1e30, 0.0],
    "all at a large number": [-1e30, -1e30],
    "at the ends of float32": [3.4e38, 3.4e38, -3.4e38],
    "near the ends of float32": [3.4e38, 2.4e38],
    "all masked": [-INFINITY, -INFINITY],
    "infinite": [INFINITY, 0.0],
    "NaN first": [NAN, 0.0, 1.0],
    "NaN last": [0.0, 1.0, NAN],
}


@pytest.mark.parametrize("algorithm", STABLE)
@pytest.mark.parametrize("row", EDGES.values(), ids=EDGES)
def test_at_the_edges_every_algorithm_says_what_torch_says(algorithm, row):
    wanted = torch.softmax(torch.tensor(row, dtype=torch.float32), 0).numpy()
    np.testing.assert_allclose(softmax(row, algorithm), wanted, rtol=2e-6, atol=1e-38)  # few roundings of 6e-8 each


@pytest.mark.parametrize("row", EDGES.values(), ids=EDGES)
def test_the_log_of_the_sum_comes_free_with_the_pair(row):
    wanted = float(torch.logsumexp(torch.tensor(row, dtype=torch.float32).double(), 0))
    assert logsumexp(row) == pytest.approx(wanted, rel=1e-7, abs=1e-7, nan_ok=True)


@given(st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=20))
def test_all_algorithms_agree_with_float64(row):
    wanted = torch.softmax(torch.tensor(row, dtype=torch.float32).double(), 0).numpy()
    for algorithm in STABLE:
        found = softmax(row, algorithm)
        # x − maximum, up to 160, is rounded by up to 8e-6, and that is a relative error of the exponential.
        kept = wanted > 1e-37
        np.testing.assert_allclose(found[kept], wanted[kept], rtol=1e-5)


def test_without_the_maximum_to_subtract_two_pass_keeps_the_digits_that_the_subtraction_rounds_away():
    row = torch.linspace(-60, 0.1, 999).tolist()
    wanted = torch.softmax(torch.tensor(row).double(), 0).numpy()
    error = {name: np.abs(softmax(row, name) / wanted - 1).max() for name in STABLE}
    # 9e-8 of the polynomial, and under eight roundings of 6e-8, in the element and in the sum each
    assert error["two-pass"] < 1e-6
    assert error["recompute"] > 1.5 * error["two-pass"]


def test_naive_softmax_overflows_where_exp_does():
    assert np.isnan(softmax([88.8, 0.0], "naive")).any()
    np.testing.assert_allclose(softmax([88.7, 0.0], "naive"), softmax([88.7, 0.0]), rtol=2e-6, atol=1e-38)


def test_a_common_shift_changes_nothing(generator):
    row = (torch.randn(50, generator=generator) * 3 * 1024).round() / 1024  # so that row + 1000 is exact
    # The float32 nearest to x + 1000 is x + 1000, and the pairs of both have the same mantissa up to its rounding.
    np.testing.assert_allclose(softmax((row + 1000).tolist()), softmax(row.tolist()), rtol=1e-6)


def test_the_worked_example_of_the_pairs():
    mantissa, exponent = extended_exp(np.float32([1000, 1001, 999]))
    assert exponent.tolist() == [1443, 1444, 1441]
    np.testing.assert_allclose(mantissa, [0.809465, 1.100177, 1.191142], atol=5e-7)
    numbers = softmax_steps([1000, 1001, 999], "two-pass")[-1].numbers
    assert numbers["mantissa"] == pytest.approx(1.653803, abs=5e-7)
    assert numbers["exponent"] == 1444


def test_the_mantissa_lies_around_one_and_is_off_by_a_polynomials_error():
    x = np.linspace(-2e4, 2e4, 100_001, dtype=np.float32)
    mantissa, exponent = extended_exp(x)
    assert mantissa.min() > math.sqrt(0.5) - 1e-6
    assert mantissa.max() < math.sqrt(2) + 1e-6
    truth = np.exp(x.astype(np.float64) - exponent * math.log(2))
    # 9.2e-8 of the polynomial, and one rounding of 6e-8 each from t, the last product and the last sum
    assert np.abs(mantissa / truth - 1).max() < 2.8e-7


def test_the_polynomial_itself_is_within_its_published_error():
    t = np.linspace(-math.log(2) / 2, math.log(2) / 2, 20_001)
    value = sum(c * t**k for k, c in enumerate(EXP_COEFFICIENTS))
    assert np.abs(value / np.exp(t) - 1).max() < 9.2e-8


@pytest.mark.parametrize("parts", [LN2_FUSED, LN2_PLAIN])
def test_the_two_parts_of_the_logarithm_of_two_add_up_to_it(parts):
    assert sum(parts) == pytest.approx(math.log(2), abs=1e-12)


def test_pairs_add_in_any_order_to_the_same_number(generator):
    pairs = [extended_exp(x) for x in (torch.randn(4, generator=generator) * 40).tolist()]
    wanted = math.log(sum(float(m) * 2.0**n for m, n in pairs))
    for order in itertools.permutations(pairs):
        left = add_pairs(add_pairs(add_pairs(*order[:2]), order[2]), order[3])
        tree = add_pairs(add_pairs(*order[:2]), add_pairs(*order[2:]))
        for mantissa, exponent in (left, tree):
            # three sums, each rounded by 6e-8
            assert math.log(mantissa) + exponent * math.log(2) == pytest.approx(wanted, abs=2e-7)


def test_two_to_a_power_is_exact_and_ends_in_zero():
    assert power_of_two(np.arange(-126, 1)).tolist() == [2.0**n for n in range(-126, 1)]
    assert power_of_two(np.array([-127, -1e9, -INFINITY])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_steps_count_the_memory_that_the_algorithm_is_said_to_touch(algorithm):
    last = softmax_steps([0.5, -1.0, 2.0, 0.0], algorithm)[-1]
    assert (last.reads / 4, last.writes / 4) == ALGORITHMS[algorithm]
    assert sum(last.output) == pytest.approx(1, abs=1e-6)


def test_steps_say_what_is_remembered_on_the_way():
    online = softmax_steps([1.0, 3.0, 2.0], "online")
    assert [step.numbers["maximum"] for step in online[:3]] == [1, 3, 3]
    assert online[1].numbers["sum"] == pytest.approx(1 + math.exp(-2), abs=1e-6)
    assert [math.isnan(p) for p in online[3].output] == [False, True, True]
    assert [step.element for step in online] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("row", "algorithm", "error", "message"),
    [
        ([], "online", ValueError, "row: got [], expected one row of at least one number"),
        ([[1.0, 2.0]], "online", ValueError, "row: got [[1.0, 2.0]], expected one row of at least one number"),
        (3.0, "online", ValueError, "row: got 3.0, expected one row of at least one number"),
        (["a"], "online", TypeError, "row: got ['a'] (list), expected numbers"),
        ([1.0], "fastest", ValueError, "algorithm: got 'fastest', expected one of 'naive', 'recompute'"),
    ],
)
def test_what_is_no_row_or_no_algorithm_is_refused(row, algorithm, error, message):
    with pytest.raises(error, match=re.escape(message)):
        softmax_steps(row, algorithm)
