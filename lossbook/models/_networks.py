"""Affine layers, stacks of them, and a small convolutional network: all values drawn from one generator."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lossbook.checks import bad_value, check_choice, check_count, check_generator


class Sine(nn.Module):
    """sin h, unit by unit. With large weights before it, inputs that lie close together look unrelated."""

    def forward(self, values: Tensor) -> Tensor:
        """The sine of every value."""
        return values.sin()


Layer = TypeVar("Layer", bound=nn.Module)
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "sine": Sine,
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
    check_count("inputs", inputs)
    check_count("outputs", outputs)
    check_generator(generator)
    layer = quiet(nn.Linear, inputs, outputs, bias=bias).to(generator.device)
    draw(layer.parameters(), inputs, generator)
    return layer


def multilayer(
    sizes: Sequence[int], *, generator: torch.Generator, activation: str = "relu", bias: bool = True
) -> nn.Sequential:
    """Affine layers with an activation between them.

    Args:
        sizes: inputs, hidden units of each layer, outputs: at least two numbers.
        generator: source of the initial values.
        activation: "relu", "tanh", "gelu", "sine" or "identity".
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


def convolutional(
    channels: Sequence[int],
    outputs: int,
    *,
    generator: torch.Generator,
    size: int = 28,
    inputs: int = 1,
    kernel: int = 3,
    hidden: int | None = None,
) -> nn.Sequential:
    """A small network for square images: convolution, ReLU and halving for each entry of `channels`, then affine.

    The convolutions keep the size of the image (zeros around it), the maximum of each 2 × 2 square halves it. Weights
    and biases are PyTorch's default, U(−1/√fan-in, 1/√fan-in), drawn from the generator.

    Args:
        channels: of each convolution, at least one number.
        outputs: of the last affine layer.
        generator: source of the initial values.
        size: pixels a side; at least 2 for each halving.
        inputs: channels of the images: 1 is grey.
        kernel: pixels a side of the filters, an odd number.
        hidden: units of an affine layer with ReLU before the last; None: there is none.

    Returns:
        A network that takes (batch, inputs, size, size), as `fashion_mnist(flatten=False)` gives images.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> model = convolutional((8, 16), 10, generator=torch.Generator().manual_seed(0))
        >>> tuple(model(torch.zeros(5, 1, 28, 28)).shape), model[-1].in_features == 16 * 7 * 7
        ((5, 10), True)
    """
    channels = tuple(channels)
    if not channels:
        raise bad_value("channels", channels, "the channels of each convolution: one number or more")
    for name, value in (("channels", channels), ("outputs", outputs), ("size", size), ("inputs", inputs)):
        for one in value if isinstance(value, tuple) else (value,):
            check_count(name, one)
    if hidden is not None:
        check_count("hidden", hidden)
    check_count("kernel", kernel)
    if kernel % 2 == 0:
        raise bad_value("kernel", kernel, "an odd number of pixels: the filter has a middle")
    check_generator(generator)
    side = size // 2 ** len(channels)
    if side < 1:
        raise bad_value("size", size, f"{2 ** len(channels)} pixels a side, to be halved {len(channels)} times")

    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *channels)):
        filters = quiet(nn.Conv2d, before, after, kernel, padding=kernel // 2).to(generator.device)
        draw(filters.parameters(), before * kernel**2, generator)
        layers += [filters, nn.ReLU(), nn.MaxPool2d(2)]
    seen = channels[-1] * side**2
    if hidden is None:
        return nn.Sequential(*layers, nn.Flatten(), linear(seen, outputs, generator=generator))
    return nn.Sequential(*layers, nn.Flatten(), *multilayer((seen, hidden, outputs), generator=generator))


def quiet(kind: Callable[..., Layer], *sizes: int, **options: Any) -> Layer:
    """A layer of PyTorch's, which draws values of its own: torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=()):
        return kind(*sizes, **options)


def draw(parameters: Iterable[Tensor], inputs: int, generator: torch.Generator) -> None:
    """Fill parameters, in their order, with U(−1/√inputs, 1/√inputs): what PyTorch's layers start from."""
    limit = 1 / math.sqrt(inputs)
    with torch.no_grad():
        for parameter in parameters:
            parameter.uniform_(-limit, limit, generator=generator)
