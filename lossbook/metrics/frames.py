"""The frames that class weights and features end in where features are free: closed forms, of any depth.

The problem behind them: features H (units, examples) that may be anything, then M linear layers W = W_M ... W_1,

    (1/N) Σ_i ℓ(W h_i + b, y_i) + (λ_W/2) Σ_m ‖W_m‖² + (λ_H/2) ‖H‖²,

with ℓ half the squared error to the one-hot target, or cross-entropy. b is 0, or free and without decay. The hidden
layers have at least as many units as there are classes, so that no frame lacks room.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_choice, check_count, check_number

HALVINGS = 200  # more than float64 has bits: bisection ends at neighbouring numbers
LARGEST_SCALE, SCALES_TRIED = 700.0, 2000  # of the logits: beyond, their exponential is no number


class Geometry(NamedTuple):
    """A global minimum, up to a rotation of the units; all in float64.

    weight: W Wᵀ (classes, classes), W the product of the layers. means: H̄ᵀ H̄ (classes, classes), H̄ the class means.
    outputs: W H̄ (classes, classes), without the bias. bias: (classes,). objective: its value, decay included.
    """

    weight: Tensor
    means: Tensor
    outputs: Tensor
    bias: Tensor
    objective: float


def chain_minimum(price: float, layers: int, *, local: bool = False) -> float:
    """Where one class ends: the x ≥ 0 that minimises what its error and its length cost.

        1/(x^M + 1) + price · x

    Args:
        price: what a unit of x costs, at least 0; above 0.
        layers: M, at least 1.
        local: take the outer minimum even where 0 costs less.

    Returns:
        x; exactly 0 where nothing pays. For M = 1 it falls to 0 as the price rises to 1; for M ≥ 2 it jumps to 0 from
        (M − 1)^(1/M), at the price (M − 1)^((M − 1)/M)/M.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> round(chain_minimum(0.25, 1), 6)                           # M = 1: 1/√price − 1
        1.0
        >>> chain_minimum(0.57, 2), round(chain_minimum(0.57, 2, local=True), 3)
        (0.0, 0.856)

    Reference: Dang et al. 2023, arXiv 2301.00437.
    """
    price = check_number("price", price, above=0)
    check_count("layers", layers)

    def slope(x: float) -> float:
        """What x gains less what it costs, to first order."""
        return layers * x ** (layers - 1) / (x**layers + 1) ** 2 - price

    if price >= _highest_price(layers, local=local):
        return 0.0
    return _root(slope, _steepest(layers), (layers / price) ** (1 / (layers + 1)))  # there M/x^(M + 1) is the price


def _steepest(layers: int) -> float:
    """The x of the fastest gain: the outer minimum lies beyond it."""
    return ((layers - 1) / (layers + 1)) ** (1 / layers)


def _highest_price(layers: int, *, local: bool = False) -> float:
    """From this price on 0 costs least; `local`, there is no other minimum."""
    if local:
        x = _steepest(layers)
        return layers * x ** (layers - 1) / (x**layers + 1) ** 2
    return (layers - 1) ** ((layers - 1) / layers) / layers


def squared_error_geometry(
    sizes: Sequence[int],
    *,
    layers: int = 1,
    weight_decay: float,
    feature_decay: float,
    bias: bool = False,
    local: bool = False,
) -> Geometry:
    """The global minimum for the squared error: a frame per class size, in which small classes are short or gone.

        s_k^{2M} = N λ_H x_k^M,  x_k = argmin 1/(x^M + 1) + x b/n_k,  b = M N λ_W (N λ_H)^{1/M}
        W Wᵀ = diag(s_k^{2M}),  W H̄ = diag(s_k^{2M}/(s_k^{2M} + N λ_H)),  H̄ᵀ H̄ = diag(s_k^{2M}/(s_k^{2M} + N λ_H)²)

    With a free bias the one-hot targets are centred, and the eigenvectors of diag(n) − n nᵀ/N take the place of the
    classes, its eigenvalues that of their sizes: a simplex ETF for equal classes.

    Args:
        sizes: examples of each class, two classes or more.
        layers: M, linear layers above the features.
        weight_decay: λ_W, of each layer; above 0.
        feature_decay: λ_H; above 0.
        bias: whether the last layer has a bias, free of decay.
        local: keep a class at its outer minimum even where 0 costs less, as the released code of the paper does.

    Returns:
        The Geometry.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> found = squared_error_geometry((40, 20, 10), layers=2, weight_decay=1e-3, feature_decay=1e-3)
        >>> [round(x, 4) for x in found.weight.diagonal().tolist()]
        [11.6026, 7.2746, 4.548]
        >>> found = squared_error_geometry((45, 12, 13), weight_decay=0.05, feature_decay=0.05)
        >>> [round(x, 4) for x in found.weight.diagonal().tolist()]    # M = 1: gone from n_k = N² λ_W λ_H = 12.25 down
        [3.2082, 0.0, 0.1056]

    Reference: Dang et al. 2023, arXiv 2301.00437; Mixon, Parshall & Pi 2020, arXiv 2011.11619 (M = 1).
    """
    counts = _counts(sizes)
    check_count("layers", layers)
    weight_decay = check_number("weight_decay", weight_decay, above=0)
    feature_decay = check_number("feature_decay", feature_decay, above=0)
    total = counts.sum()
    share = counts / total if bias else torch.zeros_like(counts)
    strengths, basis = torch.linalg.eigh(torch.diag(counts) - total * torch.outer(share, share))
    floor = float(total) * feature_decay
    price = layers * float(total) * weight_decay * floor ** (1 / layers)  # b; a class of size n pays b/n
    least = 1e-12 * float(total)  # the eigenvalue that centring takes away is 0 but for rounding
    reach = [chain_minimum(price / n, layers, local=local) if n > least else 0.0 for n in strengths.tolist()]
    x = torch.tensor(reach, dtype=torch.float64)
    gain = floor * x**layers  # s^{2M}
    seen = torch.eye(len(counts), dtype=torch.float64) - share[:, None]  # what is left of the class means' targets

    def built(values: Tensor) -> Tensor:
        return basis @ torch.diag(values) @ basis.T

    cost = (strengths * (1 / (x**layers + 1))).sum() / (2 * total) + price * x.sum() / (2 * total)
    return Geometry(
        built(gain),
        seen.T @ built(gain / (gain + floor) ** 2) @ seen,
        built(gain / (gain + floor)) @ seen,
        share,
        float(cost),
    )


def vanishing_weight_decay(
    sizes: Sequence[int], *, layers: int = 1, feature_decay: float, local: bool = False
) -> Float[Tensor, " classes"]:
    """The weight decay from which on a class has vanished under the squared error without bias.

        λ_W = n_k (M − 1)^{(M − 1)/M}/(M² N (N λ_H)^{1/M});   M = 1: n_k/(N² λ_H)

    Args:
        sizes, layers, feature_decay: as in `squared_error_geometry`.
        local: the decay up to which the outer minimum exists at all, global or not.

    Returns:
        One number a class, in the order given: the larger a class, the more it stands.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> vanishing_weight_decay((40, 20, 10), feature_decay=1e-3).round(decimals=3).tolist()
        [8.163, 4.082, 2.041]

    Reference: Dang et al. 2023, arXiv 2301.00437.
    """
    counts = _counts(sizes)
    check_count("layers", layers)
    floor = float(counts.sum()) * check_number("feature_decay", feature_decay, above=0)
    return counts * _highest_price(layers, local=local) / (layers * counts.sum() * floor ** (1 / layers))


def cross_entropy_geometry(
    classes: int,
    size: int,
    *,
    layers: int = 1,
    weight_decay: float,
    feature_decay: float,
    frame: str = "simplex",
) -> Geometry:
    """The least of the cross-entropy on classes of one size among the solutions of one shape, with the logits' scale α.

        W H̄ = α F,  α minimises the error + r (M + 1)/2 · λ_W s²,  s² = (α σ √(n λ_H/λ_W))^{2/(M + 1)}
        W Wᵀ = s^{2M} F/σ,  H̄ᵀ H̄ = s² λ_W/(n λ_H) F/σ
        simplex: F = I − 11ᵀ/K, rank r = K − 1, σ = 1;  the error is log(1 + (K − 1) e^{−α})
        pairs: F is 1 on the diagonal and −1 for the partner, r = K/2, σ = 2;  log(1 + (K − 2) e^{−α} + e^{−2α})

    For M = 1 the simplex is the global minimum. Each layer more makes a direction dearer next to its length, and frames
    of fewer dimensions, such as K/2 axes with a class at either end, pass below the simplex: K = 4 from M = 3 on.

    Args:
        classes: K, at least 2; even for "pairs".
        size: n, examples of each class.
        layers, weight_decay, feature_decay: as in `squared_error_geometry`.
        frame: "simplex", or "pairs": the classes 2k and 2k + 1 opposite each other.

    Returns:
        The Geometry; the bias is 0 whether there is one or not.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> found = cross_entropy_geometry(4, 10, weight_decay=0.01, feature_decay=0.01)
        >>> scale = float(found.outputs[0, 0] - found.outputs[0, 1])
        >>> abs(scale - math.log(1 / (0.01 * 10**0.5) - 3)) < 1e-12     # M = 1: log(1/√(n λ_W λ_H) − K + 1)
        True
        >>> decay = {"weight_decay": 1e-3, "feature_decay": 1e-3}
        >>> [cross_entropy_geometry(4, 10, layers=m, frame="pairs", **decay).objective
        ...  < cross_entropy_geometry(4, 10, layers=m, **decay).objective for m in (1, 2, 3)]
        [False, False, True]

    Limits: the simplex of M = 1 is 0 from n λ_W λ_H = 1/K² on.
    Reference: Zhu et al. 2021, arXiv 2105.02375; Garrod & Keating 2024, arXiv 2410.23169 (why not the simplex).
    """
    check_count("classes", classes, least=2)
    check_count("size", size)
    check_count("layers", layers)
    weight_decay = check_number("weight_decay", weight_decay, above=0)
    feature_decay = check_number("feature_decay", feature_decay, above=0)
    check_choice("frame", frame, ("simplex", "pairs"))
    one = torch.eye(classes, dtype=torch.float64)
    if frame == "pairs":
        if classes % 2:
            raise bad_value("classes", classes, "an even number, so that each has a partner")
        shape, rank, strength = one - one[torch.arange(classes) ^ 1], classes // 2, 2.0
        wrong = torch.tensor([[classes - 2, 1.0], [1.0, 2.0]], dtype=torch.float64)
    else:
        shape, rank, strength = one - 1 / classes, classes - 1, 1.0
        wrong = torch.tensor([[classes - 1], [1.0]], dtype=torch.float64)
    counts, gaps = wrong.tolist()  # how many wrong classes lie how many α below
    stretch = strength * math.sqrt(size * feature_decay / weight_decay)
    power = 2 / (layers + 1)

    def objective(scale: float) -> float:
        missed = sum(n * math.exp(-gap * scale) for n, gap in zip(counts, gaps, strict=True))
        return math.log1p(missed) + rank * (layers + 1) / 2 * weight_decay * (scale * stretch) ** power

    def pull(scale: float) -> float:
        """What a larger scale gains in error, less what it costs in decay."""
        masses = [n * math.exp(-gap * scale) for n, gap in zip(counts, gaps, strict=True)]
        gained = sum(gap * mass for gap, mass in zip(gaps, masses, strict=True)) / (1 + sum(masses))
        return gained - rank * weight_decay * stretch**power * scale ** (power - 1)

    inwards = torch.logspace(math.log10(LARGEST_SCALE), -12, SCALES_TRIED, dtype=torch.float64).tolist()
    found = next(((low, high) for high, low in pairwise(inwards) if pull(low) > 0), None)  # the outermost minimum
    scale = 0.0 if found is None else _root(pull, *found)
    scale = scale if objective(scale) < objective(0.0) else 0.0
    length = (scale * stretch) ** power  # s²
    return Geometry(
        length**layers / strength * shape,
        length * weight_decay / (size * feature_decay) / strength * shape,
        scale * shape,
        torch.zeros(classes, dtype=torch.float64),
        objective(scale),
    )


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that is positive at `low` and not at `high` changes its sign."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2


def _counts(sizes: Any) -> Tensor:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence):
        raise bad_type("sizes", sizes, "a sequence of whole numbers, the examples of each class")
    if len(sizes) < 2:
        raise bad_value("sizes", sizes, "two classes or more")
    for k, size in enumerate(sizes):
        check_count(f"sizes[{k}]", size)
    return torch.tensor(list(sizes), dtype=torch.float64)
