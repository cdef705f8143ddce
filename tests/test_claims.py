"""What a chapter asserts: a claim prints one line or stops the notebook; a wrong derivative is told what is wrong."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import one_hot

from lossbook import ClaimError, check_gradient, claim

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, -1.0, 3.0]], dtype=torch.float64)
TARGET = torch.tensor([0, 1])


@pytest.mark.parametrize(
    "condition", [True, np.bool_(True), torch.tensor([True, True]), np.array([[True]]), pd.Series([True, True]), [True]]
)
def test_a_condition_that_holds_is_said_in_one_line(condition, capsys):
    claim("the sky is up", condition)
    assert capsys.readouterr().out == "✓ the sky is up\n"


@pytest.mark.parametrize("condition", [False, torch.tensor([True, False]), np.array([False]), pd.Series([True, False])])
def test_a_condition_that_fails_anywhere_stops_with_the_statement(condition, capsys):
    with pytest.raises(ClaimError, match=r"^the sky is down$"):
        claim("the sky is down", condition)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("value", "options", "line"),
    [
        (4, {"expected": 4}, "✓ s  (4, expected 4)"),
        (3.14, {"expected": math.pi, "tolerance": 0.01}, "✓ s  (3.14, expected 3.14159 ± 0.01)"),
        (torch.tensor([1.0, 1.5]), {"expected": 1, "tolerance": 0.5}, "✓ s  (largest deviation 0.5, expected 1 ± 0.5)"),
        (np.arange(3), {"at_least": 0, "at_most": 2}, "✓ s  (0 to 2, expected at least 0, expected at most 2)"),
        ([1, 2], {"expected": [1, 2]}, "✓ s  (largest deviation 0, expected the values given)"),
        (torch.tensor(0.5, requires_grad=True), {"at_most": torch.tensor(0.5)}, "✓ s  (0.5, expected at most 0.5)"),
        (math.inf, {"expected": math.inf}, "✓ s  (inf, expected inf)"),
        (-math.inf, {"at_most": 0}, "✓ s  (-inf, expected at most 0)"),
    ],
)
def test_a_number_that_fits_is_shown_beside_what_was_expected(value, options, line, capsys):
    claim("s", value, **options)
    assert capsys.readouterr().out.strip() == line


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (4, {"expected": 5}),
        (4, {"expected": 5, "tolerance": 0.99}),
        (torch.tensor([1.0, 2.0]), {"expected": 1, "tolerance": 0.5}),
        (0.5, {"at_most": 0.4}),
        (0.5, {"at_least": 0.6}),
        (0.5, {"at_least": 0, "at_most": 0.4}),
        (math.nan, {"expected": math.nan, "tolerance": 1e9}),
        (math.nan, {"at_least": 0}),
        (0.0, {"at_most": math.nan}),
        (torch.tensor([0.0, math.nan]), {"at_most": 1}),
        (math.inf, {"expected": 0, "tolerance": 1e9}),
        (0.1 + 1e-12, {"expected": 0.1, "tolerance": 1e-13}),
        (math.inf, {"expected": -math.inf, "tolerance": 1e9}),
    ],
)
def test_a_number_that_does_not_fit_stops_with_what_was_found(value, options):
    with pytest.raises(ClaimError, match=r"^s: got .*expected"):
        claim("s", value, **options)


def test_a_read_only_array_may_be_claimed_about():
    column = pd.DataFrame({"loss": [0.5, 0.25]})["loss"].to_numpy()
    column.flags.writeable = False
    claim("the loss is small", column, at_most=1)


def test_in_a_notebook_a_failed_claim_shows_its_message_alone():
    assert ClaimError("two is three")._render_traceback_() == ["✗ two is three"]


def mine(logits, target):
    return torch.softmax(logits, -1) - one_hot(target, 3)


def test_a_right_derivative_is_told_how_well_it_fits(capsys):
    worst = check_gradient("cross_entropy", mine, LOGITS, TARGET)
    assert worst < 1e-15
    assert capsys.readouterr().out.startswith("cross_entropy: exact: ")


def test_an_exact_derivative_is_called_exact(capsys):
    assert check_gradient(lambda x: x.square(), lambda x: 2 * x, LOGITS) == 0
    assert "exact: True | approximate: True | max difference: 0\n" in capsys.readouterr().out


def test_single_precision_is_near_enough_to_pass():
    assert 0 < check_gradient("cross_entropy", lambda z, y: mine(z.float(), y), LOGITS, TARGET) < 1e-6


def test_parameters_reach_the_loss_and_the_readers_function():
    def weighted(logits, target, *, tau):
        p = torch.softmax(logits, -1).gather(-1, target[:, None])
        return p ** (tau - 1) * mine(logits, target)

    for tau in (0.5, 1.0, 3.0):
        check_gradient("comp_sum_loss", weighted, LOGITS, TARGET, tau=tau)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda z, y: -mine(z, y), "negative of the right one: check the sign"),
        (lambda z, y: mine(z, y) / 2, "0.5 times the right one everywhere"),
        (
            lambda z, y: mine(z, y) + one_hot(torch.tensor([3, 1]), 4)[:, :3],
            r"max difference 1; at \[1, 1\] yours is 0.01",
        ),
        (lambda z, y: torch.softmax(z, -1), "Work that one entry out by hand"),
        (lambda z, y: None, "returned None; does it end in `return`"),
        (lambda z, y: mine(z, y).sum(0), r"has shape \(3,\), the input has \(2, 3\)"),
        (lambda z, y: mine(z, y) * math.nan, "nan"),
    ],
)
def test_a_wrong_derivative_is_told_what_is_wrong(wrong, words):
    with pytest.raises(ClaimError, match=f"^cross_entropy: .*{words}"):
        check_gradient("cross_entropy", wrong, LOGITS, TARGET)


def test_checking_a_gradient_leaves_the_inputs_alone_and_works_without_grad_mode():
    before = LOGITS.clone()
    with torch.no_grad():
        check_gradient("cross_entropy", mine, LOGITS, TARGET)
    assert torch.equal(LOGITS, before)
    assert not LOGITS.requires_grad
