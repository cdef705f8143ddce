"""Checks for the first half of chapter 03, in the order of its sections."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.verdict import Verdict, ask, called, close, judged, not_yet, right

DOUBLE = torch.float64


@judged
def check_two_effects(function: Callable[[Tensor, Tensor, float], Any]) -> Verdict:
    """Exercise 03.1: the gradient by the logits of −log p_y + λ L², `gradient(logits, target, strength)`."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [-1.0, 0.5, 3.0]], dtype=DOUBLE)
    target = torch.tensor([0, 1])
    level = torch.logsumexp(logits, 1, keepdim=True)
    p, one_hot = torch.softmax(logits, 1), torch.nn.functional.one_hot(target, 3).double()
    for strength in (0.1, 0.5):
        found = ask(function, logits, target, strength)
        wanted = (1 + 2 * strength * level) * p - one_hot
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(
                f"One number for each logit was asked for, shape {tuple(wanted.shape)}; yours: {tuple(found.shape)}."
            )
        slips = (
            (torch.zeros_like(wanted), "Your gradient is 0. Write ∂ℓ/∂L and ∂ℓ/∂z_y, then ∂L/∂z_j = p_j."),
            (p - one_hot, "That is cross-entropy's alone. λ L² pulls too: its derivative by L is 2 λ L."),
            (-wanted, "The sign is turned round: expected minus observed, p − e_y."),
            ((1 + 2 * strength * level) * p, "The effect at the right class is missing: ∂ℓ/∂z_y is −1."),
            ((1 + strength * level) * p - one_hot, "The square has a 2: the derivative of λ L² by L is 2 λ L."),
            (p - one_hot + 2 * strength * level, "2 λ L acts through L, so it meets each class as 2 λ L p_j."),
            ((1 + 2 * strength * level) * (p - one_hot), "L² does not see z_y: only p is multiplied by 1 + 2 λ L."),
        )
        for slip, words in slips:
            if close(found, slip):
                return not_yet(words)
        return not_yet(
            f"At λ = {strength:g} your first row is {[round(x, 3) for x in found[0].tolist()]}. "
            "Collect what stands in front of p_j, and what is added at y."
        )
    return right("One number times p on every class, one number at the right class: no loss of L and z_y does more.")


@judged
def check_combine(function: Callable[..., Any]) -> Verdict:
    """Exercise 03.2: join two blocks of classes, each (maximum m, sum of exp(z − m)), `combine(first, second)`."""
    logits = torch.tensor([3.0, 1.0, -2.0, 500.0, 499.0, 0.0], dtype=DOUBLE)
    nothing = (torch.tensor(-torch.inf, dtype=DOUBLE), torch.tensor(0.0, dtype=DOUBLE))
    pairs = [(_block(logits[:2]), _block(logits[2:3])), (_block(logits[:3]), _block(logits[3:])), _swapped(logits)]
    pairs.append((_block(logits[:3]), nothing))
    for first, second in pairs:
        answer = called(function, first, second)
        if not isinstance(answer, tuple) or len(answer) != 2:
            return not_yet("Return two tensors: the larger maximum, and the sum of exponentials measured from it.")
        maximum, total = ask(lambda given=answer[0]: given), ask(lambda given=answer[1]: given)
        if maximum.numel() != 1 or total.numel() != 1:
            return not_yet(f"Two numbers were asked for; yours have shapes {[*maximum.shape]} and {[*total.shape]}.")
        highest = torch.maximum(first[0], second[0])
        wanted = first[1] * (first[0] - highest).exp() + second[1] * (second[0] - highest).exp()
        if close(maximum, highest) and close(total, wanted):
            continue
        if not close(maximum, highest):
            return not_yet(
                f"Maxima {float(first[0]):g} and {float(second[0]):g}: yours is {float(maximum):.4g}. "
                "The maximum of the whole is the larger of the two."
            )
        if close(total, first[1] + second[1]):
            return not_yet("The sums are measured from different maxima: bring both to the larger one before adding.")
        if close(total, torch.maximum(first[1], second[1])):
            return not_yet("Sums add; only maxima take the larger.")
        return not_yet(
            f"Maxima {float(first[0]):g} and {float(second[0]):g}: your sum is {float(total):.4g}, not "
            f"{float(wanted):.4g}. A block's sum is multiplied by exp(its maximum − the larger maximum)."
        )
    return right("Any number of blocks, in any order; m + log s at the end is the log-sum-exp.")


def _block(logits: Tensor) -> tuple[Tensor, Tensor]:
    return logits.max(), (logits - logits.max()).exp().sum()


def _swapped(logits: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return _block(logits[3:]), _block(logits[:3])


@judged
def check_square_sum(function: Callable[[Tensor, Tensor], Any]) -> Verdict:
    """Exercise 03.3: Σ_j z_j² of each row from WᵀW, without the logits, `square_sum(gram, features)`."""
    weight = torch.tensor([[1.0, -1.0], [0.5, 2.0], [0.0, 3.0], [-2.0, 0.25]], dtype=DOUBLE)
    features = torch.tensor([[1.0, 2.0], [-0.5, 1.0], [3.0, 0.0]], dtype=DOUBLE)
    gram = weight.T @ weight
    found, wanted = ask(function, gram, features), (features @ weight.T).square().sum(1)
    if close(found, wanted):
        return right("D² multiplications a row, however many classes stand behind the matrix.")
    product = features @ gram
    slips = (
        (product @ features.T, "Only the diagonal of that matrix is asked for; the rest costs N² for nothing."),
        (product, "Half of it: multiply x once more from the right, and sum."),
        (product.sum(1), "Half of it: x (WᵀW) is to be multiplied by x, entry by entry, before the sum."),
        (product.square().sum(1), "That is |WᵀW x|². Σz² is |W x|² = xᵀ(WᵀW)x."),
        (wanted.sqrt(), "That is the length |W x|; Σz² is its square."),
        (wanted.sum(), "All rows are summed; one number a row was asked for."),
        (product.diagonal(), "The diagonal of x (WᵀW) is not xᵀ(WᵀW)x: multiply by x before you sum."),
    )
    for slip, words in slips:
        if close(found, slip):
            return not_yet(words)
    if found.shape != wanted.shape:
        return not_yet(f"One number a row was asked for, shape {tuple(wanted.shape)}; yours: {tuple(found.shape)}.")
    if not found.any():
        return not_yet("All 0. Write Σ_j (w_j · x)² as xᵀ(Σ_j w_j w_jᵀ)x; the sum is WᵀW.")
    return not_yet("Σ_j (w_j · x)² = Σ_j xᵀ w_j w_jᵀ x = xᵀ(WᵀW)x, for each row x.")
