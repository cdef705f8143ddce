"""The picture of the spherical family's experiment: who ranks the next word well."""

from typing import Any

from lossbook.experiments.run import Run
from lossbook.experiments.spherical import FREQUENCIES
from lossbook.figures.style import GREY, axes_of, look, styled


@styled
def plot_top_k(run: Run, ax: Any = None) -> Any:
    """Top-k error on held-out words against k, a line for each loss: the mean over seeds.

    How to read it: lower is better, and the order of the lines at one k need not be the order at another.

    Args:
        run: of `lossbook.experiments.spherical`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    errors = run.history.pivot_table(index="rank", columns="setting", values="error")
    for i, name in enumerate(run.config.losses):
        ax.plot(errors[name], label=name, **look(i, marker=True))
    ax.plot(errors[FREQUENCIES], color=GREY, linestyle=":", label=FREQUENCIES)
    ax.set(xscale="log", xlabel="k", ylabel="share of words not among the k best", ylim=(0, 1))
    ax.set_xticks(errors.index, labels=[str(k) for k in errors.index])
    ax.minorticks_off()
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax
