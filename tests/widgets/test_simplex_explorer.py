"""The simplex explorer: the same loss over probabilities and over logits."""

import math
import re

import numpy as np
import pytest
import torch

from lossbook.catalog import RECORDS, find
from lossbook.figures.html import in_words
from lossbook.figures.simplex import descent_of, logit_plane, simplex_plane
from lossbook.widgets import SimplexExplorer

DRAWABLE = [key for key, record in RECORDS.items() if record.inputs == "logits" and not record.companions]


@pytest.mark.parametrize("key", DRAWABLE)
def test_every_loss_of_logits_alone_can_be_explored(key):
    explorer = SimplexExplorer(key)
    explorer.set(z_0=-1.3, z_1=0.7, target=1)
    at = torch.tensor([[-1.3, 0.7, 0.0]], dtype=torch.float64)
    value = float(find(key).value(at, torch.tensor([1])))
    assert f"loss {in_words(value)}" in explorer.alt
    assert find(key).title in explorer.alt
    assert set(find(key).defaults) <= set(explorer.values)


def test_at_equal_logits_cross_entropy_is_the_log_of_three_in_nats():
    explorer = SimplexExplorer("cross_entropy")
    explorer.set(z_0=0.0, z_1=0.0)
    assert f"probabilities (0.333, 0.333, 0.333), loss {math.log(3):.3g} nats" in explorer.alt
    assert "gradient by the logits (−0.667, 0.333, 0.333)" in explorer.alt


def test_the_comp_sum_loss_is_in_nats_where_it_is_cross_entropy_and_nowhere_else():
    explorer = SimplexExplorer("comp_sum_loss")
    assert "nats" in explorer.alt
    assert explorer._bar.ax.get_ylabel() == "loss (nats)"
    explorer.set(tau=1.5)
    assert "nats" not in explorer.alt
    assert explorer._bar.ax.get_ylabel() == "loss"


def test_the_arrows_over_the_simplex_are_where_a_small_step_of_the_logits_takes_the_softmax():
    record, plane = find("comp_sum_loss"), simplex_plane()
    step = descent_of(record, plane.arrows, 2, {"tau": 0.5})
    small = 1e-6
    difference = (plane.place(plane.arrows + small * step) - plane.place(plane.arrows - small * step)) / (2 * small)
    # Central differences of smooth functions at 1e-6 in float64: rounding of about 1e-16 / 1e-6, steps up to 20.
    assert np.abs(plane.move(plane.arrows, step) - difference).max() < 1e-8


def test_the_arrows_over_the_logits_are_minus_the_gradient_with_the_last_logit_held():
    record, plane = find("cross_entropy"), logit_plane()
    step = descent_of(record, plane.arrows, 0, {})
    at = plane.arrows.clone().requires_grad_()
    record.value(at, torch.zeros(len(at), dtype=torch.long)).sum().backward()
    assert np.allclose(plane.move(plane.arrows, step), -at.grad[:, :2].numpy(), atol=1e-12)


def test_the_corners_of_the_simplex_are_sure_predictions():
    place = simplex_plane().place
    corners = place(50 * torch.eye(3, dtype=torch.float64))
    assert np.allclose(corners, [[0, 0], [1, 0], [0.5, math.sqrt(3) / 2]], atol=1e-12)
    sides = [np.linalg.norm(corners[i] - corners[i - 1]) for i in range(3)]
    assert np.allclose(sides, 1, atol=1e-12)


def test_a_pixel_of_the_simplex_is_drawn_where_its_probabilities_lie():
    plane = simplex_plane()
    height, width = plane.pixels.shape[:2]
    row, column = height // 3, width // 2
    x, y = plane.place(plane.pixels[row, column])
    assert math.isclose(x, column / (width - 1), abs_tol=1e-9)
    assert math.isclose(y, plane.extent[3] * row / (height - 1), abs_tol=1e-9)


def test_colours_stay_while_a_parameter_moves_and_follow_it_when_asked_to():
    explorer = SimplexExplorer("comp_sum_loss")
    norm = explorer._bar.norm
    before = (norm.vmin, norm.vmax)
    explorer.set(tau=2.0)
    assert (norm.vmin, norm.vmax) == before
    explorer.set(colours="rescaled")
    assert norm.vmax < 1.0  # 1 − p_y
    explorer.set(colours="fixed")
    assert (norm.vmin, norm.vmax) == before


def test_colours_are_worked_out_anew_only_when_the_loss_changes(monkeypatch):
    explorer = SimplexExplorer()
    real, calls = explorer._map, []
    monkeypatch.setattr(explorer, "_map", lambda *arguments: (calls.append(1), real(*arguments)))
    explorer.set(z_0=-2.0)
    explorer.set(z_1=-2.0)
    assert calls == []
    explorer.set(tau=0.5)
    assert calls == [1]


def test_the_special_cases_within_reach_are_presets():
    presets = SimplexExplorer("comp_sum_loss").presets
    assert "tau=0 is the sum of exp(z_k − z_y) over wrong classes" in presets
    assert "tau=2 is the probability of the wrong classes" in presets
    assert not any("tau=1 " in name for name in presets)  # where one begins


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        ("softmax_loss", ValueError, "loss: got 'softmax_loss', expected one of"),
        ("hinge_loss", ValueError, "loss: got 'hinge_loss', expected a loss of logits and a target class alone"),
        ("smooth_adversarial_comp_sum_loss", ValueError, "this one takes logits, adversarial_logits"),
        (3, TypeError, "loss: got 3 (int), expected the name of a loss, or a record"),
    ],
)
def test_a_loss_that_three_scores_do_not_determine_is_refused(loss, error, message):
    with pytest.raises(error, match=re.escape(message)):
        SimplexExplorer(loss)
