"""The networks: PyTorch's own initialisation, drawn from a generator; an ensemble that is its members."""

import pytest
import torch
from torch import nn

from lossbook.models import ACTIVATIONS, Ensemble, layer_inputs, linear, multilayer


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_generator_alone_sets_the_weights():
    before = torch.get_rng_state()
    first, again, other = (multilayer((5, 7, 3), generator=seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not any(map(torch.equal, first.parameters(), other.parameters()))


def test_weights_and_biases_are_uniform_within_one_over_the_root_of_the_inputs():
    layer = linear(100, 2000, generator=seeded())
    for values in (layer.weight, layer.bias):
        assert values.abs().max() <= 0.1
        # the deviation of U(−0.1, 0.1) is 0.1/√3; five standard errors of 2000 draws
        assert values.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)


def test_pytorch_s_default_has_the_same_distribution():
    with torch.random.fork_rng(devices=()):
        theirs = nn.Linear(50, 4000).weight.detach()
    ours = linear(50, 4000, generator=seeded()).weight.detach()
    quantiles = torch.linspace(0, 1, 11)
    difference = torch.quantile(theirs.flatten()[:100_000], quantiles) - torch.quantile(
        ours.flatten()[:100_000], quantiles
    )
    assert (
        difference.abs().max() < 5 * 0.5 * (2 / 50**0.5) / 100_000**0.5 * 2**0.5
    )  # five standard errors of a quantile


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_network_is_affine_layers_with_the_activation_between(activation):
    model = multilayer((4, 6, 5, 3), generator=seeded(), activation=activation)
    x = torch.randn(8, 4, generator=seeded(1))
    values = x
    for k, layer in enumerate(layer for layer in model if isinstance(layer, nn.Linear)):
        values = values if k == 0 else ACTIVATIONS[activation]()(values)
        values = values @ layer.weight.T + layer.bias
    torch.testing.assert_close(model(x), values)


def test_without_biases_there_are_none():
    assert [name for name, _ in multilayer((4, 6, 3), generator=seeded(), bias=False).named_parameters()] == [
        "0.weight",
        "2.weight",
    ]


def test_layer_inputs_are_what_each_affine_layer_sees():
    model = multilayer((4, 6, 5, 3), generator=seeded())
    x = torch.randn(8, 4, generator=seeded(1))
    seen = layer_inputs(model, x)
    assert torch.equal(seen[0], x)
    assert torch.equal(seen[1], torch.relu(model[0](x)))
    assert torch.equal(model[-1](seen[2]), model(x))
    assert len(layer_inputs(linear(4, 3, generator=seeded()), x)) == 1


@pytest.mark.parametrize("bias", [True, False])
def test_an_ensemble_gives_what_its_members_give(bias):
    models = [multilayer((4, 6, 3), generator=seeded(seed), bias=bias) for seed in range(3)]
    x = torch.randn(8, 4, generator=seeded(9))
    together = Ensemble(models)(x)
    assert together.shape == (8, 3, 3)
    for k, model in enumerate(models):
        torch.testing.assert_close(together[:, k], model(x))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_members_train_as_if_alone(optimizer):
    models = [multilayer((4, 6, 3), generator=seeded(seed), activation="tanh").double() for seed in range(3)]
    ensemble = Ensemble(models)
    x, y = torch.randn(8, 4, generator=seeded(9)).double(), torch.randn(8, 3, 3, generator=seeded(10)).double()
    together = optimizer(ensemble.parameters(), lr=0.01)
    alone = [optimizer(model.parameters(), lr=0.01) for model in models]
    for _ in range(20):
        together.zero_grad()
        (ensemble(x) - y).square().mean(0).sum().backward()
        together.step()
        for k, (model, steps) in enumerate(zip(models, alone, strict=True)):
            steps.zero_grad()
            (model(x) - y[:, k]).square().mean(0).sum().backward()
            steps.step()
    for k, model in enumerate(models):
        torch.testing.assert_close(ensemble(x)[:, k], model(x), rtol=1e-10, atol=1e-10)


def test_an_ensemble_copies_its_members():
    model = linear(2, 2, generator=seeded())
    ensemble = Ensemble([model])
    kept = ensemble(torch.ones(1, 2)).clone()
    with torch.no_grad():
        model.weight.zero_()
    assert torch.equal(ensemble(torch.ones(1, 2)), kept)


BAD = [
    (linear, {"inputs": 0, "outputs": 2, "generator": torch.Generator()}, ValueError, "inputs: got 0"),
    (linear, {"inputs": 2, "outputs": 2.0, "generator": torch.Generator()}, TypeError, "outputs: got 2.0"),
    (linear, {"inputs": 2, "outputs": 2, "generator": 0}, TypeError, "generator: got 0 .*expected a torch.Generator"),
    (multilayer, {"sizes": (3,), "generator": torch.Generator()}, ValueError, r"sizes: got \(3,\)"),
    (
        multilayer,
        {"sizes": (3, 2), "generator": torch.Generator(), "activation": "swish"},
        ValueError,
        "activation: got 'swish', expected one of 'relu'",
    ),
    (Ensemble, {"models": []}, ValueError, "models: got "),
    (
        Ensemble,
        {"models": [linear(2, 3, generator=torch.Generator()), linear(3, 2, generator=torch.Generator())]},
        ValueError,
        "models: got .*expected networks of one shape",
    ),
    (layer_inputs, {"model": nn.Conv1d(1, 1, 1), "inputs": torch.ones(1, 1)}, TypeError, "model: got "),
]


@pytest.mark.parametrize(("function", "arguments", "error", "message"), BAD)
def test_bad_input_is_named(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(**arguments)
