"""Sounds: as often on as asked, heard with their neighbours, and scored by F1 and error rate; the recorded run."""

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import sound_events
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded
from lossbook.experiments.sound_events import SCALES, SHARED, Config, activities, error_rate, gain, heard

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return sound_events.run(TINY, progress=False)


@pytest.fixture(scope="module")
def small():
    return recorded("sound_events_small", Config)


def test_the_same_config_gives_the_same_bits(tiny):
    again = sound_events.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)
    for one, other in zip(tiny.snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_the_history_is_tidy(tiny):
    assert set(tiny.history.setting) == set(sound_events.LOSSES)
    assert not tiny.history.duplicated(["setting", "seed", "activity"]).any()
    assert tiny.history.notna().all().all()
    assert (tiny.history.best_f1 >= tiny.history.f1 - 1e-12).all()


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_sounds_are_on_for_as_long_and_as_often_as_asked(share, generator):
    on = activities(400, 100, 12, share, 8.0, generator)
    # Some 40 independent stretches a sound and 1,000 frames: the share is known to about 2 %.
    assert float(on.mean()) == pytest.approx(share, rel=0.08)
    assert float(on[:, 0].mean()) == pytest.approx(float(on[:, -1].mean()), rel=0.3)
    ends = (on[:, :-1] * (1 - on[:, 1:])).sum() / on[:, :-1].sum()
    assert float(1 / ends) == pytest.approx(8.0, rel=0.08)


def test_a_frame_is_heard_with_two_neighbours_on_either_side(generator):
    on = activities(2, 20, 3, 0.3, 4.0, generator)
    found = heard(on, torch.eye(3), 0.0, generator)
    assert found.shape == (2, 20, 15)
    middle = found[..., 6:9]
    assert torch.equal((middle > 0).float(), on)
    assert torch.equal(found[:, :-1, 9:12], middle[:, 1:])
    assert torch.equal(found[:, 2:, 0:3], middle[:, :-2])
    assert (found[:, 0, :6] == 0).all()


def test_the_error_rate_is_substitutions_deletions_and_insertions_frame_by_frame(generator):
    said, active = (torch.rand(2, 30, 6, generator=generator) < 0.3).float().unbind()
    wrong = 0
    for frame, truth in zip(said.tolist(), active.tolist(), strict=True):
        missed = sum(t and not f for f, t in zip(frame, truth, strict=True))
        false = sum(f and not t for f, t in zip(frame, truth, strict=True))
        swapped = min(missed, false)
        wrong += swapped + (missed - swapped) + (false - swapped)
    assert error_rate(said, active) == pytest.approx(wrong / float(active.sum()))


def test_the_recorded_run_is_of_the_small_scale_and_gives_the_verdicts_of_the_chapter(small):
    assert small.config == SCALES["small"]
    found = verdicts((headline, small) for headline in sound_events.HEADLINES)
    assert found.held.tolist() == [5, 1, 5, 5]


def test_at_one_rate_dice_is_far_ahead_and_at_its_own_cross_entropy_comes_near(small):
    shared, own = gain(small, SHARED), gain(small)
    assert (shared[[0.01, 0.02]] > 20).all().all()
    assert (own[0.02].abs() < 3).all()
    assert (own[0.2].abs() < 1).all()
