"""The fused Triton kernels in the interpreter. run by `test_triton_interpreted.py`."""

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from lossbook import losses
from lossbook.kernels import ops_fused, triton_fused
from lossbook.kernels.triton_launch import Launch

LAUNCHES = {"on chip": Launch(2, 64, 1), "read again": Launch(2, 16, 1)}
SMOOTHING, POWER, SHARPNESS, AIM = 0.1, -0.5, 0.5, 3.0
PARAMETERS = {
    "smoothed_cross_entropy": (SMOOTHING,),
    "comp_sum_loss": (POWER, -1e30, 0.0),
    "z_loss": (SHARPNESS, AIM),
}
SAME = {  # as the book computes them, of each row
    "cross_entropy": losses.cross_entropy,
    "smoothed_cross_entropy": lambda z, y, **options: losses.cross_entropy(z, y, label_smoothing=SMOOTHING, **options),
    "comp_sum_loss": lambda z, y, **options: losses.comp_sum_loss(z, y, tau=POWER + 1, **options),
    "stablemax_cross_entropy": losses.stablemax_cross_entropy,
    "z_loss": lambda z, y, **options: losses.z_loss(z, y, sharpness=SHARPNESS, aim=AIM, **options),
    "siglip_loss": lambda z, y, **options: softplus(z).sum(-1) - z.gather(-1, y[:, None]).squeeze(-1),
    "decoupled_softmax_loss": losses.decoupled_softmax_loss,
}


@pytest.fixture(autouse=True)
def quiet():
    """NumPy, which plays the GPU, warns of exp(−∞) and log(0); the GPU does not."""
    with np.errstate(all="ignore"):
        yield


def problem(generator, classes):
    logits = 2 * torch.randn(4, classes, generator=generator)
    target = torch.tensor([0, classes - 1, -1, classes // 2])
    logits[2] = torch.nan  # of a row that does not count
    return logits, target, torch.rand(4, generator=generator)


def test_every_fused_loss_is_tried():
    assert SAME.keys() == triton_fused.FUSED.keys()


@pytest.mark.parametrize("loss", triton_fused.FUSED)
@pytest.mark.parametrize("launch", LAUNCHES.values(), ids=LAUNCHES)
@pytest.mark.parametrize("classes", [2, 101])
def test_value_and_gradient_are_those_of_the_loss_times_the_scale(loss, launch, classes, generator):
    logits, target, scale = problem(generator, classes)
    parameters = PARAMETERS.get(loss, ())
    found, gradient = triton_fused.loss_and_gradient(loss, parameters, logits, target, None, scale, -1, launch)
    counts = target >= 0
    assert found[2] == 0
    assert not gradient[2].any()
    exact = logits[counts].double().requires_grad_()
    wanted = SAME[loss](exact, target[counts], reduction="none") * scale[counts]
    (slope,) = torch.autograd.grad(wanted.sum(), exact)
    # float32 keeps seven digits of sums over 101 classes, and of a power of p that reaches 1e3
    torch.testing.assert_close(found[counts].double(), wanted.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient[counts].double(), slope, rtol=1e-5, atol=1e-6)


def test_label_smoothing_with_class_weights_is_torchs(generator):
    logits, target, scale = problem(generator, 33)
    weight = torch.rand(33, generator=generator)
    found, gradient = triton_fused.loss_and_gradient(
        "smoothed_cross_entropy", (SMOOTHING,), logits, target, weight, scale, -1, LAUNCHES["on chip"]
    )
    logits = logits.nan_to_num().requires_grad_()
    wanted = scale * torch.nn.functional.cross_entropy(
        logits, target, weight, ignore_index=-1, reduction="none", label_smoothing=SMOOTHING
    )
    torch.testing.assert_close(found, wanted.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted.sum(), logits)[0], rtol=1e-5, atol=1e-6)


def test_beyond_its_weight_limit_the_comp_sum_loss_goes_on_as_a_line():
    logits, target = torch.tensor([[0.0, 6.0, 1.0]], requires_grad=True), torch.tensor([0])
    limit, tau = 3.0, 0.5
    knee = -float(torch.tensor(limit).log()) / (1 - tau)
    found, gradient = triton_fused.loss_and_gradient(
        "comp_sum_loss", (tau - 1, knee, limit), logits.detach(), target, None, torch.ones(1), -1, LAUNCHES["on chip"]
    )
    wanted = losses.comp_sum_loss(logits, target, tau=tau, max_weight=limit)
    torch.testing.assert_close(found[0], wanted.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, logits)[0], rtol=1e-5, atol=1e-7)


def test_level_scores_have_a_z_loss_without_slope():
    logits = torch.full((1, 40), 7.0)
    found, gradient = triton_fused.loss_and_gradient(
        "z_loss", (SHARPNESS, AIM), logits, torch.tensor([3]), None, torch.ones(1), -1, LAUNCHES["on chip"]
    )
    torch.testing.assert_close(found, losses.z_loss(logits, torch.tensor([3]), sharpness=SHARPNESS, aim=AIM)[None])
    assert not gradient.any()


def fused(logits, target, scale):
    return ops_fused.fused_row_loss(logits, target, None, scale, "cross_entropy", [], -1)[0]


def small(generator):
    logits = torch.randn(4, 70, generator=generator, requires_grad=True)
    return logits, torch.tensor([0, 69, -1, 5]), torch.rand(4, generator=generator)


def torchs(logits, target, scale):
    return torch.nn.functional.cross_entropy(logits, target, ignore_index=-1, reduction="none") * scale


def test_the_operators_keep_torchs_contracts(generator):
    logits, target, scale = small(generator)
    arguments = (logits, target, None, scale, "cross_entropy", [], -1)
    torch.library.opcheck(ops_fused.fused_row_loss, arguments)
    torch.library.opcheck(ops_fused.scale_rows_, (logits.detach().clone(), scale))


@pytest.mark.parametrize("factor", [1.0, -3.0])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_what_comes_from_above_multiplies_the_gradient(factor, compiled, generator):
    logits, target, scale = small(generator)

    def total(logits):
        return (fused(logits, target, scale) * factor).sum()

    call = torch.compile(total, fullgraph=True, backend="aot_eager") if compiled else total
    (found,) = torch.autograd.grad(call(logits), logits)
    (wanted,) = torch.autograd.grad((torchs(logits, target, scale) * factor).sum(), logits)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


def test_a_second_backward_and_a_second_derivative_are_refused(generator):
    logits, target, scale = small(generator)
    loss = fused(logits, target, scale).sum()
    torch.autograd.grad(loss, logits, retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, logits)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(fused(logits, target, scale).sum(), logits, create_graph=True)


def test_what_no_kernel_serves_is_refused_by_name(generator):
    logits, target, scale = small(generator)
    for arguments in ((logits.double(), target), (logits.T, target), (logits, target.float())):
        with pytest.raises(ValueError, match="no case of the fused kernels of 'cross_entropy'"):
            fused(*arguments, scale)


def test_launches_of_the_table_hold_a_row_where_they_say_so():
    from lossbook.kernels.triton_launch import RESIDENT_BYTES, resident_launch

    for dtype in (torch.bfloat16, torch.float32):
        most = RESIDENT_BYTES // dtype.itemsize
        assert resident_launch(most + 1, dtype) is None
        for classes in (1, 100, 1024, 1025, 5000, most):
            assert resident_launch(classes, dtype).columns >= classes
