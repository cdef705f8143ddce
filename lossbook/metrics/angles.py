"""Vectors and the angles between them: the simplex that K classes end in, and how far others are from it.

The first axis is the classes, the last the units; axes between them, such as the members of an `Ensemble`, are measured
one by one. All is computed in float64.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import (
    bad_value,
    check_count,
    check_floating,
    check_generator,
    check_same_device,
    check_same_shape,
)

Vectors = Float[Tensor, "classes *members units"]
Numbers = Float[Tensor, "*members"]


def simplex_etf(
    classes: int, *, units: int | None = None, generator: torch.Generator | None = None
) -> Float[Tensor, "classes units"]:
    """A simplex equiangular tight frame: unit vectors of which every two are as far apart as K vectors can be.

        ⟨v_c, v_c'⟩ = −1/(K − 1) for c ≠ c'

    Args:
        classes: K, at least 2.
        units: coordinates of a vector, at least K − 1; None is K − 1.
        generator: turns the frame at random; None leaves it as it is.

    Returns:
        (classes, units) in float64; a row a vector.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> frame = simplex_etf(3)
        >>> (frame @ frame.T).round(decimals=6).tolist()
        [[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]]

    Limits: K unit vectors have a cosine of −1/(K − 1) or more between some two, for 0 ≤ ‖Σ v_c‖² = K + Σ_{c≠c'} cos.
    Reference: Papyan, Han & Donoho 2020, arXiv 2008.08186.
    """
    check_count("classes", classes, least=2)
    units = classes - 1 if units is None else units
    check_count("units", units, least=classes - 1)
    frame = torch.zeros(classes, units, dtype=torch.float64)
    # Axis by axis, vector k gets the length that it lacks, and all later ones the product with it that they lack.
    for axis in range(classes - 1):
        shared = frame[axis].square().sum()
        frame[axis, axis] = (1 - shared).sqrt()
        frame[axis + 1 :, axis] = (-1 / (classes - 1) - shared) / (1 - shared).sqrt()
    if generator is None:
        return frame
    check_generator(generator)
    drawn = torch.randn(units, units, dtype=torch.float64, generator=generator, device=generator.device)
    return frame @ torch.linalg.qr(drawn).Q.cpu()


def equinorm(vectors: Vectors) -> Numbers:
    """NC2, lengths: the standard deviation of the vectors' lengths over their mean; 0 where all are as long.

    Args:
        vectors: (classes, *members, units): centred class means, or class weights. At least two.

    Returns:
        One number a member. The standard deviation is the unbiased one, as in the published notebook.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(equinorm(torch.diag(torch.tensor([1.0, 1.0, 1.0]))))
        0.0

    Reference: Papyan, Han & Donoho 2020, arXiv 2008.08186.
    """
    lengths = vectors_of("vectors", vectors).norm(dim=-1)
    return lengths.std(0) / lengths.mean(0)


def cosines(vectors: Vectors) -> Float[Tensor, "*members classes classes"]:
    """The cosine of every two vectors; NaN where one of them is 0.

    Args:
        vectors: as in `equinorm`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> cosines(torch.tensor([[2.0, 0.0], [-3.0, 0.0]])).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    vectors = vectors_of("vectors", vectors)
    return gram(vectors / vectors.norm(dim=-1, keepdim=True))


def coherence(vectors: Vectors) -> Numbers:
    """NC2, angles: how far the cosines are from those of the simplex ETF, on average.

        mean over c ≠ c' of |cos(v_c, v_c') + 1/(K − 1)|

    Args:
        vectors: as in `equinorm`.

    Returns:
        One number a member; 0 where every two vectors stand at the angle of a simplex.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> round(float(coherence(torch.eye(5))), 6)                    # orthonormal: 1/(K − 1)
        0.25

    Reference: Papyan, Han & Donoho 2020, arXiv 2008.08186.
    """
    found = cosines(vectors)
    classes = found.shape[-1]
    away = (found + 1 / (classes - 1)).abs()
    apart = 1 - torch.eye(classes, dtype=away.dtype, device=away.device)
    return (away * apart).sum((-2, -1)) / (classes * (classes - 1))


def gram(first: Vectors, second: Vectors | None = None) -> Float[Tensor, "*members classes classes"]:
    """The products of every row of one with every row of the other, ⟨first_c, second_c'⟩; by default with itself.

    Args:
        first, second: (classes, *members, units).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> gram(torch.tensor([[1.0, 0.0], [1.0, 2.0]])).tolist()
        [[1.0, 1.0], [1.0, 5.0]]
    """
    first = vectors_of("first", first)
    second = first if second is None else vectors_of("second", second)
    check_same_shape("second", second, "first", first)
    return first.movedim(0, -2) @ second.movedim(0, -2).transpose(-2, -1)


def frame_distance(
    products: Float[Tensor, "*members classes classes"], target: Float[Tensor, "classes classes"] | None = None
) -> Numbers:
    """NC2 and NC3 (zhu): how far a matrix of products is from that of a frame, both scaled to Frobenius norm 1.

        ‖G/‖G‖_F − T/‖T‖_F‖_F

    With G = W Wᵀ it is NC2, with G = W Mᵀ, M the class means, it is NC3.

    Args:
        products: (*members, classes, classes), from `gram`.
        target: (classes, classes); None is the simplex ETF, I − 11ᵀ/K. The identity is an orthogonal frame, a diagonal
            matrix a general orthogonal one.

    Returns:
        One number a member, from 0 to 2; NaN where all products are 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> round(float(frame_distance(torch.eye(4))), 6), float(frame_distance(torch.eye(4), torch.eye(4)))
        (0.517638, 0.0)

    Reference: Zhu et al. 2021, arXiv 2105.02375; Dang et al. 2023, arXiv 2301.00437.
    """
    if check_floating("products", products).ndim < 2 or not products.shape[-2] == products.shape[-1] >= 2:
        raise bad_value("products", products, "shape (*members, classes, classes) with at least two classes")
    classes = products.shape[-1]
    if target is None:
        target = torch.eye(classes, dtype=torch.float64, device=products.device) - 1 / classes
    elif check_floating("target", target).shape != (classes, classes):
        raise bad_value("target", target, f"shape ({classes}, {classes})")
    check_same_device("target", target, "products", products)
    check_finite("products", products)
    check_finite("target", target)
    first, second = (
        each / each.square().sum((-2, -1), keepdim=True).sqrt() for each in (products.double(), target.double())
    )
    return (first - second).square().sum((-2, -1)).sqrt()


def vectors_of(name: str, value: Any) -> Tensor:
    """The vectors in float64; refuse what is not (classes, *members, units) with at least two classes."""
    if check_floating(name, value).ndim < 2 or len(value) < 2 or value.numel() == 0:
        raise bad_value(name, value, "shape (classes, *members, units) with at least two classes")
    check_finite(name, value)
    return value.double()


def check_finite(name: str, value: Tensor) -> None:
    """Refuse NaN and infinite numbers."""
    if not bool(value.isfinite().all()):
        raise ValueError(f"{name}: got NaN or infinite numbers, expected finite ones")
