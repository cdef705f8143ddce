"""The laziness explorer: it shows the network and step asked for, in the picture and in words."""

import dataclasses
import re

import numpy as np
import pytest

from lossbook.experiments import lazy_images, lazy_rich
from lossbook.widgets import LazyExplorer


@pytest.fixture(scope="module")
def run():
    return lazy_rich.run(dataclasses.replace(lazy_rich.SCALES["tiny"], steps=60), progress=False)


@pytest.fixture(scope="module")
def explorer(run):
    return LazyExplorer(run)


def test_every_control_changes_the_picture_and_its_words(explorer):
    assert len(set(explorer.move_every_control())) >= 8


def test_curves_points_and_words_are_those_of_the_run(explorer, run):
    explorer.set(alpha=8.0, step=60, number="similarity")
    rows = run.history[run.history.alpha == 8].set_index("step")
    assert list(explorer._test.get_ydata()) == rows.test_error.tolist()
    assert list(explorer._train.get_ydata()) == rows.train_error.tolist()
    rich = run.history[run.history.alpha == 0.5]
    assert list(explorer._lines[0.5].get_ydata()) == rich.similarity.tolist()
    assert [cursor.get_xdata() for cursor in explorer._cursors] == [[60, 60], [60, 60]]
    shot = next(one for one in run.snapshots if one.setting == "α = 8" and one.step == 60)
    assert explorer._points.get_ydata() == pytest.approx(shot.arrays["prediction"])
    match = np.corrcoef(shot.arrays["target"], shot.arrays["prediction"])[0, 1]
    assert explorer.caption.startswith("α = 8, step 60: training error ")
    assert f"correlates with y by {match:.3g}" in explorer.alt


def test_at_the_start_it_says_nothing(explorer):
    explorer.set(step=0)
    assert "by nothing, for it is 0 everywhere" in explorer.caption


def test_it_freezes_with_words_for_every_alpha(explorer):
    page = explorer.freeze("alpha").replace(r"\u03b1", "α")
    assert set(re.findall(r"α = (\S+), step", page)) == {f"{alpha:g}" for alpha in explorer.control("alpha").tour(9)}


def test_other_runs_are_refused(run):
    with pytest.raises(TypeError, match=r"^run: "):
        LazyExplorer(run.history)
    with pytest.raises(ValueError, match=r"^run: got 'lazy_images', expected a run of lazy_rich"):
        LazyExplorer(dataclasses.replace(run, experiment="lazy_images", config=lazy_images.SCALES["tiny"]))
    with pytest.raises(ValueError, match=r"^run: .*one number of points"):
        LazyExplorer(dataclasses.replace(run, config=dataclasses.replace(run.config, points=(20, 30))))
