"""Gradient descent with huge steps on real points, and on the set that is worst for it."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import linprog

from lossbook.experiments import perceptron
from lossbook.experiments.perceptron import SCALES, Config, largest_margin, summary, two_classes


@pytest.fixture(scope="module")
def run():
    return perceptron.run(SCALES["tiny"], progress=False)


def least_weights(features, labels):
    """Whether a linear program finds weights that give every point a margin of at least 1, those of least Σ|θ|."""
    signed = (labels[:, None] * features).numpy()
    columns = signed.shape[1]
    found = linprog(np.ones(2 * columns), A_ub=-np.hstack([signed, -signed]), b_ub=-np.ones(len(signed)))
    return torch.from_numpy(found.x[:columns] - found.x[columns:]) if found.status == 0 else None


@pytest.mark.parametrize(("data", "points", "margin"), [("breast_cancer", 569, 0.00139), ("digits", 357, 0.717)])
def test_the_whole_of_each_set_is_linearly_separable_by_this_margin(data, points, margin):
    features, labels = two_classes(data)
    weights = least_weights(features, labels)
    reached = float((labels * (features @ weights)).min() / weights.norm())
    assert len(labels) == points
    assert 0 < reached <= largest_margin(features, labels)
    assert largest_margin(features, labels) == pytest.approx(margin, rel=0.01)


def test_the_largest_margin_of_points_that_no_plane_separates_is_zero():
    exclusive_or = torch.tensor([[0.0, 0, 1], [1, 1, 1], [0, 1, 1], [1, 0, 1]])
    labels = torch.tensor([1.0, 1, -1, -1])
    assert least_weights(exclusive_or, labels) is None
    assert largest_margin(exclusive_or, labels) == 0


def test_no_direction_has_a_larger_margin_than_the_largest(generator):
    features, labels = two_classes("breast_cancer", 100)
    largest = largest_margin(features, labels)
    near = least_weights(features, labels)
    for reach in (0.01, 0.1, 1):
        for _ in range(300):
            weights = near + reach * near.norm() * torch.randn(31, dtype=torch.float64, generator=generator) / 31**0.5
            assert float((labels * (features @ weights)).min() / weights.norm()) <= largest


def test_drawn_points_are_standardised_and_carry_a_bias_column():
    features, labels = two_classes("breast_cancer", 200, seed=3)
    assert features.shape == (200, 31)
    assert set(labels.tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(features.mean(0), torch.eye(31)[30].double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(features[:, :30].std(0, correction=0), torch.ones(30).double())


def test_the_history_is_tidy_and_ends_at_the_step_that_separates(run):
    assert {"setting", "seed", "step"} <= set(run.history.columns)
    assert not run.history.duplicated(["setting", "seed", "step"]).any()
    for _, rows in run.history.groupby(["setting", "seed"]):
        separated = rows["smallest_margin"] > 0
        assert separated.sum() <= 1
        assert not separated.iloc[:-1].any()
        assert ((rows["accuracy"] == 1) == separated).all()


def test_larger_steps_separate_real_points_sooner_though_their_loss_stands_higher(run):
    found = summary(run)
    real = found[(found["data"] == "breast_cancer") & (found["method"] == "LR+GD")].set_index("step_size")
    steps, peak = real["steps"].fillna(math.inf), real["peak_loss"]
    assert steps[1.0] > steps[10.0]
    assert peak[1.0] < math.log(2) < peak[100.0]


def test_on_the_worst_case_only_the_plain_methods_pay_for_more_points(run):
    found = summary(run)
    worst = found[found["data"] == perceptron.WORST_CASE].set_index(["method", "step_size", "points"])["steps"]
    assert worst["LR+GD", 1.0].tolist() == [37, 141]
    assert worst["Normalized LR+GD", 1.0].tolist() == [7, 9]
    assert worst["Normalized LR+GD", 10.0].tolist() == [2, 2]


def test_snapshots_hold_the_signed_distance_of_every_point(run):
    assert {snapshot.setting for snapshot in run.snapshots} >= {"batch perceptron", "LR+GD, γ = 100"}
    rows = run.history.set_index(["setting", "seed", "step"])["smallest_margin"]
    for snapshot in run.snapshots:
        distances = snapshot.arrays["distances"]
        assert distances.shape == (100,)
        assert distances.min() == rows[snapshot.setting, 0, snapshot.step]


def test_the_same_config_gives_the_same_history_and_a_folder_resumes(run, tmp_path):
    first = perceptron.run(SCALES["tiny"], progress=False, folder=tmp_path)
    (tmp_path / "units" / "worst case 30 points.json").unlink()  # as if interrupted before the last unit
    again = perceptron.run(SCALES["tiny"], progress=False, folder=tmp_path)
    for other in (first, again):
        pd.testing.assert_frame_equal(other.history, run.history)


def test_a_method_that_never_gets_there_has_no_number_of_steps():
    config = Config(points=100, step_sizes=(0.001,), steps=5, worst_case_points=(), seeds=1)
    found = summary(perceptron.run(config, progress=False))
    assert found["steps"].isna().all()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("wine",), "data: got 'wine', expected one of 'breast_cancer', 'digits'"),
        (("digits", 400), "points: got 400, expected 0 for all, or up to 357"),
    ],
)
def test_bad_input_is_named(arguments, expected):
    with pytest.raises(ValueError, match=f"^{expected}$"):
        two_classes(*arguments)
