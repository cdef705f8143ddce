"""The gaps to a joint model: what they are by double loops, where they vanish, and what they forgive."""

import math

import pytest
import torch

from lossbook.metrics import continual_gaps, reference_gap, updates_to_reach


def by_hand(curve, level):
    """1 − the mean of a(u)/A, one division at a time."""
    total = 0.0
    for accuracy in curve:
        total += accuracy / level
    return 1 - total / len(curve)


def test_the_gap_is_one_minus_the_mean_share_of_the_reference_for_every_member(generator):
    curves = torch.rand(7, 3, 2, generator=generator, dtype=torch.float64)
    levels = 0.5 + torch.rand(3, 2, generator=generator, dtype=torch.float64) / 2
    found = reference_gap(curves, levels)
    for i in range(3):
        for j in range(2):
            assert float(found[i, j]) == pytest.approx(
                by_hand(curves[:, i, j].tolist(), float(levels[i, j])), abs=1e-14
            )
    assert torch.equal(reference_gap(curves, 0.8), reference_gap(curves, torch.full((3, 2), 0.8, dtype=torch.float64)))


def test_a_curve_on_its_reference_has_no_gap_below_it_a_positive_and_above_it_a_negative_one():
    level = torch.tensor([0.9, 0.6], dtype=torch.float64)
    curve = level.expand(5, 2)
    assert reference_gap(curve, level).abs().max() < 1e-15  # five divisions and a sum
    assert (reference_gap(curve - 0.1, level) > 0).all()
    assert (reference_gap(curve + 0.1, level) < 0).all()
    never_below = curve + torch.tensor([0.0, 0.0, 0.05, 0.1, 0.0], dtype=torch.float64)[:, None]
    assert (reference_gap(never_below, level) <= 0).all()


def test_a_higher_curve_never_has_a_larger_gap(generator):
    low = torch.rand(9, 4, generator=generator)
    high = low + torch.rand(9, 4, generator=generator) * (1 - low)
    assert (reference_gap(high, 0.7) <= reference_gap(low, 0.7)).all()


def test_the_mean_forgives_a_short_dip_and_does_not_care_when_it_came(generator):
    curve = torch.ones(200, dtype=torch.float64)
    curve[3:7] = 0.5
    assert float(reference_gap(curve, 1.0)) == pytest.approx(0.01)  # four updates at a half, of two hundred
    shuffled = curve[torch.randperm(200, generator=generator)]
    assert float(reference_gap(shuffled, 1.0)) == pytest.approx(0.01)


def test_the_three_gaps_are_those_of_their_curves():
    old, new, every = torch.rand(3, 11, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    joint = (0.9, torch.tensor([0.8, 0.7], dtype=torch.float64), 0.85)
    found = continual_gaps(old, new, every, joint=joint)
    for gap, curve, level in zip(found, (old, new, every), joint, strict=True):
        assert torch.equal(gap, reference_gap(curve, level))
    assert found._fields == ("stability", "plasticity", "knowledge")


def test_updates_to_reach_agrees_with_a_search_by_hand(generator):
    curves = torch.rand(30, 5, generator=generator, dtype=torch.float64)
    for share in (0.5, 0.9, 1.2):
        for lasting in (False, True):
            found = updates_to_reach(curves, 0.9, share=share, lasting=lasting)
            for member in range(5):
                there = [value >= share * 0.9 for value in curves[:, member].tolist()]
                if lasting:
                    wanted = [u + 1 for u in range(30) if all(there[u:])]
                else:
                    wanted = [u + 1 for u in range(30) if there[u]]
                assert float(found[member]) == (wanted[0] if wanted else math.inf)


def test_reaching_for_good_takes_no_fewer_updates(generator):
    curves = torch.rand(30, 50, generator=generator)
    first, lasting = (updates_to_reach(curves, 0.5, share=1.0, lasting=flag) for flag in (False, True))
    assert (lasting >= first).all()
    assert (lasting > first).any()


GOOD = torch.full((4, 2), 0.5)
BAD = [
    (lambda: reference_gap([0.5], 1.0), TypeError, "accuracy"),
    (lambda: reference_gap(GOOD.long(), 1.0), TypeError, "accuracy"),
    (lambda: reference_gap(GOOD[:0], 1.0), ValueError, "accuracy"),
    (lambda: reference_gap(torch.tensor(0.5), 1.0), ValueError, "accuracy"),
    (lambda: reference_gap(GOOD * math.nan, 1.0), ValueError, "accuracy"),
    (lambda: reference_gap(GOOD, 0.0), ValueError, "reference"),
    (lambda: reference_gap(GOOD, "one"), TypeError, "reference"),
    (lambda: reference_gap(GOOD, torch.ones(3)), ValueError, "reference"),
    (lambda: reference_gap(GOOD, torch.tensor([1.0, math.nan])), ValueError, "reference"),
    (lambda: reference_gap(GOOD, torch.tensor([1.0, 0.0])), ValueError, "reference"),
    (lambda: continual_gaps(GOOD, GOOD, GOOD, joint=(1.0, 1.0)), ValueError, "joint"),
    (lambda: updates_to_reach(GOOD, 1.0, share=0.0), ValueError, "share"),
    (lambda: updates_to_reach(GOOD, 1.0, lasting="no"), ValueError, "lasting"),
]


@pytest.mark.parametrize(("call", "error", "argument"), BAD)
def test_bad_input_is_refused_by_name(call, error, argument):
    with pytest.raises(error, match=f"^{argument}: got .*expected"):
        call()
