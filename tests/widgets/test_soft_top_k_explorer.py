"""The soft top-k explorer: memberships, water level and pulls are the losses' own, and presets say what is there."""

import re

import pytest
import torch

from lossbook import soft_top_k
from lossbook.losses import decoupled_softmax_loss, soft_top_k_loss
from lossbook.widgets import SoftTopKExplorer
from lossbook.widgets.soft_top_k import LOSSES, PRESETS, level, pulls, row

BASE = row({"A": 2.0, "B": 1.0, "C": 0.0, "D": 0.5})


@pytest.mark.parametrize("loss", LOSSES)
def test_a_small_step_along_the_pulls_lowers_the_loss_by_their_square(loss):
    value, pull = pulls(loss, BASE, 3.0, 1.0)
    lower, _ = pulls(loss, BASE + 1e-7 * pull, 3.0, 1.0)
    assert (value - lower) / 1e-7 == pytest.approx(float(pull.square().sum()), rel=1e-4)  # second order: 1e-7


def test_the_losses_are_those_of_the_package():
    right = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    assert pulls("soft top-k", BASE, 2.0, 3.0)[0] == float(soft_top_k_loss(BASE, right, k=2.0, sharpness=3.0))
    assert pulls("decoupled softmax", BASE, 2.0, 3.0)[0] == float(decoupled_softmax_loss(BASE, torch.arange(3)))
    softmax = -torch.log_softmax(BASE, 0)[:3].mean()
    assert pulls("softmax", BASE, 2.0, 3.0)[0] == pytest.approx(float(softmax), rel=1e-14)


@pytest.mark.parametrize("sharpness", [0.5, 3.0, 10.0])
@pytest.mark.parametrize("k", [0.5, 3.0, 7.5])
def test_a_score_at_the_water_level_would_be_half_in(k, sharpness):
    p, water = level(BASE, k, sharpness)
    assert torch.equal(p, soft_top_k(BASE, k, sharpness=sharpness))
    torch.testing.assert_close(torch.sigmoid(sharpness * (BASE - water)), p, rtol=1e-9, atol=1e-12)


def test_every_control_and_preset_changes_what_is_seen_and_said():
    explorer = SoftTopKExplorer()
    seen = explorer.move_every_control()
    assert len(set(seen)) == len(seen)
    assert explorer.values["loss"] == "soft top-k"


def test_the_bars_and_the_words_hold_the_same_numbers():
    explorer = SoftTopKExplorer()
    explorer.set(A=3.0, k=2.0, sharpness=2.0, loss="softmax")
    scores = row({"A": 3.0, "B": 1.0, "C": 0.0, "D": 0.5})
    p, water = level(scores, 2.0, 2.0)
    _, pull = pulls("softmax", scores, 2.0, 2.0)
    heights = [[bar.get_height() for bar in bars] for bars in explorer._bars]
    assert heights[0] == scores.tolist()
    assert heights[1] == p.tolist()
    assert heights[2] == pytest.approx((pull / pull.abs().max()).tolist())
    assert list(explorer._water.get_ydata()) == [water, water]
    assert "which add up to 2;" in explorer.alt
    assert f"pulls ({pull[0]:.2f}".replace("-", "−") in explorer.alt


def test_the_presets_say_what_is_there():
    explorer, down = SoftTopKExplorer(), {}
    for name in PRESETS:
        explorer.choose(name)
        down[name] = re.search(r"Right labels pushed down: (.+?)\.", explorer.alt).group(1)
    assert down["the best right label, by softmax"] == "A"
    assert down["the same, decoupled"] == down["the same, soft top-k"] == down["a hard border"] == "none"
    assert "B" in down["one right label is lost"]
    assert "A" in down["too few places"]


def test_d_and_c_swap_places_where_the_border_is_hard():
    explorer = SoftTopKExplorer()
    explorer.choose("a hard border")
    before = [bar.get_height() for bar in explorer._bars[1]][2:4]
    explorer.set(D=1.0)
    after = [bar.get_height() for bar in explorer._bars[1]][2:4]
    assert before[0] > 0.8 > 0.2 > before[1]
    assert after[0] < 0.2 < 0.8 < after[1]


def test_it_freezes_into_a_page_that_says_each_picture_in_words():
    page = SoftTopKExplorer().freeze("k", steps=3)
    assert set(re.findall(r"which add up to (\S+);", page)) == {"0.5", "3", "4", "7.5"}
    assert "https://" not in page
