"""New outputs from data, soft targets, low rank and freezing: the identities that each of them promises."""

import itertools

import pytest
import torch
from torch import nn

from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, linear, multilayer
from lossbook.training import (
    LowRank,
    SoftTargets,
    data_driven_outputs,
    freeze,
    merged,
    teacher_targets,
    with_low_rank,
)

DOUBLE = torch.float64


@pytest.fixture
def arrived(generator):
    features = torch.rand(40, 6, generator=generator, dtype=DOUBLE)
    return features, torch.arange(40) % 5, torch.tensor([3, 4])


def test_new_outputs_are_means_of_unit_features_by_a_double_loop(arrived):
    features, labels, classes = arrived
    for centre in (None, features.mean(0)):
        weight, bias = data_driven_outputs(features, labels, classes, centre=centre)
        for k, name in enumerate(classes.tolist()):
            total, count = torch.zeros(6, dtype=DOUBLE), 0
            for row, label in zip(features, labels.tolist(), strict=True):
                if label == name:
                    away = row if centre is None else row - centre
                    total, count = total + away / away.square().sum().sqrt(), count + 1
            assert torch.allclose(weight[k], total / count, rtol=1e-13)
            if centre is not None:
                assert float(bias[k]) == pytest.approx(-float(sum(total / count * centre)), abs=1e-13)
        if centre is None:
            assert not bias.any()


def test_no_new_output_is_longer_than_one_and_the_length_of_a_feature_does_not_count(arrived, generator):
    features, labels, classes = arrived
    weight, _ = data_driven_outputs(features, labels, classes)
    assert (weight.norm(dim=1) <= 1).all()
    scale = 0.1 + 10 * torch.rand(40, 1, generator=generator, dtype=DOUBLE)
    assert torch.allclose(data_driven_outputs(scale * features, labels, classes)[0], weight, rtol=1e-12)


def test_features_above_zero_score_above_zero_for_every_new_class_unless_they_are_centred(arrived):
    features, labels, classes = arrived
    weight, bias = data_driven_outputs(features, labels, classes)
    assert (features @ weight.T + bias > 0).all()  # old examples too: all features share a direction
    old = features[labels < 3].mean(0)
    weight, bias = data_driven_outputs(features, labels, classes, centre=old)
    scores = features[labels < 3] @ weight.T + bias
    assert scores.mean(0).abs().max() < 1e-14  # the mean old feature scores 0


def test_the_first_loss_of_new_classes_is_below_that_of_random_outputs():
    # Drawn classes: means 3 apart in noise 1. Over the seeds 100 to 119 the ratio was 0.2 to 0.6.
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(200) % 4
        means = 3 * torch.randn(4, 20, generator=generator)
        features = torch.relu(means[labels] + torch.randn(200, 20, generator=generator))
        weight = linear(20, 4, generator=generator).weight.detach()
        new = labels >= 2
        before = cross_entropy(features[new] @ weight.T, labels[new])
        weight[2:], _ = data_driven_outputs(features, labels, torch.tensor([2, 3]))
        assert cross_entropy(features[new] @ weight.T, labels[new]) < before


def soft_by_loops(logits, target, old, sums, counts):
    """The published recipe for one row, entry by entry."""
    classes = len(logits)
    p = torch.softmax(logits, -1)
    if old[target]:
        template = sums[target] / counts[target] if counts[target] else torch.full((classes,), 1 / classes)
    else:
        template = p
    t = [float(value) for value in template]
    t[int(p.argmax())] = 1 / classes
    t[target] = 1.0
    return torch.tensor([value / sum(t) for value in t], dtype=DOUBLE)


def test_soft_targets_follow_the_published_recipe_row_by_row(generator):
    old = torch.tensor([True, True, False, False])
    members = 2
    soft = SoftTargets(4, old, members=members)
    sums, counts = torch.zeros(members, 4, 4, dtype=DOUBLE), torch.zeros(members, 4, dtype=DOUBLE)
    for _ in range(4):
        logits = 2 * torch.randn(6, members, 4, generator=generator, dtype=DOUBLE)
        target = torch.randint(4, (6, members), generator=generator)
        found = soft(logits, target)
        for row, member in itertools.product(range(6), range(members)):
            wanted = soft_by_loops(logits[row, member], int(target[row, member]), old, sums[member], counts[member])
            assert torch.allclose(found[row, member], wanted, atol=1e-6)  # the averages are kept in float32
        soft.see(logits, target)
        for row, member in itertools.product(range(6), range(members)):
            p, right = torch.softmax(logits[row, member], -1), int(target[row, member])
            if int(p.argmax()) == right:
                sums[member, right] += p
                counts[member, right] += 1
    assert counts.sum() > 5


def test_a_soft_target_is_a_distribution_that_gives_the_right_class_nearly_half_or_more(generator):
    soft = SoftTargets(10, torch.arange(10) < 5)
    for size in (0.0, 1.0, 30.0):
        logits = size * torch.randn(500, 1, 10, generator=generator, dtype=DOUBLE)
        target = torch.randint(10, (500, 1), generator=generator)
        found = soft(logits, target)
        assert torch.allclose(found.sum(-1), torch.ones(500, 1, dtype=DOUBLE), rtol=1e-12)
        right = found.gather(-1, target[..., None])
        assert right.min() >= 1 / (2 + 1 / 10) - 1e-12  # others hold at most 1, and 1/V in the predicted place
        soft.see(logits, target)
    sure = 100 * nn.functional.one_hot(torch.tensor([[7]]), 10).double()
    assert float(soft(sure, torch.tensor([[7]]))[0, 0, 7]) == pytest.approx(1)


def test_soft_cross_entropy_pulls_with_p_minus_t_and_at_most_half_as_hard_on_other_classes(generator):
    soft = SoftTargets(6, torch.arange(6) < 3)
    logits = torch.randn(50, 1, 6, generator=generator, dtype=DOUBLE).requires_grad_()
    target = torch.randint(3, 6, (50, 1), generator=generator)  # new classes
    t = soft(logits.detach(), target)
    (gradient,) = torch.autograd.grad(cross_entropy(logits, t, reduction="sum"), logits)
    p = torch.softmax(logits.detach(), -1)
    assert torch.allclose(gradient, p - t, atol=1e-14)
    other = torch.ones_like(p, dtype=torch.bool).scatter(-1, target[..., None], False)
    other = other.scatter(-1, p.argmax(-1, keepdim=True), False)
    assert (gradient[other] >= 0).all()
    assert (gradient[other] <= p[other] * 0.6).all()  # 1 − 1/S with S at most 2 + 1/6


def test_members_keep_averages_of_their_own_and_a_checkpoint_brings_them_back(generator):
    old = torch.arange(4) < 2
    logits = torch.randn(8, 2, 4, generator=generator)
    target = torch.randint(4, (8, 2), generator=generator)
    both, alone = SoftTargets(4, old, members=2), SoftTargets(4, old)
    both.see(logits, target)
    alone.see(logits[:, 1:], target[:, 1:])
    assert torch.equal(both.sums[1:], alone.sums)
    again = SoftTargets(4, old, members=2)
    again.load_state_dict(both.state_dict())
    assert torch.equal(again(logits, target), both(logits, target))


def test_teacher_targets_are_a_mixture_that_ends_at_one_hot_and_at_the_teacher(generator):
    logits, target = torch.randn(3, 5, generator=generator, dtype=DOUBLE), torch.tensor([0, 4, 2])
    assert torch.equal(teacher_targets(logits, target, mix=0.0), nn.functional.one_hot(target, 5).double())
    assert torch.allclose(teacher_targets(logits, target, mix=1.0, temperature=1.0), torch.softmax(logits, -1))
    half = teacher_targets(logits, target)
    assert torch.allclose(half.sum(-1), torch.ones(3, dtype=DOUBLE))
    assert (half.gather(-1, target[:, None]) > 0.5).all()


def test_low_rank_begins_as_the_same_function_and_merged_is_the_same_function_after_training(generator):
    model = multilayer((6, 12, 8, 4), generator=generator)
    low = with_low_rank(model, rank=3, alpha=6.0, generator=generator)
    x, target = torch.randn(20, 6, generator=generator), torch.randint(4, (20,), generator=generator)
    assert torch.equal(low(x), model(x))
    optimizer = torch.optim.SGD(low.parameters(), lr=0.5, momentum=0.9)
    for _ in range(20):
        optimizer.zero_grad()
        cross_entropy(low(x), target).backward()
        optimizer.step()
    plain = merged(low)
    assert [type(layer) for layer in plain] == [type(layer) for layer in model]
    assert all(parameter.requires_grad for parameter in plain.parameters())
    assert (low(x) - model(x)).abs().max() > 0.1
    assert torch.equal(plain(x), low(x))


def test_low_rank_moves_hidden_weights_by_at_most_its_rank_and_nothing_else_but_the_last_layer(generator):
    model = nn.Sequential(
        *multilayer((10, 12, 8), generator=generator), nn.LayerNorm(8), linear(8, 4, generator=generator)
    )
    low = with_low_rank(model, rank=2, generator=generator)
    learning = {name for name, parameter in low.named_parameters() if parameter.requires_grad}
    assert learning == {"0.down", "0.up", "2.down", "2.up", "4.weight", "4.bias"}
    optimizer = torch.optim.Adam([p for p in low.parameters() if p.requires_grad], lr=0.1)
    for _ in range(10):
        optimizer.zero_grad()
        cross_entropy(low(torch.randn(16, 10, generator=generator)), torch.arange(16) % 4).backward()
        optimizer.step()
    plain = merged(low)
    for place in (0, 2):
        change = (plain[place].weight - model[place].weight).double()
        sizes = torch.linalg.svdvals(change)
        assert sizes[1] > 1e-3
        assert sizes[2] < 1e-5 * sizes[0]  # float32 leaves its rounding beyond the rank
        assert torch.equal(plain[place].bias, model[place].bias)
    assert torch.equal(plain[3].weight, model[3].weight)


def test_low_rank_members_of_an_ensemble_give_what_they_give_alone(generator):
    models = [with_low_rank(multilayer((5, 7, 3), generator=generator), rank=2, generator=generator) for _ in range(3)]
    with torch.no_grad():
        for model in models:
            model[0].up.normal_(generator=generator)
    x = torch.randn(4, 5, generator=generator)
    found = Ensemble(models)(x)
    for k, model in enumerate(models):
        assert torch.allclose(found[:, k], model(x), atol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1),
    ],
    ids=["SGD with momentum and decay", "AdamW"],
)
def test_frozen_rows_stay_bit_for_bit_and_the_others_move_as_they_would_have(generator, optimizer):
    layer = linear(6, 5, generator=generator)
    free = linear(6, 5, generator=generator)
    free.load_state_dict(layer.state_dict())
    start = {name: value.clone() for name, value in layer.state_dict().items()}
    old = torch.arange(5) < 3
    steps, free_steps = optimizer(layer.parameters()), optimizer(free.parameters())
    thaw = freeze(steps, {layer.weight: old[:, None], layer.bias: old})
    for _ in range(10):
        x = torch.randn(8, 6, generator=generator)
        pull = torch.randn(8, 5, generator=generator)
        for model, mover in ((layer, steps), (free, free_steps)):
            mover.zero_grad()
            (model(x) * pull).sum().backward()
            mover.step()
    for name, value in layer.state_dict().items():
        assert torch.equal(value[old], start[name][old])
        assert torch.equal(value[~old], free.state_dict()[name][~old])
        assert (value[~old] != start[name][~old]).all()
    thaw()
    layer.zero_grad()
    layer(torch.ones(1, 6)).sum().backward()
    steps.step()
    assert (layer.weight != start["weight"]).all()


def test_zeroed_gradients_alone_do_not_freeze_under_decoupled_decay():
    layer = linear(4, 3, generator=torch.Generator().manual_seed(0))
    start = layer.weight.detach().clone()
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.01, weight_decay=0.05)
    for _ in range(7):
        optimizer.zero_grad()
        layer(torch.ones(2, 4)).sum().backward()
        layer.weight.grad.zero_()
        optimizer.step()
    assert torch.allclose(layer.weight, start * (1 - 0.01 * 0.05) ** 7, rtol=1e-6)


def test_freezing_takes_a_mask_of_single_members_of_an_ensemble(generator):
    ensemble = Ensemble([multilayer((4, 6, 3), generator=generator) for _ in range(2)])
    weight = list(ensemble.parameters())[-2]
    before = weight.detach().clone()
    mask = torch.tensor([True, False])[:, None, None] & torch.tensor([True, False, False])
    optimizer = torch.optim.SGD(ensemble.parameters(), lr=1.0, weight_decay=0.1)
    freeze(optimizer, {weight: mask})
    ensemble(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    same = weight == before
    assert same[0, :, 0].all()
    assert not same[1].any()
    assert not same[0, :, 1:].any()


LAYER = linear(3, 2, generator=torch.Generator().manual_seed(0))
MAKE = torch.Generator().manual_seed(0)
X, Y, NEW = torch.rand(4, 3), torch.tensor([0, 1, 2, 2]), torch.tensor([2])
SOFT = SoftTargets(3, torch.tensor([True, True, False]))
SGD = torch.optim.SGD(LAYER.parameters(), lr=0.1)
BAD = [
    (lambda: data_driven_outputs(X[0], Y, NEW), ValueError, "features"),
    (lambda: data_driven_outputs(X.long(), Y, NEW), TypeError, "features"),
    (lambda: data_driven_outputs(X, Y.float(), NEW), TypeError, "labels"),
    (lambda: data_driven_outputs(X, Y[:3], NEW), ValueError, "labels"),
    (lambda: data_driven_outputs(X, Y, [2]), TypeError, "classes"),
    (lambda: data_driven_outputs(X, Y, torch.tensor([2, 7])), ValueError, "classes"),
    (lambda: data_driven_outputs(X, Y, NEW, centre=torch.zeros(2)), ValueError, "centre"),
    (lambda: SoftTargets(1, torch.tensor([True])), ValueError, "classes"),
    (lambda: SoftTargets(3, torch.tensor([1, 0, 0])), TypeError, "old"),
    (lambda: SoftTargets(3, torch.tensor([True])), ValueError, "old"),
    (lambda: SoftTargets(3, torch.ones(3, dtype=torch.bool), members=0), ValueError, "members"),
    (lambda: SOFT(torch.zeros(2, 3), torch.tensor([[0], [1]])), ValueError, "logits"),
    (lambda: SOFT(torch.zeros(2, 1, 4), torch.tensor([[0], [1]])), ValueError, "logits"),
    (lambda: SOFT(torch.zeros(2, 1, 3), torch.tensor([[0], [3]])), ValueError, "target"),
    (lambda: SOFT.see(torch.zeros(2, 1, 3), torch.tensor([0, 1])), ValueError, "target"),
    (lambda: SOFT(torch.zeros(2, 1, 3), torch.zeros(2, 1)), TypeError, "target"),
    (lambda: teacher_targets(torch.zeros(2, 3), torch.tensor([0, 1]), mix=1.5), ValueError, "mix"),
    (lambda: teacher_targets(torch.zeros(2, 3), torch.tensor([0, 1]), temperature=0), ValueError, "temperature"),
    (lambda: teacher_targets(torch.zeros(2, 3), torch.tensor([0, 3])), ValueError, "target"),
    (lambda: teacher_targets(torch.tensor(0.0), torch.tensor(0)), ValueError, "teacher_logits"),
    (lambda: LowRank(nn.ReLU(), rank=1, generator=MAKE), TypeError, "layer"),
    (lambda: LowRank(LAYER, rank=0, generator=MAKE), ValueError, "rank"),
    (lambda: LowRank(LAYER, rank=1, alpha=0, generator=MAKE), ValueError, "alpha"),
    (lambda: LowRank(LAYER, rank=1, generator=0), TypeError, "generator"),
    (lambda: with_low_rank(LAYER, rank=1, generator=MAKE), TypeError, "model"),
    (lambda: with_low_rank(nn.Sequential(LAYER), rank=1, generator=MAKE), ValueError, "model"),
    (lambda: merged(LAYER), TypeError, "model"),
    (lambda: freeze("sgd", {}), TypeError, "optimizer"),
    (lambda: freeze(SGD, [LAYER.weight]), TypeError, "masks"),
    (lambda: freeze(SGD, {nn.Parameter(X): X > 0}), ValueError, "masks"),
    (lambda: freeze(SGD, {LAYER.weight: X[:2]}), TypeError, "masks"),
    (lambda: freeze(SGD, {LAYER.weight: X > 0}), ValueError, "masks"),
]


@pytest.mark.parametrize(("call", "error", "argument"), BAD)
def test_bad_input_is_refused_by_name(call, error, argument):
    with pytest.raises(error, match=f"^{argument}: got .*expected"):
        call()
