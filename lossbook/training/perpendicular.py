"""Gradients without their part along the weights: learning that cannot consist in making the logits larger."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from lossbook.checks import bad_type, bad_value, check_count, check_floating, check_same_shape

NOISE = 1e-6  # below this share of the gradient what is left across the weights is rounding, and has no direction


def perpendicular(
    gradient: Float[Tensor, "..."], weight: Float[Tensor, "..."], *, member_axes: int = 0
) -> Float[Tensor, "..."]:
    """The part of a gradient across the weights, stretched to the length that the whole had (⟂Grad).

        g⊥ = g − (⟨w, g⟩/‖w‖²) w,  result ‖g‖ g⊥/‖g⊥‖

    Args:
        gradient, weight: g and w, of one shape; the inner product runs over all their numbers.
        member_axes: leading axes that count networks side by side, each with its own inner product.

    Returns:
        Of the gradient's shape and dtype. 0 where ‖g⊥‖ ≤ 10⁻⁶ ‖g‖: there g lies along w, and what is left is rounding,
        which the stretching would blow up to full length. So for a single number, which always lies along itself.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> perpendicular(torch.tensor([3.0, 4.0]), torch.tensor([2.0, 0.0]))  # across the weights, as long as before
        tensor([0., 5.])
        >>> perpendicular(torch.tensor([4.0, 0.0]), torch.tensor([2.0, 0.0]))
        tensor([0., 0.])

    Reference: Prieto, Barsbey, Mediano & Birdal 2025, arXiv 2501.04697 (OrthoGrad in their code, which has no guard).
    """
    check_floating("weight", weight)
    check_same_shape("gradient", check_floating("gradient", gradient), "weight", weight)
    check_count("member_axes", member_axes, least=0)
    if member_axes > gradient.ndim:
        raise bad_value("member_axes", member_axes, f"at most the {gradient.ndim} axes of the gradient")
    lead = gradient.shape[:member_axes]
    shape = (*lead, -1)
    precise = torch.promote_types(gradient.dtype, torch.float32)
    g, w = gradient.detach().reshape(shape).to(precise), weight.detach().reshape(shape).to(precise)
    if g.shape[-1] == 0:
        return gradient.clone()
    g, size = _of_order_one(g)
    w, _ = _of_order_one(w)
    w = w / torch.linalg.vector_norm(w, dim=-1, keepdim=True).clamp(min=1)  # 0 stays 0; else the length is at least 1
    across = g - (w * g).sum(-1, keepdim=True) * w
    length = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
    left = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    kept = torch.where(left > NOISE * length, across * (length / torch.where(left > 0, left, 1)), 0)
    return (kept * size).to(gradient.dtype).reshape(gradient.shape)


def _of_order_one(values: Tensor) -> tuple[Tensor, Tensor]:
    """Divided by the largest, and the largest: squares of gradients of 1e-25 would be 0 in single precision."""
    size = values.abs().amax(-1, keepdim=True)
    return values / torch.where(size > 0, size, 1), size


class PerpGrad(Optimizer):
    """Any optimiser, shown gradients without their part along the weights, one parameter tensor at a time.

        g ← ‖g‖ g⊥/‖g⊥‖,  g⊥ = g − (⟨w, g⟩/‖w‖²) w

    Args:
        optimizer: made on the parameters; its state and parameter groups stay its own, so that schedulers and
            checkpoints see through this.
        member_axes: as in `perpendicular`: 1 for the stacked parameters of an `Ensemble`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> optimizer = PerpGrad(torch.optim.SGD([w], lr=0.1))
        >>> (w ** 2).sum().backward()                   # this gradient lies along the weights: nothing is left of it
        >>> optimizer.step()
        >>> w.tolist()
        [3.0, 4.0]

    With plain gradient descent ‖w‖² grows by η²‖g‖² a step and by nothing else. Optimisers that weigh single numbers,
    such as Adam, bend the step out of the perpendicular a little.

    Reference: Prieto, Barsbey, Mediano & Birdal 2025, arXiv 2501.04697.
    """

    def __init__(self, optimizer: Optimizer, *, member_axes: int = 0):
        if not isinstance(optimizer, Optimizer):
            raise bad_type("optimizer", optimizer, "a torch optimiser")
        check_count("member_axes", member_axes, least=0)
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.optimizer, self.member_axes = optimizer, member_axes
        self._share()

    def _share(self) -> None:
        self.param_groups, self.state = self.optimizer.param_groups, self.optimizer.state

    @torch.no_grad()
    def _turn(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.grad = perpendicular(weight.grad, weight, member_axes=self.member_axes)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Turn the gradients, then let the optimiser step; a closure's gradients are turned each time it is called."""
        if closure is None:
            self._turn()
            return self.optimizer.step()

        def turned() -> Any:
            with torch.enable_grad():
                loss = closure()
            self._turn()
            return loss

        return self.optimizer.step(turned)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Hand a further group of parameters to the optimiser."""
        if hasattr(self, "optimizer"):
            self.optimizer.add_param_group(param_group)
        else:
            super().add_param_group(param_group)  # while this object is made

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's own."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Into the optimiser."""
        self.optimizer.load_state_dict(state_dict)
        self._share()
