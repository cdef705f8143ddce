"""The chart of chapter 10 draws the records' gradients, and the pictures of its runs what the histories say."""

import numpy as np
import pytest
import torch
from cases import drawn, labelled

from lossbook.catalog import RECORDS, find
from lossbook.experiments import polynomial, reshaped
from lossbook.figures import new_figure
from lossbook.figures import reshaped as figures
from lossbook.figures.reshaping import CHART, CONFIDENCES, has_one_weight, plot_weights, pulls, start_of, weights

P = np.array([0.05, 0.3, 0.8])
WEIGHTS = {
    "poly_loss": lambda p: 1 + 2 * p,
    "taylor_cross_entropy": lambda p: 1 - (1 - p) ** 2,
    "focal_loss": lambda p: (1 - p) ** 2 - 2 * p * (1 - p) * np.log(p),
    "comp_sum_loss": lambda p: p**0.7,
    "direct_coverage_loss": lambda p: 8 * p * (1 - p) ** 7 / (1 - (1 - p) ** 8),
    "squentropy_loss": lambda p: np.ones_like(p),
}


@pytest.fixture(scope="module")
def runs():
    modules = {"polynomial": polynomial, "reshaped": reshaped}
    return {name: module.run(module.SCALES["tiny"], progress=False) for name, module in modules.items()}


@pytest.mark.parametrize("key", WEIGHTS)
def test_the_weight_read_off_a_record_is_the_one_worked_out_by_hand(key):
    assert weights(find(key), P, 10, start_of(key)) == pytest.approx(WEIGHTS[key](P), rel=1e-10)


def test_smoothed_labels_push_down_what_is_above_its_target():
    """(1 − ε + ε/V − p)/(1 − p)."""
    found = weights(find("cross_entropy"), P, 10, {"label_smoothing": 0.3})
    assert found == pytest.approx((0.73 - P) / (1 - P), rel=1e-12)
    assert found[2] < 0 < found[1]


@pytest.mark.parametrize("key", CHART)
def test_a_loss_has_one_weight_exactly_where_v_and_the_wrong_scores_do_not_matter(key):
    parameters = start_of(key)
    same = np.allclose(weights(find(key), P, 3, parameters), weights(find(key), P, 50, parameters), rtol=1e-9)
    assert has_one_weight(find(key), parameters) == (same and key != "squentropy_loss")


def test_without_smoothing_margin_or_temperature_these_have_cross_entropys_form_again():
    assert has_one_weight(find("cross_entropy"), {"label_smoothing": 0.0})
    assert has_one_weight(find("ldr_kl_loss"), {"temperature": 1.0, "margin": 0.5})
    assert not has_one_weight(find("ldr_kl_loss"), {"temperature": 2.0, "margin": 0.0})


@pytest.mark.parametrize("key", CHART)
def test_the_pull_is_minus_autograds_slope_of_the_loss_by_the_right_score(key):
    record, rows = find(key), torch.zeros(3, 4, dtype=torch.float64)
    rows[:, 0] = torch.as_tensor(np.log(3 * P / (1 - P)))
    rows.requires_grad_()
    loss = record.value(rows, torch.zeros(3, dtype=torch.long), **start_of(key)).sum()
    (slope,) = torch.autograd.grad(loss, rows)
    assert pulls(record, P, 4, start_of(key)) == pytest.approx(-slope[:, 0].numpy(), rel=1e-9, abs=1e-12)


def test_the_chart_draws_the_weights_and_dashes_what_has_none():
    losses = [("ε = 2", "poly_loss", {"epsilon": 2.0}), ("squentropy", "squentropy_loss", {})]
    ax = plot_weights(losses)
    lines = labelled(ax)
    assert list(lines) == ["cross-entropy", "ε = 2", "squentropy"]
    assert lines["ε = 2"].get_ydata() == pytest.approx(1 + 2 * CONFIDENCES)
    assert lines["cross-entropy"].get_ydata() == pytest.approx(np.ones_like(CONFIDENCES))
    assert [line.get_linestyle() for line in lines.values()][1:] == ["-", "--"]
    _, mine = new_figure()
    assert plot_weights(losses, mine, kind="pull", title="mine") is mine
    assert mine.get_title("left") == "mine"
    assert labelled(mine)["ε = 2"].get_ydata() == pytest.approx((1 + 2 * CONFIDENCES) * (1 - CONFIDENCES))
    mine.figure.canvas.draw()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_weights([], kind="slope"), r"^kind: got 'slope', expected one of 'weight', 'pull'"),
        (lambda: plot_weights([("x", "no_loss", {})]), r"^loss: got 'no_loss'"),
        (lambda: pulls(find("focal_loss"), P, 1, {}), r"^classes: got 1, expected an integer >= 2"),
        (lambda: start_of("hinge_loss"), r"^key: got 'hinge_loss'"),
    ],
)
def test_what_the_chart_cannot_draw_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_chart_offers_losses_of_logits_alone():
    assert {RECORDS[key].inputs for key in CHART} == {"logits"}


def test_the_epsilon_plot_shows_what_is_gained_over_cross_entropy_in_points(runs):
    run = runs["polynomial"]
    _, axes = new_figure(2)
    assert figures.plot_epsilon(run, axes) is axes
    assert len(figures.plot_epsilon(run)) == 2
    for ax, (task, metric) in zip(axes, (("balanced", "accuracy"), ("imbalanced", "average_precision")), strict=True):
        found = polynomial.ends(run, task, metric)
        line = ax.get_lines()[1]
        assert line.get_xdata().tolist() == [-1, 0, 2]
        mean = [100 * (found[name] - found["ε=0"]).mean() for name in ("ε=−1", "ε=0", "ε=2")]
        assert line.get_ydata() == pytest.approx(mean)
    axes[0].figure.canvas.draw()


def test_the_terms_plot_shows_mean_accuracies_in_per_cent(runs):
    ax = drawn(figures.plot_terms, runs["polynomial"])
    found = 100 * polynomial.ends(runs["polynomial"], "balanced", "accuracy").mean()
    lines = labelled(ax)
    assert lines["the first N"].get_ydata() == pytest.approx([found["N=1"], found["N=20"]])
    assert lines["all terms"].get_ydata() == pytest.approx([found["ε=0"]] * 2)


@pytest.mark.parametrize("metric", figures.METRICS)
def test_the_course_plot_is_the_mean_over_seeds(metric, runs):
    run = runs["reshaped"]
    lines = labelled(drawn(lambda run, ax=None: figures.plot_course(run, ax, metric=metric, labels="noisy"), run))
    rows = run.history.query("labels == 'noisy' and step > 0 and setting == 'focal'")
    assert list(lines) == list(reshaped.LOSSES)
    assert lines["focal"].get_ydata() == pytest.approx(rows.groupby("step")[metric].mean().to_numpy())
    assert figures.plot_course(run, metric=metric, legend=False).get_legend() is None


def test_the_course_plot_refuses_another_metric_or_other_labels(runs):
    with pytest.raises(ValueError, match=r"^metric: got 'speed'"):
        figures.plot_course(runs["reshaped"], metric="speed")
    with pytest.raises(ValueError, match=r"^labels: got 'dirty', expected one of 'clean', 'noisy'"):
        figures.plot_course(runs["reshaped"], labels="dirty")


def test_the_histogram_of_wrong_scores_is_in_shares_and_keeps_what_lies_outside():
    generator = np.random.default_rng(0)
    scores = {"wide": 5 * generator.normal(size=(50, 9)), "narrow": generator.normal(size=(50, 9))}
    lines = labelled(drawn(lambda run, ax=None: figures.plot_wrong_scores(run, ax), scores))
    assert all(line.get_ydata().sum() == pytest.approx(1) for line in lines.values())
    assert lines["narrow"].get_ydata().max() > 2 * lines["wide"].get_ydata().max()
