"""Features of many units in three coordinates, turned so that collapse is seen."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook.checks import bad_value
from lossbook.metrics.angles import simplex_etf
from lossbook.metrics.neural_collapse import class_means


def in_three(
    seen: Float[Tensor, "examples units"], labels: Int[Tensor, " examples"]
) -> Float[Tensor, "examples three"]:
    """Features in three coordinates: first the plane, or the space, of the class means, then where they spread most.

    Args:
        seen: (examples, units), at least three units.
        labels: (examples,) classes from 0 to K − 1.

    Returns:
        (examples, 3) in float64, the centre of the means at 0 and the mean length of a centred mean 1, turned so that
        the means lie as near as they can to a simplex that stands still. With three classes the first two coordinates
        hold the means entirely, and the third is the direction at right angles in which features spread most.

    Raises:
        ValueError: fewer than three units.

    Example:
        >>> means = torch.eye(3)
        >>> found = in_three(means[[0, 1, 2, 0]] * 2, torch.tensor([0, 1, 2, 0]))
        >>> bool(torch.allclose(found[:3].norm(dim=1), torch.ones(3).double())), float(found[:, 2].abs().max()) < 1e-12
        (True, True)
    """
    if seen.ndim != 2 or seen.shape[1] < 3:
        raise bad_value("seen", seen, "shape (examples, units) with at least three units")
    means = class_means(seen, labels)
    centred = means.centred
    plane = torch.linalg.svd(centred, full_matrices=False).Vh[: min(3, len(centred) - 1)]
    about = seen.double() - means.centre
    along = about @ plane.T
    left, _, right = torch.linalg.svd((centred @ plane.T).T @ simplex_corners(len(centred))[:, : len(plane)])
    rest = about - along @ plane
    beside = rest @ torch.linalg.svd(rest, full_matrices=False).Vh[: 3 - len(plane)].T
    beside = beside * torch.where(beside[0] < 0, -1.0, 1.0)  # a singular vector has no sign of its own
    return torch.cat([along @ left @ right, beside], 1) / centred.norm(dim=1).mean()


def simplex_corners(classes: int) -> Float[Tensor, "classes three"]:
    """Where `in_three` shows a perfect simplex: (classes, 3), corners at distance 1 as far as three axes show them.

    Example:
        >>> [[round(x, 3) + 0.0 for x in corner] for corner in simplex_corners(3).tolist()]
        [[1.0, 0.0, 0.0], [-0.5, 0.866, 0.0], [-0.5, -0.866, 0.0]]
    """
    corners = simplex_etf(classes)
    return nn.functional.pad(corners, (0, max(0, 4 - classes)))[:, :3]
