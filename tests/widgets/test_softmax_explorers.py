"""The two explorers of chapter 02 say what the formats and the algorithms really do."""

import math
import re

import pytest
import torch

from lossbook.experiments.softmax_precision import FORMATS, collapse_gap
from lossbook.kernels.softmax import ALGORITHMS, softmax_steps
from lossbook.widgets import FloatLineExplorer, SoftmaxStepsExplorer
from lossbook.widgets.softmax_steps import ROWS


@pytest.fixture(scope="module")
def line():
    return FloatLineExplorer()


@pytest.fixture(scope="module")
def steps():
    return SoftmaxStepsExplorer()


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("power", [-14.0, 0.0, 10.0])
@pytest.mark.parametrize("gap", [4.0, 5.5, 5.6, 7.6, 7.7, 9.0, 16.6, 16.7, 30.0])
def test_the_number_that_stands_for_the_sum_is_the_one_that_torch_rounds_to(line, name, power, gap):
    line.set(format=name, power=power, gap=gap)
    dtype, base = FORMATS[name], 2.0**power
    rounded = torch.tensor(base + base * math.exp(-gap), dtype=torch.float64).to(dtype)  # float64 holds the sum
    moved = round((float(rounded) - base) / (base * torch.finfo(dtype).eps))
    fate = "itself" if not moved else "+ 1 step" if moved == 1 else f"+ {moved} steps"
    assert f"is rounded to {base:g} {fate}." in line.alt


@pytest.mark.parametrize(("name", "dtype"), FORMATS.items())
def test_the_gradient_is_0_from_the_collapse_on_and_not_before(line, name, dtype):
    gap = collapse_gap(dtype)
    for side, zero in ((-0.1, False), (0.1, True)):
        line.set(format=name, power=0.0, gap=round(gap + side, 1))
        found = re.search(r"gradient on the right class is (\S+) in", line.alt).group(1)
        assert (found == "0") == zero
    assert f"exactly 0 from {gap:.2f} nats on" in line.alt


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("row", ROWS)
def test_the_picture_after_the_last_step_holds_the_softmax(steps, algorithm, row):
    steps.set(algorithm=algorithm, row=row, step=18.0)
    last = softmax_steps(ROWS[row], algorithm)[-1]
    shown = [bar.get_height() for bar in steps._outputs]
    assert shown == [0.0 if math.isnan(p) else p for p in last.output]
    assert f"So far {last.reads} reads, {last.writes} writes." in steps.alt
    if algorithm == "naive" and row in ("large", "very negative"):
        assert "Written: not a number" in steps.alt
    else:
        wanted = torch.softmax(torch.tensor(ROWS[row]), 0)
        torch.testing.assert_close(torch.tensor(shown), wanted, rtol=0, atol=1e-6)


def test_the_dashed_line_is_the_log_of_the_sum_of_what_was_read(steps):
    for algorithm in ("online", "two-pass"):
        for visits in range(1, 7):
            steps.set(algorithm=algorithm, row="large", step=float(visits))
            read = torch.tensor(ROWS["large"][:visits], dtype=torch.float64)
            level = float(torch.logsumexp(read, 0)) - 1000
            if abs(level) < 6:
                assert steps._level.get_ydata()[0] == pytest.approx(level, abs=1e-6)


def test_masked_classes_get_nothing(steps):
    steps.set(algorithm="online", row="masked", step=12.0)
    assert "Written: 0.000, 0.231, 0.000, 0.629, 0.140, 0.000." in steps.alt


@pytest.mark.parametrize("rows", [{}, {"one": (1.0,), "two": (1.0, 2.0)}, {"none": ()}])
def test_rows_of_different_lengths_are_refused(rows):
    with pytest.raises(ValueError, match=r"rows: got .*, expected at least one row of logits, all of the same length"):
        SoftmaxStepsExplorer(rows)


def test_a_readers_own_rows_can_be_walked():
    explorer = SoftmaxStepsExplorer({"mine": (0.0, 0.0)})
    explorer.set(step=4.0, algorithm="two-pass")
    assert "Written: 0.500, 0.500" in explorer.alt


@pytest.mark.parametrize("make", [FloatLineExplorer, SoftmaxStepsExplorer])
def test_it_can_be_frozen(make):
    html = make().freeze(*(["gap"] if make is FloatLineExplorer else ["step"]), steps=4)
    assert html.count("<input") == 1
    assert "<img" in html
