"""Training: a small loop, steps that have a name, and attacks on what was trained."""

from lossbook.training.attack import margin_attack, projected_attack
from lossbook.training.factored import Factored, factor, factored_step
from lossbook.training.loop import fit
from lossbook.training.normalized import batch_perceptron_step, logistic_step, normalized_logistic_step

__all__ = [
    "Factored",
    "batch_perceptron_step",
    "factor",
    "factored_step",
    "fit",
    "logistic_step",
    "margin_attack",
    "normalized_logistic_step",
    "projected_attack",
]
