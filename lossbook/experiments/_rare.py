"""Data with few positives, and what decisions on them are worth."""

import torch
from sklearn.datasets import make_classification
from torch import Tensor

from lossbook.checks import check_choice
from lossbook.datasets import breast_cancer, letter_recognition
from lossbook.metrics import accuracy, balanced_accuracy, f_beta, g_mean

METRICS = {"accuracy": accuracy, "balanced accuracy": balanced_accuracy, "F1": f_beta, "G-mean": g_mean}
DATA = ("synthetic", "letter A", "tumours")


def rare(
    name: str, seed: int, *, points: int = 4000, test_points: int = 20_000
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A data set with few positives: training features and labels, test features and labels.

    Args:
        name: "synthetic", 5 % positives; "letter A", A against the other letters, 4 %; "tumours", malignant ones
            against benign ones, thinned out to one in ten.
        seed: of the data and of the split.
        points, test_points: of the synthetic data.

    Example:
        >>> features, labels, *_ = rare("tumours", 0)
        >>> tuple(features.shape), round(float(labels.mean()), 2)
        ((190, 30), 0.1)
    """
    check_choice("name", name, DATA)
    if name == "synthetic":
        x, y = make_classification(points + test_points, weights=[0.95], class_sep=0.8, random_state=seed)
        parts = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
        return parts[0][:points], parts[1][:points], parts[0][points:], parts[1][points:]
    if name == "letter A":
        data = letter_recognition(seed=seed, test_fraction=0.5)
        return (
            data.train_features,
            (data.train_labels == 0).float(),
            data.test_features,
            (data.test_labels == 0).float(),
        )
    data = breast_cancer(seed=seed, test_fraction=0.5)
    train = thinned(data.train_features, (data.train_labels == 0).float(), 9.0)
    return (*train, *thinned(data.test_features, (data.test_labels == 0).float(), 9.0))


def thinned(features: Tensor, right: Tensor, negatives: float) -> tuple[Tensor, Tensor]:
    """All negatives and the first positives, or the other way round, so that there are so many negatives a positive."""
    positive, negative = right.nonzero()[:, 0], (right == 0).nonzero()[:, 0]
    count = min(len(positive), int(len(negative) / negatives))
    kept = torch.cat([positive[:count], negative[: round(count * negatives)]])
    return features[kept], right[kept]


def scored(scores: Tensor, right: Tensor) -> dict[str, float]:
    """Four metrics at threshold 1/2, and where the probabilities of positives and negatives lie."""
    decisions = (scores > 0).float()
    p = torch.sigmoid(scores)
    low, median, high = torch.quantile(p[right == 1], torch.tensor([0.1, 0.5, 0.9])).tolist()
    found = {name: float(metric(decisions, right)) for name, metric in METRICS.items()}
    return found | {"low": low, "median": median, "high": high, "below": float((p[right == 0] < 0.1).float().mean())}


def vowels(ratio: float, seed: int) -> tuple[Tensor, ...]:
    """Letter images, one vowel for `ratio` consonants: training features and labels, test features and labels.

    Example:
        >>> _, labels, *_ = vowels(50.0, 0)
        >>> round(float((1 - labels).sum() / labels.sum()), 1)
        50.0
    """
    data = letter_recognition(seed=seed, test_fraction=0.5)
    kind = torch.tensor([ord(letter) - ord("A") for letter in "AEIOU"])
    train = thinned(data.train_features, torch.isin(data.train_labels, kind).float(), ratio)
    return (*train, *thinned(data.test_features, torch.isin(data.test_labels, kind).float(), ratio))
