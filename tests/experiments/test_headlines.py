"""Headlines: a sentence, a margin a seed, and one word for what came out."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lossbook.experiments import EXPERIMENTS
from lossbook.experiments.headlines import Headline, interval, verdicts
from lossbook.experiments.run import Run, recorded

CLAIMING = [name for name, module in EXPERIMENTS.items() if hasattr(module, "HEADLINES")]


def judged(margins, **options):
    run = Run("made up", None, pd.DataFrame({"seed": range(len(margins)), "margin": margins}))
    headline = Headline("polyloss", "it gains", lambda run: run.history.set_index("seed").margin, "points", **options)
    return verdicts([(headline, run)]).iloc[0]


def test_the_interval_is_scipys(generator):
    numbers = np.random.default_rng(0).normal(size=7)
    wanted = stats.t.interval(0.9, 6, numbers.mean(), stats.sem(numbers))
    assert interval(numbers, 0.9)[1:] == pytest.approx(wanted, rel=1e-12)
    assert interval([3.0]) == (3.0, -math.inf, math.inf)


@pytest.mark.parametrize(
    ("margins", "held", "word"),
    [
        ([1.0, 2.0, 3.0, 2.0, 1.0], 5, "holds"),
        ([1.0, 40.0, 1.0, 1.0, 1.0], 5, "holds"),
        ([-0.1, 2.0, 3.0, 2.0, 3.0], 4, "holds on average"),
        ([-1.0, 1.0, -1.0, 1.0, 0.5], 3, "not here"),
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0, "not here"),
        ([-1.0, -2.0, -1.0, -2.0, -1.0], 0, "contradicted"),
    ],
)
def test_a_verdict_says_how_far_a_claim_held(margins, held, word):
    row = judged(margins, published="by 2", remark="a wider network was tried")
    assert (row.held, row.seeds, row.verdict) == (held, 5, word)
    assert row["mean"] == pytest.approx(np.mean(margins))
    assert (row.published, row.remark, row.unit) == ("by 2", "a wider network was tried", "points")


def test_a_margin_has_a_finite_number_for_each_seed_and_no_other():
    run = Run("made up", None, pd.DataFrame({"seed": [0, 1, 2]}))
    for margin in (
        pd.Series({0: 1.0, 1: 2.0}),
        pd.Series({0: 1.0, 1: 2.0, 2: math.nan}),
        pd.Series({0: 1, 1: 1, 3: 1}),
    ):
        with pytest.raises(ValueError, match=r"margin of 'it gains': got .*, expected a finite number for each seed"):
            verdicts([(Headline("polyloss", "it gains", lambda run, margin=margin: margin), run)])
    with pytest.raises(TypeError, match=r"margin of 'it gains': got 1.0"):
        verdicts([(Headline("polyloss", "it gains", lambda run: 1.0), run)])


@pytest.mark.parametrize("name", CLAIMING)
def test_the_recorded_run_of_each_experiment_with_headlines_is_of_its_small_scale_and_five_seeds(name):
    module = EXPERIMENTS[name]
    run = recorded(f"{name}_small", module.Config)
    assert run.config == module.SCALES["small"]
    found = verdicts([(headline, run) for headline in module.HEADLINES])
    assert (found.seeds >= 5).all()
    unheld = found[~found.verdict.isin(["holds", "holds on average"])]
    assert unheld.remark.str.len().gt(0).all(), f"say what was tried: {unheld.claim.tolist()}"
