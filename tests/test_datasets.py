"""The data: whole or refused, split without a leak, and generated as their definitions say."""

import gzip
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbook import datasets
from lossbook.datasets import _files

TABULAR = {
    "letter_recognition": (20_000, 16, 26),
    "digits": (1797, 64, 10),
    "breast_cancer": (569, 30, 2),
    "wine": (178, 13, 3),
    "iris": (150, 4, 3),
    "diabetes": (442, 10, 0),
}


@pytest.fixture(autouse=True)
def _no_folder_of_ones_own(monkeypatch):
    monkeypatch.delenv("LOSSBOOK_DATA", raising=False)


# --- files


def test_every_file_of_the_book_has_its_checksum_and_a_row_in_the_provenance_table():
    table = (Path(_files.__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")
    for name, checksum in datasets.verify().items():
        assert f"| {name} |" in table
        assert checksum in table


def test_a_missing_file_is_named_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(_files, "folders", lambda: (tmp_path,))
    for load in (datasets.fashion_mnist, datasets.letter_recognition, datasets.austen, datasets.verify):
        with pytest.raises(FileNotFoundError, match=r"(npz|gz): not found in .*expected .*LOSSBOOK_DATA"):
            load()


@pytest.mark.parametrize("name", datasets.CHECKSUMS)
def test_a_damaged_file_is_named_with_the_remedy(monkeypatch, tmp_path, name):
    (tmp_path / name).write_bytes(b"not the data")
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    expected = (
        rf"{name}: got sha256 [0-9a-f]{{12}}… \(12 bytes\).*expected {datasets.CHECKSUMS[name][:12]}.*git checkout"
    )
    with pytest.raises(ValueError, match=expected):
        datasets.verify()


def test_a_file_that_changes_is_read_again(monkeypatch, tmp_path):
    copy = tmp_path / "letter_recognition.csv.gz"
    copy.write_bytes(_files.checked(copy.name).read_bytes())
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    assert _files.checked(copy.name) == copy
    copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(ValueError, match="damaged"):
        _files.checked(copy.name)


def test_a_folder_that_is_none_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"LOSSBOOK_DATA: got .*nowhere.*expected a folder"):
        datasets.fashion_mnist()


def idx(array: np.ndarray) -> bytes:
    return b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def write_idx(folder: Path, *, zipped: bool = False) -> list[np.ndarray]:
    """Three images of each class to train on, one to test on."""
    random = np.random.default_rng(0)
    arrays = []
    for name in _files.IDX_FILES:
        count = 30 if name.startswith("train") else 10
        array = random.integers(0, 256, (count, 28, 28), dtype=np.uint8) if "images" in name else np.arange(count) % 10
        arrays.append(array.astype(np.uint8))
        content = idx(arrays[-1])
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    return arrays


@pytest.mark.parametrize("zipped", [False, True])
def test_the_four_idx_files_take_the_place_of_the_12000_images(monkeypatch, tmp_path, zipped):
    images, labels, test_images, test_labels = write_idx(tmp_path, zipped=zipped)
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    data = datasets.fashion_mnist()
    assert torch.equal(data.train_features, torch.from_numpy(images.reshape(30, 784) / np.float32(255)))
    assert torch.equal(data.test_features, torch.from_numpy(test_images.reshape(10, 784) / np.float32(255)))
    assert data.train_labels.tolist() == labels.tolist()
    assert data.test_labels.tolist() == test_labels.tolist()


def test_the_book_s_own_files_are_found_beside_a_folder_of_one_s_own(monkeypatch, tmp_path):
    write_idx(tmp_path)
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    assert datasets.letter_recognition().classes == 26


def broken(kind: str, content: bytes) -> bytes:
    return {
        "cut short": content[:-1],
        "not idx": b"\x89PNG" + content[4:],
        "empty": b"",
        "other counts": idx(np.zeros(7, dtype=np.uint8)),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut short", r"expected \d+ for an IDX file of shape"),
        ("not idx", "expected an IDX file of unsigned bytes"),
        ("empty", "expected an IDX file of unsigned bytes"),
        ("other counts", r"expected \(n, 28, 28\) with \(n,\)"),
    ],
)
def test_a_damaged_idx_file_is_refused(monkeypatch, tmp_path, kind, message):
    write_idx(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(broken(kind, path.read_bytes()))
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        datasets.fashion_mnist()


def test_a_damaged_gzip_file_is_refused(monkeypatch, tmp_path):
    write_idx(tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="expected a gzipped IDX file"):
        datasets.fashion_mnist()


def test_three_of_the_four_idx_files_are_not_enough(monkeypatch, tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte: not found"):
        datasets.fashion_mnist()


# --- real sets


def test_fashion_mnist_has_a_thousand_images_of_each_garment_and_values_up_to_one():
    data = datasets.fashion_mnist()
    assert data.train_features.shape == (10_000, 784)
    assert data.train_labels.bincount().tolist() == [1000] * 10
    assert data.test_labels.bincount().tolist() == [200] * 10
    assert data.train_features.dtype == torch.float32
    assert (data.train_features.min(), data.train_features.max()) == (0, 1)
    assert data.classes == len(set(data.class_names)) == 10


def test_images_come_flat_or_as_convolutions_take_them():
    flat, square = datasets.fashion_mnist(per_class=2), datasets.fashion_mnist(per_class=2, flatten=False)
    assert square.train_features.shape == (20, 1, 28, 28)
    assert torch.equal(square.train_features.reshape(20, 784), flat.train_features)


def test_a_draw_per_class_is_balanced_shuffled_and_set_by_the_seed():
    first, again, other = (datasets.fashion_mnist(per_class=30, seed=seed) for seed in (1, 1, 2))
    assert first.train_labels.bincount().tolist() == [30] * 10
    assert torch.equal(first.train_features, again.train_features)
    assert not torch.equal(first.train_labels, other.train_labels)
    assert first.train_labels.diff().ne(0).float().mean() > 0.5  # sorted by class it would be 9 in 299
    assert torch.equal(first.test_features, datasets.fashion_mnist().test_features)


def test_the_novels_are_all_there():
    text = datasets.austen()
    assert len(text) == 4_025_033
    titles = ("EMMA", "MANSFIELD", "NORTHANGER", "Persuasion", "PRIDE AND PREJUDICE", "SENSE AND SENSIBILITY")
    places = [text.index(title) for title in titles]
    assert places[0] == 0
    assert places == sorted(places)


@pytest.mark.parametrize("name", TABULAR)
def test_a_split_loses_no_row_and_keeps_no_row_twice(name):
    rows, columns, classes = TABULAR[name]
    load = getattr(datasets, name)
    first, second = load(seed=0, standardise=False), load(seed=1, standardise=False)
    assert first.classes == classes
    assert first.train_features.shape[1:] == (columns,)
    assert len(first.train_features) + len(first.test_features) == rows

    def sorted_rows(data):
        parts = (data.train_features, data.train_labels[:, None]), (data.test_features, data.test_labels[:, None])
        table = torch.cat([torch.cat(part, 1) for part in parts]).numpy()
        return table[np.lexsort(table.T)]

    assert np.array_equal(sorted_rows(first), sorted_rows(second))
    assert not torch.equal(first.test_features, second.test_features)


@pytest.mark.parametrize("name", TABULAR)
def test_the_same_seed_gives_the_same_bits(name):
    load = getattr(datasets, name)
    first, again = load(seed=3), load(seed=3)
    for part in ("train_features", "train_labels", "test_features", "test_labels"):
        assert torch.equal(getattr(first, part), getattr(again, part))


@pytest.mark.parametrize("name", [name for name, (_, _, classes) in TABULAR.items() if classes])
def test_each_class_gives_the_test_part_its_fraction(name):
    data = getattr(datasets, name)(test_fraction=0.3, seed=0)
    assert data.train_labels.dtype == torch.int64
    train, test = data.train_labels.bincount(), data.test_labels.bincount()
    assert ((test - 0.3 * (train + test).double()).abs() <= 0.5 + 1e-9).all()  # rounded


def test_values_to_predict_stay_in_their_unit():
    data = datasets.diabetes()
    values = torch.cat([data.train_labels, data.test_labels])
    assert values.dtype == torch.float32
    assert (values.min(), values.max()) == (25, 346)


@pytest.mark.parametrize("name", TABULAR)
def test_the_training_part_alone_sets_the_scale(name):
    load = getattr(datasets, name)
    scaled, raw = load(seed=0, standardise=True), load(seed=0, standardise=False)
    mean, deviation = raw.train_features.double().mean(0), raw.train_features.double().std(0, correction=0)
    deviation[deviation == 0] = 1  # pixels of digits that are always empty
    # float32 sums over up to 16,000 rows of values around 1
    for part in ("train_features", "test_features"):
        expected = (getattr(raw, part) - mean) / deviation
        torch.testing.assert_close(getattr(scaled, part).double(), expected, rtol=2e-4, atol=2e-4)


def test_a_dataset_moves_as_a_whole():
    data = datasets.iris().to("meta")
    assert {part.device.type for part in vars(data).values() if isinstance(part, torch.Tensor)} == {"meta"}
    assert data.class_names == datasets.iris().class_names


# --- generated sets


def test_moons_without_noise_lie_on_their_half_circles(generator):
    features, labels = datasets.moons(201, noise=0.0, generator=generator)
    assert labels.bincount().tolist() == [101, 100]
    upper, lower = features[labels == 0], features[labels == 1]
    torch.testing.assert_close(upper.norm(dim=1), torch.ones(101))
    torch.testing.assert_close((lower - torch.tensor([1.0, 0.5])).norm(dim=1), torch.ones(100))
    assert (upper[:, 1] >= 0).all()
    assert (lower[:, 1] <= 0.5).all()


def test_the_noise_of_moons_has_the_deviation_asked_for():
    clean, noisy = (datasets.moons(20_000, noise=n, generator=torch.Generator().manual_seed(0))[0] for n in (0.0, 0.3))
    assert (noisy - clean).std().item() == pytest.approx(0.3, rel=0.02)  # 4 standard errors of 40,000 draws


def test_the_worst_case_is_one_point_against_all_others():
    features, signs = datasets.separable_worst_case(5)
    assert features.tolist() == [[0.5, -1.0]] + [[-0.5, -1.0]] * 4
    assert signs.tolist() == [1, -1, -1, -1, -1]


def test_gaussian_classes_have_the_means_and_variances_of_the_definition(generator):
    features, labels = datasets.gaussian_classes(30_000, 9, 3, generator=generator)
    assert labels.bincount().tolist() == [10_000] * 3
    variance = torch.tensor([9.0] * 4 + [1.0] * 5)
    for k, mean in enumerate((-1.0, 1.0, 2.0)):
        points = features[labels == k]
        # five standard errors
        assert ((points.mean(0) - mean).abs() < 5 * (variance / 10_000).sqrt()).all()
        assert ((points.var(0) / variance - 1).abs() < 5 * math.sqrt(2 / 10_000)).all()


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_label_noise_replaces_the_fraction_asked_for_by_other_classes(generator, fraction):
    labels = torch.arange(1000) % 7
    noisy, wrong = datasets.with_label_noise(labels, fraction, 7, generator=generator)
    assert wrong.sum() == round(fraction * 1000)
    assert torch.equal(noisy != labels, wrong)
    assert noisy.min() >= 0
    assert noisy.max() < 7


def test_wrong_labels_are_spread_evenly_over_the_other_classes(generator):
    noisy, _ = datasets.with_label_noise(torch.full((30_000,), 2), 1.0, 4, generator=generator)
    counts = noisy.bincount(minlength=4)
    assert counts[2] == 0
    assert ((counts[[0, 1, 3]] - 10_000).abs() < 5 * math.sqrt(30_000 * 2 / 9)).all()  # five standard errors


DRAWS = {
    "moons": lambda g: datasets.moons(50, generator=g),
    "gaussian_classes": lambda g: datasets.gaussian_classes(50, 4, generator=g),
    "with_label_noise": lambda g: datasets.with_label_noise(torch.arange(50) % 5, 0.5, 5, generator=g),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_draw_is_set_by_its_generator_and_leaves_torch_s_own_alone(draw):
    before = torch.get_rng_state()
    first, again, other = (draw(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


BAD = [
    (datasets.fashion_mnist, {"per_class": 0}, ValueError, "per_class: got 0, expected 1 to 1000"),
    (datasets.fashion_mnist, {"per_class": 1001}, ValueError, "per_class: got 1001, expected 1 to 1000"),
    (datasets.fashion_mnist, {"per_class": 2.5}, TypeError, "per_class: got 2.5"),
    (datasets.iris, {"test_fraction": 0.0}, ValueError, "test_fraction: got 0.0, expected a finite number > 0 and < 1"),
    (
        datasets.iris,
        {"test_fraction": 1e-6},
        ValueError,
        "test_fraction: got 1e-06, expected a fraction that leaves rows",
    ),
    (datasets.iris, {"seed": "0"}, TypeError, "seed: got '0'"),
    (datasets.moons, {"points": 0, "generator": torch.Generator()}, ValueError, "points: got 0"),
    (datasets.moons, {"points": 5, "noise": -1, "generator": torch.Generator()}, ValueError, "noise: got -1"),
    (datasets.moons, {"points": 5, "generator": 0}, TypeError, "generator: got 0 .*expected a torch.Generator"),
    (datasets.separable_worst_case, {"points": 1}, ValueError, "points: got 1, expected an integer >= 2"),
    (datasets.separable_worst_case, {"points": True}, TypeError, "points: got True"),
    (
        datasets.gaussian_classes,
        {"points": 5, "dimension": 2, "classes": 1, "generator": torch.Generator()},
        ValueError,
        "classes: got 1",
    ),
    (
        datasets.with_label_noise,
        {"labels": torch.zeros(3), "fraction": 0.5, "classes": 2, "generator": torch.Generator()},
        TypeError,
        "labels: got a float32 tensor",
    ),
    (
        datasets.with_label_noise,
        {"labels": torch.zeros(3).long(), "fraction": 1.5, "classes": 2, "generator": torch.Generator()},
        ValueError,
        "fraction: got 1.5",
    ),
]


@pytest.mark.parametrize(("function", "arguments", "error", "message"), BAD)
def test_bad_input_is_named(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(**arguments)
