"""Logits times a number, held or not: what losses of a temperature or a scale share."""

from dataclasses import replace

from lossbook.checks import check_floating
from lossbook.linear_logits import LinearLogits
from lossbook.losses._classification import Logits


def scaled(logits: Logits, factor: float) -> Logits:
    """All logits times a number. Linear ones stay linear: c tanh(z/c), times s, is a cap of s c on s z."""
    if factor == 1:
        return logits
    if not isinstance(logits, LinearLogits):
        return factor * check_floating("logits", logits)
    bias = None if logits.bias is None else factor * logits.bias
    cap = None if logits.softcap is None else factor * logits.softcap
    return replace(logits, features=factor * logits.features, bias=bias, softcap=cap)
