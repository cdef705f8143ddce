"""Streams of tasks: what is new in each, what stays, and that turning does what it says."""

import math

import pytest
import torch

from lossbook.datasets import (
    class_stream,
    class_subset,
    diabetes,
    digits,
    gaussian_stream,
    rotated,
    rotated_stream,
    shrunk,
    task_stream,
    turned,
)


def test_new_classes_share_the_examples_out_and_keep_their_labels():
    data, stream = digits(), class_stream(digits(), 5)
    assert sum(len(task.train_labels) for task in stream.tasks) == len(data.train_labels)
    for k, task in enumerate(stream.tasks):
        assert task.train_labels.unique().tolist() == task.test_labels.unique().tolist() == [2 * k, 2 * k + 1]
        of_task = (data.test_labels // 2) == k
        assert torch.equal(task.test_features, data.test_features[of_task])
    assert (stream.scenario, stream.outputs, set(stream.answers)) == ("class", 10, {tuple(range(10))})


def test_new_heads_are_new_classes_with_answers_of_their_own():
    by_class, by_task = class_stream(digits(), 2), task_stream(digits(), 2)
    assert by_task.answers == ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
    for one, other in zip(by_class.tasks, by_task.tasks, strict=True):
        assert torch.equal(one.train_features, other.train_features)


def test_turned_images_keep_their_labels_and_the_first_its_pixels():
    data = digits()
    stream = rotated_stream(data, (0, 90, 180))
    assert torch.allclose(stream.tasks[0].train_features, data.train_features, atol=1e-6)
    for task, quarters in zip(stream.tasks, (0, 1, 2), strict=True):
        assert torch.equal(task.train_labels, data.train_labels)
        wanted = torch.rot90(data.test_features.reshape(-1, 8, 8), quarters, (1, 2)).reshape(-1, 64)
        torch.testing.assert_close(task.test_features, wanted, rtol=0, atol=1e-5)


def test_four_quarter_turns_are_none_and_both_shapes_are_turned_alike(generator):
    images = torch.rand(3, 36, generator=generator)
    whole = images
    for _ in range(4):
        whole = rotated(whole, 90)
    torch.testing.assert_close(whole, images, rtol=0, atol=1e-5)
    as_pictures = rotated(images.reshape(3, 1, 6, 6), 30)
    assert torch.equal(as_pictures.reshape(3, 36), rotated(images, 30))


def test_turned_pairs_keep_their_length_and_turn_by_the_angle(generator):
    points = torch.randn(50, 6, generator=generator, dtype=torch.float64)
    moved = turned(points, 80)
    lengths = [p.reshape(50, 3, 2).norm(dim=-1) for p in (points, moved)]
    torch.testing.assert_close(*lengths)
    cosine = (points.reshape(50, 3, 2) * moved.reshape(50, 3, 2)).sum(-1) / lengths[0] ** 2
    torch.testing.assert_close(cosine, torch.full_like(cosine, math.cos(math.radians(80))))
    torch.testing.assert_close(turned(turned(points, 30), -30), points)


def test_gaussian_tasks_share_their_centres_up_to_the_turn(generator):
    stream = gaussian_stream((0, 180), noise=0.0, train=40, test=10, generator=generator)
    first, second = stream.tasks
    for k in range(5):
        one, other = (task.train_features[task.train_labels == k] for task in (first, second))
        assert float((one - one[0]).abs().max()) < 1e-5
        torch.testing.assert_close(other[0], -one[0], rtol=0, atol=1e-5)


def test_gaussian_noise_has_its_deviation_and_the_tasks_their_own_points():
    made = [
        gaussian_stream((0, 0), noise=noise, train=2000, test=10, generator=torch.Generator().manual_seed(3))
        for noise in (0.0, 0.6)
    ]
    # The same draws in the same order: the two differ by the noise alone, 2,000 × 20 draws.
    error = made[1].tasks[0].train_features - made[0].tasks[0].train_features
    assert float(error.std()) == pytest.approx(0.6, abs=5 * 0.6 / math.sqrt(2 * 40_000))
    assert not torch.equal(made[1].tasks[0].train_features, made[1].tasks[1].train_features)


def test_shrinking_keeps_the_mean_of_each_image_and_the_layout():
    data = digits()
    small = shrunk(data, 4)
    assert small.train_features.shape == (len(data.train_labels), 4)
    torch.testing.assert_close(small.train_features.mean(1), data.train_features.mean(1))
    corner = data.test_features.reshape(-1, 8, 8)[:, :4, 4:].mean((1, 2))
    torch.testing.assert_close(small.test_features[:, 1], corner)


def test_a_stream_moves_to_a_device_whole():
    moved = class_stream(digits(), 2).to("meta")
    assert {task.test_labels.device.type for task in moved.tasks} == {"meta"}
    assert moved.answers == class_stream(digits(), 2).answers


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: class_stream(digits(), 3), ValueError, "^tasks: got 3, expected a divisor of the 10 classes"),
        (lambda: class_stream(digits(), 0), ValueError, "^tasks: got 0"),
        (lambda: task_stream(diabetes(), 2), ValueError, "^data: got 'diabetes', expected a Dataset with classes"),
        (lambda: class_stream("digits", 2), TypeError, "^data: got 'digits'"),
        (lambda: class_subset(digits(), ()), ValueError, r"^classes: got \(\), expected class indices below 10"),
        (lambda: class_subset(digits(), (1, 1)), ValueError, "^classes: got"),
        (lambda: class_subset(digits(), (10,)), ValueError, "^classes: got"),
        (lambda: class_subset(digits(), (1.0,)), TypeError, "^classes: got 1.0"),
        (lambda: rotated_stream(digits(), ()), ValueError, r"^angles: got \(\), expected at least one"),
        (lambda: rotated_stream(digits(), 80), TypeError, "^angles: got 80"),
        (lambda: rotated_stream(digits(), (math.nan,)), ValueError, "^angles: got nan"),
        (lambda: rotated(torch.zeros(2, 7), 10), ValueError, "^images: got a float32 tensor"),
        (lambda: rotated(torch.zeros(2, 4).long(), 10), TypeError, "^images: got an int64 tensor"),
        (lambda: shrunk(digits(), 3), ValueError, "^factor: got 3, expected a divisor of the side, 8"),
        (lambda: turned(torch.zeros(3), 10.0), ValueError, "^points: got a float32 tensor of shape"),
        (
            lambda: gaussian_stream(dimension=3, generator=torch.Generator()),
            ValueError,
            "^dimension: got 3",
        ),
        (lambda: gaussian_stream(noise=-1.0, generator=torch.Generator()), ValueError, "^noise: got -1.0"),
        (lambda: gaussian_stream(generator=0), TypeError, "^generator: got 0"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, words):
    with pytest.raises(error, match=words):
        call()
