"""Sharpness-aware minimisation: the gradient is taken a step uphill, where a sharp valley already shows its walls."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from lossbook.checks import bad_type, check_count, check_members, check_number

TINY = 1e-12  # beside the length of the gradient, as released


def uphill(
    gradients: Sequence[Float[Tensor, "..."]], *, rho: float, member_axes: int = 0
) -> list[Float[Tensor, "..."]]:
    """The step of length rho along a gradient, all its tensors taken as one vector.

        ρ g/(‖g‖₂ + 10⁻¹²)

    Args:
        gradients: tensors that make up g.
        rho: ρ, at least 0.
        member_axes: leading axes that count networks side by side, each with its own length.

    Returns:
        A tensor for each gradient.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> uphill([torch.tensor([3.0]), torch.tensor([4.0])], rho=0.5)
        [tensor([0.3000]), tensor([0.4000])]

    Reference: Foret, Kleiner, Mobahi & Neyshabur 2021, arXiv 2010.01412.
    """
    gradients = list(gradients)
    check_members("gradients", gradients, member_axes)
    rho = check_number("rho", rho, at_least=0)
    lead = gradients[0].shape[:member_axes]
    lengths = torch.stack([torch.linalg.vector_norm(g.reshape(*lead, -1), dim=-1) for g in gradients])
    scale = rho / (torch.linalg.vector_norm(lengths, dim=0) + TINY)
    return [g * scale.reshape(*lead, *(1,) * (g.ndim - member_axes)) for g in gradients]


class SharpnessAware(Optimizer):
    """Any optimiser, given the gradient that is found a step of length ρ uphill (SAM).

        θ' = θ + ρ g/‖g‖,  g = ∂L(θ)/∂θ;  then the optimiser steps from θ with ∂L(θ')/∂θ'

    Args:
        optimizer: made on the parameters; its state and parameter groups stay its own, so that schedulers and
            checkpoints see through this.
        rho: ρ, at least 0; 0 is the plain optimiser exactly, with one gradient a step.
        member_axes: 1 for the stacked parameters of an `Ensemble`: each member has a step of length ρ of its own.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([1.0, 0.0]))
        >>> optimizer = SharpnessAware(torch.optim.SGD([w], lr=0.1), rho=0.5)
        >>> def slope():
        ...     optimizer.zero_grad()
        ...     loss = (w ** 2).sum()
        ...     loss.backward()
        ...     return loss
        >>> before = slope()                   # the gradient at w is 2, at the point 0.5 further uphill it is 3
        >>> after = optimizer.step(slope)
        >>> [round(value, 6) for value in w.tolist()]
        [0.7, 0.0]

    Two gradients a step, of the same batch. What layers remember of a pass, as batch normalisation does, they remember
    of both.

    Reference: Foret, Kleiner, Mobahi & Neyshabur 2021, arXiv 2010.01412.
    """

    def __init__(self, optimizer: Optimizer, *, rho: float = 0.05, member_axes: int = 0):
        if not isinstance(optimizer, Optimizer):
            raise bad_type("optimizer", optimizer, "a torch optimiser")
        check_count("member_axes", member_axes, least=0)
        self.rho = check_number("rho", rho, at_least=0)
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.optimizer, self.member_axes = optimizer, member_axes
        self._share()

    @property
    def asks_again(self) -> bool:
        """Whether a step needs the gradient a second time: `train` looks at this."""
        return self.rho > 0

    def _share(self) -> None:
        self.param_groups, self.state = self.optimizer.param_groups, self.optimizer.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step. The gradients at the weights are there, as after `backward()`; `closure` takes them anew.

        Raises:
            TypeError: no closure where rho is above 0.
        """
        if not self.asks_again:
            return self.optimizer.step()
        if closure is None:
            raise bad_type(
                "closure", closure, "a function that clears the gradients, takes them anew, returns the loss"
            )
        weights = [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        if not weights:
            return self.optimizer.step()
        before = [weight.detach().clone() for weight in weights]
        slopes = [weight.grad for weight in weights if weight.grad is not None]
        moves = uphill(slopes, rho=self.rho, member_axes=self.member_axes)
        with torch.no_grad():
            for weight, move in zip(weights, moves, strict=True):
                weight.add_(move)
        try:
            with torch.enable_grad():
                loss = closure()
        finally:
            with torch.no_grad():
                for weight, old in zip(weights, before, strict=True):
                    weight.copy_(old)  # to the bit, which adding and subtracting would not give
        self.optimizer.step()
        return loss

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
