"""Training: a small loop, and attacks on what it trained."""

from lossbook.training.attack import margin_attack, projected_attack
from lossbook.training.loop import fit
from lossbook.training.normalized import normalized_logistic_step

__all__ = ["fit", "margin_attack", "normalized_logistic_step", "projected_attack"]
