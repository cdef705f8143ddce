"""The features explorer: points, angles and NC1 of the step and loss that the controls say."""

import dataclasses
import re

import numpy as np
import pytest

from lossbook.experiments import neural_collapse
from lossbook.experiments.run import Run
from lossbook.widgets import FeaturesExplorer
from lossbook.widgets.features import REACH

SETTINGS = ("cross-entropy", "squentropy")


@pytest.fixture(scope="module")
def run():
    config = dataclasses.replace(neural_collapse.SCALES["tiny"], settings=SETTINGS, seeds=1, kept=6)
    return neural_collapse.run(config, progress=False)


@pytest.fixture(scope="module")
def explorer(run):
    return FeaturesExplorer(run, ("shirt", "trouser", "coat"))


def shot_of(run, setting, step):
    return next(shot for shot in run.snapshots if (shot.setting, shot.step) == (setting, step))


def test_every_control_and_preset_changes_what_is_seen_or_said(explorer):
    before = explorer.values
    assert len(set(explorer.move_every_control())) > 8
    assert explorer.values == before


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_points_are_those_of_the_snapshot_and_none_is_outside(explorer, run, setting):
    last = max(shot.step for shot in run.snapshots)
    for step in (0, last):
        explorer.set(loss=setting, step=step)
        arrays = shot_of(run, setting, step).arrays
        for c, cloud in enumerate(explorer._clouds):
            shown = np.stack(cloud.get_data_3d(), 1)
            wanted = np.clip(arrays["points"][arrays["labels"] == c], -REACH, REACH)
            assert np.array_equal(shown, wanted)
    explorer.choose("the start")


def test_the_words_hold_nc1_and_the_angles(explorer, run):
    explorer.set(loss="squentropy", step=max(shot.step for shot in run.snapshots))
    shot = shot_of(run, "squentropy", explorer.values["step"])
    angles = np.degrees(np.arccos(np.clip(shot.arrays["cosines"][np.triu_indices(3, 1)], -1, 1)))
    said = re.search(r"class means are (\d+), (\d+), (\d+) degrees, those of the simplex 120", explorer.alt)
    assert [int(number) for number in said.groups()] == [round(angle) for angle in angles]
    assert f"NC1 is {float(shot.arrays['nc1'][0]):.3g}" in explorer.alt
    outside = int((np.abs(shot.arrays["points"]) > REACH).any(1).sum())
    assert (f"{outside} of 24 lie beyond the axes" in explorer.alt) == (outside > 0)
    assert "shirt, trouser, coat" in explorer.alt


def test_the_frame_is_a_triangle_of_the_simplex(explorer):
    lines = [np.stack(line.get_data_3d(), 1) for line in explorer._frame_lines]
    assert [float(np.linalg.norm(line[1] - line[0])) for line in lines] == pytest.approx([3**0.5] * 3)


def test_turning_moves_the_camera_and_leaves_the_points(explorer):
    here = explorer._clouds[0].get_data_3d()
    before = explorer._frame.picture
    explorer.set(turn=30.0)
    assert explorer._space.azim == 30.0
    assert explorer._frame.picture != before
    assert all(np.array_equal(one, other) for one, other in zip(here, explorer._clouds[0].get_data_3d(), strict=True))
    explorer.set(turn=-60.0)
    assert explorer._frame.picture == before


def test_other_numbers_of_classes_are_shown_too():
    config = dataclasses.replace(neural_collapse.SCALES["tiny"], settings=SETTINGS[:1], classes=5, seeds=1, steps=4)
    explorer = FeaturesExplorer(neural_collapse.run(config, progress=False))
    assert re.search(r"class means are from \d+ to \d+ degrees, those of the simplex 104", explorer.alt)
    assert len(explorer._frame_lines) == 10


def test_it_freezes_into_a_page_that_loads_nothing(explorer):
    explorer.set(loss="cross-entropy")
    page = explorer.freeze("step")
    steps = set(re.findall(r"cross-entropy, step (\d+): NC1", page))
    assert steps == {str(step) for step in explorer.control("step").holder.options}
    assert "https://" not in page


def test_a_run_without_points_or_with_other_names_is_refused(run):
    with pytest.raises(TypeError, match=r"run: got 3 .*expected a Run of lossbook.experiments.neural_collapse"):
        FeaturesExplorer(3)
    with pytest.raises(ValueError, match="run: got 'no points in its snapshots'"):
        FeaturesExplorer(Run("other", None, run.history))
    with pytest.raises(ValueError, match=r"names: .*expected 3 names, one for each class"):
        FeaturesExplorer(run, ("shirt",))
