"""One run: every method of every configuration checked, then timed in turns; what is done survives an interruption."""

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import pandas as pd
import torch

from lossbook.benchmarks.accuracy import Errors, Refused, Truth, errors, refuse_if_other, truth
from lossbook.benchmarks.configurations import Configuration, Inputs, inputs, narrow
from lossbook.benchmarks.measure import Call, peak_bytes, take_turns
from lossbook.benchmarks.methods import METHODS, Bare, Case, Function, Method, NotHere
from lossbook.benchmarks.peers import PEERS
from lossbook.benchmarks.record import table_of

ALL_METHODS = METHODS + PEERS


@dataclass
class Entry:
    """What is known of one method at one loss and configuration, so far."""

    configuration: Configuration
    loss: str
    method: Method
    status: str = "interrupted"  # "ok" once it is timed; else why it is not
    errors: Errors | None = None
    eager: Errors | None = None  # of the eager formula, to compare with
    peak: int | None = None  # bytes beyond the inputs, loss and gradients
    gradients: int = 0  # bytes of these gradients
    work: dict[str, float] = field(default_factory=dict)  # of bare work, by measure
    times: dict[str, list[float]] = field(default_factory=dict)  # seconds, by measure

    @property
    def version(self) -> str:
        """Of the package that the method is from; "" for the book and PyTorch, or where it is not installed."""
        try:
            return metadata.version(self.method.package) if self.method.package else ""
        except metadata.PackageNotFoundError:
            return ""


@dataclass
class _Ready:
    """An entry that passed its check, with what is called to time it."""

    entry: Entry
    calls: dict[str, Call]
    restore: Call | None


def run(
    chosen: Sequence[Configuration],
    device: torch.device | str = "cpu",
    *,
    methods: Sequence[Method] = ALL_METHODS,
    limit: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Measure the configurations in order.

    Args:
        chosen: configurations, as `lossbook.benchmarks.configurations` gives them.
        device: where to compute.
        methods: all that take part where they serve.
        limit: seconds after which no further configuration is begun; None for no limit.
        say: is given a line for each method as it is checked, and for what is left out.

    Returns:
        The tidy table, a row for each configuration, loss, method and measure: see `lossbook.benchmarks.record`. After
        an interruption (Ctrl-C), the rows of what was done; `attrs["interrupted"]` says so.
    """
    device, began, entries = torch.device(device), time.perf_counter(), list[Entry]()
    interrupted = False
    try:
        for configuration in chosen:
            if limit is not None and time.perf_counter() - began > limit:
                say(f"left out, {limit:g} s are over: {configuration}")
                continue
            say(f"{configuration}")
            with warnings.catch_warnings():  # of peers, about themselves
                warnings.simplefilter("ignore")
                try:
                    _measure(configuration, device, methods, entries, say)
                except Exception as why:  # no memory for the inputs, say: the other configurations go on
                    say(f"  {_failed(why)}")
    except KeyboardInterrupt:
        interrupted = True
        say("interrupted: what was measured is kept")
    found = table_of(entries, device)
    found.attrs["interrupted"] = interrupted
    return found


def _measure(
    configuration: Configuration,
    device: torch.device,
    methods: Sequence[Method],
    entries: list[Entry],
    say: Callable[[str], None],
) -> None:
    given = inputs(configuration, device)
    few = narrow(configuration, given, configuration.check_rows)
    ready: list[_Ready] = []
    for loss in dict.fromkeys((*configuration.losses, *configuration.ours)):
        judge = _Judge(configuration, few, loss, device)
        for method in methods:
            if not method.serves(configuration, loss, device):
                continue
            entry = Entry(configuration, loss, method)
            entries.append(entry)
            began = time.perf_counter()
            found = _prepare(entry, given, judge, device)
            took = time.perf_counter() - began
            say(f"  {loss}, {method.name}: {'checked' if found else entry.status} ({took:.1f} s)")
            if found:
                ready.append(found)
    calls = {(k, measure): call for k, one in enumerate(ready) for measure, call in one.calls.items()}
    restore = {key: ready[key[0]].restore for key in calls if ready[key[0]].restore is not None}

    def keep(key: tuple[int, str], seconds: float) -> None:
        entry = ready[key[0]].entry
        entry.times.setdefault(key[1], []).append(seconds)
        entry.status = "ok"

    def fail(key: tuple[int, str], why: Exception) -> None:
        entry = ready[key[0]].entry
        entry.status = _failed(why)
        say(f"  {entry.loss}, {entry.method.name}: {entry.status}")

    limits: dict[str, Any] = {"seconds": configuration.seconds, "least": configuration.least}
    take_turns(calls, keep, device, after=restore, fail=fail, **limits)  # type: ignore[arg-type]


class _Judge:
    """The truth of one loss at one configuration, and how far eager is from it; found when first asked for."""

    def __init__(self, configuration: Configuration, few: Inputs, loss: str, device: torch.device):
        self.configuration, self.few, self.loss, self.device = configuration, few, loss, device
        self._truth: Truth | None = None
        self._eager: Errors | None = None

    def errors_of(self, method: Method, function: Function) -> tuple[Errors, Errors | None]:
        """A method's errors and eager's; refused when the method does other work."""
        if self._truth is None:
            self._truth = truth(self.configuration, self.few, self.loss)
            with suppress(Exception):  # where eager has not the memory, the others are held to the floor alone
                self._eager = self._of(next(m for m in METHODS if m.eager and m.kind == self.configuration.kind))
        dtype = getattr(torch, self.configuration.dtype)
        found = self._eager if method.eager and self._eager is not None else self._of(method, function)
        refuse_if_other(found, None if method.eager else self._eager, dtype, approximate=method.approximate)
        return found, self._eager

    def _of(self, method: Method, function: Function | Bare | None = None) -> Errors:
        case = Case(self.configuration, self.loss, self.few.target, self.device)
        few = self.few
        if method.overwrites:
            few = Inputs(tuple(t.detach().clone().requires_grad_() for t in few.tensors), few.target)
        if function is None or len(self.few.target) < self.configuration.rows:
            function = method.build(case)  # for fewer rows: the targets are built in
        assert not isinstance(function, Bare)
        assert self._truth is not None
        return errors(function, few, self._truth)


def _prepare(entry: Entry, given: Inputs, judge: _Judge, device: torch.device) -> _Ready | None:
    """Build a method, check it, warm it up and take its memory; None, and a status that says why, where that fails."""
    configuration, method = entry.configuration, entry.method
    try:
        function = method.build(Case(configuration, entry.loss, given.target, device))
        if isinstance(function, Bare):
            wanted = configuration.measures if len(function.calls) > 1 else tuple(function.calls)
            calls = {name: call for name, call in function.calls.items() if name in wanted}
            entry.work = {name: function.work[name] for name in calls}
            for call in calls.values():
                call()
            return _Ready(entry, calls, None)
        entry.errors, entry.eager = judge.errors_of(method, function)
        leaves = given.tensors
        restore = _restore(given) if method.overwrites else None
        constants = tuple(tensor.detach() for tensor in leaves)

        def both() -> Any:
            return torch.autograd.grad(function(*leaves), leaves, allow_unused=True)

        def forward() -> Any:
            with torch.no_grad():
                return function(*constants)

        calls = {name: call for name, call in (("forward", forward), ("both", both)) if name in configuration.measures}
        for name, call in calls.items():  # compilation and first touches are not timed
            if device.type == "cuda" or method.compiles or name == "forward":
                call()
                if restore:
                    restore()
        if "both" in calls:
            entry.peak = peak_bytes(both, device)
            entry.gradients = sum(tensor.nbytes for tensor in leaves)
            if restore:
                restore()
        return _Ready(entry, calls, restore)
    except NotHere as why:
        entry.status = f"not here: {_line(why)}"
    except Refused as why:
        entry.status = f"refused: {_line(why)}"
    except Exception as why:  # a peer may fail in any way; that is a finding, and the others go on
        entry.status = _failed(why)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return None


def _restore(given: Inputs) -> Call:
    kept = given.tensors[0].detach().clone()
    return lambda: given.tensors[0].detach().copy_(kept)


def _failed(error: Exception) -> str:
    return f"failed: {type(error).__name__}: {_line(error)}"


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:160]
