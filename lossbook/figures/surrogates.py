"""Pictures of the surrogate losses at work."""

from typing import Any

from lossbook.catalog import find
from lossbook.experiments.run import Run
from lossbook.figures.style import DASHES, PALETTE, axes_of, styled


@styled
def plot_surrogates(run: Run, ax: Any = None, *, gross_errors: float = 0.0) -> Any:
    """Accuracy on clean held-out points against gradient steps, a line per loss, the spread over seeds shaded.

    How to read it: a flat line is a loss that gradient descent cannot see; lines that part when gross errors come in
    show which losses listen to the loudest points.

    Args:
        run: of `lossbook.experiments.surrogates`.
        ax: matplotlib axes; None makes new ones.
        gross_errors: which share of gross errors to show.
    """
    ax = axes_of(ax)
    rows = run.history[run.history.gross_errors == gross_errors]
    for i, (name, part) in enumerate(rows.groupby("loss", sort=False)):
        by_step = part.groupby("step").test_accuracy
        mean, low, high = by_step.mean(), by_step.min(), by_step.max()
        ax.plot(mean.index, mean, color=PALETTE[i], linestyle=DASHES[i % len(DASHES)], label=find(str(name)).title)
        ax.fill_between(mean.index, low, high, color=PALETTE[i], alpha=0.12, linewidth=0)
    ax.set(xlabel="gradient steps", ylabel="accuracy on clean held-out points", ylim=(0, 1.02))
    ax.set_title("clean training data" if not gross_errors else f"{gross_errors:.0%} gross errors")
    return ax
