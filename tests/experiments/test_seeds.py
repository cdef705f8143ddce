"""Seeds dealt out one by one, as a sweep does, give what they give together."""

from dataclasses import replace

import pandas as pd
import pytest

from lossbook.experiments import EXPERIMENTS, surrogates
from lossbook.experiments.run import seeds_of

SEEDED = {name: module for name, module in EXPERIMENTS.items() if hasattr(module.SCALES["tiny"], "seeds")}

QUICKER = {
    "adversarial": {"epochs": 2, "every": 1, "points": 50, "test_points": 50},
    "calibrators": {"epochs": 2, "calibrator_epochs": 1},
    "dual_focal": {"epochs": 1, "every": 1},
    "extrapolation": {"epochs": 2},
    "image_text": {"batches": (8,), "steps": 4, "every": 2, "memory_pairs": (64,)},
    "label_noise": {"epochs": 2, "every": 1},
    "many_positives": {"steps": 4, "every": 2},
    "retrieval_offsets": {"steps": 4, "every": 2},
    "softmax_precision": {"steps": 20},
    "two_regimes": {"dimensions": (10,), "most_samples": 40},
    "unconstrained_features": {"layers": (1,), "multiples": (0.5,), "minorities": (2,), "steps": 20, "every": 10},
    "virtual_adversarial": {"steps": 4, "every": 2},
}
"""What `tiny` is made smaller by, where that saves seconds and hides nothing."""

TOGETHER = {
    "gap_mitigations",
    "lazy_images",
    "lazy_rich",
    "modular_addition",
    "neural_collapse",
    "sparse_parity",
    "stability_gap",
    "transfer",
    "unconstrained_features",
    "virtual_adversarial",
}
"""Those whose seeds train as one Ensemble: a product of all members rounds otherwise than a product of one."""


def history(name, seeds, first_seed):
    module = SEEDED[name]
    config = replace(module.SCALES["tiny"], **QUICKER.get(name, {}), seeds=seeds, first_seed=first_seed)
    return module.run(config, progress=False).history


def of_seed(rows, seed):
    return rows[rows.seed == seed].reset_index(drop=True)


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_alone_gives_what_it_gives_after_another(name):
    """Bit for bit; of `TOGETHER` to what rounding grows to in a few dozen steps: at most 6e-6 of a number was seen.

    Rows of no seed of their own (a worst case, counted bytes) say seed 0, and are the same in each run.
    """
    both, alone = history(name, 2, 0), history(name, 1, 1)
    assert set(both.seed) == {0, 1}
    how = {"check_exact": False, "rtol": 1e-4, "atol": 1e-5} if name in TOGETHER else {"check_exact": True}
    pd.testing.assert_frame_equal(of_seed(both, 1), of_seed(alone, 1), **how)
    shared = alone[alone.seed != 1]
    assert len(shared.merge(both)) == len(shared)


def test_rows_of_no_seed_are_there_for_each():
    both, alone = history("perceptron", 2, 0), history("perceptron", 1, 1)
    assert both[both.data == "worst case"].seed.unique().tolist() == [0]
    assert (both.data == "worst case").sum() == (alone.data == "worst case").sum() > 0


def test_a_seed_changes_the_numbers():
    assert (
        not of_seed(history("surrogates", 2, 0), 0)
        .drop(columns="seed")
        .equals(of_seed(history("surrogates", 1, 1), 1).drop(columns="seed"))
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds: got 0, expected an integer >= 1"),
        ({"first_seed": -1}, "first_seed: got -1, expected an integer >= 0"),
    ],
)
def test_seeds_that_are_none_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        seeds_of(replace(surrogates.SCALES["tiny"], **changes))
