"""The losses: plain functions of (logits, target), of two sets of embeddings, of (margin), or of (prediction, target).

Nothing here draws, trains or holds state. `lossbook.catalog` has a record of each.
"""

from lossbook.losses._adversarial import smooth_adversarial_comp_sum_loss
from lossbook.losses._classification import (
    comp_sum_loss,
    cross_entropy,
    generalized_cross_entropy,
    mean_absolute_error_loss,
    sum_exponential_loss,
)
from lossbook.losses._decoupled import decoupled_softmax_loss
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
from lossbook.losses._spherical import (
    log_spherical_softmax_loss,
    one_hot_squared_error_loss,
    taylor_softmax_loss,
    z_loss,
)
from lossbook.losses._stable import logit_square_penalty, stablemax_cross_entropy

__all__ = [
    "absolute_error",
    "comp_sum_loss",
    "cross_entropy",
    "decoupled_softmax_loss",
    "exponential_loss",
    "focal_loss",
    "general_robust_loss",
    "generalized_cross_entropy",
    "hinge_loss",
    "huber_loss",
    "info_nce_loss",
    "log_cosh_loss",
    "log_spherical_softmax_loss",
    "logistic_loss",
    "logit_square_penalty",
    "mann_whitney_loss",
    "mean_absolute_error_loss",
    "one_hot_squared_error_loss",
    "quantile_loss",
    "reward_prediction_loss",
    "savage_loss",
    "siglip_loss",
    "smooth_adversarial_comp_sum_loss",
    "squared_error",
    "squared_hinge_loss",
    "squentropy_loss",
    "stablemax_cross_entropy",
    "sum_exponential_loss",
    "tangent_loss",
    "taylor_softmax_loss",
    "z_loss",
    "zero_one_loss",
]
