"""Pictures of softmax and its numerics show what the history says."""

import matplotlib
import pytest

from lossbook.experiments import softmax_precision, softmax_speed
from lossbook.figures import new_figure
from lossbook.figures.softmax import ALGORITHM_LOOKS, PRECISION, plot_errors, plot_precision, plot_speed


@pytest.fixture(scope="module")
def precision():
    return softmax_precision.run(softmax_precision.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def speed():
    return softmax_speed.run(softmax_speed.SCALES["tiny"], progress=False)


def lines_of(ax):
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


@pytest.mark.parametrize("name", ["precision", "speed", "errors"])
def test_a_plot_draws_on_the_axes_given_or_on_new_ones_and_changes_no_setting(name, precision, speed):
    plot, run = {
        "precision": (plot_precision, precision),
        "speed": (plot_speed, speed),
        "errors": (plot_errors, speed),
    }[name]
    before = dict(matplotlib.rcParams)
    _, ax = new_figure()
    assert plot(run, ax) is ax
    assert plot(run) is not ax
    assert dict(matplotlib.rcParams) == before
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    ax.figure.canvas.draw()  # a warning about a glyph or a layout is an error


@pytest.mark.parametrize("metric", PRECISION)
def test_a_line_per_format_holds_the_means_over_seeds(metric, precision):
    lines = lines_of(plot_precision(precision, metric=metric, formula="naive"))
    rows = precision.history.query("formula == 'naive'")
    assert list(lines) == list(rows.format.unique())
    wanted = rows[rows.format == "float16"].groupby("step")[metric].mean()
    assert lines["float16"].get_ydata().tolist() == pytest.approx(wanted.tolist(), nan_ok=True)


def test_a_line_per_algorithm_holds_a_quick_round_and_the_largest_error(speed):
    lines, errors = lines_of(plot_speed(speed)), lines_of(plot_errors(speed))
    assert list(lines) == list(errors) == [look["label"] for look in ALGORITHM_LOOKS.values()]
    rows = speed.history[speed.history.setting == "two-pass"].groupby("step")
    assert lines["two-pass"].get_ydata().tolist() == pytest.approx(rows.nanoseconds.quantile(0.2).tolist())
    assert errors["two-pass"].get_ydata().tolist() == rows.error.max().tolist()


@pytest.mark.parametrize(("options", "message"), [({"metric": "speed"}, "metric"), ({"formula": "fast"}, "formula")])
def test_an_unknown_choice_is_refused(options, message, precision):
    with pytest.raises(ValueError, match=f"^{message}: got '(speed|fast)', expected one of"):
        plot_precision(precision, **options)
