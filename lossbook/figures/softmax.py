"""Pictures of softmax and its numerics (`lossbook.experiments.softmax_precision` and `softmax_speed`)."""

from typing import Any

from lossbook.checks import check_choice
from lossbook.experiments import softmax_speed
from lossbook.experiments.run import Run
from lossbook.experiments.softmax_precision import FORMATS
from lossbook.figures.style import BLUE, DASHES, GREEN, INK, ORANGE, PURPLE, RED, axes_of, styled

FORMAT_COLOURS = dict(zip(FORMATS, (RED, ORANGE, BLUE, GREEN), strict=True))
ALGORITHM_LOOKS: dict[str, dict[str, Any]] = {
    "recompute": {"color": ORANGE, "linestyle": DASHES[1], "marker": "s", "label": "three-pass, computed again"},
    "reload": {"color": RED, "linestyle": DASHES[2], "marker": "^", "label": "three-pass, kept"},
    "online": {"color": GREEN, "linestyle": DASHES[3], "marker": "D", "label": "online"},
    "two-pass": {"color": BLUE, "linestyle": DASHES[0], "marker": "o", "label": "two-pass"},
    "torch.softmax": {"color": PURPLE, "linestyle": DASHES[4], "marker": "x", "label": "torch.softmax"},
}
PRECISION = {
    "finite": "held-out rows with a finite loss (share)",
    "collapsed": "collapsed training rows (share)",
    "error": "median error of a row's loss (nats)",
}


@styled
def plot_precision(run: Run, ax: Any = None, *, metric: str = "collapsed", formula: str = "log-softmax") -> Any:
    """A number against the scale of the logits, a line per float format: mean over seeds, their range shaded.

    How to read it, for collapsed rows: a format's line rises where its rows stop saying anything about the right class.
    The further left, the earlier training goes quiet.

    Args:
        run: of `lossbook.experiments.softmax_precision`.
        ax: matplotlib axes; None makes new ones.
        metric: "finite", "collapsed" or "error".
        formula: whose rows to show.

    Raises:
        ValueError: another metric, or a formula that the run has not.
    """
    check_choice("metric", metric, PRECISION)
    check_choice("formula", formula, run.history.formula.unique().tolist())
    ax = axes_of(ax)
    for i, (name, rows) in enumerate(run.history[run.history.formula == formula].groupby("format", sort=False)):
        by_scale, colour = rows.groupby("step")[metric], FORMAT_COLOURS[str(name)]
        ax.plot(by_scale.mean(), color=colour, linestyle=DASHES[i], label=name)
        ax.fill_between(by_scale.min().index, by_scale.min(), by_scale.max(), color=colour, alpha=0.15, linewidth=0)
    ax.set_xscale("log", base=2)
    if metric == "error":
        ax.set_yscale("log")
    else:
        ax.set_ylim(-0.03, 1.03)
    ax.set(xlabel="scale of the logits", ylabel=PRECISION[metric], title=formula if metric != "collapsed" else "")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_speed(run: Run, ax: Any = None) -> Any:
    """Nanoseconds a logit against the length of the row, a line per algorithm: 20 % quantile over rounds.

    How to read it: flat on the left, where the row lies in a cache and arithmetic is what costs. On the right each
    further walk over memory lifts a line.

    Args:
        run: of `lossbook.experiments.softmax_speed`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    times = softmax_speed.summary(run)
    for name, look in ALGORITHM_LOOKS.items():
        ax.plot(times[name], **look)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="logits in the row", ylabel="nanoseconds a logit")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=10)
    return ax


@styled
def plot_errors(run: Run, ax: Any = None) -> Any:
    """The largest relative error of a probability against the length of the row, a line per algorithm.

    How to read it: a line that stays level loses no digits in long sums. What lies between two level lines is the
    rounding of x − maximum.

    Args:
        run: of `lossbook.experiments.softmax_speed`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    errors = run.history.pivot_table(index="step", columns="setting", values="error", aggfunc="max")
    for name, look in ALGORITHM_LOOKS.items():
        ax.plot(errors[name], **look)
    ax.axhline(2.0**-24, color=INK, linewidth=1)
    ax.text(errors.index.min(), 2.0**-24 * 1.15, "one rounding", fontsize=10, va="bottom")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="logits in the row", ylabel="largest relative error of a probability")
    ax.legend(fontsize=10)
    return ax
