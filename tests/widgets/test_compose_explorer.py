"""The composing explorer: a loss from statistics, its two effects, and its costs."""

import re

import pytest
import torch

from lossbook import row_loss, row_statistics
from lossbook.losses import cross_entropy, logit_square_penalty, z_loss
from lossbook.metrics import linear_cost
from lossbook.widgets import ComposeExplorer
from lossbook.widgets.compose import CLASSES, ROW, TERMS, compose, statistics_of, two_effects


@pytest.fixture(scope="module")
def explorer():
    return ComposeExplorer()


def alone(name):
    return {name: 1.0}


@pytest.mark.parametrize("name", TERMS)
def test_every_term_s_two_effects_add_up_to_its_gradient(name, generator):
    logits = torch.randn(1, 6, dtype=torch.float64, generator=generator)
    target = torch.tensor([2])
    value, level, spike = two_effects(alone(name), logits, target)
    free = logits.clone().requires_grad_()
    loss = TERMS[name].value(row_statistics(free, target, TERMS[name].names)).sum()
    (gradient,) = torch.autograd.grad(loss, free)
    level[2] += spike
    assert value == pytest.approx(loss.item())
    torch.testing.assert_close(torch.from_numpy(level), gradient[0], rtol=0, atol=1e-14)


def test_what_every_class_gets_does_not_know_which_class_is_right(generator):
    logits = torch.randn(1, 6, dtype=torch.float64, generator=generator)
    levels = [two_effects({"likelihood": 1.0, "squares": 0.3}, logits, torch.tensor([y]))[1] for y in (0, 4)]
    assert abs(levels[0] - levels[1]).max() < 1e-15


@pytest.mark.parametrize(
    ("coefficients", "loss"),
    [
        ({"likelihood": 1.0}, lambda z, y: cross_entropy(z, y)),
        ({"likelihood": 1.0, "normaliser": 0.3}, lambda z, y: cross_entropy(z, y) + 0.3 * logit_square_penalty(z, y)),
        (
            {"likelihood": 1.0, "smoothing": 0.2},
            lambda z, y: torch.nn.functional.cross_entropy(z, y, label_smoothing=0.2),
        ),
        (
            {"softplus": 1.0, "target": 1.0},
            lambda z, y: (
                torch.nn.functional.binary_cross_entropy_with_logits(
                    z, torch.nn.functional.one_hot(y, z.shape[1]).double(), reduction="none"
                )
                .sum(1)
                .mean()
            ),
        ),
        (
            {"squares": 1.0, "target": 2 / 7},
            lambda z, y: (z - torch.nn.functional.one_hot(y, 7)).square().mean() - 1 / 7,
        ),
        (
            {"confidence": 1.0},
            lambda z, y: -torch.distributions.Categorical(logits=z).entropy().mean(),
        ),
        # A sharp Z-loss that aims beyond reach is linear: b − ẑ_y.
        ({"standard_score": 1.0}, lambda z, y: z_loss(z, y, sharpness=50.0, aim=9.0) - 9.0),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, dict) else "",
)
def test_known_losses_are_sums_of_terms(coefficients, loss, generator):
    logits = torch.randn(5, 7, dtype=torch.float64, generator=generator)
    target = torch.randint(7, (5,), generator=generator)
    mine = row_loss(compose(coefficients), logits, target, statistics_of(coefficients))
    torch.testing.assert_close(mine, loss(logits, target), rtol=0, atol=1e-12)


def test_it_begins_at_cross_entropy(explorer):
    loss = torch.nn.functional.cross_entropy(ROW, torch.tensor([0]))
    assert f"ℓ = −log p_y = {loss:.3g}" in explorer.alt
    assert "the right one −1 besides" in explorer.alt
    assert "Gram cannot serve it" in explorer.alt


def test_the_formula_says_the_coefficients_and_signs(explorer):
    explorer.set(normaliser=0.1, confidence=0.5, target=0.0)
    assert "ℓ = −log p_y + 0.1 L² − 0.5 H(p) =" in explorer.alt
    explorer.set(likelihood=0.0, normaliser=0.0, confidence=0.0)
    assert "ℓ = 0 = 0" in explorer.alt
    assert "Statistics: none" in explorer.alt
    explorer.set(likelihood=1.0)


def test_the_gram_engine_is_offered_exactly_where_it_serves(explorer):
    for name in TERMS:
        explorer.set(**dict.fromkeys(TERMS, 0.0) | {name: 1.0})
        assert ("Gram cannot serve it" not in explorer.alt) == (name in ("target", "squares", "standard_score"))
    explorer.set(**dict.fromkeys(TERMS, 0.0) | {"likelihood": 1.0})


def test_the_costs_are_those_of_the_formulas(explorer):
    explorer.set(rows=32_768, classes=256_000, dimension=64)
    held = linear_cost("held", 32_768, 256_000, 64)
    assert f"logits held {held.peak_bytes / 2**20:,.0f} MiB" in explorer.alt
    assert (
        f"tiles 12 MiB and {linear_cost('tile', 32_768, 256_000, 64).multiplications / 1e9:,.0f} · 10⁹" in explorer.alt
    )
    explorer.choose("least squares")
    assert "Fewest multiplications: Gram" in explorer.caption
    explorer.choose("cross-entropy")


def test_the_bars_are_the_numbers(explorer):
    explorer.set(right=3, smoothing=0.4, spread=2.0)
    _, level, spike = two_effects({"likelihood": 1.0, "smoothing": 0.4}, 2.0 * ROW, torch.tensor([3]))
    every, only = explorer._parts
    assert [bar.get_height() for bar in every] == pytest.approx(level.tolist())
    assert [bar.get_height() for bar in only] == pytest.approx([0, 0, 0, spike] + [0] * (CLASSES - 4))
    explorer.choose("cross-entropy")


def test_every_control_and_preset_changes_the_picture(explorer):
    assert len(set(explorer.move_every_control())) > 20


def test_a_frozen_one_holds_a_picture_for_every_value(explorer):
    html = explorer.freeze("normaliser", steps=3)
    said = html.encode().decode("unicode_escape", errors="ignore")  # the script holds the words as escapes
    assert all(f"−log p_y{penalty} =" in said for penalty in ("", " + L²", " + 2 L²"))
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
