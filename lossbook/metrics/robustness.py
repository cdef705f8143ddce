"""How much of a model's accuracy an adversary leaves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_floating

Attack = Callable[[Any, Tensor, Tensor], Tensor]  # (model, inputs, target) to the moved inputs


@dataclass(frozen=True, eq=False)
class Robustness:
    """Accuracies over the last axis of the target: on the inputs, under each attack, and under the worst for each row.

    `withstood` says of each row whether it was judged right as it is and under every attack.
    """

    clean: Float[Tensor, "..."]
    by_attack: dict[str, Float[Tensor, "..."]]
    worst: Float[Tensor, "..."]
    withstood: Bool[Tensor, "... rows"]


def robust_accuracy(
    model: Callable[[Tensor], Tensor],
    attacks: Mapping[str, Attack],
    inputs: Float[Tensor, "..."],
    target: Int[Tensor, "... rows"],
) -> Robustness:
    """Accuracy under a list of attacks, and under the best of them for each row.

        1/n Σ_i min over attacks a of [f(x_i) = y_i and f(a(x_i)) = y_i]

    An attack gives an upper bound on robust accuracy, so the least of them is the one to report. A row that is judged
    wrong as it is counts as wrong under every attack: not moving is within the rules.

    Args:
        model: inputs to scores (*batch, classes).
        attacks: a name for each (model, inputs, target) to the moved inputs, at least one.
        inputs: (*batch, ...), the clean inputs.
        target: (*batch) class indices. Accuracies are means over the last axis.

    Returns:
        `Robustness(clean, by_attack, worst, withstood)`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> x, y = torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), torch.tensor([0, 1, 0])
        >>> up, down = torch.tensor([-1.0, 1.0]), torch.tensor([2.0, -2.0])
        >>> attacks = {"up": lambda model, x, y: x + up, "down": lambda model, x, y: x + down}
        >>> found = robust_accuracy(torch.nn.Identity(), attacks, x, y)
        >>> [round(float(value), 3) for value in (found.clean, found.by_attack["up"], found.worst)]
        [0.667, 0.667, 0.333]

    Limits: attacks from `lossbook.training` on a model whose gradients say nothing leave it all its accuracy.
    Reference: Croce & Hein 2020, arXiv 2003.01690 (an ensemble of attacks, the worst for each row).
    """
    if not isinstance(attacks, Mapping) or not all(map(callable, attacks.values())):
        raise bad_type("attacks", attacks, "a mapping from names to functions of (model, inputs, target)")
    if not attacks:
        raise bad_value("attacks", attacks, "at least one attack")
    check_floating("inputs", inputs)

    def right(points: Tensor) -> Tensor:
        if points.shape != inputs.shape:
            raise bad_value("attacks", points, f"moved inputs of the shape of the inputs, {tuple(inputs.shape)}")
        with torch.no_grad():
            return model(points).argmax(-1) == target

    def share(rows: Tensor) -> Tensor:
        return rows.to(inputs.dtype).mean(-1)

    clean = right(inputs)
    under = {name: clean & right(attack(model, inputs, target)) for name, attack in attacks.items()}
    withstood = torch.stack(list(under.values())).all(0)
    return Robustness(share(clean), {name: share(rows) for name, rows in under.items()}, share(withstood), withstood)
