"""EnsLoss: a new convex, calibrated margin loss for every batch, known by its derivative alone."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lossbook.checks import bad_value, check_count, check_floating, check_generator, check_number

LEAST = 1e-6  # taken off every derivative, so that none is 0


class EnsLoss(nn.Module):
    """EnsLoss: gradient descent sees a margin loss through its slope alone; so draw a slope at random, at every step.

        G_i = (1 + λ u_i)₊^(1/λ), e^(u_i) for λ = 0, u_i ~ N(0, 1);  g = −min(G, 1), sorted, the steepest to
        the smallest margin;  times 1/s where s > 1;  loss = mean of g_i s_i, with g held

    So g is negative and does not fall as the margin s grows: the slope of some convex, calibrated loss. About half of
    the draws are cut off at −1. The other half is what the larger margins get.

    Args:
        generator: where the draws come from; of the device of the margins.
        box_cox: λ, the power of Box and Cox. 0 in the paper's main experiments.
        period: λ is drawn anew from U(−1, 1) after every so many calls in training; None: it stays, as in the main
            experiments. The paper's ablation redraws after 10, 20 or 50 epochs.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> loss, margin = EnsLoss(torch.Generator().manual_seed(0)), torch.tensor([2.0, -1.0, 0.5], requires_grad=True)
        >>> loss(margin).backward()
        >>> slopes = 3 * margin.grad
        >>> bool((slopes < 0).all()), bool(slopes[1] <= slopes[2] <= slopes[0])       # by growing margin
        (True, True)

    Gradient: g_i/n, and nothing else: the value is no risk and may be negative. Log accuracy, or the logistic loss.
    Limits: |g| ≤ 1 + 10⁻⁶; beyond s = 1 a slope dies at least like 1/s, so that no single loss drawn falls faster than
        −log s. Two classes only: for more the paper has no derivative to draw.
    Reference: Dai 2024, arXiv 2409.00908, and its released code.
    """

    def __init__(self, generator: torch.Generator, *, box_cox: float = 0.0, period: int | None = None):
        super().__init__()
        check_generator(generator)
        if period is not None:
            check_count("period", period)
        self.generator, self.period = generator, period
        self.box_cox, self.calls = check_number("box_cox", box_cox), 0

    def forward(self, margin: Float[Tensor, "batch ..."]) -> Float[Tensor, "..."]:
        """The mean of g s over the batch: a number, or one a member of an `Ensemble`, each with slopes of its own."""
        if self.training:
            if self.period is not None and self.calls and self.calls % self.period == 0:
                draw = torch.rand((), generator=self.generator, device=self.generator.device)
                self.box_cox = 2 * float(draw) - 1
            self.calls += 1
        return (self.slopes(margin.detach()) * margin).mean(0)

    def slopes(self, margin: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """A newly drawn derivative at the margins of a batch."""
        if check_floating("margin", margin).ndim < 1 or len(margin) < 1:
            raise bad_value("margin", margin, "shape (batch, *members), at least one margin")
        options = {"dtype": margin.dtype, "device": margin.device}
        drawn = torch.randn(margin.shape, generator=self.generator, **options)  # type: ignore[call-overload]
        return slopes_of(margin, box_cox_inverse(drawn, self.box_cox))

    def get_extra_state(self) -> dict[str, object]:
        """Where the draws stand, so that training can go on from a checkpoint."""
        return {"generator": self.generator.get_state(), "box_cox": self.box_cox, "calls": self.calls}

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Go on from there."""
        self.generator.set_state(state["generator"])  # type: ignore[arg-type]
        self.box_cox, self.calls = state["box_cox"], state["calls"]  # type: ignore[assignment]


def box_cox_inverse(drawn: Float[Tensor, "*any"], box_cox: float) -> Float[Tensor, "*any"]:
    """What Box and Cox's transform would turn into the draw: (1 + λ u)₊^(1/λ), and e^u for λ = 0.

    Example:
        >>> box_cox_inverse(torch.tensor([-1.0, 0.0, 1.0]), 0.5)
        tensor([0.2500, 1.0000, 2.2500])

    For λ < 0 it is ∞ from u = −1/λ on, which the cut at 1 takes in.
    """
    box_cox = check_number("box_cox", box_cox)
    return drawn.exp() if box_cox == 0 else (1 + box_cox * drawn).clamp(min=0) ** (1 / box_cox)


def slopes_of(margin: Float[Tensor, "batch ..."], sizes: Float[Tensor, "batch ..."]) -> Float[Tensor, "..."]:
    """Sizes dealt out along the batch axis as a derivative: steepest where the margin is smallest, dying beyond 1."""
    steepest_first = -sizes.clamp(max=1.0).sort(dim=0, descending=True).values
    dealt = torch.zeros_like(margin).scatter(0, margin.argsort(dim=0, stable=True), steepest_first)
    return dealt / margin.clamp(min=1.0) - LEAST
