"""Pictures of the surrogate losses at work."""

from typing import Any

from lossbook.catalog import find
from lossbook.experiments.run import Run
from lossbook.figures.style import axes_of, look, styled


@styled
def plot_surrogates(run: Run, ax: Any = None, *, gross_errors: float = 0.0) -> Any:
    """Accuracy on clean held-out points against gradient steps, a line per loss, a thin one per seed.

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
        for _, seed in part.groupby("seed"):
            ax.plot(seed.step, seed.test_accuracy, linewidth=0.8, alpha=0.45, **look(i))
        mean = part.groupby("step").test_accuracy.mean()
        ax.plot(mean.index, mean, linewidth=2.6, label=find(str(name)).title, **look(i))
    ax.set(xlabel="gradient steps", ylabel="accuracy on clean held-out points", ylim=(0, 1.02))
    ax.set_title("clean training data" if not gross_errors else f"{gross_errors:.0%} gross errors")
    return ax
