"""Classes over processes: the numbers and gradients of one process that holds all, and a share of the memory.

A function `case_...` runs on each of two and of three processes, started once for all of them (conftest.py).
"""

import pytest
import torch
import torch.distributed as dist

from lossbook import LinearLogits
from lossbook.kernels import filter, sharded
from lossbook.kernels.linear import Linear
from lossbook.kernels.statistics import NAMES, NEED_SOFT_TARGET, Rows, accumulation_dtype, values
from lossbook.losses import cross_entropy
from lossbook.metrics.cost import cost

BY_CLASS = tuple(name for name in NAMES if name not in NEED_SOFT_TARGET)
BY_MASS = ("soft_log_probability", "entropy", "max", "log_probability_sum")
ROWS, DIMENSION = 13, 5
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def normal(*shape, seed=0):
    """The same numbers on every process."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slices(group, even=False):
    """How many classes each process holds, and where this one's begin."""
    counts = [4 if even else 2 + 5 * rank for rank in range(dist.get_world_size(group))]
    first = sum(counts[: dist.get_rank(group)])
    return counts, slice(first, first + counts[dist.get_rank(group)])


def problem(names, group, *, dtype=torch.float64, even=False, bias=True, rows=ROWS, dimension=DIMENSION, **options):
    """All classes, as one process would hold them, and this process's slice."""
    counts, own = slices(group, even)
    classes = sum(counts)
    parts = [normal(rows, dimension), normal(classes, dimension, seed=1), normal(classes, seed=2) if bias else None]
    parts = [None if part is None else part.to(dtype) for part in parts]
    if NEED_SOFT_TARGET.intersection(names):
        target = torch.softmax(normal(rows, classes, seed=3), -1)
    else:
        target = torch.arange(rows) % classes
    rest = (target, (0.5 + normal(classes, seed=4).abs()).to(accumulation_dtype(dtype)))
    options = {"memory_budget": 8 * 20} | options
    whole = Linear(*(None if part is None else part.clone().requires_grad_() for part in parts), *rest, **options)
    mine = [parts[0], parts[1][own], None if parts[2] is None else parts[2][own]]
    part = Linear(*(None if part is None else part.clone().requires_grad_() for part in mine), *rest, **options)
    return whole, part, own


def leaves(linear):
    return tuple(part for part in linear[:3] if part is not None)


def held(names, linear):
    logits = linear.features @ linear.weight.T + (0 if linear.bias is None else linear.bias)
    if linear.softcap is not None:
        logits = linear.softcap * torch.tanh(logits / linear.softcap)
    return values(names, Rows(logits, linear.target, linear.class_weight))


def weighed(numbers):
    """A number that sees each statistic of each row."""
    return sum((number * normal(len(number), seed=10 + k)).sum() for k, number in enumerate(numbers.values()))


def assert_same(names, whole, part, own, group, **tolerance):
    """Statistics and gradients of the slice against those of all classes."""
    found, wanted = sharded.statistics(names, part, group), held(names, whole)
    for name in names:
        torch.testing.assert_close(
            found[name], wanted[name], msg=lambda said, name=name: f"{name}: {said}", **tolerance
        )
    ours, theirs = (
        torch.autograd.grad(weighed(numbers), leaves(kind)) for numbers, kind in ((found, part), (wanted, whole))
    )
    torch.testing.assert_close(ours[0], theirs[0], **tolerance)
    for mine, all_of_it in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(mine, all_of_it[own], **tolerance)


def case_numbers_and_gradients_of_uneven_slices_are_those_of_all_classes_held(group):
    for names in (BY_CLASS, BY_MASS):
        for bias, softcap in ((True, None), (False, 2.0), (True, 2.0)):
            assert_same(names, *problem(names, group, bias=bias, softcap=softcap), group, **EXACT)


def case_and_so_are_those_of_even_slices(group):
    assert_same(BY_CLASS, *problem(BY_CLASS, group, even=True), group, **EXACT)


def case_in_float32_they_agree_to_its_rounding(group):
    assert_same(BY_CLASS, *problem(BY_CLASS, group, dtype=torch.float32), group, rtol=2e-5, atol=2e-5)


def case_in_half_precision_the_error_is_at_most_twice_that_of_torch_on_one_process(group):
    for dtype in (torch.bfloat16, torch.float16):
        whole, part, own = problem(("log_probability",), group, dtype=dtype, rows=200, dimension=16)
        exact = Linear(*(part.detach().double().requires_grad_() for part in whole[:3]), *whole[3:])

        def gradients(kind, numbers):
            return [part.double() for part in torch.autograd.grad(-numbers["log_probability"].mean(), leaves(kind))]

        truth, torchs = (gradients(kind, held(("log_probability",), kind)) for kind in (exact, whole))
        ours = gradients(part, sharded.statistics(("log_probability",), part, group))
        for mine, other, wanted in zip(ours, torchs, truth, strict=True):
            if mine.shape != wanted.shape:
                other, wanted = other[own], wanted[own]
            assert float((mine - wanted).norm()) <= 2 * float((other - wanted).norm())


def case_every_process_has_the_same_bits(group):
    _, part, _ = problem(BY_CLASS, group, dtype=torch.float32)
    found = sharded.statistics(BY_CLASS, part, group)
    (by_features,) = torch.autograd.grad(sum(number.sum() for number in found.values()), part.features)
    for numbers in (torch.stack(list(found.values())).detach(), by_features):
        assert all(torch.equal(numbers, other) for other in sharded.gather(numbers, group))


def case_nothing_cancels_between_slices_whose_scores_lie_ten_thousand_apart(group):
    names = ("log_probability", "logsumexp", "variance", "log_probability_sum")
    whole, part, own = problem(names, group)
    with torch.no_grad():
        whole.bias[:2] += 1e4
        part.bias.copy_(whole.bias[own])
    assert_same(names, whole, part, own, group, rtol=1e-11, atol=1e-8)  # 1e-16 of sums of 1e4 squared


def case_without_gradients_nothing_is_kept(group):
    _, part, _ = problem(BY_CLASS, group)
    with torch.no_grad():
        assert not any(number.requires_grad for number in sharded.statistics(BY_CLASS, part, group).values())
    frozen = part._replace(weight=part.weight.detach(), bias=part.bias.detach())
    sharded.statistics(BY_CLASS, frozen, group)["logsumexp"].sum().backward()
    assert frozen.features.grad is not None


def case_the_gradient_filter_may_be_on(group):
    names = ("log_probability",)
    whole, part, own = problem(names, group, rows=40)
    assert_same(names, whole, part._replace(gradient_filter=0.0), own, group, **EXACT)
    sharded.statistics(names, part._replace(gradient_filter=1.1), group)["log_probability"].sum().backward()
    assert not bool(part.weight.grad.any())


def case_a_loss_takes_them_with_any_reduction_and_ignored_rows(group):
    whole, part, own = problem((), group)
    target = whole.target.clone()
    target[::3] = -100
    for reduction in ("mean", "sum", "none"):
        for options in ({}, {"label_smoothing": 0.1}, {"weight": whole.class_weight}):
            spread = LinearLogits(*part[:3], memory_budget=8 * 20, group=group)
            assert spread.shape == (ROWS, len(whole.weight))
            found = cross_entropy(spread, target, reduction=reduction, **options)
            wanted = torch.nn.functional.cross_entropy(
                whole.features @ whole.weight.T + whole.bias, target, reduction=reduction, **options
            )
            torch.testing.assert_close(found, wanted, **EXACT)
            ours, theirs = (
                torch.autograd.grad(found.sum(), leaves(part)),
                torch.autograd.grad(wanted.sum(), leaves(whole)),
            )
            torch.testing.assert_close(ours, (theirs[0], theirs[1][own], theirs[2][own]), **EXACT)


def case_where_no_row_counts_the_loss_is_zero_and_so_are_its_gradients(group):
    _, part, _ = problem((), group)
    loss = cross_entropy(LinearLogits(*part[:3], group=group), torch.full((ROWS,), -100))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not any(bool(leaf.grad.any()) for leaf in leaves(part))


def case_a_dtensor_over_the_classes_is_its_local_part(group):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

    whole, _, _ = problem((), group, bias=False)
    mesh = init_device_mesh("cpu", (dist.get_world_size(group),))
    weight = distribute_tensor(whole.weight.detach(), mesh, [Shard(0)]).requires_grad_()
    loss = cross_entropy(LinearLogits(whole.features.detach(), weight), whole.target)
    loss.backward()
    assert isinstance(weight.grad, DTensor)
    held_loss = torch.nn.functional.cross_entropy(whole.features @ whole.weight.T, whole.target)
    torch.testing.assert_close(loss, held_loss, **EXACT)
    (wanted,) = torch.autograd.grad(held_loss, whole.weight)
    torch.testing.assert_close(weight.grad.full_tensor(), wanted, **EXACT)
    with pytest.raises(ValueError, match=r"weight: got a DTensor placed .*Replicate.*expected .*Shard"):
        sharded.local_part(distribute_tensor(whole.weight.detach(), mesh, [Replicate()]))
    assert sharded.local_part(whole.weight, group) == (whole.weight, group)


def case_classes_are_counted_over_all_processes(group):
    counts, own = slices(group)
    _, part, _ = problem((), group)
    assert sharded.class_counts(part, group) == counts
    assert sharded.total_classes(part, group) == sum(counts)
    assert sharded.first_class(part, group) == own.start


def case_a_class_that_no_process_holds_is_refused_on_all(group):
    whole, part, _ = problem((), group)
    target = whole.target.clone()
    target[4] = len(whole.weight)
    with pytest.raises(ValueError, match=f"target: got class {len(whole.weight)}, expected classes 0 to"):
        cross_entropy(LinearLogits(*part[:3], group=group), target)


def case_what_one_process_does_otherwise_is_refused_on_all(group):
    _, part, _ = problem(BY_CLASS, group)
    odd = dist.get_rank(group) == 1

    def refused(message, linear, names=("log_probability",)):
        with pytest.raises(ValueError, match=message):
            sharded.statistics(names, linear, group)

    def on_one(**changes):
        return part._replace(**changes) if odd else part

    refused("target: a checksum: got", on_one(target=part.target.roll(1)))
    refused("features: got other entries on process 1", on_one(features=part.features + 1))
    refused(
        "rows that count: got 12 on process 1, expected 13", on_one(features=part.features[1:], target=part.target[1:])
    )
    refused(
        "names: got max, log_probability on process 1, expected log_probability",
        part,
        ("log_probability", "max") if odd else ("log_probability",),
    )
    refused("bias: how many: got 0 on process 1, expected 1", on_one(bias=None))
    refused("weight: dimension: got 4", on_one(features=part.features[:, 1:], weight=part.weight[:, 1:]))
    refused(
        "requires grad: got features, bias on process 1, expected features, weight, bias",
        on_one(weight=part.weight.detach()),
    )
    refused(
        "features: dtype: got torch.float32 on process 1, expected torch.float64",
        Linear(*(x.float() for x in part[:3]), *part[3:]) if odd else part,
    )
    with torch.no_grad():
        rounded = on_one(features=part.features * (1 + 1e-7))  # as another kernel's rounding would make them
        sharded.statistics(("log_probability",), rounded, group)
        nothing = part.features.new_full(part.features.shape, torch.nan)
        assert bool(
            sharded.statistics(("logsumexp",), part._replace(features=nothing), group)["logsumexp"].isnan().all()
        )


def case_what_is_no_group_of_this_process_is_refused(group):
    _, part, _ = problem((), group)
    alone = dist.new_group([0])
    for wrong in ("world", 3) if dist.get_rank() == 0 else ("world", 3, alone):
        with pytest.raises((TypeError, ValueError), match="group: got"):
            sharded.statistics(("logsumexp",), part, wrong)


def case_the_memory_of_a_process(group):
    """Of one process with all 6000 classes, and of each of several with its share: bytes held at once."""
    every = [dist.new_group([rank]) for rank in range(dist.get_world_size())]
    alone = every[dist.get_rank()]
    rows, classes, dimension = 50, 6000, 128

    def peak(kind):
        share = classes // dist.get_world_size(kind)
        features = normal(rows, dimension).requires_grad_()
        weight = normal(share, dimension, seed=1).requires_grad_()
        linear = Linear(features, weight, None, torch.arange(rows), None, memory_budget=8 * 50**2)

        def step():
            loss = -sharded.statistics(("log_probability",), linear, kind)["log_probability"].mean()
            return torch.autograd.grad(loss, (features, weight))

        return cost(step).peak_bytes

    return {"alone": peak(alone), "sharing": peak(group)}


CASES = [name for name in dir() if name.startswith("case_")]


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.removeprefix("case_"))
@pytest.mark.parametrize("processes", [2, 3])
def test_on(processes, case, reports):
    report = reports(processes, __file__)[case]
    assert report["passed"], report["found"]


@pytest.mark.parametrize("processes", [2, 3])
def test_the_memory_of_a_process_falls_as_one_over_their_number(processes, reports):
    found = reports(processes, __file__)["case_the_memory_of_a_process"]["found"]
    assert found["alone"] > 6000 * 128 * 8  # the gradient of the weight at least
    assert found["sharing"] <= 1.1 * found["alone"] / processes


def test_without_torchs_processes_the_message_says_how_to_start_them():
    linear = Linear(torch.zeros(1, 2), torch.zeros(3, 2), None, torch.zeros(1).long(), None, 100)
    for call in (sharded.statistics, lambda _, *rest: sharded.total_classes(*rest)):
        with pytest.raises(ValueError, match=r"torch.distributed is not initialised.*torchrun.*init_process_group"):
            call(("logsumexp",), linear, object())
    assert sharded.local_part(linear.weight) == (linear.weight, None)


def test_a_filter_is_refused_before_any_process_is_asked():
    linear = Linear(torch.zeros(1, 2), torch.zeros(3, 2), None, None, None, 100, gradient_filter=0.1)
    with pytest.raises(ValueError, match="gradient_filter"):
        sharded.statistics(("sum",), linear, None)
    assert filter.CAN_FILTER.isdisjoint({"sum"})
