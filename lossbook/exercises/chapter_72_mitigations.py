"""Checks for the last section of chapter 72: a new output read off the data, and the pull of a soft target."""

from collections.abc import Callable
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.training import SoftTargets, data_driven_outputs

DOUBLE = torch.float64


@judged
def check_new_output(function: Callable[[torch.Tensor, torch.Tensor], Any]) -> Verdict:
    """Exercise 72.4: weight and bias of a new class's output, `new_output(features, centre)`, (units + 1,)."""
    features = torch.tensor([[3.0, 4.0, 1.0], [2.0, 0.5, 2.0], [6.0, 8.0, 0.0], [0.2, 1.0, 1.5]], dtype=DOUBLE)
    for centre in (torch.tensor([1.0, 0.5, 1.0], dtype=DOUBLE), torch.zeros(3, dtype=DOUBLE)):
        found, wanted = ask(function, features.clone(), centre.clone()), _output(features, centre)
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(
                f"{len(wanted)} numbers were asked for, the weights and then the bias; yours: {tuple(found.shape)}."
            )
        if not found.any():
            return not_yet(
                "Your output is 0 everywhere. Divide each feature, less the centre, by its length; then average."
            )
        away = features - centre
        weight, bias = found[:-1], found[-1]
        if close(weight, wanted[:-1]):
            if close(bias, -wanted[-1]):
                return not_yet("The bias has the wrong sign: at the centre the output should be 0.")
            return not_yet(
                f"The weights are right. At the centre your output is {float(weight @ centre + bias):.3g}, not 0."
            )
        if close(weight, away.mean(0)):
            return not_yet("That is the mean of the features as they are. Long features should not count for more.")
        if close(weight, torch.nn.functional.normalize(away.mean(0), dim=0)):
            return not_yet("You divided the mean by its length. Divide each feature by its own, then average.")
        if close(weight, _output(features, 0 * centre)[:-1]):
            return not_yet("The centre is missing: subtract it before you divide by the length.")
        return not_yet(
            f"With the centre {centre.tolist()} your weights are {[round(x, 4) for x in weight.tolist()]}. Take "
            "(φ − μ)/‖φ − μ‖ for each example, and the mean over the examples."
        )
    return right("A direction and not a length: its norm says how much the examples of the class agree.")


@judged
def check_soft_pull(function: Callable[[torch.Tensor, int], Any]) -> Verdict:
    """Exercise 72.5: the gradient by the logits of one example of a new class, under its soft target."""
    cases = (((2.0, 0.0, -1.0, 0.5), 3), ((0.1, 0.3, 0.2, 4.0), 3), ((1.0, 3.0, -2.0, 2.5, 0.0), 4))
    for values, label in cases:
        logits = torch.tensor(values, dtype=DOUBLE)
        classes = len(values)
        soft = SoftTargets(classes, torch.arange(classes) < classes - 2)
        target = soft(logits[None, None], torch.tensor([[label]]))[0, 0]
        p = torch.softmax(logits, 0)
        found, wanted = ask(function, logits.clone(), label), p - target
        if close(found, wanted):
            continue
        at = f"For logits {list(values)} with class {label} right: "
        if found.shape != wanted.shape:
            return not_yet(at + f"{classes} slopes were asked for; yours has shape {tuple(found.shape)}.")
        if not found.any():
            return not_yet("Your slope is 0 everywhere. It is p − t; build t from p first.")
        if close(found, -wanted):
            return not_yet("The sign is turned round: that is the way a step goes, and the gradient points uphill.")
        if close(found, target):
            return not_yet("That is the target t. The gradient is p − t.")
        one_hot = torch.nn.functional.one_hot(torch.tensor(label), classes)
        if close(found, p - one_hot):
            return not_yet("That is the pull of the hard target, p − e_y.")
        unscaled = p.clone()
        unscaled[p.argmax()] = 1 / classes
        unscaled[label] = 1.0
        if close(found, p - unscaled):
            return not_yet(at + f"your target sums to {float(unscaled.sum()):.4g}. Divide it by its sum.")
        kept = p.clone()
        kept[label] = 1.0
        if close(found, p - kept / kept.sum()):
            return not_yet(at + "the class that was predicted keeps its share in your target; it should get 1/V.")
        late = p.clone()
        late[label] = 1.0
        late[p.argmax()] = 1 / classes
        if close(found, p - late / late.sum()):
            return not_yet(at + "the prediction is right, and your target takes its 1 away. Set the right class last.")
        return not_yet(
            at
            + f"yours is {[round(x, 4) for x in found.tolist()]}. Begin with p, set the predicted class to 1/V, then "
            "the right class to 1, divide by the sum, and subtract from p."
        )
    return right("Classes that are neither right nor predicted are pushed with p_j(1 − 1/S): at most about half.")


def _output(features: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    labels = torch.zeros(len(features), dtype=torch.long)
    weight, bias = data_driven_outputs(features, labels, labels[:1], centre=centre)
    return torch.cat([weight[0], bias])
