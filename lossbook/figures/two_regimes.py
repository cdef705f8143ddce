"""Pictures of naive Bayes against logistic regression (`lossbook.experiments.two_regimes`)."""

from typing import Any

from lossbook.checks import check_choice
from lossbook.experiments.run import Run
from lossbook.experiments.two_regimes import samples_needed
from lossbook.figures.style import BLUE, DASHES, ORANGE, axes_of, styled

COLOURS = {"naive Bayes": BLUE, "logistic regression": ORANGE}
SHAPES = {"naive Bayes": "o", "logistic regression": "s"}


@styled
def plot_samples_needed(run: Run, ax: Any = None) -> Any:
    """Samples until the simulated error is near the best one, against the dimension: a mark a seed, a line of medians.

    How to read it: both axes are logarithmic. Logistic regression climbs with the dimension; naive Bayes stays flat.

    Args:
        run: of `lossbook.experiments.two_regimes`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    found = samples_needed(run)
    several = found["classes"].nunique() > 1
    for (method, classes), rows in found.groupby(["method", "classes"]):
        dash = DASHES[sorted(found["classes"].unique()).index(classes)]
        middle = rows.groupby("dimension")["samples"].median()
        label = f"{method}, {classes} classes" if several else method
        look = {"color": COLOURS[method], "marker": SHAPES[method]}
        ax.plot(middle.index, middle, linestyle=dash, label=label, **look)
        ax.plot(rows["dimension"], rows["samples"], linestyle="none", markersize=6, alpha=0.5, **look)
    ax.set(xscale="log", yscale="log", xlabel="dimension", ylabel="samples needed")
    ticks = sorted(found["dimension"].unique())
    ax.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.legend()
    return ax


@styled
def plot_error(run: Run, ax: Any = None, *, features: str = "whitened 50") -> Any:
    """Test error on Fashion-MNIST against labels per class, on one kind of features: mean and range over seeds.

    How to read it: where the lines cross, one regime ends and the other begins. With more components the crossing moves
    to the right.

    Args:
        run: of `lossbook.experiments.two_regimes`.
        ax: matplotlib axes; None makes new ones.
        features: one of the run's `config.features`.

    Raises:
        ValueError: features that the run has not.
    """
    check_choice("features", features, run.config.features)
    ax = axes_of(ax)
    rows = run.history[run.history["features"] == features]
    for (method, lines), dash in zip(rows.groupby("method", sort=False), DASHES, strict=False):
        by_count = lines.groupby("step")["error"]
        look = {"color": COLOURS[method], "marker": SHAPES[method]}
        ax.plot(by_count.mean(), linestyle=dash, markersize=5, label=method, **look)
        ax.fill_between(
            by_count.min().index, by_count.min(), by_count.max(), color=COLOURS[method], alpha=0.15, linewidth=0
        )
    ax.set(xscale="log", xlabel="labels per class", ylabel="test error", title=f"{features} features", ylim=(0, None))
    ax.legend()
    return ax
