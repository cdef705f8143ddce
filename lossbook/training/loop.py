"""The training loop, one for every chapter: it measures, keeps snapshots, stops early, goes on where it was killed."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm.auto import tqdm

from lossbook.checks import bad_type, bad_value, check_count
from lossbook.training.checkpoint import load_state, save_state

Numbers = Mapping[str, float | Tensor]


@dataclass(frozen=True)
class Trained:
    """What training leaves beside the model: rows of numbers, snapshots (step, arrays), and where it ended."""

    history: pd.DataFrame
    snapshots: tuple[tuple[int, dict[str, np.ndarray]], ...]
    steps: int
    stopped: bool


def train(
    model: nn.Module,
    objective: Callable[[Any, Any], Tensor],
    batches: Callable[[], Any],
    optimizer: Optimizer,
    *,
    steps: int,
    transform: Callable[[Any, Any], None] | None = None,
    scheduler: Any = None,
    measure: Callable[[Any], Numbers] | None = None,
    probe: Callable[[Any], Numbers] | None = None,
    at: int | Collection[int] = 1,
    snapshot: Callable[[Any], Mapping[str, Any]] | None = None,
    snapshot_at: int | Collection[int] | None = None,
    stop: Callable[[dict[str, Any]], bool] | None = None,
    watch: Callable[[int, Any], None] | None = None,
    seeds: Sequence[int] | None = None,
    noise: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 500,
    rows: list[dict[str, Any]] | None = None,
    progress: bool = False,
) -> Trained:
    """Train a model in place, step by step, and measure it as often as asked, up to every step.

    A step: gradient of objective(model, batch), then `transform`, then the optimiser. A row at step t tells of the
    model after t steps.

    Args:
        model: any module. An `Ensemble` trains several seeds at once.
        objective: (model, batch) to a scalar; for an ensemble the sum over members of each one's mean loss.
        batches: called for the next batch, which may be anything. Where chance is in it, it has `state_dict` and
            `load_state_dict`, as `Shuffled` does; else every call is taken to give the same.
        optimizer: made on the model's parameters; `PerpGrad` and `SharpnessAware` wrap one.
        steps: at least 0.
        transform: (model, batch), changes the gradients in place. What it remembers is kept where it has
            `state_dict` and `load_state_dict`.
        scheduler: a torch learning-rate scheduler on the optimiser, stepped after each step.
        measure: model to named numbers, or tensors (members,), called in evaluation mode without gradients.
        probe: the same, called with the gradients of the batch that the next step takes, before `transform`. In full
            batches these are the gradients at this row's weights.
        at: the steps to measure at: every so many, or a collection. The first and the last are always among them.
        snapshot: model to named arrays, kept at `snapshot_at`.
        snapshot_at: as `at`, which is its default.
        stop: measured numbers to whether to end here.
        watch: called with (step, model) after each measurement, to show or keep what the history does not hold.
        seeds: a label for each member: the history then has a column `seed` and a row a member.
        noise: seeds what layers draw by themselves, such as dropout; None goes on from torch's own state, which stays.
        checkpoint: a file. Where it is there, training goes on from it, to the same bits as if never interrupted;
            written every `checkpoint_every` steps and at the end.
        rows: a list to append each row to as soon as it is there, so that an interruption leaves what was computed.
        progress: show a bar.

    Returns:
        `Trained(history, snapshots, steps, stopped)`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import squared_error
        >>> from lossbook.models import linear
        >>> x = torch.linspace(-1, 1, 20)[:, None]
        >>> model = linear(1, 1, generator=torch.Generator().manual_seed(0))
        >>> trained = train(
        ...     model,
        ...     lambda model, batch: squared_error(model(batch), 3 * batch).mean(),
        ...     lambda: x,
        ...     torch.optim.SGD(model.parameters(), lr=0.5),
        ...     steps=1000,
        ...     measure=lambda model: {"slope": model.weight.item()},
        ...     stop=lambda numbers: abs(numbers["slope"] - 3) < 1e-3,
        ... )
        >>> trained.stopped, len(trained.history) == trained.steps + 1 < 100
        (True, True)
    """
    check_count("steps", steps, least=0)
    check_count("checkpoint_every", checkpoint_every)
    measured, kept_at = (
        _chooser("at", at, steps),
        _chooser("snapshot_at", at if snapshot_at is None else snapshot_at, steps),
    )
    if not isinstance(optimizer, Optimizer):
        raise bad_type("optimizer", optimizer, "a torch optimiser")
    if noise is not None and not isinstance(noise, torch.Generator):
        raise bad_type("noise", noise, "a torch.Generator")
    rows = [] if rows is None else rows
    first_row = len(rows)
    kept: list[tuple[int, dict[str, np.ndarray]]] = []
    parts = {
        "model": model, "optimizer": optimizer, "scheduler": scheduler, "batches": batches, "transform": transform
    }  # fmt: skip
    parts = {name: part for name, part in parts.items() if hasattr(part, "state_dict")}
    path = None if checkpoint is None else Path(checkpoint)
    stopped = False

    with (
        _own_chance(noise, model) as chance,
        tqdm(total=steps, desc="training", disable=not progress, leave=False) as bar,
    ):
        step = 0
        if path is not None and path.exists():
            state = load_state(path)
            _restore(path, state, parts, steps)
            step = state["step"]
            rows += state["rows"]
            kept += state["snapshots"]
            chance.load(state["chance"])
            bar.update(step)
        begun = step
        while True:
            last = step == steps
            due = last or measured(step)
            ahead = _state(batches) if due and (probe or stop) else None  # a batch may be looked at and not used
            mark = len(rows), len(kept), None if path is None else chance.state()
            if path is not None and step > begun and step % checkpoint_every == 0:
                save_state(path, _whole(step, parts, rows[first_row:], kept, mark[2]))
            numbers = _look(model, measure if due else None)
            if snapshot is not None and (last or kept_at(step)):
                kept.append((step, _arrays(_look(model, snapshot))))
            if not last or probe:
                batch = batches()
                optimizer.zero_grad()
                objective(model, batch).backward()
            if due:
                if probe:
                    with torch.no_grad():
                        numbers |= probe(model)
                rows += _rows(step, numbers, seeds)
                if watch is not None:
                    with torch.no_grad():
                        watch(step, model)
                stopped = not last and stop is not None and bool(stop(numbers))
            if last or stopped:
                optimizer.zero_grad()
                if ahead is not None:
                    batches.load_state_dict(ahead)  # type: ignore[attr-defined]  # a batch that was only looked at
                if path is not None:  # without what this step has just measured: going on from here measures it again
                    save_state(path, _whole(step, parts, rows[first_row : mark[0]], kept[: mark[1]], mark[2]))
                break
            if transform is not None:
                transform(model, batch)
            if getattr(optimizer, "asks_again", False):
                optimizer.step(partial(_again, model, objective, optimizer, transform, batch))
            else:
                optimizer.step()
            if scheduler is not None:
                scheduler.step()
            step += 1
            bar.update()
    return Trained(pd.DataFrame(rows[first_row:]), tuple(kept), step, stopped)


def _again(model: Any, objective: Any, optimizer: Optimizer, transform: Any, batch: Any) -> Any:
    """The gradient of a step once more, at the weights as they stand now."""
    optimizer.zero_grad()
    loss = objective(model, batch)
    loss.backward()
    if transform is not None:
        transform(model, batch)
    return loss


def _chooser(argument: str, at: Any, steps: int) -> Callable[[int], bool]:
    """Whether a step is among those asked for."""
    if isinstance(at, int):
        check_count(argument, at)
        return lambda step: step % at == 0
    if not isinstance(at, Collection) or isinstance(at, str):
        raise bad_type(argument, at, "a number of steps, or a collection of steps")
    chosen = {int(step) for step in at}
    return lambda step: step == 0 or step in chosen


def _look(model: nn.Module, look: Callable[[Any], Mapping[str, Any]] | None) -> dict[str, Any]:
    """What `look` finds on the model in evaluation mode, without gradients."""
    if look is None:
        return {}
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return dict(look(model))
    finally:
        model.train(training)


def _arrays(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: value.detach().cpu().numpy().copy() if isinstance(value, Tensor) else np.array(value)
        for name, value in found.items()
    }


def _rows(step: int, numbers: Mapping[str, Any], seeds: Sequence[int] | None) -> list[dict[str, Any]]:
    """One row, or one for each member."""
    plain = {
        name: value.tolist() if isinstance(value, Tensor | np.ndarray) else value for name, value in numbers.items()
    }
    members = {len(value) for value in plain.values() if isinstance(value, list)}
    if seeds is None:
        if members:
            raise bad_value("seeds", seeds, f"a label for each member: numbers came for {members} members")
        return [{"step": step, **plain}]
    if members - {len(seeds)}:
        raise bad_value("seeds", list(seeds), f"a label for each member: numbers came for {members} members")
    return [
        {"seed": seed, "step": step}
        | {name: value[k] if isinstance(value, list) else value for name, value in plain.items()}
        for k, seed in enumerate(seeds)
    ]


class _Chance:
    """The state of what layers draw by themselves."""

    def __init__(self, cuda: list[torch.device]):
        self.cuda = cuda

    def state(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self.cuda)]

    def load(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for device, state in zip(self.cuda, states[1:], strict=False):
            torch.cuda.set_rng_state(state, device)


@contextmanager
def _own_chance(noise: torch.Generator | None, model: nn.Module) -> Iterator[_Chance]:
    """Inside it torch's generators may be moved; outside they stand where they stood."""
    cuda = sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)
    with torch.random.fork_rng(devices=[device.index or 0 for device in cuda]):
        if noise is not None:
            torch.manual_seed(int(torch.randint(2**62, (), generator=noise, device=noise.device)))
        yield _Chance(cuda)


def _state(batches: Any) -> Any:
    return batches.state_dict() if hasattr(batches, "state_dict") else None


def _whole(
    step: int, parts: Mapping[str, Any], rows: list[Any], kept: list[Any], chance: list[Tensor] | None
) -> dict[str, Any]:
    """All that the rest of the training follows from."""
    own = {name: part.state_dict() for name, part in parts.items()}
    return {"step": step, "rows": rows, "snapshots": kept, "chance": chance, "parts": own}


def _restore(path: Path, state: Any, parts: Mapping[str, Any], steps: int) -> None:
    try:
        if state["step"] > steps:
            raise ValueError(f"it stands at step {state['step']}, after the last one, {steps}")
        if set(state["parts"]) != set(parts):
            raise ValueError(f"it holds {', '.join(state['parts'])}")
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        expected = "a file written by the same training: same model, optimiser, batches and no fewer steps"
        raise ValueError(f"checkpoint: got {str(path)!r}, expected {expected} ({error})") from error
