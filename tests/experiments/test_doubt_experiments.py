"""Labels in doubt, many draws, drawn losses, rare pictures: only what is said differs, and the verdicts are kept."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.datasets import digits
from lossbook.experiments import coverage, equity, label_uncertainty, loss_ensemble
from lossbook.experiments._rates import at_end, held_out, train_groups
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded, stream
from lossbook.metrics import pass_at_n
from lossbook.models import multilayer

MODULES = {
    module.__name__.rpartition(".")[2]: module for module in (label_uncertainty, coverage, loss_ensemble, equity)
}
over_modules = pytest.mark.parametrize("name", MODULES)
HELD = {
    "label_uncertainty": [4, 4, 5, 3, 1, 5, 5, 5, 5, 5, 5, 5, 4, 0, 5, 5],
    "coverage": [5] * 9,
    "loss_ensemble": [5, 5, 5, 4, 0, 0, 0, 2],
    "equity": [5, 5, 4, 5, 5],
}


@pytest.fixture(scope="module")
def tiny():
    return {name: module.run(module.SCALES["tiny"], progress=False) for name, module in MODULES.items()}


@over_modules
def test_the_same_config_gives_the_same_bits(name, tiny):
    module = MODULES[name]
    again = module.run(module.SCALES["tiny"], progress=False)
    pd.testing.assert_frame_equal(tiny[name].history, again.history, check_exact=True)
    for one, other in zip(tiny[name].snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[key], other.arrays[key]) for key in one.arrays)


@over_modules
def test_the_history_is_tidy_and_all_settings_start_from_the_same_network(name, tiny):
    history = tiny[name].history
    assert not history.duplicated(["setting", "seed", "step"]).any()
    metric = {"coverage": "pass_1", "equity": "rare_accuracy"}.get(name, "test_accuracy")
    assert history[history.step == 0].groupby("seed")[metric].nunique().eq(1).all()
    assert history[history.step == history.step.max()][metric].nunique() > 1


@over_modules
def test_the_recorded_run_is_that_of_the_small_scale_and_gives_the_verdicts_that_the_chapter_reports(name):
    module = MODULES[name]
    run = recorded(f"{name}_small", module.Config)
    assert run.config == module.SCALES["small"]
    assert sorted(run.history.seed.unique()) == [0, 1, 2, 3, 4]
    found = verdicts((headline, run) for headline in module.HEADLINES)
    assert found.held.tolist() == HELD[name]
    assert found.claim.is_unique
    assert (found.published != "").sum() >= len(found) - 1
    assert found.remark[found.verdict == "contradicted"].ne("").all()


def test_a_setting_trains_as_it_would_at_its_rate_alone():
    """Two rates make two ensembles; batches are the same, and so are the numbers, to rounding of batched products."""
    config = replace(coverage.SCALES["tiny"], samples=(1.0, 16.0), rates=(2e-3, 5e-3))
    together = coverage.run(config, progress=False).history
    alone = coverage.run(replace(config, samples=(16.0,), rates=(5e-3,)), progress=False).history
    mine = together[together.samples == 16].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, alone, rtol=1e-3, atol=1e-3)


def test_groups_are_measured_in_the_order_of_the_settings():
    start = multilayer((2, 3), generator=stream(0, 2))
    seen = {}

    def loss(places):
        return lambda outputs, target: sum(outputs[:, k].mean() * (place + 1) for k, place in enumerate(places))

    def measure(step, outputs):
        seen[step] = outputs(torch.zeros(1, 2))[0, :, 0] - start[0].bias[0]

    train_groups(
        start, (0.2, 0.1, 0.2), torch.zeros(4, 2), torch.zeros(4).long(), loss, measure,
        seed=0, epochs=1, batch_size=4, every=1, optimizer="sgd",
    )  # fmt: skip
    # One step of −rate · (place + 1)/3 on each bias, for the mean is over three outputs
    assert seen[1].tolist() == pytest.approx([-0.2 / 3, -0.2 / 3, -0.6 / 3], abs=1e-6)


def test_held_out_examples_are_the_training_part_s_and_the_test_part_is_not_looked_at():
    data = digits()
    found = held_out(data, 0.2, stream(100, 4))
    assert len(found.test_labels) == round(0.2 * len(data.train_labels))
    both = torch.cat([found.train_features, found.test_features])
    assert torch.equal(both.sum(0), data.train_features.sum(0)) or torch.allclose(
        both.sum(0), data.train_features.sum(0)
    )
    assert held_out(data, 0.0, stream(100, 4)) is data
    with pytest.raises(ValueError, match=r"^validation: got 1\.0, expected a finite number >= 0 and < 1$"):
        held_out(data, 1.0, stream(100, 4))


def test_pass_at_n_of_the_history_is_that_of_its_snapshot(tiny):
    run = tiny["coverage"]
    end = run.history[run.history.step == run.history.step.max()].set_index("setting")
    for shot in run.snapshots:
        p = torch.from_numpy(shot.arrays["probability"].astype(np.float32))
        for n in coverage.DRAWS:
            assert float(pass_at_n(p, n).mean()) == pytest.approx(
                end[f"pass_{n}"][shot.setting], abs=2e-3
            )  # half precision


def test_the_noise_that_goes_to_the_next_class_does():
    labels = torch.arange(10).repeat(100)
    found, wrong = label_uncertainty._replaced(labels, "next class 40 %", 10, 0, 1)
    assert int(wrong.sum()) == 400
    assert bool((found[wrong] == (labels[wrong] + 1) % 10).all() & (found[~wrong] == labels[~wrong]).all())


def test_temperatures_are_there_for_the_adaptive_losses_alone(tiny):
    history = tiny["label_uncertainty"].history
    later = history[history.step > 0]
    assert later.temperature_right.notna().equals(later.loss.str.startswith("ALDR"))
    assert later.temperature_right.dropna().between(0.5, 1).all()
    assert later.separation.notna().sum() == (later.loss.str.startswith("ALDR") & (later.noise != "no noise")).sum()


def test_weights_by_appearance_give_the_rare_pictures_a_larger_share(tiny):
    share = at_end(tiny["equity"], "rare_weight").iloc[0]
    assert share["all alike"] == pytest.approx(0.08, abs=1e-3)
    assert share["by class"] == pytest.approx(0.08, abs=5e-3)
    assert share["equity, η = 0"] > share["equity, η = 1"] > 0.1
    assert share["equity, mean 1"] == pytest.approx(share["equity, η = 1"])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "coverage",
            {"data": "mnist"},
            "data: got 'mnist', expected one of 'digits', 'fashion_mnist', 'letter_recognition'",
        ),
        ("coverage", {"rates": (1e-3,)}, r"rates: got \(0.001,\), expected a learning rate for each of the 2 samples"),
        ("label_uncertainty", {"losses": ("MSE",)}, "losses: got 'MSE', expected one of 'cross-entropy'"),
        ("label_uncertainty", {"noises": ("some",)}, "noises: got 'some', expected one of 'no noise'"),
        ("label_uncertainty", {"rates": ()}, r"rates: got \(\), expected a learning rate for each of the 3 losses"),
        ("loss_ensemble", {"losses": ("square",)}, "losses: got 'square', expected one of 'logistic'"),
        ("loss_ensemble", {"rates": ()}, r"rates: got \(\), expected a learning rate for each of the 4 losses"),
        ("equity", {"ways": ("by size",)}, "ways: got 'by size', expected one of 'all alike'"),
        ("equity", {"rates": ()}, r"rates: got \(\), expected a learning rate for each of the 6 ways"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(name, changes, message):
    module = MODULES[name]
    with pytest.raises(ValueError, match=message):
        module.run(replace(module.SCALES["tiny"], **changes), progress=False)
