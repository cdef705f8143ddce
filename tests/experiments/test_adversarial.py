"""Adversarial training: the attack is close to the worst there is, and both defences help against it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.datasets import moons
from lossbook.experiments import adversarial
from lossbook.experiments.adversarial import METHODS, SCALES, Config
from lossbook.losses import cross_entropy
from lossbook.models import multilayer
from lossbook.training import fit, projected_attack

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return adversarial.run(TINY, progress=False)


def test_the_same_config_gives_the_same_bits(tiny):
    again = adversarial.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)
    for one, other in zip(tiny.snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_the_history_is_tidy(tiny):
    assert list(tiny.history.columns) == ["setting", "seed", "step", "clean_accuracy", "robust_accuracy"]
    assert tiny.history.setting.unique().tolist() == list(METHODS)
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()


def test_at_the_start_all_methods_have_the_same_network(tiny):
    start = tiny.history[tiny.history.step == 0]
    assert start.clean_accuracy.nunique() == 1
    assert start.robust_accuracy.nunique() == 1


def test_snapshots_hold_what_was_attacked(tiny):
    for snapshot in tiny.snapshots:
        arrays = snapshot.arrays
        assert np.abs(arrays["attacked"] - arrays["features"]).max() <= TINY.radius + 1e-6
        assert arrays["margin"].shape == (len(arrays["vertical"]), len(arrays["horizontal"]))


def test_the_surface_is_the_decision_of_the_points_on_it(tiny):
    arrays = tiny.snapshots[-1].arrays
    columns = np.abs(arrays["features"][:, :1] - arrays["horizontal"]).argmin(1)
    rows = np.abs(arrays["features"][:, 1:] - arrays["vertical"]).argmin(1)
    margin = arrays["margin"][rows, columns]
    sure = np.abs(margin) > 1  # the nearest point of the grid may lie across the boundary
    assert sure.mean() > 0.5
    assert ((margin > 0) == (arrays["decided"] == 1))[sure].all()


def test_the_attack_is_nearly_as_strong_as_a_search_of_the_whole_box():
    generator = torch.Generator().manual_seed(0)
    features, labels = moons(300, noise=0.15, generator=generator)
    model = multilayer((2, 32, 32, 2), generator=generator)
    options = {"epochs": 40, "batch_size": 50, "learning_rate": 1e-2}
    fit(model, cross_entropy, features, labels, **options, generator=generator)
    ruler = torch.linspace(-0.15, 0.15, 25)
    box = torch.cartesian_prod(ruler, ruler)
    with torch.no_grad():
        everywhere = model((features[:, None] + box).reshape(-1, 2)).argmax(-1).reshape(300, -1)
    exact = (everywhere == labels[:, None]).all(1).float().mean()
    moved = projected_attack(model, cross_entropy, features, labels, radius=0.15, steps=20, generator=generator)
    found = (model(moved).argmax(-1) == labels).float().mean()
    assert exact - 1 / 300 <= found <= exact + 0.02  # the search has a grid's gaps, the attack a local maximum at times


def test_both_defences_are_more_robust_than_cross_entropy():
    # Over seeds 0 to 4 the gain was at least 0.013; here seed 0.
    config = dataclasses.replace(SCALES["small"], seeds=1, every=40)
    end = adversarial.run(config, progress=False).history.groupby("setting").last()
    for defence in ("adversarial training", "smooth adversarial comp-sum"):
        assert end.robust_accuracy[defence] > end.robust_accuracy["cross-entropy"] + 0.005
        assert end.clean_accuracy[defence] > 0.95


def test_without_a_radius_nothing_is_taken():
    config = dataclasses.replace(TINY, radius=0.0, epochs=2)
    history = adversarial.run(config, progress=False).history
    assert (history.clean_accuracy == history.robust_accuracy).all()


def test_constants_reach_the_smooth_loss():
    name = "smooth adversarial comp-sum"
    ends = [
        adversarial.run(Config(seeds=1, points=50, test_points=50, epochs=2, nu=nu, attack_steps=1), progress=False)
        for nu in (0.0, 5.0)
    ]
    margins = [[s for s in run.snapshots if s.setting == name][-1].arrays["margin"] for run in ends]
    assert np.abs(margins[1]).mean() < np.abs(margins[0]).mean()  # a price on movement makes the surface flatter
