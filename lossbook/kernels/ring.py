"""Pairs over processes: each holds some features and some of the weight, and the weights travel round a ring.

For losses between the two halves of a batch: a process keeps its b features (images) and passes its b weights (texts)
on to the next, until every one has visited. A visit gives the states of the features' rows over the visitor's classes,
a tile at a time, and states are combined; so no process holds more than a tile of the b x n scores. Backward, the
weights go round again, and the gradient of each travels with it and comes home. While one block is worked on, the next
is on its way: beside a tile a process holds six blocks of b rows, of weights and gradients, at most.

Gradients are those of the sum over processes of each process's loss, which is what data-parallel training takes the
mean of: with losses that are means over b rows, DistributedDataParallel's average of the parameters' gradients is the
gradient of the mean over all n. A loss that looks at rows and at columns is two calls, the sides exchanged.

Every process of the group must call with the same statistics, forward and backward. Tested with gloo on the CPU;
nothing in it is special to gloo, but NCCL on GPUs has not been tried.

Reference: Zhai, Mustafa, Kolesnikov and Beyer 2023, arXiv 2303.15343 (the chunked exchange of SigLIP); Cheng et al.
2024, arXiv 2410.17243 (a ring for the contrastive softmax).
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lossbook.kernels import states, tiles
from lossbook.kernels.filter import check_filter
from lossbook.kernels.linear import Linear, check_first_order, in_own_dtype, parts
from lossbook.kernels.sharded import agree


class _Exchange:
    """Tensors on their way: to the next process of the ring, and from the one before."""

    def __init__(self, sent: list[Tensor], rows: int, group: Any):
        rank, size = dist.get_rank(group), dist.get_world_size(group)
        if size == 1:
            self.sent, self.received, self.works = [], sent, []
            return
        after, before = (dist.get_global_rank(group, (rank + step) % size) for step in (1, -1))
        self.sent = [tensor.contiguous() for tensor in sent]  # must stay alive until it has left
        self.received = [tensor.new_empty(rows, *tensor.shape[1:]) for tensor in sent]
        operations = [dist.P2POp(dist.isend, tensor, after, group) for tensor in self.sent]
        operations += [dist.P2POp(dist.irecv, tensor, before, group) for tensor in self.received]
        self.works = dist.batch_isend_irecv(operations)

    def wait(self) -> list[Tensor]:
        for work in self.works:
            work.wait()
        self.sent, self.works = [], []
        return self.received

    def add_to(self, totals: list[Tensor]) -> None:
        """Add what arrives, and let go of it."""
        for total, part in zip(totals, self.wait(), strict=True):
            total += part
        self.received = []


def _visitors(linear: Linear, counts: tuple[int, ...], group: Any) -> Iterator[tuple[int, tiles.Slice, Linear]]:
    """The weights of each process, own ones first, before the features of this one; with the rank they belong to."""
    rank, size = dist.get_rank(group), len(counts)
    here = [part for part in (linear.weight, linear.bias) if part is not None]
    for step in range(size):
        owner = (rank - step) % size
        coming = _Exchange(here, counts[owner - 1], group) if step + 1 < size else None
        bias = None if linear.bias is None else here[1]
        yield owner, tiles.Slice(sum(counts[:owner]), sum(counts)), linear._replace(weight=here[0], bias=bias)
        if coming is not None:
            here = coming.wait()


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rest: tuple,
        names: tuple[str, ...],
        counts: tuple[int, ...],
        group: Any,
    ):
        linear = Linear(features, weight, bias, *rest)
        with in_own_dtype(linear):
            kept = states.combine_all(
                tiles.state(names, visitor, part) for _, part, visitor in _visitors(linear, counts, group)
            )
        ctx.save_for_backward(features, weight, bias, states.pack(kept))
        ctx.rest, ctx.names, ctx.counts, ctx.group = rest, names, counts, group
        return torch.stack(tuple(states.finish(names, kept).values()))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        *tensors, packed = ctx.saved_tensors
        linear, kept = Linear(*tensors, *ctx.rest), states.unpack(ctx.names, packed)
        own = tiles.sums(linear, (ctx.needs_input_grad[0], False, False), packed.dtype)
        travels = any(ctx.needs_input_grad[1:3])
        coming = None
        for owner, part, visitor in _visitors(linear, ctx.counts, ctx.group):
            found = tiles.sums(visitor, (False, *ctx.needs_input_grad[1:3]))
            with in_own_dtype(linear):
                tiles.add_gradients(found._replace(features=own.features), ctx.names, visitor, kept, upstream, part)
            if not travels:
                continue
            given = [total for total in found if total is not None]
            if coming is not None:
                coming.add_to(given)
            coming = _Exchange(given, ctx.counts[owner - 1], ctx.group)
        home = iter(coming.wait()) if coming is not None else iter(())
        whole = tiles.Sums(own.features, *(next(home) if needed else None for needed in ctx.needs_input_grad[1:3]))
        return *tiles.cast(whole, linear), None, None, None, None


def statistics(names: tuple[str, ...], linear: Linear, group: Any) -> dict[str, Tensor]:
    """The named statistics of this process's rows over the classes of all processes, differentiable; (rows,) each.

    Args:
        names: the statistics.
        linear: this process's features with their targets, and its part of weight and bias. The parts follow each other
            in the order of the ranks and may differ in size; targets and class weights speak of all classes, so the
            pair i of process r is class i plus the sizes of the parts before.
        group: the process group.

    Returns:
        The numbers of this process's rows. The gradient is that of the sum over processes of each one's loss.

    Raises:
        ValueError, TypeError: on every process, where torch.distributed is not initialised, or the processes disagree.
    """
    check_filter(names, linear.gradient_filter)
    counts = agree(names, linear, group, replicated=False)
    if not names:
        return {}
    out = _Statistics.apply(*parts(linear), linear[3:], names, tuple(counts), group)
    return dict(zip(names, out, strict=True))
