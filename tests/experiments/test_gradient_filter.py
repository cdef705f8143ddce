"""When skipping blocks of small gradients is harmless, and when it is not."""

import dataclasses

import pytest
import torch

from lossbook.experiments import gradient_filter
from lossbook.experiments.gradient_filter import FLAT, PEAKED, SCALES, SIGLIP, gradient_and_weight

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def found():
    return gradient_filter.run(TINY, progress=False).history.set_index("setting")


def test_a_gradient_whose_blocks_all_matter_loses_nothing(found):
    for setting in ("cross-entropy, deviation 1", "cross-entropy, deviation 3"):
        assert (found.loc[setting, ["skipped", "lost", "error"]] == 0).all()


def test_a_flat_softmax_and_stablemax_lose_most_of_their_mass(found):
    for setting in (FLAT, "StableMax, deviation 1", "StableMax, deviation 3"):
        assert found.loc[setting, "lost"] > 0.5
        assert found.loc[setting, "error"] > 0.1


def test_a_larger_shared_direction_makes_the_same_loss_a_larger_error():
    errors = [
        gradient_filter.run(dataclasses.replace(TINY, offset=offset, settings=(FLAT,)), progress=False).history["error"]
        for offset in (0.0, 1.0)
    ]
    assert float(errors[0].iloc[0]) < float(errors[1].iloc[0]) / 2


@pytest.mark.parametrize("setting", [*TINY.settings])
def test_the_gradients_are_those_of_the_losses(setting):
    gradient, weight = gradient_and_weight(TINY, 0, setting)
    rows, classes = gradient.shape
    assert weight.shape == (classes, TINY.dimension)
    at_target = (gradient < 0).sum(1)
    assert (at_target == 1).all()  # one class is pulled up, all others pushed down
    if setting == SIGLIP:
        assert (gradient.diagonal() < 0).all()
        assert gradient[~torch.eye(rows, dtype=torch.bool)].median() < 1e-3  # σ(−10 + 10 cos), cos of chance
    elif "cross-entropy" in setting:
        torch.testing.assert_close(gradient.sum(1), torch.zeros(rows), rtol=0, atol=1e-5)
    if setting == PEAKED:
        assert gradient.abs().max() < 0.05
    if setting == FLAT:
        torch.testing.assert_close(gradient[gradient > 0], torch.full((rows * (classes - 1),), 1 / classes))


@pytest.mark.parametrize("setting", ["hinge, deviation 1", "cross-entropy, deviation", "StableMax, deviation x", ""])
def test_an_unknown_setting_is_refused(setting):
    with pytest.raises(ValueError, match=f"^settings: got {setting!r}, expected one of"):
        gradient_filter.run(dataclasses.replace(TINY, settings=(setting,)), progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"rows": 0}, "rows: got 0"), ({"epsilon": 0.0}, "epsilon: got 0.0"), ({"offset": -1.0}, "offset: got -1.0")],
)
def test_a_bad_config_is_refused(change, message):
    with pytest.raises(ValueError, match="^" + message):
        gradient_filter.run(dataclasses.replace(TINY, **change), progress=False)
