"""What is lost when a gradient's blocks of small entries are skipped, as cut cross-entropy's filter does."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbook.checks import bad_value, check_count, check_floating, check_number


def blocks_kept(
    gradient: Float[Tensor, "rows classes"],
    epsilon: float,
    *,
    block: int = 128,
    order: Int[Tensor, " classes"] | None = None,
) -> Bool[Tensor, "row_blocks class_blocks"]:
    """Which blocks of a gradient by the logits hold an entry of at least ε.

    Args:
        gradient: of each row's loss by its logits, before any mean over rows.
        epsilon: ε ≥ 0; the published filter has 2⁻¹² for bfloat16 and 2⁻²⁸ for float32.
        block: rows and classes of a block; the last of each may be smaller.
        order: the classes in the order in which they are cut into blocks; by default their own.

    Returns:
        True where a block is kept; a block is skipped where all |entries| are below ε.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> gradient = torch.tensor([[0.5, 0.0, 0.0, 0.001], [-0.5, 0.0, 0.0, 0.0]])
        >>> blocks_kept(gradient, 0.01, block=2).tolist()
        [[True, False]]

    Reference: Wijmans et al. 2025, arXiv 2411.09009.
    """
    _check(gradient, epsilon, block, order)
    size = gradient.abs() if order is None else gradient.abs()[:, order]
    rows, classes = size.shape
    size = torch.nn.functional.pad(size, (0, -classes % block, 0, -rows % block))
    return size.reshape(size.shape[0] // block, block, -1, block).amax((1, 3)) >= epsilon


def filtered(
    gradient: Float[Tensor, "rows classes"],
    epsilon: float,
    *,
    block: int = 128,
    order: Int[Tensor, " classes"] | None = None,
) -> Float[Tensor, "rows classes"]:
    """A gradient with its skipped blocks set to zero; arguments as in `blocks_kept`.

    Example:
        >>> gradient = torch.tensor([[0.5, 0.0, 0.0, 0.001], [-0.5, 0.0, 0.0, 0.0]])
        >>> filtered(gradient, 0.01, block=2)[0].tolist()
        [0.5, 0.0, 0.0, 0.0]
    """
    kept = blocks_kept(gradient, epsilon, block=block, order=order)
    rows, classes = gradient.shape
    row_block = torch.arange(rows, device=gradient.device) // block
    place = torch.arange(classes, device=gradient.device) if order is None else order.argsort()
    return gradient * kept[row_block[:, None], place[None] // block]


def _check(gradient: Tensor, epsilon: float, block: int, order: Tensor | None) -> None:
    if check_floating("gradient", gradient).ndim != 2 or gradient.numel() == 0:
        raise bad_value("gradient", gradient, "shape (rows, classes), neither of them 0")
    check_number("epsilon", epsilon, at_least=0)
    check_count("block", block)
    if order is not None and (
        order.shape != gradient.shape[1:] or not torch.equal(order.sort().values.cpu(), torch.arange(len(order)))
    ):
        raise bad_value("order", order, f"the classes 0 to {gradient.shape[1] - 1}, each once")
