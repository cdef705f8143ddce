"""Long tails and many labels: real data of which some classes are rare, and pictures of several digits at once."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_count, check_generator, check_number
from lossbook.datasets._real import Dataset, digits

SIDE = 8  # pixels of a digit


def long_tailed(data: Dataset, *, ratio: float, generator: torch.Generator, shuffle: bool = False) -> Dataset:
    """The same data with a training part in which the classes thin out exponentially. The test part stays.

        n_k = n_0 ratio^{−k/(K−1)},  k = 0 … K − 1: the most frequent class has `ratio` times as many as the rarest

    Args:
        data: of classes. n_0 is as large as they allow.
        ratio: at least 1.
        generator: source of the choice of examples, and of the order of the classes where it is drawn.
        shuffle: True draws which classes are rare; False leaves the first the most frequent.

    Returns:
        The data, its training part in random order.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected; among them a ratio at which the
        rarest class would have no example.

    Example:
        >>> from lossbook.datasets import fashion_mnist
        >>> rare = long_tailed(fashion_mnist(), ratio=100, generator=torch.Generator().manual_seed(0))
        >>> rare.train_labels.bincount().tolist()
        [1000, 599, 359, 215, 129, 77, 46, 28, 17, 10]

    Reference: the profile of Cui et al. 2019, arXiv 1901.05555, and Cao et al. 2019, arXiv 1906.07413.
    """
    if not isinstance(data, Dataset):
        raise bad_type("data", data, "a Dataset")
    if data.classes < 2:
        raise bad_value("data", data.name, "data of at least two classes")
    check_number("ratio", ratio, at_least=1)
    check_generator(generator)
    if not isinstance(shuffle, bool):
        raise bad_type("shuffle", shuffle, "True or False")
    last, labels = data.classes - 1, data.train_labels
    order = torch.randperm(data.classes, generator=generator) if shuffle else torch.arange(data.classes)
    shares = torch.empty(data.classes, dtype=torch.float64)
    shares[order] = float(ratio) ** (-torch.arange(data.classes).double() / last)
    most = (labels.bincount(minlength=data.classes).double() / shares).min()
    sizes = (most * shares + 1e-9).round().long()  # 1e-9: a half that rounding has left below
    if int(sizes.min()) < 1:
        raise bad_value("ratio", ratio, f"at most about {int(2 * most)}: the rarest class would have no example")
    drawn = torch.randperm(len(labels), generator=generator)
    place = torch.zeros(len(labels), dtype=torch.long)  # of each drawn example among those of its class
    for k in range(data.classes):
        of_class = labels[drawn] == k
        place[of_class] = torch.arange(int(of_class.sum()))
    kept = drawn[place < sizes[labels[drawn]]]
    return replace(
        data, name=f"long-tailed {data.name}", train_features=data.train_features[kept], train_labels=labels[kept]
    )


@dataclass(frozen=True, eq=False)
class ManyLabels:
    """Pictures with several labels each. `train_labels` are those that are known, `complete_labels` all there are."""

    train_features: Float[Tensor, "train pixels"]
    train_labels: Float[Tensor, "train labels"]  # 0s and 1s
    complete_labels: Float[Tensor, "train labels"]
    test_features: Float[Tensor, "test pixels"]
    test_labels: Float[Tensor, "test labels"]  # complete
    label_names: tuple[str, ...]

    @property
    def labels(self) -> int:
        """The number of labels."""
        return len(self.label_names)

    @property
    def counts(self) -> Int[Tensor, " labels"]:
        """How many known positives each label has in the training part."""
        return self.train_labels.sum(0).long()


def digit_composites(
    train: int,
    test: int,
    *,
    most: int = 3,
    exponent: float = 1.5,
    missing: float = 0.0,
    noise: float = 0.2,
    generator: torch.Generator,
) -> ManyLabels:
    """Pictures of 16 × 16 pixels with one to `most` different digits in their four corners: which ones are there?

    Some digits are frequent, some rare: a digit is drawn with a chance that falls like a power of its rank (Zipf), and
    which digit has which rank is drawn as well. Training and test pictures are made of different handwriting.

    Args:
        train, test: how many pictures.
        most: digits a picture, from 1 to 4; each number of them is equally frequent.
        exponent: of Zipf's law, ≥ 0; 0 makes all digits equally frequent. It orders draws without replacement, so the
            frequencies of labels fall a little less steeply.
        missing: share of the positive training labels that are set to 0, each by itself, in [0, 1).
        noise: standard deviation of what is added to each pixel, of which the ink is 1.
        generator: source of all draws. Two calls that differ in `missing` alone give the same pictures.

    Returns:
        Pictures, labels known and complete, and the names of the ten labels.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> data = digit_composites(500, 100, generator=torch.Generator().manual_seed(0))
        >>> tuple(data.train_features.shape), float(data.train_labels.sum(1).max())
        ((500, 256), 3.0)
    """
    for name, count in (("train", train), ("test", test), ("most", most)):
        check_count(name, count)
    if most > 4:
        raise bad_value("most", most, "at most 4, a digit a corner")
    check_number("exponent", exponent, at_least=0)
    check_number("missing", missing, at_least=0, below=1)
    check_number("noise", noise, at_least=0)
    check_generator(generator)
    real = digits()
    rank = torch.randperm(real.classes, generator=generator)
    weight = (1.0 + rank) ** -exponent
    parts = []
    for features, classes, count in (
        (real.train_features, real.train_labels, train),
        (real.test_features, real.test_labels, test),
    ):
        chosen = torch.multinomial(weight.expand(count, -1), most, generator=generator)
        number = torch.randint(1, most + 1, (count, 1), generator=generator)
        there = torch.arange(most) < number
        corner = torch.rand(count, 4, generator=generator).argsort(1)[:, :most]
        pictures = torch.zeros(count, 4, SIDE * SIDE)
        for k in range(real.classes):
            hands = features[classes == k]
            row, place = ((chosen == k) & there).nonzero(as_tuple=True)
            pictures[row, corner[row, place]] = hands[torch.randint(len(hands), (len(row),), generator=generator)]
        canvas = pictures.reshape(count, 2, 2, SIDE, SIDE).permute(0, 1, 3, 2, 4).reshape(count, -1)
        labels = torch.zeros(count, real.classes).scatter_add(1, chosen, there.float())
        parts.append((canvas + noise * torch.randn(canvas.shape, generator=generator), labels))
    (train_features, complete), (test_features, test_labels) = parts
    known = complete * (torch.rand(complete.shape, generator=generator) >= missing)
    return ManyLabels(train_features, known, complete, test_features, test_labels, real.class_names)
