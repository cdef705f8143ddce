"""Free features: training ends at the closed forms, and the parts of the experiment are what they are said to be."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import unconstrained_features as experiment
from lossbook.experiments.run import load, save
from lossbook.experiments.unconstrained_features import SCALES, Config, outer_minima
from lossbook.metrics import squared_error_geometry, vanishing_weight_decay

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return experiment.run(TINY, progress=False)


def last(run, part):
    rows = run.history[run.history.part == part]
    return rows[rows.step == rows.step.max()]


def test_the_same_config_gives_the_same_bits_and_a_seed_does_not_depend_on_the_others(tiny):
    config = dataclasses.replace(TINY, parts=("frames",), layers=(1,), first_seed=1, seeds=1)
    again = experiment.run(config, progress=False).history
    rows = tiny.history.query("part == 'frames' and layers == 1 and seed == 1")
    columns = [name for name in again if again[name].notna().any()]
    pd.testing.assert_frame_equal(rows[columns].reset_index(drop=True), again[columns], rtol=1e-6, atol=1e-9)
    once_more = experiment.run(config, progress=False).history
    pd.testing.assert_frame_equal(again, once_more, check_exact=True)


def test_the_history_is_tidy(tiny):
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()
    assert set(tiny.history.part) == set(experiment.PARTS)
    assert sorted(tiny.history.seed.unique()) == [0, 1]
    frames = tiny.history[tiny.history.part == "frames"]
    assert sorted(frames.step.unique()) == list(range(0, 401, 100))
    assert len(frames.setting.unique()) == 2 * 5
    assert len(last(tiny, "decay")) == (1 + 2) * 3 * 2
    assert len(last(tiny, "minority")) == 2 * 2 * 2


def test_all_settings_of_a_seed_begin_with_the_same_features_and_weights(tiny):
    start = tiny.history.query("step == 0 and part == 'frames' and layers == 1")
    for _, rows in start.groupby("seed"):
        assert rows["length 1"].nunique() == 1
    assert start["length 1"].nunique() == 2


# The issue asks for 1e-4 and 1e-3; at these decays 400 steps leave about 1e-7.
def test_training_ends_at_the_closed_forms_of_the_squared_error(tiny):
    rows = last(tiny, "frames")
    rows = rows[rows.setting.str.startswith("squared")]
    assert len(rows) == 4 * 2 * 2
    assert float(rows[["weight_error", "means_error", "outputs_error"]].to_numpy().max()) < 1e-4
    assert float(rows[["NC1", "NC2", "NC3"]].to_numpy().max()) < 1e-3
    assert (rows.excess > -1e-9).all()


def test_cross_entropy_with_one_layer_ends_at_the_simplex(tiny):
    rows = last(tiny, "frames").query("layers == 1")
    rows = rows[rows.setting.str.startswith("cross")]
    assert float(rows["simplex_error"].max()) < 1e-4
    assert float(rows["pairs_error"].min()) > 1
    assert rows["weight_error"].to_numpy() == pytest.approx(0, abs=1e-4)
    assert last(tiny, "frames")["simplex_error"].notna().sum() == 4


def test_numbers_of_a_history_are_those_of_its_snapshot(tiny):
    for snapshot in tiny.snapshots:
        rows = last(tiny, "frames").query("seed == 0").set_index("setting").loc[snapshot.setting]
        assert np.diag(snapshot.arrays["weight"]) == pytest.approx([rows[f"length {k}"] for k in (1, 2, 3, 4)])
    squared = {s.setting: s.arrays for s in tiny.snapshots}["squared error, unequal classes, M=1"]
    closed = squared_error_geometry(TINY.sizes, weight_decay=1e-2, feature_decay=1e-2)
    for name in ("weight", "means", "outputs"):
        assert np.abs(squared[name] - getattr(closed, name).numpy()).max() < 1e-4


def test_within_a_class_features_become_equal(tiny):
    frames = tiny.history[tiny.history.part == "frames"]
    begun = frames[frames.step == 0].set_index(["setting", "seed"])["NC1"]
    ended = frames[frames.step == 400].set_index(["setting", "seed"])["NC1"]
    assert (ended < 1e-6 * begun).all()


def test_with_a_rising_decay_one_layer_follows_the_closed_form_and_two_end_at_a_minimum(tiny):
    rows = last(tiny, "decay")
    assert set(rows.query("layers == 1").spread) == {0.3}
    assert set(rows.query("layers == 2").spread) == {0.3, 0.5}
    found, wanted, outer = (
        rows[[f"{name} {k}" for k in (1, 2, 3)]].to_numpy() for name in ("length", "wanted", "outer")
    )
    one = (rows.layers == 1).to_numpy()
    assert np.abs(found - wanted)[one].max() < 1e-4
    assert np.minimum(np.abs(found), np.abs(found - outer)).max() < 1e-3
    ends = vanishing_weight_decay(TINY.decay_sizes, layers=2, feature_decay=TINY.decay_feature_decay)
    decays = sorted(rows.query("layers == 2").weight_decay.unique())
    assert decays == pytest.approx([float(ends.min()) * multiple for multiple in TINY.multiples])


def test_small_classes_merge_under_cross_entropy_and_vanish_under_the_squared_error_below_the_same_limit(tiny):
    rows = last(tiny, "minority").set_index(["size"])
    entropy, squared = (rows[rows.setting.str.startswith(name)] for name in ("cross", "squared"))
    assert entropy.loc[[2], "cosine"].to_numpy() == pytest.approx(1, abs=1e-3)
    assert entropy.loc[[6], "cosine"].to_numpy() == pytest.approx(-1 / 3, abs=1e-3)
    assert float(squared.loc[[2], "length 4"].max()) < 1e-4
    assert float(squared.loc[[6], "length 4"].min()) > 0.5
    assert squared.loc[[2], "cosine"].isna().all()


def test_the_drawn_closed_forms_are_those_of_the_metric():
    found = outer_minima(Config(), 2, points=50)
    assert len(found) == 150
    row = found.iloc[30]
    closed = squared_error_geometry((12, 6, 3), layers=2, weight_decay=row.weight_decay, feature_decay=5e-3)
    assert row.length == pytest.approx(float(closed.weight.diagonal()[int(row["class"]) - 1]))
    gone = found[found.length == 0]
    assert (gone.weight_decay > 0.999 * gone.vanishes).all()
    assert (gone.outer > 0).any()
    assert gone.outer.isna().any()


def test_a_run_can_be_kept_read_and_taken_up_again(tmp_path):
    config = dataclasses.replace(TINY, parts=("minority",), sweep_steps=20, seeds=1)
    first = experiment.run(config, progress=False, folder=tmp_path / "units")
    again = experiment.run(config, progress=False, folder=tmp_path / "units")
    pd.testing.assert_frame_equal(first.history, again.history)
    save(first, tmp_path / "saved")
    assert load(tmp_path / "saved", Config).config == config


def test_parts_and_sizes_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"^parts: got \('frame',\), expected some of frames, decay, minority$"):
        experiment.run(Config(parts=("frame",)), progress=False)
    with pytest.raises(ValueError, match=r"^parts: got \(\)"):
        experiment.run(Config(parts=()), progress=False)
    with pytest.raises(ValueError, match=r"^sizes: got \(4, 3\), expected a sum that 2 equal classes can share$"):
        experiment.run(Config(sizes=(4, 3)), progress=False)


def test_an_odd_number_of_classes_has_no_pairs():
    config = dataclasses.replace(TINY, parts=("frames",), layers=(1,), sizes=(3, 2, 1), steps=5, seeds=1)
    history = experiment.run(config, progress=False).history
    assert "pairs_error" not in history
    assert history["simplex_error"].notna().any()


def test_torch_keeps_its_threads_and_default_type():
    threads, kind = torch.get_num_threads(), torch.get_default_dtype()
    experiment.run(dataclasses.replace(TINY, parts=("minority",), sweep_steps=1, seeds=1), progress=False)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, kind)
