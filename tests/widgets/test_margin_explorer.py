"""The margin explorer shows what the records say."""

import re

import numpy as np
import pytest
import torch

from lossbook.catalog import RECORDS, find
from lossbook.figures.html import in_words
from lossbook.widgets import MarginExplorer

KEYS = {kind: [key for key, record in RECORDS.items() if record.inputs == kind] for kind in ("margin", "error")}
EVERY = [key for keys in KEYS.values() for key in keys]


@pytest.mark.parametrize("key", EVERY)
def test_the_words_give_the_records_own_value_slope_and_curvature_at_x(key):
    record = find(key)
    explorer = MarginExplorer((key,))
    explorer.set(x=-1.35)
    at = torch.tensor([-1.35], dtype=torch.float64, requires_grad=True)
    slope = record.slope(at)
    curvature = torch.autograd.grad(slope.sum(), at)[0] if slope.requires_grad else torch.zeros(1)
    numbers = [in_words(float(number)) for number in (record.value(at.detach()), slope.detach(), curvature)]
    said = f"value {numbers[0]}, slope {numbers[1]}, curvature {numbers[2]}"
    assert said in explorer.alt
    assert said in explorer.caption


@pytest.mark.parametrize("key", EVERY)
def test_the_lines_are_the_records_own_values(key):
    record = find(key)
    explorer = MarginExplorer((key,), low=-2, high=3)
    points, values = explorer._lines[key][0].get_data()
    assert (points[0], points[-1]) == (-2, 3)
    assert np.array_equal(values, record.value(torch.as_tensor(points)).numpy())


@pytest.mark.parametrize("kind", KEYS)
def test_all_losses_of_the_same_kind_are_offered_and_can_be_overlaid(kind):
    explorer = MarginExplorer((KEYS[kind][0],))
    assert {value for _, value in explorer.control("losses").holder.options} == set(KEYS[kind])
    explorer.set(losses=KEYS[kind])
    assert all(find(key).title in explorer.alt for key in KEYS[kind])


def test_a_loss_has_the_same_colour_wherever_it_is_chosen():
    explorer = MarginExplorer(("hinge_loss", "logistic_loss"))
    before = explorer._lines["hinge_loss"][0].get_color()
    explorer.set(losses=("hinge_loss", "savage_loss"))
    assert explorer._lines["hinge_loss"][0].get_color() == before


def test_the_slider_of_a_parameter_is_seen_while_its_loss_is_shown():
    explorer = MarginExplorer(("squared_error", "huber_loss"))
    assert explorer.control("delta").visible
    assert not explorer.control("alpha").visible
    explorer.set(losses=("general_robust_loss",))
    assert not explorer.control("delta").visible
    assert explorer.control("alpha").visible


def test_a_parameter_changes_its_own_loss_alone():
    explorer = MarginExplorer(("squared_error", "huber_loss"))
    before = {key: explorer._lines[key][1].get_ydata().copy() for key in ("squared_error", "huber_loss")}
    explorer.set(delta=0.3)
    assert np.array_equal(explorer._lines["squared_error"][1].get_ydata(), before["squared_error"])
    assert np.abs(explorer._lines["huber_loss"][1].get_ydata()).max() == 0.3
    assert "Huber (delta 0.3)" in explorer.alt


def test_axes_stand_still_while_a_parameter_moves():
    explorer = MarginExplorer(("huber_loss", "general_robust_loss"))
    before = [ax.get_ylim() for ax in explorer._axes]
    explorer.set(delta=4.0, alpha=-4.0, scale=0.1)
    assert [ax.get_ylim() for ax in explorer._axes] == before


def test_choosing_no_loss_is_answered_in_words():
    explorer = MarginExplorer()
    explorer.control("losses").holder.value = ()  # a reader can take the last one away
    assert explorer.caption == "Choose at least one loss."
    explorer.set(losses=("hinge_loss",))
    assert "Hinge" in explorer.alt


def test_a_family_narrows_what_is_offered():
    explorer = MarginExplorer(("squared_error",), family="regression")
    assert {find(value).family for _, value in explorer.control("losses").holder.options} == {"regression"}


def test_presets_outside_of_the_axis_are_left_out():
    assert "a wrong label" in MarginExplorer().presets
    assert "a wrong label" not in MarginExplorer(low=-1, high=4).presets


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": ("hinge",)}, "loss: got 'hinge', expected one of"),
        ({"losses": ()}, "losses: got [], expected at least one loss"),
        ({"losses": ("hinge_loss", "hinge_loss")}, "expected at least one loss, each once"),
        ({"losses": ("cross_entropy",)}, "losses: got ['cross_entropy'], expected losses of a margin or of an error"),
        ({"losses": ("hinge_loss", "squared_error")}, "expected all of a margin, or all of an error"),
        ({"family": "regression"}, "family: got 'regression', expected one of 'binary margin'"),
        ({"low": 1.0, "high": 1.0}, "high: got 1.0, expected a finite number > 1"),
        ({"low": float("-inf")}, "low: got -inf, expected a finite number"),
    ],
)
def test_losses_that_cannot_share_a_picture_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MarginExplorer(**arguments)
