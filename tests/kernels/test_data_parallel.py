"""Linear logits inside DistributedDataParallel, on each of two and of three processes started by conftest.py."""

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lossbook import LinearLogits
from lossbook.losses import cross_entropy


class Head(torch.nn.Module):
    """A layer of features and a classifier whose logits are never held."""

    def __init__(self):
        super().__init__()
        self.layer, self.classifier = torch.nn.Linear(5, 4).double(), torch.nn.Linear(4, 7).double()

    def forward(self, inputs, target, engine):
        logits = LinearLogits(self.layer(inputs), self.classifier.weight, self.classifier.bias, engine=engine)
        return cross_entropy(logits, target)


def made(processes):
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    inputs = torch.randn(4 * processes, 5, dtype=torch.float64, generator=generator)
    return Head(), inputs, torch.randint(7, (4 * processes,), generator=generator)


def case_gradients_are_those_of_one_process_with_the_whole_batch(group):
    for engine in ("chunked", "tile"):
        alone, inputs, target = made(dist.get_world_size())
        alone(inputs, target, engine).backward()
        model, *_ = made(dist.get_world_size())
        mine = slice(4 * dist.get_rank(), 4 * dist.get_rank() + 4)
        parallel = DistributedDataParallel(model)
        parallel(inputs[mine], target[mine], engine).backward()
        for found, wanted in zip(model.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("processes", [2, 3])
def test_gradients_are_those_of_one_process_with_the_whole_batch(processes, reports):
    report = reports(processes, __file__)["case_gradients_are_those_of_one_process_with_the_whole_batch"]
    assert report["passed"], report["found"]
