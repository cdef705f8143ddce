"""Losses with a fused kernel as operators of torch: value and gradient in one visit to the logits, on CUDA.

The gradient is made with the loss, before autograd says what it will be multiplied by. `scale` is what is known of
that: a number a row, such as its weight over the sum of all weights. In `loss.backward()` nothing is left to multiply,
and the rows stay as they are; a further factor multiplies them where they lie, and so a second backward through the
same graph is refused, as autograd refuses any tensor that was changed.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lossbook.kernels.ops_dense import IGNORED


@torch.library.custom_op("lossbook::fused_row_loss", mutates_args=(), device_types=("cuda", "cpu"))
def fused_row_loss(
    logits: Tensor,
    target: Tensor,
    class_weight: Tensor | None,
    scale: Tensor,
    loss: str,
    parameters: Sequence[float],
    ignore_index: int = IGNORED,
) -> tuple[Tensor, Tensor]:
    """scale_i loss_i, (rows,), and its gradient by the logits.

    Args:
        logits: (rows, classes), classes side by side, any row stride; not float64.
        target: (rows,) class indices.
        class_weight: (classes,) float32, for losses that look at it themselves, or None.
        scale: (rows,) float32.
        loss: a key of `lossbook.kernels.triton_fused.FUSED`, which also says what the parameters are.
        parameters: numbers.
        ignore_index: the target of a row that does not count.
    """
    _check_device(logits)
    from lossbook.kernels import triton_fused

    if not triton_fused.serves(loss, logits, target):
        raise ValueError(f"logits: got no case of the fused kernels of {loss!r}, expected one that `serves` allows")
    return triton_fused.loss_and_gradient(loss, tuple(parameters), logits, target, class_weight, scale, ignore_index)


@torch.library.custom_op("lossbook::scale_rows_", mutates_args=("gradient",), device_types=("cuda", "cpu"))
def scale_rows_(gradient: Tensor, scale: Tensor) -> None:
    """Multiply the rows of a gradient in place; rows whose scale is 1 are not touched."""
    _check_device(gradient)
    from lossbook.kernels import triton_fused

    triton_fused.scale_rows_(gradient, scale)


def _check_device(tensor: Tensor) -> None:
    if not tensor.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":  # where NumPy plays the GPU
        raise RuntimeError(f"fused losses run on CUDA, not on {tensor.device}: there the row statistics serve")


@fused_row_loss.register_fake
def _(logits: Tensor, *rest: Any, **more: Any) -> tuple[Tensor, Tensor]:
    gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
    return logits.new_empty(logits.shape[0], dtype=torch.float32), gradient


@scale_rows_.register_fake
def _(gradient: Tensor, scale: Tensor) -> None:
    return None


def _keep(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])


def _differentiate(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():
        raise RuntimeError("fused losses give first derivatives only: for create_graph=True use the row statistics")
    (gradient,) = ctx.saved_tensors
    if type(gradient) is Tensor:
        scale_rows_(gradient, upstream)
    else:  # a graph is being traced, which keeps what was saved as it is
        gradient = (gradient * upstream[:, None]).to(gradient.dtype)
    return gradient, None, None, None, None, None, None


fused_row_loss.register_autograd(_differentiate, setup_context=_keep)
