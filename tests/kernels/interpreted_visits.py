"""The chunked engine by Triton, in the interpreter: `test_triton_interpreted.py` runs it in a process of its own."""

import numpy as np
import pytest
import torch
from cases import LOGITS, linear, parts

from lossbook import LinearLogits
from lossbook.kernels import chunked, visits

RECORDS = [r for r in LOGITS if r.statistics and not r.companions and r.key != "reward_prediction_loss"]


@pytest.fixture(autouse=True)
def by_triton(monkeypatch):
    """The way of a GPU, on a CPU."""
    monkeypatch.setattr(chunked, "visit", visits._ByTriton)
    with np.errstate(all="ignore"):  # NumPy, which plays the GPU, warns of exp(−∞)
        yield


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.key)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_chunk_read_and_turned_into_its_gradient_by_kernels_gives_what_held_logits_give(record, reduction, generator):
    logits = linear(generator, (7,), 70, 4, rows_per_chunk=3)
    target = torch.randint(70, (7,), generator=generator)
    target[2] = -100
    made = LinearLogits(*parts(logits), engine="chunked", memory_budget=logits.memory_budget)
    found, wanted = (record.function(z, target, reduction=reduction).sum() for z in (made, logits.materialize()))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    both = (torch.autograd.grad(loss, parts(logits)) for loss in (found, wanted))
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
