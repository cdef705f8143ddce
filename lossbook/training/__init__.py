"""Training: a small loop, steps that have a name, and attacks on what was trained."""

from lossbook.training.attack import margin_attack, projected_attack
from lossbook.training.batches import Shuffled
from lossbook.training.factored import Factored, factor, factored_step
from lossbook.training.fit import fit
from lossbook.training.loop import Trained, train
from lossbook.training.normalized import batch_perceptron_step, logistic_step, normalized_logistic_step
from lossbook.training.perpendicular import PerpGrad, perpendicular

__all__ = [
    "Factored",
    "PerpGrad",
    "Shuffled",
    "Trained",
    "batch_perceptron_step",
    "factor",
    "factored_step",
    "fit",
    "logistic_step",
    "margin_attack",
    "normalized_logistic_step",
    "perpendicular",
    "projected_attack",
    "train",
]
