"""Checks for chapter 00: the pull of one error, and the best constant under the quantile loss."""

from collections.abc import Callable
from typing import Any

import torch

from lossbook.catalog import find
from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.losses import quantile_loss


@judged
def check_pull(pull: Callable[[torch.Tensor, float], Any]) -> Verdict:
    """Exercise 00.1: the slope of the Huber loss, `pull(error, delta)`."""
    error = torch.tensor([-7.0, -1.5, -0.4, 0.0, 0.3, 1.2, 9.0], dtype=torch.float64)
    for delta in (1.0, 0.5, 2.0):
        found = ask(pull, error, delta)
        wanted = find("huber_loss").slope(error, delta=delta)
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(
                f"For {len(error)} errors I expected {len(error)} slopes and got shape {tuple(found.shape)}."
            )
        if not found.any():
            return not_yet(
                "Your slope is 0 everywhere, so nothing would ever move. What is the derivative of e²/2 near 0?"
            )
        if close(found, -wanted):
            return not_yet(
                "All signs are turned round. The slope is taken by the prediction: a prediction too high has e > 0."
            )
        if close(found, error):
            return not_yet(
                "That is the slope of e²/2 at every distance. Where does the straight line begin, and how steep is it?"
            )
        if close(found, torch.sign(error)) or close(found, delta * torch.sign(error)):
            return not_yet("That is right far out, but near 0 the loss is e²/2, and its slope goes to 0 with e.")
        if close(found, error.clamp(-1, 1)):
            return not_yet(f"Right for delta = 1; at delta = {delta:g} the line begins at {delta:g}. Use the argument.")
        worst = int((found - wanted).abs().argmax())
        return not_yet(
            f"At e = {error[worst]:g} with delta = {delta:g} yours is {found[worst]:g}: "
            "is that inside or outside of delta?"
        )
    return right("Held within ±delta: however far a reading lies, it pulls no harder than one at delta.")


@judged
def check_best_constant(best_constant: Callable[[torch.Tensor, float], Any]) -> Verdict:
    """Exercise 00.2: the constant that minimises the quantile loss, `best_constant(data, q)`."""
    generator = torch.Generator().manual_seed(7)
    for q in (0.5, 0.9, 0.1):
        data = torch.rand(101, generator=generator, dtype=torch.float64).square() * 100
        found = ask(best_constant, data, q)
        if found.numel() != 1:
            return not_yet(f"One constant was asked for; yours has shape {tuple(found.shape)}.")
        price, best = (
            float(quantile_loss(value.expand_as(data), data, quantile=q))
            for value in (found.reshape(()), torch.quantile(data, q))
        )
        if price <= best + 1e-9:
            continue
        if close(found.reshape(()), torch.quantile(data, 1 - q)):
            return not_yet(
                "Upside down: q = 0.9 should leave nine tenths of the data below. Which error costs q, and which 1 − q?"
            )
        if close(found.reshape(()), data.mean()):
            return not_yet(
                "That is the mean, the best constant for the squared error. Here each reading pulls with a fixed force."
            )
        if q != 0.5 and close(found.reshape(()), data.median()):
            return not_yet(
                f"That is the median, right for q = 0.5 alone. At q = {q:g} the two forces balance elsewhere."
            )
        return not_yet(
            f"At q = {q:g} your constant {float(found):.4g} costs {price:.4g} a reading; {best:.4g} can be had."
        )
    return right("Where the share q of the readings lies below, the pulls q · (above) and (1 − q) · (below) balance.")
