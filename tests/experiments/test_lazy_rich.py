"""The polynomial regression: its network, its exact errors, and what the experiment promises at a tiny scale."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from lossbook.experiments import lazy_rich
from lossbook.experiments.lazy_rich import SCALES, Config, error_parts, first_steps, kernel_error, log_steps, run
from lossbook.experiments.run import Run
from lossbook.models import PolynomialNet

DOUBLE = torch.float64


def numbers(*shape, seed=0):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def tiny():
    return run(SCALES["tiny"], progress=False)


def test_the_two_statistics_are_all_that_the_units_say():
    weight, x, curvature = numbers(2, 7, 4), numbers(5, 4, seed=1), 0.6
    hidden = torch.einsum("mni,bi->mbn", weight, x)
    by_units = (hidden + curvature / 2 * hidden**2).mean(-1).T
    net = PolynomialNet(weight, curvature=curvature)
    assert torch.allclose(net(x), by_units, rtol=1e-12)
    own = torch.stack([x, 2 * x])
    assert torch.allclose(net(own)[:, 0], by_units[:, 0])
    assert torch.allclose(net(own)[:, 1], PolynomialNet(weight[1], curvature=curvature)(2 * x)[:, 0])


def test_a_step_of_the_experiment_is_the_published_update_of_each_unit():
    config = Config(alphas=(2.0,), points=(30,), seeds=1, inputs=5, units=8, steps=1, kernel_points=4, rate=0.2)
    found = run(config, progress=False).history
    x, _, beta = lazy_rich._draw(config, 30, 0)
    start = lazy_rich._start(config, 0, 0.0, beta)
    hidden, y = x @ start.T, (x @ beta) ** 2 / 2
    pulls = torch.zeros_like(start)
    for i in range(8):
        for j in range(30):  # the residual is y: the output is 0 at the start
            pulls[i] += config.rate * 5 / (2.0 * 30) * y[j] * (1 + config.curvature * hidden[j, i]) * x[j]
    assert found.motion.iloc[1] == pytest.approx(float(pulls.norm() / start.norm()), rel=1e-5)

    def output(weight):
        return (x @ weight.T + config.curvature / 2 * (x @ weight.T) ** 2).mean(1)

    error = (y - 2.0 * (output(start + pulls) - output(start))).square().mean() / y.var(correction=0)
    assert found.train_error.iloc[1] == pytest.approx(float(error), rel=1e-4)


def test_the_parts_add_up_to_the_test_error_of_very_many_points():
    size = 4
    linear, beta = numbers(size), 2 * numbers(size, seed=1)
    square = numbers(size, size, seed=2)
    square = square + square.T
    x = numbers(400_000, size, seed=3) / math.sqrt(size)
    y = (x @ beta) ** 2 / 2
    f = x @ linear + ((x @ square) * x).sum(1) / 2
    errors = (f - y).square()
    variance = float(beta @ beta / size) ** 2 / 2
    found = float(sum(error_parts(linear, square, beta).values())) * variance
    assert float(errors.mean()) == pytest.approx(found, abs=5 * float(errors.std()) / math.sqrt(len(x)))
    assert float(y.var()) == pytest.approx(variance, rel=0.05)  # a fourth moment of normals from 400,000 of them


def test_the_target_itself_has_no_error_and_each_part_sees_its_own_mistake():
    beta = numbers(3)
    solved = torch.outer(beta, beta)
    assert all(float(part) == 0 for part in error_parts(0 * beta, solved, beta).values())
    only_linear = error_parts(beta, solved, beta)
    assert float(only_linear["linear"]) > 0 == float(only_linear["misaligned"])
    turned = error_parts(0 * beta, torch.diag(solved.diagonal()), beta)  # the same trace
    assert float(turned["misaligned"]) > 0 == float(turned["constant"])


@pytest.mark.parametrize("points", [12, 40])  # fewer and more than the 20 numbers of a quadratic in 5 inputs
def test_kernel_regression_is_the_minimum_norm_solution_through_the_points(points):
    net, beta = PolynomialNet(numbers(1, 30, 5), curvature=0.5), numbers(5, seed=1)
    x, fresh = numbers(1, points, 5, seed=2), numbers(20_000, 5, seed=3) / math.sqrt(5)
    x = x / math.sqrt(5)
    y = (x @ beta).square() / 2
    kernel = net.kernel(x)[0].detach().numpy()
    weights = np.linalg.pinv(kernel, rcond=1e-12, hermitian=True) @ y[0].numpy()
    mean, second = (part[0].detach() for part in net.statistics())
    across = fresh @ x[0].T / 30
    slopes = 1 + 0.5 * ((fresh @ mean)[:, None] + x[0] @ mean) + 0.25 * fresh @ second @ x[0].T
    said = (across * slopes).numpy() @ weights
    y_fresh = ((fresh @ beta) ** 2 / 2).numpy()
    sampled = (said - y_fresh) ** 2
    variance = float(beta @ beta / 5) ** 2 / 2
    found = float(kernel_error(net, x, y, beta[None])[0]) * variance
    assert found == pytest.approx(sampled.mean(), abs=5 * sampled.std() / math.sqrt(len(fresh)) + 1e-8)
    if points == 40:
        assert found < 1e-8  # as many conditions as numbers: any fit is the target


def test_large_alpha_moves_the_weights_less_and_its_kernel_hardly_changes(tiny):
    end = tiny.history.groupby("alpha").last()
    assert end.motion[0.5] > 3 * end.motion[8.0]
    assert end.similarity[8.0] > 0.99 > end.similarity[0.5]
    assert end.alignment[0.5] > end.alignment[8.0]


def test_the_history_starts_at_an_output_of_0_and_its_parts_add_up(tiny):
    start = tiny.history[tiny.history.step == 0]
    assert start.motion.tolist() == [0, 0]
    assert start.test_error.tolist() == pytest.approx([1.5, 1.5], rel=1e-5)
    assert start.similarity.tolist() == pytest.approx([1, 1], rel=1e-5)
    assert tiny.history[list(lazy_rich.LEFT)].sum(axis=1).to_numpy() == pytest.approx(tiny.history.test_error, rel=1e-5)
    assert {shot.setting for shot in tiny.snapshots} == {"α = 0.5", "α = 8"}
    assert sorted({shot.step for shot in tiny.snapshots}) == log_steps(150, 10)


def test_seeds_train_together_as_they_do_alone():
    config = dataclasses.replace(SCALES["tiny"], steps=30)
    both = run(dataclasses.replace(config, seeds=2), progress=False).history
    alone = [run(dataclasses.replace(config, first_seed=seed), progress=False).history for seed in (0, 1)]
    for seed, one in enumerate(alone):
        part = both[both.seed == seed].reset_index(drop=True)
        for column in ("train_error", "test_error", "motion", "kernel_error"):  # single precision, 30 steps
            assert part[column].to_numpy() == pytest.approx(one[column].to_numpy(), rel=1e-3, abs=1e-6)


def test_a_run_that_was_interrupted_ends_with_the_same_bits(tmp_path, monkeypatch):
    config = dataclasses.replace(SCALES["tiny"], points=(20, 30), steps=20)
    whole = run(config, progress=False).history
    real = lazy_rich._points

    def killed(config, points, checkpoints):
        if points == 30:
            raise KeyboardInterrupt
        return real(config, points, checkpoints)

    monkeypatch.setattr(lazy_rich, "_points", killed)
    with pytest.raises(KeyboardInterrupt):
        run(config, progress=False, folder=tmp_path)
    monkeypatch.setattr(lazy_rich, "_points", real)
    assert run(config, progress=False, folder=tmp_path).history.equals(whole)


def test_an_aligned_start_keeps_its_length_and_lies_along_beta():
    config = Config(units=4000, inputs=10)
    beta = lazy_rich._draw(config, 3, 0)[2]
    assert float(beta.norm() ** 2) == pytest.approx(10, rel=1e-5)
    for share in (0.0, 0.5, 1.0):
        start = lazy_rich._start(config, 0, share, beta)
        along = float((start @ beta / math.sqrt(10)).square().mean())
        # the mean of 4,000 squares of normals: to 5 standard errors, √(2/4000) of each part
        assert float(start.square().mean()) == pytest.approx(1, abs=5 * math.sqrt(2 / 4000))
        assert along == pytest.approx(1 - share + 10 * share, rel=5 * math.sqrt(2 / 4000))


def test_first_steps_and_their_ratio_are_read_off_the_history(tiny):
    history = tiny.history.query("step in (0, 1, 2, 5)").copy()
    steps = sorted(history.step.unique())
    falling = dict(zip(steps, (1.0, 0.04, 0.04, 0.01), strict=False))
    history["train_error"] = history.step.map(falling)
    history["test_error"] = np.where((history.alpha == 0.5) & (history.step >= steps[2]), 0.1, 0.9)
    found = first_steps(Run("lazy_rich", tiny.config, history)).set_index("alpha")
    assert found.train_step.tolist() == [steps[1]] * 2
    assert found.test_step[0.5] == steps[2]
    assert found.delay[0.5] == steps[2] / steps[1]
    assert math.isinf(found.test_step[8.0])
    assert math.isinf(found.delay[8.0])
    assert first_steps(Run("lazy_rich", tiny.config, history), train=1e-9).delay.isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphas": (0.0,)}, r"^alphas: got 0.0"),
        ({"aligned": (1.5,)}, r"^aligned: got 1.5"),
        ({"rate": -1.0}, r"^rate: got -1.0"),
        ({"steps": 0}, r"^steps: got 0"),
        ({"kernel_points": 1}, r"^kernel_points: got 1"),
        ({"seeds": 0}, r"^seeds: got 0"),
    ],
)
def test_a_bad_config_is_refused_with_its_name(change, message):
    with pytest.raises(ValueError, match=message):
        run(dataclasses.replace(SCALES["tiny"], **change), progress=False)


@pytest.mark.parametrize("weight", [torch.zeros(3), torch.zeros(2, 0)])
def test_the_network_refuses_weights_of_another_shape(weight):
    with pytest.raises(ValueError, match=r"^weight: .*expected shape"):
        PolynomialNet(weight, curvature=0.1)
