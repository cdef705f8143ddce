"""Gradient descent on a layer of very many classes that never touches more than a few of them.

For a loss of z_y, Σz and Σz² the gradient step changes *every* row of the weight W, but in a simple way: all rows by
the same D × D matrix and the same vector, and the right classes' by something of their own. So keep W factored,

    W = V U + 1 wᵀ,   and beside it   Q = WᵀW,  t = Wᵀ1,

and put the common change into U and w. A step costs O(D³ + batch · D²), whatever the number of classes.

Reference: Vincent, de Brébisson & Bouthillier 2015, arXiv 1412.7091.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_floating, check_number


@dataclass(eq=False)
class Factored:
    """W = basis @ mixing + shift, with what its losses look at: gram = WᵀW and total = Wᵀ1."""

    basis: Float[Tensor, "classes dimension"]
    mixing: Float[Tensor, "dimension dimension"]
    inverse: Float[Tensor, "dimension dimension"]  # of the mixing
    shift: Float[Tensor, " dimension"]
    gram: Float[Tensor, "dimension dimension"]
    total: Float[Tensor, " dimension"]

    def weight(self) -> Float[Tensor, "classes dimension"]:
        """W itself; this one does look at every class."""
        return self.basis @ self.mixing + self.shift


def factor(weight: Float[Tensor, "classes dimension"]) -> Factored:
    """A weight, ready for `factored_step`. The weight itself is not touched.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.
    """
    if check_floating("weight", weight).ndim != 2 or weight.numel() == 0:
        raise bad_value("weight", weight, "shape (classes, dimension), neither of them 0")
    weight = weight.detach().clone()
    unit = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
    return Factored(weight, unit, unit.clone(), torch.zeros_like(weight[0]), weight.T @ weight, weight.sum(0))


def factored_step(
    layer: Factored,
    features: Float[Tensor, "rows dimension"],
    target: Int[Tensor, " rows"],
    row: Callable[[Tensor, Tensor, Tensor], Tensor],
    *,
    step_size: float,
) -> tuple[Tensor, Tensor]:
    """One step of gradient descent on the mean loss of a batch, in place, exact to rounding.

    Args:
        layer: from `factor`; after some hundred steps factor its weight anew, for the mixing drifts from the identity.
        features: x, one row an example.
        target: class indices.
        row: (z_y, Σz, Σz²), each (rows,), to one loss a row.
        step_size: of the weight.

    Returns:
        The loss before the step, and its gradient by the features.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> layer = factor(torch.zeros(1000, 2))
        >>> x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([7])
        >>> squared_error = lambda right, total, squares: squares - 2 * right + 1
        >>> losses = [float(factored_step(layer, x, y, squared_error, step_size=0.05)[0]) for _ in range(3)]
        >>> [round(loss, 4) for loss in losses]                      # each halves what is missing at the right class
        [1.0, 0.25, 0.0625]
    """
    _check(layer, features, target, step_size)
    features = features.detach()
    own = layer.basis[target] @ layer.mixing + layer.shift  # the right classes' rows of W
    by_gram = features @ layer.gram
    right, total, squares = (own * features).sum(1), features @ layer.total, (by_gram * features).sum(1)
    numbers = [number.requires_grad_() for number in (right, total, squares)]
    with torch.enable_grad():
        loss = row(*numbers).mean()
        found = torch.autograd.grad(loss, numbers, allow_unused=True)
    by_own, by_sum, by_square = (torch.zeros_like(n) if g is None else g for g, n in zip(found, numbers, strict=True))
    gradient = by_own[:, None] * own + by_sum[:, None] * layer.total + 2 * by_square[:, None] * by_gram

    classes = layer.basis.shape[0]
    change = torch.eye(features.shape[1], dtype=features.dtype, device=features.device)
    change = change - 2 * step_size * features.T @ (by_square[:, None] * features)  # W becomes W change − 1 aᵀ − ...
    a, single = step_size * features.T @ by_sum, step_size * by_own[:, None] * features
    moved, sum_of_rows = own @ change, change @ layer.total
    classes_met, which = target.unique(return_inverse=True)
    by_class = torch.zeros_like(features[: len(classes_met)]).index_add_(0, which, single)  # classes may repeat
    cross = torch.outer(sum_of_rows - single.sum(0), a) + moved.T @ single
    gram = change @ layer.gram @ change + classes * torch.outer(a, a) + by_class.T @ by_class - cross - cross.T
    layer.gram = (gram + gram.T) / 2
    layer.total = sum_of_rows - classes * a - single.sum(0)
    layer.mixing, layer.shift = layer.mixing @ change, change @ layer.shift - a
    layer.inverse = torch.linalg.solve(change, layer.inverse)
    layer.basis.index_add_(0, target, single @ layer.inverse, alpha=-1)
    return loss.detach(), gradient


def _check(layer: Factored, features: Tensor, target: Tensor, step_size: float) -> None:
    if not isinstance(layer, Factored):
        raise bad_type("layer", layer, "what `factor` made")
    classes, dimension = layer.basis.shape
    if check_floating("features", features).ndim != 2 or features.shape[1] != dimension or len(features) == 0:
        raise bad_value("features", features, f"shape (rows, {dimension}) with at least one row")
    if not isinstance(target, Tensor) or target.dtype != torch.int64:
        raise bad_type("target", target, "class indices (int64)")
    if target.shape != features.shape[:1] or bool(((target < 0) | (target >= classes)).any()):
        raise bad_value("target", target, f"one class from 0 to {classes - 1} for each row of features")
    check_number("step_size", step_size, above=0)
