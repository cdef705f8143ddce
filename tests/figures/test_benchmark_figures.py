"""The picture of a benchmark shows what the table holds."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from lossbook.benchmarks import Configuration
from lossbook.benchmarks.methods import METHODS
from lossbook.benchmarks.record import table_of
from lossbook.benchmarks.runner import Entry
from lossbook.figures.benchmarks import largest_linear, methods_of, methods_text, plot_methods

TIMES = {"three products": 5.0, "PyTorch eager": 8.0, "lossbook chunked": 5.5, "torchtune, 8 chunks": 9.0}
EXTRA = {"PyTorch eager": 2_470_000_000, "lossbook chunked": 70_000_000, "torchtune, 8 chunks": 0}
LARGE = Configuration("linear", 4096, 50257, 512, "float32")
SMALL = Configuration("linear", 64, 100, 8, "float32")


def entry(configuration, method, seconds, extra):
    work = {"both": 3 * configuration.product_operations} if method.name == "three products" else {}
    peak = {} if method.name == "three products" else {"peak": extra + 1000, "gradients": 1000}
    times = {"both": [0.9 * seconds, seconds, 1.2 * seconds]}
    return Entry(configuration, "cross_entropy", method, "ok", times=times, work=work, **peak)


@pytest.fixture(scope="module")
def table():
    methods = [m for m in METHODS if m.kind == "linear" and m.name in TIMES]
    found = [entry(SMALL, m, 1e-3, 10) for m in methods]
    found += [entry(LARGE, m, TIMES[m.name], EXTRA.get(m.name, 0)) for m in methods]
    return table_of(found, torch.device("cpu"))


def test_the_largest_linear_configuration_is_shown_unless_another_is_named(table):
    assert largest_linear(table) == str(LARGE)
    assert set(methods_of(table)["rows"]) == {4096}
    assert set(methods_of(table, str(SMALL))["rows"]) == {64}


def test_a_disc_stands_at_the_median_and_the_memory_of_each_method(table):
    left, right = plot_methods(table)
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["lossbook chunked", "PyTorch eager", "torchtune, 8 chunks"]
    for ax, expected in ((left, TIMES), (right, EXTRA)):
        marks = [line for line in ax.get_lines() if line.get_marker() not in ("None", None)]
        found = {names[int(line.get_ydata()[0])]: line.get_xdata()[0] for line in marks}
        assert found == pytest.approx({name: max(1.0, expected[name]) for name in names})
    assert left.get_xscale() == right.get_xscale() == "log"
    dashed = [line for line in left.get_lines() if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [5.0]


def test_the_axes_given_are_drawn_on(table):
    pair = Figure().subplots(1, 2)
    assert list(plot_methods(table, pair)) == list(pair)


def test_the_words_hold_every_method_with_its_numbers(table):
    words = methods_text(table)
    assert "4,096 rows, 50,257 classes, dimension 512, float32" in words
    assert "lossbook chunked 5.5 s and 70 MB; PyTorch eager 8 s and 2.47 GB; torchtune, 8 chunks 9 s and 0 " in words
    assert words.endswith("Three bare matrix products take 5 s.")


def test_what_was_not_measured_is_refused(table):
    with pytest.raises(ValueError, match="configuration: got 'linear'"):
        methods_of(table, "linear")
    with pytest.raises(ValueError, match="loss: got 'z_loss', expected one of 'cross_entropy'"):
        plot_methods(table, loss="z_loss")
    with pytest.raises(ValueError, match="expected a benchmark's table with linear configurations"):
        largest_linear(table[table["kind"] == "rows"])
    untimed = table.assign(measure="", seconds=np.nan)
    with pytest.raises(ValueError, match="expected a loss that was timed with gradients"):
        plot_methods(untimed)
