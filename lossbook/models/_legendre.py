"""LegendreTron: a classifier that learns its link from scores to probabilities, the gradient of a convex network."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from lossbook.checks import bad_value, check_count, check_floating, check_generator
from lossbook.models._networks import linear

LEAST_SCALE = 1e-3  # of a normalisation, so that none dies out
SPREAD_FLOOR = 1e-6  # added to a standard deviation before it is divided by


class ConvexNetwork(nn.Module):
    """A convex function of a vector, and its gradient: an input-convex network of softplus units.

        z₁ = s(W₀u + b₀),  z_{l+1} = [s(N(W⁺z_l + Wu)); s(W'u)],  value = N(W⁺z + Wu)

    W⁺z = (softplus(V) z + c)/units has no negative weight, softplus s is convex and increasing, and the normalisation
    N(a) = (a + b)(e^l + 0.001) has a positive scale: so every step keeps convexity.

    Args:
        inputs: of the vector u.
        hidden: units of each layer, an even number.
        depth: layers before the last sum.
        generator: source of the initial values.
        dtype: of the weights.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> network = ConvexNetwork(2, generator=torch.Generator().manual_seed(0))
        >>> a, b = torch.tensor([[[3.0, 0.0]], [[-1.0, 2.0]]], dtype=torch.float64)
        >>> bool(network(a) + network(b) > 2 * network((a + b) / 2))
        True

    Reference: Amos, Xu & Kolter 2017, arXiv 1609.07152; Huang, Chen, Tsirigotis & Courville 2021, arXiv 2012.05942.
    """

    def __init__(
        self,
        inputs: int,
        *,
        hidden: int = 4,
        depth: int = 4,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float64,
    ):
        super().__init__()
        check_count("hidden", hidden, least=2)
        if hidden % 2:
            raise bad_value("hidden", hidden, "an even number: half of the units see the layer before, half the input")
        check_count("depth", depth)
        half = hidden // 2
        self.first = linear(inputs, hidden, generator=generator)
        self.carried: Any = nn.ModuleList(linear(hidden, half, generator=generator) for _ in range(depth - 1))
        self.beside: Any = nn.ModuleList(linear(inputs, half, generator=generator) for _ in range(depth - 1))
        self.anew: Any = nn.ModuleList(linear(inputs, half, generator=generator) for _ in range(depth - 1))
        self.norms: Any = nn.ModuleList(_Normalisation(half) for _ in range(depth - 1))
        self.last = linear(hidden, 1, bias=False, generator=generator)
        self.last_beside = linear(inputs, 1, bias=False, generator=generator)
        self.last_norm = _Normalisation(1)
        self.last_norm.shift.requires_grad_(False)  # no gradient in u sees it
        self.to(generator.device, dtype)

    def forward(self, u: Float[Tensor, "batch inputs"]) -> Float[Tensor, " batch"]:
        """The convex function."""
        return self.value_and_gradient(u)[0]

    def value_and_gradient(
        self, u: Float[Tensor, "batch inputs"], *, normalise: bool = False
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch inputs"]]:
        """The function and its gradient, carried forward side by side; with `normalise` the norms are set on the way.

        The gradient is written out, so that training differentiates once and not twice, and `torch.func` may be used.
        """
        inner = self.first(u)
        z, slope = softplus(inner), torch.sigmoid(inner)[..., None] * self.first.weight  # slope: (batch, units, inputs)
        for carried, beside, anew, norm in zip(self.carried, self.beside, self.anew, self.norms, strict=True):
            inner, steepness = _carry(carried, beside, z, slope, u)
            if normalise:
                norm.fit(inner)
            new = anew(u)
            kept, added = torch.sigmoid(norm(inner)) * norm.scale(), torch.sigmoid(new)
            z = torch.cat([softplus(norm(inner)), softplus(new)], -1)
            slope = torch.cat([kept[..., None] * steepness, added[..., None] * anew.weight], -2)
        inner, steepness = _carry(self.last, self.last_beside, z, slope, u)
        if normalise:
            self.last_norm.fit(inner)
        return self.last_norm(inner)[..., 0], (self.last_norm.scale()[:, None] * steepness)[..., 0, :]


class LegendreLink(nn.Module):
    """The gradient of a strictly convex potential, once or several times: from scores to scores, never turning back.

        v(u) = ∇F(u),  F(u) = softplus(w₁) K(u) + softplus(w₀) ‖u‖²/2,  K a `ConvexNetwork`

    Args:
        inputs: scores.
        blocks: gradients one after the other; the published default is 1.
        hidden, depth: of the networks.
        generator: source of the initial values; w₀ and w₁ are standard normal.
        dtype: of the weights.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> link = LegendreLink(1, generator=torch.Generator().manual_seed(0))
        >>> u = torch.linspace(-9, 9, 100, dtype=torch.float64)[:, None]
        >>> bool((link(u).diff(dim=0) > 0).all())                      # of one score it is an increasing curve
        True

    Reference: Lam, Walder, Penev & Nock 2023, arXiv 2301.11695.
    """

    def __init__(
        self,
        inputs: int,
        *,
        blocks: int = 1,
        hidden: int = 4,
        depth: int = 4,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float64,
    ):
        super().__init__()
        check_count("blocks", blocks)
        check_generator(generator)
        shape: dict[str, Any] = {"hidden": hidden, "depth": depth, "generator": generator, "dtype": dtype}
        self.networks: Any = nn.ModuleList(ConvexNetwork(inputs, **shape) for _ in range(blocks))
        drawn = torch.randn(2, blocks, generator=generator, device=generator.device, dtype=dtype)
        self.round_weight, self.network_weight = nn.Parameter(drawn[0]), nn.Parameter(drawn[1])  # w₀ and w₁

    def forward(self, u: Float[Tensor, "batch inputs"], *, normalise: bool = False) -> Float[Tensor, "batch inputs"]:
        """The scores, block after block."""
        for network, w0, w1 in zip(self.networks, self.round_weight, self.network_weight, strict=True):
            _, slope = network.value_and_gradient(u, normalise=normalise)
            u = softplus(w1) * slope + softplus(w0) * u
        return u


class LegendreTron(nn.Module):
    """Multinomial logistic regression whose link is learned: an affine layer, a `LegendreLink`, a softmax.

        u = Wx + b ∈ R^(V−1),  z = (v(u), 0),  p = softmax(z)

    The last class is the reference: its score is 0. Trained by cross-entropy on z. With the network switched off and
    softplus(w₀) = 1 it is multinomial logistic regression.

    Args:
        inputs: features.
        classes: V, at least 2.
        blocks, hidden, depth: of the link.
        generator: source of the initial values.
        dtype: float64, as published; the features must have it too.

    `normalise(features)` sets the shifts and scales within the link by a first batch: call it once before training.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> model = LegendreTron(5, 3, generator=torch.Generator().manual_seed(0))
        >>> logits = model(torch.ones(2, 5, dtype=torch.float64))
        >>> tuple(logits.shape), logits[:, -1].tolist()
        ((2, 3), [0.0, 0.0])

    Reference: Lam, Walder, Penev & Nock 2023, arXiv 2301.11695.
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        blocks: int = 1,
        hidden: int = 4,
        depth: int = 4,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float64,
    ):
        super().__init__()
        check_count("classes", classes, least=2)
        self.scores = linear(inputs, classes - 1, generator=generator).to(dtype)
        shape: dict[str, Any] = {
            "blocks": blocks,
            "hidden": hidden,
            "depth": depth,
            "generator": generator,
            "dtype": dtype,
        }
        self.link = LegendreLink(classes - 1, **shape)

    def forward(self, features: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch classes"]:
        """Logits, the last of them 0."""
        return self._logits(features, normalise=False)

    @torch.no_grad()
    def normalise(self, features: Float[Tensor, "batch inputs"]) -> "LegendreTron":
        """Set each normalisation to mean 0 and deviation 1 over these features, layer after layer; returns the model.

        Raises:
            TypeError, ValueError: features that are not floating point, or fewer than two.
        """
        if len(check_floating("features", features)) < 2:
            raise bad_value("features", features, "at least two rows, for a mean and a deviation")
        self._logits(features, normalise=True)
        return self

    def _logits(self, features: Tensor, *, normalise: bool) -> Tensor:
        v = self.link(self.scores(features), normalise=normalise)
        return torch.cat([v, torch.zeros_like(v[..., :1])], -1)


class _Normalisation(nn.Module):
    """(a + b)(e^l + 0.001), unit by unit, positive however it is trained."""

    def __init__(self, units: int):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(units))
        self.log_scale = nn.Parameter(torch.zeros(units))

    def scale(self) -> Tensor:
        return self.log_scale.exp() + LEAST_SCALE

    def forward(self, values: Tensor) -> Tensor:
        return (values + self.shift) * self.scale()

    @torch.no_grad()
    def fit(self, values: Tensor) -> None:
        self.shift.copy_(-values.mean(0))
        self.log_scale.copy_(-(values.std(0, correction=0) + SPREAD_FLOOR).log())


def _carry(carried: nn.Linear, beside: nn.Linear, z: Tensor, slope: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """W⁺z + Wu and its slope in u: the weights of the layer before are positive, those of the input free."""
    positive = softplus(carried.weight) / z.shape[-1]
    value = z @ positive.T + beside(u)
    if carried.bias is not None:
        value = value + carried.bias / z.shape[-1]
    return value, positive @ slope + beside.weight
