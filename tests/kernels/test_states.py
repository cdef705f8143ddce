"""The states: rows cut anywhere and put together in any order give the statistics of the whole row."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.kernels import states
from lossbook.kernels.statistics import NAMES, NEED_SOFT_TARGET, Rows, logits_gradient_, values

ROWS, CLASSES = 5, 11
BY_CLASS = tuple(name for name in NAMES if name not in NEED_SOFT_TARGET)
BY_MASS = ("soft_log_probability", "entropy", "logsumexp", "max", "log_probability_sum")
KINDS = pytest.mark.parametrize("names", [BY_CLASS, BY_MASS], ids=["class indices", "soft targets"])
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])
TIGHT = {"rtol": 1e-12, "atol": 1e-12}  # float64: about a thousand roundings of 1e-16 and of terms near 10


def problem(names, weighted, seed=0, rows=ROWS, classes=CLASSES):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    if NEED_SOFT_TARGET.intersection(names):
        target = torch.softmax(torch.randn(rows, classes, dtype=torch.float64, generator=generator), -1)
    else:
        target = torch.randint(classes, (rows,), generator=generator)
    weight = 0.5 + torch.rand(classes, dtype=torch.float64, generator=generator)
    return Rows(logits, target, weight if weighted else None)


def block(rows, start, stop):
    """Some columns, with class indices counted from the first of them."""
    target = rows.target
    if target is not None:
        target = target[:, start:stop] if target.is_floating_point() else target - start
    weight = None if rows.weight is None else rows.weight[start:stop]
    return Rows(rows.logits[:, start:stop], target, weight)


def blocks(rows, cuts):
    edges = [0, *sorted(cuts), rows.logits.shape[1]]
    return [block(rows, *edge) for edge in itertools.pairwise(edges)]


def assert_equal(found, wanted, **tolerance):
    for name in wanted:
        torch.testing.assert_close(
            found[name], wanted[name], msg=lambda said, name=name: f"{name}: {said}", **tolerance
        )


@given(
    cuts=st.lists(st.integers(0, CLASSES), max_size=6),
    order=st.randoms(use_true_random=False),
    seed=st.integers(0, 1000),
    names=st.sampled_from([BY_CLASS, BY_MASS]),
    weighted=st.booleans(),
)
def test_rows_cut_anywhere_and_joined_in_any_order_have_the_statistics_of_the_whole(cuts, order, seed, names, weighted):
    rows = problem(names, weighted, seed)
    pieces = [states.state(names, piece) for piece in blocks(rows, cuts)]
    while len(pieces) > 1:  # any two of them next
        first, second = order.sample(range(len(pieces)), 2)
        joined = states.combine(pieces[first], pieces[second])
        pieces = [piece for k, piece in enumerate(pieces) if k not in (first, second)] + [joined]
    assert_equal(states.finish(names, pieces[0]), values(names, rows), **TIGHT)


@KINDS
def test_the_state_of_no_columns_changes_nothing(names):
    kept = states.state(names, problem(names, True))
    nothing = states.state(names, block(problem(names, True), 4, 4))
    for joined in (states.combine(kept, nothing), states.combine(nothing, kept)):
        assert all(torch.equal(joined[field], kept[field]) for field in kept)
    assert_equal(states.combine(nothing, nothing), states.empty(names, ROWS, torch.zeros(0).double()), rtol=0, atol=0)


@WEIGHTED
@pytest.mark.parametrize("offset", [1e4, -1e4])
@KINDS
def test_nothing_cancels_at_scores_of_ten_thousand_in_float32(names, offset, weighted):
    """A rounding of the largest number in sight, m = 10⁴, would be 10⁻³; these are right to 10⁻⁵."""
    names = tuple(name for name in names if "log_probability" in name or name in ("entropy", "variance"))
    rows = problem(names, weighted)
    logits = (rows.logits + offset).float()
    exact = values(names, rows._replace(logits=logits.double()))
    rows = Rows(logits, rows.target.float() if rows.target.is_floating_point() else rows.target, rows.weight)
    rows = rows._replace(weight=None if rows.weight is None else rows.weight.float())
    kept = states.combine_all(states.state(names, piece) for piece in blocks(rows, (2, 5, 6)))
    found = {name: number.double() for name, number in states.finish(names, kept).items()}
    assert_equal(found, exact, rtol=2e-6, atol=1e-6)
    log_p = states.log_probabilities(logits[:, 2:5], kept).double()
    torch.testing.assert_close(log_p, torch.log_softmax(logits.double(), -1)[:, 2:5], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("hidden", [slice(8, 11), slice(0, 4), slice(3, 7)], ids=["last", "first", "middle"])
@KINDS
def test_blocks_of_minus_infinity_add_nothing(names, hidden):
    names = tuple(name for name in names if name not in ("square_sum", "variance", "log_probability_sum"))
    rows = problem(names, False)
    rows.logits[:, hidden] = -math.inf
    if rows.target.is_floating_point():
        rows.target[:, hidden] = 0
    for cuts in ((4, 8), (3, 7), (), tuple(range(1, CLASSES))):
        kept = states.combine_all(states.state(names, piece) for piece in blocks(rows, cuts))
        assert_equal(states.finish(names, kept), values(names, rows), **TIGHT)


@pytest.mark.parametrize("score", [math.inf, -math.inf, math.nan])
def test_rows_that_are_infinite_or_not_a_number_are_what_torch_makes_of_them(score):
    names = ("logsumexp", "max", "sum", "mean", "softplus_sum", "square_sum")
    rows = problem(names, False)
    whole = rows._replace(logits=torch.full_like(rows.logits, score))
    one = rows._replace(logits=rows.logits.clone())
    one.logits[:, 6] = score
    for some in (whole, one):
        kept = states.combine_all(states.state(names, piece) for piece in blocks(some, (3, 6, 9)))
        assert_equal(states.finish(names, kept), values(names, some), equal_nan=True, **TIGHT)


def test_several_right_classes_a_row_are_left_out_wherever_their_blocks_are():
    rows = problem((), False)
    target = torch.tensor([[0, 10, -100], [3, 3, 4], [7, -100, -100], [1, 5, 9], [-100, -100, -100]])
    rows = rows._replace(target=target)
    wanted = values(("others_logsumexp",), rows)
    for cuts in ((4, 8), (), tuple(range(1, CLASSES))):
        kept = states.combine_all(states.state(("others_logsumexp",), piece) for piece in blocks(rows, cuts))
        assert_equal(states.finish(("others_logsumexp",), kept), wanted, **TIGHT)


def test_a_row_whose_every_class_is_right_has_no_others():
    rows = Rows(torch.zeros(1, 2).double(), torch.tensor([[0, 1]]))
    kept = states.combine_all(states.state(("others_logsumexp",), piece) for piece in blocks(rows, (1,)))
    assert states.finish(("others_logsumexp",), kept)["others_logsumexp"].tolist() == [-math.inf]


@WEIGHTED
@pytest.mark.parametrize("names", [*((name,) for name in NAMES), BY_CLASS, BY_MASS], ids=lambda names: "+".join(names))
def test_the_gradient_block_by_block_is_autograds_of_the_whole_row(names, weighted):
    rows = problem(names, weighted)
    rows.logits[0, 2] = rows.logits[0, 9] = rows.logits[0].max() + 1  # a tie between blocks
    generator = torch.Generator().manual_seed(1)
    coefficients = {name: torch.randn(ROWS, dtype=torch.float64, generator=generator) for name in names}
    leaf = rows.logits.clone().requires_grad_()
    found = values(names, rows._replace(logits=leaf))
    (wanted,) = torch.autograd.grad(sum((found[name] * coefficients[name]).sum() for name in names), leaf)

    pieces = blocks(rows, (1, 4, 9))
    kept = states.combine_all(states.state(names, piece) for piece in pieces)
    known = states.whole(names, kept, CLASSES)
    gradients = [
        logits_gradient_(
            piece._replace(logits=piece.logits.clone()),
            dict(coefficients),
            known,
            states.log_probabilities(piece.logits, kept) if states.need_softmax(names) else None,
        )
        for piece in pieces
    ]
    torch.testing.assert_close(torch.cat(gradients, -1), wanted, rtol=1e-12, atol=1e-13)


@KINDS
def test_a_state_can_be_saved_and_sent_as_one_tensor(names):
    kept = states.state(names, problem(names, True))
    again = states.unpack(names, states.pack(kept))
    assert list(again) == list(kept)
    assert all(torch.equal(again[field], kept[field]) for field in kept)
    some = states.at(kept, slice(1, 3))
    assert all(torch.equal(some[field], kept[field][1:3]) for field in kept)


def test_an_unknown_statistic_is_refused():
    with pytest.raises(KeyError, match="median"):
        states.fields(("median",))
