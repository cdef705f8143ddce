"""Answers to the exercises on remedies: the usual slips, words of what each is told, and a right one."""

import torch
from torch.nn.functional import normalize

from lossbook.exercises.chapter_72_mitigations import check_new_output, check_soft_pull


def new_output(features, centre, *, sign=-1.0):
    """Weights and bias of a new output, or a slip of it."""
    weight = normalize(features - centre, dim=1).mean(0)
    return torch.cat([weight, sign * (weight @ centre)[None]])


def with_bias(weight, centre):
    """Weights, and the bias that makes the output 0 at the centre."""
    return torch.cat([weight, -(weight @ centre)[None]])


def soft_pull(logits, label, *, predicted=True, scaled=True, late=False):
    """The pull of a soft target, or a slip of it."""
    p = torch.softmax(logits, 0)
    t = p.clone()
    places = [(p.argmax(), 1 / len(p))] if predicted else []
    places.append((label, 1.0))
    for place, value in reversed(places) if late else places:
        t[place] = value
    return p - (t / t.sum() if scaled else t)


def hard_pull(logits, label):
    """The pull of a hard target."""
    p = torch.softmax(logits, 0)
    p[label] -= 1
    return p


ATTEMPTS = [
    (check_new_output, lambda features, centre: torch.zeros(4), "0 everywhere"),
    (check_new_output, lambda features, centre: features.mean(0), "4 numbers were asked for"),
    (check_new_output, lambda features, centre: new_output(features, centre, sign=1.0), "wrong sign"),
    (check_new_output, lambda features, centre: new_output(features, centre, sign=0.0), "not 0"),
    (check_new_output, lambda features, centre: with_bias((features - centre).mean(0), centre), "as they are"),
    (
        check_new_output,
        lambda features, centre: with_bias(normalize((features - centre).mean(0), dim=0), centre),
        "divided the mean",
    ),
    (check_new_output, lambda features, centre: new_output(features, 0 * centre), "centre is missing"),
    (check_new_output, lambda features, centre: new_output(features, centre) + 1, "(φ − μ)/‖φ − μ‖"),
    (check_new_output, new_output, "Right"),
    (check_soft_pull, lambda logits, label: 0 * logits, "0 everywhere"),
    (check_soft_pull, lambda logits, label: logits.sum(), "4 slopes were asked for"),
    (check_soft_pull, lambda logits, label: -soft_pull(logits, label), "turned round"),
    (check_soft_pull, lambda logits, label: torch.softmax(logits, 0) - soft_pull(logits, label), "That is the target"),
    (check_soft_pull, hard_pull, "hard target"),
    (check_soft_pull, lambda logits, label: soft_pull(logits, label, scaled=False), "Divide it by its sum"),
    (check_soft_pull, lambda logits, label: soft_pull(logits, label, predicted=False), "should get 1/V"),
    (check_soft_pull, lambda logits, label: soft_pull(logits, label, late=True), "Set the right class last"),
    (check_soft_pull, lambda logits, label: logits, "Begin with p"),
    (check_soft_pull, soft_pull, "Right"),
]
