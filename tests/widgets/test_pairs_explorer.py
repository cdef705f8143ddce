"""The pairs explorer: who is pulled and who is pushed, by the losses themselves."""

import re

import pytest
import torch

from lossbook.widgets import PairsExplorer
from lossbook.widgets.pairs import LOSSES, PRESETS, pulls, similarities

BASE = similarities(0.4, 0.1, 0.0)


def pull_of(loss, similarity=BASE, scale=10.0, bias=-10.0):
    return pulls(loss, similarity, scale, bias)[1]


def test_similarities_hold_the_three_that_the_reader_moves():
    found = similarities(0.7, -0.3, 0.2)
    assert found.diagonal().tolist() == pytest.approx([0.9, 0.7, 0.7, 0.7])
    assert float(found[0, 1]) == pytest.approx(-0.1)
    untouched = ~torch.eye(4, dtype=torch.bool)
    untouched[0] = False
    assert torch.equal(found[untouched], BASE[untouched])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_small_step_along_the_pulls_lowers_the_loss_by_their_square(loss):
    value, pull = pulls(loss, BASE, 10.0, -10.0)
    step = 1e-7
    lower, _ = pulls(loss, BASE + step * pull, 10.0, -10.0)
    # First order; what is left is a second derivative of at most 100 times 4 · step² · |pull|².
    assert (value - lower) / step == pytest.approx(float(pull.square().sum()), rel=1e-4)


def test_the_losses_are_those_of_the_package_and_torch():
    scores = 10 * BASE
    own = torch.arange(4)
    torch_loss = torch.nn.functional.cross_entropy
    assert pulls("InfoNCE, rows", BASE, 10.0, 0.0)[0] == pytest.approx(float(torch_loss(scores, own)))
    both = (torch_loss(scores, own) + torch_loss(scores.T, own)) / 2
    assert pulls("InfoNCE, rows and columns", BASE, 10.0, 0.0)[0] == pytest.approx(float(both))
    sign = 2 * torch.eye(4, dtype=torch.float64) - 1
    assert pulls("SigLIP", BASE, 10.0, -3.0)[0] == pytest.approx(
        float(-torch.nn.functional.logsigmoid(sign * (scores - 3)).sum() / 4)
    )


def test_a_caption_that_fits_too_costs_siglip_one_pair_and_infonce_the_row():
    closer = similarities(0.4, 0.4, 0.0)
    others = torch.ones(4, 4, dtype=torch.bool)
    others[0, 1] = False
    assert torch.equal(pull_of("SigLIP")[others], pull_of("SigLIP", closer)[others])
    changed = (pull_of("InfoNCE, rows") - pull_of("InfoNCE, rows", closer)).abs() > 1e-4
    assert changed[0].all()
    assert not changed[1:].any()


@pytest.mark.parametrize("offset", [-0.7, 0.3])
def test_an_offset_of_a_row_moves_nothing_under_infonce_by_rows_and_much_under_mann_whitney(offset):
    moved = similarities(0.4, 0.1, offset)
    assert torch.allclose(pull_of("InfoNCE, rows"), pull_of("InfoNCE, rows", moved), rtol=0, atol=1e-12)
    assert float((pull_of("Mann-Whitney") - pull_of("Mann-Whitney", moved)).abs().max()) > 0.1
    assert float(pull_of("InfoNCE, rows", moved).sum(1).abs().max()) < 1e-12


def test_of_two_right_texts_the_softmax_pushes_the_better_down_and_decoupled_neither():
    ahead = similarities(0.8, 0.5, 0.0)
    assert pull_of("softmax, two right texts", ahead)[0, 0] < 0 < pull_of("softmax, two right texts", ahead)[0, 1]
    assert (pull_of("decoupled softmax, two right texts", ahead)[0, :2] > 0).all()


def test_every_control_and_preset_changes_what_is_seen_and_said():
    explorer = PairsExplorer()
    seen = explorer.move_every_control()
    assert len(set(seen)) == len(seen)
    assert explorer.values["loss"] == "SigLIP"


def test_the_bias_is_a_control_of_siglip_alone():
    explorer = PairsExplorer()
    assert explorer.control("bias").visible
    for loss in LOSSES:
        explorer.set(loss=loss)
        assert explorer.control("bias").visible == (loss == "SigLIP")


def test_the_words_hold_the_numbers_of_the_picture():
    explorer = PairsExplorer()
    explorer.choose("the better of two right texts, by softmax")
    pull = pull_of("softmax, two right texts", similarities(0.8, 0.5, 0.0))
    shown = [[text.get_text() for text in row] for row in explorer._numbers[1]]
    assert shown[0][0] == f"{float(pull[0, 0]):.3g}".replace("-", "−")
    assert f"pulls ({', '.join(shown[0])})" in explorer.alt
    assert "Of 16 pairs 4 are pulled together and 12 pushed apart" in explorer.alt


def test_the_presets_say_what_is_there():
    explorer = PairsExplorer()
    explorer.choose("SigLIP without its bias")
    words = re.search(r"Of 16 pairs (\d+) are pulled together and (\d+) pushed apart", explorer.alt)
    assert words.groups() == ("4", "12")  # "twelve pushes against four pulls"
    explorer.choose("the same, by InfoNCE")
    share = 1 - float(pull_of("InfoNCE, rows", similarities(0.8, 0.8, 0.0))[0, 0]) * 4 / 10
    assert 0.49 < share < 0.5  # "half of the row at most"
    assert set(PRESETS) == set(explorer.presets)


def test_it_freezes_into_a_page_that_says_each_picture_in_words():
    page = PairsExplorer().freeze("twin", steps=3)
    shown = set(re.findall(r"Image 1: similarities \(0\.4, (\S+), ", page.replace(r"\u2212", "−")))
    assert shown == {"−1", "0", "0.1", "1"}  # three steps and where it stood
    assert "https://" not in page
