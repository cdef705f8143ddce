"""Transfer: the rates are those of a loop, ρ = 0 is SGD, and the headlines are those of the recorded run."""

import dataclasses

import pandas as pd
import pytest

from lossbook.experiments import transfer
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded
from lossbook.experiments.transfer import HEADLINES, SCALES, TARGETS, Config

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return transfer.run(TINY, progress=False)


@pytest.fixture(scope="module")
def small():
    return recorded("transfer_small", Config)


def test_the_same_config_gives_the_same_bits(tiny):
    again = transfer.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)


def test_the_history_is_tidy(tiny):
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()
    assert sorted(tiny.history.epoch.unique()) == [0, 5, 10]
    each = tiny.history[[f"to_{name}" for name in TARGETS]]
    assert tiny.history.transfer.to_numpy() == pytest.approx(each.mean(axis=1).to_numpy())
    start = tiny.history[tiny.history.epoch == 0]
    assert (start.groupby("seed")[["transfer", "sharpness", "test_accuracy"]].nunique() == 1).all().all()


def test_without_a_radius_nothing_is_transferred():
    config = dataclasses.replace(TINY, rhos=(0.0,), radius=1e-9, epochs=2, target_epochs=2, at=())
    history = transfer.run(config, progress=False).history
    assert (history[["white_box", "transfer"]] == 0).all().all()


def test_sam_is_flatter_already_here(tiny):
    end = tiny.history[tiny.history.epoch == 10].pivot(index="seed", columns="rho", values="sharpness")
    assert (end[0.1] < end[0.0]).all()


def test_the_recorded_run_is_the_small_one_and_its_headlines_are_those_of_the_chapter(small):
    assert small.config == SCALES["small"]
    table = verdicts([(headline, small) for headline in HEADLINES])
    assert table.seeds.tolist() == [5] * 6
    assert table.held.tolist() == [3, 5, 0, 1, 5, 1]
    assert all(bool(row.remark) for row in table.itertuples() if row.held < 5)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match=r"^rhos: got -1.0, expected a finite number >= 0$"):
        transfer.run(dataclasses.replace(TINY, rhos=(-1.0,)), progress=False)
    with pytest.raises(ValueError, match=r"^epochs: got 0, expected an integer >= 1$"):
        transfer.run(dataclasses.replace(TINY, epochs=0), progress=False)
