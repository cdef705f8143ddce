"""A small transformer encoder that reads a few tokens: the network of the modular-addition papers."""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook.checks import bad_value, check_count, check_generator, check_number
from lossbook.models._networks import linear, quiet


class Encoder(nn.Module):
    """What `transformer` makes: an embedding, encoder layers, and `head`, an affine layer on the last position."""

    def __init__(self, embedding: nn.Embedding, layers: list["EncoderLayer"], head: nn.Linear):
        super().__init__()
        self.embedding, self.layers, self.head = embedding, nn.ModuleList(layers), head

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch outputs"]:
        """Read at the last position, which may look at all."""
        values = self.embedding(tokens)
        for layer in self.layers[:-1]:
            values = layer(values, values)
        return self.head(self.layers[-1](values, values[:, -1:])[:, 0])  # nobody reads the other positions


class EncoderLayer(nn.Module):
    """Attention, then two affine layers; each added to what it saw, and the sum normalised (post-LN).

    torch.nn.TransformerEncoderLayer, written out: its own quick path knows no vmap, and it cannot leave out the
    positions that nobody reads.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, generator: torch.Generator):
        super().__init__()
        self.heads = heads
        self.attention = _glorot(width, 3 * width, generator)
        self.mixed = linear(width, width, generator=generator)
        self.wide = linear(width, hidden, generator=generator)
        self.narrow = linear(hidden, width, generator=generator)
        self.after_attention = nn.LayerNorm(width, device=generator.device)
        self.after_wide = nn.LayerNorm(width, device=generator.device)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            self.mixed.bias.zero_()

    def extra_repr(self) -> str:
        """What the sizes of the parameters do not tell."""
        return f"heads={self.heads}"

    def forward(
        self, values: Float[Tensor, "batch length width"], asking: Float[Tensor, "batch positions width"]
    ) -> Float[Tensor, "batch positions width"]:
        """What the positions that ask make of all positions."""
        weight, bias = self.attention.weight.chunk(3), self.attention.bias.chunk(3)
        query, key, value = (
            _rowwise(partial(nn.functional.linear, weight=part, bias=offset), seen)
            .unflatten(-1, (self.heads, -1))
            .transpose(1, 2)
            for seen, part, offset in zip((asking, values, values), weight, bias, strict=True)
        )
        scores = query @ key.mT / math.sqrt(key.shape[-1])
        found = (self.dropout(scores.softmax(-1)) @ value).transpose(1, 2).flatten(2)
        middle = self.after_attention(asking + self.dropout(_rowwise(self.mixed, found)))
        return self.after_wide(middle + self.dropout(_rowwise(self._fed_forward, middle)))

    def _fed_forward(self, rows: Tensor) -> Tensor:
        return self.narrow(self.dropout(self.wide(rows).relu()))


def _rowwise(layer: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """An affine layer on all positions as one matrix: under vmap a third axis would cost a product for each example."""
    return layer(values.flatten(0, 1)).unflatten(0, values.shape[:2])


def transformer(
    vocabulary: int,
    outputs: int,
    *,
    generator: torch.Generator,
    width: int = 128,
    heads: int = 4,
    hidden: int = 2048,
    dropout: float = 0.1,
    layers: int = 1,
) -> Encoder:
    """A transformer encoder without a positional code, read at the last position.

    Post-LN layers with ReLU, initialised as torch.nn.TransformerEncoderLayer is, embeddings from N(0, 1), all drawn
    from the generator. Without a code the earlier positions are a set: their order changes nothing.

    Args:
        vocabulary: number of tokens.
        outputs: of the last affine layer, `head`.
        generator: source of the initial values.
        width: of a position, a multiple of `heads`.
        heads: of the attention.
        hidden: units of each layer's affine part.
        dropout: share of values that training drops, in [0, 1).
        layers: how many.

    Returns:
        A network that takes whole numbers (batch, length), of any length, and gives (batch, outputs).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> model = transformer(7, 5, generator=torch.Generator().manual_seed(0), width=16, hidden=32).eval()
        >>> order, another = torch.tensor([[1, 2, 3]]), torch.tensor([[2, 1, 3]])
        >>> bool(torch.allclose(model(order), model(another), atol=1e-6))
        True

    Reference: Vaswani et al. 2017, arXiv 1706.03762; as used by Prieto et al. 2025, arXiv 2501.04697.
    """
    sizes = {"vocabulary": vocabulary, "outputs": outputs, "width": width, "heads": heads, "hidden": hidden}
    for name, value in {**sizes, "layers": layers}.items():
        check_count(name, value)
    if width % heads:
        raise bad_value("width", width, f"a multiple of heads, {heads}")
    check_number("dropout", dropout, at_least=0, below=1)
    check_generator(generator)
    embedding = quiet(nn.Embedding, vocabulary, width).to(generator.device)
    with torch.no_grad():
        embedding.weight.normal_(generator=generator)
    stack = [EncoderLayer(width, heads, hidden, dropout, generator) for _ in range(layers)]
    return Encoder(embedding, stack, linear(width, outputs, generator=generator))


def _glorot(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Weights from U(±√(6 / (inputs + outputs))), no bias yet: how PyTorch starts an attention."""
    layer = quiet(nn.Linear, inputs, outputs).to(generator.device)
    limit = math.sqrt(6 / (inputs + outputs))
    with torch.no_grad():
        layer.weight.uniform_(-limit, limit, generator=generator)
        layer.bias.zero_()
    return layer
