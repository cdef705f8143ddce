"""Low-rank adaptation (LoRA) of hidden affine layers: the weight stays, and a product of two thin matrices learns."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lossbook.checks import bad_type, bad_value, check_count, check_generator, check_number


class LowRank(nn.Module):
    """An affine layer that keeps its weight and learns a correction of low rank (LoRA).

        y = (W + (α/r) B A) x + b,   B = 0 at the start; only A and B learn

    Args:
        layer: the affine layer; its weight and bias are copied and stay.
        rank: r, at least 1.
        alpha: α > 0.
        generator: source of A ~ U(−1/√inputs, 1/√inputs).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.models import linear
        >>> generator = torch.Generator().manual_seed(0)
        >>> layer = linear(4, 3, generator=generator)
        >>> low, x = LowRank(layer, rank=2, generator=generator), torch.ones(1, 4)
        >>> bool((low(x) == layer(x)).all()), [name for name, _ in low.named_parameters()]
        (True, ['down', 'up'])

    Reference: Hu et al. 2022, arXiv 2106.09685.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear, *, rank: int, alpha: float = 1.0, generator: torch.Generator):
        super().__init__()
        if not isinstance(layer, nn.Linear):
            raise bad_type("layer", layer, "an affine layer (nn.Linear)")
        check_count("rank", rank)
        check_generator(generator)
        self.factor = check_number("alpha", alpha, above=0) / rank
        self.register_buffer("weight", layer.weight.detach().clone())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())
        outputs, inputs = self.weight.shape
        limit = inputs**-0.5
        self.down = nn.Parameter(self.weight.new_empty(rank, inputs).uniform_(-limit, limit, generator=generator))
        self.up = nn.Parameter(self.weight.new_zeros(outputs, rank))

    def extra_repr(self) -> str:
        """What the sizes of the parameters do not tell."""
        return f"factor={self.factor:g}"

    def full_weight(self) -> Float[Tensor, "outputs inputs"]:
        """W + (α/r) B A."""
        return self.weight + self.factor * (self.up @ self.down)

    def forward(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The outputs with the correction."""
        return nn.functional.linear(inputs, self.full_weight(), self.bias)


def with_low_rank(model: nn.Sequential, *, rank: int, alpha: float = 1.0, generator: torch.Generator) -> nn.Sequential:
    """A network whose hidden affine layers are `LowRank`; of the rest only the last affine layer still learns.

    Args:
        model: what `multilayer` made, other layers between the affine ones allowed.
        rank, alpha, generator: as in `LowRank`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.models import multilayer
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = multilayer((64, 128, 64, 10), generator=generator)
        >>> low = with_low_rank(model, rank=8, generator=generator)
        >>> counts = [sum(p.numel() for p in net.parameters()) for net in (model, low)]
        >>> counts, [type(layer).__name__ for layer in low]
        ([17226, 3722], ['LowRank', 'ReLU', 'LowRank', 'ReLU', 'Linear'])
    """
    layers = _sequential(model)
    affine = [k for k, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    if len(affine) < 2:
        raise bad_value("model", [type(layer).__name__ for layer in layers], "a network with a hidden affine layer")
    learning = [copy.deepcopy(layer).requires_grad_(k == affine[-1]) for k, layer in enumerate(layers)]
    for k in affine[:-1]:
        hidden: Any = layers[k]
        learning[k] = LowRank(hidden, rank=rank, alpha=alpha, generator=generator)
    return nn.Sequential(*learning)


def merged(model: nn.Sequential) -> nn.Sequential:
    """The same function as a plain network: every `LowRank` layer becomes the affine layer W + (α/r) B A.

    Args:
        model: what `with_low_rank` made.

    Raises:
        TypeError: naming the argument, what it got and what was expected.
    """
    layers = [_affine(layer) if isinstance(layer, LowRank) else copy.deepcopy(layer) for layer in _sequential(model)]
    return nn.Sequential(*(layer.requires_grad_() for layer in layers))


def _sequential(model: nn.Module) -> list[nn.Module]:
    if not isinstance(model, nn.Sequential):
        raise bad_type("model", model, "a sequence of layers (nn.Sequential)")
    return list(model)


def _affine(layer: LowRank) -> nn.Linear:
    outputs, inputs = layer.weight.shape
    with torch.random.fork_rng(
        devices=()
    ):  # nn.Linear draws values of its own: torch's global generator stays as it was
        plain = nn.Linear(inputs, outputs, bias=layer.bias is not None).to(layer.weight)
    with torch.no_grad():
        plain.weight.copy_(layer.full_weight())
        if layer.bias is not None:
            plain.bias.copy_(layer.bias)
    return plain
