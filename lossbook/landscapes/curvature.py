"""The Hessian of a loss in the weights, through its products with vectors: it is never written down.

Networks side by side, as the members of an `Ensemble`, are served at once: where the loss is a sum over members, their
Hessians are blocks that do not touch, and one product serves all of them.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import (
    bad_value,
    check_count,
    check_floating,
    check_generator,
    check_members,
    check_number,
    check_same_shape,
)

Loss = Callable[[], Tensor]


class Eigenpair(NamedTuple):
    """An eigenvalue, a bound on its distance to the nearest true one, its unit eigenvector, products it took."""

    value: Tensor
    residual: Tensor
    vector: Tensor
    products: int


class TraceEstimate(NamedTuple):
    """An estimate of a trace, and the standard error of it."""

    trace: Tensor
    standard_error: Tensor


def hessian_vector_product(
    loss: Loss, parameters: Iterable[Float[Tensor, "..."]], vector: Sequence[Float[Tensor, "..."]]
) -> list[Float[Tensor, "..."]]:
    """The Hessian of a loss times a vector, at the price of two gradients.

        H v = ∂/∂θ ⟨∂L/∂θ, v⟩

    Args:
        loss: of no arguments, evaluates L at the parameters as they stand; a scalar.
        parameters: the tensors of θ, which require gradients.
        vector: v, a tensor for each of them, of its shape.

    Returns:
        A tensor for each parameter, detached; 0 for one that the loss does not use.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> hessian_vector_product(lambda: (w ** 3).sum(), [w], [torch.ones(2)])       # the Hessian is diag(6 w)
        [tensor([ 6., 12.])]

    Limits: kinks do not bend. Of a ReLU network this is the Hessian between the kinks.

    Reference: Pearlmutter 1994, Neural Computation 6.
    """
    parameters, vector = _learned(parameters, 0), list(vector)
    if len(vector) != len(parameters):
        raise ValueError(f"vector: got {len(vector)} tensors, expected {len(parameters)}, one for each parameter")
    for v, p in zip(vector, parameters, strict=True):
        check_same_shape("vector", check_floating("vector", v), "its parameter", p)
    product = _operator(loss, parameters, 0)
    return _apart(product(_flat(vector, 0)), parameters, 0)


def largest_eigenvalue(
    loss: Loss,
    parameters: Iterable[Float[Tensor, "..."]],
    *,
    generator: torch.Generator,
    tolerance: float = 1e-3,
    most: int = 100,
    member_axes: int = 0,
) -> Eigenpair:
    """The largest eigenvalue of the Hessian of a loss: how sharply it bends where it bends most (Lanczos).

        λ = max_v vᵀ H v/vᵀ v

    Args:
        loss: as in `hessian_vector_product`; with members, the sum of their losses.
        parameters: the tensors of θ.
        generator: source of the first vector.
        tolerance: stop when the residual ‖H v − λ v‖ is at most this share of |λ|, for every member.
        most: products at the most, each the price of two gradients; no more are taken than there are parameters.
        member_axes: leading axes of every parameter that count networks side by side; 1 for an `Ensemble`.

    Returns:
        `Eigenpair(value, residual, vector, products)` in float64: value and residual of the shape of the members'
        axes, the vector (..., numbers in θ of one member). An eigenvalue lies within the residual of the value, which
        is never above λ but for rounding.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
        >>> drawn = torch.Generator().manual_seed(0)
        >>> round(float(largest_eigenvalue(lambda: (w ** 3).sum(), [w], generator=drawn).value), 9)
        12.0

    Every vector so far is kept and taken out twice, so that rounding leaves no ghosts: memory grows by one copy of the
    parameters a product.

    Reference: Lanczos 1950; bounds in Parlett 1998, The Symmetric Eigenvalue Problem.
    """
    parameters = _learned(parameters, member_axes)
    check_generator(generator)
    tolerance = check_number("tolerance", tolerance, above=0)
    check_count("most", most)
    product = _operator(loss, parameters, member_axes)
    lead, size = _flat(parameters, member_axes).shape[:-1], _flat(parameters, member_axes).shape[-1]
    start = torch.randn(*lead, size, generator=generator, device=generator.device, dtype=torch.float64)
    basis = [_unit(start.to(parameters[0].device))[0]]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for _ in range(min(most, size)):
        image = product(basis[-1])
        diagonal.append((image * basis[-1]).sum(-1))
        if beside:  # a member whose space is exhausted goes on with vectors of 0, and an entry that is no maximum
            diagonal[-1] = torch.where(beside[-1] > 0, diagonal[-1], diagonal[0] - diagonal[0].abs() - 1)
        known = torch.stack(basis, -1)
        for _ in range(2):
            image = image - (known @ (known.mT @ image[..., None]))[..., 0]
        following, length = _unit(image, least=1e-12 * torch.stack(diagonal).abs().amax(0))
        values, vectors = torch.linalg.eigh(_tridiagonal(diagonal, beside))
        value, weights = values[..., -1], vectors[..., -1]
        residual = length * weights[..., -1].abs()
        if bool((residual <= tolerance * value.abs()).all()):
            break
        basis.append(following)
        beside.append(length)
    return Eigenpair(value, residual, _unit((known @ weights[..., None])[..., 0])[0], len(diagonal))


def hutchinson_trace(
    loss: Loss,
    parameters: Iterable[Float[Tensor, "..."]],
    *,
    generator: torch.Generator,
    probes: int = 32,
    member_axes: int = 0,
) -> TraceEstimate:
    """The trace of the Hessian of a loss, the sum of its eigenvalues, from products with random signs (Hutchinson).

        tr H = E vᵀ H v,  v of independent signs ±1

    Args:
        loss, parameters, member_axes: as in `largest_eigenvalue`.
        generator: source of the signs.
        probes: products, at least 2.

    Returns:
        `TraceEstimate(trace, standard_error)` in float64, of the shape of the members' axes: the mean over probes, and
        their standard deviation over √probes.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> found = hutchinson_trace(lambda: (w ** 3).sum(), [w], generator=torch.Generator().manual_seed(0))
        >>> float(found.trace), float(found.standard_error)         # exact for a diagonal Hessian, whatever the signs
        (18.0, 0.0)

    The variance of one probe is 2 Σ_{i≠j} H_ij².

    Reference: Hutchinson 1990, Communications in Statistics 19.
    """
    parameters = _learned(parameters, member_axes)
    check_generator(generator)
    check_count("probes", probes, least=2)
    product = _operator(loss, parameters, member_axes)
    shape = _flat(parameters, member_axes).shape
    found = []
    for _ in range(probes):
        signs = 2.0 * torch.randint(2, shape, generator=generator, device=generator.device, dtype=torch.float64) - 1
        signs = signs.to(parameters[0].device)
        found.append((signs * product(signs)).sum(-1))
    each = torch.stack(found)
    return TraceEstimate(each.mean(0), each.std(0) / math.sqrt(probes))


def _learned(parameters: Any, member_axes: int) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    check_members("parameters", parameters, member_axes)
    for parameter in parameters:
        if not parameter.requires_grad:
            raise bad_value("parameters", parameter, "tensors that require gradients")
    return parameters


def _operator(loss: Loss, parameters: list[Tensor], member_axes: int) -> Callable[[Tensor], Tensor]:
    """The product v ↦ H v on flat vectors in float64. The gradient is formed once, and kept for all products."""
    with torch.enable_grad():
        value = loss()
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise bad_value("loss", value, "a function that returns one number as a tensor")
        if not value.requires_grad:
            raise bad_value("loss", value, "a function of the parameters, with gradients")
        slopes = torch.autograd.grad(value, parameters, create_graph=True, allow_unused=True)
    bent = [(slope, i) for i, slope in enumerate(slopes) if slope is not None and slope.requires_grad]

    def product(vector: Tensor) -> Tensor:
        parts = _apart(vector, parameters, member_axes)
        if not bent:
            return torch.zeros_like(vector)
        # A parameter that no slope depends on gives None, and so 0.
        found = torch.autograd.grad(
            [slope for slope, _ in bent],
            parameters,
            [parts[i].to(slope) for slope, i in bent],
            retain_graph=True,
            allow_unused=True,
        )
        filled = [torch.zeros_like(p) if f is None else f for f, p in zip(found, parameters, strict=True)]
        return _flat(filled, member_axes).double()

    return product


def _flat(tensors: Sequence[Tensor], member_axes: int) -> Tensor:
    lead = tensors[0].shape[:member_axes]
    return torch.cat([tensor.detach().reshape(*lead, -1) for tensor in tensors], -1)


def _apart(vector: Tensor, parameters: Sequence[Tensor], member_axes: int) -> list[Tensor]:
    sizes = [math.prod(parameter.shape[member_axes:]) for parameter in parameters]
    parts = zip(vector.split(sizes, -1), parameters, strict=True)
    return [part.reshape(parameter.shape).to(parameter.dtype) for part, parameter in parts]


def _unit(vector: Tensor, least: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """Divided by its length, and the length; both 0 where that is at most `least`."""
    length = torch.linalg.vector_norm(vector, dim=-1)
    length = torch.where(length > least, length, 0.0)
    return torch.where(length[..., None] > 0, vector / length[..., None].clamp(min=1e-300), 0.0), length


def _tridiagonal(diagonal: list[Tensor], beside: list[Tensor]) -> Tensor:
    matrix = torch.diag_embed(torch.stack(diagonal, -1))
    if not beside:
        return matrix
    off = torch.stack(beside, -1)
    return matrix + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
