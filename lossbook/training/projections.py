"""Gradient projections of continual learning: a step that no old task's gradient speaks against (A-GEM, GEM)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor, nn

from lossbook.checks import bad_type, bad_value, check_choice, check_floating, check_number

NEGLIGIBLE = 1e-12  # of the largest eigenvalue: a reference that is a combination of the others


def a_gem_projection(
    gradient: Float[Tensor, "... parameters"], reference: Float[Tensor, "... parameters"]
) -> Float[Tensor, "... parameters"]:
    """The gradient without its part against the reference: unchanged where the two do not conflict.

        g* = g − min(0, ⟨g, r⟩)/⟨r, r⟩ r

    Args:
        gradient: g; axes before the last are networks of their own.
        reference: r, the gradient of the loss that should not rise.

    Returns:
        The nearest vector to g with ⟨g*, r⟩ ≥ 0. Where r is 0: g.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> a_gem_projection(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 3.0])).tolist()
        [1.0, 0.0]

    Reference: Chaudhry et al. 2019, arXiv 1812.00420.
    """
    if check_floating("gradient", gradient).ndim < 1:
        raise bad_value("gradient", gradient, "shape (..., parameters)")
    if check_floating("reference", reference).shape != gradient.shape:
        raise bad_value("reference", reference, f"the shape of gradient, {tuple(gradient.shape)}")
    against = (gradient * reference).sum(-1, keepdim=True).clamp(max=0)
    square = reference.square().sum(-1, keepdim=True)
    return gradient - torch.where(square > 0, against / square, 0.0) * reference


def gem_projection(
    gradient: Float[Tensor, "... parameters"],
    references: Float[Tensor, "... tasks parameters"],
    *,
    margin: float = 0.0,
) -> Float[Tensor, "... parameters"]:
    """The nearest gradient that no reference speaks against: a small quadratic program.

        g* = g + Rᵀv,  v = argmin_{v ≥ margin} ½ vᵀRRᵀv + gᵀRᵀv  where some ⟨g, r_i⟩ < 0;  else g

    Args:
        gradient: g; axes before the last are networks of their own.
        references: R, a row for each loss that should not rise.
        margin: the least weight of every reference, at least 0; above 0 it pushes further than asked.

    Returns:
        With margin 0 the nearest vector to g with ⟨g*, r_i⟩ ≥ 0 for all i. One reference: `a_gem_projection`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> gem_projection(torch.tensor([1.0, -2.0, -1.0]), torch.tensor([[0.0, 3.0, 0.0], [0.0, 1.0, 1.0]])).tolist()
        [1.0, 0.0, 0.0]

    Reference: Lopez-Paz & Ranzato 2017, arXiv 1706.08840.
    """
    if check_floating("gradient", gradient).ndim < 1:
        raise bad_value("gradient", gradient, "shape (..., parameters)")
    wanted = (*gradient.shape[:-1], gradient.shape[-1])
    got = check_floating("references", references).shape
    if references.ndim != gradient.ndim + 1 or (*got[:-2], got[-1]) != wanted or not got[-2]:
        raise bad_value("references", references, f"shape (..., tasks, parameters) for gradient of shape {wanted}")
    check_number("margin", margin, at_least=0)
    if got[-2] == 1 and not margin:
        return a_gem_projection(gradient, references[..., 0, :])
    agreement = (references @ gradient[..., None])[..., 0].double()
    products = (references @ references.mT).double()
    rows = zip(products.reshape(-1, *products.shape[-2:]), agreement.reshape(-1, got[-2]), strict=True)
    found = np.array([_weights(product.cpu().numpy(), row.cpu().numpy(), margin) for product, row in rows])
    weights = torch.from_numpy(found.reshape(agreement.shape)).to(gradient)
    return gradient + (weights[..., None, :] @ references)[..., 0, :]


def _weights(products: np.ndarray, agreement: np.ndarray, margin: float) -> np.ndarray:
    """The dual variables of one network; 0 where nothing conflicts.

    With the root A of RRᵀ = AᵀA the program is a least-squares one over weights ≥ 0: ½ ‖A u − b‖² with Aᵀb = −slope.
    """
    if bool((agreement >= 0).all()):
        return np.zeros_like(agreement)
    values, vectors = np.linalg.eigh(products)
    root = np.sqrt(values.clip(min=NEGLIGIBLE * values[-1]))
    slope = agreement + margin * products.sum(1)
    return margin + nnls(root[:, None] * vectors.T, -(vectors.T @ slope) / root)[0]


class Projection:
    """A transform for `train`: projects each step's gradient so that no loss of the old tasks is made to rise.

    Args:
        references: (model, batch) to the losses of the old tasks on examples kept of them; with none, the gradient
            stays. For an ensemble each is a sum over members. One loss over all old tasks is A-GEM, one a task is GEM.
        margin: of `gem_projection`.
        member_axes: 1 for parameters stacked over members by `Ensemble`, which are then projected one by one; 0 else.

    After each step `active` tells, for each member, whether the gradient was changed, and `agreement` the lowest cosine
    between it and a reference before the change (NaN where there is none).

    Example:
        >>> from lossbook.models import linear
        >>> model = linear(2, 1, bias=False, generator=torch.Generator().manual_seed(0))
        >>> new, old = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 3.0]])
        >>> model(new).sum().backward()
        >>> Projection(lambda model, batch: [model(batch).sum()])(model, old)
        >>> model.weight.grad.tolist()
        [[1.0, 0.0]]
    """

    def __init__(
        self,
        references: Callable[[Any, Any], Sequence[Tensor]],
        *,
        margin: float = 0.0,
        member_axes: int = 0,
    ):
        if not callable(references):
            raise bad_type("references", references, "a function of model and batch that gives losses")
        self._references = references
        self._margin = check_number("margin", margin, at_least=0)
        check_choice("member_axes", str(member_axes), ("0", "1"))
        self._member_axes = member_axes
        self.active: Tensor = torch.zeros((), dtype=torch.bool)
        self.agreement: Tensor = torch.tensor(float("nan"))

    def __call__(self, model: nn.Module, batch: Any) -> None:
        """Change the gradients of the model in place."""
        parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
        gradient = self._flat([parameter.grad for parameter in parameters])
        with torch.enable_grad():
            losses = list(self._references(model, batch))
        if not losses:
            self.active = torch.zeros(gradient.shape[:-1], dtype=torch.bool)
            self.agreement = torch.full(gradient.shape[:-1], float("nan"))
            return
        rows = [
            self._flat(torch.autograd.grad(loss, parameters, retain_graph=loss is not losses[-1])) for loss in losses
        ]
        references = torch.stack(rows, -2)
        cosines = torch.cosine_similarity(gradient[..., None, :], references, dim=-1)
        self.agreement = cosines.min(-1).values
        self.active = self.agreement < 0
        if bool(self.active.any()):
            self._write(parameters, gem_projection(gradient, references, margin=self._margin))

    def _flat(self, tensors: Sequence[Tensor | None]) -> Tensor:
        return torch.cat([tensor.flatten(self._member_axes) for tensor in tensors if tensor is not None], -1)

    def _write(self, parameters: Sequence[nn.Parameter], gradient: Tensor) -> None:
        sizes = [parameter[0].numel() if self._member_axes else parameter.numel() for parameter in parameters]
        for parameter, part in zip(parameters, gradient.split(sizes, -1), strict=True):
            parameter.grad = part.reshape(parameter.shape)
