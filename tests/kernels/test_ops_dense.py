"""Row statistics as operators: torch's contracts, graphs, rows that do not count, and what is refused."""

import shutil
import subprocess
import sys

import pytest
import torch

from lossbook.kernels import layout, ops_dense, ops_fused
from lossbook.kernels.statistics import NAMES, NEED_SOFT_TARGET, Rows, values

BY_INDEX = ",".join(name for name in NAMES if name not in NEED_SOFT_TARGET)
BY_SOFT = "soft_log_probability,log_probability_sum,max"


def problem(generator, rows=4, classes=7):
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(classes, (rows,), generator=generator)
    target[1] = -1
    return logits, target, torch.rand(classes, generator=generator, dtype=torch.float64)


def targets(generator, target):
    return {
        "one class": (target, BY_INDEX),
        "several classes": (torch.stack([target, target.roll(2)], 1), "others_logsumexp,sum"),
        "soft": (torch.rand(4, 7, generator=generator, dtype=torch.float64), BY_SOFT),
        "none": (None, "logsumexp,variance"),
    }


@pytest.mark.parametrize("kind", ["one class", "several classes", "soft", "none"])
def test_the_operators_keep_torchs_contracts_and_their_gradient_is_right(kind, generator):
    logits, target, weight = problem(generator)
    target, names = targets(generator, target)[kind]
    torch.library.opcheck(ops_dense.row_statistics, (logits, target, weight, names, -1))
    found, state = (out.detach() for out in ops_dense.row_statistics(logits, target, weight, names, -1))
    arguments = (torch.randn_like(found), logits.detach(), target, weight, state, names, -1)
    torch.library.opcheck(ops_dense.row_statistics_backward, arguments)

    def statistics(logits):
        return ops_dense.row_statistics(logits, target, weight, names, -1)[0]

    assert torch.autograd.gradcheck(statistics, (logits,))


def test_a_row_that_does_not_count_gives_zeros_and_no_gradient_whatever_stands_in_it(generator):
    logits, target, _ = problem(generator)
    with torch.no_grad():
        logits[1] = torch.nan
    names = tuple(BY_INDEX.split(","))
    found = ops_dense.statistics(names, Rows(logits, target))
    (gradient,) = torch.autograd.grad(sum(number.sum() for number in found.values()), logits)
    truth = values(names, Rows(logits[target >= 0], target[target >= 0]))
    for name, number in found.items():
        assert number[1] == 0
        torch.testing.assert_close(number[target >= 0], truth[name], rtol=1e-14, atol=1e-14)
    assert not gradient[1].any()
    assert gradient.isfinite().all()


NEEDS_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor compiles C++ on a CPU")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of Inductor's own imports
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=NEEDS_COMPILER)])
def test_a_graph_holds_them_without_a_break(backend, generator):
    logits, target, _ = problem(generator)

    def loss(logits):
        stats = ops_dense.statistics(("log_probability", "max"), Rows(logits, target))
        return (stats["max"] - stats["log_probability"]).mean()

    (eager,) = torch.autograd.grad(loss(logits), logits)
    (compiled,) = torch.autograd.grad(torch.compile(loss, fullgraph=True, backend=backend)(logits), logits)
    torch.testing.assert_close(compiled, eager, rtol=1e-14, atol=0)


def test_second_derivatives_are_refused_with_the_way_to_get_them(generator):
    logits, target, _ = problem(generator)
    found = ops_dense.statistics(("log_probability",), Rows(logits, target))["log_probability"]
    (slope,) = torch.autograd.grad(found.sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match=r"first derivatives only.*statistics\.values"):
        torch.autograd.grad(slope.square().sum(), logits)


def test_soft_targets_that_learn_get_their_gradient(generator):
    logits, _, _ = problem(generator)
    soft = torch.rand(4, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    found = ops_dense.statistics(("soft_log_probability",), Rows(logits, soft))["soft_log_probability"]
    (slope,) = torch.autograd.grad(found.sum(), soft)
    torch.testing.assert_close(slope, torch.log_softmax(logits, -1).detach())


def test_statistics_of_half_precision_are_float32(generator):
    logits, target, _ = problem(generator)
    half = logits.detach().bfloat16().requires_grad_()
    found = ops_dense.statistics(("logsumexp",), Rows(half, target))["logsumexp"]
    assert found.dtype == torch.float32
    assert torch.autograd.grad(found.sum(), half)[0].dtype == torch.bfloat16
    assert ops_dense.statistics((), Rows(half, target)) == {}


def test_fused_losses_say_that_a_cpu_has_none(generator):
    logits, target, _ = problem(generator)
    with pytest.raises(RuntimeError, match="fused losses run on CUDA, not on cpu"):
        ops_fused.fused_row_loss(logits.float(), target, None, torch.ones(4), "cross_entropy", [], -1)


def test_every_statistic_has_its_place_and_the_parts_it_needs():
    for name in NAMES:
        assert layout.places((name,)).count(0) == 1
        kept = [slot for slot in layout.slots((name,)) if slot >= 0]
        assert kept == list(range(len(kept)))
        assert kept
    assert {user for users in layout.PARTS.values() for user in users} == set(NAMES)


def test_triton_is_not_imported_before_there_is_a_tensor_for_it():
    """It does not exist on every machine that the book runs on."""
    code = (
        "import sys, torch, lossbook\n"
        "from lossbook.kernels import ops_dense, ops_fused, triton_launch\n"
        "lossbook.losses.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]))\n"
        "sys.exit('triton' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
