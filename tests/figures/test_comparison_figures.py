"""The picture of a comparison and the table of headlines show the numbers that they are given."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lossbook.comparison import Compared, differences, plot_comparison, table
from lossbook.experiments.headlines import Headline, verdicts
from lossbook.experiments.run import Run
from lossbook.figures.headlines import show_verdicts, verdicts_html


@pytest.fixture
def run():
    chance = np.random.default_rng(0)
    rows = [
        {"setting": name, "seed": seed, "step": step, "stage": "test", "learning_rate": 1e-3, "accuracy": value}
        for seed in range(5)
        for k, name in enumerate(("cross-entropy", "poly-1", "focal"))
        for step, value in ((0, 0.1), (100, 0.8 + 0.02 * k + 0.05 * seed + 0.005 * chance.normal()))
    ]
    tuning = [row | {"stage": "tuning", "seed": 1000, "accuracy": 0.0} for row in rows[:6]]
    config = replace(Compared(losses=("cross-entropy", "poly-1", "focal"), rates=(1e-3,) * 3))
    return Run("comparison", config, pd.DataFrame(tuning + rows))


@pytest.mark.parametrize("baseline", [None, "cross-entropy"])
def test_the_large_mark_is_the_mean_and_the_bar_its_interval(run, baseline):
    (ax,) = plot_comparison(run, baseline=baseline)
    ax.figure.canvas.draw()
    found = table(run) if baseline is None else differences(run, baseline)
    bars, marks = [[line for line in ax.get_lines() if len(line.get_xdata()) == n] for n in (2, 1)]
    bars = [bar for bar in bars if bar.get_linewidth() == 3]
    assert [list(bar.get_xdata()) for bar in bars] == found[["low", "high"]].to_numpy().tolist()
    assert [float(mark.get_xdata()[0]) for mark in marks] == found["mean"].tolist()
    assert [label.get_text() for label in ax.get_yticklabels()] == found.setting.tolist()
    assert ("less cross-entropy's" in ax.get_xlabel()) is (baseline is not None)
    assert all(len(dots.get_offsets()) == 5 for dots in ax.collections)


def test_an_unknown_metric_or_baseline_is_refused(run):
    with pytest.raises(ValueError, match="metrics: got 'f1'"):
        plot_comparison(run, metrics=("f1",))
    with pytest.raises(ValueError, match="baseline: got 'hinge'"):
        plot_comparison(run, baseline="hinge")


def test_the_table_of_headlines_has_a_row_a_claim_with_what_came_out():
    rows = pd.DataFrame({"seed": range(5), "gain": [1.0, 2.0, 1.0, -2.0, 1.5]})
    claim = Headline(
        "polyloss", "ε < 2 & more", lambda run: run.history.set_index("seed").gain, "points", "by 3", "tried 5"
    )
    found = verdicts([(claim, Run("made up", None, rows))])
    text = show_verdicts(found).data
    assert text == verdicts_html(found, "What the papers claim, and what came out here")
    for piece in (
        "ε &lt; 2 &amp; more",
        "4 of 5",
        "<td>0.7 points<br>[−1.24, 2.64]</td>",
        "<strong>not here</strong>. Tried 5",
        "by 3",
        '<a href="10_reshaping_cross_entropy.ipynb#polyloss">Leng',
        '<th scope="row">',
        "<caption>",
    ):
        assert piece in text
    with pytest.raises(ValueError, match="system: got 'nobody'"):
        show_verdicts(found.assign(system="nobody"))
