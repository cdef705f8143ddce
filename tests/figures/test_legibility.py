"""Pictures are read without colour, by colour-blind readers and on a dark page; colours are only the second cue."""

import importlib
import pkgutil
import re
from inspect import getmembers, isfunction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import seaborn as sns
from legibility import alike, lightness, linear, luminance, small
from matplotlib.patches import Patch

from lossbook import figures
from lossbook.figures.style import DASHES, MARKERS, PALETTE, SIGNED, in_order, look, new_figure
from lossbook.widgets.benchmark import EXPLORERS

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHTS = {
    "all cones": np.eye(3),
    "no green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "no red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
# Ottosson 2020: Oklab, in which distances are about as large as they look.
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LAB = np.array(
    [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
)


def nearest(colours, sight) -> float:
    """The distance of the two colours that are hardest to tell apart."""
    seen = np.clip(np.stack([linear(colour) for colour in colours]) @ SIGHTS[sight].T, 0, 1)
    places = np.cbrt(seen @ CONES.T) @ LAB.T
    return min(float(np.linalg.norm(one - other)) for one, other in combinations(places, 2))


def gaps(colours) -> np.ndarray:
    return np.diff(sorted(lightness(colour) for colour in colours))


def test_every_colour_stands_out_from_white_as_graphics_must():
    assert min(1.05 / (luminance(colour) + 0.05) for colour in PALETTE) >= 3  # WCAG 2.2, 1.4.11


def test_the_first_colours_differ_in_lightness_by_what_the_style_says():
    assert gaps(PALETTE[:3]).min() >= 12
    assert gaps(PALETTE[:5]).min() >= 6


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("count", [5, 10])
def test_colours_are_further_apart_than_those_of_a_palette_for_the_colour_blind(sight, count):
    assert nearest(PALETTE[:count], sight) > nearest(sns.color_palette("colorblind")[:count], sight)


def test_ten_series_differ_in_dash_and_in_marker():
    looks = [look(i, marker=True) for i in range(10)]
    assert len(PALETTE) == len(set(DASHES)) == len(set(MARKERS)) == 10
    assert len({str(each["linestyle"]) for each in looks}) == len({each["marker"] for each in looks}) == 10


@pytest.mark.parametrize("count", [2, 3, 5])
def test_settings_with_an_order_go_from_dark_to_light(count):
    light = [lightness(colour) for colour in in_order(count)]
    assert np.diff(light).min() >= 10
    assert 1.05 / (luminance(in_order(count)[-1]) + 0.05) >= 3


def test_numbers_are_read_on_every_colour_of_a_signed_table():
    contrast = [(luminance(SIGNED(part)[:3]) + 0.05) / (luminance("#222222") + 0.05) for part in np.linspace(0, 1, 65)]
    assert min(contrast) >= 4.5  # WCAG 2.2, 1.4.3
    light = [lightness(SIGNED(part)) for part in np.linspace(0, 1, 65)]
    assert np.all(np.diff(light[:33]) > 0)
    assert np.all(np.diff(light[32:]) < 0)


@pytest.mark.parametrize("name", EXPLORERS)
def test_an_explorer_is_legible(name):  # held by the fixture of this folder
    EXPLORERS[name]()


def test_every_plot_is_drawn_by_a_test_of_this_folder():
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    names = [f"lossbook.figures.{found.name}" for found in pkgutil.iter_modules(figures.__path__)]
    functions = [name for module in names for name, _ in getmembers(importlib.import_module(module), isfunction)]
    plots = {name for name in functions if name.startswith("plot_")}
    assert {name for name in plots if not re.search(rf"\b{name}\b", tests)} == set()


def test_lines_that_only_a_colour_tells_apart_are_found():
    ax = new_figure()[1]
    ax.plot([0, 1], color="#1f8498", label="cyan")
    ax.plot([1, 0], color="#8b7819", label="olive")
    ax.legend()
    assert alike(ax.figure) == [("cyan", "olive")] * 2  # in the legend and among the lines
    ax.lines[0].set_linestyle("--")
    ax.legend()
    assert alike(ax.figure) == []


def test_bars_that_only_a_colour_tells_apart_are_found():
    figure = new_figure()[0]
    figure.legend(handles=[Patch(color="#1f8498", label="cyan"), Patch(color="#8b7819", label="olive")])
    assert alike(figure) == [("cyan", "olive")]
    figure.legends[0].legend_handles[0].set_hatch("//")
    assert alike(figure) == []


def test_small_words_are_found():
    ax = new_figure()[1]
    ax.set_title("large")
    words = ax.text(0, 0, "small", fontsize=8)
    assert small(ax.figure) == ["small"]
    words.set_fontsize(9)
    assert small(ax.figure) == []
