"""The likelihood explorer: what it says is the likelihood, and its sweep is lowest where counting says."""

import math
import re

import pytest

from lossbook.widgets import LikelihoodExplorer


def numbers(words):
    return [float(found.replace("−", "-")) for found in re.findall(r"[−-]?\d+\.\d+", words)]


def test_the_mean_cost_of_a_coin_is_its_negative_log_likelihood():
    explorer = LikelihoodExplorer(3, 1)
    explorer.set(probability=0.9)
    wanted = -(3 * math.log(0.9) + math.log(0.1)) / 4
    assert f"their mean is {wanted:.3f} nats" in explorer.alt


@pytest.mark.parametrize(("ones", "zeros"), [(357, 212), (1, 3), (5, 5)])
def test_the_sweep_of_a_coin_is_lowest_at_the_share_of_ones(ones, zeros):
    lowest = numbers(LikelihoodExplorer(ones, zeros).alt)[-1]
    assert lowest == pytest.approx(ones / (ones + zeros), abs=0.0011)  # half a step of the sweep, and three digits


def test_gaussian_noise_is_lowest_at_the_mean_and_laplace_noise_at_the_median():
    explorer = LikelihoodExplorer(readings=(1.0, 2.0, 2.0, 3.0, 9.0))
    explorer.set(family="Gaussian")
    assert explorer.alt.endswith("at c = 3.40.")
    explorer.set(family="Laplace")
    assert explorer.alt.endswith("at c = 2.00.")


def test_at_the_reading_itself_gaussian_noise_costs_the_logarithm_of_its_height():
    explorer = LikelihoodExplorer(readings=(4.0,))
    explorer.set(family="Gaussian", location=4.0)
    assert f"cost {math.log(math.sqrt(2 * math.pi)):.2f} nats" in explorer.alt


def test_only_the_parameter_of_the_chosen_model_is_shown():
    explorer = LikelihoodExplorer()
    assert (explorer.control("probability").visible, explorer.control("location").visible) == (True, False)
    explorer.set(family="Laplace")
    assert (explorer.control("probability").visible, explorer.control("location").visible) == (False, True)


def test_every_control_changes_the_picture_and_all_goes_back_to_where_it_was():
    explorer = LikelihoodExplorer()
    before = explorer.alt
    assert len(set(explorer.move_every_control())) >= 6
    assert explorer.alt == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ones": 0, "zeros": 0}, "ones, zeros: got (0, 0), expected"),
        ({"ones": -1, "zeros": 2}, "ones, zeros: got (-1, 2), expected"),
        ({"readings": ()}, "readings: got (), expected"),
        ({"readings": (1.0, 12.0)}, "readings: got (1.0, 12.0), expected"),
    ],
)
def test_observations_that_cannot_be_are_refused(arguments, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        LikelihoodExplorer(**arguments)
