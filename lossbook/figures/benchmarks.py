"""Pictures of recorded benchmarks: how long each method takes and how much it holds."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lossbook.benchmarks.methods import PRODUCTS
from lossbook.benchmarks.show import configurations_of, of_configuration
from lossbook.checks import bad_value, check_choice
from lossbook.figures.style import BLUE, GREY, INK, ORANGE, new_figure, styled

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))


def largest_linear(table: pd.DataFrame) -> str:
    """The linear configuration with the most work, trained-like scores before random ones; the pictures' default.

    Raises:
        ValueError: a table without linear configurations.
    """
    linear = table[table["kind"] == "linear"]
    if linear.empty:
        raise bad_value("table", table, "a benchmark's table with linear configurations")
    work = linear["rows"] * linear["classes"] * linear["dimension"]
    first = linear.assign(work=work, trained=linear["scores"] == "trained").sort_values(
        ["work", "trained"], ascending=False, kind="stable"
    )
    return configurations_of(first)[0]


def methods_of(table: pd.DataFrame, configuration: str | None = None, loss: str = "cross_entropy") -> pd.DataFrame:
    """What the picture shows: the methods that were timed with gradients, fastest first.

    Args:
        table: of `lossbook.benchmarks`.
        configuration: one of `lossbook.benchmarks.configurations_of(table)`; None for the largest linear one.
        loss: a loss measured there.

    Returns:
        The rows of `table` with method, seconds, low, high, products and extra_bytes; the bare products' row too.

    Raises:
        ValueError: a configuration or a loss that was not measured.
    """
    configuration = largest_linear(table) if configuration is None else configuration
    check_choice("configuration", configuration, configurations_of(table))
    same = of_configuration(table, configuration)
    check_choice("loss", loss, [name for name in dict.fromkeys(same["loss"]) if name])
    timed = same[(same["measure"] == "both") & same["loss"].isin((loss, ""))]
    return timed.sort_values("seconds", kind="stable")


@styled
def plot_methods(
    table: pd.DataFrame, axes: Any = None, configuration: str | None = None, loss: str = "cross_entropy"
) -> Any:
    """Left the time of each method with gradients, right the memory it holds beyond inputs and gradients; log scales.

    How to read it: farther left is better in both. A disc is the median, its bar goes from the 20th to the 80th
    percentile; the dashed line is three bare matrix products, the work that no method which forms the logits can avoid.

    Args:
        table: of `lossbook.benchmarks`.
        axes: two matplotlib axes; None makes new ones.
        configuration, loss: as in `methods_of`.

    Returns:
        The two axes.

    Raises:
        ValueError: a configuration or a loss that was not measured, or no method that was timed.
    """
    shown = methods_of(table, configuration, loss)
    bare, methods = shown[shown["method"] == PRODUCTS], shown[shown["loss"] == loss]
    if methods.empty:
        raise bad_value("loss", loss, "a loss that was timed with gradients")
    if axes is None:
        axes = new_figure(2, height=1.5 + 0.42 * len(methods), sharey=True)[1]
    left, right = axes
    places = np.arange(len(methods))
    for ax, column, said in ((left, "seconds", _seconds), (right, "extra_bytes", _bytes)):
        for place, (_, row) in zip(places, methods.iterrows(), strict=True):
            ours = row["method"].startswith("lossbook")
            look = {"color": BLUE if ours else ORANGE, "marker": "o" if ours else "s", "markersize": 8}
            if column == "seconds":
                ax.plot([row["low"], row["high"]], [place, place], color=look["color"], linewidth=3, alpha=0.5)
            value = max(row[column], 1.0) if column == "extra_bytes" else row[column]
            ax.plot(value, place, linestyle="none", **look)
            above = {"textcoords": "offset points", "ha": "center", "va": "bottom", "fontsize": 9}
            ax.annotate(said(row[column]), (value, place), (0, 5), **above)
        ax.set_xscale("log")
        ax.margins(x=0.15)
        low, high = np.log10(ax.get_xlim())
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 1.5 else (1,), numticks=6))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _, said=said: said(value)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.tick_params(axis="x", labelsize=9)
        ax.grid(True, axis="y", color=GREY, alpha=0.2)
    for _, row in bare.iterrows():
        left.axvline(row["seconds"], color=INK, linestyle="--", linewidth=1.2, zorder=0)
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "fontsize": 9}
        left.annotate("three bare products", (row["seconds"], 0.01), (4, 0), va="bottom", **where)
    left.set_yticks(places, methods["method"])
    left.set(ylim=(len(methods) + 0.1, -0.7), xlabel="loss and gradients, log scale", title="Time")
    right.set(xlabel="held beyond inputs and gradients, log scale", title="Memory")
    right.tick_params(axis="y", length=0)
    return np.array([left, right])


def methods_text(table: pd.DataFrame, configuration: str | None = None, loss: str = "cross_entropy") -> str:
    """The alt text of `plot_methods`: every method with its time and memory, in words.

    Args:
        table, configuration, loss: as in `methods_of`.
    """
    shown = methods_of(table, configuration, loss)
    methods = shown[shown["loss"] == loss]
    first = shown.iloc[0]
    said = [
        f"{row['method']} {_seconds(row['seconds'])} and {_bytes(row['extra_bytes'])}" for _, row in methods.iterrows()
    ]
    bare = shown.loc[shown["method"] == PRODUCTS, "seconds"]
    beside = f" Three bare matrix products take {_seconds(bare.iloc[0])}." if len(bare) else ""
    return (
        f"Time with gradients and memory beyond inputs and gradients of {loss.replace('_', ' ')} on {first['device']}, "
        f"{first['rows']:,} rows, {first['classes']:,} classes, dimension {first['dimension']:,}, {first['dtype']}, "
        f"fastest first: {'; '.join(said)}.{beside}"
    )


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def _bytes(value: float) -> str:
    if np.isnan(value):
        return "unmeasured memory"
    size, name = next((unit for unit in UNITS if value >= unit[0]), UNITS[-1])
    return f"{value / size:.3g} {name}"
