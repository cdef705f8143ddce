"""The real sets: files of the book, and what comes with scikit-learn."""

import csv
import gzip
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_number
from lossbook.datasets._files import checked, idx_images

GARMENTS = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test part. `class_names` is empty for regression."""

    name: str
    train_features: Float[Tensor, "train ..."] | Int[Tensor, "train ..."]  # whole numbers where they are words
    train_labels: Int[Tensor, " train"] | Float[Tensor, " train"]  # int64 classes, or float32 values to predict
    test_features: Float[Tensor, "test ..."] | Int[Tensor, "test ..."]
    test_labels: Int[Tensor, " test"] | Float[Tensor, " test"]
    class_names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """The number of classes; 0 for regression."""
        return len(self.class_names)

    def to(self, device: torch.device | str) -> "Dataset":
        """The same data on another device."""
        return Dataset(
            self.name,
            self.train_features.to(device),
            self.train_labels.to(device),
            self.test_features.to(device),
            self.test_labels.to(device),
            self.class_names,
        )


def fashion_mnist(*, per_class: int | None = None, flatten: bool = True, seed: int = 0) -> Dataset:
    """Fashion-MNIST: 28 × 28 grey images of ten kinds of garment, values in [0, 1].

    Args:
        per_class: training images to draw of each class; None takes all. The test images are always all there.
        flatten: features of shape (n, 784); else (n, 1, 28, 28), as convolutions take them.
        seed: of the draw.

    Returns:
        1,000 training and 200 test images a class; the full 6,000 and 1,000 where `LOSSBOOK_DATA` names a folder with
        the four IDX files, plain or gzipped.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or holds fewer images of a class than asked for.

    Example:
        >>> data = fashion_mnist(per_class=5)
        >>> tuple(data.train_features.shape), data.class_names[int(data.test_labels[0])]
        ((50, 784), 'ankle boot')

    Reference: Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747.
    """
    train_images, train_labels, test_images, test_labels = idx_images() or _subset_images()
    if per_class is not None:
        drawn = _draw_per_class(train_labels, per_class, seed)
        train_images, train_labels = train_images[drawn], train_labels[drawn]
    shape = (-1, 784) if flatten else (-1, 1, 28, 28)

    def features(images: np.ndarray) -> Tensor:
        return torch.from_numpy(images.astype(np.float32) / 255).reshape(shape)

    def labels(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.int64))

    return Dataset(
        "fashion_mnist",
        features(train_images),
        labels(train_labels),
        features(test_images),
        labels(test_labels),
        GARMENTS,
    )


def letter_recognition(*, test_fraction: float = 0.2, seed: int = 0, standardise: bool = True) -> Dataset:
    """20,000 distorted images of capital letters, each described by 16 integers; 26 classes.

    Args:
        test_fraction: of each class, held out.
        seed: of the split.
        standardise: subtract the mean and divide by the standard deviation of the training part, feature by feature.

    Raises:
        FileNotFoundError, ValueError: the file is missing or damaged.

    Example:
        >>> data = letter_recognition()
        >>> data.classes, tuple(data.test_features.shape)
        (26, (4002, 16))

    Reference: Frey & Slate 1991, Machine Learning 6.
    """
    with gzip.open(checked("letter_recognition.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    features = np.array([row[1:] for row in rows], dtype=np.float32)
    labels = np.array([ord(row[0]) - ord("A") for row in rows])
    names = tuple(chr(ord("A") + k) for k in range(26))
    return _split("letter_recognition", features, labels, names, test_fraction, seed, standardise)


def austen() -> str:
    """Jane Austen's six novels as one text of four million characters, with headings and line breaks.

    Raises:
        FileNotFoundError, ValueError: the file is missing or damaged.

    Example:
        >>> text = austen()
        >>> len(set(text)), text[:4]
        (81, 'EMMA')
    """
    return gzip.decompress(checked("austen.txt.gz").read_bytes()).decode("utf-8")


def digits(*, test_fraction: float = 0.2, seed: int = 0, standardise: bool = False) -> Dataset:
    """1,797 handwritten digits of 8 × 8 pixels in [0, 1]; 10 classes. Arguments as in `letter_recognition`.

    Example:
        >>> data = digits()
        >>> tuple(data.train_features.shape), float(data.train_features.max())
        ((1438, 64), 1.0)

    Reference: Alpaydin & Kaynak 1998, UCI; comes with scikit-learn.
    """
    return _bundled("digits", test_fraction, seed, standardise, scale=1 / 16)


def breast_cancer(*, test_fraction: float = 0.2, seed: int = 0, standardise: bool = True) -> Dataset:
    """569 tumours described by 30 numbers, malignant (0) or benign (1). Arguments as in `letter_recognition`.

    Example:
        >>> breast_cancer().class_names
        ('malignant', 'benign')

    Reference: Street, Wolberg & Mangasarian 1993; comes with scikit-learn.
    """
    return _bundled("breast_cancer", test_fraction, seed, standardise)


def wine(*, test_fraction: float = 0.2, seed: int = 0, standardise: bool = True) -> Dataset:
    """178 wines described by 13 chemical measurements; 3 growers. Arguments as in `letter_recognition`.

    Example:
        >>> wine().classes
        3

    Reference: Aeberhard & Forina 1992, UCI; comes with scikit-learn.
    """
    return _bundled("wine", test_fraction, seed, standardise)


def iris(*, test_fraction: float = 0.2, seed: int = 0, standardise: bool = True) -> Dataset:
    """150 iris flowers described by 4 lengths; 3 species. Arguments as in `letter_recognition`.

    Example:
        >>> iris().class_names
        ('setosa', 'versicolor', 'virginica')

    Reference: Fisher 1936, Annals of Eugenics 7; comes with scikit-learn.
    """
    return _bundled("iris", test_fraction, seed, standardise)


def diabetes(*, test_fraction: float = 0.2, seed: int = 0, standardise: bool = True) -> Dataset:
    """442 patients, 10 measurements; to predict: how far their diabetes is a year later, a score of 25 to 346.

    Arguments as in `letter_recognition`; the split is not stratified, and the score stays as it is.

    Example:
        >>> data = diabetes()
        >>> data.classes, data.train_labels.dtype
        (0, torch.float32)

    Reference: Efron, Hastie, Johnstone & Tibshirani 2004, Annals of Statistics 32; comes with scikit-learn.
    """
    return _bundled("diabetes", test_fraction, seed, standardise)


def _subset_images() -> tuple[np.ndarray, ...]:
    with np.load(checked("fashion_mnist_12k.npz")) as arrays:
        return tuple(arrays[name] for name in ("train_images", "train_labels", "test_images", "test_labels"))


def _draw_per_class(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Indices of `per_class` rows of each class, in random order."""
    if isinstance(per_class, bool) or not isinstance(per_class, int):
        raise bad_type("per_class", per_class, "a positive integer, or None")
    fewest = int(np.bincount(labels).min())
    if not 1 <= per_class <= fewest:
        raise bad_value("per_class", per_class, f"1 to {fewest}, the images there are of each class")
    order = _order(len(labels), seed)
    taken = np.concatenate([np.flatnonzero(labels[order] == k)[:per_class] for k in np.unique(labels)])
    return order[np.sort(taken)]


def _bundled(name: str, test_fraction: float, seed: int, standardise: bool, scale: float = 1.0) -> Dataset:
    import sklearn.datasets  # takes a second to import; most of the book does without

    found = getattr(sklearn.datasets, f"load_{name}")()
    names = tuple(str(word) for word in found.get("target_names", ()))
    return _split(name, (found.data * scale).astype(np.float32), found.target, names, test_fraction, seed, standardise)


def _split(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    test_fraction: float,
    seed: int,
    standardise: bool,
) -> Dataset:
    """Hold out a fraction of each class (of the whole where there are none); both parts in random order."""
    check_number("test_fraction", test_fraction, above=0, below=1)
    order = _order(len(labels), seed)
    groups = [np.flatnonzero(labels[order] == k) for k in range(len(class_names))] or [np.arange(len(labels))]
    held_out = np.zeros(len(labels), dtype=bool)
    for group in groups:
        held_out[group[: round(test_fraction * len(group))]] = True
    train, test = order[~held_out], order[held_out]
    if not len(train) or not len(test):
        raise bad_value("test_fraction", test_fraction, f"a fraction that leaves rows in both parts of {len(labels)}")
    if standardise:
        mean, deviation = features[train].mean(0), features[train].std(0)
        deviation[deviation == 0] = 1  # a constant feature becomes 0
        features = (features - mean) / deviation
    values = torch.from_numpy(features)
    targets = torch.from_numpy(labels.astype(np.int64 if class_names else np.float32))
    return Dataset(name, values[train], targets[train], values[test], targets[test], class_names)


def _order(count: int, seed: int) -> np.ndarray:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise bad_type("seed", seed, "an integer")
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).numpy()
