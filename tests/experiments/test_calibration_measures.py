"""Measures of calibration on known and on trained forecasters: what is measured, and what the recorded runs show."""

import numpy as np
import pytest
import torch

from lossbook.experiments import calibration_measures, proper_scores
from lossbook.experiments._seven_losses import NETWORKS
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded
from lossbook.metrics import expected_calibration_error, smooth_ece


@pytest.fixture(scope="module")
def tiny():
    return calibration_measures.run(calibration_measures.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def small():
    return recorded("calibration_measures_small", calibration_measures.Config)


def test_every_forecaster_is_there_once_for_each_part(tiny):
    rows, config = tiny.history, tiny.config
    known = rows[rows.part == "known"]
    assert list(zip(known.a, known.step, strict=True)) == [(0.5, 2000), (1.0, 2000), (2.0, 2000), (1.0, 100)]
    for part in ("networks", "tempered"):
        found = rows[rows.part == part]
        assert len(found) == len(NETWORKS) * len(config.noises) * 3
        assert found[found.half == -1].step.unique().tolist() == [config.test]
        assert found[found.half >= 0].step.unique().tolist() == [config.test // 2]
    assert (rows[rows.part == "networks"].temperature == 1).all()


def test_a_temperature_leaves_the_accuracy_and_changes_the_confidence(tiny):
    rows = tiny.history[tiny.history.half == -1].set_index(["setting", "noise"])
    before, after = (rows[rows.part == part] for part in ("networks", "tempered"))
    assert before.accuracy.tolist() == after.accuracy[before.index].tolist()
    assert (before.confidence != after.confidence[before.index]).all()


def test_the_snapshots_are_predictions_whose_measures_are_in_the_history():
    """All of the test part kept: then history and snapshot must agree."""
    config = calibration_measures.Config(
        exponents=(1.0,), size=100, sizes=(100,), seeds=1, train=100, tuning=100, test=400, epochs=3, kept=400
    )
    found = calibration_measures.run(config, progress=False)
    shot = found.snapshots[0]
    name, noise, part = shot.setting.split(", ")
    rows = found.history[(found.history.part == part) & (found.history.half == -1)]
    row = rows[(rows.setting == name) & (rows.noise == float(noise.removeprefix("noise=")))].iloc[0]
    given = (torch.as_tensor(shot.arrays[key]) for key in ("confidence", "correct"))
    confidence, correct = given
    assert float(confidence.double().mean()) == pytest.approx(row.confidence, rel=1e-6)
    assert expected_calibration_error(confidence, correct) == pytest.approx(row["ece 15"], rel=1e-9)
    assert smooth_ece(confidence, correct) == pytest.approx(row["smooth_ece"], rel=1e-6)


def test_pairs_turned_counts_pairs_in_opposite_orders(small):
    rows = small.history.query("part == 'tempered' and half == -1 and noise == 0 and seed == 3")
    one, other = rows["ece 5"].to_numpy(), rows["ece 100"].to_numpy()
    count = sum((one[i] - one[j]) * (other[i] - other[j]) < 0 for i in range(7) for j in range(i))
    assert calibration_measures.pairs_turned(small, "ece 5", "ece 100")[3] == count > 0


def test_agreement_is_one_where_the_halves_say_the_same(small):
    same = small.history.copy()
    chosen = (same.part == "tempered") & (same.half == 1)
    same.loc[chosen, "smooth_ece"] = same[(same.part == "tempered") & (same.half == 0)]["smooth_ece"].to_numpy()
    run = calibration_measures.Run(small.experiment, small.config, same)
    assert calibration_measures.order_agreement(run, "smooth_ece").tolist() == pytest.approx([1.0] * 5)


def test_the_headlines_hold_in_the_recorded_run_as_the_chapter_says(small):
    found = verdicts((headline, small) for headline in calibration_measures.HEADLINES)
    assert found.held.tolist() == [5, 5, 5, 5, 2]
    assert found.verdict.tolist() == ["holds"] * 4 + ["not here"]


def test_the_known_error_is_the_mean_of_f_to_the_a_less_f(small):
    f = (np.arange(100_000) + 0.5) / 100_000
    known = small.history[small.history.part == "known"].groupby("a")["true"].first()
    for a, error in known.items():
        assert error == pytest.approx(abs((f**a - f).mean()), abs=1e-6)


def test_proper_losses_find_known_probabilities_and_the_others_do_not():
    found = recorded("proper_scores_small", proper_scores.Config)
    assert found.config == proper_scores.SCALES["small"]
    for words, margin in proper_scores.CLAIMS.items():
        assert (margin(found) > 0).all(), words


def test_the_truth_is_a_distribution_and_labels_follow_it():
    points, chance = proper_scores._drawn(50_000, torch.Generator().manual_seed(0))
    truth = proper_scores.truth(points)
    assert torch.allclose(truth.sum(-1), torch.ones(50_000))
    assert (points.abs() <= 2).all()
    labels = (chance[:, None] > truth.cumsum(-1)[:, :-1]).sum(-1)
    shares = torch.bincount(labels, minlength=3) / 50_000
    # a share of 50,000 has a standard deviation of at most 0.0022
    assert shares.tolist() == pytest.approx(truth.mean(0).tolist(), abs=0.01)


def test_more_examples_are_more_of_the_same_ones():
    """The first of many examples are the few: sizes are compared on nested data."""
    few, many = (proper_scores._drawn(count, torch.Generator().manual_seed(1))[0] for count in (10, 1000))
    assert torch.equal(few, many[:10])
