"""The loop: what a row tells, gradients as the optimiser sees them, and training that was killed goes on to the bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, multilayer
from lossbook.training import PerpGrad, Shuffled, train


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


FEATURES = torch.randn(20, 3, generator=seeded(5))
LABELS = torch.arange(20) % 4
WHOLE = torch.arange(20)


def network(seed: int = 6) -> nn.Sequential:
    return multilayer((3, 8, 4), generator=seeded(seed))


def objective(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return cross_entropy(model(FEATURES[batch]), LABELS[batch])


def loss_of(model: nn.Module) -> dict[str, float]:
    return {"loss": cross_entropy(model(FEATURES), LABELS).item()}


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def full_batch(model: nn.Module, **options):
    return train(model, objective, lambda: WHOLE, sgd(model), **{"steps": 7, "measure": loss_of} | options)


@pytest.mark.parametrize(
    ("at", "steps"), [(1, [*range(8)]), (3, [0, 3, 6, 7]), ((2, 5), [0, 2, 5, 7]), ({100}, [0, 7]), (range(0), [0, 7])]
)
def test_rows_stand_at_the_steps_asked_for_and_at_both_ends(at, steps):
    assert full_batch(network(), at=at).history.step.tolist() == steps


def test_a_row_tells_of_the_model_after_that_many_steps():
    whole = full_batch(network()).history
    for steps in range(8):
        model = network()
        assert full_batch(model, steps=steps).history.loss.iloc[-1] == whole.loss[steps] == loss_of(model)["loss"]


def test_a_probe_sees_the_gradient_at_the_weights_of_its_row_also_in_the_last():
    seen = []

    def compare(model: nn.Module) -> dict[str, float]:
        with torch.enable_grad():
            expected = torch.autograd.grad(objective(model, WHOLE), list(model.parameters()))
        seen.append(all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), expected, strict=True)))
        return {"size": float(sum(p.grad.square().sum() for p in model.parameters()))}

    history = full_batch(network(), probe=compare).history
    assert seen == [True] * 8
    assert list(history.columns) == ["step", "loss", "size"]


def test_to_look_at_a_batch_is_not_to_use_it_up():
    first, second = Shuffled(20, 6, seeded()), Shuffled(20, 6, seeded())
    options = {"steps": 5, "probe": lambda model: {"one": 1.0}}
    model = network()
    train(model, objective, first, sgd(model), **options)
    drawn = [second() for _ in range(6)]
    assert torch.equal(first(), drawn[5])


def test_a_transform_changes_what_the_optimiser_sees():
    model, before = network(), [p.clone() for p in network().parameters()]

    def nothing(model: nn.Module, batch: torch.Tensor) -> None:
        assert torch.equal(batch, WHOLE)
        for p in model.parameters():
            p.grad.zero_()

    full_batch(model, transform=nothing)
    assert all(map(torch.equal, model.parameters(), before))


def test_it_measures_without_gradients_in_evaluation_mode_and_trains_in_the_mode_it_found():
    model = nn.Sequential(network(), nn.Dropout(0.5)).train()
    modes = []

    def look(model: nn.Module) -> dict[str, float]:
        modes.append((model.training, torch.is_grad_enabled()))
        return {}

    def trained(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        assert model.training
        return objective(model, batch)

    train(model, trained, lambda: WHOLE, sgd(model), steps=2, measure=look, snapshot=look, noise=seeded())
    assert set(modes) == {(False, False)}
    assert model.training


def test_it_stops_where_it_is_told_to():
    trained = full_batch(network(), steps=500, stop=lambda numbers: numbers["loss"] < 1.0)
    assert trained.stopped
    assert trained.history.loss.iloc[-1] < 1.0 < trained.history.loss.iloc[-2]
    assert trained.steps == trained.history.step.iloc[-1] < 500


def test_snapshots_are_copies_at_their_own_steps():
    trained = full_batch(network(), snapshot=lambda model: {"weight": model[0].weight}, snapshot_at=4)
    assert [step for step, _ in trained.snapshots] == [0, 4, 7]
    weights = [arrays["weight"] for _, arrays in trained.snapshots]
    assert not np.array_equal(weights[0], weights[1])
    assert np.array_equal(weights[0], network()[0].weight.detach().numpy())


def test_members_of_an_ensemble_have_a_row_each_and_train_as_alone():
    ensemble = Ensemble([network(seed) for seed in (6, 7, 8)])
    optimizer = torch.optim.Adam(ensemble.parameters(), lr=0.01)

    def summed(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return cross_entropy(model(FEATURES[batch]), LABELS[batch, None].expand(-1, 3), reduction="none").mean(0).sum()

    def losses(model: nn.Module) -> dict[str, torch.Tensor]:
        return {"loss": cross_entropy(model(FEATURES), LABELS[:, None].expand(-1, 3), reduction="none").mean(0)}

    together = train(
        ensemble, summed, lambda: WHOLE, optimizer, steps=20, measure=losses, at=10, seeds=(6, 7, 8)
    ).history
    assert together.seed.tolist() == [6, 7, 8] * 3
    for seed in (6, 7, 8):
        model = network(seed)
        alone = train(
            model, objective, lambda: WHOLE, torch.optim.Adam(model.parameters(), lr=0.01),
            steps=20, measure=loss_of, at=10,
        ).history  # fmt: skip
        # Adam divides by the gradient's size, which brings rounding of 1e-7 to the front; 20 steps of 0.01.
        np.testing.assert_allclose(together[together.seed == seed].loss, alone.loss, atol=1e-4)


class Stopped(Exception):
    """As if the process had died."""


def dropout_network() -> nn.Sequential:
    layers = list(network())
    return nn.Sequential(*layers[:2], nn.Dropout(0.3), *layers[2:])


OPTIMIZERS = {
    "sgd": sgd,
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), lr=0.01, eps=1e-25),
    "perpgrad": lambda model: PerpGrad(torch.optim.AdamW(model.parameters(), lr=0.01)),
    "rmsprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=0.01, centered=True),
}


class Slower:
    """A transform that remembers how often it was called, and shrinks the gradients accordingly."""

    def __init__(self):
        self.calls = 0

    def __call__(self, model: nn.Module, batch: torch.Tensor) -> None:
        self.calls += 1
        for p in model.parameters():
            p.grad /= self.calls

    def state_dict(self) -> dict[str, int]:
        return {"calls": self.calls}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


def everything(path: Path | None, kind: str = "adamw", die_at: int = -1, steps: int = 23):
    """Training with all that has a state: moments, a schedule, a transform, shuffled batches, dropout, rows."""
    model = dropout_network()
    optimizer = OPTIMIZERS[kind](model)
    taken = []

    def dying(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        if len(taken) == die_at:
            raise Stopped
        taken.append(batch)
        return objective(model, batch)

    trained = train(
        model,
        dying,
        Shuffled(20, 6, seeded(1)),
        optimizer,
        steps=steps,
        transform=Slower(),
        scheduler=torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.7),
        measure=loss_of,
        probe=lambda model: {"slope": float(model[0].weight.grad.norm())},
        at=3,
        snapshot=lambda model: {"weight": model[0].weight},
        snapshot_at=7,
        noise=seeded(2),
        checkpoint=path,
        checkpoint_every=4,
    )
    return trained, list(model.parameters()), len(taken)


def assert_same(first, second) -> None:
    (one, weights, _), (other, other_weights, _) = first, second
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    assert all(map(torch.equal, weights, other_weights))
    assert (one.steps, one.stopped) == (other.steps, other.stopped)
    assert [step for step, _ in one.snapshots] == [step for step, _ in other.snapshots]
    for (_, arrays), (_, other_arrays) in zip(one.snapshots, other.snapshots, strict=True):
        assert all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_killed_at_any_step_it_goes_on_to_the_same_bits(kind, tmp_path):
    whole = everything(None, kind)
    for die_at in range(23) if kind == "adamw" else (3, 4, 11, 22):
        path = tmp_path / f"{die_at}" / "training"
        with pytest.raises(Stopped):
            everything(path, kind, die_at)
        resumed = everything(path, kind)
        assert_same(whole, resumed)
        lost = resumed[2] - (24 - die_at)
        assert 0 <= lost <= 4  # no more steps are taken twice than lie between checkpoints


def test_killed_again_and_again_it_gets_there(tmp_path):
    path, tries = tmp_path / "training", 0
    while True:
        try:
            resumed = everything(path, die_at=5)
            break
        except Stopped:
            tries += 1
    assert tries == 5
    assert_same(everything(None), resumed)


def test_what_was_finished_is_not_trained_again(tmp_path):
    path = tmp_path / "training"
    whole, again = everything(path), everything(path)
    assert_same(whole, again)
    assert again[2] == 1  # the batch that the probe looks at


def test_what_stopped_early_stops_there_again(tmp_path):
    options = {"steps": 500, "stop": lambda numbers: numbers["loss"] < 1.0, "checkpoint": tmp_path / "training"}
    first, model = full_batch(network(), **options), network()
    again = full_batch(model, **options)
    pd.testing.assert_frame_equal(first.history, again.history, check_exact=True)
    assert again.stopped
    assert loss_of(model)["loss"] == first.history.loss.iloc[-1]


def test_more_steps_may_be_asked_for_afterwards(tmp_path):
    everything(tmp_path / "training", steps=10)
    assert_same(everything(None, steps=23), everything(tmp_path / "training", steps=23))


SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from training.test_train import everything, objective
import training.test_train as here
if {die}:
    calls = []
    def dying(model, batch):
        calls.append(1)
        if len(calls) == 14:
            os.kill(os.getpid(), signal.SIGKILL)
        return objective(model, batch)
    here.objective = dying
everything(Path({path!r}))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_process_that_was_killed_is_taken_up_by_another(tmp_path):
    path = tmp_path / "training"
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]), path=str(path), die=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    died = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=100)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert path.exists()
    assert_same(everything(None), everything(path))


def test_torchs_own_chance_stands_where_it_stood_and_noise_decides(tmp_path):
    before = torch.get_rng_state()
    first, second = everything(None), everything(None)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(first, second)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    path = tmp_path / "training"
    everything(path, steps=10)
    message = "checkpoint: got .*training', expected a file written by the same training"
    with pytest.raises(ValueError, match=message):
        everything(path, steps=5)
    with pytest.raises(ValueError, match=message):
        full_batch(network(), steps=50, checkpoint=path)
    wider = multilayer((3, 9, 4), generator=seeded())
    with pytest.raises(ValueError, match=message):
        train(wider, objective, Shuffled(20, 6, seeded()), sgd(wider), steps=50, checkpoint=path)
    path.write_bytes(b"no such thing")
    with pytest.raises(ValueError, match=r"checkpoint: got .*expected a file that a training run wrote"):
        everything(path)


BAD = [
    ({"steps": -1}, ValueError, "steps: got -1, expected an integer >= 0"),
    ({"steps": 1.5}, TypeError, "steps: got 1.5"),
    ({"at": 0}, ValueError, "at: got 0, expected an integer >= 1"),
    ({"at": "all"}, TypeError, "at: got 'all'"),
    ({"snapshot_at": 0.5}, TypeError, "snapshot_at: got 0.5"),
    ({"checkpoint_every": 0}, ValueError, "checkpoint_every: got 0"),
    ({"noise": 3}, TypeError, "noise: got 3"),
    ({"optimizer": 0.1}, TypeError, "optimizer: got 0.1"),
    ({"measure": lambda model: {"loss": torch.ones(3)}}, ValueError, "seeds: got None"),
    ({"measure": lambda model: {"loss": torch.ones(3)}, "seeds": (1, 2)}, ValueError, r"seeds: got \[1, 2\]"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(change, error, message):
    model = network()
    arguments = {"optimizer": sgd(model), "steps": 2, "measure": loss_of} | change
    with pytest.raises(error, match=message):
        train(model, objective, lambda: WHOLE, **arguments)
