"""Networks out of distribution: what they fall back to, and when they do not."""

import pandas as pd
import pytest
import torch

from lossbook.experiments import extrapolation
from lossbook.experiments.extrapolation import CORRUPTIONS, SCALES, Config, corrupt, oracle_reward, skewed
from lossbook.metrics import optimal_constant_distance
from lossbook.models import multilayer


@pytest.fixture(scope="module")
def run():
    return extrapolation.run(SCALES["tiny"], progress=False)


def corrupted(name, images, level, generator):
    return corrupt(name, images, level, mean=images.mean(0), generator=generator)


@pytest.fixture
def images(generator):
    return torch.rand(50, 36, generator=generator)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_at_level_0_every_corruption_leaves_the_images_as_they_are(name, images, generator):
    assert torch.equal(corrupted(name, images, 0.0, generator), images)


def test_at_level_1_nothing_is_left_of_images_that_fade(images, generator):
    assert torch.equal(corrupted("fade to zero", images, 1.0, generator), torch.zeros_like(images))
    assert torch.equal(corrupted("fade to the mean image", images, 1.0, generator), images.mean(0).expand_as(images))
    noise = corrupted("mix with uniform noise", images, 1.0, generator)
    correlation = torch.corrcoef(torch.stack([noise.flatten(), images.flatten()]))[0, 1]
    assert abs(float(correlation)) < 4 / images.numel() ** 0.5


@pytest.mark.parametrize("level", [0.25, 0.5, 1.0])
def test_shuffling_keeps_the_pixels_of_each_image_and_moves_its_share_of_them(level, images, generator):
    found = corrupted("shuffle pixels", images, level, generator)
    assert torch.equal(found.sort(1).values, images.sort(1).values)
    moved = (found != images).sum(1).float()
    assert float(moved.max()) <= level * 36
    # A random permutation leaves one element in its place on average, with variance 1, whatever its length.
    assert float(moved.mean()) == pytest.approx(level * 36 - 1, abs=4 / 50**0.5)


def test_additive_noise_has_four_times_the_level_as_its_standard_deviation(images, generator):
    noise = corrupted("add Gaussian noise", images, 0.5, generator) - images
    assert float(noise.std()) == pytest.approx(2, rel=4 / (2 * images.numel()) ** 0.5)


def test_an_unknown_corruption_is_refused(images, generator):
    with pytest.raises(ValueError, match=r"^name: got 'blur', expected one of 'fade to zero', "):
        corrupted("blur", images, 0.5, generator)


def test_without_biases_the_output_shrinks_with_the_input_and_towards_uniform(generator):
    model = multilayer((36, 20, 20, 4), generator=generator, bias=False).double()
    images = torch.randn(30, 36, dtype=torch.float64, generator=generator)
    uniform = torch.full((4,), 0.25).double()
    with torch.no_grad():
        logits = model(images)
        assert float(model(torch.zeros(1, 36).double()).abs().max()) == 0
        for scale in (0.1, 0.5, 3.0):
            torch.testing.assert_close(model(scale * images), scale * logits)
        distances = [float(optimal_constant_distance(model(s * images), uniform)) for s in (0.0, 0.5, 1.0, 4.0, 50.0)]
    # Scaling up is out of distribution too, and leads away from the constant.
    assert distances == sorted(distances)
    assert distances[0] == pytest.approx(0, abs=1e-12)


def test_training_keeps_the_first_class_whole_and_thins_the_last():
    config = Config()
    data, shares = skewed(config, 0)
    whole = extrapolation.datasets.digits(seed=0).train_labels
    kept, before = torch.bincount(data.train_labels), torch.bincount(whole)
    assert kept[0] == before[0]
    assert float(kept[9] / before[9]) == pytest.approx(config.rarest, abs=4 * (0.2 * 0.8 / float(before[9])) ** 0.5)
    torch.testing.assert_close(shares, kept / kept.sum())
    assert len(torch.bincount(data.test_labels)) == 10


def test_other_data_are_refused():
    with pytest.raises(ValueError, match=r"^data: got 'wine', expected one of 'digits', 'fashion_mnist'$"):
        skewed(Config(data="wine"), 0)


def test_no_threshold_beats_the_oracle(generator):
    p = torch.softmax(2 * torch.randn(60, 4, generator=generator), 1)
    labels = torch.randint(4, (60,), generator=generator)
    best = 0.0
    for threshold in [*p.amax(1).tolist(), 2.0]:
        answered = p.amax(1) >= threshold
        right = p.argmax(1) == labels
        best = max(best, float((answered & right).sum() - 3.0 * (answered & ~right).sum()) / 60)
    assert oracle_reward(p, labels, 3.0) == pytest.approx(best)


def test_images_that_fade_to_zero_end_near_the_class_shares(run):
    distance = run.history[run.history["setting"] == "fade to zero"].sort_values("level")["distance"].tolist()
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < distance[0] / 2


def test_fading_shrinks_what_every_layer_passes_on_and_noise_swells_it(run):
    rows = run.history[run.history["level"] == 1].set_index("setting")
    for signal in ("signal_1", "signal_2", "signal_3"):
        assert rows.loc["fade to zero", signal] < 0.5
        assert rows.loc["add Gaussian noise", signal] > 1.5
    assert rows.loc["fade to zero", "signal_1"] == 0


def test_on_clean_images_all_corruptions_agree(run):
    rows = run.history[run.history["level"] == 0].drop(columns=["setting"])
    pd.testing.assert_frame_equal(rows, pd.concat([rows.iloc[:1]] * len(rows)).set_axis(rows.index))


def test_the_agent_that_predicts_rewards_ends_at_abstaining_where_the_classifier_pays(run):
    by_level = run.history[run.history["setting"] == "fade to zero"].set_index("level")
    clean, faded = by_level.loc[0.0], by_level.loc[1.0]
    assert clean["reward_agent"] > 0.2
    assert faded["abstains"] == 1
    assert faded["reward_agent"] == 0
    assert faded["reward_classifier"] < -2


def test_the_oracle_earns_no_less_than_silence_or_the_classifier(run):
    assert (run.history["reward_oracle"] >= run.history["reward_classifier"].clip(lower=0) - 1e-12).all()


def test_the_same_config_gives_the_same_history(run):
    pd.testing.assert_frame_equal(extrapolation.run(SCALES["tiny"], progress=False).history, run.history)


def test_snapshots_hold_distributions_and_the_image(run):
    assert len(run.snapshots) == len(CORRUPTIONS) * len(run.config.levels)
    for snapshot in run.snapshots:
        for name in ("prediction", "image_prediction", "shares"):
            assert snapshot.arrays[name].sum() == pytest.approx(1, abs=1e-5)
        assert snapshot.arrays["image"].shape == (64,)
