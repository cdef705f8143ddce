"""Attacks: the small change of an input, inside a box, that hurts a model most.

Projected gradient ascent from a random start. The radius bounds each coordinate (the l∞ ball).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook.checks import check_count, check_floating, check_generator, check_number


def projected_attack(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Float[Tensor, "batch ..."],
    target: Int[Tensor, " batch"],
    *,
    radius: float,
    steps: int = 10,
    step_size: float | None = None,
    generator: torch.Generator,
) -> Float[Tensor, "batch ..."]:
    """Inputs moved to where a loss is high, by projected gradient ascent.

        x' ← Π(x' + α sign ∂ℓ(f(x'), y)/∂x'),  Π clips each coordinate to within the radius of x

    Args:
        model: inputs to scores.
        loss: (scores, target) to one loss a row, or to its mean or sum.
        inputs: (batch, ...), the clean inputs.
        target: (batch,) class indices.
        radius: of the l∞ ball, in the unit of the inputs; 0 leaves them as they are.
        steps: of ascent; 0 gives the random start.
        step_size: α; None takes 2.5 · radius / steps, enough to cross the ball.
        generator: source of the start, uniform in the ball.

    Returns:
        The moved inputs, detached.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import cross_entropy
        >>> model, x, y = torch.nn.Identity(), torch.tensor([[2.0, 0.0]]), torch.tensor([0])
        >>> projected_attack(model, cross_entropy, x, y, radius=0.5, generator=torch.Generator().manual_seed(0))
        tensor([[1.5000, 0.5000]])

    Reference: Madry et al. 2018, arXiv 1706.06083.
    """
    return _ascend(lambda moved: loss(model(moved), target).sum(), inputs, radius, steps, step_size, generator)


def margin_attack(
    model: nn.Module,
    inputs: Float[Tensor, "batch ..."],
    target: Int[Tensor, " batch"],
    *,
    radius: float,
    steps: int = 10,
    step_size: float | None = None,
    generator: torch.Generator,
) -> Float[Tensor, "batch ..."]:
    """Inputs moved to where the margins differ most from those of the clean inputs.

        argmax_{‖x' − x‖∞ ≤ radius} ‖D(x') − D(x)‖₂,   D_k = z_y − z_k,  k ≠ y

    It looks for the supremum in `lossbook.losses.smooth_adversarial_comp_sum_loss`, by the steps of `projected_attack`.

    Args:
        model: inputs to scores (batch, classes).
        inputs, target, radius, steps, step_size, generator: as in `projected_attack`.

    Returns:
        The moved inputs, detached.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> model, x, y = torch.nn.Identity(), torch.tensor([[2.0, 0.0]]), torch.tensor([0])
        >>> moved = margin_attack(model, x, y, radius=0.5, generator=torch.Generator().manual_seed(0))
        >>> float((moved - x).diff().abs())         # the margin of x moves by twice the radius, one way or the other
        1.0

    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288.
    """
    with torch.no_grad():
        clean = model(inputs)

    def movement(moved: Tensor) -> Tensor:
        change = model(moved) - clean
        margins = change.gather(-1, target[:, None]) - change  # 0 at k = y
        # The square has the same steps: each row's gradient is only scaled, and only its sign is used.
        return margins.square().sum()

    return _ascend(movement, inputs, radius, steps, step_size, generator)


def _ascend(
    objective: Callable[[Tensor], Tensor],
    inputs: Tensor,
    radius: float,
    steps: int,
    step_size: float | None,
    generator: torch.Generator,
) -> Tensor:
    check_floating("inputs", inputs)
    radius = check_number("radius", radius, at_least=0)
    check_count("steps", steps, least=0)
    check_generator(generator)
    step_size = 2.5 * radius / max(1, steps) if step_size is None else check_number("step_size", step_size, above=0)
    inputs = inputs.detach()
    low, high = inputs - radius, inputs + radius
    start = torch.rand(inputs.shape, generator=generator, device=generator.device).to(inputs)
    moved = torch.clamp(inputs + radius * (2 * start - 1), low, high)
    for _ in range(steps):
        with torch.enable_grad():
            moved.requires_grad_()
            (slope,) = torch.autograd.grad(objective(moved), moved)
        moved = torch.clamp(moved.detach() + step_size * slope.sign(), low, high)
    return moved
