"""Losses of the spherical family against cross-entropy over words."""

import dataclasses

import pytest

from lossbook.experiments import spherical
from lossbook.experiments.spherical import FREQUENCIES, SCALES, loss_of
from lossbook.losses import cross_entropy


@pytest.fixture(scope="module")
def errors():
    config = dataclasses.replace(SCALES["tiny"], ranks=(1, 5, 20, 100), steps=200)
    return spherical.run(config, progress=False).history.pivot(index="setting", columns="rank", values="error")


def test_the_more_are_looked_at_the_fewer_are_missed(errors):
    assert (errors.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)
    assert (errors[100] == 0).all()  # all hundred words


def test_cross_entropy_learns_to_use_the_word_before(errors):
    assert errors.loc["cross-entropy", 5] < errors.loc[FREQUENCIES, 5] - 0.1


def test_frequencies_alone_miss_what_the_most_frequent_words_do_not_cover(errors):
    assert 0 < errors.loc[FREQUENCIES, 20] < errors.loc[FREQUENCIES, 1] < 1


def test_a_run_is_the_same_for_the_same_seed_and_another_for_another():
    config = dataclasses.replace(SCALES["tiny"], losses=("Z-loss a=1 b=10",), seeds=2)
    first, again = (spherical.run(config, progress=False).history for _ in range(2))
    assert first.equals(again)
    by_seed = first.pivot_table(index=["setting", "rank"], columns="seed", values="error")
    assert (by_seed[0] != by_seed[1]).any()


def test_names_say_which_loss():
    assert loss_of("cross-entropy") is cross_entropy
    assert loss_of("Z-loss a=2 b=-1.5").keywords == {"sharpness": 2.0, "aim": -1.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses": ("Z-loss",)}, "losses: got 'Z-loss', expected one of 'cross-entropy'"),
        ({"ranks": (1, 101)}, "ranks: got .1, 101., expected numbers of words up to 100"),
        ({"ranks": (0,)}, "ranks: got 0"),
        ({"steps": 0}, "steps: got 0"),
    ],
)
def test_a_bad_config_is_refused(change, message):
    with pytest.raises(ValueError, match="^" + message):
        spherical.run(dataclasses.replace(SCALES["tiny"], **change), progress=False)
