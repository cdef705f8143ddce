"""The tile engine: statistics of logits that are formed a tile of rows and classes at a time.

The chunked engine holds all classes of a chunk of rows; a tile holds some, and their states are combined from left to
right, always in the same order. So the memory is a tile, whatever N and V, besides the gradients themselves; the price
is a fourth matrix product, because a gradient needs the whole row first and forms each tile again. In half precision
tiles are formed, and gradients summed, in float32.

Reference: Wijmans, Huval, Hertzberg, Koltun and Krähenbühl 2025, arXiv 2411.09009 (cut cross-entropy).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbook.kernels import states
from lossbook.kernels.filter import FILTER_BLOCK, Order, alive_columns, by_mean_logit, check_filter
from lossbook.kernels.linear import Linear, check_first_order, in_own_dtype, parts, spans
from lossbook.kernels.statistics import Rows, accumulation_dtype, logits_gradient_

TILE = (1024, 1024)  # rows and classes on a CPU: four megabytes, whatever the budget allows beyond


class Slice(NamedTuple):
    """Which classes the weight of a `Linear` holds; its target and class weights always speak of all of them."""

    first: int  # the class of the weight's first row
    classes: int  # of all slices together


class Sums(NamedTuple):
    """Where gradients are gathered; None where one is not asked for."""

    features: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


def tile_shape(linear: Linear) -> tuple[int, int]:
    """Rows and classes of a tile: near to square within the memory budget, on a CPU no more than `TILE`."""
    rows, classes = linear.features.shape[0], linear.weight.shape[0]
    numbers = max(1, linear.memory_budget // accumulation_dtype(linear.features.dtype).itemsize)
    most = TILE if linear.features.device.type == "cpu" else (rows, classes)
    tall = _side(rows, min(most[0], int(numbers**0.5)))
    return tall, _side(classes, min(most[1], numbers // tall))


def _side(length: int, most: int) -> int:
    """A tile's side: the whole length, or of whole filter blocks where it may be that long."""
    if length <= most:
        return max(1, length)
    return max(1, most - most % FILTER_BLOCK if most > FILTER_BLOCK else most)


class _Tiles:
    """The tiles of linear logits: each a smaller `Linear`, whose target counts from its own first class."""

    def __init__(self, linear: Linear, part: Slice | None = None, order: Order | None = None):
        self.linear, self.order = linear, order
        self.part = Slice(0, linear.weight.shape[0]) if part is None else part
        self.rows, self.columns = tile_shape(linear)
        dtype = accumulation_dtype(linear.features.dtype)
        # In half precision a CPU is slow, and rounds each logit to it; a GPU is made for it.
        self.dtype = linear.features.dtype if linear.features.is_cuda else dtype
        self.buffer = linear.features.new_empty(self.rows * self.columns, dtype=dtype)

    def of_rows(self, rows: slice) -> Iterator[tuple[slice | Tensor, Linear]]:
        """The tiles of some rows, from the first class to the last, with the rows of the weight that each holds."""
        linear, first = self.linear, self.part.first
        features = linear.features[rows].to(self.dtype)
        for span in spans(linear.weight.shape[0], self.columns):
            chosen = span if self.order is None else self.order.classes[span]
            bias = None if linear.bias is None else linear.bias[chosen].to(self.dtype)
            everywhere = slice(first + span.start, first + span.stop)  # never with an order: no statistic needs both
            yield (
                chosen,
                linear._replace(
                    features=features,
                    weight=linear.weight[chosen].to(self.dtype),
                    bias=bias,
                    target=self._target(rows, span),
                    class_weight=None if linear.class_weight is None else linear.class_weight[everywhere],
                ),
            )

    def _target(self, rows: slice, span: slice) -> Tensor | None:
        if self.linear.target is None:
            return None
        target, first = self.linear.target[rows], self.part.first
        if target.is_floating_point():
            return target[:, first + span.start : first + span.stop]
        place = target - first
        if self.order is not None:
            inside = (place >= 0) & (place < len(self.order.places))
            place = torch.where(inside, self.order.places[torch.where(inside, place, 0)], -1)
        return place - span.start

    def logits(self, tile: Linear) -> Rows:
        """The logits of a tile, in a buffer that the next one uses again."""
        rows, classes = tile.features.shape[0], tile.weight.shape[0]
        return tile.chunk(0, rows, self.buffer[: rows * classes].view(rows, classes))


def state(names: tuple[str, ...], linear: Linear, part: Slice | None = None) -> states.State:
    """What the statistics keep of each row once its classes have been seen, all of them or one slice."""
    dtype = accumulation_dtype(linear.features.dtype)
    tiles = _Tiles(linear, part)
    found = [
        states.combine_all(states.state(names, tiles.logits(tile)) for _, tile in tiles.of_rows(rows))
        for rows in spans(linear.features.shape[0], tiles.rows)
    ]
    if not found:
        return states.empty(names, 0, linear.features.new_empty(0, dtype=dtype))
    return {field: torch.cat([some[field] for some in found]) for field in found[0]}


def sums(linear: Linear, needed: tuple[bool, ...], dtype: torch.dtype | None = None) -> Sums:
    """Zeros for the gradients that are needed: of weight and bias never in half precision, as they grow tile by tile.

    Those of the features are finished a block of rows at a time and may be in their own dtype.
    """
    wide = accumulation_dtype(linear.features.dtype)
    dtypes = (dtype or linear.features.dtype, wide, wide)
    return Sums(
        *(
            torch.zeros(tensor.shape, dtype=kind, device=tensor.device) if asked and tensor is not None else None
            for tensor, kind, asked in zip(linear[:3], dtypes, needed, strict=False)
        )
    )


def add_gradients(
    into: Sums,
    names: tuple[str, ...],
    linear: Linear,
    kept: states.State,
    upstream: Tensor,
    part: Slice | None = None,
    sort_classes: bool = True,
) -> None:
    """Add Σ upstream_k ∂statistic_k to the gradients, from the state of the whole rows; upstream is (names, rows)."""
    filtering = linear.gradient_filter is not None and states.need_softmax(names)
    tiles = _Tiles(linear, part, by_mean_logit(linear) if filtering and sort_classes else None)
    for rows in spans(linear.features.shape[0], tiles.rows):
        some = states.at(kept, rows)
        known = states.whole(names, some, tiles.part.classes)
        coefficients: dict[str, Tensor | None] = dict(zip(names, upstream[:, rows], strict=True))
        row_sum = None if into.features is None else torch.zeros_like(into.features[rows], dtype=tiles.buffer.dtype)
        for chosen, tile in tiles.of_rows(rows):
            seen = tiles.logits(tile)
            log_p = states.log_probabilities(seen.logits, some) if states.need_softmax(names) else None
            slope = tile.slope(seen.logits)
            alive = alive_columns(seen, log_p, coefficients, linear.gradient_filter) if filtering else None
            gradient = logits_gradient_(seen, coefficients, known, log_p)
            _add_products(into, row_sum, chosen, tile, gradient if slope is None else gradient.mul_(slope), alive)
        if into.features is not None and row_sum is not None:
            into.features[rows] += row_sum


def _add_products(
    into: Sums,
    row_sum: Tensor | None,
    chosen: slice | Tensor,
    tile: Linear,
    gradient: Tensor,
    alive: list[tuple[slice, Tensor]] | None,
) -> None:
    """Add a tile's part of the gradients of features, weight and bias."""
    if alive is None:
        if into.bias is not None:
            into.bias[chosen] += gradient.sum(0)
        if row_sum is not None:
            _add_product(row_sum, gradient, tile.weight)
        if into.weight is not None:
            _add_product(into.weight[chosen], gradient.T, tile.features)
        return
    for strip, live in alive:
        columns = live.nonzero().squeeze(-1)
        if len(columns) == 0:
            continue
        index = columns + chosen.start if isinstance(chosen, slice) else chosen[columns]
        some = gradient[strip][:, columns]
        if into.bias is not None:
            into.bias[index] += some.sum(0)
        if row_sum is not None:
            _add_product(row_sum[strip], some, tile.weight[columns])
        if into.weight is not None:
            into.weight[index] += _add_product(
                into.weight.new_zeros(len(index), into.weight.shape[1]), some.T, tile.features[strip]
            )


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Add left @ right to a total, the product taken in the dtype of `right` and summed in that of `total`."""
    if total.dtype == right.dtype:
        return total.addmm_(left, right)
    return total.add_(torch.mm(left.to(right.dtype), right, out_dtype=total.dtype))


def cast(found: Sums, linear: Linear) -> tuple[Tensor | None, ...]:
    """The gradients in the dtypes of their parameters."""
    return tuple(
        None if total is None or tensor is None else total.to(tensor.dtype)
        for total, tensor in zip(found, linear[:3], strict=True)
    )


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
        linear = Linear(features, weight, bias, *rest)
        with in_own_dtype(linear):
            kept = state(names, linear)
        ctx.save_for_backward(features, weight, bias, states.pack(kept))
        ctx.rest, ctx.names, ctx.sort_classes = rest, names, sort_classes
        return torch.stack(tuple(states.finish(names, kept).values()))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        *tensors, packed = ctx.saved_tensors
        linear = Linear(*tensors, *ctx.rest)
        kept, found = states.unpack(ctx.names, packed), sums(linear, ctx.needs_input_grad)
        with in_own_dtype(linear):
            add_gradients(found, ctx.names, linear, kept, upstream, sort_classes=ctx.sort_classes)
        return *cast(found, linear), None, None, None


def statistics(names: tuple[str, ...], linear: Linear, *, sort_classes: bool = True) -> dict[str, Tensor]:
    """The named statistics of each row, differentiable by features, weight and bias; each has shape (rows,).

    `sort_classes`: whether the gradient filter, where there is one, visits the classes by their mean logit.
    """
    check_filter(names, linear.gradient_filter)
    if not names:
        return {}
    out = _Statistics.apply(*parts(linear), linear[3:], names, sort_classes)
    return dict(zip(names, out, strict=True))


def tiles_kept(linear: Linear, gradient_filter: float, *, sort_classes: bool = True) -> tuple[int, int]:
    """How many blocks of 128 rows and classes the gradient filter keeps for cross-entropy, and how many there are."""
    linear = linear._replace(gradient_filter=gradient_filter)
    names = ("log_probability",)
    with torch.no_grad():
        kept, alive, blocks = state(names, linear), 0, 0
        tiles = _Tiles(linear, order=by_mean_logit(linear) if sort_classes else None)
        for rows in spans(linear.features.shape[0], tiles.rows):
            for _, tile in tiles.of_rows(rows):
                seen = tiles.logits(tile)
                log_p = states.log_probabilities(seen.logits, states.at(kept, rows))
                for _, live in alive_columns(seen, log_p, {}, gradient_filter):
                    alive += int(live[::FILTER_BLOCK].sum())
                    blocks += -(-len(live) // FILTER_BLOCK)
    return alive, blocks
