"""How lazily a network trains: its tangent kernel, how that lies to the labels, and how far the weights have moved."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from lossbook.checks import bad_type, bad_value, check_floating, check_members, check_same_shape


def tangent_kernel(
    model: nn.Module, inputs: Float[Tensor, "points ..."], others: Float[Tensor, "others ..."] | None = None
) -> Float[Tensor, "points others"]:
    """The empirical neural tangent kernel of a network at its present weights.

        K(x, x') = Σ_c ⟨∂z_c(x)/∂θ, ∂z_c(x')/∂θ⟩, over all outputs c and all weights that learn

    Args:
        model: turns (points, ...) into (points,) or (points, outputs), each point by itself.
        inputs: x, one row a point.
        others: x'; None takes the inputs.

    Returns:
        (points, others). Symmetric and positive semi-definite where others are the inputs.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.models import linear
        >>> layer = linear(2, 1, bias=False, generator=torch.Generator().manual_seed(0))
        >>> x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
        >>> tangent_kernel(layer, x).tolist(), (x @ x.T).tolist()      # of a linear map: the product of the inputs
        ([[5.0, 1.0], [1.0, 10.0]], [[5.0, 1.0], [1.0, 10.0]])

    Holds points × outputs × weights numbers at once: ask for some hundred points of a small network.

    Reference: Jacot, Gabriel & Hongler 2018, arXiv 1806.07572.
    """
    if not isinstance(model, nn.Module):
        raise bad_type("model", model, "a torch module")
    learns = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    if not learns:
        raise bad_value("model", type(model).__name__, "a module with weights that learn")
    for name, points in (("inputs", inputs), ("others", inputs if others is None else others)):
        if check_floating(name, points).ndim < 1 or len(points) == 0:
            raise bad_value(name, points, "at least one point, one row each")

    def outputs(weights: dict[str, Tensor], point: Tensor) -> Tensor:
        return functional_call(model, weights, (point[None],))[0].reshape(-1)

    def slopes(points: Tensor) -> list[Tensor]:
        found = vmap(jacrev(outputs), (None, 0))(learns, points)
        return [slope.flatten(1) for slope in found.values()]  # (points, outputs · weights) of each tensor

    by_input = slopes(inputs)
    by_other = by_input if others is None else slopes(others)
    return torch.stack([a @ b.T for a, b in zip(by_input, by_other, strict=True)]).sum(0)


def kernel_similarity(
    first: Float[Tensor, "*members points points"],
    second: Float[Tensor, "*members points points"],
    *,
    centred: bool = True,
) -> Float[Tensor, "*members"]:
    """Centred kernel alignment (CKA): the cosine between two kernels on the same points.

        ⟨HKH, HLH⟩ / (‖HKH‖ ‖HLH‖), H = I − 11ᵀ/n

    Args:
        first, second: K and L, symmetric; leading axes are kernels, each compared with its partner.
        centred: False leaves out H.

    Returns:
        One number a pair, in [0, 1] for kernels that are positive semi-definite; NaN where a kernel is 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> kernel, turned = features @ features.T, features.flip(1) @ features.flip(1).T
        >>> float(kernel_similarity(kernel, 7 * turned).round(decimals=12))        # neither scale nor basis counts
        1.0

    Reference: Cortes, Mohri & Rostamizadeh 2012, arXiv 1203.0550; Kornblith et al. 2019, arXiv 1905.00414.
    """
    for name, kernel in (("first", first), ("second", second)):
        if check_floating(name, kernel).ndim < 2 or kernel.shape[-1] != kernel.shape[-2] or kernel.shape[-1] < 2:
            raise bad_value(name, kernel, "shape (*members, points, points) with at least two points")
    check_same_shape("second", second, "first", first)
    if centred:
        first, second = _centred(first), _centred(second)
    return (first * second).sum((-2, -1)) / (first.norm(dim=(-2, -1)) * second.norm(dim=(-2, -1)))


def kernel_alignment(
    kernel: Float[Tensor, "*members points points"], target: Float[Tensor, "..."], *, centred: bool = True
) -> Float[Tensor, "*members"]:
    """How well a kernel's large directions are those of the targets: its CKA with YYᵀ.

        A(K, y) = yᵀKy / (‖K‖ ‖y‖²), both centred

    Args:
        kernel: K on some points; leading axes are kernels.
        target: (*members, points) numbers, or (*members, points, outputs) with as many axes as the kernel.
        centred: False compares without taking means away.

    Returns:
        One number a kernel, in [0, 1]: 1 where K is a multiple of yyᵀ, near 0 where y lies in directions that K
        hardly has. NaN where all targets are equal.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> y = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
        >>> [round(float(kernel_alignment(k, y)), 6) for k in (torch.outer(y, y), torch.eye(3, dtype=y.dtype))]
        [1.0, 0.707107]

    The identity, which knows nothing of y, has 1/√(n − 1). One large direction that has nothing to do with y, such as a
    linear part, can hide a good alignment of the rest.

    Reference: Cristianini et al. 2001; Kumar et al. 2024, arXiv 2310.06110.
    """
    check_floating("kernel", kernel)
    if check_floating("target", target).ndim == kernel.ndim - 1:
        target = target[..., None]
    if target.ndim != kernel.ndim or target.shape[:-1] != kernel.shape[:-1]:
        raise bad_value("target", target, f"one number, or one row, for each point: {tuple(kernel.shape[:-1])}")
    return kernel_similarity(kernel, target @ target.mT, centred=centred)


def relative_motion(
    weights: Iterable[Tensor], start: Iterable[Tensor], *, member_axes: int = 0
) -> Float[Tensor, "*members"]:
    """How far the weights have gone from where they began, in units of how long they were.

        ‖θ − θ₀‖ / ‖θ₀‖

    Args:
        weights: the tensors θ, as `model.parameters()` gives them.
        start: θ₀, tensors of the same shapes.
        member_axes: leading axes that count members (1 for those of an `Ensemble`), each with its own answer.

    Returns:
        One number, or one a member; infinite where θ₀ is 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> start = [torch.tensor([3.0, 0.0]), torch.tensor([4.0])]
        >>> float(relative_motion([torch.tensor([3.0, 5.0]), torch.tensor([4.0])], start))
        1.0
    """
    now, then = list(weights), list(start)
    check_members("weights", now, member_axes)
    check_members("start", then, member_axes)
    if len(now) != len(then):
        raise bad_value("start", f"{len(then)} tensors", f"as many as weights, {len(now)}")
    for weight, began in zip(now, then, strict=True):
        check_same_shape("start", began, "weights", weight)
    now, then = [weight.detach() for weight in now], [weight.detach() for weight in then]

    def length(tensors: list[Tensor]) -> Tensor:
        shape = (*tensors[0].shape[:member_axes], -1)
        return torch.cat([tensor.reshape(shape) for tensor in tensors], -1).norm(dim=-1)

    return length([weight - began for weight, began in zip(now, then, strict=True)]) / length(then)


def _centred(kernel: Tensor) -> Tensor:
    """HKH."""
    kernel = kernel - kernel.mean(-1, keepdim=True)
    return kernel - kernel.mean(-2, keepdim=True)
