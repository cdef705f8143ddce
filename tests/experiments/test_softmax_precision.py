"""Cross-entropy in four float formats, and where a probability becomes 1."""

import math

import pytest
import torch

from lossbook.experiments import softmax_precision
from lossbook.experiments.softmax_precision import (
    FORMATS,
    FORMULAS,
    SCALES,
    Config,
    collapse_gap,
    collapsed,
    row_losses,
)
from lossbook.losses import cross_entropy


@pytest.fixture(scope="module")
def history():
    return softmax_precision.run(SCALES["tiny"], progress=False).history


@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
def test_two_classes_collapse_at_the_gap_that_the_spacing_above_1_gives(dtype):
    gap = collapse_gap(dtype)
    step = torch.tensor(gap, dtype=dtype)
    # The gap itself is rounded to the format: two places of it to either side are safely beyond.
    before, after = (step * (1 + side * 2 * torch.finfo(dtype).eps) for side in (-1, 1))
    zero = torch.zeros((), dtype=dtype)
    assert not collapsed(torch.stack([before, zero])[None])
    assert collapsed(torch.stack([after, zero])[None])


@pytest.mark.parametrize(("dtype", "digits"), [*zip(FORMATS.values(), (8, 11, 24, 53), strict=True)])
def test_the_gap_is_the_log_of_two_times_the_binary_digits(dtype, digits):
    assert collapse_gap(dtype) == pytest.approx(digits * math.log(2), rel=1e-12)


def test_a_collapsed_row_has_no_gradient_on_its_right_class_in_float32():
    logits = torch.tensor([[20.0, 0.0, 0.0]], requires_grad=True)
    cross_entropy(logits, torch.tensor([0])).backward()
    assert float(logits.grad[0, 0]) == 0
    assert float(logits.grad[0, 1]) == pytest.approx(math.exp(-20), rel=1e-6)
    exact = logits.detach().double().requires_grad_()
    cross_entropy(exact, torch.tensor([0])).backward()
    assert float(exact.grad[0, 0]) == pytest.approx(-2 * math.exp(-20), rel=1e-6)


@pytest.mark.parametrize("formula", FORMULAS)
def test_each_formula_is_cross_entropy_where_nothing_overflows(formula, generator):
    logits, target = torch.randn(50, 7, generator=generator).double(), torch.arange(50) % 7
    wanted = cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(row_losses(logits, target, formula), wanted, rtol=1e-12, atol=1e-14)


def test_each_formula_fails_where_it_is_said_to():
    target = torch.tensor([0])
    right, wrong = torch.tensor([[200.0, 0.0]]), torch.tensor([[0.0, 200.0]])
    assert row_losses(right, target, "naive").isnan()  # inf / inf
    assert float(row_losses(right, target, "log of the softmax")) == 0
    assert float(row_losses(wrong, target, "log of the softmax")) == math.inf
    assert float(row_losses(wrong, target, "log-softmax")) == 200


def test_an_unknown_formula_is_refused():
    with pytest.raises(ValueError, match=r"^formula: got 'fast', expected one of 'naive'"):
        row_losses(torch.zeros(1, 2), torch.tensor([0]), "fast")


def test_log_softmax_is_finite_everywhere_and_the_others_are_not(history):
    finite = history.groupby("formula").finite.min()
    assert finite["log-softmax"] == 1
    assert finite["naive"] < 0.01
    assert finite["log of the softmax"] < 1


def test_coarser_formats_collapse_earlier_and_larger_logits_collapse_more(history):
    shares = history[history.formula == "naive"].pivot(index="step", columns="format", values="collapsed")[[*FORMATS]]
    assert (shares.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)
    assert (shares.diff().iloc[1:] >= 0).all(axis=None)
    assert shares.loc[1.0, "bfloat16"] > 0.5 > shares.loc[1.0, "float32"] > 0.02 > shares.loc[1.0, "float64"]


def test_the_errors_of_the_stable_formula_are_of_the_size_of_the_format(history):
    errors = history.query("formula == 'log-softmax' and step == 1").set_index("format").error
    for name, dtype in FORMATS.items():
        assert errors[name] <= torch.finfo(dtype).eps  # half of the losses lie below 1e-2


def test_the_history_is_tidy(history):
    assert not history.duplicated(["setting", "seed", "step"]).any()
    assert history.accuracy.min() > 0.999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("float8",)}, "formats: got 'float8', expected one of 'bfloat16'"),
        ({"scales": (1.0, 0.0)}, "scales: got 0.0, expected a finite number > 0"),
        ({"steps": 0}, "steps: got 0, expected an integer >= 1"),
        ({"seeds": 0}, "seeds: got 0, expected an integer >= 1"),
        ({"step_size": -1.0}, "step_size: got -1.0, expected a finite number > 0"),
    ],
)
def test_a_config_that_cannot_be_run_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        softmax_precision.run(Config(**options), progress=False)
