"""Losses made of a metric: the data are as rare as they say, the numbers are the metrics', and the recorded run."""

import dataclasses

import pandas as pd
import pytest
import torch

from lossbook.experiments import metric_losses
from lossbook.experiments._rare import DATA, METRICS, rare, scored, thinned, vowels
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.metric_losses import SCALES, Config, of_imbalance, own_metric
from lossbook.experiments.run import recorded

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return metric_losses.run(TINY, progress=False)


@pytest.fixture(scope="module")
def small():
    return recorded("metric_losses_small", Config)


def test_the_same_config_gives_the_same_bits(tiny):
    again = metric_losses.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)


def test_the_history_is_tidy(tiny):
    assert not tiny.history.duplicated(["part", "data", "imbalance", "setting", "seed"]).any()
    assert tiny.history.notna().all().all()
    assert set(tiny.history[tiny.history.part == "metrics"].setting) == set(metric_losses.METRIC_LOSSES)


@pytest.mark.parametrize(("name", "share"), [("synthetic", 0.054), ("letter A", 0.0395), ("tumours", 0.1)])
def test_the_data_are_as_rare_as_they_say(name, share):
    train, right, test, test_right = rare(name, 1)
    assert len(train) == len(right)
    assert len(test) == len(test_right)
    for labels in (right, test_right):
        assert abs(float(labels.mean()) - share) < 0.01
    assert name in DATA


def test_thinning_keeps_all_of_the_one_and_as_many_of_the_other_as_asked():
    features, right = torch.arange(40.0)[:, None], (torch.arange(40) < 10).float()
    for negatives, positives in ((1.0, 10), (3.0, 10), (10.0, 3)):
        kept, labels = thinned(features, right, negatives)
        assert int(labels.sum()) == positives
        assert len(labels) == positives * (1 + negatives)
        assert bool(((kept[:, 0] < 10) == (labels == 1)).all())


def test_vowels_are_vowels():
    _, labels, _, test_labels = vowels(10.0, 3)
    for part in (labels, test_labels):
        assert float((1 - part).sum() / part.sum()) == pytest.approx(10, rel=0.01)


def test_what_is_scored_is_the_metrics_at_one_half():
    scores, right = torch.tensor([2.0, -1.0, 3.0, -4.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    found = scored(scores, right)
    assert [found[name] for name in METRICS] == [0.5, 0.5, 0.5, 0.5]
    assert found["below"] == 0.5
    assert found["median"] == pytest.approx(float(torch.sigmoid(scores[:2]).mean()))


def test_the_recorded_run_is_of_the_small_scale_and_gives_the_verdicts_of_the_chapter(small):
    assert small.config == SCALES["small"]
    found = verdicts((headline, small) for headline in metric_losses.HEADLINES)
    assert found.held.tolist() == [5, 3, 4, 3, 3, 5, 0, 5, 0]


def test_a_recorded_seed_comes_out_again(small):
    config = dataclasses.replace(
        SCALES["small"], data=("tumours",), imbalances=(), network_imbalances=(), seeds=1, first_seed=2
    )
    now = metric_losses.run(config, progress=False).history
    then = small.history[(small.history.data == "tumours") & (small.history.seed == 2)]
    assert now.F1.tolist() == pytest.approx(then.F1.tolist(), abs=0.06)  # one of some twenty positives may tip over


def test_on_larger_data_f1_is_won_by_its_own_loss(small):
    rows = dataclasses.replace(small, history=small.history[small.history.data != "tumours"])
    assert (own_metric(rows, "F1") > -1).all()
    f1 = rows.history[rows.history.part == "metrics"].pivot_table(index="seed", columns="setting", values="F1")
    assert (f1["AnyLoss F1"] > f1["cross-entropy"] + 0.02).all()


def test_dsc_turns_round_and_dice_does_not(small):
    median = of_imbalance(small, "linear", 1.0, "median")
    assert (median["DSC"] < 0.5).all()
    assert (median["Dice of the batch"] > 0.9).all()


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match=r"^data: got 'mnist', expected one of 'synthetic', 'letter A', 'tumours'"):
        metric_losses.run(dataclasses.replace(TINY, data=("mnist",)), progress=False)
