"""The tile engine for linear logits on a GPU: the kernels of `triton_tiles`, with the interface of `tiles`."""

from typing import Any

import torch
import triton
from torch import Tensor

from lossbook.kernels.filter import by_mean_logit, check_filter
from lossbook.kernels.layout import places, slots
from lossbook.kernels.linear import Linear, check_first_order, parts
from lossbook.kernels.ops_dense import IGNORED
from lossbook.kernels.statistics import accumulation_dtype
from lossbook.kernels.triton_dense import TRITON_DTYPES, join, on_device, target_arguments
from lossbook.kernels.triton_launch import TileLaunch, backward_launch, forward_launch, pieces_of
from lossbook.kernels.triton_tiles import tiles_backward, tiles_forward


def serves(names: tuple[str, ...], linear: Linear) -> bool:
    """Whether these kernels can take it: on one GPU, without the maximum."""
    return linear.features.is_cuda and linear.group is None and "max" not in names


def _side_by_side(tensor: Tensor) -> Tensor:
    return tensor if tensor.stride(1) == 1 else tensor.contiguous()


def _options(names: tuple[str, ...], linear: Linear) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both kernels are told, by value and at compile time."""
    given = target_arguments(names, linear.target, linear.features)
    values = {
        "BIAS": linear.features if linear.bias is None else linear.bias.contiguous(),
        "T": given["T"],
        "CW": linear.features if linear.class_weight is None else linear.class_weight.contiguous(),
        "Q": given["Q"],
        "q_row_step": given["q_steps"][0],
        "q_step": given["q_steps"][1],
        "positives": given["positives"],
        "ignore_index": IGNORED,
    }
    constants = {
        "ACC": TRITON_DTYPES[accumulation_dtype(linear.features.dtype)],
        "SLOTS": slots(names),
        "TARGETS": given["TARGETS"],
        "BIASED": linear.bias is not None,
        "CAP": float(linear.softcap or 0),  # at compile time it is exact: a number given at run time is a float32
        "WEIGHTED": linear.class_weight is not None,
        "SOFT": given["SOFT"],
    }
    return values, constants


def forward(
    names: tuple[str, ...], linear: Linear, launch: TileLaunch | None = None, pieces: int | None = None
) -> tuple[Tensor, Tensor]:
    """The statistics (names, rows), and the states (parts, rows) that `backward` starts from."""
    features, weight = _side_by_side(linear.features), _side_by_side(linear.weight)
    (rows, dimension), classes = features.shape, weight.shape[0]
    dtype = accumulation_dtype(features.dtype)
    launch = launch or forward_launch(features.dtype)
    row_blocks = triton.cdiv(rows, launch.rows)
    pieces = pieces or pieces_of(row_blocks, triton.cdiv(classes, launch.classes))
    kept = max(slots(names)) + 1
    out, state = features.new_empty((len(names), rows), dtype=dtype), features.new_empty((kept, rows), dtype=dtype)
    if rows == 0:
        return out, state
    partial = features.new_empty((kept, pieces, rows), dtype=dtype)
    values, constants = _options(names, linear)
    with on_device(features):
        tiles_forward[(row_blocks, pieces)](
            X=features, W=weight, PARTIAL=partial, rows=rows, classes=classes, dimension=dimension,
            x_step=features.stride(0), w_step=weight.stride(0), pieces=pieces, **values,
            EVEN=dimension % launch.features == 0,
            ROWS=launch.rows, CLASSES=launch.classes, FEATURES=launch.features,
            num_warps=launch.warps, num_stages=launch.stages, **constants,
        )  # fmt: skip
        shared = {"SLOTS": constants["SLOTS"], "PLACES": places(names), "TARGETS": constants["TARGETS"]}
        join(partial, values["T"], out, state, classes, values["positives"], IGNORED, shared)
    return out, state


def backward(
    names: tuple[str, ...],
    upstream: Tensor,
    linear: Linear,
    state: Tensor,
    needed: tuple[bool, ...] = (True, True, True),
    sort_classes: bool = True,
    launch: TileLaunch | None = None,
    pieces: int | None = None,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients by features, weight and bias, where needed, each in the dtype of its parameter."""
    features, weight = _side_by_side(linear.features), _side_by_side(linear.weight)
    filtered = linear.gradient_filter is not None
    values, constants = _options(names, linear)
    values |= {
        "C": upstream,
        "c_step": upstream.stride(0),
        "c_row_step": upstream.stride(1),
        "STATE": state,
        "ORDER": by_mean_logit(linear).classes if filtered and sort_classes else features,
        "BELOW": float(linear.gradient_filter or 0),
        "rows": features.shape[0],
        "classes": weight.shape[0],
        "dimension": features.shape[1],
    }
    constants |= {
        "PLACES": places(names),
        "NAMES": len(names),
        "SORTED": filtered and sort_classes,
        "FILTERED": filtered,
    }
    by_features = by_weight = by_bias = None
    if needed[0]:
        by_features, _ = _product(features, weight, values, constants, 1, False, launch, pieces)
    sums_bias = linear.bias is not None and needed[2]
    if needed[1] or sums_bias:
        by_weight, by_bias = _product(weight, features, values, constants, 0, sums_bias, launch, pieces)
    if by_bias is not None and linear.bias is not None:
        by_bias = by_bias.to(linear.bias.dtype)
    return by_features, by_weight if needed[1] else None, by_bias


def _product(
    own: Tensor,
    other: Tensor,
    values: dict[str, Any],
    constants: dict[str, Any],
    class_axis: int,
    sums_bias: bool,
    launch: TileLaunch | None,
    pieces: int | None,
) -> tuple[Tensor, Tensor | None]:
    """The gradient by one of the two parts, and by the bias where the weight is that part."""
    length, dimension = own.shape
    dtype = accumulation_dtype(own.dtype)
    launch = launch or backward_launch(own.dtype, dimension, constants["FILTERED"])
    owned_blocks, slices = triton.cdiv(length, launch.rows), triton.cdiv(dimension, launch.slice)
    other_blocks = triton.cdiv(other.shape[0], launch.classes)
    if pieces is None:  # a partial sum each, in memory: no more than the device has programs to fill
        pieces = min(pieces_of(8 * owned_blocks * slices, other_blocks), 8)
    if length == 0 or other.shape[0] == 0:
        return torch.zeros_like(own), own.new_zeros(length, dtype=dtype) if sums_bias else None
    out = own.new_empty((pieces, length, dimension), dtype=own.dtype if pieces == 1 else dtype)
    by_bias = own.new_empty((pieces, length), dtype=dtype) if sums_bias else None
    with on_device(own):
        tiles_backward[(owned_blocks, slices, pieces)](
            OWN=own, OTHER=other, OUT=out, DBIAS=out if by_bias is None else by_bias,
            own_step=own.stride(0), other_step=other.stride(0), out_step=out.stride(1), out_piece_step=out.stride(0),
            pieces=pieces, **values,
            AXIS=class_axis, SUMS_BIAS=sums_bias, WHOLE=slices == 1,
            EVEN=dimension % launch.features == 0 and dimension % launch.slice == 0,
            OWNED=launch.rows, OTHERS=launch.classes, FEATURES=launch.features, SLICE=launch.slice,
            num_warps=launch.warps, num_stages=launch.stages, **constants,
        )  # fmt: skip
    found = out[0] if pieces == 1 else out.sum(0).to(own.dtype)
    return found, None if by_bias is None else by_bias.sum(0)


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rest: tuple,
        names: tuple[str, ...],
        sort_classes: bool,
    ):
        out, state = forward(names, Linear(features, weight, bias, *rest))
        ctx.save_for_backward(features, weight, bias, state)
        ctx.rest, ctx.names, ctx.sort_classes = rest, names, sort_classes
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        *tensors, state = ctx.saved_tensors
        linear = Linear(*tensors, *ctx.rest)
        found = backward(ctx.names, upstream, linear, state, ctx.needs_input_grad[:3], ctx.sort_classes)
        return *found, None, None, None


def statistics(names: tuple[str, ...], linear: Linear, *, sort_classes: bool = True) -> dict[str, Tensor]:
    """The named statistics of each row, differentiable by features, weight and bias; each has shape (rows,).

    `sort_classes`: whether the gradient filter, where there is one, visits the classes by their mean logit.
    """
    check_filter(names, linear.gradient_filter)
    if "max" in names:
        raise ValueError("names: got max, expected others: a tile formed again may miss its maximum by a rounding")
    if not names:
        return {}
    out = _Statistics.apply(*parts(linear), linear[3:], names, sort_classes)
    return dict(zip(names, out, strict=True))
