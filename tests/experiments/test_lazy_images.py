"""The laziness knob on digits: what the experiment promises at a tiny scale."""

import dataclasses
import math

import pytest
import torch

from lossbook import datasets
from lossbook.experiments import lazy_images
from lossbook.experiments.lazy_images import SCALES, first_steps, run
from lossbook.models import multilayer
from lossbook.training import Lazy


@pytest.fixture(scope="module")
def tiny():
    return run(SCALES["tiny"], progress=False)


def test_at_the_start_every_score_is_0(tiny):
    start = tiny.history.query("step == 0")
    assert start.train_error.tolist() == start.test_error.tolist() == [1.0] * 4
    assert start.motion.tolist() == [0] * 4
    assert start.similarity.tolist() == pytest.approx([1] * 4, rel=1e-5)


def test_rich_networks_move_more_and_the_sine_starts_less_aligned(tiny):
    end, start = (part.set_index(["activation", "alpha"]) for part in _ends(tiny))
    for activation in ("relu", "sine"):
        assert end.motion[activation, 0.03] > 3 * end.motion[activation, 0.3]
        assert end.train_error[activation, 0.3] < 1
    assert start.alignment["relu", 0.3] > start.alignment["sine", 0.3]


def test_the_kernel_is_taken_at_the_start_the_end_and_few_steps_between(tiny):
    taken = tiny.history.dropna(subset=["alignment"])
    assert sorted(taken.step.unique()) == [0, 60]
    assert len(taken) == 8


def test_a_member_is_a_plain_network_with_the_knob_trained_alone(tiny):
    config = SCALES["tiny"]
    x, labels, test_x, test_labels = lazy_images.draw_images(config, 0)
    model = Lazy(lazy_images.network(config, "sine", 64, 10, 0), 0.3 / math.sqrt(config.units))
    optimizer = torch.optim.SGD(model.parameters(), lr=config.rate)
    for _ in range(config.steps):
        optimizer.zero_grad()
        error = (model(x) - torch.nn.functional.one_hot(labels, 10)).square().sum(1).mean()
        (error / 2 / 0.3**2).backward()
        optimizer.step()
    end = tiny.history.query("step == 60").set_index("setting").loc["sine, α = 0.3"]
    accuracy = (model(test_x).argmax(1) == test_labels).float().mean()
    assert end.test_accuracy == pytest.approx(
        float(accuracy),
        abs=2 / len(test_labels),  # a near tie may fall otherwise
    )
    wanted = (model(x) - torch.nn.functional.one_hot(labels, 10)).square().sum(1).mean()
    assert end.train_error == pytest.approx(wanted.item(), rel=1e-3)


def test_images_are_centred_by_the_training_ones_alone():
    config = SCALES["tiny"]
    x, labels, test_x, _ = lazy_images.draw_images(config, 3)
    assert x.mean(0).abs().max() < 1e-5
    assert float(x.norm(dim=1).mean()) == pytest.approx(1, rel=1e-5)
    data = datasets.digits(seed=3)
    assert len(test_x) == len(data.test_labels)
    assert len(labels) == config.images
    shift = test_x - (test_x[:1] - data.test_features[:1] / _scale(test_x, data.test_features))
    assert torch.allclose(shift, data.test_features / _scale(test_x, data.test_features), atol=1e-5)


def _scale(scaled, raw):
    return float((raw[0] - raw[1]).norm() / (scaled[0] - scaled[1]).norm())


def test_first_weights_have_the_gain_of_their_activation():
    config = dataclasses.replace(SCALES["tiny"], units=400)
    for activation, gain in (("relu", 1.0), ("sine", 2.5)):
        first, second = lazy_images.network(config, activation, 64, 10, 0).parameters()
        assert float(first.detach().std()) == pytest.approx(gain, rel=0.03)  # 25,600 normals: five standard errors
        assert float(second.detach().std()) == pytest.approx(1, rel=0.06)  # 4,000


def test_the_sine_is_the_sine():
    model = multilayer((2, 3, 1), generator=torch.Generator().manual_seed(0), activation="sine")
    x = torch.tensor([[0.3, -2.0]])
    assert torch.allclose(
        model(x), torch.sin(x @ model[0].weight.T + model[0].bias) @ model[2].weight.T + model[2].bias
    )


def test_first_steps_count_accuracies_from_below(tiny):
    found = first_steps(tiny, train=0.5, test=0.4)
    for row in found.itertuples():
        rows = tiny.history[tiny.history.setting == row.setting]
        reached = rows[rows.train_accuracy >= 0.5].step
        assert row.train_step == (reached.min() if len(reached) else math.inf)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "mnist"}, r"^data: got 'mnist'"),
        ({"activations": ("tanh",)}, r"^activations: got 'tanh'"),
        ({"alphas": (-1.0,)}, r"^alphas: got -1.0"),
        ({"kernels": 1}, r"^kernels: got 1"),
        ({"images": 0}, r"^images: got 0"),
    ],
)
def test_a_bad_config_is_refused_with_its_name(change, message):
    with pytest.raises(ValueError, match=message):
        run(dataclasses.replace(SCALES["tiny"], **change), progress=False)


def _ends(tiny):
    steps = tiny.history.step
    return tiny.history[steps == steps.max()], tiny.history[steps == 0]
