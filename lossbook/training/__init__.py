"""Training: a small loop, steps that have a name, and attacks on what was trained."""

from lossbook.training.attack import margin_attack, projected_attack
from lossbook.training.batches import Shuffled
from lossbook.training.continual import Batch, ElasticWeights, ReplayBatches, SynapticIntelligence, fisher_diagonal
from lossbook.training.factored import Factored, factor, factored_step
from lossbook.training.fit import fit
from lossbook.training.lazy import Lazy, Linearized
from lossbook.training.loop import Trained, train
from lossbook.training.low_rank import LowRank, merged, with_low_rank
from lossbook.training.mitigations import SoftTargets, data_driven_outputs, freeze, teacher_targets
from lossbook.training.normalized import batch_perceptron_step, logistic_step, normalized_logistic_step
from lossbook.training.perpendicular import PerpGrad, perpendicular
from lossbook.training.projections import Projection, a_gem_projection, gem_projection

__all__ = [
    "Batch",
    "ElasticWeights",
    "Factored",
    "Lazy",
    "Linearized",
    "LowRank",
    "PerpGrad",
    "Projection",
    "ReplayBatches",
    "Shuffled",
    "SoftTargets",
    "SynapticIntelligence",
    "Trained",
    "a_gem_projection",
    "batch_perceptron_step",
    "data_driven_outputs",
    "factor",
    "factored_step",
    "fisher_diagonal",
    "fit",
    "freeze",
    "gem_projection",
    "logistic_step",
    "margin_attack",
    "merged",
    "normalized_logistic_step",
    "perpendicular",
    "projected_attack",
    "teacher_targets",
    "train",
    "with_low_rank",
]
