"""Pictures of neural collapse (`lossbook.experiments.neural_collapse`)."""

from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator

from lossbook.checks import check_choice
from lossbook.experiments.neural_collapse import summary
from lossbook.experiments.run import Run
from lossbook.figures.dots import plot_dots
from lossbook.figures.style import (
    BLUE,
    BROWN,
    DASHES,
    GREEN,
    GREY,
    INK,
    MARKERS,
    ORANGE,
    PURPLE,
    axes_of,
    new_figure,
    styled,
)

COLOURS = {
    "cross-entropy": BLUE,
    "squared error": ORANGE,
    "label smoothing": GREEN,
    "focal": PURPLE,
    "squentropy": BROWN,
    "cross-entropy, not normalised": GREY,
}
NUMBERS = {
    "nc1": "NC1, spread within over between",
    "coherence": "NC2, mean |cosine − ideal|, means",
    "worst_cosine": "NC2, greatest |cosine − ideal|, means",
    "equinorm": "NC2, spread of the means' lengths",
    "weight_coherence": "NC2, mean |cosine − ideal|, weights",
    "nc3": "NC3, weights against means",
    "nc3_centred": "NC3, centred weights against means",
    "nc4": "NC4, share decided otherwise by the nearest mean",
    "accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
    "loss": "training loss",
}
PARTS = {
    "within_part": "within classes (NC1), and decay",
    "means_part": "means (NC2, NC3)",
    "classifier_part": "classifier that lags behind",
}
PART_COLOURS = {"within_part": BLUE, "means_part": ORANGE, "classifier_part": GREEN}
DEEP = -0.6  # cosines below are drawn so dark that only white shows on them
FAINT: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.35}


@styled
def plot_collapse(run: Run, ax: Any = None, *, number: str = "nc1", settings: tuple[str, ...] = ()) -> Any:
    """A number of the last layer against the step: medians over seeds, thin lines for single seeds, both axes log.

    How to read it: the mark on a line is where the median seed made its last training error. What happens to the right
    of it happens to a network that has nothing left to get right.

    Args:
        run: of `lossbook.experiments.neural_collapse`.
        ax: matplotlib axes; None makes new ones.
        number: a column of the history.
        settings: those to draw; none given draws all.

    Raises:
        ValueError: a number or a setting that the run has not.
    """
    check_choice("number", number, NUMBERS)
    known = list(dict.fromkeys(run.history["setting"]))
    for setting in settings:
        check_choice("settings", setting, known)
    ax = axes_of(ax)
    found = summary(run).set_index("setting")["zero_step"]
    for i, setting in enumerate(known):
        if settings and setting not in settings:
            continue
        rows = run.history[(run.history["setting"] == setting) & (run.history["step"] > 0)]
        look: dict[str, Any] = {"color": COLOURS[setting]}
        for _, seed in rows.groupby("seed"):
            ax.plot(seed["step"], seed[number], **look, **FAINT)
        middle = rows.groupby("step")[number].median()
        ax.plot(middle, linestyle=DASHES[i % len(DASHES)], label=setting, **look)
        zero = found.loc[[setting]].median()
        if np.isfinite(zero):
            at = middle.index[np.abs(np.log(middle.index / zero)).argmin()]
            ax.plot([at], [middle[at]], MARKERS[i], markersize=9, markeredgecolor="white", zorder=4, **look)
    accuracy = number in ("accuracy", "test_accuracy", "nc4")
    ax.set(xscale="log", yscale="linear" if accuracy else "log", xlabel="step", ylabel=NUMBERS[number])
    ax.legend(fontsize=10)
    return ax


@styled
def plot_ends(
    run: Run, axes: Any = None, *, numbers: tuple[str, ...] = ("nc1", "coherence", "nc3"), bounds: Any = None
) -> Any:
    """Where each loss ends, a picture a number: a mark for each seed, a bar at the median.

    How to read it: left is collapsed. The dotted line is the bound that was fixed before the run.

    Args:
        run: of `lossbook.experiments.neural_collapse`.
        axes: as many matplotlib axes as numbers; None makes new ones.
        numbers: columns of the history.
        bounds: number -> where to draw a dotted line.

    Raises:
        ValueError: a number that the run has not.
    """
    for name in numbers:
        check_choice("numbers", name, NUMBERS)
    axes = np.atleast_1d(new_figure(len(numbers), height=3.2, sharey=True)[1] if axes is None else axes)
    last = run.history[run.history["step"] == run.history["step"].max()]
    for ax, number in zip(axes, numbers, strict=True):
        plot_dots(
            ax, dict(iter(last.groupby("setting", sort=False)[number])), COLOURS, markers=MARKERS, middle="median"
        )
        if number in (bounds or {}):
            ax.axvline(bounds[number], color=INK, linestyle=":", linewidth=1.2)
        ax.set_xlabel(NUMBERS[number].replace(", ", ",\n", 1))
        if (last[number] > 0).all():
            narrow = last[number].max() < 100 * last[number].min()
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if narrow else (1.0,), numticks=5))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.minorticks_off()
    return axes


@styled
def plot_parts(run: Run, ax: Any = None) -> Any:
    """Where the squared error with weight decay comes from, against the step: medians over seeds, both axes log.

    How to read it: "classifier" is what the last layer costs beyond the best one for these features. Where it is far
    below the rest, the network walks along the central path.

    Args:
        run: of `lossbook.experiments.neural_collapse`, with the setting "squared error".
        ax: matplotlib axes; None makes new ones.

    Raises:
        ValueError: a run without squared error.
    """
    check_choice("run", "squared error", tuple(run.history["setting"].unique()))
    ax = axes_of(ax)
    rows = run.history[(run.history["setting"] == "squared error") & (run.history["step"] > 0)]
    for (part, words), dash in zip(PARTS.items(), DASHES, strict=False):
        for _, seed in rows.groupby("seed"):
            ax.plot(seed["step"], seed[part], color=PART_COLOURS[part], **FAINT)
        ax.plot(rows.groupby("step")[part].median(), color=PART_COLOURS[part], linestyle=dash, label=words)
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel="part of the squared error")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_conventions(noise: Any, found: Any, wanted: Any, ax: Any = None) -> Any:
    """NC1 in both conventions against the noise round a simplex: crosses measured, lines the closed form.

    Args:
        noise: standard deviations, over the length of a class mean.
        found: name of a convention -> NC1 measured at each.
        wanted: the same by the closed form.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    for name, dash, color in zip(found, DASHES, (BLUE, ORANGE), strict=False):
        ax.plot(noise, wanted[name], color=color, linestyle=dash, label=f"{name}: closed form")
        ax.plot(noise, found[name], "x", color=color, markersize=8, markeredgewidth=2, label=f"{name}: measured")
    ax.set(xscale="log", yscale="log", xlabel="noise, over the length of a class mean", ylabel="NC1")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_cosines(cosines: Any, ax: Any = None, *, names: tuple[str, ...] = (), bar: bool = True) -> Any:
    """The cosine of every two centred class means, as a table of colours.

    How to read it: the simplex has one colour off the diagonal, that of −1/(K − 1). A dash marks a cosine below 0;
    pairs off the diagonal that have none still look alike.

    Args:
        cosines: (classes, classes).
        ax: matplotlib axes; None makes new ones.
        names: of the classes.
        bar: whether to draw a colour bar; several tables side by side need only one.
    """
    ax = axes_of(ax)
    values = np.asarray(cosines, dtype=float)
    image = ax.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    if bar:
        ax.figure.colorbar(image, ax=ax, label="cosine", shrink=0.7)
    rows, columns = np.nonzero(values < 0)
    ax.scatter(columns, rows, 22, np.where(values[rows, columns] < DEEP, "white", INK), marker="_", linewidths=1.4)
    places = range(len(values))
    ax.set_xticks(places, names or list(map(str, places)), rotation=90 if names else 0, fontsize=10)
    ax.set_yticks(places, names or list(map(str, places)), fontsize=10)
    ax.set(xlabel="class", ylabel="class")
    ax.grid(visible=False)
    return ax
