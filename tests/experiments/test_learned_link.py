"""Learned links: truths that are probabilities, losses that are expectations, and one start for both models' data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import learned_link
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.learned_link import HEADLINES, LINKS, MODELS, SCALES
from lossbook.experiments.run import recorded

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return learned_link.run(TINY, progress=False)


def test_the_same_config_gives_the_same_bits(tiny):
    pd.testing.assert_frame_equal(tiny.history, learned_link.run(TINY, progress=False).history, check_exact=True)


def test_the_history_is_tidy(tiny):
    assert set(tiny.history.setting) == {*LINKS, "noise 0.2"}
    assert not tiny.history.duplicated(["setting", "model", "seed"]).any()
    links = tiny.history[tiny.history.part == "links"]
    assert links.drop(columns="accuracy").notna().all().all()
    assert len(tiny.history) == len(MODELS) * (len(LINKS) + 1)


@pytest.mark.parametrize("name", LINKS)
def test_every_true_link_is_an_increasing_curve_of_probabilities(name):
    p = LINKS[name](torch.linspace(-8, 8, 500, dtype=torch.float64))
    assert bool((p.diff() >= 0).all())
    assert 0 <= float(p[0]) < 0.05
    assert 0.95 < float(p[-1]) <= 1


def test_no_model_is_below_the_entropy_of_the_truth(tiny):
    links = tiny.history[tiny.history.part == "links"]
    assert (links.nll > links.entropy).all()
    assert (links.groupby("setting").entropy.nunique() == 1).all()


def test_the_expectations_are_those_of_many_drawn_labels():
    generator = torch.Generator().manual_seed(0)
    truth, found = torch.rand(2, 50, generator=generator, dtype=torch.float64) * 0.9 + 0.05
    numbers = learned_link._against(torch.stack([1 - found, found], 1).log(), truth)
    labels = torch.rand(20_000, 50, generator=generator, dtype=torch.float64) < truth
    drawn = -torch.where(labels, found, 1 - found).log().mean()
    assert numbers["nll"] == pytest.approx(float(drawn), abs=5e-3)  # a million labels, a deviation of about 1
    assert numbers["error"] == pytest.approx(float((found - truth).abs().mean()))
    exact = learned_link._against(torch.stack([1 - truth, truth], 1).log(), truth)
    assert exact["nll"] == pytest.approx(exact["entropy"])
    assert exact["error"] == pytest.approx(0, abs=1e-12)
    assert exact["ece"] == pytest.approx(0, abs=1e-12)


def test_snapshots_are_curves_along_the_true_score(tiny):
    assert [shot.setting for shot in tiny.snapshots] == list(LINKS)
    for shot in tiny.snapshots:
        assert shot.arrays["probability"].shape == (len(MODELS), learned_link.CURVE)
        score = torch.from_numpy(shot.arrays["score"])
        np.testing.assert_allclose(shot.arrays["truth"], LINKS[shot.setting](score).numpy())
        # a learned link turns nowhere back along its own score, and that is nearly the true one after training
        assert (np.diff(shot.arrays["probability"], axis=1) >= 0).mean() > 0.9


def test_without_shares_of_wrong_labels_there_are_no_letters():
    run = learned_link.run(replace(TINY, noises=(), steps=5), progress=False)
    assert set(run.history.part) == {"links"}


def test_the_recorded_run_is_of_the_small_scale_and_says_what_the_chapter_says():
    run = recorded("learned_link_small", learned_link.Config)
    assert run.config == SCALES["small"]
    assert verdicts([(headline, run) for headline in HEADLINES]).held.tolist() == [5, 4, 5, 4, 4, 3]
