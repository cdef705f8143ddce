"""Few labels: the same bits again, tidy rows, and the headlines on the run that comes with the book."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import virtual_adversarial
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded
from lossbook.experiments.virtual_adversarial import HEADLINES, METHODS, SCALES, TASKS, Config, few_labels
from lossbook.models import multilayer

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return virtual_adversarial.run(TINY, progress=False)


@pytest.fixture(scope="module")
def small():
    return recorded("virtual_adversarial_small", Config)


def test_the_same_config_gives_the_same_bits(tiny):
    again = virtual_adversarial.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)


def test_the_history_is_tidy_and_each_method_begins_with_the_same_network(tiny):
    assert set(tiny.history.setting) == {f"{task}: {method}" for task in TASKS for method in METHODS}
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()
    start = tiny.history[tiny.history.step == 0]
    numbers = ["test_error", "lds", "lds_random"]
    assert (start.groupby(["task", "seed"])[numbers].nunique() == 1).all().all()


def test_the_network_is_the_one_that_the_seed_says(tiny):
    model = multilayer((2, 50, 50, 2), generator=torch.Generator().manual_seed(4))
    points, labels = virtual_adversarial._parts(TINY, "moons", 0)[2:]
    error = float((model(points).argmax(-1) != labels).double().mean())
    start = tiny.history.query("setting == 'moons: VAT' and seed == 0 and step == 0")
    assert start.test_error.item() == pytest.approx(error)


def test_the_few_labels_are_balanced_and_none_comes_twice():
    labels = torch.arange(60) % 3
    chosen = few_labels(labels, 4, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[chosen]).tolist() == [4, 4, 4]
    assert len(chosen.unique()) == 12


def test_snapshots_show_the_plane_and_the_points_with_labels(tiny):
    assert {shot.setting for shot in tiny.snapshots} == {f"moons: {method}" for method in METHODS}
    for shot in tiny.snapshots:
        arrays = shot.arrays
        assert arrays["margin"].shape == arrays["lds"].shape == (len(arrays["vertical"]), len(arrays["horizontal"]))
        assert (arrays["lds"] >= 0).all()
        assert np.bincount(arrays["labels"]).tolist() == [4, 4]


def test_lds_lies_along_the_boundary_and_nowhere_else(small):
    arrays = next(shot.arrays for shot in small.snapshots if shot.setting == "moons: VAT")
    x, y = np.meshgrid(arrays["horizontal"], arrays["vertical"])
    places, side = np.stack([x.ravel(), y.ravel()], 1), arrays["margin"].ravel() > 0
    pairs = zip(places, side, strict=True)
    other = np.array([np.linalg.norm(places[side != mine] - place, axis=1).min() for place, mine in pairs])
    radius, cell = TASKS["moons"].test_radius, places[1, 0] - places[0, 0]
    lds = arrays["lds"].ravel()
    assert lds[other > 3 * radius + cell].mean() < lds[other < radius].mean() / 20


def test_the_recorded_run_is_the_small_one_and_its_headlines_are_those_of_the_chapter(small):
    assert small.config == SCALES["small"]
    table = verdicts([(headline, small) for headline in HEADLINES])
    assert table.seeds.tolist() == [5] * 5
    assert table.held.tolist() == [5, 5, 5, 3, 3]
    assert table.verdict.tolist()[:3] == ["holds"] * 3


def test_unknown_names_are_refused():
    for name in ("tasks", "methods"):
        with pytest.raises(ValueError, match=f"^{name}: got 'none', expected one of"):
            virtual_adversarial.run(dataclasses.replace(TINY, **{name: ("none",)}), progress=False)
