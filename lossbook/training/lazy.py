"""The laziness of training as a knob: a network times α, less what it said at the start, and its limit α → ∞."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp

from lossbook.checks import bad_type, bad_value, check_floating, check_number


class Lazy(nn.Module):
    """A network whose output is multiplied by α, after what it said at the start has been taken away.

        z_α(x) = α (z(x; θ) − z(x; θ₀))

    Args:
        model: any module that gives a tensor. It is not copied: its weights are the ones that learn.
        alpha: α > 0, one number, or a tensor that broadcasts against the outputs (one α for each member of an
            `Ensemble`: shape (members, 1)).

    Train it on the loss divided by α² (or with the step size divided by α²). Then outputs begin to move at the same
    speed for every α, while the weights have to move 1/α as far for the same change of outputs. Large α: the weights
    hardly move, the features stay, and training is that of `Linearized`, the lazy regime. Small α: features must
    change, the rich regime. At the start the output is exactly 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.models import multilayer
        >>> model = multilayer((2, 8, 1), generator=torch.Generator().manual_seed(0))
        >>> lazy, x = Lazy(model, 100.0), torch.ones(3, 2)
        >>> lazy(x).abs().max().item(), sum(weight.requires_grad for weight in lazy.parameters())
        (0.0, 4)

    Reference: Chizat, Oyallon & Bach 2019, arXiv 1812.07956; Kumar et al. 2024, arXiv 2310.06110.
    """

    alpha: Tensor

    def __init__(self, model: nn.Module, alpha: float | Tensor):
        super().__init__()
        if not isinstance(model, nn.Module):
            raise bad_type("model", model, "a torch module")
        if isinstance(alpha, Tensor):
            if not bool((check_floating("alpha", alpha) > 0).all()) or not bool(alpha.isfinite().all()):
                raise bad_value("alpha", alpha.tolist(), "finite numbers > 0")
            alpha = alpha.detach().clone()
        else:
            alpha = torch.tensor(check_number("alpha", alpha, above=0))
        self.model = model
        self.start = copy.deepcopy(model).requires_grad_(False)
        self.register_buffer("alpha", alpha)

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """α times what the network has learned to say."""
        with torch.no_grad():
            before = self.start(*inputs, **options)
        return self.alpha * (self.model(*inputs, **options) - before)


class Linearized(nn.Module):
    """A network replaced by its tangent at the start: the limit α → ∞ of `Lazy`, trained by gradient descent.

        z_lin(x) = ⟨∂z(x; θ₀)/∂θ, δ⟩, with the displacement δ = α (θ − θ₀), 0 at the start, as what learns

    Args:
        model: any module that gives a tensor. Its weights are left as they are.

    Trained with the plain loss and the plain step size it follows gradient descent on the fixed kernel of the start;
    `Lazy` with a large α, loss over α², does the same up to terms of order 1/α.

    Raises:
        TypeError: `model` is no module.

    Example:
        >>> from lossbook.models import multilayer
        >>> model = multilayer((2, 8, 1), generator=torch.Generator().manual_seed(0))
        >>> tangent = Linearized(model)
        >>> tangent(torch.ones(3, 2)).abs().max().item(), sum(weight.requires_grad for weight in tangent.parameters())
        (0.0, 4)
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        if not isinstance(model, nn.Module):
            raise bad_type("model", model, "a torch module")
        self.start = copy.deepcopy(model).requires_grad_(False)
        self.names = [name for name, weight in model.named_parameters() if weight.requires_grad]
        weights = dict(self.start.named_parameters())
        self.displacement = nn.ParameterList(nn.Parameter(torch.zeros_like(weights[name])) for name in self.names)

    def forward(self, *inputs: Any) -> Tensor:
        """The directional derivative of the outputs along the displacement."""
        weights = dict(self.start.named_parameters())
        at = [weights[name].detach() for name in self.names]

        def said(*moved: Tensor) -> Tensor:
            return functional_call(self.start, dict(zip(self.names, moved, strict=True)), inputs)

        # The pull-back of outputs is linear, and its own pull-back is the push-forward: J = (Jᵀ)ᵀ.
        value, pull = vjp(said, *at)[:2]
        push = vjp(pull, torch.zeros_like(value))[1]
        return push(tuple(self.displacement))[0]
