"""Pictures of a network out of distribution (`lossbook.experiments.extrapolation`)."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from lossbook.checks import check_choice
from lossbook.experiments.extrapolation import CORRUPTIONS
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.html import in_words
from lossbook.figures.style import BLUE, GREEN, INK, ORANGE, axes_of, look, styled

LABELS = {
    "distance": "mean KL(p(x) ‖ π) (nats)",
    "entropy": "mean entropy of p(x) (nats)",
    "accuracy": "accuracy",
    "abstains": "share of abstentions",
}
AGENTS = {
    "reward_oracle": ("oracle: best threshold in hindsight", GREEN, ":"),
    "reward_agent": ("argmax of predicted rewards", BLUE, "-"),
    "reward_classifier": ("argmax of cross-entropy", ORANGE, "--"),
}


@styled
def plot_drift(run: Run, ax: Any = None, *, metric: str = "distance") -> Any:
    """A number against the level of corruption, a line per corruption: mean over seeds, their range shaded.

    How to read it, for the distance: a line that falls to 0 is a network that ends at the class shares, the optimal
    constant. Fading to zero goes there; the others stop half-way, turn round or never set out.

    Args:
        run: of `lossbook.experiments.extrapolation`.
        ax: matplotlib axes; None makes new ones.
        metric: "distance", "entropy", "accuracy", "abstains", or "signal_1" and so on for one layer.

    Raises:
        ValueError: another metric.
    """
    signals = [column for column in run.history if column.startswith("signal_")]
    check_choice("metric", metric, [*LABELS, *signals])
    ax = axes_of(ax)
    for i, (name, rows) in enumerate(run.history.groupby("setting", sort=False)):
        by_level = rows.groupby("level")[metric]
        ax.plot(by_level.mean(), label=name, **look(i))
        ax.fill_between(
            by_level.min().index, by_level.min(), by_level.max(), color=look(i)["color"], alpha=0.12, linewidth=0
        )
    layer = metric.removeprefix("signal_")
    ax.set(xlabel="level of corruption", ylabel=LABELS.get(metric, f"‖W φ‖ of layer {layer}, clean = 1"))
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=9)
    return ax


@styled
def plot_reward(run: Run, ax: Any = None, *, corruption: str = "fade to zero") -> Any:
    """Mean reward per image against the level of one corruption: the reward agent, the classifier and the oracle.

    How to read it: at 0 nothing is won or lost, which abstaining always earns. The classifier goes on answering and
    pays; the agent should follow the oracle down to 0 and stay there.

    Args:
        run: of `lossbook.experiments.extrapolation`.
        ax: matplotlib axes; None makes new ones.
        corruption: one of `lossbook.experiments.extrapolation.CORRUPTIONS`.

    Raises:
        ValueError: another corruption.
    """
    check_choice("corruption", corruption, CORRUPTIONS)
    ax = axes_of(ax)
    rows = run.history[run.history["setting"] == corruption]
    for column, (label, colour, dash) in AGENTS.items():
        by_level = rows.groupby("level")[column]
        ax.plot(by_level.mean(), color=colour, linestyle=dash, label=label)
        ax.fill_between(by_level.min().index, by_level.min(), by_level.max(), color=colour, alpha=0.15, linewidth=0)
    ax.axhline(0, color=INK, linewidth=1)
    ax.set(xlabel="level of corruption", ylabel="mean reward", title=corruption)
    ax.legend(loc="lower left")
    return ax


class Prediction(NamedTuple):
    """The artists of the prediction panel."""

    bars: Any
    marks: Any
    image: Any


@styled
def start_prediction(ax: Any, run: Run) -> Prediction:
    """Bars for the mean prediction, a line for the class shares, and one image with the prediction for it alone."""
    first = run.snapshots[0].arrays
    classes = len(first["shares"])
    edges = np.arange(classes + 1) - 0.5
    bars = ax.stairs(np.zeros(classes), edges, fill=True, color=BLUE, alpha=0.3, label="mean prediction")
    ax.stairs(first["shares"], edges, baseline=None, color=ORANGE, linewidth=2.4, label="class shares π")
    (marks,) = ax.plot(
        range(classes), np.zeros(classes), "D", color=INK, markersize=6, label="for this image", clip_on=False
    )
    picture = OffsetImage(
        _square(first["image"]), zoom=56 / len(_square(first["image"])), cmap="gray_r", interpolation="nearest"
    )
    picture.image.set_clim(0, 1)
    ax.add_artist(AnnotationBbox(picture, (0.98, 0.97), xycoords="axes fraction", box_alignment=(1, 1), pad=0.1))
    ax.set_yscale(
        "function", functions=(lambda p: np.sqrt(np.maximum(p, 0)), np.square)
    )  # shares of 0.03 and of 1 both show
    ax.set(xlim=(-0.5, classes - 0.5), ylim=(0, 2), xlabel="class", ylabel="probability (square-root scale)")
    ax.set_xticks(range(classes))
    ax.set_yticks([0, 0.01, 0.05, 0.1, 0.2, 0.5, 1])
    ax.legend(loc="upper left")
    return Prediction(bars, marks, picture)


def _square(image: np.ndarray) -> np.ndarray:
    return image.reshape(round(image.size**0.5), -1)


def update_prediction(artists: Prediction, snapshot: Snapshot) -> str:
    """Move the bars to a snapshot; say where the mean prediction stands against the class shares."""
    prediction, shares, alone = (snapshot.arrays[name] for name in ("prediction", "shares", "image_prediction"))
    artists.bars.set_data(prediction)
    artists.marks.set_ydata(alone)
    artists.image.set_data(_square(snapshot.arrays["image"]))
    furthest, likeliest = int(np.abs(prediction - shares).argmax()), int(alone.argmax())
    there, share = (in_words(float(array[furthest])) for array in (prediction, shares))
    return (
        f"the mean prediction is furthest from the class shares at class {furthest}, {there} against {share}; "
        f"for this image alone class {likeliest} gets {in_words(float(alone.max()))}"
    )


PREDICTION_PANEL = (start_prediction, update_prediction)
"""What the network says of one image, a panel of `TrainingExplorer`."""
