"""Pictures of comparisons: what each loss reached, seed by seed, and how far it is from a baseline."""

from collections.abc import Sequence
from typing import Any

from lossbook.experiments.comparison_tables import differences, table
from lossbook.experiments.run import Run
from lossbook.figures.style import GREY, INK, look, new_figure, styled

NAMES = {"accuracy": "test accuracy", "log_loss": "test log loss, nats"}


@styled
def plot_comparison(
    run: Run, axes: Any = None, *, metrics: Sequence[str] = ("accuracy",), baseline: str | None = None
) -> Any:
    """A panel a metric, a row a loss: a small mark a seed, a large one their mean, a bar its 95 % interval.

    How to read it: the bar says how well the mean is known from these seeds. With a baseline the marks are differences
    from it, seed by seed: what the seeds share is gone, and a bar that does not meet the line at 0 is a difference.

    Args:
        run: of `compare`.
        axes: one matplotlib axes a metric; None makes new ones.
        metrics: names of them.
        baseline: a loss to be subtracted; None: nothing is.

    Returns:
        The axes.

    Raises:
        ValueError: an unknown metric or baseline.
    """
    found = table(run, metrics) if baseline is None else differences(run, baseline, metrics)
    losses = list(dict.fromkeys(found.setting))
    if axes is None:
        height = 0.45 * len(losses) + 1.2
        width = 7.4 if len(metrics) == 1 else 0.0
        axes = new_figure(len(metrics), width=width, height=height, sharey=True, squeeze=False)[1][0]
    tests = run.history[run.history.stage == "test"]
    tests = tests[tests.step == tests.step.max()]
    held = None if baseline is None else tests[tests.setting == baseline].set_index("seed")
    for ax, metric in zip(axes, metrics, strict=True):
        rows = found[found.metric == metric].set_index("setting")
        for place, name in enumerate(losses):
            seeds = tests[tests.setting == name].set_index("seed")[metric]
            seeds = seeds if held is None else seeds - held[metric]
            own, row = look(place, marker=True), rows.loc[name]
            ax.scatter(seeds, [place + 0.22] * len(seeds), s=16, color=GREY, zorder=2)
            ax.plot([row.low, row.high], [place, place], color=own["color"], linewidth=3, zorder=3)
            ax.plot([row["mean"]], [place], marker=own["marker"], color=own["color"], markersize=8, zorder=4)
        ax.set_yticks(range(len(losses)), losses)
        ax.set_ylim(len(losses) - 0.5, -0.5)
        ax.locator_params(axis="x", nbins=6)
        label = NAMES.get(metric, metric.replace("_", " "))
        ax.set_xlabel(label if baseline is None else f"{label}: less {baseline}'s")
        if baseline is not None:
            ax.axvline(0, color=INK, linewidth=1, zorder=1)
    return axes
