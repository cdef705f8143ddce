"""How long the steps of an attack are, and which loss each of them raises."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lossbook.checks import check_choice, check_count, check_number

Loss = Callable[[Tensor, Tensor], Tensor]
ROUNDS = ("own", "rival")


def cosine_steps(radius: float, steps: int) -> tuple[float, ...]:
    """Step sizes that fall along half a cosine, from twice the radius to nearly nothing.

        α_i = ε (1 + cos(π i/n)),  i = 0 ... n − 1

    The first steps cross the whole ball, the last ones settle.

    Args:
        radius: ε ≥ 0 of the ball.
        steps: n ≥ 1.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> [round(size, 3) for size in cosine_steps(0.1, 4)]
        [0.2, 0.171, 0.1, 0.029]

    Reference: Xie, Zheng, Huang, Ye & Ma 2025, arXiv 2411.15210.
    """
    radius = check_number("radius", radius, at_least=0)
    check_count("steps", steps)
    return tuple(radius * (1 + math.cos(math.pi * i / steps)) for i in range(steps))


def two_cycle_steps(radius: float, steps: int) -> tuple[float, ...]:
    """Step sizes as the authors of PMA released them: two cosines of half the length, each from twice the radius.

        α_i = ε (1 + cos(π (i − 1)/(n/2))) for i ≤ n/2,  ε (1 + cos(π (i − n/2 − 1)/(n/2))) after,  i = 0 ... n − 1

    Args:
        radius, steps: as in `cosine_steps`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> [round(size, 3) for size in two_cycle_steps(0.1, 8)]        # i − 1: the second step is the longest
        [0.171, 0.2, 0.171, 0.1, 0.029, 0.2, 0.171, 0.1]

    Reference: Xie et al. 2025, arXiv 2411.15210, their code (attacks/MD.py).
    """
    radius = check_number("radius", radius, at_least=0)
    check_count("steps", steps)
    half = steps / 2
    return tuple(radius * (1 + math.cos(math.pi * (i - 1 - half * (i > half)) / half)) for i in range(steps))


def margin_decomposition(margin: Loss, steps: int, first: str = "own") -> tuple[Loss, ...]:
    """What each step raises in the released PMA: one half of the probability margin first, then the whole.

    Step 0 raises p_y, away from the goal; the steps up to n/2 raise −p_y (first="own") or p_t ("rival"); the rest the
    margin. The released attack is one round of each, the second on what withstood the first.

    Args:
        margin: p_t − p_y of each row, such as `lossbook.losses.probability_margin_loss` unreduced.
        steps: n ≥ 1.
        first: "own" or "rival".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> raised = margin_decomposition(lambda scores, target: torch.tensor([-0.4]), 4)
        >>> scores, target = torch.log(torch.tensor([[0.6, 0.2, 0.2]])), torch.tensor([0])
        >>> [round(float(part(scores, target)), 3) for part in raised]
        [0.6, -0.6, -0.4, -0.4]

    Reference: Xie et al. 2025, arXiv 2411.15210, their code (attacks/MD.py).
    """
    check_count("steps", steps)
    check_choice("first", first, ROUNDS)

    def own(scores: Tensor, target: Tensor) -> Tensor:
        return torch.softmax(scores, -1).gather(-1, target[..., None]).squeeze(-1)

    def half(scores: Tensor, target: Tensor) -> Tensor:
        return -own(scores, target) if first == "own" else margin(scores, target) + own(scores, target)

    return tuple(own if i < 1 else half if i < steps / 2 else margin for i in range(steps))
