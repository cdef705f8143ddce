"""The chart of chapter 10: how hard each loss pulls, compared with cross-entropy, where the network is how sure.

Everything is read off `record.slope`. Where a loss's gradient is w (p − e_y) with a weight w that depends on p_y alone,
the slice on which it is read does not matter; `has_one_weight` finds out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbook.catalog import Record, find
from lossbook.checks import check_choice, check_count
from lossbook.figures.style import GREY, axes_of, look, styled

CHART = {
    "cross_entropy": "Label smoothing",
    "poly_loss": "PolyLoss",
    "taylor_cross_entropy": "Taylor cross-entropy",
    "focal_loss": "Focal",
    "comp_sum_loss": "Comp-sum",
    "direct_coverage_loss": "Direct coverage",
    "squentropy_loss": "Squentropy",
    "taylor_softmax_loss": "Taylor softmax",
    "dual_focal_loss": "Dual focal",
    "ldr_kl_loss": "LDR-KL",
}
STARTS: dict[str, dict[str, float]] = {
    "cross_entropy": {"label_smoothing": 0.1},  # at their defaults these three are cross-entropy itself, or off it
    "comp_sum_loss": {"tau": 1.7},
    "direct_coverage_loss": {"samples": 8.0},
}
CONFIDENCES = np.linspace(0.004, 0.996, 249)
KINDS = {
    "weight": ("Weight: cross-entropy's is 1", "weight $w$"),
    "pull": ("Pull on the right score", "pull $-\\partial\\ell/\\partial z_y$"),
}
LIMITS = {"weight": (-0.6, 4.2), "pull": (-0.35, 1.75)}
ONE_WEIGHT, OTHER = "-", (0, (4, 2))  # the form w (p − e_y), and what is not of it
EVERY = 31  # points from marker to marker


def start_of(key: str) -> dict[str, float]:
    """Where the chart begins with a loss: its defaults, but for the few that would hide in cross-entropy."""
    check_choice("key", key, CHART)
    return find(key).defaults | STARTS.get(key, {})


def pulls(record: Record, confidence: Any, classes: int, parameters: Mapping[str, float]) -> np.ndarray:
    """−∂ℓ/∂z_y where the right class has the probability `confidence` and the scores of all others are 0.

    Args:
        record: of a loss of logits.
        confidence: (n,) probabilities p_y, above 0 and below 1.
        classes: V, at least 2.
        parameters: of the loss.

    Example:
        >>> pulls(find("cross_entropy"), [0.25, 0.9], 10, {}).round(3).tolist()
        [0.75, 0.1]
    """
    check_count("classes", classes, least=2)
    return -_slopes(record, _rows(confidence, classes), parameters)[:, 0].numpy()


def weights(record: Record, confidence: Any, classes: int, parameters: Mapping[str, float]) -> np.ndarray:
    """The pull on the right score over cross-entropy's, 1 − p_y. Arguments as in `pulls`.

    Example:
        >>> weights(find("poly_loss"), [0.25, 0.5], 10, {"epsilon": 2.0}).round(6).tolist()          # 1 + ε p_y
        [1.5, 2.0]
    """
    return pulls(record, confidence, classes, parameters) / (1 - np.asarray(confidence, dtype=float))


def has_one_weight(record: Record, parameters: Mapping[str, float]) -> bool:
    """Whether the gradient is w (p − e_y) with a weight that depends on p_y alone: on rows of unequal scores, too.

    Example:
        >>> has_one_weight(find("focal_loss"), {"gamma": 2.0}), has_one_weight(find("squentropy_loss"), {})
        (True, False)
    """
    rows = 2 * torch.cos(torch.arange(40, dtype=torch.float64).square()).reshape(8, 5)
    own = torch.softmax(rows, -1)
    wanted = torch.as_tensor(weights(record, own[:, 0].numpy(), 5, parameters))[:, None] * own
    wanted[:, 0] = -torch.as_tensor(pulls(record, own[:, 0].numpy(), 5, parameters))
    return bool(torch.allclose(_slopes(record, rows, parameters), wanted, rtol=1e-9, atol=1e-12))


@styled
def plot_weights(
    losses: Sequence[tuple[str, str, Mapping[str, float]]],
    ax: Any = None,
    *,
    kind: str = "weight",
    classes: int = 10,
    title: str | None = None,
) -> Any:
    """The weight on p − e_y of several losses against the confidence in the right class, or their pull on its score.

    How to read it: cross-entropy is the level line at 1. A line that falls to the right lets go of what is learned, one
    that falls to the left gives up what is far from it. Solid lines hold for any scores; a dashed one only where all
    wrong scores are 0, for its gradient has another shape.

    Args:
        losses: (name in the legend, key of the loss, its parameters) each.
        ax: matplotlib axes; None makes new ones.
        kind: "weight", or "pull" for −∂ℓ/∂z_y.
        classes: V, which matters to dashed lines.
        title: above the picture; None says what is drawn.

    Raises:
        ValueError: another kind, or no such loss.
    """
    check_choice("kind", kind, KINDS)
    ax = axes_of(ax)
    read = weights if kind == "weight" else pulls
    reference = read(find("cross_entropy"), CONFIDENCES, classes, {})
    ax.plot(CONFIDENCES, reference, color=GREY, linewidth=4, alpha=0.5, label="cross-entropy", zorder=1)
    for i, (name, key, parameters) in enumerate(losses):
        record = find(key)
        own = chart_look(i) | {"linestyle": ONE_WEIGHT if has_one_weight(record, parameters) else OTHER}
        ax.plot(CONFIDENCES, read(record, CONFIDENCES, classes, parameters), label=name, **own)
    dress(ax, kind)
    if title is not None:
        ax.set_title(title)
    ax.legend(fontsize=10)
    return ax


def chart_look(i: int) -> dict[str, Any]:
    """Colour and marker of line `i`; its dash is left to say what form its gradient has."""
    return look(i, marker=True) | {"linestyle": ONE_WEIGHT, "markevery": (3 * i, EVERY), "markersize": 6}


def dress(ax: Any, kind: str) -> None:
    """Title, labels and limits of a panel."""
    title, label = KINDS[kind]
    ax.axhline(0, color="#888888", linewidth=1, zorder=0.5)
    ax.set(title=title, xlabel="confidence $p_y$ in the right class", ylabel=label, xlim=(0, 1), ylim=LIMITS[kind])


def _rows(confidence: Any, classes: int) -> Tensor:
    """A row for each confidence: the right class first, all others at 0."""
    p = torch.as_tensor(np.asarray(confidence, dtype=float))
    rows = torch.zeros(len(p), classes, dtype=torch.float64)
    rows[:, 0] = torch.log(p) - torch.log1p(-p) + np.log(classes - 1)
    return rows


def _slopes(record: Record, rows: Tensor, parameters: Mapping[str, float]) -> Tensor:
    return record.slope(rows, torch.zeros(len(rows), dtype=torch.long), **parameters).detach()
