"""What the gradient filter skips, against double loops and against the engine that does it."""

import pytest
import torch

from lossbook import LinearLogits
from lossbook.kernels import tiles
from lossbook.kernels.linear import Linear
from lossbook.losses import cross_entropy
from lossbook.metrics import blocks_kept, filtered


def by_loops(gradient, epsilon, block, order):
    kept = torch.zeros_like(gradient)
    for i in range(0, gradient.shape[0], block):
        for j in range(0, gradient.shape[1], block):
            classes = order[j : j + block]
            piece = gradient[i : i + block, classes]
            if piece.abs().max() >= epsilon:
                kept[i : i + block, classes] = piece
    return kept


@pytest.mark.parametrize("shape", [(8, 12), (7, 13), (3, 2), (1, 1)])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_block_is_kept_where_one_entry_reaches_the_bound(generator, shape, shuffled):
    gradient = torch.randn(shape, generator=generator, dtype=torch.float64) ** 3
    order = torch.randperm(shape[1], generator=generator) if shuffled else None
    for epsilon in (0.0, 0.5, 3.0, 100.0):
        wanted = by_loops(gradient, epsilon, 4, torch.arange(shape[1]) if order is None else order)
        assert torch.equal(filtered(gradient, epsilon, block=4, order=order), wanted)


def test_the_test_is_strict():
    gradient = torch.tensor([[0.25, 0.0]])
    assert blocks_kept(gradient, 0.25, block=2).all()
    assert not blocks_kept(gradient, 0.2500001, block=2).any()
    assert blocks_kept(torch.zeros(2, 2), 0.0, block=2).all()


@pytest.fixture
def peaked(generator):
    # The features share a direction, so that some classes have no chance anywhere: they can be sorted away.
    features = (1 + torch.randn(200, 8, generator=generator)).requires_grad_()
    weight = (2 * torch.randn(700, 8, generator=generator)).requires_grad_()
    return features, weight, (features @ weight.T).argmax(1)


def gradient_of(features, weight, target):
    p = torch.softmax((features @ weight.T).detach(), 1)
    p[torch.arange(len(target)), target] -= 1
    return p


@pytest.mark.parametrize("sort_classes", [False, True])
def test_the_tile_engine_keeps_as_many_blocks(peaked, sort_classes):
    features, weight, target = peaked
    logits = (features @ weight.T).detach()
    order = logits.mean(0).argsort(stable=True) if sort_classes else None
    for epsilon in (1e-4, 1e-2, 0.1):
        kept = blocks_kept(gradient_of(*peaked), epsilon, order=order)
        linear = Linear(features.detach(), weight.detach(), None, target, None, 2**26)
        assert tiles.tiles_kept(linear, epsilon, sort_classes=sort_classes) == (int(kept.sum()), kept.numel())


def test_the_tile_engine_s_gradients_are_those_of_the_filtered_one(peaked):
    features, weight, target = peaked
    order = (features @ weight.T).detach().mean(0).argsort(stable=True)
    kept = filtered(gradient_of(*peaked), 0.1, order=order)
    assert (kept != gradient_of(*peaked)).any()
    logits = LinearLogits(features, weight, engine="tile", gradient_filter=0.1)
    found = torch.autograd.grad(cross_entropy(logits, target, reduction="sum"), (features, weight))
    torch.testing.assert_close(found[0], kept @ weight.detach())
    torch.testing.assert_close(found[1], kept.T @ features.detach(), rtol=1e-4, atol=1e-5)  # sums of 200 rows


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"gradient": torch.zeros(3), "epsilon": 0.1}, ValueError, "gradient: got a float32 tensor of shape"),
        ({"gradient": torch.zeros(0, 3), "epsilon": 0.1}, ValueError, "neither of them 0"),
        ({"gradient": torch.zeros(2, 3).long(), "epsilon": 0.1}, TypeError, "gradient: got an int64 tensor"),
        ({"gradient": torch.zeros(2, 3), "epsilon": -1.0}, ValueError, "epsilon: got -1.0"),
        ({"gradient": torch.zeros(2, 3), "epsilon": 0.1, "block": 0}, ValueError, "block: got 0"),
        (
            {"gradient": torch.zeros(2, 3), "epsilon": 0.1, "order": torch.tensor([0, 1, 1])},
            ValueError,
            "order: got an int64 tensor of shape .3,., expected the classes 0 to 2, each once",
        ),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        filtered(**arguments)
