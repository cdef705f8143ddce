"""Pictures of records draw what the records say, and every picture comes with words."""

import io
import re

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from lossbook.catalog import RECORDS, find
from lossbook.figures import figure_html, new_figure, plot_curvature, plot_loss, plot_simplex, plot_slope, show
from lossbook.figures.html import in_words, png, smaller
from lossbook.figures.records import curves
from lossbook.figures.simplex import COLOURS, colour_limits, colours_of

ONE_ARGUMENT = [key for key, record in RECORDS.items() if record.inputs in ("margin", "error")]


def drawn(ax):
    """Label -> (points, values) of the lines that a legend names."""
    return {line.get_label(): line.get_data() for line in ax.get_lines() if not line.get_label().startswith("_")}


def words_of(ax):
    return {text.get_text() for text in ax.figure.findobj(matplotlib.text.Text)}


def test_the_line_of_a_loss_is_its_records_value_at_the_parameters_given():
    points, values = drawn(plot_loss("huber_loss", low=-3, high=3, delta=0.5))["Huber"]
    assert (points[0], points[-1]) == (-3, 3)
    assert np.array_equal(values, find("huber_loss").value(torch.as_tensor(points), delta=0.5).numpy())


def test_each_loss_takes_the_parameters_that_it_has():
    lines = drawn(plot_slope(("huber_loss", "quantile_loss"), delta=0.5, quantile=0.9))
    assert lines["Huber"][1].max() == 0.5
    assert np.isclose(lines["Quantile (pinball)"][1].min(), -0.9)


@pytest.mark.parametrize("key", ONE_ARGUMENT)
def test_curvature_is_the_slope_of_the_slope_away_from_corners(key):
    points = torch.linspace(-3.9, 3.9, 40, dtype=torch.float64) + 0.017  # 1e-5 or more from every corner
    small = 1e-5
    low, high = (curves(find(key), points + sign * small).slope for sign in (-1, 1))
    # Third derivatives of the slopes, below 500, times 1e-10; and rounding of slopes up to 55 in float64, over 1e-5.
    assert np.allclose((high - low) / (2 * small), curves(find(key), points).curvature, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("key", ONE_ARGUMENT)
def test_curves_is_the_record_itself(key):
    record = find(key)
    points = torch.linspace(-4, 4, 33, dtype=torch.float64)
    found = curves(record, points)
    assert np.array_equal(found.value, record.value(points).numpy())
    assert np.array_equal(found.slope, record.slope(points).numpy())


def test_what_grows_out_of_the_panel_leaves_the_others_legible():
    low, high = plot_loss(("logistic_loss", "exponential_loss")).get_ylim()
    assert -1 < low < 0
    assert 6 < high < 7


def test_a_flat_curve_still_gets_an_axis():
    low, high = plot_slope("zero_one_loss").get_ylim()
    assert low < 0 < high


@pytest.mark.parametrize("plot", [plot_loss, plot_slope, plot_curvature])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": "hinge"}, "loss: got 'hinge'"),
        ({"losses": ("hinge_loss", "squared_error")}, "expected all of a margin, or all of an error"),
        ({"losses": "cross_entropy"}, "plot_simplex draws losses of logits"),
        ({"losses": "siglip_loss"}, "expected losses of a margin or of an error"),
        ({"losses": "huber_loss", "alpha": 1.0}, "parameter: got 'alpha', expected one of 'delta'"),
        ({"losses": "huber_loss", "delta": -1.0}, "delta: got -1.0"),
        ({"losses": "huber_loss", "low": 2, "high": 1}, "high: got 1, expected a finite number > 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(plot, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        plot(**arguments)


def test_plots_draw_on_the_axes_given_and_return_them():
    _, axes = new_figure(4)
    plots = (plot_loss, plot_slope, plot_curvature)
    assert all(plot("logistic_loss", ax) is ax for plot, ax in zip(plots, axes, strict=False))
    assert plot_simplex("cross_entropy", 1, axes[3]) is axes[3]


def test_the_simplex_is_coloured_by_the_loss_with_ends_that_ignore_its_highest_fiftieth():
    record = find("cross_entropy")
    low, high = colour_limits(record, 0, {})
    assert 0 < low < 0.05
    assert np.isclose(
        high, -np.log(0.01), atol=0.6
    )  # under the uniform law, p_y < 0.01 has probability 1 − 0.99² ≈ 0.02
    ends = colours_of(np.array([[low - 1, high + 1]]), (low, high))
    assert ends[0, 0].tolist() == list(COLOURS(0.0, bytes=True))
    assert ends[0, 1].tolist() == list(COLOURS(1.0, bytes=True))


def test_the_simplex_tells_title_unit_and_corners():
    words = words_of(plot_simplex("cross_entropy", 2))
    assert {"class 0", "class 1", "class 2", "Cross-entropy, right class 2", "loss (nats)"} <= words
    assert "loss" in words_of(plot_simplex("mean_absolute_error_loss"))


@pytest.mark.parametrize("target", [3, -1, "0", True])
def test_the_simplex_has_three_classes(target):
    with pytest.raises(ValueError, match=r"target: got .*, expected one of 0, 1, 2"):
        plot_simplex("cross_entropy", target)


def test_drawing_leaves_matplotlibs_settings_as_they_were():
    before = dict(matplotlib.rcParams)
    plot_loss("hinge_loss")
    plot_simplex("cross_entropy")
    show(new_figure()[0], alt="nothing")
    assert dict(matplotlib.rcParams) == before


def test_a_picture_is_a_figure_with_alt_text_and_a_caption():
    html = figure_html(b"png", 'a "quoted" <thing>', "a < b\nand $x$", width=300)
    assert 'alt="a &quot;quoted&quot; &lt;thing&gt;"' in html
    assert "a &lt; b<br>and $x$</figcaption>" in html
    assert 'width="300"' in html
    assert "figcaption" not in figure_html(b"png", "words")


@pytest.mark.parametrize("alt", ["", "  ", None, 3])
def test_a_picture_without_words_is_refused(alt):
    with pytest.raises(TypeError, match=r"alt: got .*, expected words that say what the picture shows"):
        show(new_figure()[0], alt=alt)


def test_a_kept_picture_is_smaller_and_no_colour_of_it_is_far_from_its_own():
    figure, axes = new_figure(2)
    plot_simplex("cross_entropy", 0, axes[0])
    plot_loss("hinge_loss", axes[1])
    out = io.BytesIO()
    figure.savefig(out, format="png")
    full, kept = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in (out.getvalue(), smaller(out.getvalue()))
    )
    assert len(smaller(out.getvalue())) < len(out.getvalue()) / 1.5
    assert np.abs(full.astype(int) - kept).max() <= 16
    assert png(figure)[:4] == b"\x89PNG"


def test_numbers_in_words_have_three_digits_and_no_negative_zero():
    numbers = (-0.0, -1e-12, 1234.5, -2.0, float("inf"), float("-inf"))
    words = ["0", "−1e−12", "1.23e+03", "−2", "infinite", "minus infinite"]
    assert [in_words(number) for number in numbers] == words
