"""Temperatures: the best one is scipy's, no answer ever changes, and what calibrators see is what was asked for."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import nn

from lossbook.losses import correctness_aware_loss, cross_entropy
from lossbook.models import multilayer
from lossbook.training import SampleTemperature, fit_temperature, transformed_scores


def predictions(seed: int, scale: float, rows: int = 300, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores that are `scale` times what the labels were drawn from."""
    generator = torch.Generator().manual_seed(seed)
    honest = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    target = torch.multinomial(torch.softmax(honest, -1), 1, generator=generator)[:, 0]
    return scale * honest, target


@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0, 7.0, 400.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_temperature_is_the_one_that_scipy_finds(scale, seed):
    logits, target = predictions(seed, scale)
    found = minimize_scalar(
        lambda logarithm: float(cross_entropy(logits * math.exp(logarithm), target)),
        bounds=(-8, 8),
        method="bounded",
        options={"xatol": 1e-12},
    )
    # a minimum is known to the root of its value's rounding
    assert fit_temperature(logits, target) == pytest.approx(math.exp(-found.x), rel=1e-6)


@given(seed=st.integers(0, 1000), scale=st.floats(0.05, 20))
def test_at_the_temperature_the_slope_is_zero_and_the_loss_never_worse(seed, scale):
    logits, target = predictions(seed, scale, rows=60)
    T = fit_temperature(logits, target)
    p = torch.softmax(logits / T, -1)
    slope = (p * logits).sum(-1).mean() - logits.gather(-1, target[:, None]).mean()
    if 1e-3 < T < 1e3:
        assert abs(float(slope)) < 1e-9 * scale
    assert float(cross_entropy(logits / T, target)) <= float(cross_entropy(logits, target)) + 1e-15


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 5))
def test_in_one_over_the_temperature_the_loss_is_convex(seed, scale):
    logits, target = predictions(seed, scale, rows=20)
    betas = torch.linspace(0, 6, 25, dtype=torch.float64)
    values = torch.stack([cross_entropy(beta * logits, target) for beta in betas])
    assert float((values[2:] - 2 * values[1:-1] + values[:-2]).min()) > -1e-12


def test_in_the_temperature_itself_it_is_not():
    """Towards hot it levels out at log V: above a chord."""
    logits, target = predictions(0, 3.0)
    values = torch.stack([cross_entropy(logits / T, target) for T in (2.0, 51.0, 100.0)])
    assert float(values[1] - (values[0] + values[2]) / 2) > 0.01


def test_a_temperature_changes_no_answer_and_no_order_of_the_classes():
    logits, _ = predictions(3, 2.0)
    for T in (1e-3, 0.3, 17.0, 1e3):
        assert torch.equal((logits / T).argsort(-1), logits.argsort(-1))


def test_scores_twice_as_large_have_twice_the_temperature():
    logits, target = predictions(4, 1.0)
    assert fit_temperature(2 * logits, target) == pytest.approx(2 * fit_temperature(logits, target), rel=1e-12)
    assert fit_temperature(logits + 100, target) == pytest.approx(fit_temperature(logits, target), rel=1e-10)


def test_where_there_is_no_best_one_an_end_of_the_range_is_given():
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits, torch.tensor([0, 1])) == 1e-3  # every answer right
    assert fit_temperature(logits, torch.tensor([1, 0])) == 1e3  # every answer wrong
    assert fit_temperature(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])) == 1e3  # nothing to scale


def test_it_undoes_a_scale_up_to_what_the_sample_tells():
    """400 times 300 rows: the curvature of the mean loss at T = 1 puts the error of log T at a hundredth."""
    logits, target = predictions(5, 3.0, rows=20_000)
    assert fit_temperature(logits, target) == pytest.approx(3.0, rel=0.03)


def test_shapes_and_precisions_do_not_matter():
    logits, target = predictions(6, 2.0)
    whole = fit_temperature(logits, target)
    assert fit_temperature(logits.reshape(3, 100, 4), target.reshape(3, 100)) == whole
    assert fit_temperature(logits.float(), target) == pytest.approx(whole, rel=1e-6)


def test_transformed_scores_are_softmax_scores_at_the_leading_classes_of_the_input_itself(generator):
    model = multilayer((6, 8, 5), generator=generator)
    inputs = torch.randn(9, 6, generator=generator)
    changes = [lambda x: x, lambda x: x.flip(-1), lambda x: 2 * x]
    found = transformed_scores(model, inputs, changes, top=3)
    assert found.shape == (9, 9)
    assert not found.requires_grad
    for i in range(9):
        leading = sorted(range(5), key=lambda k, i=i: -float(model(inputs[i : i + 1])[0, k].detach()))[:3]
        for m, change in enumerate(changes):
            p = torch.softmax(model(change(inputs[i : i + 1])), -1)[0]
            torch.testing.assert_close(found[i, 3 * m : 3 * m + 3], p[leading].detach())
    assert bool((found[:, :3].diff(dim=-1) <= 0).all())  # on the input itself they fall


def test_a_calibrator_changes_no_answer_and_learns_by_either_loss(generator):
    logits, target = predictions(7, 3.0)
    features = torch.randn(300, 6, generator=generator)
    calibrator = SampleTemperature(multilayer((6, 5, 1), generator=generator))
    scaled = calibrator(logits, features)
    assert torch.equal(scaled.argmax(-1), logits.argmax(-1))
    torch.testing.assert_close(scaled * calibrator.temperature(features)[:, None], logits)
    for loss in (cross_entropy, correctness_aware_loss):
        for pull in torch.autograd.grad(loss(calibrator(logits, features), target), list(calibrator.parameters())):
            assert bool(pull.isfinite().all())
            assert float(pull.abs().max()) > 0


def test_temperatures_stay_in_a_range_where_scores_are_numbers():
    network = nn.Linear(1, 1)
    calibrator = SampleTemperature(network)
    far = torch.tensor([[1e4], [-1e4]])
    with torch.no_grad():
        network.weight.fill_(1.0)
    temperature = calibrator.temperature(far)
    assert temperature.tolist() == pytest.approx([1e3, 1e-3])
    loss = correctness_aware_loss(calibrator(torch.tensor([[5.0, 0.0]]), far), torch.tensor([0, 0]))
    assert bool(torch.autograd.grad(loss, network.weight)[0].isfinite())
