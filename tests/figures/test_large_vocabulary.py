"""Pictures of losses over many classes show the numbers of their runs."""

import dataclasses

import numpy as np
import pytest

from lossbook.experiments import class_count, gradient_filter, language_model, spherical
from lossbook.figures.large_vocabulary import (
    SORTED_PANEL,
    plot_cost,
    plot_lost,
    plot_perplexity,
    plot_skipped,
)
from lossbook.figures.spherical import plot_top_k
from lossbook.figures.style import new_figure


@pytest.fixture(scope="module")
def costs():
    return class_count.run(class_count.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def model():
    return language_model.run(language_model.SCALES["tiny"], progress=False)


def test_each_method_has_a_line_at_the_largest_of_the_other_number(costs):
    for along, other in (("classes", "rows"), ("rows", "classes")):
        for cost, unit in (("bytes", 2.0**20), ("seconds", 1.0)):
            ax = plot_cost(costs, cost=cost, along=along)
            most = costs.history[costs.history[other] == costs.history[other].max()]
            for line in ax.get_lines():
                rows = most[most["setting"] == line.get_label()]
                assert np.allclose(line.get_ydata(), rows[cost] / unit)
            assert ax.get_xlabel() == along
            assert ax.get_xscale() == ax.get_yscale() == "log"


def test_the_perplexity_is_the_exponential_of_the_loss(model):
    ax = plot_perplexity(model)
    rows = model.history.dropna(subset=["loss"])
    for line in ax.get_lines()[:-1]:
        assert np.allclose(line.get_ydata(), np.exp(rows[rows["setting"] == line.get_label()]["loss"]))
    assert ax.get_lines()[-1].get_ydata()[0] == pytest.approx(np.exp(rows["unigram"].mean()))


def test_a_line_for_each_order_of_the_classes(model):
    for quantity in ("skipped", "error"):
        ax = plot_skipped(model, quantity=quantity)
        found = model.history[model.history["setting"] == "mean logit"].groupby("step")[quantity].mean()
        assert np.allclose(ax.get_lines()[0].get_ydata(), found, equal_nan=True)
        assert len(ax.get_lines()) == 3


def test_three_bars_for_each_kind_of_gradient():
    run = gradient_filter.run(gradient_filter.SCALES["tiny"], progress=False)
    ax = plot_lost(run)
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert np.allclose(widths, run.history[["skipped", "lost", "error"]].to_numpy().T)
    assert [label.get_text() for label in ax.get_yticklabels()] == run.history["setting"].tolist()


def test_the_panel_shows_the_sorted_softmax_and_says_how_much_lies_below(model):
    start, update = SORTED_PANEL
    artists = start(new_figure()[1], model)
    for snapshot in model.snapshots:
        words = update(artists, snapshot)
        values = snapshot.arrays["sorted"]
        assert np.array_equal(artists["line"].get_ydata(), values)
        above = int((values >= model.config.epsilon).sum())
        assert words.startswith(f"{above} of {len(values)} ranks lie above ε")


def test_errors_by_rank_a_line_for_each_loss():
    run = spherical.run(dataclasses.replace(spherical.SCALES["tiny"], seeds=2), progress=False)
    ax = plot_top_k(run)
    means = run.history.pivot_table(index="rank", columns="setting", values="error")
    for line in ax.get_lines():
        assert np.allclose(line.get_ydata(), means[line.get_label()])


def test_what_a_run_does_not_have_is_refused(costs, model):
    with pytest.raises(ValueError, match="cost: got 'watts', expected one of 'bytes', 'seconds'"):
        plot_cost(costs, cost="watts")
    with pytest.raises(ValueError, match="along: got 'steps'"):
        plot_cost(costs, along="steps")
    with pytest.raises(ValueError, match="quantity: got 'above'"):
        plot_skipped(model, quantity="above")
