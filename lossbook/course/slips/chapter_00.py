"""Answers to the exercises of chapter 00: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_00 import check_best_constant, check_pull

ATTEMPTS = [
    (check_pull, lambda e, d: 0 * e, "0 everywhere"),
    (check_pull, lambda e, d: e, "at every distance"),
    (check_pull, lambda e, d: torch.sign(e), "near 0"),
    (check_pull, lambda e, d: -e.clamp(-d, d), "turned round"),
    (check_pull, lambda e, d: e.clamp(-1, 1), "Use the argument"),
    (check_pull, lambda e, d: e.sum(), "expected 7 slopes"),
    (check_pull, lambda e, d: e.clamp(-2 * d, 2 * d), "inside or outside"),
    (check_pull, lambda e, d: e.clamp(-d, d), "Right"),
    (check_best_constant, lambda data, q: data.mean(), "the mean"),
    (check_best_constant, lambda data, q: data.median(), "the median"),
    (check_best_constant, lambda data, q: torch.quantile(data, 1 - q), "Upside down"),
    (check_best_constant, lambda data, q: data, "One constant"),
    (check_best_constant, lambda data, q: data.max(), "can be had"),
    (check_best_constant, lambda data, q: torch.quantile(data, q), "Right"),
]
