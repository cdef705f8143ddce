"""Label noise: what is compared differs in nothing but the loss, and the family does under noise what is claimed."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lossbook.experiments import label_noise
from lossbook.experiments.label_noise import SCALES, Config

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return label_noise.run(TINY, progress=False)


def last(history: pd.DataFrame) -> pd.DataFrame:
    return history[history.step == history.step.max()]


def test_the_same_config_gives_the_same_bits(tiny):
    again = label_noise.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)
    for one, other in zip(tiny.snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_the_history_is_tidy(tiny):
    settings = {f"tau={tau:g} noise={noise:g}" for tau in TINY.taus for noise in TINY.noises}
    assert set(tiny.history.setting) == settings
    steps = TINY.epochs * 12  # 1438 images in batches of 128
    assert sorted(tiny.history.step.unique()) == [0, steps // 2, steps]
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()


def test_at_the_start_all_exponents_have_the_same_network(tiny):
    start = tiny.history[tiny.history.step == 0]
    assert start.test_accuracy.nunique() == 1
    assert (start.groupby("noise").clean_accuracy.nunique() == 1).all()


def test_without_noise_nothing_is_said_of_wrong_labels(tiny):
    clean = tiny.history[tiny.history.noise == 0]
    assert clean[["wrong_loss", "wrong_accuracy"]].isna().all().all()
    assert tiny.history[tiny.history.noise > 0].notna().all().all()


def test_an_exponent_trains_as_it_would_without_the_others(tiny):
    alone = label_noise.run(dataclasses.replace(TINY, taus=(1.8,)), progress=False).history
    together = tiny.history[tiny.history.tau == 1.8].reset_index(drop=True)
    # Batched products may sum in another order: rounding grows over 72 steps and may turn an image or two.
    pd.testing.assert_frame_equal(alone, together, rtol=1e-2, atol=2 / 360)


def test_snapshots_agree_with_the_history(tiny):
    assert {s.setting for s in tiny.snapshots} == {f"tau={tau:g} noise=0.4" for tau in TINY.taus}
    for snapshot in tiny.snapshots:
        row = tiny.history[(tiny.history.setting == snapshot.setting) & (tiny.history.step == snapshot.step)].iloc[0]
        wrong, log_p = snapshot.arrays["wrong"], np.log(snapshot.arrays["probability"].astype(np.float64))
        assert wrong.sum() == round(0.4 * len(wrong))
        if row.tau == 1:
            assert -log_p[~wrong].mean() == pytest.approx(row.clean_loss, rel=1e-4)
            assert -log_p[wrong].mean() == pytest.approx(row.wrong_loss, rel=1e-4)


def test_seeds_differ():
    config = dataclasses.replace(TINY, taus=(1.0,), noises=(0.4,), seeds=2, epochs=1)
    history = label_noise.run(config, progress=False).history
    assert (history.groupby("step").clean_loss.nunique() == 2).all()


def test_a_run_is_taken_up_from_its_folder(tmp_path):
    config = dataclasses.replace(TINY, taus=(1.0,), noises=(0.4,), seeds=2, epochs=1)
    first = label_noise.run(config, progress=False, folder=str(tmp_path))
    pd.testing.assert_frame_equal(first.history, label_noise.run(config, progress=False, folder=str(tmp_path)).history)


def test_under_noise_an_exponent_near_two_beats_cross_entropy_and_sum_exponential_and_on_clean_data_two_is_slower():
    # Over seeds 0 to 4 the gains were at least 0.017, 0.070 and 0.072, each seed by itself; here the mean of 0 and 1.
    config = Config(taus=(0.0, 1.0, 1.8, 2.0), noises=(0.0, 0.4), seeds=2)
    history = label_noise.run(config, progress=False).history
    end = last(history).pivot_table(index="noise", columns="tau", values="test_accuracy")
    assert end.loc[0.4, 1.8] > end.loc[0.4, 1.0] + 0.01
    assert end.loc[0.4, 1.8] > end.loc[0.4, 0.0] + 0.03
    early = history[(history.noise == 0) & (history.step == 36)].groupby("tau").test_accuracy.mean()
    assert early[2.0] < early[1.0] - 0.03


def test_unknown_data_are_refused():
    with pytest.raises(ValueError, match="data: got 'mnist', expected one of 'digits', 'fashion_mnist'"):
        label_noise.run(Config(data="mnist"), progress=False)
