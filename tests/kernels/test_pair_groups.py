"""The public losses of pairs over processes: each with its own pairs, the gradients those of one process with all.

A function `case_...` runs on each of two and of three processes, started once for all of them (conftest.py).
"""

import pytest
import torch
import torch.distributed as dist

from lossbook.losses import info_nce_loss, siglip_loss

LOSSES = {
    "siglip": (siglip_loss, {"scale": 0.7, "bias": -2.0}),
    "info_nce": (info_nce_loss, {"temperature": 0.7}),
    "symmetric info_nce": (lambda *sides, **more: info_nce_loss(*sides, symmetric=True, **more), {"temperature": 0.7}),
}
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def shares(group, even):
    """All pairs' number, and which are this process's: as many on each, or more from one to the next."""
    counts = [4 if even else 2 + 3 * rank for rank in range(dist.get_world_size(group))]
    first = sum(counts[: dist.get_rank(group)])
    return sum(counts), slice(first, first + counts[dist.get_rank(group)])


def problem(total, options):
    """Embeddings and learned scalars, the same on every process."""
    both = torch.randn(2, total, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    learned = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in options.items()}
    return [side.requires_grad_() for side in both.unbind()], learned


def compare(group, even, reduction):
    total, own = shares(group, even)
    for loss, options in LOSSES.values():
        sides, learned = problem(total, options)
        wanted = loss(*sides, reduction="none" if reduction == "none" else "sum", **learned)
        pulls = torch.autograd.grad(wanted.sum(), (*sides, *learned.values()))
        mine = [side.detach()[own].requires_grad_() for side in sides]
        found = loss(*mine, group=group, memory_budget=8 * 7, reduction=reduction, **learned)
        by_first, by_second, *by_scalars = torch.autograd.grad(found.sum(), (*mine, *learned.values()))
        if reduction == "none":
            torch.testing.assert_close(found, wanted[own], **EXACT)
        # A process's mean is over its own pairs, and the gradients are of the sum of what the processes found.
        scale = 1 / len(mine[0]) if reduction == "mean" else 1.0
        summed = found.detach().sum().clone()
        dist.all_reduce(summed, group=group)
        torch.testing.assert_close(summed, scale * wanted.detach().sum(), **EXACT)
        for ours, theirs in ((by_first, pulls[0]), (by_second, pulls[1])):
            torch.testing.assert_close(ours, scale * theirs[own], **EXACT)
        for ours, theirs in zip(by_scalars, pulls[2:], strict=True):
            dist.all_reduce(ours, group=group)
            torch.testing.assert_close(ours, scale * theirs, **EXACT)


def case_values_of_each_pair_and_their_gradients_whoever_has_more_pairs(group):
    compare(group, even=False, reduction="none")
    compare(group, even=False, reduction="sum")


def case_means_over_equal_shares(group):
    compare(group, even=True, reduction="mean")


def case_weights_of_pairs_are_refused(group):
    sides, _ = problem(3, {})
    for loss, _ in LOSSES.values():
        with pytest.raises(ValueError, match=r"weight: got .*, expected None where the pairs are spread"):
            loss(*sides, weight=torch.ones(3, dtype=torch.float64), group=group)


CASES = [name for name in dir() if name.startswith("case_")]


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.removeprefix("case_"))
@pytest.mark.parametrize("processes", [2, 3])
def test_on(processes, case, reports):
    report = reports(processes, __file__)[case]
    assert report["passed"], report["found"]
