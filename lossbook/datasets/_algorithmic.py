"""Tasks with a rule behind them, small enough to hold all of it: what is not trained on is what is generalised to."""

import torch
from torch import Tensor

from lossbook.checks import bad_value, check_choice, check_count, check_generator, check_number
from lossbook.datasets._real import Dataset


def modular_addition(
    modulus: int = 113, *, fraction: float = 0.4, encoding: str = "one-hot", generator: torch.Generator
) -> Dataset:
    """All pairs (a, b) below a modulus p, with the class (a + b) mod p: some to train on, the others held out.

    Args:
        modulus: p, at least 2: there are p² pairs and p classes.
        fraction: of the pairs to train on, above 0 and below 1; rounded down, at least one pair on either side.
        encoding: "one-hot" gives features (pairs, 2 p), a 1 for a and a 1 for b; "indices" the two numbers, (pairs, 2).
        generator: source of the split.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> data = modular_addition(5, encoding="indices", generator=torch.Generator().manual_seed(0))
        >>> len(data.train_labels), len(data.test_labels)
        (10, 15)
        >>> bool((data.test_features.sum(1) % 5 == data.test_labels).all())
        True

    Reference: Power et al. 2022, arXiv 2201.02177; sizes of Prieto et al. 2025, arXiv 2501.04697.
    """
    check_count("modulus", modulus, least=2)
    check_number("fraction", fraction, above=0, below=1)
    check_choice("encoding", encoding, ("one-hot", "indices"))
    check_generator(generator)
    numbers = torch.arange(modulus, device=generator.device)
    pairs = torch.cartesian_prod(numbers, numbers)
    labels = pairs.sum(1) % modulus
    trained = int(fraction * len(pairs))
    if not trained:
        raise bad_value("fraction", fraction, f"at least one of the {len(pairs)} pairs to train on")
    features = pairs
    if encoding == "one-hot":
        features = torch.nn.functional.one_hot(pairs, modulus).flatten(1).float()
    order = torch.randperm(len(pairs), generator=generator, device=generator.device)
    names = tuple(str(number) for number in range(modulus))
    return _split("modular addition", features[order], labels[order], trained, names)


def sparse_parity(
    *,
    relevant: int = 3,
    noise: int = 30,
    train: int = 800,
    test: int = 800,
    constant: bool = True,
    generator: torch.Generator,
) -> Dataset:
    """Random bits, of which the first few decide: the class is the parity of their sum. The others say nothing.

    Args:
        relevant: bits that count, at least 1.
        noise: bits that do not.
        train, test: examples of each part, drawn independently.
        constant: whether a feature that is always 1 comes last, in place of a bias.
        generator: source of the bits.

    Returns:
        Features 0 or 1, (examples, relevant + noise + constant), float32; classes "even" and "odd".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> data = sparse_parity(noise=4, generator=torch.Generator().manual_seed(0))
        >>> tuple(data.train_features.shape)
        (800, 8)
        >>> bool((data.train_features[:, :3].sum(1) % 2 == data.train_labels).all())
        True

    Reference: Barak et al. 2022, arXiv 2207.08799; as used by Prieto et al. 2025, arXiv 2501.04697.
    """
    for name, value, least in (("relevant", relevant, 1), ("noise", noise, 0), ("train", train, 1), ("test", test, 1)):
        check_count(name, value, least=least)
    check_generator(generator)
    shape = (train + test, relevant + noise)
    bits = torch.randint(0, 2, shape, generator=generator, device=generator.device)
    labels = bits[:, :relevant].sum(1) % 2
    features = bits.float()
    if constant:
        features = torch.cat([features, torch.ones_like(features[:, :1])], 1)
    return _split("sparse parity", features, labels, train, ("even", "odd"))


def _split(name: str, features: Tensor, labels: Tensor, trained: int, names: tuple[str, ...]) -> Dataset:
    return Dataset(name, features[:trained], labels[:trained], features[trained:], labels[trained:], names)
