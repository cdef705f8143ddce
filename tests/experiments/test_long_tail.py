"""Long tails: the settings differ in what they say they differ in, and the rare classes are counted as rare."""

import dataclasses

import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

from lossbook.experiments import long_tail
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.long_tail import HEADLINES, SCALES, SETTINGS, scores
from lossbook.experiments.run import recorded
from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, features, multilayer
from lossbook.training import effective_number_weights

TINY = SCALES["tiny"]
COUNTS = torch.tensor([900, 90, 9])


@pytest.fixture(scope="module")
def tiny():
    return long_tail.run(TINY, progress=False)


def test_the_same_config_gives_the_same_bits(tiny):
    again = long_tail.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)


def test_a_row_is_the_mean_of_its_classes_and_the_frequent_come_first(tiny):
    for snapshot in tiny.snapshots:
        data, _, setting = snapshot.setting.partition(" ")
        row = tiny.history[(tiny.history.setting == setting) & (tiny.history.data == data)].iloc[0]
        recall, counts = snapshot.arrays["recall"], snapshot.arrays["counts"]
        assert list(counts) == sorted(counts, reverse=True)
        assert recall.mean() == pytest.approx(row.accuracy)
        assert recall[:9].mean() == pytest.approx(row["head"])
        assert recall[-8:].mean() == pytest.approx(row["tail"])
        assert counts[0] / counts[-1] == pytest.approx(100, rel=0.1)  # the rarest has six or seven


def test_cosine_members_score_by_angles_and_the_others_by_the_network(generator):
    networks = [multilayer((5, 4, 3), generator=torch.Generator().manual_seed(k)) for k in (0, 1)]
    model, inputs = Ensemble(networks), torch.randn(7, 5, generator=generator)
    found = scores(model, inputs, torch.tensor([False, True]))
    torch.testing.assert_close(found[:, 0], networks[0](inputs))
    seen = normalize(features(networks[1], inputs), dim=1)
    torch.testing.assert_close(found[:, 1], seen @ normalize(networks[1][-1].weight, dim=1).T)


def test_each_setting_weighs_the_classes_as_it_says(generator):
    logits = torch.randn(30, 3, generator=generator)
    target = torch.randint(3, (30,), generator=generator)

    def loss(name, progress=0.0):
        return SETTINGS[name].loss(logits, target, COUNTS, progress)

    weight = effective_number_weights(COUNTS)
    torch.testing.assert_close(loss("class weights"), cross_entropy(logits, target, weight=weight))
    prior = torch.tensor([900 / 999, 90 / 999, 9 / 999]).log()
    torch.testing.assert_close(loss("logit adjustment"), cross_entropy(logits + prior, target))
    torch.testing.assert_close(loss("LDAM"), loss("LDAM-DRW"))
    assert float(loss("LDAM-DRW", 1.0)) != float(loss("LDAM", 1.0))
    torch.testing.assert_close(loss("cosine cross-entropy"), cross_entropy(30 * logits, target))
    torch.testing.assert_close(loss("cosine with DRW", 1.0), cross_entropy(30 * logits, target, weight=weight))


def test_deferred_weights_and_margins_raise_the_rare_classes(tiny):
    tail = tiny.history.set_index("setting")["tail"]
    assert tail["LDAM-DRW"] > tail["cross-entropy"]


def test_the_recorded_run_is_of_the_small_scale_and_says_what_the_chapter_says():
    run = recorded("long_tail_small", long_tail.Config)
    assert run.config == SCALES["small"]
    table = verdicts([(headline, run) for headline in HEADLINES])
    # LDAM-DRW above cross-entropy twice over; LDAM alone; LDAM alone with a margin of 0.1: garments, letters
    assert table.held.tolist() == [5, 5, 5, 5, 4, 0, 4, 5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": ("digits",)}, "data: got 'digits', expected one of 'fashion_mnist', 'letter_recognition'"),
        ({"settings": ("focal",)}, "settings: got 'focal', expected one of 'cross-entropy'"),
    ],
)
def test_unknown_names_are_refused(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        long_tail.run(dataclasses.replace(TINY, **change), progress=False)
