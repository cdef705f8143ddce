"""The networks: PyTorch's own initialisation, drawn from a generator; an ensemble that is its members."""

import pytest
import torch
from torch import nn

from lossbook.models import (
    ACTIVATIONS,
    Ensemble,
    convolutional,
    features,
    layer_inputs,
    linear,
    multilayer,
    transformer,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_images(seed: int) -> nn.Module:
    return convolutional((3, 4), 5, generator=seeded(seed), size=8, hidden=6)


def small_encoder(seed: int) -> nn.Module:
    return transformer(7, 5, generator=seeded(seed), width=8, heads=2, hidden=12)


def normalised(seed: int) -> nn.Module:
    return nn.Sequential(
        linear(4, 6, generator=seeded(seed)), nn.BatchNorm1d(6), nn.Tanh(), linear(6, 3, generator=seeded(seed))
    )


IMAGES, TOKENS, ROWS = (
    torch.randn(6, 1, 8, 8, generator=seeded(1)).double(),
    torch.randint(7, (6, 3), generator=seeded(1)),
    torch.randn(6, 4, generator=seeded(1)).double(),
)
ANY = {  # every way an ensemble evaluates its members: products of stacked matrices, and vmap with and without buffers
    "affine": (lambda seed: multilayer((4, 6, 3), generator=seeded(seed), activation="tanh"), ROWS),
    "one layer": (lambda seed: linear(4, 3, generator=seeded(seed), bias=False), ROWS),
    "convolutional": (small_images, IMAGES),
    "transformer": (lambda seed: small_encoder(seed).eval(), TOKENS),
    "batch-norm": (normalised, ROWS),
}


@pytest.mark.parametrize("make", [lambda seed: multilayer((5, 7, 3), generator=seeded(seed)), small_images])
def test_the_generator_alone_sets_the_weights(make):
    before = torch.get_rng_state()
    first, again, other = (make(seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not any(map(torch.equal, first.parameters(), other.parameters()))


def test_the_generator_alone_sets_what_an_encoder_draws():
    before = torch.get_rng_state()
    first, again, other = (small_encoder(seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    fixed = ("after_attention", "after_wide", "attention.bias", "mixed.bias")  # these start as ones or zeros
    drawn = [name for name, _ in first.named_parameters() if not any(part in name for part in fixed)]
    named, others = dict(first.named_parameters()), dict(other.named_parameters())
    assert len(drawn) == 9
    assert not any(torch.equal(named[name], others[name]) for name in drawn)


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


@pytest.mark.parametrize(("make", "x"), ANY.values(), ids=ANY)
def test_features_are_what_the_last_affine_layer_sees(make, x):
    model = make(0).double().eval()
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    torch.testing.assert_close(last(features(model, x)), model(x), rtol=0, atol=0)


def test_a_convolutional_network_is_these_loops():
    model = convolutional((2,), 3, generator=seeded(), size=6).double()
    image = torch.randn(1, 1, 6, 6, generator=seeded(2)).double()
    filters, bias = model[0].weight.detach(), model[0].bias.detach()
    wide = nn.functional.pad(image, (1, 1, 1, 1))[0, 0]
    maps = torch.zeros(2, 6, 6).double()
    for channel in range(2):
        for row in range(6):
            for column in range(6):
                seen = wide[row : row + 3, column : column + 3]
                maps[channel, row, column] = max(0.0, float((seen * filters[channel, 0]).sum() + bias[channel]))
    halved = torch.stack([maps[:, r : r + 2, c : c + 2].amax((1, 2)) for r in (0, 2, 4) for c in (0, 2, 4)], dim=1)
    torch.testing.assert_close(model(image)[0], model[-1].weight @ halved.flatten() + model[-1].bias)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_encoder_is_pytorch_s_read_at_the_last_position(layers):
    ours = transformer(7, 5, generator=seeded(), width=8, heads=2, hidden=12, dropout=0.0, layers=layers).double()
    one = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)
    theirs = nn.TransformerEncoder(one, layers, enable_nested_tensor=False).double()
    with torch.no_grad():
        for mine, other in zip(ours.layers, theirs.layers, strict=True):
            for layer in (mine.attention, mine.mixed, mine.after_attention, mine.after_wide):
                layer.bias.normal_(generator=seeded(3))  # what starts at zero must count too
            pairs = (
                (other.self_attn.in_proj_weight, mine.attention.weight),
                (other.self_attn.in_proj_bias, mine.attention.bias),
                *zip(other.self_attn.out_proj.parameters(), mine.mixed.parameters(), strict=True),
                *zip(other.linear1.parameters(), mine.wide.parameters(), strict=True),
                *zip(other.linear2.parameters(), mine.narrow.parameters(), strict=True),
                *zip(other.norm1.parameters(), mine.after_attention.parameters(), strict=True),
                *zip(other.norm2.parameters(), mine.after_wide.parameters(), strict=True),
            )
            for to, start in pairs:
                to.copy_(start)
    torch.testing.assert_close(ours(TOKENS), ours.head(theirs(ours.embedding(TOKENS))[:, -1]), rtol=1e-12, atol=1e-12)


def test_the_encoder_starts_as_pytorch_s_does():
    with torch.random.fork_rng(devices=()):
        theirs = nn.TransformerEncoderLayer(64, 4, 256)
    ours = transformer(7, 5, generator=seeded(), width=64, hidden=256).layers[0]
    for mine, other in (
        (ours.attention.weight, theirs.self_attn.in_proj_weight),
        (ours.mixed.weight, theirs.self_attn.out_proj.weight),
        (ours.wide.weight, theirs.linear1.weight),
        (ours.narrow.weight, theirs.linear2.weight),
    ):
        mine, limit = mine.detach(), other.detach().abs().max().item()
        # both uniform: the largest of n ≥ 4096 draws is within 1 % of the limit but once in e^40 draws
        assert mine.abs().max().item() == pytest.approx(limit, rel=0.01)
        assert mine.std().item() == pytest.approx(limit / 3**0.5, rel=0.05)
    assert not ours.attention.bias.any()
    assert not ours.mixed.bias.any()


@pytest.mark.parametrize("own", [False, True], ids=["one input for all", "own inputs"])
@pytest.mark.parametrize(("make", "x"), ANY.values(), ids=ANY)
def test_an_ensemble_gives_what_its_members_give(make, x, own):
    models = [make(seed).double() for seed in range(3)]
    inputs = torch.stack([x, x.flip(0), x.roll(1, 0)]) if own else x
    ensemble = Ensemble(models)
    together, seen = ensemble(inputs, own=own), features(ensemble, inputs, own=own)
    assert together.shape[:2] == seen.shape[:2] == (6, 3)
    together.square().sum().backward()
    for k, model in enumerate(models):
        alone = model(inputs[k] if own else x)
        torch.testing.assert_close(together[:, k], alone, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(seen[:, k], features(model, inputs[k] if own else x), rtol=1e-12, atol=1e-12)
        alone.square().sum().backward()
        for mine, other in zip(ensemble.parameters(), model.parameters(), strict=True):
            gradient = mine.grad[k] if mine.grad[k].shape == other.shape else mine.grad[k].mT  # products: transposed
            torch.testing.assert_close(gradient.reshape(other.shape), other.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("make", "x"), ANY.values(), ids=ANY)
def test_a_member_is_the_network_alone_again(make, x):
    models = [make(seed).double() for seed in range(3)]
    ensemble = Ensemble(models).requires_grad_(False).eval()  # in training a look counts in batch-norm
    for k in (0, 2, -1):
        member = ensemble.member(k)
        assert type(member) is type(models[k])
        assert [name for name, _ in member.named_parameters()] == [name for name, _ in models[k].named_parameters()]
        assert all(map(torch.equal, member.state_dict().values(), models[k].state_dict().values()))
        assert not any(parameter.requires_grad for parameter in member.parameters())
        kept = ensemble(x)[:, k].clone()
        for parameter in member.parameters():
            parameter.zero_()
        torch.testing.assert_close(ensemble(x)[:, k], kept, rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize(("make", "x"), ANY.values(), ids=ANY)
def test_members_train_as_if_alone(make, x, optimizer):
    models = [make(seed).double() for seed in range(3)]
    ensemble = Ensemble(models)
    y = torch.randn(6, 3, ensemble(x).shape[-1], generator=seeded(10)).double()
    ensemble = Ensemble(models)  # afresh: the look at the shape counted in the statistics of batch-norm
    together = optimizer(ensemble.parameters(), lr=0.01)
    alone = [optimizer(model.parameters(), lr=0.01) for model in models]
    for _ in range(10):
        together.zero_grad()
        (ensemble(x) - y).square().mean(0).sum().backward()
        together.step()
        for k, (model, steps) in enumerate(zip(models, alone, strict=True)):
            steps.zero_grad()
            (model(x) - y[:, k]).square().mean(0).sum().backward()
            steps.step()
    ensemble.eval()
    for k, model in enumerate(models):
        torch.testing.assert_close(ensemble(x)[:, k], model.eval()(x), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: nn.Sequential(nn.Dropout(0.5), linear(40, 40, generator=seeded(seed))),
        lambda seed: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), linear(40, 40, generator=seeded(seed))),
    ],
    ids=["affine", "vmap"],
)
def test_each_member_drops_its_own_units_and_none_where_it_is_measured(make):
    ensemble, x = Ensemble([make(0), make(0)]), torch.ones(1, 40)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        first, second = ensemble(x).unbind(1)
        assert not torch.equal(first, second)
    ensemble.eval()
    first, second = ensemble(x).unbind(1)
    assert torch.equal(first, second)


def test_members_in_evaluation_stay_so():
    ensemble = Ensemble([small_encoder(seed).eval() for seed in range(2)])
    assert not any(module.training for module in ensemble.modules())
    assert not ensemble.member(0).training
    assert ensemble.train().member(1).layers[0].dropout.training


def test_an_ensemble_copies_its_members():
    model = linear(2, 2, generator=seeded())
    ensemble = Ensemble([model])
    kept = ensemble(torch.ones(1, 2)).clone()
    with torch.no_grad():
        model.weight.zero_()
    assert torch.equal(ensemble(torch.ones(1, 2)), kept)


ONE, PAIR = linear(2, 2, generator=seeded()), torch.ones(1, 2)
ALONE = Ensemble([ONE])
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
    (Ensemble, {"models": [nn.ReLU(), nn.Tanh()]}, ValueError, "models: got "),
    (Ensemble, {"models": [small_encoder]}, TypeError, "models: got .*expected networks"),
    (
        ALONE,
        {"inputs": torch.ones(3, 1, 2), "own": True},
        ValueError,
        "inputs: ",
    ),
    (ALONE, {"inputs": torch.ones(2)}, ValueError, r"inputs: .*\(batch, inputs"),
    (ALONE.member, {"index": 1}, ValueError, "index: got 1, expected a member"),
    (convolutional, {"channels": (), "outputs": 2, "generator": seeded()}, ValueError, r"channels: got \(\)"),
    (convolutional, {"channels": (4, 0), "outputs": 2, "generator": seeded()}, ValueError, "channels: got 0"),
    (convolutional, {"channels": (4,), "outputs": 2, "kernel": 4, "generator": seeded()}, ValueError, "kernel: got 4"),
    (convolutional, {"channels": (4, 4), "outputs": 2, "size": 3, "generator": seeded()}, ValueError, "size: got 3"),
    (convolutional, {"channels": (4,), "outputs": 2, "hidden": 0, "generator": seeded()}, ValueError, "hidden: got 0"),
    (transformer, {"vocabulary": 0, "outputs": 2, "generator": seeded()}, ValueError, "vocabulary: got 0"),
    (transformer, {"vocabulary": 3, "outputs": 2, "heads": 3, "generator": seeded()}, ValueError, "width: got 128"),
    (transformer, {"vocabulary": 3, "outputs": 2, "dropout": 1.0, "generator": seeded()}, ValueError, "dropout: got 1"),
    (
        features,
        {"model": ONE, "inputs": PAIR, "own": True},
        ValueError,
        "own: ",
    ),
    (features, {"model": nn.ReLU(), "inputs": PAIR}, TypeError, "model: got .*affine layers"),
    (layer_inputs, {"model": nn.Conv1d(1, 1, 1), "inputs": torch.ones(1, 1)}, TypeError, "model: got "),
]


@pytest.mark.parametrize(("function", "arguments", "error", "message"), BAD)
def test_bad_input_is_named(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(**arguments)
