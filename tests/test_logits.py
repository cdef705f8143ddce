"""The door between losses and engines: linear logits are the logits they stand for, in every loss and reduction."""

import pytest
import torch
from cases import LOGITS, REDUCTIONS, linear, named, parts
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lossbook import LinearLogits, row_loss, row_statistics
from lossbook.catalog import find
from lossbook.kernels import NAMES
from lossbook.losses import cross_entropy

IGNORE = 1
CLASSES = 5
CHUNKS = (1, 3, 1000)  # rows a chunk: one, a number that does not divide the rows, all
CASES = [
    *((record, record.defaults) for record in LOGITS),
    (find("cross_entropy"), {"label_smoothing": 0.3}),
    (find("comp_sum_loss"), {"tau": 0.0}),
]
over_losses = pytest.mark.parametrize(("record", "parameters"), CASES, ids=[named(*case) for case in CASES])


def both(loss, logits: LinearLogits, *leaves: Tensor, upstream: Tensor | None = None):
    """Value and gradients of a loss of linear logits, and of the same loss of the logits themselves."""
    return [
        (value := loss(scores), *torch.autograd.grad(value, (*parts(logits), *leaves), upstream))
        for scores in (logits, logits.materialize())
    ]


def assert_equal_to_rounding(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13 * (1 + float(theirs.detach().abs().max())))


def attacked(logits: LinearLogits | Tensor, features: Tensor, of: LinearLogits) -> LinearLogits | Tensor:
    """Scores of other features under the same classifier, of the same kind as the clean ones."""
    moved = LinearLogits(features, of.weight, of.bias, memory_budget=of.memory_budget)
    return moved if isinstance(logits, LinearLogits) else moved.materialize()


@over_losses
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_loss_of_linear_logits_is_the_loss_of_the_logits(
    record, parameters, reduction, weighted, ignored, bias, generator
):
    target = torch.randint(CLASSES, (8,), generator=generator)
    options = {"reduction": reduction, "ignore_index": IGNORE if ignored else -100, **parameters}
    if weighted:
        options["weight"] = torch.rand(CLASSES, dtype=torch.float64, generator=generator)
    for rows_per_chunk in CHUNKS:
        logits = linear(generator, (8,), CLASSES, bias=bias, rows_per_chunk=rows_per_chunk)
        features = torch.randn(8, 4, dtype=torch.float64, generator=generator)

        def loss(scores, logits=logits, features=features):
            more = {name: make(features.new_zeros(CLASSES)) for name, make in record.companions.items()}
            if "adversarial_logits" in more:
                more["adversarial_logits"] = attacked(scores, features, logits)
            return record.function(scores, target, **options, **more)

        upstream = torch.randn(8, dtype=torch.float64, generator=generator) if reduction == "none" else None
        assert_equal_to_rounding(*both(loss, logits, upstream=upstream))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_soft_targets_of_linear_logits_too(reduction, smoothing, weighted, generator):
    target = torch.softmax(torch.randn(8, CLASSES, dtype=torch.float64, generator=generator), -1)
    weight = torch.rand(CLASSES, dtype=torch.float64, generator=generator) if weighted else None
    for rows_per_chunk in CHUNKS:
        logits = linear(generator, (8,), CLASSES, rows_per_chunk=rows_per_chunk)
        upstream = torch.randn(8, dtype=torch.float64, generator=generator) if reduction == "none" else None

        def loss(scores):
            return cross_entropy(scores, target, label_smoothing=smoothing, weight=weight, reduction=reduction)

        assert_equal_to_rounding(*both(loss, logits, upstream=upstream))


@given(
    batch=st.lists(st.integers(0, 3), max_size=3),
    classes=st.integers(1, 5),
    dimension=st.integers(0, 4),
    rows_per_chunk=st.integers(1, 9),
    seed=st.integers(0, 2**31),
)
def test_any_batch_shape_any_number_of_classes_and_any_chunk(batch, classes, dimension, rows_per_chunk, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = linear(generator, tuple(batch), classes, dimension, rows_per_chunk=rows_per_chunk)
    target = torch.randint(-1, classes, tuple(batch), generator=generator)  # −1 does not count
    for reduction in REDUCTIONS:
        found, wanted = (
            cross_entropy(scores, target, ignore_index=-1, reduction=reduction)
            for scores in (logits, logits.materialize())
        )
        upstream = torch.ones_like(found)
        pulls = (torch.autograd.grad(loss, parts(logits), upstream) for loss in (found, wanted))
        for ours, theirs in zip((found, *next(pulls)), (wanted, *next(pulls)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", ["random", "expanded", "transposed"])
def test_any_upstream_gradient_will_do(kind, generator):
    logits = linear(generator, (4, 6), CLASSES)
    target = torch.randint(CLASSES, (4, 6), generator=generator)
    normal = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    upstream = {"random": normal.reshape(4, 6), "expanded": normal[0, 0].expand(4, 6), "transposed": normal.T}[kind]
    found, wanted = both(lambda scores: cross_entropy(scores, target, reduction="none"), logits, upstream=upstream)
    assert_equal_to_rounding(found, wanted)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_row_function_may_learn_a_temperature(reduction, generator):
    logits = linear(generator, (8,), CLASSES)
    target = torch.randint(CLASSES, (8,), generator=generator)
    log_temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss(scores):
        def row(stats):
            return torch.exp(-log_temperature) * (stats.logsumexp - stats.target) + log_temperature

        return row_loss(row, scores, target, ("logsumexp", "target"), reduction=reduction)

    upstream = torch.randn(8, dtype=torch.float64, generator=generator) if reduction == "none" else None
    assert_equal_to_rounding(*both(loss, logits, log_temperature, upstream=upstream))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_row_function_may_look_at_nothing_that_is_learned(reduction, generator):
    logits = linear(generator, (8,), CLASSES)
    target = torch.randint(CLASSES, (8,), generator=generator)

    def loss(scores):
        return row_loss(lambda stats: 1 + 0 * stats.weight, scores, target, ("max",), reduction=reduction)

    assert float(loss(logits).sum().detach()) == (1 if reduction == "mean" else 8)


def test_the_row_function_finds_the_classes_and_the_weight_of_each_row():
    weight = torch.tensor([1.0, 2.0, 4.0])
    seen = {}

    def row(stats):
        seen.update(classes=stats.classes, weight=stats.weight.tolist())
        return stats.target * stats.weight

    logits, target = torch.ones(3, 3), torch.tensor([2, -100, 1])
    mean = row_loss(row, logits, target, ("target",), weight=weight, row_is_weighted=True)
    assert seen == {"classes": 3, "weight": [4.0, 2.0]}
    assert float(mean) == 1  # Σ weight · 1 / Σ weight: weighted once
    assert float(row_loss(row, logits, target, ("target",), weight=weight, reduction="sum")) == 20  # weighted twice


def test_rows_that_do_not_count_have_zero_statistics_and_no_gradient(generator):
    names = tuple(name for name in NAMES if name != "soft_log_probability")
    target = torch.tensor([[0, -100, 2], [-100, 1, 1]])
    linear_logits = linear(generator, (2, 3), CLASSES)
    with torch.no_grad():
        linear_logits.features[target == -100] = float("nan")
    for scores in (linear_logits, linear_logits.materialize().detach().requires_grad_()):
        stats = row_statistics(scores, target, names)
        together = torch.stack([getattr(stats, name) for name in names])
        assert together.shape == (len(names), 2, 3)
        assert bool((together[:, target == -100] == 0).all())
        leaf = scores.features if isinstance(scores, LinearLogits) else scores
        (pull,) = torch.autograd.grad(together.sum(), leaf)
        assert bool((pull[target == -100] == 0).all())
        assert bool(pull.isfinite().all())


def test_statistics_that_look_at_no_target_need_none(generator):
    logits = linear(generator, (4,), CLASSES)
    names = ("logsumexp", "max", "sum", "square_sum", "softplus_sum", "log_probability_sum")
    found, wanted = (row_statistics(scores, None, names) for scores in (logits, logits.materialize()))
    assert found.classes == wanted.classes == CLASSES
    for name in names:
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=1e-13, atol=1e-14)


def test_linear_logits_say_what_they_stand_for(generator):
    logits = linear(generator, (2, 3), CLASSES)
    held = logits.materialize()
    assert (logits.shape, logits.dtype, logits.device) == (held.shape, held.dtype, held.device)
    torch.testing.assert_close(held, logits.features @ logits.weight.T + logits.bias, rtol=0, atol=0)


def test_only_what_requires_grad_gets_a_gradient(generator):
    logits = linear(generator, (6,), CLASSES)
    target = torch.randint(CLASSES, (6,), generator=generator)
    for frozen in range(3):
        given = [part.detach() if k == frozen else part for k, part in enumerate(parts(logits))]
        learned = [part for part in given if part.requires_grad]
        for reduction in ("mean", "none"):
            loss = cross_entropy(LinearLogits(*given), target, reduction=reduction).mean()
            wanted = torch.autograd.grad(cross_entropy(logits.materialize(), target), learned)
            for ours, theirs in zip(torch.autograd.grad(loss, learned), wanted, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
