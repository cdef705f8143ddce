"""Attention with a head for each label: where in a text does this label look?"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lossbook.checks import bad_type, bad_value, check_count, check_floating, check_generator
from lossbook.models._networks import linear


class LabelAttention(nn.Module):
    """Label-wise attention: each label takes its own weighted mean of the tokens, and is scored by it.

        A = softmax over tokens of W₂ tanh(W₁ H),  v_j = Σ_t A_jt H_t,  z_j = w_j · v_j + b_j

    Args:
        width: of a token's vector.
        hidden: rows of W₁.
        labels: rows of W₂, w and b.
        generator: source of the initial values.

    `block(values)` takes (batch, tokens, width) and gives (batch, labels); `block(values, padded)` leaves out the
    tokens at which `padded`, (batch, tokens), is True. `block.attention(values, padded)` gives A, (batch, labels,
    tokens).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> block = LabelAttention(4, 8, 3, generator=torch.Generator().manual_seed(0))
        >>> values = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))
        >>> bool(torch.allclose(block.attention(values).sum(-1), torch.ones(2, 3)))
        True
        >>> tuple(block(values).shape)
        (2, 3)

    Reference: Biswas, Pham & Zhang 2021, arXiv 2104.10652, where a transformer's outputs are the tokens.
    """

    def __init__(self, width: int, hidden: int, labels: int, *, generator: torch.Generator):
        super().__init__()
        for name, size in (("width", width), ("hidden", hidden), ("labels", labels)):
            check_count(name, size)
        check_generator(generator)
        self.first = linear(width, hidden, bias=False, generator=generator)
        self.second = linear(hidden, labels, bias=False, generator=generator)
        self.score = linear(width, labels, generator=generator)

    def attention(
        self, values: Float[Tensor, "batch tokens width"], padded: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch labels tokens"]:
        """How much each label looks at each token: a distribution a label."""
        self._check(values, padded)
        scores = self.second(torch.tanh(self.first(values))).mT
        if padded is not None:
            scores = scores.masked_fill(padded[:, None], -1e9)  # as published: a text of padding alone stays finite
        return scores.softmax(-1)

    def forward(
        self, values: Float[Tensor, "batch tokens width"], padded: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch labels"]:
        """The score of each label."""
        seen = self.attention(values, padded) @ values
        return (seen * self.score.weight).sum(-1) + self.score.bias

    def _check(self, values: Tensor, padded: Tensor | None) -> None:
        width = self.first.in_features
        if check_floating("values", values).ndim != 3 or values.shape[-1] != width:
            raise bad_value("values", values, f"shape (batch, tokens, {width})")
        if padded is None:
            return
        if not isinstance(padded, Tensor) or padded.dtype != torch.bool:
            raise bad_type("padded", padded, "a tensor of booleans")
        if padded.shape != values.shape[:2]:
            raise bad_value("padded", padded, f"one boolean per token, shape {tuple(values.shape[:2])}")
