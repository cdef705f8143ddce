"""Checks for the second half of chapter 11: a temperature's slope, a runner-up, a best constant, a link's pull."""

from collections.abc import Callable
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right


@judged
def check_slope(function: Callable[[Any, Any, float], Any]) -> Verdict:
    """Exercise: d/dβ of the mean cross-entropy of βz, `slope(logits, target, beta)`."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 3, 1, 0])
    own = logits.gather(1, target[:, None])[:, 0]
    for beta in (1.0, 0.3, 2.5):
        found = ask(function, logits, target, beta)
        p = torch.softmax(beta * logits, -1)
        each = (p * logits).sum(-1) - own
        if found.shape == each.shape and close(found, each):
            return not_yet("Right for each example; the slope of the mean is the mean of the slopes.")
        if found.numel() != 1:
            return not_yet(f"One slope was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        if close(found, each.mean()):
            continue
        at = f"At β = {beta:g} yours is {float(found):.4g}. "
        if close(found, -each.mean()):
            return not_yet(at + "The sign: where the right scores lie above what p expects, more β lowers the loss.")
        if close(found, each.sum()):
            return not_yet(at + "That is the sum over examples; the mean was asked for.")
        plain = torch.softmax(logits, -1)
        if close(found, ((plain * logits).sum(-1) - own).mean()):
            return not_yet(at + "Right at β = 1 only: p is the softmax of βz.")
        if close(found, (logits.mean(-1) - own).mean()):
            return not_yet(at + "The scores are averaged with the weights p, not with equal ones.")
        return not_yet(at + "Differentiate log Σ exp(βz_k) − βz_y by β: the first term gives Σ p_k z_k.")
    return right("It rises with β, so it crosses 0 once at most: where the right scores are what p expects of them.")


@judged
def check_runner_up(function: Callable[[Any, Any], Any]) -> Verdict:
    """Exercise: p_j of dual focal loss for each row, `runner_up(p, target)`."""
    p = torch.tensor(
        [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.3, 0.2, 0.5], [0.4, 0.4, 0.2], [0.25, 0.25, 0.5]], dtype=torch.float64
    )
    target = torch.tensor([0, 0, 0, 0, 1])
    wanted = torch.tensor([0.3, 0.0, 0.2, 0.2, 0.0], dtype=torch.float64)
    found = ask(function, p, target)
    if found.shape != wanted.shape:
        return not_yet(f"One number a row was asked for, shape (5,); yours has shape {tuple(found.shape)}.")
    if close(found, wanted):
        return right("The comparison is strict, and a class above the right one does not count.")
    own = p.gather(1, target[:, None])
    slips = {
        "That is the largest of all other classes. In row 1 they are all above the right one: 0 there.": torch.stack(
            [row[torch.arange(3) != y].max() for row, y in zip(p, target, strict=True)]
        ),
        "Row 3 has a tie: a class that is level with the right one is not below it.": torch.stack(
            [
                torch.where((row <= row[y]) & (torch.arange(3) != y), row, 0.0).max()
                for row, y in zip(p, target, strict=True)
            ]
        ),
        "That is the right class's own probability.": own[:, 0],
    }
    for words, slip in slips.items():
        if close(found, slip):
            return not_yet(words)
    row = int((found - wanted).abs().argmax())
    return not_yet(
        f"Row {row} is {p[row].tolist()} with the right class {int(target[row])}: {float(wanted[row]):g} was expected, "
        f"yours is {float(found[row]):.4g}."
    )


@judged
def check_best_confidence(function: Callable[[float, float], Any]) -> Verdict:
    """Exercise: the constant confidence that costs least under |c − t|^r, `best_constant(accuracy, power)`, r > 1."""
    grid = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    for accuracy, power in ((0.8, 2.0), (0.3, 2.0), (0.8, 3.0), (0.3, 1.5)):
        found = ask(function, accuracy, power)
        if found.numel() != 1:
            return not_yet(f"One confidence was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        best = float(grid[(accuracy * (1 - grid) ** power + (1 - accuracy) * grid**power).argmin()])
        if abs(float(found) - best) < 1e-4:
            continue
        at = f"At an accuracy of {accuracy:g} and r = {power:g} yours is {float(found):.4g}. "
        if close(found, accuracy):
            return not_yet(at + "That is right for r = 2 only. Which odds does r give?")
        if abs(float(found) - (1 - best)) < 1e-4:
            return not_yet(at + "Right and wrong have changed places: more accuracy, more confidence.")
        odds = (accuracy / (1 - accuracy)) ** (power - 1)
        if close(found, odds / (1 + odds)):
            return not_yet(at + "The odds have the right form and the power is upside down: 1/(r − 1).")
        return not_yet(
            at
            + "Set the slope of a (1 − c)^r + (1 − a) c^r to 0 and solve for the odds c/(1 − c): a power of a/(1 − a)."
        )
    return right("The odds are those of the answers to the power 1/(r − 1): only r = 2 leaves them as they are.")


@judged
def check_link_pull(function: Callable[[Any, Any, int], Any]) -> Verdict:
    """Exercise: the gradient of the loss by the scores u under a learned link, `pull(jacobian, p, target)`."""
    generator = torch.Generator().manual_seed(1)
    jacobian = torch.randn(3, 3, generator=generator, dtype=torch.float64) + 2 * torch.eye(3)
    p = torch.softmax(torch.randn(4, generator=generator, dtype=torch.float64), -1)
    for target in (0, 2, 3):
        found = ask(function, jacobian, p, target)
        at = f"With the right class {target} "
        one_hot = torch.eye(4, dtype=torch.float64)[target]
        outer = (p - one_hot)[:3]
        if found.shape != (3,):
            return not_yet(
                at + f"yours has shape {tuple(found.shape)}; there are three scores u: drop the reference class."
            )
        if close(found, jacobian.T @ outer):
            continue
        if close(found, outer):
            return not_yet(at + "that is the gradient by v, what comes out of the link. The chain rule is missing.")
        if close(found, jacobian @ outer):
            return not_yet(at + "right for one block, where J is symmetric. Of several it is not: transpose.")
        if close(found, -(jacobian.T @ outer)):
            return not_yet(at + "the sign: the gradient points where the loss grows.")
        if target == 3 and close(found, jacobian.T @ p[:3] - jacobian.T @ torch.eye(3, dtype=torch.float64)[2]):
            return not_yet(at + "nothing is taken off: the reference class has no score of its own.")
        return not_yet(at + "form p − e_y, drop the last entry, and multiply by the transposed Jacobian.")
    return right("The link decides in which direction, and how far, an error moves the scores.")
