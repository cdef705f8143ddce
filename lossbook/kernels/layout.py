"""Which parts of a state each statistic needs, and where statistics and parts stand in the kernels' memory."""

from collections.abc import Iterable

from lossbook.kernels.statistics import NAMES

STATISTICS = tuple(NAMES)
PARTS = {
    "maximum": ("logsumexp", "max", "log_probability", "log_probability_sum", "soft_log_probability", "entropy"),
    "ties": ("max",),
    "exponentials": ("logsumexp", "max", "log_probability", "log_probability_sum", "soft_log_probability", "entropy"),
    "weighted_exponentials": ("entropy",),
    "weighted": ("log_probability_sum",),
    "weight": ("log_probability_sum",),
    "soft": ("soft_log_probability",),
    "soft_weight": ("soft_log_probability",),
    "sum": ("sum", "mean"),
    "square_sum": ("square_sum",),
    "softplus_sum": ("softplus_sum",),
    "stablemax_sum": ("stablemax_sum",),
    "count": ("variance",),
    "average": ("variance",),
    "deviations": ("variance",),
    "others_maximum": ("others_logsumexp",),
    "others": ("others_logsumexp",),
    "target": ("target", "log_probability"),
}


def places(names: Iterable[str]) -> tuple[int, ...]:
    """Where each statistic stands among the names asked for; -1 where it does not.

    >>> places(("logsumexp", "target"))[:3]
    (1, 0, -1)
    """
    names = list(names)
    return tuple(names.index(name) if name in names else -1 for name in STATISTICS)


def slots(names: Iterable[str]) -> tuple[int, ...]:
    """Where each part of the state that the names need is kept; -1 where none needs it.

    >>> slots(("logsumexp",))[:4]
    (0, -1, 1, -1)
    """
    asked, found, taken = set(names), [], 0
    for users in PARTS.values():
        needed = not asked.isdisjoint(users)
        found.append(taken if needed else -1)
        taken += needed
    return tuple(found)
