"""Classes over processes: each holds a slice of the weight, all hold the same features and targets.

A process takes the state of its own classes, the states are gathered (a few numbers a row) and combined in the order of
the ranks, so that every process has the same statistics to the last bit. Backward, a process has the gradient of its
own weight for itself, and the features' is summed over processes in float32 or better. Statistics, row function and
loss are then the same on every process, as if one held all classes. Slices may differ in size. Four products, where one
process that knows the row function takes three.

Every process of the group must call with the same statistics, forward and backward, as with any collective operation.
Tested with gloo on the CPU; nothing in it is special to gloo, but NCCL on GPUs has not been tried.

Reference: Shoeybi et al. 2019, arXiv 1909.08053 (the vocabulary-parallel cross-entropy of Megatron-LM).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lossbook.kernels import states, tiles
from lossbook.kernels.filter import check_filter
from lossbook.kernels.linear import Linear, check_first_order, in_own_dtype, parts
from lossbook.kernels.statistics import NAMES

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_SAMPLE = 8  # entries of the features that processes compare


def check_group(group: Any) -> None:
    """Refuse what is not a process group that this process belongs to."""
    if not dist.is_available() or not dist.is_initialized():
        raise ValueError(
            "group: torch.distributed is not initialised, expected a process group: start with torchrun and call "
            "torch.distributed.init_process_group() first"
        )
    if not isinstance(group, dist.ProcessGroup):
        raise TypeError(
            f"group: got {group!r} ({type(group).__name__}), expected a process group such as "
            "torch.distributed.group.WORLD"
        )
    if dist.get_rank(group) < 0:
        raise ValueError("group: got a process group without this process, expected one that it belongs to")


def local_part(parameter: Tensor, group: Any = None, argument: str = "weight") -> tuple[Tensor, Any]:
    """A parameter and its process group; of a DTensor sharded over its classes, the local slice and the mesh's group.

    The gradient finds its way back to the DTensor.
    """
    if not hasattr(
        parameter, "placements"
    ):  # asked of the type, torch.distributed.tensor would take a second to import
        return parameter, group
    from torch.distributed.tensor import DTensor, Shard

    assert isinstance(parameter, DTensor)
    mesh, placements = parameter.device_mesh, tuple(parameter.placements)
    if mesh.ndim != 1 or placements != (Shard(0),):
        raise ValueError(
            f"{argument}: got a DTensor placed {placements} on a mesh of {mesh.ndim} axes, expected (Shard(0),) on a "
            "mesh of one axis: its classes over the processes"
        )
    return parameter.to_local(), mesh.get_group()


def gather(numbers: Tensor, group: Any) -> list[Tensor]:
    """A tensor of every process, in the order of their ranks."""
    found = [
        torch.empty_like(numbers, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size(group))
    ]
    dist.all_gather(found, numbers.contiguous(), group=group)
    return found


def class_counts(linear: Any, group: Any) -> list[int]:
    """How many classes each process holds, in the order of their ranks; all processes must ask together.

    `linear` is anything with a weight.
    """
    check_group(group)
    weight = linear.weight
    return [int(count) for count in gather(torch.tensor([weight.shape[0]], device=weight.device), group)]


def total_classes(linear: Any, group: Any) -> int:
    """How many classes all processes hold together; all processes must ask together."""
    return sum(class_counts(linear, group))


def first_class(linear: Any, group: Any) -> int:
    """The class of this process's first row of the weight; all processes must ask together."""
    return sum(class_counts(linear, group)[: dist.get_rank(group)])


def agree(names: tuple[str, ...], linear: Linear, group: Any, *, replicated: bool) -> list[int]:
    """Refuse, on every process alike, what the processes disagree about; return how many classes each holds.

    A mistake that one process sees alone would leave the others waiting for it. With `replicated` features and targets,
    their number is compared exactly, and a few entries of both.
    """
    check_group(group)
    features, weight, bias = linear[:3]
    rows = (features.shape[0], _checksum(linear.target)) if replicated else (0, 0)
    learned = [k for k, part in enumerate(parts(linear)) if part is not None and part.requires_grad]
    told: dict[str, tuple[float, Callable[[int], Any]]] = {  # what to compare: a number, and how to say it
        "weight: dimension": (weight.shape[1], int),
        "features: dtype": (_DTYPES.index(features.dtype), _DTYPES.__getitem__),
        "bias: how many": (bias is not None, int),
        "names": (sum(2**k for k, name in enumerate(NAMES) if name in names), lambda bits: _chosen(NAMES, bits)),
        "requires grad": (sum(2**k for k in learned), lambda bits: _chosen(Linear._fields[:3], bits)),
        "features: rows that count": (rows[0], int),
        "target: a checksum": (rows[1], int),
    }
    row = [weight.shape[0], *(number for number, _ in told.values())]
    table = torch.stack(gather(torch.tensor(row, dtype=torch.float64, device=features.device), group)).long().tolist()
    for k, (name, (_, said)) in enumerate(told.items(), start=1):
        for rank, numbers in enumerate(table):
            if numbers[k] != table[0][k]:
                raise ValueError(
                    f"{name}: got {said(numbers[k])} on process {rank}, expected {said(table[0][k])} as on process 0"
                )
    if replicated:
        _check_replicated(features, group)
    return [numbers[0] for numbers in table]


def _chosen(names: Iterable[str], bits: int) -> str:
    return ", ".join(name for k, name in enumerate(names) if bits >> k & 1) or "none"


def _check_replicated(features: Tensor, group: Any) -> None:
    """Compare a few entries: copies that other kernels made differ in rounding, other features in the first digit."""
    entries = features.detach().reshape(-1)
    if len(entries) == 0:
        return
    places = torch.linspace(0, len(entries) - 1, _SAMPLE, dtype=torch.float64).long().to(features.device)
    samples = torch.stack(gather(entries[places].double(), group))
    apart = (samples - samples[0]).abs().amax(1)
    if bool((apart > 0.1 * samples.abs().amax()).any()):
        rank = int(apart.argmax())
        raise ValueError(f"features: got other entries on process {rank}, expected those of process 0 on every process")


def _checksum(target: Tensor | None) -> float:
    """A number that tells targets apart, small enough to be exact as a float."""
    if target is None or target.numel() == 0 or target.is_floating_point():
        return 0.0
    places = torch.arange(1, target.numel() + 1, device=target.device) % 1009
    return float((target.reshape(-1) * places).sum() % 2**40)


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rest: tuple,
        names: tuple[str, ...],
        part: tiles.Slice,
        group: Any,
    ):
        linear = Linear(features, weight, bias, *rest)
        with in_own_dtype(linear):
            own = states.pack(tiles.state(names, linear, part))
        kept = states.combine_all(states.unpack(names, packed) for packed in gather(own, group))
        ctx.save_for_backward(features, weight, bias, states.pack(kept))
        ctx.rest, ctx.names, ctx.part, ctx.group = rest, names, part, group
        return torch.stack(tuple(states.finish(names, kept).values()))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        *tensors, packed = ctx.saved_tensors
        linear = Linear(*tensors, *ctx.rest)
        kept, found = states.unpack(ctx.names, packed), tiles.sums(linear, ctx.needs_input_grad, packed.dtype)
        with in_own_dtype(linear):
            tiles.add_gradients(found, ctx.names, linear, kept, upstream, ctx.part)
        if found.features is not None:
            dist.all_reduce(found.features, group=ctx.group)
        return *tiles.cast(found, linear), None, None, None, None


def statistics(names: tuple[str, ...], linear: Linear, group: Any) -> dict[str, Tensor]:
    """The named statistics of each row over the classes of all processes, differentiable; each has shape (rows,).

    Args:
        names: the statistics.
        linear: replicated features and targets, and this process's slice of weight and bias. Slices follow each other
            in the order of the ranks; targets and class weights speak of all classes.
        group: the process group.

    Returns:
        The same numbers on every process. The gradient is that of the loss, which every process has: the features' is
        whole on each, the weight's and bias's is that of the slice.

    Raises:
        ValueError, TypeError: on every process, where torch.distributed is not initialised, or the processes disagree.
    """
    check_filter(names, linear.gradient_filter)
    counts = agree(names, linear, group, replicated=True)
    if not names:
        return {}
    part = tiles.Slice(sum(counts[: dist.get_rank(group)]), sum(counts))
    out = _Statistics.apply(*parts(linear), linear[3:], names, part, group)
    return dict(zip(names, out, strict=True))
