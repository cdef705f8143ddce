"""Answers to the exercises of chapter 03, first half: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_03 import check_combine, check_square_sum, check_two_effects


def pull(logits, target, strength, *, factor=2.0, spike=1.0, on_all=False, outside=False, sign=1.0):
    """The gradient of −log p_y + λ L², or a slip of it."""
    level, p = torch.logsumexp(logits, 1, keepdim=True), torch.softmax(logits, 1)
    y = torch.nn.functional.one_hot(target, logits.shape[1]).double()
    if outside:
        return (1 + factor * strength * level) * (p - y)
    if on_all:
        return p - y + factor * strength * level
    return sign * ((1 + factor * strength * level) * p - spike * y)


def merge(first, second, *, rescale=True, maximum=torch.maximum, join=torch.add):
    """Two blocks as one, or a slip of it."""
    m = maximum(first[0], second[0])
    parts = [s * (at - m).exp() if rescale else s for at, s in (first, second)]
    return m, join(*parts)


ATTEMPTS = [
    (check_two_effects, lambda z, y, c: 0 * z, "Your gradient is 0"),
    (check_two_effects, lambda *given: pull(*given, factor=0.0), "cross-entropy's alone"),
    (check_two_effects, lambda *given: pull(*given, sign=-1.0), "turned round"),
    (check_two_effects, lambda *given: pull(*given, spike=0.0), "right class is missing"),
    (check_two_effects, lambda *given: pull(*given, factor=1.0), "The square has a 2"),
    (check_two_effects, lambda *given: pull(*given, on_all=True), "meets each class as 2 λ L p_j"),
    (check_two_effects, lambda *given: pull(*given, outside=True), "does not see z_y"),
    (check_two_effects, lambda z, y, c: z.sum(), "One number for each logit"),
    (check_two_effects, lambda z, y, c: z, "Collect what stands in front of p_j"),
    (check_two_effects, pull, "Right"),
    (check_combine, lambda a, b: (a[0], merge(a, b)[1]), "maximum of the whole"),
    (check_combine, lambda *given: merge(*given, rescale=False), "measured from different maxima"),
    (check_combine, lambda *given: merge(*given, maximum=torch.minimum), "the larger of the two"),
    (check_combine, lambda a, b: (torch.maximum(a[0], b[0]), torch.maximum(a[1], b[1])), "Sums add"),
    (check_combine, lambda a, b: (torch.maximum(a[0], b[0]), a[1] * b[1] + 7), "your sum is"),
    (check_combine, lambda a, b: torch.logaddexp(a[0], b[0]), "Return two tensors"),
    (check_combine, merge, "Right"),
    (check_square_sum, lambda g, x: x @ g @ x.T, "Only the diagonal"),
    (check_square_sum, lambda g, x: x @ g, "multiply x once more"),
    (check_square_sum, lambda g, x: (x @ g).sum(1), "entry by entry"),
    (check_square_sum, lambda g, x: (x @ g).square().sum(1), "That is |WᵀW x|²"),
    (check_square_sum, lambda g, x: ((x @ g) * x).sum(1).sqrt(), "the length |W x|"),
    (check_square_sum, lambda g, x: ((x @ g) * x).sum(), "All rows are summed"),
    (check_square_sum, lambda g, x: (x @ g).diagonal(), "The diagonal of x"),
    (check_square_sum, lambda g, x: torch.zeros(5), "One number a row"),
    (check_square_sum, lambda g, x: torch.zeros(3), "All 0"),
    (check_square_sum, lambda g, x: x.sum(1), "for each row x"),
    (check_square_sum, lambda g, x: ((x @ g) * x).sum(1), "Right"),
]
