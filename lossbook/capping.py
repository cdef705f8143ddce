"""The soft cap of scores."""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import check_floating, check_number


def softcap(logits: Float[Tensor, "*shape"], cap: float) -> Float[Tensor, "*shape"]:
    """Scores bent so that none leaves (−c, c): c tanh(z/c).

    Args:
        logits: scores of any shape.
        cap: c > 0. Gemma 2 takes 30 for its classes and 50 for its attention.

    Returns:
        A tensor like logits.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> [round(score, 2) for score in softcap(torch.tensor([-1e4, -1.0, 0.0, 1.0, 1e4]), 30.0).tolist()]
        [-30.0, -1.0, 0.0, 1.0, 30.0]

    Gradient: 1 − tanh²(z/c): 1 at 0, and gone far beyond the cap.
    Limits: z − z³/(3c²) near 0. `LinearLogits(..., softcap=c)` bends logits that are never held.
    Reference: Gemma Team 2024, arXiv 2408.00118.
    """
    cap = check_number("cap", cap, above=0)
    return cap * torch.tanh(check_floating("logits", logits) / cap)
