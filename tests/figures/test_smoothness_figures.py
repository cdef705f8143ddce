"""Pictures of smoothness and flatness: they show what the history says."""

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import transfer, virtual_adversarial
from lossbook.experiments.run import recorded
from lossbook.figures import new_figure
from lossbook.figures import smoothness as figures

RUNS = {
    "few": recorded("virtual_adversarial_small", virtual_adversarial.Config),
    "passed": recorded("transfer_small", transfer.Config),
}


def test_a_plot_draws_on_the_axes_given_or_on_new_ones_and_changes_no_setting():
    assert drawn(figures.plot_transfer, RUNS["passed"]).get_legend() is not None
    _, ax = new_figure()
    assert figures.plot_few_labels(RUNS["few"], ax) is ax
    assert ax.get_xlabel() == "test error (%)"


@pytest.mark.parametrize("metric", figures.METRICS)
def test_the_transfer_plot_is_the_mean_over_seeds_without_the_untrained_network(metric):
    run = RUNS["passed"]
    lines = labelled(figures.plot_transfer(run, metric=metric))
    scale = 1 if metric == "sharpness" else 100
    for name, rho in (("SGD", 0.0), ("SAM, ρ = 0.05", 0.05), ("SAM, ρ = 0.3", 0.3)):
        wanted = run.history[(run.history.rho == rho) & (run.history.epoch > 0)].groupby("epoch")[metric].mean()
        assert lines[name].get_xdata().tolist() == wanted.index.tolist()
        assert lines[name].get_ydata() == pytest.approx(scale * wanted.to_numpy())
    bare = figures.plot_transfer(run, metric=metric, legend=False)
    assert bare.get_legend() is None


@pytest.mark.parametrize("task", virtual_adversarial.TASKS)
def test_few_labels_are_errors_in_percent_a_mark_a_seed(task):
    run = RUNS["few"]
    ax = figures.plot_few_labels(run, task=task)
    last = run.history[(run.history.step == run.history.step.max()) & (run.history.task == task)]
    shown = sorted(x for points in ax.collections for x, _ in points.get_offsets().tolist())
    assert shown == pytest.approx(sorted(100 * last.test_error))
    assert [text.get_text() for text in ax.get_yticklabels()] == list(virtual_adversarial.METHODS)


def test_the_roughness_plot_has_a_map_a_method_on_one_scale():
    run = RUNS["few"]
    axes = figures.plot_roughness(run)
    kept = {shot.setting: shot.arrays for shot in run.snapshots}
    tops = set()
    for ax, method in zip(axes, ("cross-entropy", "VAT"), strict=True):
        (image,) = ax.images
        assert np.array_equal(image.get_array(), kept[f"moons: {method}"]["lds"])
        tops.add(image.get_clim()[1])
        assert ax.get_title(loc="left") == method
    assert len(tops) == 1
    axes[0].figure.canvas.draw()


def test_what_is_not_in_a_run_is_refused():
    with pytest.raises(ValueError, match=r"^metric: got 'speed', expected one of 'transfer'"):
        figures.plot_transfer(RUNS["passed"], metric="speed")
    with pytest.raises(ValueError, match=r"^task: got 'iris', expected one of 'moons', 'digits'$"):
        figures.plot_few_labels(RUNS["few"], task="iris")
    with pytest.raises(ValueError, match=r"^methods: got 'none', expected one of 'cross-entropy'"):
        figures.plot_roughness(RUNS["few"], methods=("none",))
