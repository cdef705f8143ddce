"""What all tests share: one thread, a seeded generator, and hypothesis that draws the same cases every time."""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("lossbook", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("lossbook")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
