"""The frame builder: what it shows is trained, and ends at the closed forms."""

import numpy as np
import pytest
import torch

from lossbook.metrics import cosines, gram, simplex_etf, squared_error_geometry
from lossbook.widgets import FrameBuilderExplorer
from lossbook.widgets.frame_builder import FEATURE_DECAY, LOSSES, PRESETS, STEPS, _seen, descent


@pytest.fixture(scope="module")
def explorer():
    return FrameBuilderExplorer()


def test_every_control_and_preset_changes_what_is_seen_and_said(explorer):
    seen = explorer.move_every_control()
    assert len(set(seen)) == len(seen)
    assert explorer.values["classes"] == 4


@pytest.mark.parametrize("loss", LOSSES[1:])
def test_under_the_squared_error_it_ends_at_the_closed_form(loss):
    sizes = (20, 20, 8, 8)
    found = descent(loss, sizes, 5, 0.05, 0)
    closed = squared_error_geometry(sizes, weight_decay=0.05, feature_decay=FEATURE_DECAY, bias="bias" in loss)
    # 180 steps: near enough for a picture
    assert torch.allclose(gram(found.weights[-1]), closed.weight, rtol=0, atol=0.01)
    assert torch.allclose(gram(found.means[-1]), closed.means, rtol=0, atol=0.01 * float(closed.means.max()))


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_under_cross_entropy_it_ends_at_the_simplex_where_there_is_room(classes):
    frame = simplex_etf(classes)
    for seed in (0, 1):
        found = descent("cross-entropy", (20,) * classes, 3, 0.02, seed)
        assert torch.allclose(cosines(found.weights[-1]), frame @ frame.T, rtol=0, atol=5e-3)
        assert found.steps[0] == 0
        assert found.steps[-1] == STEPS


def test_the_bias_is_held_at_0_unless_it_is_asked_for():
    free, held = (descent(loss, (20, 20, 20), 3, 0.02, 0).weights[-1] for loss in LOSSES[2:0:-1])
    assert float(cosines(held)[0, 1]) == pytest.approx(0, abs=5e-3)
    assert float(cosines(free)[0, 1]) == pytest.approx(-0.5, abs=5e-3)


def test_the_words_tell_cosines_lengths_and_who_has_vanished(explorer):
    explorer.choose("two small classes, gone")
    assert "squared lengths 0.213, 0, 0; vanished: 2 and 3." in explorer.alt
    assert explorer.caption.startswith("A class vanishes where n ≤ N² λ_W λ_H.")
    explorer.choose("four classes in a plane")
    assert "cosines of weights from −1 to 0" in explorer.alt
    assert "A simplex of 4 has −0.333 everywhere" in explorer.alt


def test_a_class_that_is_not_there_is_not_drawn_and_merged_ones_share_a_name(explorer):
    explorer.set(classes=2.0, small=20.0, decay=0.02, loss="cross-entropy", step=STEPS)
    names = [text.get_text() for text in explorer._names]
    assert names == ["1", "2", "", "", "", ""]
    assert np.isnan(explorer._lines[3].get_xdata()[1])
    explorer.choose("two small classes, merged")
    assert [text.get_text() for text in explorer._names] == ["1", "2", "3 4", "", "", ""]


def test_the_view_turns_in_space_and_has_no_control_in_a_plane(explorer):
    explorer.set(units=2)
    assert not explorer.control("turn").visible
    explorer.set(units=3)
    assert explorer.control("turn").visible
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    for turn in (0.0, 70.0):
        flat = _seen(vectors, turn)
        assert (np.linalg.norm(flat, axis=1) <= np.linalg.norm(vectors, axis=1) + 1e-12).all()
    assert np.allclose(_seen(vectors, 0.0), _seen(vectors, 360.0))
    assert _seen(np.array([[0.0, 0.0, 1.0]]), 10.0)[0] == pytest.approx([0, np.cos(np.radians(20))])


def test_it_freezes_into_a_page_that_holds_all_it_needs(explorer):
    html = explorer.freeze("step", steps=3)
    assert all(f"step {step}," in html for step in (0, 88, 180))
    assert "http" not in html.replace("http://www.w3.org", "")


def test_every_preset_says_what_to_look_for():
    assert all(preset.look.endswith(".") for preset in PRESETS.values())
