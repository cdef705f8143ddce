"""Training: a small loop, steps that have a name, and attacks on what was trained."""

from lossbook.training.attack import attack_in_turn, margin_attack, projected_attack
from lossbook.training.attack_schedules import cosine_steps, margin_decomposition, two_cycle_steps
from lossbook.training.batches import Shuffled
from lossbook.training.calibration import SampleTemperature, fit_temperature, transformed_scores
from lossbook.training.continual import Batch, ElasticWeights, ReplayBatches, SynapticIntelligence, fisher_diagonal
from lossbook.training.equity import appearance_likelihood, cluster_likelihood, equity_weights
from lossbook.training.factored import Factored, factor, factored_step
from lossbook.training.fast_adversarial import FastStep, SmoothConvergence, WeightCentre, fast_step, smoothing
from lossbook.training.fit import fit
from lossbook.training.label_uncertainty import ALDRKLLoss
from lossbook.training.lazy import Lazy, Linearized
from lossbook.training.loop import Trained, train
from lossbook.training.loss_ensemble import EnsLoss, slopes_of
from lossbook.training.low_rank import LowRank, merged, with_low_rank
from lossbook.training.mitigations import SoftTargets, data_driven_outputs, freeze, teacher_targets
from lossbook.training.normalized import batch_perceptron_step, logistic_step, normalized_logistic_step
from lossbook.training.perpendicular import PerpGrad, perpendicular
from lossbook.training.projections import Projection, a_gem_projection, gem_projection
from lossbook.training.reweighting import deferred_weights, effective_number_weights, label_margins
from lossbook.training.sharpness_aware import SharpnessAware, uphill
from lossbook.training.virtual_adversarial import (
    conditional_entropy,
    virtual_adversarial_direction,
    virtual_adversarial_loss,
)

__all__ = [
    "ALDRKLLoss",
    "Batch",
    "ElasticWeights",
    "EnsLoss",
    "Factored",
    "FastStep",
    "Lazy",
    "Linearized",
    "LowRank",
    "PerpGrad",
    "Projection",
    "ReplayBatches",
    "SampleTemperature",
    "SharpnessAware",
    "Shuffled",
    "SmoothConvergence",
    "SoftTargets",
    "SynapticIntelligence",
    "Trained",
    "WeightCentre",
    "a_gem_projection",
    "appearance_likelihood",
    "attack_in_turn",
    "batch_perceptron_step",
    "cluster_likelihood",
    "conditional_entropy",
    "cosine_steps",
    "data_driven_outputs",
    "deferred_weights",
    "effective_number_weights",
    "equity_weights",
    "factor",
    "factored_step",
    "fast_step",
    "fisher_diagonal",
    "fit",
    "fit_temperature",
    "freeze",
    "gem_projection",
    "label_margins",
    "logistic_step",
    "margin_attack",
    "margin_decomposition",
    "merged",
    "normalized_logistic_step",
    "perpendicular",
    "projected_attack",
    "slopes_of",
    "smoothing",
    "teacher_targets",
    "train",
    "transformed_scores",
    "two_cycle_steps",
    "uphill",
    "virtual_adversarial_direction",
    "virtual_adversarial_loss",
    "with_low_rank",
]
