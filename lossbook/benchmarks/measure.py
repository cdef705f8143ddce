"""Seconds and bytes: turns that alternate between methods, and the most that the allocator held.

**Time.** Methods take turns, one call each, in an order that reverses from round to round: what drifts (clock, heat,
neighbours) hits all of them, so ratios within a run hold where absolute times do not. On a GPU a call is timed by CUDA
events and begins with a cold second-level cache; on a CPU by the wall clock.

**Memory.** The most that was held during one call beyond what was held before it. On a GPU the caching allocator
counts it; on a CPU the profiler reports what each call asks of torch's allocator and gives back, and the largest
running sum is the peak. That is deterministic and sees inside compiled and fused operations. It does not see the
packing buffers of the matrix library (megabytes, the same for all methods), nor memory taken from elsewhere.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

COLD_BYTES = 2**28  # written between calls on a GPU: five times an H100's second-level cache

Call = Callable[[], Any]


def once(call: Call, device: torch.device, cold: torch.Tensor | None = None) -> float:
    """Seconds that one call takes."""
    if device.type != "cuda":
        began = time.perf_counter()
        call()
        return time.perf_counter() - began
    began_event, ended_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    if cold is not None:
        cold.zero_()
    began_event.record()
    call()
    ended_event.record()
    torch.cuda.synchronize(device)
    return began_event.elapsed_time(ended_event) / 1000


def take_turns(
    calls: Mapping[Any, Call],
    keep: Callable[[Any, float], None],
    device: torch.device,
    *,
    seconds: float,
    least: int,
    most: int = 50,
    after: Mapping[Any, Call] | None = None,
    fail: Callable[[Any, Exception], None] | None = None,
) -> None:
    """Time the calls in turns until the seconds are spent, each at least `least` and at most `most` times.

    Args:
        calls: by key.
        keep: called with the key and the seconds of each call, at once, so that an interruption loses nothing.
        device: where the calls compute.
        seconds, least, most: how long.
        after: what to do after a call, untimed, by key.
        fail: is given the key and the error of a call that fails, which then has no further turn; None: it is raised.

    Example:
        >>> seen = []
        >>> take_turns({"a": int, "b": int}, lambda key, _: seen.append(key), torch.device("cpu"), seconds=0, least=2)
        >>> seen
        ['a', 'b', 'b', 'a']
    """
    cold = torch.empty(COLD_BYTES, dtype=torch.int8, device=device) if device.type == "cuda" else None
    began = time.perf_counter()
    order = list(calls)
    for turn in range(most):
        if turn >= least and time.perf_counter() - began > seconds:
            return
        for key in tuple(order):
            try:
                keep(key, once(calls[key], device, cold))
                if after and key in after:
                    after[key]()
            except Exception as error:
                if fail is None:
                    raise
                fail(key, error)
                order.remove(key)
        order.reverse()


def peak_bytes(call: Call, device: torch.device) -> int:
    """The most bytes that a call holds beyond what is held before it.

    Example:
        >>> peak_bytes(lambda: torch.ones(1000).exp().sum(), torch.device("cpu"))      # two vectors
        8000
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _quiet_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watch:
        call()
    events = [event for event in watch.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@contextmanager
def _quiet_profiler() -> Iterator[None]:
    # It announces its start and stop on the error stream unless this is set.
    name = "KINETO_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ[name] = before or "6"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
