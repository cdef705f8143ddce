"""The experiment on PolyLoss: what its rows are, and that its claims are asked of the right numbers."""

import dataclasses

import pandas as pd
import pytest

from lossbook.experiments import polynomial
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import Run, recorded
from lossbook.losses import mean_absolute_error_loss

TINY = polynomial.SCALES["tiny"]


@pytest.fixture(scope="module")
def run():
    return polynomial.run(TINY, progress=False)


def test_there_is_a_row_for_each_task_loss_and_seed_at_the_end(run):
    rows = run.history
    balanced = ["ε=−1", "ε=0", "ε=2", "N=1", "N=20"]
    assert rows.groupby("task").setting.unique().map(list).to_dict() == {
        "balanced": balanced,
        "imbalanced": balanced[:3],
        "one rate": balanced[:3],
    }
    assert len(rows) == 2 * (5 + 3 + 3)
    assert (rows.step == rows.groupby("task").step.transform("max")).all()
    assert rows.epsilon.isna().equals(rows.setting.str.startswith("N"))
    assert rows.average_precision.isna().equals(rows.task != "imbalanced")
    assert set(rows[rows.task == "one rate"].learning_rate) == {TINY.one_rate}
    assert rows[["accuracy", "confidence"]].stack().between(0, 1).all()


def test_the_rare_letter_is_one_in_twenty_six_and_the_test_part_is_the_same():
    balanced, rare = (polynomial.data(polynomial.SCALES["small"], task, 0) for task in ("balanced", "imbalanced"))
    assert len(balanced.train_labels) == 2600
    assert balanced.train_features.equal(rare.train_features)
    assert balanced.test_features.equal(rare.test_features)
    assert rare.train_labels.equal((balanced.train_labels == polynomial.RARE).long())
    assert rare.class_names == ("other", "H")
    assert float(rare.test_labels.float().mean()) == pytest.approx(1 / 26, abs=0.01)


def test_one_term_is_mean_absolute_error_to_the_last_digit(run, monkeypatch):
    monkeypatch.setattr(polynomial, "taylor_cross_entropy", lambda z, y, terms: mean_absolute_error_loss(z, y))
    other = polynomial.run(dataclasses.replace(TINY, terms=(1,)), progress=False)
    rows = [found.history.query("setting == 'N=1'")[["accuracy", "log_loss"]] for found in (run, other)]
    # The ensemble holds other members beside it, and products of another number of members round otherwise.
    assert rows[0].to_numpy() == pytest.approx(rows[1].to_numpy(), abs=1e-3)


def test_each_claim_is_positive_in_a_world_where_it_holds_and_not_in_the_opposite_one():
    def world(sign):
        rows = [
            {"task": task, "setting": setting, "seed": seed, "step": 1, "accuracy": 0.5 + sign * better}
            | {"confidence": 0.5 + sign * surer, "average_precision": 0.5 - sign * surer}
            for task in polynomial.TASKS
            for setting, better, surer in (
                ("ε=−1", -0.1, -0.1),
                ("ε=0", 0.0, 0.0),
                ("ε=2", 0.1, 0.1),
                ("N=1", -0.2, 0.0),
                ("N=20", -0.1, 0.0),
            )
            for seed in range(2)
        ]
        return Run("polynomial", TINY, pd.DataFrame(rows))

    claims = polynomial.HEADLINES
    assert verdicts((claim, world(1)) for claim in claims).held.tolist() == [2] * len(claims)
    assert verdicts((claim, world(-1)) for claim in claims).held.tolist() == [0] * len(claims)


def test_a_config_without_cross_entropy_is_refused():
    with pytest.raises(ValueError, match=r"^epsilons: got '0', expected one of '2'"):
        polynomial.run(dataclasses.replace(TINY, epsilons=(2.0,)), progress=False)


def test_the_recorded_run_is_of_this_config_and_five_seeds():
    found = recorded("polynomial_small", polynomial.Config)
    assert found.config == polynomial.SCALES["small"]
    assert sorted(found.history.seed.unique()) == [0, 1, 2, 3, 4]
