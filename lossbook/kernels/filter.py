"""The gradient filter of cut cross-entropy: which blocks of a gradient may be left out, and in what order to look.

As published: where every |p_j − [j = y]| of a block of 128 x 128 is below ε, the block is left out of
the gradients. It pays where softmax is peaked and classes are sorted by their mean logit, so that those that matter
share blocks; and it lies where what it leaves out adds up. Per row, the gradient by the logits is off by less than ε
times the derivative by L in each entry. Off unless asked for.

Reference: Wijmans, Huval, Hertzberg, Koltun and Krähenbühl 2025, arXiv 2411.09009 (cut cross-entropy).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbook.kernels.linear import Linear, spans
from lossbook.kernels.statistics import Rows, accumulation_dtype, add_at_targets_

FILTER_BLOCK = 128  # rows and classes that are left out together
CAN_FILTER = frozenset({"target", "logsumexp", "log_probability"})


class Order(NamedTuple):
    """The order in which classes are visited."""

    classes: Tensor  # (classes,) the class at each place
    places: Tensor  # (classes,) the place of each class


def check_filter(names: tuple[str, ...], below: float | None) -> None:
    """Refuse a gradient filter where something besides p_j − [j = y] makes the gradient."""
    cannot = [name for name in names if name not in CAN_FILTER]
    if below is not None and cannot:
        raise ValueError(
            f"gradient_filter: got {below}, expected None: the gradient of {', '.join(cannot)} does not die with p"
        )


def by_mean_logit(linear: Linear) -> Order:
    """Classes by their mean logit, which takes one look at the weight: the mean of w_j · x_i is w_j · (the mean x)."""
    dtype = accumulation_dtype(linear.features.dtype)
    mean = linear.features.mean(0, dtype=dtype).to(linear.weight.dtype)
    logits = linear.weight @ mean if linear.bias is None else torch.addmv(linear.bias, linear.weight, mean)
    classes = logits.argsort(stable=True)
    places = torch.empty_like(classes)
    places[classes] = torch.arange(len(classes), device=classes.device)
    return Order(classes, places)


def alive_columns(
    seen: Rows, log_p: Any, coefficients: dict[str, Tensor | None], below: float | None
) -> list[tuple[slice, Tensor]]:
    """For each strip of rows, which classes lie in blocks that the filter keeps."""
    distance = log_p.exp()
    add_at_targets_(distance, seen.target, distance.new_full((len(distance),), -1.0))
    # ∂loss/∂z_j is c (p_j − [j = y]) and, where z_y and L do not enter as z_y − L only, some more at the target; the
    # published test does not see that, so a block that holds it is kept.
    given = [coefficients[name] for name in ("target", "logsumexp") if coefficients.get(name) is not None]
    if given:
        more = torch.stack(given).sum(0) != 0  # type: ignore[arg-type]
        add_at_targets_(distance, seen.target, distance.new_full((len(distance),), torch.inf).where(more, 0.0))
    return [(strip, _live_columns(distance[strip], below)) for strip in spans(len(distance), FILTER_BLOCK)]


def _live_columns(distance: Tensor, below: Any) -> Tensor:
    """Which columns lie in a block where some distance is not below the bound; NaN is not."""
    peaks = distance.abs().amax(0).split(FILTER_BLOCK)
    return torch.cat([(~(peak.amax() < below)).expand(len(peak)) for peak in peaks])
