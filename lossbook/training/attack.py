"""Attacks: the small change of an input, inside a box, that hurts a model most.

Projected gradient ascent from a random start. The radius bounds each coordinate (the l∞ ball).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import (
    bad_type,
    bad_value,
    check_choice,
    check_count,
    check_floating,
    check_generator,
    check_number,
)

Loss = Callable[[Tensor, Tensor], Tensor]  # (scores, target) to one loss a row, or to its mean or sum
Model = Callable[[Tensor], Tensor]  # a network, or any other way from inputs to scores
Attack = Callable[[Any, Tensor, Tensor], Tensor]  # (model, inputs, target) to the moved inputs
Bounds = tuple[float, float] | None
STARTS, KEEPS = ("random", "clean"), ("last", "best")


def projected_attack(
    model: Model,
    loss: Loss | Sequence[Loss],
    inputs: Float[Tensor, "..."],
    target: Int[Tensor, "*batch"],
    *,
    radius: float,
    steps: int = 10,
    step_size: float | Sequence[float] | None = None,
    bounds: Bounds = None,
    start: str = "random",
    restarts: int = 1,
    keep: str = "last",
    watch: Callable[[int, Tensor], None] | None = None,
    generator: torch.Generator,
) -> Float[Tensor, "..."]:
    """Inputs moved to where a loss is high, by projected gradient ascent.

        x' ← Π(x' + α sign ∂ℓ(f(x'), y)/∂x'),  Π clips each coordinate to within the radius of x, and to the bounds

    Args:
        model: inputs to scores (*batch, classes).
        loss: (scores, target) to one loss a row, or to its mean or sum. Several: one for each step.
        inputs: (*batch, ...), the clean inputs.
        target: (*batch) class indices.
        radius: of the l∞ ball, in the unit of the inputs; 0 leaves them as they are.
        steps: of ascent; 0 gives the start.
        step_size: α; several: one for each step, as `lossbook.training.cosine_steps` gives. None takes
            2.5 · radius / steps, enough to cross the ball.
        bounds: lowest and highest value of a coordinate, such as (0, 1) of pixels; None: none.
        start: "random", uniform in the ball, or "clean", at the inputs.
        restarts: attempts, each from a start of its own. More than one keep the best.
        keep: "last" gives where the steps end. "best" looks at every point on the way: a row stays at the first that is
            judged wrong and is moved no more; one that never is, goes where the (last) loss was highest.
        watch: called with (points seen so far, scores) at each point of the way, the end too.
        generator: source of the starts.

    Returns:
        The moved inputs, detached.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import cross_entropy
        >>> model, x, y = torch.nn.Identity(), torch.tensor([[2.0, 0.0]]), torch.tensor([0])
        >>> projected_attack(model, cross_entropy, x, y, radius=0.5, generator=torch.Generator().manual_seed(0))
        tensor([[1.5000, 0.5000]])

    Reference: Madry et al. 2018, arXiv 1706.06083.
    """
    check_count("steps", steps, least=0)
    check_count("restarts", restarts)
    check_choice("keep", keep, KEEPS)
    losses: Any = [loss] * max(1, steps) if callable(loss) else loss
    if not isinstance(losses, Sequence) or not all(map(callable, losses)):
        raise bad_type("loss", loss, "a function of (scores, target), or one for each step")
    if len(losses) != max(1, steps):
        raise bad_value("loss", loss, f"one function, or one for each of {steps} steps")
    best = _Best(inputs.detach(), target) if keep == "best" or restarts > 1 else None
    seen = 0

    def rise(moved: Tensor, step: int) -> Tensor:
        nonlocal seen
        scores = model(moved)
        if watch is not None:
            watch(seen, scores.detach())
        seen += 1
        values = losses[min(step, len(losses) - 1)](scores, target)
        if best is not None:
            ranked = values if step >= len(losses) - 1 else losses[-1](scores, target)
            best.look(moved.detach(), scores.detach(), ranked.detach())
        return values.sum()

    for _ in range(restarts):
        held = None if best is None else best.hold
        moved = _ascend(rise, inputs, radius, steps, step_size, generator, bounds, start, held)
        if best is not None or watch is not None:
            with torch.no_grad():
                rise(moved, steps)
        if best is not None and bool(best.wrong.all()):
            break
    return moved if best is None else best.point


def margin_attack(
    model: Model,
    inputs: Float[Tensor, "batch ..."],
    target: Int[Tensor, " batch"],
    *,
    radius: float,
    steps: int = 10,
    step_size: float | Sequence[float] | None = None,
    bounds: Bounds = None,
    generator: torch.Generator,
) -> Float[Tensor, "batch ..."]:
    """Inputs moved to where the margins differ most from those of the clean inputs.

        argmax_{‖x' − x‖∞ ≤ radius} ‖D(x') − D(x)‖₂,   D_k = z_y − z_k,  k ≠ y

    It looks for the supremum in `lossbook.losses.smooth_adversarial_comp_sum_loss`, by the steps of `projected_attack`.

    Args:
        model: inputs to scores (*batch, classes).
        inputs, target, radius, steps, step_size, bounds, generator: as in `projected_attack`.

    Returns:
        The moved inputs, detached.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> model, x, y = torch.nn.Identity(), torch.tensor([[2.0, 0.0]]), torch.tensor([0])
        >>> moved = margin_attack(model, x, y, radius=0.5, generator=torch.Generator().manual_seed(0))
        >>> float((moved - x).diff().abs())         # the margin of x moves by twice the radius, one way or the other
        1.0

    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288.
    """
    with torch.no_grad():
        clean = model(inputs)

    def movement(moved: Tensor, step: int) -> Tensor:
        change = model(moved) - clean
        margins = change.gather(-1, target[..., None]) - change  # 0 at k = y
        # The square has the same steps: each row's gradient is only scaled, and only its sign is used.
        return margins.square().sum()

    return _ascend(movement, inputs, radius, steps, step_size, generator, bounds)


def attack_in_turn(
    model: Model,
    attacks: Sequence[Attack],
    inputs: Float[Tensor, "batch ..."],
    target: Int[Tensor, " batch"],
) -> Float[Tensor, "batch ..."]:
    """Several attacks, each only on the rows that have withstood those before it. PMA+ is one that begins with PMA.

    Args:
        model: inputs to scores (batch, classes).
        attacks: (model, inputs, target) to the moved inputs.
        inputs, target: as in `projected_attack`, one row an example.

    Returns:
        The moved inputs, detached; a row that was judged wrong as it is stays where it is.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> model, x, y = torch.nn.Identity(), torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
        >>> attack_in_turn(model, [lambda model, x, y: x - 1, lambda model, x, y: x + 1], x, y)
        tensor([[3., 1.],
                [0., 1.]])

    Reference: Croce & Hein 2020, arXiv 2003.01690; Xie et al. 2025, arXiv 2411.15210 (PMA+).
    """
    if not isinstance(attacks, Sequence) or not all(map(callable, attacks)):
        raise bad_type("attacks", attacks, "a sequence of functions of (model, inputs, target)")
    moved = check_floating("inputs", inputs).detach().clone()
    for attack in attacks:
        with torch.no_grad():
            right = model(moved).argmax(-1) == target
        if bool(right.any()):
            moved[right] = attack(model, inputs[right], target[right]).detach()
    return moved


class _Best:
    """The best point of each row so far: the first that is judged wrong, else where the loss was highest."""

    def __init__(self, inputs: Tensor, target: Tensor):
        self.point, self.target = inputs.clone(), target
        self.wrong = torch.zeros_like(target, dtype=torch.bool)
        self.value: Tensor | None = None

    def look(self, moved: Tensor, scores: Tensor, values: Tensor) -> None:
        if values.shape != self.target.shape:
            raise bad_value("loss", values, f"a loss for each row, shape {tuple(self.target.shape)}, to keep the best")
        value = torch.full_like(values, -torch.inf) if self.value is None else self.value
        wrong = scores.argmax(-1) != self.target
        better = ~self.wrong & (wrong | (values > value))
        self.value = torch.where(better, values, value)
        self.point = torch.where(self._of_rows(better), moved, self.point)
        self.wrong = self.wrong | wrong

    def hold(self, moved: Tensor) -> Tensor:
        """Rows that are judged wrong stay where they are."""
        return torch.where(self._of_rows(self.wrong), self.point, moved)

    def _of_rows(self, rows: Tensor) -> Tensor:
        return rows.reshape(*rows.shape, *[1] * (self.point.ndim - rows.ndim))


def _ascend(
    objective: Callable[[Tensor, int], Tensor],
    inputs: Tensor,
    radius: float,
    steps: int,
    step_size: float | Sequence[float] | None,
    generator: torch.Generator,
    bounds: Bounds = None,
    start: str = "random",
    hold: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    check_floating("inputs", inputs)
    radius = check_number("radius", radius, at_least=0)
    check_count("steps", steps, least=0)
    check_choice("start", start, STARTS)
    check_generator(generator)
    sizes = _sizes(step_size, radius, steps)
    inputs = inputs.detach()
    low, high = inputs - radius, inputs + radius
    if bounds is not None:
        lowest, highest = _checked(bounds)
        low, high = low.clamp(lowest, highest), high.clamp(lowest, highest)
    moved = inputs.clone()
    if start == "random":
        noise = torch.rand(inputs.shape, generator=generator, device=generator.device).to(inputs)
        moved = torch.clamp(inputs + radius * (2 * noise - 1), low, high)
    for step, size in enumerate(sizes):
        with torch.enable_grad():
            moved.requires_grad_()
            (slope,) = torch.autograd.grad(objective(moved, step), moved)
        moved = torch.clamp(moved.detach() + size * slope.sign(), low, high)
        if hold is not None:
            moved = hold(moved)
    return moved


def _sizes(step_size: Any, radius: float, steps: int) -> list[float]:
    """The size of each step."""
    if step_size is None:
        return [2.5 * radius / max(1, steps)] * steps
    if isinstance(step_size, Sequence) and not isinstance(step_size, str):
        if len(step_size) != steps:
            raise bad_value("step_size", step_size, f"one number, or one for each of {steps} steps")
        return [check_number("step_size", size, at_least=0) for size in step_size]
    return [check_number("step_size", step_size, above=0)] * steps


def _checked(bounds: Any) -> tuple[float, float]:
    expected = "None, or the lowest and the highest value of a coordinate"
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise bad_type("bounds", bounds, expected)
    low, high = (check_number("bounds", bound) for bound in bounds)
    if low >= high:
        raise bad_value("bounds", bounds, expected)
    return low, high
