"""The training loop: every example once an epoch, rows when asked for, and the generator as the only chance."""

import pytest
import torch
from torch import nn

from lossbook.losses import cross_entropy, squared_error
from lossbook.models import linear, multilayer
from lossbook.training import fit

OPTIONS = {"epochs": 3, "batch_size": 4, "learning_rate": 0.1, "optimizer": "sgd"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    features = torch.randn(10, 3, generator=seeded(5))
    return multilayer((3, 4, 2), generator=seeded(6)), features, torch.arange(10) % 2


def test_each_epoch_shows_each_example_once_in_a_new_order():
    seen = []
    features = torch.arange(10.0)[:, None]

    def loss(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            seen.append(labels.tolist())
        return values.sum()

    fit(linear(1, 1, generator=seeded()), loss, features, torch.arange(10), **OPTIONS, generator=seeded())
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    epochs = [[*seen[k], *seen[k + 1], *seen[k + 2]] for k in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_features_and_labels_stay_together():
    features = torch.arange(10.0)[:, None]

    def loss(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        assert torch.equal(values[:, 0], labels)
        return values.sum()

    fit(
        nn.Linear(1, 1),
        loss,
        features,
        features[:, 0],
        **OPTIONS,
        generator=seeded(),
        forward=lambda m, x, y: x + 0 * m(x),
    )


def test_one_full_batch_step_of_sgd_is_the_gradient_times_the_rate():
    model, features, labels = problem()
    loss = cross_entropy(model(features), labels)
    expected = [
        p.detach() - 0.1 * g
        for p, g in zip(model.parameters(), torch.autograd.grad(loss, model.parameters()), strict=True)
    ]
    options = OPTIONS | {"epochs": 1, "batch_size": 10}
    fit(model, cross_entropy, features, labels, **options, generator=seeded())
    for found, wanted in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(found, wanted)  # the order of the sum differs


def test_rows_come_at_the_start_every_so_many_steps_and_at_the_end():
    model, features, labels = problem()
    history = fit(model, cross_entropy, features, labels, **OPTIONS, generator=seeded(), every=4)
    assert history.step.tolist() == [0, 4, 8, 9]
    assert history.loss.iloc[-1] == cross_entropy(model(features), labels).item()


def test_by_default_rows_come_once_an_epoch():
    model, features, labels = problem()
    assert fit(model, cross_entropy, features, labels, **OPTIONS, generator=seeded()).step.tolist() == [0, 3, 6, 9]


def test_no_epoch_measures_and_leaves_the_model_alone():
    model, features, labels = problem()
    before = [p.clone() for p in model.parameters()]
    history = fit(model, cross_entropy, features, labels, **OPTIONS | {"epochs": 0}, generator=seeded())
    assert history.step.tolist() == [0]
    assert all(map(torch.equal, before, model.parameters()))


def test_evaluation_and_snapshots_see_the_model_of_that_step_without_gradients():
    model, features, labels = problem()
    kept = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert not torch.is_grad_enabled()
        return {"size": float(model[0].weight.norm())}

    history = fit(
        model,
        cross_entropy,
        features,
        labels,
        **OPTIONS,
        generator=seeded(),
        evaluate=evaluate,
        snapshot=lambda step, model: kept.append((step, float(model[0].weight.norm()))),
    )
    assert list(history.columns) == ["step", "size"]
    assert kept == list(zip(history["step"], history["size"], strict=True))
    assert history["size"].nunique() == 4


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_same_seed_trains_the_same_bits_and_leaves_torch_s_own_generator_alone(optimizer):
    def trained(seed: int) -> list[torch.Tensor]:
        model, features, labels = problem()
        fit(model, cross_entropy, features, labels, **OPTIONS | {"optimizer": optimizer}, generator=seeded(seed))
        return list(model.parameters())

    before = torch.get_rng_state()
    first, again, other = trained(0), trained(0), trained(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


def test_an_interruption_leaves_what_was_computed():
    model, features, labels = problem()
    rows: list[dict[str, float]] = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        if len(rows) == 2:
            raise KeyboardInterrupt
        return {"loss": float(cross_entropy(model(features), labels))}

    with pytest.raises(KeyboardInterrupt):
        fit(model, cross_entropy, features, labels, **OPTIONS, generator=seeded(), evaluate=evaluate, rows=rows)
    assert [row["step"] for row in rows] == [0, 3]

    again, *_ = problem()
    whole = fit(again, cross_entropy, features, labels, **OPTIONS, generator=seeded())
    assert [row["loss"] for row in rows] == whole.loss.tolist()[:2]


def test_rows_given_are_appended_to_and_not_returned():
    model, features, labels = problem()
    rows = [{"step": -1}]
    history = fit(model, cross_entropy, features, labels, **OPTIONS, generator=seeded(), rows=rows)
    assert len(rows) == 1 + len(history)
    assert history.step.min() == 0


def test_forward_says_what_the_loss_takes():
    features = torch.linspace(-1, 1, 8)[:, None]
    model = linear(1, 1, generator=seeded())
    options = OPTIONS | {"epochs": 200}
    fit(model, squared_error, features, 3 * features, **options, generator=seeded(), forward=lambda m, x, y: m(2 * x))
    assert model.weight.item() == pytest.approx(1.5, abs=1e-3)


BAD = [
    ({"optimizer": "lion"}, ValueError, "optimizer: got 'lion', expected one of 'adam', 'sgd'"),
    ({"learning_rate": 0.0}, ValueError, "learning_rate: got 0.0, expected a finite number > 0"),
    ({"learning_rate": "0.1"}, TypeError, "learning_rate: got '0.1'"),
    ({"epochs": -1}, ValueError, "epochs: got -1, expected an integer >= 0"),
    ({"epochs": 1.5}, TypeError, "epochs: got 1.5"),
    ({"batch_size": 0}, ValueError, "batch_size: got 0, expected an integer >= 1"),
    ({"every": 0}, ValueError, "every: got 0, expected an integer >= 1"),
    ({"generator": 0}, TypeError, "generator: got 0"),
    ({"labels": torch.zeros(3).long()}, ValueError, "labels: got .* expected one label for each of the 10 rows"),
    ({"features": torch.zeros(0, 3), "labels": torch.zeros(0).long()}, ValueError, "labels: got .* at least one"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(change, error, message):
    model, features, labels = problem()
    arguments = {"features": features, "labels": labels, "generator": seeded(), **OPTIONS} | change
    with pytest.raises(error, match=message):
        fit(model, cross_entropy, **arguments)
