"""The row engine for held logits on a GPU: the kernels of `triton_rows`, given tensors of any strides."""

import contextlib
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lossbook.kernels.layout import places, slots
from lossbook.kernels.statistics import NEED_SOFT_TARGET, accumulation_dtype
from lossbook.kernels.triton_launch import Launch, alignment, grain, pieces_of, row_launch
from lossbook.kernels.triton_rows import rows_backward, rows_forward, states_joined

TRITON_DTYPES = {torch.float32: tl.float32, torch.float64: tl.float64}


def on_device(tensor: Tensor) -> Any:
    """The tensor's GPU as the one that kernels are started on."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else contextlib.nullcontext()


def strided(*tensors: Tensor) -> bool:
    """Whether the columns of some tensor do not lie side by side."""
    return any(tensor.stride(1) != 1 for tensor in tensors)


def target_arguments(names: tuple[str, ...], target: Tensor | None, logits: Tensor) -> dict[str, Any]:
    """Class indices and soft targets as the kernels take them; the logits stand in for what there is not."""
    soft = bool(NEED_SOFT_TARGET.intersection(names))
    if target is None:
        return {"T": logits, "Q": logits, "q_steps": (0, 0), "positives": 1, "TARGETS": 0, "SOFT": False}
    if soft:
        return {"T": logits, "Q": target, "q_steps": target.stride(), "positives": 1, "TARGETS": 0, "SOFT": True}
    positives = 1 if target.ndim == 1 else target.shape[1]
    return {
        "T": target.contiguous(),
        "Q": logits,
        "q_steps": (0, 0),
        "positives": positives,
        "TARGETS": 1 if positives == 1 else 2,
        "SOFT": False,
    }


def forward(
    names: tuple[str, ...],
    logits: Tensor,
    target: Tensor | None,
    class_weight: Tensor | None,
    ignore_index: int,
    launch: Launch | None = None,
    pieces: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The statistics (names, rows), and the states (parts, rows) that `backward` starts from."""
    rows, classes = logits.shape
    dtype, needed = accumulation_dtype(logits.dtype), slots(names)
    parts = max(needed) + 1
    launch = launch or row_launch(classes, logits.dtype)
    pieces = pieces or pieces_of(rows, classes // launch.columns)
    out = logits.new_empty((len(names), rows), dtype=dtype)
    state = logits.new_empty((parts, rows), dtype=dtype)
    if rows == 0:
        return out, state
    partial = state if pieces == 1 else logits.new_empty((parts, pieces, rows), dtype=dtype)
    given = target_arguments(names, target, logits)
    shared = {"SLOTS": needed, "PLACES": places(names), "TARGETS": given["TARGETS"]}
    with on_device(logits):
        rows_forward[(rows, pieces)](
            logits, given["T"], logits if class_weight is None else class_weight.contiguous(), given["Q"], out, partial,
            rows, classes, pieces, *logits.stride(), *given["q_steps"], given["positives"], ignore_index,
            ACC=TRITON_DTYPES[dtype], WEIGHTED=class_weight is not None, SOFT=given["SOFT"], WHOLE=pieces == 1,
            STRIDED=strided(logits, given["Q"]), ALIGN=alignment(logits), GRAIN=grain(logits),
            STEPS=launch.steps, LANES=launch.lanes, num_warps=launch.warps, **shared,
        )  # fmt: skip
        if pieces > 1:
            join(partial, given["T"], out, state, classes, given["positives"], ignore_index, shared)
    return out, state


def join(
    partial: Tensor, target: Tensor, out: Tensor, state: Tensor, classes: int, positives: int, ignore_index: int,
    shared: dict[str, Any],
) -> None:  # fmt: skip
    """Join the states (parts, pieces, rows) of all pieces into `state` (parts, rows), and write the statistics."""
    pieces, rows = partial.shape[1:]
    padded = triton.next_power_of_2(pieces)
    block = max(1, min(128, 1024 // padded))
    states_joined[(triton.cdiv(rows, block),)](
        partial, target, out, state, rows, classes, pieces, positives, ignore_index,
        PIECES=padded, BLOCK=block, num_warps=4, **shared,
    )  # fmt: skip


def backward(
    names: tuple[str, ...],
    upstream: Tensor,
    logits: Tensor,
    target: Tensor | None,
    class_weight: Tensor | None,
    state: Tensor,
    ignore_index: int,
    launch: Launch | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The gradient by the logits from the upstream (names, rows), of any strides, and the states of `forward`.

    `out` may be the logits themselves: each entry is read by the program that writes it, and by no other.
    """
    rows, classes = logits.shape
    gradient = torch.empty_like(logits) if out is None else out  # as the logits lie, where no two share a place
    if rows == 0:
        return gradient
    launch = launch or row_launch(classes, logits.dtype)
    given = target_arguments(names, target, logits)
    with on_device(logits):
        rows_backward[(rows, triton.cdiv(classes, launch.columns))](
            logits, given["T"], logits if class_weight is None else class_weight.contiguous(), given["Q"],
            upstream, state, gradient, rows, classes, *logits.stride(), *given["q_steps"], *gradient.stride(),
            *upstream.stride(), given["positives"], ignore_index,
            ACC=TRITON_DTYPES[state.dtype], SLOTS=slots(names), PLACES=places(names), NAMES=len(names),
            TARGETS=given["TARGETS"], WEIGHTED=class_weight is not None, SOFT=given["SOFT"],
            STRIDED=strided(logits, given["Q"], gradient),
            ALIGN=alignment(logits, gradient), GRAIN=grain(logits, gradient),
            STEPS=launch.steps, LANES=launch.lanes, num_warps=launch.warps,
        )  # fmt: skip
    return gradient
