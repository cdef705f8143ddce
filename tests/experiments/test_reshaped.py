"""The experiment on reshaped cross-entropy: its numbers are what they are called, its claims ask the right ones."""

import dataclasses

import pandas as pd
import pytest
import torch

from lossbook.experiments import reshaped
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import Run, recorded

TINY = reshaped.SCALES["tiny"]


@pytest.fixture(scope="module")
def run():
    return reshaped.run(TINY, progress=False)


def test_there_is_a_row_for_each_kind_of_labels_loss_seed_and_step(run):
    keys = ["labels", "setting", "seed", "step"]
    assert not run.history.duplicated(keys).any()
    assert run.history.groupby("labels").size().to_dict() == {"clean": 5 * 2 * 4, "noisy": 5 * 2 * 4}
    assert sorted(run.history.step.unique()) == [0, 8, 16, 24]


def test_all_losses_of_a_seed_start_alike_on_clean_and_noisy_labels(run):
    start = run.history.query("step == 0")
    assert start.groupby("seed")[["accuracy", "confidence", "wrong"]].nunique().eq(1).all(axis=None)


def test_gap_and_the_gap_under_test_labels_as_wrong_as_those_of_training_are_what_they_are_called(run):
    rows = run.history
    assert (rows.confidence - rows.accuracy).to_numpy() == pytest.approx(rows.gap.to_numpy(), abs=1e-6)
    clean, noisy = rows[rows.labels == "clean"], rows[rows.labels == "noisy"]
    assert clean.gap_alike.to_numpy() == pytest.approx(clean.gap.to_numpy(), abs=1e-6)
    alike = noisy.confidence - 0.8 * noisy.accuracy - 0.2 * (1 - noisy.accuracy) / 9
    assert noisy.gap_alike.to_numpy() == pytest.approx(alike.to_numpy())
    assert (rows.error >= rows.gap.abs() - 1e-6).all()  # bins hide nothing of the mean gap


def test_a_fifth_of_the_training_labels_is_wrong_and_none_of_the_test():
    config = reshaped.SCALES["small"]
    clean, noisy = (reshaped.data(config, labels, 0) for labels in reshaped.LABELS)
    assert clean.train_features.equal(noisy.train_features)
    assert clean.test_labels.equal(noisy.test_labels)
    assert float((clean.train_labels != noisy.train_labels).float().mean()) == pytest.approx(0.2, abs=0.002)


def test_the_size_of_wrong_scores_leaves_the_right_one_out():
    scores = torch.tensor([[100.0, 3.0, 4.0], [0.0, 100.0, 0.0]])
    found = reshaped._wrong(scores, torch.tensor([0, 1]))
    assert found == pytest.approx((25 / 4) ** 0.5)


def test_each_claim_is_positive_in_a_world_where_it_holds_and_not_in_the_opposite_one():
    def world(base, other):
        rows = [
            {"labels": labels, "setting": setting, "seed": seed, "step": 1} | (base if k == 0 else other)
            for labels in reshaped.LABELS
            for k, setting in enumerate(reshaped.LOSSES)
            for seed in range(2)
        ]
        return Run("reshaped", TINY, pd.DataFrame(rows))

    good = {"accuracy": 0.9, "gap": -0.01, "gap_alike": -0.02, "error": 0.02, "wrong": 1.0}
    bad = {"accuracy": 0.8, "gap": 0.1, "gap_alike": 0.2, "error": 0.1, "wrong": 5.0}
    claims = (*reshaped.HEADLINES, *reshaped.CLASSICS)
    assert verdicts((claim, world(bad, good)) for claim in claims).held.tolist() == [2] * len(claims)
    assert verdicts((claim, world(good, bad)) for claim in claims).held.tolist() == [0] * len(claims)


def test_a_noise_of_everything_is_refused():
    with pytest.raises(ValueError, match=r"^noise: got 1"):
        reshaped.run(dataclasses.replace(TINY, noise=1.0), progress=False)


def test_the_recorded_run_is_of_this_config_and_five_seeds():
    found = recorded("reshaped_small", reshaped.Config)
    assert found.config == reshaped.SCALES["small"]
    assert sorted(found.history.seed.unique()) == [0, 1, 2, 3, 4]
