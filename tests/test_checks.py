"""The words in which every public function refuses bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.checks import (
    REDUCTIONS,
    bad_type,
    bad_value,
    check_choice,
    check_count,
    check_floating,
    check_generator,
    check_number,
    check_reduction,
    check_same_device,
    check_same_shape,
    describe,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(2, 3), "a float32 tensor of shape (2, 3)"),
        (torch.tensor(1), "an int64 tensor of shape ()"),
        ("avg", "'avg'"),
        (None, "None"),
        ([1, 2], "[1, 2]"),
        (list(range(100)), "a list"),
        (np.zeros((9, 9)), "a ndarray"),
        (10**400, "an int"),
    ],
)
def test_a_value_is_described_in_a_few_words(value, words):
    assert describe(value) == words


def test_a_type_error_names_the_type_once():
    assert str(bad_type("tau", "1", "a number")) == "tau: got '1' (str), expected a number"
    assert str(bad_type("tau", list(range(100)), "a number")) == "tau: got a list, expected a number"
    assert str(bad_type("tau", torch.zeros(1), "a number")).startswith("tau: got a float32 tensor of shape (1,)")


def test_a_value_error_says_argument_got_and_expected():
    assert str(bad_value("tau", -1, "more")) == "tau: got -1, expected more"


@given(value=st.floats() | st.integers(), low=st.floats(-10, 10), width=st.floats(0, 10))
def test_a_number_passes_exactly_where_it_is_in_range(value, low, width):
    def accepted(**bounds):
        try:
            return check_number("x", value, **bounds) == value
        except ValueError:
            return False

    in_reach = abs(value) <= 1.7976931348623157e308  # NaN is not
    high = low + width
    assert accepted() is in_reach
    assert accepted(at_least=low, at_most=high) is (low <= value <= high)
    assert accepted(above=low, below=high) is (low < value < high)
    assert accepted(finite=False) is (in_reach or value in (math.inf, -math.inf))


@pytest.mark.parametrize("value", [True, None, "1", 1j, [1.0], torch.tensor(1.0), np.float32(1), np.int64(1)])
def test_what_is_not_a_python_number_is_refused_by_type(value):
    with pytest.raises(TypeError, match=r"x: got .*, expected a finite number"):
        check_number("x", value)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, "a finite number"),
        ({"above": 0}, "a finite number > 0"),
        ({"at_least": 0, "at_most": 1}, "a finite number >= 0 and <= 1"),
        ({"above": 0, "below": 1}, "a finite number > 0 and < 1"),
        ({"at_least": 0, "finite": False}, "a number >= 0"),
    ],
)
def test_the_message_spells_the_range(bounds, expected):
    with pytest.raises(ValueError, match=f"x: got nan, expected {expected}$"):
        check_number("x", math.nan, **bounds)


def test_a_reduction_is_one_of_three_words():
    for reduction in REDUCTIONS:
        check_reduction(reduction)
    for other in ("Mean", "", None, ["mean"], 0):
        with pytest.raises(ValueError, match=r"reduction: got .*, expected one of 'mean', 'sum', 'none'"):
            check_reduction(other)


def test_a_choice_lists_all_choices():
    with pytest.raises(ValueError, match="colour: got 'red', expected one of 'blue', 'green'"):
        check_choice("colour", "red", ("blue", "green"))


def test_a_tensor_is_held_to_its_kind_shape_and_device():
    given = torch.zeros(2)
    assert check_floating("x", given) is given
    for wrong in (torch.tensor([1]), torch.tensor([True]), torch.tensor([1j]), [1.0], np.zeros(2)):
        with pytest.raises(TypeError, match=r"x: got .*, expected a floating-point tensor"):
            check_floating("x", wrong)
    check_same_shape("x", given, "y", torch.ones(2))
    with pytest.raises(ValueError, match=r"x: got a float32 tensor of shape \(2,\), expected the shape of y, \(2, 1\)"):
        check_same_shape("x", given, "y", torch.ones(2, 1))
    check_same_device("x", given, "y", torch.ones(5))
    with pytest.raises(ValueError, match=r"x: got a tensor on cpu, expected the device of y, meta"):
        check_same_device("x", given, "y", torch.ones(2, device="meta"))


@pytest.mark.parametrize(("value", "error"), [(True, TypeError), (2.0, TypeError), ("3", TypeError), (1, ValueError)])
def test_a_count_is_a_whole_number_of_at_least_the_least(value, error):
    with pytest.raises(error, match=r"^steps: got .*, expected an integer >= 2"):
        check_count("steps", value, least=2)
    check_count("steps", 2, least=2)


def test_only_a_generator_is_a_generator():
    with pytest.raises(TypeError, match=r"^generator: got 0 \(int\), expected a torch\.Generator"):
        check_generator(0)
    check_generator(torch.Generator())
