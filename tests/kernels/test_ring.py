"""Pairs over processes: weights go round a ring, gradients come home, and no process holds the matrix of scores.

A function `case_...` runs on each of two and of three processes, started once for all of them (conftest.py).
"""

from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch.nn.functional import normalize, softplus
from torch.nn.parallel import DistributedDataParallel

from lossbook import LinearLogits, row_loss
from lossbook.kernels import ring
from lossbook.kernels.linear import Linear
from lossbook.kernels.statistics import NAMES, NEED_SOFT_TARGET, Rows, values
from lossbook.losses import info_nce_loss, siglip_loss
from lossbook.metrics.cost import cost

BY_CLASS = tuple(name for name in NAMES if name not in NEED_SOFT_TARGET)
BY_MASS = ("soft_log_probability", "entropy", "max", "log_probability_sum")
DIMENSION = 5
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def normal(*shape, seed=0):
    """The same numbers on every process."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def shares(group, even=False, step=3):
    """How many of the rows or classes each process has, and which are this one's."""
    counts = [6 if even else 2 + step * rank for rank in range(dist.get_world_size(group))]
    first = sum(counts[: dist.get_rank(group)])
    return sum(counts), slice(first, first + counts[dist.get_rank(group)])


def problem(names, group, *, bias=True, softcap=None, dtype=torch.float64):
    """All rows and classes, as one process would hold them, and this process's share of both."""
    (rows, own_rows), (classes, own) = shares(group), shares(group, step=4)
    parts = [normal(rows, DIMENSION), normal(classes, DIMENSION, seed=1), normal(classes, seed=2) if bias else None]
    parts = [None if part is None else part.to(dtype) for part in parts]
    soft = bool(NEED_SOFT_TARGET.intersection(names))
    target = torch.softmax(normal(rows, classes, seed=3), -1) if soft else torch.arange(rows) % classes
    weight = (0.5 + normal(classes, seed=4).abs()).to(dtype)
    mine = (parts[0][own_rows], parts[1][own], None if parts[2] is None else parts[2][own])
    whole, part = (
        Linear(*(None if t is None else t.clone().requires_grad_() for t in kind), aim, weight, 8 * 20, softcap)
        for kind, aim in ((parts, target), (mine, target[own_rows]))
    )
    return whole, part, own_rows, own


def leaves(linear):
    return tuple(part for part in linear[:3] if part is not None)


def held(names, linear):
    logits = linear.features @ linear.weight.T + (0 if linear.bias is None else linear.bias)
    if linear.softcap is not None:
        logits = linear.softcap * torch.tanh(logits / linear.softcap)
    return values(names, Rows(logits, linear.target, linear.class_weight))


def weighed(numbers, rows):
    """A number that sees each statistic of each row; summed over processes, that of all rows."""
    return sum((number * normal(100, seed=10 + k)[rows]).sum() for k, number in enumerate(numbers.values()))


def assert_same(names, group, **options):
    tolerance = options.pop("tolerance", EXACT)
    whole, part, own_rows, own = problem(names, group, **options)
    found, wanted = ring.statistics(names, part, group), held(names, whole)
    for name in names:
        torch.testing.assert_close(found[name], wanted[name][own_rows], **tolerance)
    ours = torch.autograd.grad(weighed(found, own_rows), leaves(part))
    theirs = torch.autograd.grad(weighed(wanted, slice(len(whole.features))), leaves(whole))
    for mine, all_of_it, share in zip(ours, theirs, (own_rows, own, own), strict=False):
        torch.testing.assert_close(mine, all_of_it[share], **tolerance)


def case_numbers_and_gradients_of_uneven_shares_are_those_of_one_process_with_all(group):
    for names in (BY_CLASS, BY_MASS):
        for bias, softcap in ((True, None), (False, 2.0), (True, 2.0)):
            assert_same(names, group, bias=bias, softcap=softcap)


def case_in_float32_they_agree_to_its_rounding(group):
    assert_same(BY_CLASS, group, dtype=torch.float32, tolerance={"rtol": 2e-5, "atol": 2e-5})


def case_in_half_precision_the_error_is_at_most_twice_that_of_torch_on_one_process(group):
    for dtype in (torch.bfloat16, torch.float16):
        whole, part, own_rows, own = problem(("log_probability",), group, dtype=dtype)
        exact = whole._replace(**{k: getattr(whole, k).detach().double().requires_grad_() for k in whole._fields[:3]})

        def gradients(kind, numbers):
            return [part.double() for part in torch.autograd.grad(-numbers["log_probability"].sum(), leaves(kind))]

        truth, torchs = (gradients(kind, held(("log_probability",), kind)) for kind in (exact, whole))
        ours = gradients(part, ring.statistics(("log_probability",), part, group))
        for mine, other, wanted, share in zip(ours, torchs, truth, (own_rows, own, own), strict=True):
            error, theirs = float((mine - wanted[share]).norm()), float((other[share] - wanted[share]).norm())
            assert error <= 2 * theirs


def case_the_same_input_gives_the_same_bits(group):
    _, part, own_rows, _ = problem(BY_CLASS, group, dtype=torch.float32)

    def bits():
        found = ring.statistics(BY_CLASS, part, group)
        return *found.values(), *torch.autograd.grad(weighed(found, own_rows).float(), leaves(part))

    assert all(map(torch.equal, bits(), bits()))


def case_a_process_without_rows_takes_its_part(group):
    whole, part, own_rows, own = problem(("logsumexp",), group)
    last = dist.get_rank(group) == dist.get_world_size(group) - 1
    if last:
        part = part._replace(features=part.features[:0], target=part.target[:0])
    found = ring.statistics(("logsumexp",), part, group)["logsumexp"]
    assert len(found) == (0 if last else own_rows.stop - own_rows.start)
    (ours,) = torch.autograd.grad(found.sum(), part.weight)
    rows = sum(2 + 3 * rank for rank in range(dist.get_world_size(group) - 1))
    (theirs,) = torch.autograd.grad(held(("logsumexp",), whole)["logsumexp"][:rows].sum(), whole.weight)
    torch.testing.assert_close(ours, theirs[own], **EXACT)


def case_a_group_of_one_process_exchanges_nothing(group):
    alone = [dist.new_group([rank]) for rank in range(dist.get_world_size(group))][dist.get_rank(group)]
    whole, *_ = problem(BY_CLASS, group)
    every = slice(len(whole.features))
    found, wanted = ring.statistics(BY_CLASS, whole, alone), held(BY_CLASS, whole)
    ours, theirs = (torch.autograd.grad(weighed(numbers, every), leaves(whole)) for numbers in (found, wanted))
    torch.testing.assert_close(ours, theirs, **EXACT)


def case_what_needs_no_gradient_gets_none(group):
    whole, part, own_rows, own = problem(BY_CLASS, group)
    with torch.no_grad():
        assert not any(number.requires_grad for number in ring.statistics(BY_CLASS, part, group).values())
    theirs = torch.autograd.grad(held(("logsumexp",), whole)["logsumexp"].sum(), leaves(whole))
    for k, share in enumerate((own_rows, own, own)):
        alone = Linear(*(leaf if k == j else leaf.detach() for j, leaf in enumerate(part[:3])), *part[3:])
        (found,) = torch.autograd.grad(ring.statistics(("logsumexp",), alone, group)["logsumexp"].sum(), part[k])
        torch.testing.assert_close(found, theirs[k][share], **EXACT)


class Towers(torch.nn.Module):
    """Two linear towers with SigLIP's learned scale and bias, or InfoNCE's temperature alone."""

    def __init__(self):
        super().__init__()
        self.images, self.texts = (torch.nn.Linear(4, 3, bias=False, dtype=torch.float64) for _ in range(2))
        self.log_scale = torch.nn.Parameter(torch.tensor(1.5, dtype=torch.float64))
        self.bias = torch.nn.Parameter(torch.tensor(-2.0, dtype=torch.float64))
        with torch.no_grad():
            self.images.weight.copy_(normal(3, 4, seed=5))
            self.texts.weight.copy_(normal(3, 4, seed=6))

    def forward(self, images, texts):
        first, second = normalize(self.images(images), dim=-1), normalize(self.texts(texts), dim=-1)
        return first, second, self.log_scale.exp(), self.bias


def siglip(images, texts, scale, bias, group):
    return siglip_loss(images, texts, scale=scale, bias=bias, group=group, memory_budget=8 * 7)


def info_nce(first, second, scale, bias, group, symmetric):
    loss = info_nce_loss(first, second, temperature=1 / scale, symmetric=symmetric, group=group, memory_budget=8 * 7)
    return loss + 0 * bias  # every parameter takes part, as data-parallel training asks


def held_siglip(images, texts, scale, bias):
    logits = scale * images @ texts.T + bias
    return softplus((1 - 2 * torch.eye(len(logits))) * logits).sum() / len(logits)


def held_info_nce(first, second, scale, bias, symmetric):
    logits, partner = scale * first @ second.T, torch.arange(len(first))
    rows, columns = (torch.nn.functional.cross_entropy(scores, partner) for scores in (logits, logits.T))
    return ((rows + columns) / 2 if symmetric else rows) + 0 * bias


def case_data_parallel_training_has_the_gradients_of_one_process_with_the_whole_batch(group):
    total, own = shares(group, even=True)
    images, texts = normal(total, 4, seed=7), normal(total, 4, seed=8)
    for spread, whole in (
        (siglip, held_siglip),
        (partial(info_nce, symmetric=False), partial(held_info_nce, symmetric=False)),
        (partial(info_nce, symmetric=True), partial(held_info_nce, symmetric=True)),
    ):
        alone, parallel = Towers(), DistributedDataParallel(Towers(), process_group=group)
        wanted = whole(*alone(images, texts))
        wanted.backward()
        found = spread(*parallel(images[own], texts[own]), group)
        found.backward()
        mean = found.detach().clone()
        dist.all_reduce(mean, group=group)
        torch.testing.assert_close(mean / dist.get_world_size(group), wanted.detach(), **EXACT)
        for ours, theirs in zip(parallel.module.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, **EXACT)


def case_rows_that_do_not_count_cost_nothing_even_if_they_are_all_of_a_process(group):
    whole, part, own_rows, _ = problem((), group)
    target = whole.target.clone()
    target[::2] = -100
    if dist.get_world_size(group) > 2:
        target[:2] = -100  # all of process 0
    logits = whole.features @ whole.weight.T + whole.bias
    losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    for reduction in ("mean", "sum", "none"):
        spread = LinearLogits(*part[:3], memory_budget=8 * 7, group=group, sharded="both")
        found = row_loss(
            lambda stats: -stats.log_probability, spread, target[own_rows], ("log_probability",), reduction=reduction
        )
        counted = (target[own_rows] != -100).sum().clamp(min=1)
        wanted = losses[own_rows] if reduction == "none" else losses[own_rows].sum()
        torch.testing.assert_close(found, wanted / counted if reduction == "mean" else wanted, **EXACT)
        torch.autograd.grad(found.sum(), leaves(part))


def case_what_one_process_does_otherwise_is_refused_on_all(group):
    _, part, _, _ = problem(("logsumexp",), group)
    odd = dist.get_rank(group) == 1

    def refused(message, linear):
        with pytest.raises(ValueError, match=message):
            ring.statistics(("logsumexp",), linear, group)

    refused(
        "weight: dimension: got 4",
        part._replace(features=part.features[:, 1:], weight=part.weight[:, 1:]) if odd else part,
    )
    refused("bias: how many: got 0 on process 1, expected 1", part._replace(bias=None) if odd else part)
    refused(
        "requires grad: got features, bias on process 1", part._replace(weight=part.weight.detach()) if odd else part
    )


def case_second_derivatives_are_refused_on_all(group):
    _, part, _, _ = problem(("logsumexp",), group)
    loss = ring.statistics(("logsumexp",), part, group)["logsumexp"].sum()
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(loss, part.features, create_graph=True)


def case_the_memory_of_a_process(group):
    """Of each process with its share of 1200 pairs: bytes held at once."""
    pairs, dimension, tile = 1200, 256, 8 * 80**2

    share = pairs // dist.get_world_size(group)
    features, weight = (normal(share, dimension, seed=seed).requires_grad_() for seed in (0, 1))
    target = torch.arange(share) + dist.get_rank(group) * share
    linear = Linear(features, weight, None, target, None, memory_budget=tile)

    def step():
        loss = -ring.statistics(("log_probability",), linear, group)["log_probability"].mean()
        return torch.autograd.grad(loss, (features, weight))

    return {"held": cost(step).peak_bytes, "tile": tile, "one side": pairs * dimension * 8}


def case_pairs_by_the_thousand(group):
    """Bytes held at once for scores that would be many times as large."""
    share = 3000
    features, weight = (normal(share, 4, seed=seed).float().requires_grad_() for seed in (0, 1))
    linear = Linear(features, weight, None, torch.arange(share) + dist.get_rank(group) * share, None, 4 * 500**2)

    def step():
        numbers = ring.statistics(("softplus_sum", "target"), linear, group)
        return torch.autograd.grad((numbers["softplus_sum"] - numbers["target"]).mean(), (features, weight))

    return {"held": cost(step).peak_bytes, "scores of its rows": share * share * dist.get_world_size(group) * 4}


CASES = [name for name in dir() if name.startswith("case_")]


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.removeprefix("case_"))
@pytest.mark.parametrize("processes", [2, 3])
def test_on(processes, case, reports):
    report = reports(processes, __file__)[case]
    assert report["passed"], report["found"]


def test_the_memory_of_a_process_is_six_shares_of_one_side_and_so_falls_as_one_over_their_number(reports):
    """The weights that visit and come, the gradients that visit, come and leave, and the features'.

    With two processes nothing comes while the other's weights visit: five.
    """
    for processes, shares in ((2, 5), (3, 6)):
        found = reports(processes, __file__)["case_the_memory_of_a_process"]["found"]
        assert found["held"] <= 6 * found["tile"] + (shares + 0.2) * found["one side"] / processes


def test_a_batch_of_thousands_is_held_by_no_process(reports):
    found = reports(2, __file__)["case_pairs_by_the_thousand"]["found"]
    assert found["held"] < found["scores of its rows"] / 10


def test_without_torchs_processes_the_message_says_how_to_start_them():
    linear = Linear(torch.zeros(1, 2), torch.zeros(3, 2), None, torch.zeros(1).long(), None, 100)
    with pytest.raises(ValueError, match=r"torch.distributed is not initialised.*torchrun.*init_process_group"):
        ring.statistics(("logsumexp",), linear, object())
