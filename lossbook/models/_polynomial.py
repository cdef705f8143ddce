"""The two-layer network of a polynomial regression, small enough to be known whole: two statistics say all it does."""

from jaxtyping import Float
from torch import Tensor, nn

from lossbook.checks import bad_value, check_floating, check_number


class PolynomialNet(nn.Module):
    """Units with a slightly curved activation, averaged; several networks at once.

        f(x) = (1/N) Σ_i φ(w_i·x), φ(h) = h + (ε/2) h²
             = w̄·x + (ε/2) xᵀMx, w̄ = (1/N) Σ_i w_i, M = (1/N) Σ_i w_i w_iᵀ

    Args:
        weight: the start, (members, units, inputs), or (units, inputs) for one.
        curvature: ε ≥ 0.

    Takes points (batch, inputs) that all members share, or (members, batch, inputs), and gives (batch, members). It is
    computed by the second line, which takes batch · inputs² + units · inputs² products instead of
    batch · units · inputs.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> import torch
        >>> net = PolynomialNet(torch.tensor([[1.0, 0.0], [1.0, 2.0]]), curvature=1.0)
        >>> net(torch.tensor([[1.0, 1.0]])).item()                   # units see 1 and 3: (1 + 1/2 + 3 + 9/2)/2
        4.5

    Reference: Kumar et al. 2024, arXiv 2310.06110.
    """

    def __init__(self, weight: Float[Tensor, "*members units inputs"], *, curvature: float):
        super().__init__()
        if check_floating("weight", weight).ndim not in (2, 3) or weight.numel() == 0:
            raise bad_value("weight", weight, "shape (members, units, inputs) or (units, inputs), none of them 0")
        self.curvature = check_number("curvature", curvature, at_least=0)
        self.weight = nn.Parameter(weight.detach().clone().reshape(-1, *weight.shape[-2:]))

    def statistics(self) -> tuple[Float[Tensor, "members inputs"], Float[Tensor, "members inputs inputs"]]:
        """The mean weight w̄ and the mean outer product M: all that the function depends on."""
        return self.weight.mean(1), self.weight.mT @ self.weight / self.weight.shape[1]

    def forward(self, inputs: Tensor) -> Float[Tensor, "batch members"]:
        """The output of every member."""
        mean, second = self.statistics()
        return ((inputs @ (self.curvature / 2 * second) + mean[:, None]) * inputs).sum(-1).T

    def kernel(self, inputs: Tensor) -> Float[Tensor, "members batch batch"]:
        """The tangent kernel of every member on its points, in closed form.

        K(x, x') = (x·x'/N) (1 + ε w̄·(x + x') + ε² xᵀMx')
        """
        mean, second = self.statistics()
        linear = inputs @ mean[..., None]
        seen = 1 + self.curvature * (linear + linear.mT) + self.curvature**2 * (inputs @ second @ inputs.mT)
        return inputs @ inputs.mT * seen / self.weight.shape[1]
