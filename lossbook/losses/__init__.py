"""The losses: plain functions of (logits, target), of two sets of embeddings, of (margin), or of (prediction, target).

Nothing here draws, trains or holds state. `lossbook.catalog` has a record of each.
"""

from lossbook.losses._adversarial import smooth_adversarial_comp_sum_loss
from lossbook.losses._asymmetric import asymmetric_loss, single_label_asymmetric_loss
from lossbook.losses._attack import (
    carlini_wagner_loss,
    logits_ratio_loss,
    probability_margin_loss,
    rescaled_cross_entropy,
)
from lossbook.losses._classification import (
    comp_sum_loss,
    cross_entropy,
    generalized_cross_entropy,
    mean_absolute_error_loss,
    sum_exponential_loss,
)
from lossbook.losses._correctness import correctness_aware_loss
from lossbook.losses._coverage import direct_coverage_loss
from lossbook.losses._decoupled import decoupled_softmax_loss
from lossbook.losses._dice import dice_loss, self_adjusting_dice_loss
from lossbook.losses._dual_focal import dual_focal_loss
from lossbook.losses._label_margin import ldam_loss, multi_label_ldam_loss
from lossbook.losses._margin import (
    exponential_loss,
    hinge_loss,
    logistic_loss,
    savage_loss,
    squared_hinge_loss,
    tangent_loss,
    zero_one_loss,
)
from lossbook.losses._pairs import info_nce_loss, mann_whitney_loss, siglip_loss
from lossbook.losses._poly import poly_loss, taylor_cross_entropy
from lossbook.losses._regression import (
    absolute_error,
    general_robust_loss,
    huber_loss,
    log_cosh_loss,
    quantile_loss,
    squared_error,
)
from lossbook.losses._reshaped import focal_loss, squentropy_loss
from lossbook.losses._reward import reward_prediction_loss
from lossbook.losses._robust_labels import ldr_kl_loss
from lossbook.losses._scoring import brier_loss, spherical_score_loss
from lossbook.losses._soft_counts import anyloss
from lossbook.losses._spherical import (
    log_spherical_softmax_loss,
    one_hot_squared_error_loss,
    taylor_softmax_loss,
    z_loss,
)
from lossbook.losses._stable import logit_square_penalty, stablemax_cross_entropy
from lossbook.losses._top_k import soft_top_k_loss

__all__ = [
    "absolute_error",
    "anyloss",
    "asymmetric_loss",
    "brier_loss",
    "carlini_wagner_loss",
    "comp_sum_loss",
    "correctness_aware_loss",
    "cross_entropy",
    "decoupled_softmax_loss",
    "dice_loss",
    "direct_coverage_loss",
    "dual_focal_loss",
    "exponential_loss",
    "focal_loss",
    "general_robust_loss",
    "generalized_cross_entropy",
    "hinge_loss",
    "huber_loss",
    "info_nce_loss",
    "ldam_loss",
    "ldr_kl_loss",
    "log_cosh_loss",
    "log_spherical_softmax_loss",
    "logistic_loss",
    "logit_square_penalty",
    "logits_ratio_loss",
    "mann_whitney_loss",
    "mean_absolute_error_loss",
    "multi_label_ldam_loss",
    "one_hot_squared_error_loss",
    "poly_loss",
    "probability_margin_loss",
    "quantile_loss",
    "rescaled_cross_entropy",
    "reward_prediction_loss",
    "savage_loss",
    "self_adjusting_dice_loss",
    "siglip_loss",
    "single_label_asymmetric_loss",
    "smooth_adversarial_comp_sum_loss",
    "soft_top_k_loss",
    "spherical_score_loss",
    "squared_error",
    "squared_hinge_loss",
    "squentropy_loss",
    "stablemax_cross_entropy",
    "sum_exponential_loss",
    "tangent_loss",
    "taylor_cross_entropy",
    "taylor_softmax_loss",
    "z_loss",
    "zero_one_loss",
]
