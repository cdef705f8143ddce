"""Times and bytes: turns alternate, memory is what the allocator held at most."""

import os

import pytest
import torch
from torch.nn import functional as F

from lossbook.benchmarks import measure
from lossbook.benchmarks.measure import once, peak_bytes, take_turns

CPU = torch.device("cpu")


def test_methods_take_turns_in_an_order_that_reverses():
    seen = []
    take_turns(dict.fromkeys("abc", int), lambda key, _: seen.append(key), CPU, seconds=0, least=3)
    assert "".join(seen) == "abc" + "cba" + "abc"


def test_turns_go_on_until_the_seconds_are_spent_and_no_further_than_the_most(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    seen = []
    # One second a look at the clock: three a turn of one call (begin, end, spent), so the budget of 20 ends it.
    take_turns({"a": int}, lambda _, seconds: seen.append(seconds), CPU, seconds=20, least=1)
    assert set(seen) == {1}
    assert len(seen) == pytest.approx(20 / 3, abs=1)
    seen.clear()
    take_turns({"a": int}, lambda _, seconds: seen.append(seconds), CPU, seconds=1e9, least=1, most=4)
    assert len(seen) == 4


def test_what_comes_after_a_call_is_not_timed(monkeypatch):
    log, clock = [], iter(range(1000))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: log.append("clock") or next(clock))
    after = {"a": lambda: log.append("after")}
    take_turns({"a": lambda: log.append("call")}, lambda *_: None, CPU, seconds=0, least=1, most=1, after=after)
    assert log[-4:] == ["clock", "call", "clock", "after"]


def test_a_call_that_fails_has_no_further_turn_and_the_others_go_on():
    def broken():
        raise RuntimeError("no memory")

    kept, failed = [], []
    calls, counts = {"a": int, "b": broken, "c": int}, {"seconds": 0, "least": 2}
    take_turns(calls, lambda key, _: kept.append(key), CPU, fail=lambda *what: failed.append(what), **counts)
    assert kept == ["a", "c", "c", "a"]
    assert [(key, str(error)) for key, error in failed] == [("b", "no memory")]
    with pytest.raises(RuntimeError, match="no memory"):
        take_turns(calls, lambda *_: None, CPU, **counts)


def test_a_time_is_of_the_call_alone(monkeypatch):
    clock = iter((10.0, 12.5))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    assert once(int, CPU) == 2.5


def test_the_peak_counts_what_is_held_at_once_and_not_what_was_held_before():
    held = torch.zeros(1000, dtype=torch.float64)

    def call():
        first = held + 1
        second = first + 1
        del first
        return second.sum() + held.exp().sum()  # the second and exp at once

    assert peak_bytes(call, CPU) == pytest.approx(2 * held.nbytes, abs=64)
    assert peak_bytes(lambda: held.sum(), CPU) < 64


def test_the_peak_sees_inside_operations_and_their_backward_pass():
    features, weight = torch.randn(32, 8, requires_grad=True), torch.randn(500, 8, requires_grad=True)
    target = torch.zeros(32, dtype=torch.long)

    def eager():
        return torch.autograd.grad(F.cross_entropy(features @ weight.T, target), (features, weight))

    logits, gradients = 4 * 32 * 500, 4 * (32 + 500) * 8
    # Logits, log-probabilities and the gradient of the logits are there at once, and then the gradients.
    assert 2 * logits < peak_bytes(eager, CPU) < 3 * logits + gradients + 4096
    if hasattr(F, "linear_cross_entropy"):
        options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=4, chunking_method=None)

        def chunked():
            loss = F.linear_cross_entropy(features, weight, target, options=options)
            return torch.autograd.grad(loss, (features, weight))

        assert peak_bytes(chunked, CPU) < 0.8 * logits


def test_the_profiler_leaves_the_environment_as_it_was(monkeypatch):
    monkeypatch.delenv("KINETO_LOG_LEVEL", raising=False)
    peak_bytes(int, CPU)
    assert "KINETO_LOG_LEVEL" not in os.environ
    monkeypatch.setenv("KINETO_LOG_LEVEL", "2")
    peak_bytes(int, CPU)
    assert os.environ["KINETO_LOG_LEVEL"] == "2"
