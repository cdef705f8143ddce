"""What a statistic keeps of a row while it has seen only some of the columns, and how two such states become one.

A row may be cut anywhere: into tiles, into the slices of several processes. Each piece leaves a few numbers, `combine`
joins the numbers of two pieces, and `finish` turns those of the whole row into the statistics. The joins are a closed
set: a sum; a maximum with its ties; a maximum m with sums of exp(z_j − m) that are scaled as m moves; sums of w_j (z_j
− m) that are shifted as m moves, so that nothing cancels however far from zero the scores lie; and Chan's count, mean
and squared deviations. Each is associative to rounding and has an identity, the state of no columns.

Reference: Chan, Golub and LeVeque 1979 (variance); Milakov and Gimelshein 2018, arXiv 1805.02867 (online softmax).
"""

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lossbook.kernels.statistics import Rows, Whole, soft_weight, stablemax_map, without_targets

State = dict[str, Tensor]  # field -> (rows,)

_SOFTMAX = ("max", "exp_sum")
FIELDS = {
    "target": ("target",),
    "logsumexp": _SOFTMAX,
    "max": ("max", "ties"),
    "sum": ("sum",),
    "square_sum": ("square_sum",),
    "softplus_sum": ("softplus_sum",),
    "stablemax_sum": ("stablemax_sum",),
    "mean": ("sum", "count"),
    "variance": ("count", "centre", "remainder", "deviations"),
    "others_logsumexp": ("others_max", "others_exp_sum"),
    "entropy": (*_SOFTMAX, "exp_moment"),
    "log_probability": (*_SOFTMAX, "target"),
    "log_probability_sum": (*_SOFTMAX, "mass", "moment"),
    "soft_log_probability": (*_SOFTMAX, "soft_mass", "soft_moment"),
}
_ORDER = tuple(dict.fromkeys(field for name in ("logsumexp", *FIELDS) for field in FIELDS[name]))
_IDENTITY = {"max": -torch.inf, "others_max": -torch.inf}  # of all other fields it is 0


def fields(names: Iterable[str]) -> tuple[str, ...]:
    """What the named statistics keep of a row, each once, in an order that does not depend on that of the names.

    >>> fields(("log_probability", "logsumexp"))
    ('max', 'exp_sum', 'target')
    """
    wanted = {field for name in names for field in FIELDS[name]}
    return tuple(field for field in _ORDER if field in wanted)


def empty(names: Iterable[str], rows: int, like: Tensor) -> State:
    """The state of rows of which no column has been seen."""
    return {field: like.new_full((rows,), _IDENTITY.get(field, 0.0)) for field in fields(names)}


def state(names: Iterable[str], rows: Rows) -> State:
    """What the named statistics keep of a block of columns; class indices count from the block's first column."""
    names, logits = tuple(names), rows.logits
    if logits.shape[-1] == 0:
        return empty(names, len(logits), logits)
    wanted, kept = fields(names), {}
    if "max" in wanted:
        kept["max"] = logits.amax(-1)
    if "exp_sum" in wanted:
        shifted = logits - _reference(kept["max"])[:, None]
        weights = shifted.exp()
        kept["exp_sum"] = weights.sum(-1)
        if "exp_moment" in wanted:
            kept["exp_moment"] = torch.where(weights == 0, 0.0, weights * shifted).sum(-1)
    if "centre" in wanted:
        kept["centre"] = logits.mean(-1)
        apart = logits - kept["centre"][:, None]
        kept["remainder"] = apart.mean(-1)  # what rounding took from the mean: at scores of 10⁴, too much to lose
        kept["deviations"] = apart.sub_(kept["remainder"][:, None]).square_().sum(-1)
    if "others_max" in wanted:
        others = without_targets(logits, rows.target)
        kept["others_max"] = others.amax(-1)
        kept["others_exp_sum"] = others.sub_(_reference(kept["others_max"])[:, None]).exp_().sum(-1)
    for field in wanted:
        if field not in kept:
            kept[field] = _sum(field, rows, kept, shifted if "exp_sum" in wanted else logits)
    return {field: kept[field] for field in wanted}


def _sum(field: str, rows: Rows, kept: State, shifted: Tensor) -> Tensor:
    """A field that is a sum over the columns."""
    logits, target, weight = rows
    count, columns = logits.shape
    match field:
        case "target":
            here = (target >= 0) & (target < columns)
            found = logits.gather(-1, torch.where(here, target, 0)[:, None]).squeeze(-1)
            return torch.where(here, found, 0.0)
        case "ties":
            return (logits == kept["max"][:, None]).to(logits.dtype).sum(-1)
        case "sum":
            return logits.sum(-1)
        case "square_sum":
            return logits.square().sum(-1)
        case "softplus_sum":
            return softplus(logits, threshold=40).sum(-1)  # torch's 20 loses 2e-9
        case "stablemax_sum":
            return stablemax_map(logits).sum(-1)
        case "count":
            return logits.new_full((count,), columns)
        case "mass":
            return logits.new_full((count,), columns) if weight is None else weight.sum().expand(count).clone()
        case "moment":
            return (shifted if weight is None else shifted * weight).sum(-1)
        case "soft_mass":
            return soft_weight(rows).sum(-1)
        case "soft_moment":
            soft = soft_weight(rows)
            return torch.where(soft == 0, 0.0, shifted * soft).sum(-1)  # 0 log 0 is 0
    raise KeyError(field)


def combine(first: State, second: State) -> State:
    """The state of the columns of two blocks together."""
    parts = (first, second)
    both = {field: first[field] + second[field] for field in first}  # right for the plain sums
    for peak, exp_sum in (("max", "exp_sum"), ("others_max", "others_exp_sum")):
        if peak in both:
            both[peak] = torch.maximum(first[peak], second[peak])
        if exp_sum in both:
            both[exp_sum] = sum(_scaled(part[exp_sum], part[peak], both[peak]) for part in parts)  # type: ignore[assignment]
    if "exp_moment" in both:
        # Σ e^(z − m') (z − m') = e^(m − m') (Σ e^(z − m) (z − m) + (m − m') Σ e^(z − m))
        moved = [part["exp_moment"] + _shift(part["max"], both["max"], part["exp_sum"]) for part in parts]
        scaled = [_scaled(moment, part["max"], both["max"]) for moment, part in zip(moved, parts, strict=True)]
        both["exp_moment"] = scaled[0] + scaled[1]
    for moment, mass in (("moment", "mass"), ("soft_moment", "soft_mass")):
        if moment in both:
            both[moment] += sum(_shift(part["max"], both["max"], part[mass]) for part in parts)
    if "ties" in both:
        both["ties"] = sum(part["ties"] * (part["max"] == both["max"]) for part in parts)  # type: ignore[assignment]
    if "centre" in both:
        both |= _combine_means(first, second, both["count"])
    return both


def combine_all(parts: Iterable[State]) -> State:
    """The state of many blocks together, from the first to the last: always the same order, always the same bits."""
    return reduce(combine, parts)


def _combine_means(first: State, second: State, count: Tensor) -> State:
    """Chan's update, the mean kept as a sum of two floats."""
    share = second["count"] / count.clamp(min=1)
    apart = (second["centre"] - first["centre"]) + (second["remainder"] - first["remainder"])
    step = apart * share
    centre = first["centre"] + step
    rounded = centre - first["centre"]
    lost = (first["centre"] - (centre - rounded)) + (step - rounded)  # exactly what the addition rounded away
    deviations = first["deviations"] + second["deviations"] + apart.square() * share * first["count"]
    found = {"centre": centre, "remainder": first["remainder"] + lost, "deviations": deviations}
    return {field: torch.where(first["count"] == 0, second[field], number) for field, number in found.items()}


def _reference(peak: Tensor) -> Tensor:
    """What scores are measured from: the maximum, and 0 where that is infinite, so that no ∞ − ∞ arises."""
    return torch.where(peak.isinf(), 0.0, peak)


def _scaled(total: Tensor, peak: Tensor, new_peak: Tensor) -> Tensor:
    """A sum of exp(z − m) as one of exp(z − m'): 0 for a block of −∞; one with m = ∞ was measured from 0 already."""
    return _product(total, torch.where(peak == torch.inf, 1.0, (peak - _reference(new_peak)).exp()))


def _product(number: Tensor, factor: Tensor) -> Tensor:
    """A product that is 0 where the factor is, whatever the number."""
    return torch.where(factor == 0, 0.0, number * factor)


def _shift(peak: Tensor, new_peak: Tensor, mass: Tensor) -> Tensor:
    """What a sum of w (z − m) gains when z is measured from m': (m − m') Σ w."""
    return _product(_reference(peak) - _reference(new_peak), mass)


def finish(names: Iterable[str], kept: State) -> dict[str, Tensor]:
    """The named statistics, from the state of whole rows."""
    return {name: _finish(name, kept) for name in names}


def _finish(name: str, kept: State) -> Tensor:
    match name:
        case "logsumexp":
            return _reference(kept["max"]) + kept["exp_sum"].log()
        case "mean":
            return kept["sum"] / kept["count"]
        case "variance":
            return kept["deviations"] / kept["count"]
        case "others_logsumexp":
            return _reference(kept["others_max"]) + kept["others_exp_sum"].log()
        case "entropy":
            return kept["exp_sum"].log() - kept["exp_moment"] / kept["exp_sum"]
        case "log_probability":
            return kept["target"] - _reference(kept["max"]) - kept["exp_sum"].log()
        case "log_probability_sum":
            return kept["moment"] - kept["mass"] * kept["exp_sum"].log()
        case "soft_log_probability":
            return kept["soft_moment"] - _product(kept["exp_sum"].log(), kept["soft_mass"])
    return kept[name]


def log_probabilities(logits: Tensor, kept: State) -> Tensor:
    """z_j − L of a block of columns, from the state of its whole rows.

    Formed as (z_j − m) − log Σ exp(z − m): L itself, rounded at scores of 10⁴, would be wrong by 10⁻³.
    """
    return (logits - _reference(kept["max"])[:, None]).sub_(kept["exp_sum"].log()[:, None])


def whole(names: Iterable[str], kept: State, classes: int) -> Whole:
    """What the gradient of a block of columns must know of its whole rows."""
    numbers = finish(names, kept)
    if "centre" in kept:
        numbers["mean"] = kept["centre"] + kept["remainder"]
    return Whole(
        classes,
        numbers,
        kept.get("ties"),
        kept.get("mass", 1.0),
        kept.get("soft_mass"),
    )


def need_softmax(names: Iterable[str]) -> bool:
    """Whether a gradient of one of the statistics holds the probabilities."""
    return "exp_sum" in fields(names)


def at(kept: State, rows: slice) -> State:
    """The state of some of the rows."""
    return {field: number[rows] for field, number in kept.items()}


def pack(kept: State) -> Tensor:
    """The state as one tensor, (fields, rows), to save or to send."""
    return torch.stack(tuple(kept.values()))


def unpack(names: Iterable[str], packed: Tensor) -> State:
    """The state that `pack` made a tensor of."""
    return dict(zip(fields(names), packed, strict=True))
