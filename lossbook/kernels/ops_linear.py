"""Statistics of linear logits as an operator of torch.library, for graphs that torch.compile makes.

An operator is opaque to the compiler: what depends on the data, the check of the targets and the rows left out, happens
inside, and the graph around it keeps fixed shapes. Rows with the target -1 do not count: their statistics and gradients
are 0. Second derivatives are refused.
"""

from typing import Any

import torch
from torch import Tensor

from lossbook.kernels import chunked, gram, tiles
from lossbook.kernels.linear import Linear, in_own_dtype
from lossbook.kernels.statistics import accumulation_dtype

_ENGINES = {"chunked": chunked, "tile": tiles}


def statistics(names: tuple[str, ...], linear: Linear) -> dict[str, Tensor]:
    """The named statistics of each row, differentiable once (the Gram engine's twice); each has shape (rows,)."""
    if linear.engine == "gram":  # plain PyTorch, which the compiler follows by itself
        target = linear.target
        if target is None:
            return gram.statistics(names, linear)
        features = torch.where((target >= 0)[:, None], linear.features, 0.0)
        found = gram.statistics(names, linear._replace(features=features, target=target.clamp(min=0)))
        return {name: torch.where(target >= 0, number, 0.0) for name, number in found.items()}
    out = linear_statistics(*linear[:8], linear.engine, ",".join(names))
    return dict(zip(names, out.unbind(), strict=True))


@torch.library.custom_op("lossbook::linear_statistics", mutates_args=())
def linear_statistics(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor | None,
    class_weight: Tensor | None,
    memory_budget: int,
    softcap: float | None,
    gradient_filter: float | None,
    engine: str,
    names: str,
) -> Tensor:
    """The named statistics, the names joined by commas: (names, rows), in the accumulation dtype."""
    linear = Linear(
        features, weight, bias, target, class_weight, memory_budget, softcap, gradient_filter, engine=engine
    )
    found = features.new_zeros(names.count(",") + 1, len(features), dtype=accumulation_dtype(features.dtype))
    linear, counts = _counted(linear)
    if len(linear.features):
        numbers = _ENGINES[engine].statistics(tuple(names.split(",")), linear)
        found[:, counts] = torch.stack([numbers[name] for name in names.split(",")])
    return found


@linear_statistics.register_fake
def _(features: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    return features.new_empty(rest[-1].count(",") + 1, features.shape[0], dtype=accumulation_dtype(features.dtype))


@torch.library.custom_op("lossbook::linear_statistics_backward", mutates_args=())
def linear_statistics_backward(
    upstream: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor | None,
    class_weight: Tensor | None,
    memory_budget: int,
    softcap: float | None,
    gradient_filter: float | None,
    engine: str,
    names: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by features, weight and bias (empty where there is none)."""
    rest = (target, class_weight, memory_budget, softcap, gradient_filter, engine)
    linear, counts = _counted(Linear(features, weight, bias, *rest))
    if len(linear.features) == 0:
        made: Any = (None, None, None)
    elif engine == "chunked":
        with in_own_dtype(linear):
            made = chunked.backward(
                tuple(names.split(",")), linear, upstream[:, counts], (True, True, bias is not None)
            )
    else:
        made = _tile_gradients(tuple(names.split(",")), linear, upstream[:, counts])
    by_features = torch.zeros_like(features, memory_format=torch.contiguous_format)
    if made[0] is not None:
        by_features[counts] = made[0]
    others = [
        torch.zeros_like(features.new_empty(0) if parameter is None else parameter) if gradient is None else gradient
        for parameter, gradient in zip((weight, bias), made[1:], strict=True)
    ]
    return by_features, others[0], others[1]


def _tile_gradients(names: tuple[str, ...], linear: Linear, upstream: Tensor) -> tuple[Tensor | None, ...]:
    with in_own_dtype(linear):
        found = tiles.sums(linear, (True, True, linear.bias is not None))
        tiles.add_gradients(found, names, linear, tiles.state(names, linear), upstream, sort_classes=True)
    return tiles.cast(found, linear)


@linear_statistics_backward.register_fake
def _(upstream: Tensor, features: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any):
    return (
        torch.empty_like(features, memory_format=torch.contiguous_format),
        torch.empty_like(weight, memory_format=torch.contiguous_format),
        features.new_empty(0) if bias is None else torch.empty_like(bias),
    )


def _counted(linear: Linear) -> tuple[Linear, Any]:
    """The rows that count, and which they are; targets are checked here."""
    target, classes = linear.target, linear.weight.shape[0]
    if target is None or target.is_floating_point():
        return linear, slice(None)
    if len(target) and int(target.max()) >= classes:
        raise ValueError(f"target: got class {int(target.max())}, expected classes 0 to {classes - 1}, or ignore_index")
    counts = target >= 0 if target.ndim == 1 else (target >= 0).any(-1)
    return linear._replace(features=linear.features[counts], target=target[counts]), counts


def _keep_inputs(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.rest = inputs[5:]


def _gradients(ctx: Any, upstream: Tensor):
    saved = ctx.saved_tensors
    features, weight, bias = linear_statistics_backward(upstream, *saved, *ctx.rest)
    return features, weight, None if saved[2] is None else bias, *[None] * 7


linear_statistics.register_autograd(_gradients, setup_context=_keep_inputs)


def _refuse(ctx: Any, *upstream: Tensor):
    raise RuntimeError("LinearLogits give first derivatives only: for a second one use their materialize()")


linear_statistics_backward.register_autograd(_refuse)
