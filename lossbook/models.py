"""The few small networks that the experiments share, initialised from a generator and from nothing else."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lossbook.checks import bad_type, bad_value, check_choice, check_generator

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "identity": nn.Identity,
}


def linear(inputs: int, outputs: int, *, bias: bool = True, generator: torch.Generator) -> nn.Linear:
    """One affine layer, with PyTorch's default initialisation drawn from the generator.

        weight, bias ~ U(−1/√inputs, 1/√inputs)

    Args:
        inputs, outputs: sizes, at least 1.
        bias: whether there is one.
        generator: source of the initial values; the layer lives on its device.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> first, second = (linear(3, 2, generator=torch.Generator().manual_seed(0)) for _ in range(2))
        >>> bool((first.weight == second.weight).all())
        True
    """
    _check_size("inputs", inputs)
    _check_size("outputs", outputs)
    check_generator(generator)
    with torch.random.fork_rng(
        devices=()
    ):  # nn.Linear draws values of its own: torch's global generator stays as it was
        layer = nn.Linear(inputs, outputs, bias=bias).to(generator.device)
    limit = 1 / math.sqrt(inputs)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-limit, limit, generator=generator)
    return layer


def multilayer(
    sizes: Sequence[int], *, generator: torch.Generator, activation: str = "relu", bias: bool = True
) -> nn.Sequential:
    """Affine layers with an activation between them.

    Args:
        sizes: inputs, hidden units of each layer, outputs: at least two numbers.
        generator: source of the initial values.
        activation: "relu", "tanh", "gelu" or "identity".
        bias: whether the layers have one.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> model = multilayer((4, 8, 3), generator=torch.Generator().manual_seed(0), bias=False)
        >>> x = torch.ones(1, 4)
        >>> bool(torch.allclose(model(2 * x), 2 * model(x)))       # without biases ReLU networks are homogeneous
        True
    """
    sizes = tuple(sizes)
    if len(sizes) < 2:
        raise bad_value("sizes", sizes, "inputs and outputs at least: two numbers or more")
    check_choice("activation", activation, ACTIVATIONS)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [linear(inputs, outputs, bias=bias, generator=generator), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


class Ensemble(nn.Module):
    """Networks of one shape, evaluated and trained as one: far quicker than one after the other where they are small.

    Args:
        models: what `multilayer` or `linear` made, all of the same sizes. Their parameters are copied.

    `ensemble(x)` takes (batch, inputs) and gives (batch, members, outputs). The members stay independent: where the
    loss is a sum over members, and the optimiser works element by element as SGD and Adam do, each moves as if trained
    alone.

    Raises:
        ValueError: no models, or models of different shapes.

    Example:
        >>> models = [linear(3, 2, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
        >>> x = torch.ones(5, 3)
        >>> bool(torch.allclose(Ensemble(models)(x)[:, 1], models[1](x)))
        True
    """

    def __init__(self, models: Sequence[nn.Module]):
        super().__init__()
        stacks = [_layers(model) for model in models]
        if not stacks or any(
            [_shape(layer) for layer in stack] != [_shape(layer) for layer in stacks[0]] for stack in stacks
        ):
            raise bad_value("models", [[_shape(layer) for layer in stack] for stack in stacks], "networks of one shape")
        self.layers = nn.ModuleList()
        for layers in zip(*stacks, strict=True):
            self.layers.append(_Stacked(layers) if isinstance(layers[0], nn.Linear) else layers[0])

    def forward(self, inputs: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch members outputs"]:
        """The outputs of every member for the same inputs."""
        values = inputs[None]
        for layer in self.layers:
            values = layer(values)
        return values.transpose(0, 1)


class _Stacked(nn.Module):
    """The same affine layer of every member: weight (members, inputs, outputs)."""

    def __init__(self, layers: Sequence[nn.Linear]):
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]).contiguous())
        biases = [layer.bias for layer in layers if layer.bias is not None]
        self.bias = nn.Parameter(torch.stack([bias.detach() for bias in biases])[:, None]) if biases else None

    def forward(self, values: Tensor) -> Tensor:
        values = values.expand(self.weight.shape[0], -1, -1)
        return torch.bmm(values, self.weight) if self.bias is None else torch.baddbmm(self.bias, values, self.weight)


def layer_inputs(model: nn.Module, inputs: Float[Tensor, "batch inputs"]) -> list[Float[Tensor, "batch units"]]:
    """What each affine layer of a network sees: the inputs, then the activations of each hidden layer.

    Args:
        model: what `multilayer` or `linear` made.
        inputs: (batch, inputs).

    Returns:
        One tensor for each affine layer, in order.

    Example:
        >>> model = multilayer((4, 8, 8, 3), generator=torch.Generator().manual_seed(0))
        >>> [seen.shape[-1] for seen in layer_inputs(model, torch.ones(1, 4))]
        [4, 8, 8]
    """
    seen = []
    for layer in _layers(model):
        if isinstance(layer, nn.Linear):
            seen.append(inputs)
        inputs = layer(inputs)
    return seen


def _layers(model: nn.Module) -> list[nn.Module]:
    if isinstance(model, nn.Linear):
        return [model]
    if not isinstance(model, nn.Sequential):
        raise bad_type("model", model, "what multilayer or linear made")
    return list(model)


def _shape(layer: nn.Module) -> tuple[object, ...]:
    """What two layers have in common if one can stand in for the other."""
    return type(layer).__name__, *(tuple(parameter.shape) for parameter in layer.parameters())


def _check_size(argument: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_type(argument, value, "a positive integer")
    if value < 1:
        raise bad_value(argument, value, "a positive integer")
