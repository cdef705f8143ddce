"""Timing softmax: what is timed is right, and what is made of the times is what it says."""

import pandas as pd
import pytest
import torch

from lossbook.experiments import softmax_speed
from lossbook.experiments.run import Run
from lossbook.experiments.softmax_speed import CHUNK, SCALES, Config, ratios, summary


@pytest.fixture(scope="module")
def run():
    return softmax_speed.run(SCALES["tiny"], progress=False)


def test_every_algorithm_is_timed_at_every_length_in_every_round(run):
    assert not run.history.duplicated(["setting", "step", "round"]).any()
    counts = run.history.groupby(["setting", "step"]).size()
    assert len(counts) == 5 * 2
    assert (counts == 2).all()
    assert (run.history.nanoseconds > 0).all()


def test_what_was_timed_is_a_softmax(run):
    assert run.history.error.max() < 3e-6  # logits within 30 of the maximum: half a unit in the last place is 1e-6
    assert (run.history.groupby(["setting", "step"]).error.nunique() == 1).all()


def test_an_error_in_a_long_row_is_found():
    x = torch.randn(CHUNK + 5, generator=torch.Generator().manual_seed(0))
    log_sum = softmax_speed._logsumexp(x)
    assert log_sum == pytest.approx(float(torch.logsumexp(x.double(), 0)), rel=1e-14)
    y = torch.softmax(x.double(), 0).float()
    assert softmax_speed._error(x, y, log_sum) < 1e-7
    y[16] *= 1.01
    assert softmax_speed._error(x, y, log_sum) == pytest.approx(0.01, abs=1e-6)


def test_one_of_the_quicker_rounds_counts():
    times = {
        "recompute": (6.0, 9.0, 6.0, 5.0, 7.0, 8.0),
        "reload": (8.0, 5.0, 5.0, 5.0, 5.0, 4.0),
        "online": (5.0, 5.0, 5.0, 5.0, 5.0, 5.0),
        "two-pass": (4.0, 40.0, 1.0, 40.0, 40.0, 40.0),
        "torch.softmax": (12.0, 10.0, 8.0, 12.0, 12.0, 12.0),
    }
    rows = [
        {"setting": name, "step": 64, "round": turn, "nanoseconds": nanoseconds, "error": 0.0}
        for name, rounds in times.items()
        for turn, nanoseconds in enumerate(rounds)
    ]
    made_up = Run("softmax_speed", None, pd.DataFrame(rows))
    assert summary(made_up).loc[64].to_dict() == {name: sorted(rounds)[1] for name, rounds in times.items()}
    assert ratios(made_up).loc[64].to_dict() == {"three-pass": 5 / 4, "torch.softmax": 10 / 4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": ()}, "lengths: got 0, expected an integer >= 1"),
        ({"lengths": (16, 0)}, "lengths: got 0, expected an integer >= 1"),
        ({"rounds": 0}, "rounds: got 0, expected an integer >= 1"),
        ({"least_seconds": -1.0}, "least_seconds: got -1.0, expected a finite number >= 0"),
        ({"spread": float("inf")}, "spread: got inf, expected a finite number >= 0"),
    ],
)
def test_a_config_that_cannot_be_run_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        softmax_speed.run(Config(**options), progress=False)
