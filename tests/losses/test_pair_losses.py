"""The losses of two sets of embeddings: the papers' numbers, double loops, what they learn, and what they hold."""

import math

import pytest
import torch
from cases import Watch
from hypothesis import given
from hypothesis import strategies as st

from lossbook import metrics
from lossbook.losses import info_nce_loss, mann_whitney_loss, siglip_loss

LOSSES = {
    "siglip": siglip_loss,
    "info_nce": info_nce_loss,
    "symmetric info_nce": lambda first, second, **options: info_nce_loss(first, second, symmetric=True, **options),
    "mann_whitney": mann_whitney_loss,
}
over_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
WORKED = torch.tensor([[0.9, 0.5], [0.6, 0.7]], dtype=torch.float64)
EYE = torch.eye(2, dtype=torch.float64)


def embeddings(generator, pairs=7, dimension=4, dtype=torch.float64):
    both = torch.randn(2, pairs, dimension, dtype=torch.float64, generator=generator).to(dtype)
    return tuple(side.requires_grad_() for side in both.unbind())


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def by_hand(name, first, second):
    """One number a pair, score by score, at the defaults."""
    scores = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in second] for x in first]
    n = len(scores)
    found = []
    for i in range(n):
        total = 0.0
        if name == "siglip":
            for j in range(n):
                z = 10 * scores[i][j] - 10
                total += softplus(-z if i == j else z)
        elif name == "mann_whitney":
            for k in range(n):
                for j in range(n):
                    if k != j:
                        total += softplus(scores[k][j] - scores[i][i])
        else:
            row = [scores[i][j] / 0.07 for j in range(n)]
            column = [scores[j][i] / 0.07 for j in range(n)]
            for line in (row, column) if name.startswith("symmetric") else (row,):
                peak = max(line)
                total += peak + math.log(sum(math.exp(z - peak) for z in line)) - scores[i][i] / 0.07
            total /= 2 if name.startswith("symmetric") else 1
        found.append(total)
    return found


@pytest.mark.parametrize("name", LOSSES)
def test_each_pair_costs_what_a_loop_over_the_scores_says(name, generator):
    first, second = (side.detach() for side in embeddings(generator))
    wanted = by_hand(name, first.tolist(), second.tolist())
    found = LOSSES[name](first, second, reduction="none")
    # atol: the scores reach 100, and a pair that is sure costs what 100 − 100 leaves.
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_siglip_gives_the_worked_numbers_and_divides_by_n():
    images = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    assert round(float(siglip_loss(images, EYE)), 6) == 1.720324
    each = siglip_loss(images, EYE, reduction="none")
    assert float(siglip_loss(images, EYE)) == pytest.approx(float(each.sum()) / 2, rel=1e-15)


def test_the_bias_spares_siglip_a_start_at_n_log_two():
    nothing = torch.zeros(1024, 2, dtype=torch.float64)
    assert round(float(siglip_loss(nothing, nothing)), 4) == 10.0465
    assert round(float(siglip_loss(nothing, nothing, bias=0.0)), 2) == 709.78


def test_info_nce_and_the_mw_loss_give_the_worked_numbers():
    far = WORKED + torch.tensor([[5.0], [0.0]])
    assert round(float(info_nce_loss(WORKED, EYE, temperature=1.0)), 6) == 0.578706
    assert round(float(info_nce_loss(far, EYE, temperature=1.0)), 6) == 0.578706
    assert round(float(mann_whitney_loss(WORKED)), 6) == 1.154953
    assert round(float(mann_whitney_loss(WORKED, reduction="pairs")), 6) == 0.577477
    assert round(float(mann_whitney_loss(far, reduction="pairs")), 6) == 1.492647


def pooled(scores):
    off = ~torch.eye(*scores.shape, dtype=torch.bool)
    return scores.diagonal(), scores[off]


@given(seed=st.integers(0, 2**31), rows=st.integers(1, 6), more=st.integers(1, 4), spread=st.floats(0.1, 30))
def test_the_pair_mean_of_the_mw_loss_bounds_the_area_over_the_curve(seed, rows, more, spread):
    scores = spread * torch.randn(rows, rows + more, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    loss = float(mann_whitney_loss(scores, reduction="pairs"))
    assert metrics.area_over_curve(*pooled(scores)) <= loss / math.log(2)


def test_the_mw_loss_is_blind_to_a_shift_of_all_scores_alone(generator):
    scores = torch.randn(5, 8, dtype=torch.float64, generator=generator)
    offsets = torch.randn(5, 1, dtype=torch.float64, generator=generator)
    once, shifted, torn = (float(mann_whitney_loss(z)) for z in (scores, scores + 3, scores + offsets))
    assert shifted == pytest.approx(once, rel=1e-13)
    assert abs(torn - once) > 1e-2


def test_one_query_with_many_documents_is_the_pairwise_logistic_loss(generator):
    scores = torch.randn(1, 9, dtype=torch.float64, generator=generator)
    wanted = sum(softplus(float(wrong - scores[0, 0])) for wrong in scores[0, 1:])
    assert float(mann_whitney_loss(scores)) == pytest.approx(wanted, rel=1e-14)


def test_documents_of_no_query_are_wrong_ones_for_all(generator):
    queries = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    documents = torch.randn(9, 3, dtype=torch.float64, generator=generator)
    found = mann_whitney_loss(queries, documents, reduction="none")
    torch.testing.assert_close(found, mann_whitney_loss(queries @ documents.T, reduction="none"), rtol=1e-14, atol=0)
    right, wrong = pooled(queries @ documents.T)
    assert len(wrong) == 4 * 8
    wanted = torch.nn.functional.softplus(wrong - right[:, None], threshold=40).sum(-1)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=0)


def test_a_batch_without_wrong_scores_costs_nothing_and_can_be_differentiated():
    for reduction in ("mean", "sum", "none", "pairs"):
        scores = torch.ones(1, 1, requires_grad=True)
        loss = mann_whitney_loss(scores, reduction=reduction)
        loss.sum().backward()
        assert float(loss.detach().sum()) == float(scores.grad) == 0.0


def test_a_false_negative_costs_siglip_one_entry_and_info_nce_the_whole_row(generator):
    """Text 1 becomes a copy of text 0: only scores with text 1 may move in SigLIP's gradient."""
    images, texts = embeddings(generator)
    texts = texts.detach()
    copied = texts.clone()
    copied[1] = texts[0]

    def by_score(loss, second, **options):
        scores = (images.detach() @ second.T).requires_grad_()
        (pull,) = torch.autograd.grad(
            loss(scores, torch.eye(7, dtype=torch.float64), reduction="sum", **options), scores
        )
        return pull

    moved = by_score(siglip_loss, copied) - by_score(siglip_loss, texts)
    assert bool((moved[:, [0, 2, 3, 4, 5, 6]] == 0).all())
    moved = by_score(info_nce_loss, copied, temperature=1.0) - by_score(info_nce_loss, texts, temperature=1.0)
    assert float(moved[:, [0, 2, 3, 4, 5, 6]].abs().max()) > 1e-2


@over_losses
def test_pairs_may_come_in_any_order(loss, generator):
    first, second = embeddings(generator)
    order = torch.randperm(7, generator=generator)
    found = loss(first[order], second[order], reduction="none")
    torch.testing.assert_close(found, loss(first, second, reduction="none")[order], rtol=1e-12, atol=1e-12)


@over_losses
def test_reductions_and_weights_are_what_they_are_everywhere(loss, generator):
    first, second = embeddings(generator)
    weight = torch.rand(7, dtype=torch.float64, generator=generator)
    each = loss(first, second, reduction="none")
    torch.testing.assert_close(loss(first, second), each.mean(), rtol=1e-13, atol=0)
    torch.testing.assert_close(loss(first, second, reduction="sum"), each.sum(), rtol=1e-13, atol=0)
    weighted = loss(first, second, weight=weight, reduction="none")
    torch.testing.assert_close(weighted, weight * each, rtol=1e-13, atol=1e-15)
    found = loss(first, second, weight=weight)
    torch.testing.assert_close(found, (weight * each).sum() / weight.sum(), rtol=1e-13, atol=0)
    assert float(loss(first, second, weight=0 * weight).detach()) == 0


def test_the_pairs_of_the_mw_loss_can_be_weighted_too(generator):
    scores = torch.randn(4, 6, dtype=torch.float64, generator=generator)
    weight = torch.rand(4, dtype=torch.float64, generator=generator)
    mean, pairs = (mann_whitney_loss(scores, weight=weight, reduction=reduction) for reduction in ("mean", "pairs"))
    torch.testing.assert_close(pairs, mean / 20, rtol=1e-14, atol=0)


@over_losses
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("rows_per_chunk", [1, 3, 100])
def test_no_chunk_changes_value_or_gradient(loss, reduction, rows_per_chunk, generator):
    sides = embeddings(generator)
    upstream = torch.randn(7 if reduction == "none" else (), dtype=torch.float64, generator=generator)
    columns = 42 if loss is mann_whitney_loss else 7
    found, wanted = (
        (value := loss(*sides, reduction=reduction, memory_budget=budget), *torch.autograd.grad(value, sides, upstream))
        for budget in (8 * columns * rows_per_chunk, 2**30)
    )
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@over_losses
def test_both_sides_and_what_is_learned_beside_them_get_the_gradients_of_autograd(loss, generator):
    """Against the loss of scores that are held, by plain torch."""
    first, second = embeddings(generator)
    learned = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    offset = torch.tensor(-1.5, dtype=torch.float64, requires_grad=True)
    leaves, eye = (first, second, learned), torch.eye(7, dtype=torch.float64)
    plain = first @ second.T
    log_softmax = torch.log_softmax
    if loss is siglip_loss:
        leaves += (offset,)
        found = loss(first, second, scale=learned, bias=offset)
        wanted = -torch.nn.functional.logsigmoid((2 * eye - 1) * (learned * plain + offset)).sum() / 7
    elif loss is mann_whitney_loss:
        found = loss(first, second, temperature=learned)
        right, wrong = pooled(plain / learned)
        wanted = torch.nn.functional.softplus(wrong - right[:, None], threshold=40).sum() / 7
    else:
        found = loss(first, second, temperature=learned)
        wanted = -log_softmax(plain / learned, 1).diagonal().mean()
        if loss is not info_nce_loss:
            wanted = (wanted - log_softmax(plain / learned, 0).diagonal().mean()) / 2
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=0)
    pulls = (torch.autograd.grad(value, leaves) for value in (found, wanted))
    for ours, theirs in zip(*pulls, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


@over_losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_in_low_precision_the_error_is_at_most_twice_that_of_scores_held_in_the_same(loss, dtype, generator):
    first, second = (0.2 * side.detach() for side in embeddings(generator, 64, 16))
    first, second = first.to(dtype), second.to(dtype)

    def gradients(function, kind):
        leaves = [side.to(kind).requires_grad_() for side in (first, second)]
        value = function(*leaves)
        return [part.double().detach() for part in (value, *torch.autograd.grad(value, leaves))]

    def held(x, y):
        """The scores rounded to the dtype, the loss in float32: what a library does that keeps them."""
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        return loss(x @ y.T, torch.eye(64, dtype=x.dtype)) if x.dtype == wide else _of_scores(loss, (x @ y.T).to(wide))

    exact, ours, theirs = (gradients(*case) for case in ((loss, torch.float64), (loss, dtype), (held, dtype)))
    for found, other, truth in zip(ours, theirs, exact, strict=True):
        allowed = 2 * float((other - truth).norm()) + 2 * torch.finfo(dtype).eps * float(truth.norm())
        assert float((found - truth).norm()) <= allowed


def _of_scores(loss, scores):
    return loss(scores, torch.eye(len(scores), dtype=scores.dtype))


@over_losses
def test_no_tensor_is_as_large_as_the_scores_of_all_pairs(loss, generator):
    """The MW loss holds the scores, and never the comparisons."""
    pairs = 64 if loss is mann_whitney_loss else 1024
    first, second = embeddings(generator, pairs, 4)
    with Watch() as watch:
        loss(first, second, memory_budget=16 * 8 * pairs).backward()
    assert watch.largest <= (pairs**2 if loss is mann_whitney_loss else 16 * pairs)


@over_losses
def test_second_derivatives_are_refused_rather_than_lost(loss, generator):
    first, second = embeddings(generator)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(loss(first, second), first, create_graph=True)


@over_losses
def test_a_number_that_is_none_is_passed_on(loss, generator):
    first, second = (side.detach().clone() for side in embeddings(generator))
    first[2, 1] = math.nan
    each = loss(first, second, reduction="none")
    assert bool(each[2].isnan())
    assert bool(loss(first, second).isnan())
