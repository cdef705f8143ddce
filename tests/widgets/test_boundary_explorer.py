"""The boundary explorer: its square, its attack and its shares are those of the run."""

import re

import numpy as np
import pytest

from lossbook.experiments import boundary
from lossbook.experiments.run import Run
from lossbook.widgets import BoundaryExplorer


@pytest.fixture(scope="module")
def run():
    return boundary.run(boundary.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def explorer(run):
    return BoundaryExplorer(run)


def test_every_control_changes_the_picture(explorer):
    assert len(set(explorer.move_every_control())) > 8


def test_the_square_is_the_ball_and_the_cross_the_end_of_the_attack(run, explorer):
    explorer.set(method="adversarial training", radius=0.2, step=20, point=2)
    shot = next(s for s in run.snapshots if (s.setting, s.step) == ("adversarial training, 0.2", 20))
    chosen = explorer._points[1]
    at, end = shot.arrays["features"][chosen], shot.arrays["attacked"][chosen]
    assert explorer._square.get_width() == explorer._square.get_height() == pytest.approx(0.4)
    assert np.array(explorer._square.get_xy()) == pytest.approx(at - 0.2)
    assert [float(v[0]) for v in explorer._end.get_data()] == pytest.approx(end.tolist())
    assert np.array_equal(explorer._image.get_array(), shot.arrays["margin"])


def test_the_words_hold_the_numbers_of_the_history(run, explorer):
    explorer.set(method="cross-entropy", radius=0.2, step=20, point=1)
    row = run.history.query("setting == 'cross-entropy, 0.2' and step == 20").iloc[0]
    clean, robust = re.search(r"([\d.]+)% of the 40 points are judged right, ([\d.]+)% after", explorer.alt).groups()
    assert float(clean) == pytest.approx(100 * row.clean_accuracy, abs=0.05)
    assert float(robust) == pytest.approx(100 * row.robust_accuracy, abs=0.05)


def test_points_with_a_label_are_apart_from_those_without(explorer):
    explorer.set(method="VAT, 8 labels")
    assert sum(len(dots.get_xdata()) for (_, known), dots in explorer._dots.items() if known) == 8
    explorer.set(method="cross-entropy")
    assert sum(len(dots.get_xdata()) for (_, known), dots in explorer._dots.items() if not known) == 0


def test_the_class_between_grid_points_is_that_of_the_margin():
    arrays = {
        "horizontal": np.array([0.0, 1.0]), "vertical": np.array([0.0, 1.0]), "margin": np.array([[-1.0, 3.0]] * 2),
    }  # fmt: skip
    from lossbook.widgets.boundary import _judged

    assert [_judged(arrays, np.array([x, 0.5])) for x in (0.2, 0.3, 2.0)] == [0, 1, 1]


def test_the_presets_begin_where_they_say(explorer):
    for name in explorer.presets:
        explorer.choose(name)
        assert name.split(",")[0] in explorer.alt or name == "too wide a radius"


def test_it_freezes_and_refuses_other_runs(run, explorer):
    page = explorer.freeze("radius")
    assert "https://" not in page
    assert page.count("radius 0.2, step") >= 1
    with pytest.raises(TypeError, match=r"^run: got None .*expected a Run of lossbook.experiments.boundary"):
        BoundaryExplorer(None)
    other = Run("label_noise", run.config, run.history)
    with pytest.raises(ValueError, match=r"^run: got 'label_noise', expected a run of boundary"):
        BoundaryExplorer(other)
