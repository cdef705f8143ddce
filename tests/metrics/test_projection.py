"""Features in three coordinates: what is kept, and which way it is turned."""

import pytest
import torch

from lossbook.metrics import in_three, simplex_corners


@pytest.mark.parametrize("classes", [2, 3, 4, 6])
def test_in_three_keeps_distances_in_the_space_of_the_means_and_turns_them_to_the_simplex(generator, classes):
    labels = torch.arange(classes).repeat_interleave(5)
    turn, _ = torch.linalg.qr(torch.randn(9, 9, generator=generator, dtype=torch.float64))
    corners = torch.eye(classes, 9, dtype=torch.float64)
    collapsed = 3 * (corners[labels] @ turn) + 1
    points = in_three(collapsed, labels)
    ideal = simplex_corners(classes)[labels]
    if classes <= 4:  # the means of more span more than three dimensions
        torch.testing.assert_close(points, ideal, rtol=0, atol=1e-10)
    spread = collapsed + torch.randn(collapsed.shape, generator=generator, dtype=torch.float64)
    found, rest = in_three(spread, labels), in_three(7 * spread @ turn, labels)
    torch.testing.assert_close(found.norm(dim=1), rest.norm(dim=1))  # neither scale nor rotation matters


def test_three_classes_show_their_angles_in_the_plane(generator):
    labels = torch.arange(3).repeat_interleave(20)
    means = torch.randn(3, 8, generator=generator, dtype=torch.float64)
    features = means[labels] + 0.3 * torch.randn(60, 8, generator=generator, dtype=torch.float64)
    points = in_three(features, labels)
    shown = torch.stack([points[labels == c].mean(0) for c in range(3)])
    own = torch.stack([features[labels == c].mean(0) for c in range(3)])
    own = own - own.mean(0)
    assert float(shown[:, 2].abs().max()) < 1e-12
    torch.testing.assert_close(torch.cdist(shown, shown), torch.cdist(own, own) / own.norm(dim=1).mean())


def test_too_few_units_are_refused():
    with pytest.raises(ValueError, match=r"seen: got a float32 tensor of shape \(4, 2\), expected .*three units"):
        in_three(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="labels: got classes 0, expected two or more"):
        in_three(torch.zeros(4, 3), torch.tensor([0, 0, 0, 0]))
