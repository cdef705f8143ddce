"""Checks for the second half of chapter 13: the Hessian of a divergence, the gradient of SAM, the rate of transfer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right


def _drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@judged
def check_divergence_hessian(function: Callable[[Tensor, Tensor], Any]) -> Verdict:
    """Exercise: H of ½ rᵀHr ≈ KL, `divergence_hessian(jacobian, logits)`, (classes, inputs) and (classes,)."""
    for classes, inputs, seed in ((3, 5, 0), (4, 2, 1)):
        jacobian, logits = _drawn(classes, inputs, seed=seed), _drawn(classes, seed=10 + seed)
        found = ask(function, jacobian, logits)
        p = torch.softmax(logits, 0)
        spread = p.diag() - torch.outer(p, p)
        wanted = jacobian.T @ spread @ jacobian
        if found.shape == wanted.shape and close(found, wanted):
            continue
        at = f"With {classes} classes and {inputs} inputs: "
        if found.shape != wanted.shape:
            if found.shape == spread.shape and close(found, spread):
                return not_yet(at + "that is how KL bends in the logits. The inputs move the logits by J r.")
            return not_yet(
                at + f"yours has shape {tuple(found.shape)}, and H acts on inputs: {tuple(wanted.shape)}. "
                "J stands on both sides."
            )
        if close(found, wanted / 2):
            return not_yet(at + "the half stands in front of H, in ½ rᵀHr: yours is half of H.")
        if close(found, jacobian.T @ p.diag() @ jacobian):
            return not_yet(
                at + "without − p pᵀ adding the same number to all logits would change the prediction. It does not."
            )
        if close(found, jacobian.T @ jacobian):
            return not_yet(at + "p is nowhere in it: a class of probability 0 cannot change the prediction.")
        if close(found, jacobian.T @ torch.outer(p, p) @ jacobian):
            return not_yet(at + "p pᵀ is what is taken off. From what?")
        return not_yet(at + "begin with the Hessian of log-sum-exp, diag p − p pᵀ, and put J on both sides.")
    return right("It is the covariance of the rows of J under p: how much the classes disagree on where to go.")


@judged
def check_sam_gradient(function: Callable[[Tensor, Tensor, float], Any]) -> Verdict:
    """Exercise: SAM's gradient of ½ wᵀAw, `sam_gradient(matrix, weights, rho)`."""
    for size, rho, seed in ((2, 0.5, 0), (4, 0.1, 1), (3, 0.0, 2)):
        root, w = _drawn(size, size, seed=seed), _drawn(size, seed=10 + seed)
        matrix = root @ root.T + torch.eye(size, dtype=torch.float64)
        found = ask(function, matrix, w, rho)
        plain = matrix @ w
        moved = w + rho * plain / plain.norm()
        if close(found, matrix @ moved):
            continue
        at = f"With {size} weights and ρ = {rho:g}: "
        if found.shape != w.shape:
            return not_yet(
                at + f"yours has shape {tuple(found.shape)}, and a gradient has that of w, {tuple(w.shape)}."
            )
        if rho > 0 and close(found, plain):
            return not_yet(at + "that is the gradient where the weights are. Take it a step uphill.")
        if close(found, moved):
            return not_yet(at + "that is the point uphill; the gradient there is asked for.")
        if close(found, matrix @ (w + rho * plain)):
            return not_yet(at + "the step uphill has length ρ: divide the gradient by its norm.")
        if close(found, matrix @ (w - rho * plain / plain.norm())):
            return not_yet(at + "you went downhill. SAM looks where the loss is higher.")
        if close(found, matrix @ (w + rho * w / w.norm())):
            return not_yet(at + "you went along the weights; uphill is along the gradient A w.")
        if close(found, matrix @ (w + rho * plain.sign())):
            return not_yet(at + "that is the step for the l∞ ball. SAM's ball is round: g/‖g‖₂.")
        return not_yet(at + "first g = A w, then w + ρ g/‖g‖, then A times that.")
    return right("A w + ρ A g/‖g‖: where g lies along a sharp direction, the second term is ρ times that eigenvalue.")


@judged
def check_transfer(function: Callable[[Tensor, Tensor, Tensor], Any]) -> Verdict:
    """Exercise: the rate of transfer, `transfer(clean, moved, labels)` of predicted classes and labels."""
    for seed in (0, 1):
        draw = torch.Generator().manual_seed(seed)
        clean, moved, labels = (torch.randint(3, (40,), generator=draw) for _ in range(3))
        found = ask(function, clean, moved, labels)
        if found.numel() != 1:
            return not_yet(f"One rate was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        right_before, wrong_after = clean == labels, moved != labels
        fooled = (right_before & wrong_after).double()
        if close(found, fooled.sum() / right_before.sum()):
            continue
        at = f"Of 40 examples {int(right_before.sum())} are right before and {int(fooled.sum())} of these wrong after. "
        if close(found, wrong_after.double().mean()):
            return not_yet(
                at + "You count examples that were wrong before the attack: nobody fooled the network there."
            )
        if close(found, fooled.mean()):
            return not_yet(at + "Divide by those that were right before, not by all.")
        if close(found, (clean != moved).double().mean()):
            return not_yet(at + "You count every change of mind; from wrong to wrong, or to right, is none.")
        if close(found, 1 - fooled.sum() / right_before.sum()):
            return not_yet(at + "That is the share that withstands.")
        return not_yet(at + "The first number divides the second.")
    return right("Each target has a denominator of its own: a target with few right answers has only easy ones.")
