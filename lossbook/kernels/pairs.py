"""Rows and columns of one product at once: the statistics of losses that pair two sets of embeddings.

`pair_statistics` sees scores first_i·second_j through the log-sum-exp of each row and of each column. One visit a chunk
gives both, because a column's state of the rows seen so far combines with that of the next; the backward forms each
chunk once more: four matrix products in all, where two one-way losses would take six or eight.

`indexed_scores` are a few scores a row, of the classes that an index names, without the others.
"""

from typing import Any

import torch
from torch import Tensor

from lossbook.kernels.linear import Gradients, Linear, check_first_order
from lossbook.kernels.statistics import accumulation_dtype

PAIR_NAMES = {
    "row_logsumexp": "R_i = log Σ_j exp(z_ij)",
    "column_logsumexp": "C_j = log Σ_i exp(z_ij)",
    "diagonal": "z_ii, the score of pair i",
    "row_log_probability": "z_ii − R_i, formed without cancellation",
    "column_log_probability": "z_ii − C_i, formed without cancellation",
}


def pair_statistics(first: Tensor, second: Tensor, memory_budget: int) -> dict[str, Tensor]:
    """The statistics of PAIR_NAMES of the scores z = first @ second.T, differentiable; each has shape (pairs,).

    Args:
        first: (pairs, dimension).
        second: (pairs, dimension).
        memory_budget: bytes that one chunk of scores may take; its exponentials take as much again.
    """
    learned = torch.is_grad_enabled()
    inputs = (first, second) if learned else (first.detach(), second.detach())
    return dict(zip(PAIR_NAMES, _PairStatistics.apply(*inputs, memory_budget), strict=True))


def _linear(first: Tensor, second: Tensor, memory_budget: int) -> Linear:
    return Linear(first, second, None, None, None, memory_budget)


def _finite(peak: Tensor) -> Tensor:
    """What scores are measured from: their maximum, and 0 where that is infinite, so that no ∞ − ∞ arises."""
    return torch.where(peak.isinf(), 0.0, peak)


class _PairStatistics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, memory_budget: int):
        linear = _linear(first, second, memory_budget)
        scores, spare = linear.buffer(), linear.buffer()
        pairs = len(first)
        row_peak, row_log, diagonal = scores.new_empty(3, pairs)
        column_peak, column_sum = scores.new_full((pairs,), -torch.inf), scores.new_zeros(pairs)
        for start, stop in linear.spans():
            rows = linear.chunk(start, stop, scores).logits
            shifted = spare[: stop - start]
            diagonal[start:stop] = rows.diagonal(start)
            row_peak[start:stop] = _finite(rows.amax(1))
            torch.sub(rows, row_peak[start:stop, None], out=shifted)
            row_log[start:stop] = shifted.exp_().sum(1).log_()
            peak = torch.maximum(column_peak, rows.amax(0))
            torch.sub(rows, _finite(peak), out=shifted)
            column_sum.mul_((column_peak - _finite(peak)).exp_()).add_(shifted.exp_().sum(0))
            column_peak = peak
        column_peak, column_log = _finite(column_peak), column_sum.log()
        ctx.save_for_backward(first, second, row_peak, row_log, column_peak, column_log)
        ctx.memory_budget = memory_budget
        return torch.stack(
            (
                row_peak + row_log,
                column_peak + column_log,
                diagonal,
                diagonal - row_peak - row_log,
                diagonal - column_peak - column_log,
            )
        )

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        first, second, row_peak, row_log, column_peak, column_log = ctx.saved_tensors
        by_row, by_column, at_pair, by_row_log_p, by_column_log_p = upstream
        # ∂/∂z_ij: a_i softmax over the row + b_j softmax over the column, and d_i on the diagonal.
        a, b = by_row - by_row_log_p, by_column - by_column_log_p
        d = at_pair + by_row_log_p + by_column_log_p
        linear = _linear(first, second, ctx.memory_budget)
        gradients = Gradients(linear, (*ctx.needs_input_grad[:2], False))
        scores, spare = linear.buffer(), linear.buffer()
        for start, stop in linear.spans():
            rows = linear.chunk(start, stop, scores).logits
            gradient = torch.sub(rows, row_peak[start:stop, None], out=spare[: stop - start])
            gradient.sub_(row_log[start:stop, None]).exp_().mul_(a[start:stop, None])
            gradient.addcmul_(rows.sub_(column_peak).sub_(column_log).exp_(), b)
            gradient.diagonal(start).add_(d[start:stop])
            gradients.add(start, stop, gradient)
        by_first, by_second, _ = gradients.cast()
        return by_first, by_second, None


def indexed_scores(features: Tensor, weight: Tensor, bias: Tensor | None, index: Tensor) -> Tensor:
    """features_i · weight_j + bias_j for the classes j that each row's index names, (rows, places), differentiable.

    Args:
        features: (rows, dimension).
        weight: (classes, dimension).
        bias: (classes,), or None.
        index: (rows, places) class indices.

    One place at a time: beside the scores, no more than the features is held.
    """
    dtype = accumulation_dtype(features.dtype)
    learned = torch.is_grad_enabled()
    inputs = (features, weight) if learned else (features.detach(), weight.detach())
    scores = _IndexedScores.apply(*inputs, index)
    return scores if bias is None else scores + bias.to(dtype)[index]


class _IndexedScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, index: Tensor):
        dtype = accumulation_dtype(features.dtype)
        scores = features.new_empty(index.shape, dtype=dtype)
        for place, classes in enumerate(index.T):
            scores[:, place] = (features.to(dtype) * weight[classes]).sum(-1)
        ctx.save_for_backward(features, weight, index)
        return scores

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        features, weight, index = ctx.saved_tensors
        by_features = torch.zeros_like(features, dtype=upstream.dtype) if ctx.needs_input_grad[0] else None
        by_weight = torch.zeros_like(weight, dtype=upstream.dtype) if ctx.needs_input_grad[1] else None
        for place, classes in enumerate(index.T):
            slope = upstream[:, place, None]
            if by_features is not None:
                by_features.addcmul_(slope, weight[classes].to(slope.dtype))
            if by_weight is not None:
                by_weight.index_add_(0, classes, slope * features)
        return (
            None if by_features is None else by_features.to(features.dtype),
            None if by_weight is None else by_weight.to(weight.dtype),
            None,
        )
