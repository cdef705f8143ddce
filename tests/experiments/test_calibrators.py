"""Calibrators: none changes an answer, their numbers agree with each other, and images are changed as they say."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from lossbook import datasets
from lossbook.experiments import calibrators
from lossbook.experiments.calibrators import CALIBRATORS, HEADLINES, SCALES, transforms
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return calibrators.run(TINY, progress=False)


def test_the_same_config_gives_the_same_bits():
    config = replace(TINY, epochs=2, calibrator_epochs=1)
    one, two = (calibrators.run(config, progress=False).history for _ in range(2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_the_history_is_tidy_and_no_calibrator_changes_an_answer(tiny):
    assert set(tiny.history.setting) == set(CALIBRATORS)
    assert not tiny.history.duplicated(["setting", "part", "seed"]).any()
    assert tiny.history.notna().all().all()
    assert (tiny.history.groupby("part").accuracy.nunique() == 1).all()


def test_numbers_agree_with_each_other(tiny):
    for row in tiny.history.itertuples():
        mean = row.accuracy * row.confidence_right + (1 - row.accuracy) * row.confidence_wrong
        assert mean == pytest.approx(row.confidence, abs=1e-5)
        assert row.ece >= abs(row.confidence - row.accuracy) - 1e-5
    none = tiny.history[tiny.history.setting == "none"]
    assert (none.temperature == 1).all()


def test_shares_of_answers_add_up_and_lie_above_a_tenth(tiny):
    assert [shot.setting for shot in tiny.snapshots] == list(CALIBRATORS)
    for shot in tiny.snapshots:
        for name in ("right", "wrong"):
            assert shot.arrays[name].sum() == pytest.approx(1)
            assert shot.arrays[name][:2].sum() == 0  # of ten classes the largest has a tenth


def test_changes_of_an_image_keep_its_shape_and_a_level_one_is_blurred_to_itself():
    generator = torch.Generator().manual_seed(0)
    turned, blurred, noisy = transforms(generator)
    level = torch.full((3, 784), 0.4)
    torch.testing.assert_close(blurred(level), level)
    assert float((noisy(level) - level).std()) == pytest.approx(0.2, rel=0.05)
    image = torch.zeros(1, 28, 28)
    image[0, 13, 20] = 1.0
    wide = blurred(image.reshape(1, 784)).reshape(28, 28)
    torch.testing.assert_close(wide[12:15, 19:22], torch.full((3, 3), 1 / 9))
    torch.testing.assert_close(turned(image.reshape(1, 784)), datasets.rotated(image.reshape(1, 784), 15.0))


def test_the_recorded_run_is_of_the_small_scale_and_says_what_the_chapter_says():
    run = recorded("calibrators_small", calibrators.Config)
    assert run.config == SCALES["small"]
    assert verdicts([(headline, run) for headline in HEADLINES]).held.tolist() == [5, 0, 0, 5, 3]
