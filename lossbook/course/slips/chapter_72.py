"""Answers to the exercises of chapter 72, first half: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_72 import check_conflict, check_projection, check_windowed_forgetting


def windowed(curve, window, *, reach=0, least=0.0, sign=1):
    """Windowed forgetting as a double loop, or a slip of it."""
    count = len(curve)
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count) if j - i < window + reach]
    return sign * max([least, *(float(curve[i] - curve[j]) for i, j in pairs)])


def projected(gradient, reference, *, always=False, divisor=None, sign=1):
    """The A-GEM projection, or a slip of it."""
    product = gradient @ reference
    if product >= 0 and not always:
        return gradient
    return gradient - sign * product / (reference @ reference if divisor is None else divisor(reference)) * reference


ATTEMPTS = [
    (check_windowed_forgetting, lambda curve, window: windowed(curve, window, sign=-1), "turned round"),
    (check_windowed_forgetting, lambda curve, window: windowed(curve, window, least=-9.0), "0 is the least"),
    (check_windowed_forgetting, lambda curve, window: windowed(-curve, window), "largest rise"),
    (check_windowed_forgetting, lambda curve, window: curve.max() - curve.min(), "highest minus lowest"),
    (check_windowed_forgetting, lambda curve, window: max(0, curve[0] - curve[-1]), "first minus last"),
    (check_windowed_forgetting, lambda curve, window: windowed(curve, window, reach=1), "at most 1 apart"),
    (check_windowed_forgetting, lambda curve, window: windowed(curve, 10), "mind the window"),
    (check_windowed_forgetting, lambda curve, window: 0.42, "the maximum of"),
    (check_windowed_forgetting, lambda curve, window: curve, "One number"),
    (check_windowed_forgetting, windowed, "Right"),
    (check_projection, lambda g, r: projected(g, r, always=True), "should stay as it is"),
    (check_projection, lambda g, r: g, "Yours left it"),
    (check_projection, lambda g, r: projected(g, r, sign=-1), "doubled the conflict"),
    (check_projection, lambda g, r: projected(g, r, divisor=torch.norm), "not by its root"),
    (check_projection, lambda g, r: projected(g, r, divisor=lambda r: 1), "divide by ⟨r, r⟩"),
    (check_projection, lambda g, r: g - 0.1 * r * (g @ r < 0), "should be 0 or more"),
    (check_projection, lambda g, r: 0 * g, "not the nearest"),
    (check_projection, lambda g, r: g[0], "A gradient of shape"),
    (check_projection, projected, "Right"),
    (check_conflict, lambda w: -(1 - w) / w, "Mind the sign"),
    (check_conflict, lambda w: w / (1 - w) if w < 0.5 else (1 - w) / w, "Turned over"),
    (check_conflict, lambda w: 1 - w, "Divide by the weight"),
    (check_conflict, lambda w: 0.0, "for the new gradient alone"),
    (check_conflict, lambda w: 1.0, "right for w = 1/2"),
    (check_conflict, lambda w: 7.0, "ask when it is below 0"),
    (check_conflict, lambda w: [1.0, 2.0], "One number"),
    (check_conflict, lambda w: (1 - w) / w, "Right"),
]
