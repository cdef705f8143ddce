"""A language model by several engines, and its gradient as the filter sees it."""

import dataclasses
import math
import re

import pytest
import torch

from lossbook.experiments import language_model
from lossbook.experiments.language_model import SCALES, Config, NextWord, log_frequencies, orders, text, ways

ALL_WAYS = ("held", "chunked", "tile", "filtered")


@pytest.fixture(scope="module")
def run():
    return language_model.run(dataclasses.replace(SCALES["tiny"], ways=ALL_WAYS), progress=False)


@pytest.fixture(scope="module")
def training(run):
    return run.history[run.history["part"] == "training"]


@pytest.fixture(scope="module")
def looks(run):
    return run.history[run.history["part"] == "filter"]


def test_every_exact_way_has_the_same_losses_to_rounding(training):
    losses = training.pivot(index="step", columns="setting", values="batch_loss").dropna()
    assert len(losses) == SCALES["tiny"].steps
    for way in ("chunked", "tile"):
        assert (losses[way] - losses["held"]).abs().max() < 1e-5  # nats, of about 6; float32 after 20 steps


def test_the_filtered_way_is_another_one(training):
    losses = training.pivot(index="step", columns="setting", values="batch_loss").dropna()
    assert 1e-5 < (losses["filtered"] - losses["held"]).abs().max() < 1.0


def test_training_begins_at_what_frequencies_alone_give_and_goes_below(training):
    for _, rows in training.dropna(subset=["loss"]).groupby("setting"):
        assert rows["loss"].iloc[0] == pytest.approx(rows["unigram"].iloc[0], rel=1e-6)
        assert rows["loss"].iloc[-1] < rows["loss"].iloc[0] - 0.03


def test_the_model_begins_at_the_log_frequencies_whatever_the_words_before():
    data = text(SCALES["tiny"], 0)
    model = NextWord(log_frequencies(data), 2, 8, torch.Generator().manual_seed(0))
    features = model(data.train_features[:5])
    logits = torch.addmm(model.bias, features, model.weight.T)
    torch.testing.assert_close(torch.log_softmax(logits, 1), log_frequencies(data).expand(5, -1))
    assert features.std() > 0.1  # the words are told apart all the same


def test_the_budget_makes_several_chunks_of_a_batch():
    config = Config()
    logits = ways(config)["chunked"](torch.zeros(config.batch_size, 3), torch.zeros(16_196, 3), torch.zeros(16_196))
    assert logits.memory_budget < config.batch_size * 16_196 * 4 / 1.5


def test_shares_are_shares_and_what_is_lost_lies_in_what_is_skipped(looks):
    for quantity in ("skipped", "lost", "above"):
        assert looks[quantity].between(0, 1).all()
    assert (looks.loc[looks["skipped"] == 0, ["lost", "error"]].fillna(0) == 0).all(axis=None)
    assert set(looks["setting"]) == {"dictionary", "frequency", "mean logit"}


def test_each_order_has_every_class_once():
    data = text(SCALES["tiny"], 0)
    for order in orders(data, torch.randn(4, data.classes)).values():
        assert order.sort().values.tolist() == list(range(data.classes))
    counts = data.train_labels.bincount(minlength=data.classes)
    assert (counts[orders(data, torch.randn(4, data.classes))["frequency"]].diff() <= 0).all()


def test_snapshots_hold_a_sorted_softmax(run):
    assert [snapshot.step for snapshot in run.snapshots] == [0, 10, 20]
    for snapshot in run.snapshots:
        values = snapshot.arrays["sorted"]
        assert (values[:-1] >= values[1:] * (1 - 1e-5)).all()  # means of float32, each sorted
        assert values.sum() == pytest.approx(1, rel=1e-5)


def test_the_history_is_tidy_and_the_same_for_the_same_config(run):
    assert not run.history.duplicated(["part", "setting", "seed", "step"]).any()
    again = language_model.run(dataclasses.replace(SCALES["tiny"], ways=("held",)), progress=False).history
    mine = run.history[(run.history["setting"] == "held")].reset_index(drop=True)
    assert mine["batch_loss"].dropna().tolist() == again[again["setting"] == "held"]["batch_loss"].dropna().tolist()


def test_the_novels_can_be_asked_for():
    data = text(Config(context=2), 0)
    assert data.classes == 16_196
    assert float(-log_frequencies(data)[data.test_labels].mean()) == pytest.approx(math.log(516), rel=0.002)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": "bronte"}, ValueError, "data: got 'bronte', expected one of 'austen', 'generated'"),
        ({"ways": ("eager",)}, ValueError, "ways: got 'eager', expected one of 'held', 'chunked', 'tile', 'filtered'"),
        ({"steps": 0}, ValueError, "steps: got 0"),
        ({"batch_size": 1.5}, TypeError, "batch_size: got 1.5"),
        ({"looked_at": 0}, ValueError, "looked_at: got 0"),
    ],
)
def test_a_bad_config_is_refused(change, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        language_model.run(dataclasses.replace(SCALES["tiny"], **change), progress=False)
