"""The honest bench: equal terms for every loss, rates chosen on data held out, intervals over seeds."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook import datasets, losses
from lossbook.comparison import Compared, Protocol, budget, compare, differences, table
from lossbook.experiments.comparison import chosen_rates
from lossbook.experiments.headlines import interval
from lossbook.experiments.run import load, save, stream
from lossbook.models import multilayer
from lossbook.training import fit

QUICK = Protocol(learning_rates=(1e-3, 1e-2), seeds=2, tuning_seeds=1, epochs=2, hidden=(8,))
LOSSES = {"cross-entropy": losses.cross_entropy, "focal": partial(losses.focal_loss, gamma=2.0)}


def digits(seed):
    return datasets.digits(seed=seed)


@pytest.fixture(scope="module")
def run():
    return compare(LOSSES, digits, QUICK, progress=False)


def test_each_loss_trains_as_if_alone(run):
    """The end of one seed against `fit` by hand; side by side a product rounds otherwise than alone."""
    data = digits(1)
    model = multilayer((64, 8, 10), generator=stream(1, 5))
    rate = run.config.rates[1]
    fit(
        model,
        LOSSES["focal"],
        data.train_features,
        data.train_labels,
        epochs=2,
        batch_size=128,
        learning_rate=rate,
        generator=stream(1, 6),
    )
    rows = run.history[(run.history.stage == "test") & (run.history.setting == "focal") & (run.history.seed == 1)]
    with torch.no_grad():
        wanted = float(losses.cross_entropy(model(data.test_features), data.test_labels))
    assert rows.log_loss.iloc[-1] == pytest.approx(wanted, rel=1e-4)


def test_within_a_seed_all_losses_begin_at_the_same_weights(run):
    first = run.history[(run.history.step == 0) & (run.history.stage == "test")]
    assert (first.groupby("seed").log_loss.nunique() == 1).all()
    assert first.log_loss.nunique() == 2


def test_the_rate_is_chosen_by_other_seeds_and_without_the_test_part(run):
    tuning = run.history[run.history.stage == "tuning"]
    assert set(tuning.seed) == {1000}
    assert set(run.history[run.history.stage == "test"].seed) == {0, 1}
    shuffled = {seed: digits(seed) for seed in (0, 1, 1000)}
    for data in shuffled.values():
        data.test_labels.copy_(data.test_labels.flip(0))
    other = compare(LOSSES, shuffled.get, QUICK, progress=False)
    pd.testing.assert_frame_equal(tuning, other.history[other.history.stage == "tuning"])
    assert other.config.rates == run.config.rates
    last = tuning[tuning.step == tuning.step.max()]
    for name, rate in zip(run.config.losses, run.config.rates, strict=True):
        assert rate == last[last.setting == name].set_index("learning_rate").accuracy.idxmax()


def test_of_equal_rates_the_smaller_is_taken_and_one_that_ends_in_nan_is_out():
    rows = pd.DataFrame(
        {"setting": "a", "seed": 1000, "step": 5, "stage": "tuning", "learning_rate": [0.1, 0.2, 0.3, 0.4]}
    ).assign(accuracy=[0.5, 0.7, 0.7, np.nan], log_loss=[3.0, 2.0, 1.0, np.nan])
    assert chosen_rates(rows) == {"a": 0.2}
    assert chosen_rates(rows, "log_loss") == {"a": 0.3}
    with pytest.raises(ValueError, match=r"learning_rates: got .*, expected one at which a does not end in NaN"):
        chosen_rates(rows.assign(accuracy=np.nan))


def test_tables_are_means_and_intervals_over_seeds_and_differences_are_paired(run):
    ends = run.history[(run.history.stage == "test") & (run.history.step == run.history.step.max())]
    found = table(run, ["accuracy"]).set_index("setting")
    own = ends.groupby("setting").accuracy
    for name in LOSSES:
        assert found.loc[name, ["mean", "low", "high"]].tolist() == pytest.approx(interval(own.get_group(name)))
        assert found.loc[name, "learning_rate"] == run.config.rates[run.config.losses.index(name)]
    assert found.edge.all()  # of two rates each is an edge
    apart = differences(run, "cross-entropy")
    assert list(dict.fromkeys(apart.setting)) == ["focal"]
    by_seed = ends.pivot(index="seed", columns="setting", values="log_loss")
    wanted = interval(by_seed["focal"] - by_seed["cross-entropy"])
    assert apart.set_index("metric").loc["log_loss", ["mean", "low", "high"]].tolist() == pytest.approx(wanted)


def test_a_comparison_is_kept_taken_up_again_and_loaded(run, tmp_path):
    first = compare(LOSSES, digits, QUICK, progress=False, folder=tmp_path / "kept")
    again = compare(LOSSES, lambda seed: pytest.fail("trained again"), QUICK, progress=False, folder=tmp_path / "kept")
    pd.testing.assert_frame_equal(first.history, again.history)
    pd.testing.assert_frame_equal(first.history, run.history)
    save(run, tmp_path / "saved")
    assert load(tmp_path / "saved", Compared).config == run.config


def test_one_rate_needs_no_tuning_and_the_budget_says_what_was_given(run):
    plain = compare(LOSSES, digits, replace(QUICK, learning_rates=(1e-2,), seeds=1), progress=False)
    assert set(plain.history.stage) == {"test"}
    assert budget(run) == (
        "2 losses, 2 seeds; 2 epochs of batches of 128 (24 steps of adam), 8 hidden units; learning rate chosen from "
        "0.001, 0.01 by accuracy on 20% of the training data, 1 other seed."
    )


def test_a_metric_and_a_network_of_ones_own(run):
    found = compare(
        {"cross-entropy": losses.cross_entropy},
        digits,
        replace(QUICK, learning_rates=(1e-2,), seeds=1),
        metrics={
            "top_two": lambda scores, target: float((scores.topk(2).indices == target[:, None]).any(-1).float().mean())
        },
        network=lambda inputs, classes, generator: multilayer((inputs, classes), generator=generator),
        progress=False,
    )
    last = found.history.iloc[-1]
    assert last.top_two >= last.accuracy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses": {}}, "losses: got .*, expected a mapping from names to losses"),
        ({"losses": {"a": 3}}, r"losses\['a'\]: got 3"),
        (
            {"losses": {"a": partial(losses.cross_entropy, reduction="none")}},
            r"losses\['a'\]: got .*, expected a function to",
        ),
        ({"data": 3}, "data: got 3 .*, expected a function from a seed to a data set"),
        ({"metrics": {"m": None}}, r"metrics\['m'\]: got None"),
        ({"metrics": {"m": lambda scores, target: scores}}, r"metrics\['m'\]: expected a number"),
        ({"protocol": 1}, "protocol: got 1 .*, expected a Protocol"),
        ({"protocol": replace(QUICK, learning_rates=())}, "learning_rates: got"),
        ({"protocol": replace(QUICK, learning_rates=(-1.0,))}, "learning_rates: got -1.0"),
        ({"protocol": replace(QUICK, tune_by="f1")}, "tune_by: got 'f1'"),
        ({"protocol": replace(QUICK, validation=1.0)}, "validation: got 1.0"),
        ({"protocol": replace(QUICK, epochs=0)}, "epochs: got 0"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(change, message):
    given = {"losses": LOSSES, "data": digits, "protocol": QUICK} | change
    with pytest.raises((ValueError, TypeError), match=message):
        compare(**given, progress=False)


def test_a_table_of_an_unknown_metric_or_against_an_unknown_loss_is_refused(run):
    with pytest.raises(ValueError, match="metrics: got 'f1'"):
        table(run, ["f1"])
    with pytest.raises(ValueError, match="baseline: got 'hinge'"):
        differences(run, "hinge")
