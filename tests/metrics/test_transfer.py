"""The transfer rate: over the examples that the target judges right, and only those."""

import pytest
import torch

from lossbook.losses import cross_entropy
from lossbook.metrics import transfer_rate
from lossbook.models import multilayer
from lossbook.training import projected_attack


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_is_the_count_of_a_loop():
    clean, moved = torch.randn(2, 200, 4, generator=seeded())
    target = torch.randint(4, (200,), generator=seeded(1))
    right = [i for i in range(200) if clean[i].argmax() == target[i]]
    fooled = sum(bool(moved[i].argmax() != target[i]) for i in right)
    assert float(transfer_rate(clean, moved, target)) == pytest.approx(fooled / len(right))


def test_nothing_moved_fools_nobody_and_each_network_has_its_own_rate():
    clean, moved = torch.randn(2, 50, 3, 4, generator=seeded())
    target = clean[:, 0].argmax(-1)
    assert transfer_rate(clean, clean, target).tolist() == [0, 0, 0]
    rates = transfer_rate(clean, moved, target)
    assert rates.tolist() == [float(transfer_rate(clean[:, k], moved[:, k], target)) for k in range(3)]


def test_a_radius_of_0_transfers_nothing_and_the_white_box_is_the_stronger_on_average():
    x = torch.rand(200, 6, generator=seeded(2))
    y = (x[:, 0] > x[:, 1]).long()
    models = [multilayer((6, 20, 2), generator=seeded(seed)) for seed in range(6)]
    for model in models:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(100):
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
    white, black = [], []
    for k, model in enumerate(models):
        for radius in (0.0, 0.1):
            moved = projected_attack(
                model, cross_entropy, x, y, radius=radius, start="clean", bounds=(0, 1), generator=seeded()
            )
            rates = [float(transfer_rate(m(x), m(moved), y)) for m in models]
            if radius == 0:
                assert rates == [0.0] * 6
        white.append(rates.pop(k))
        black.append(sum(rates) / 5)
    assert sum(white) > sum(black)
