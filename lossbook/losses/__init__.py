"""The losses: plain functions of (logits, target), of (margin), or of (prediction, target), options by keyword.

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
from lossbook.losses._margin import (
    exponential_loss,
    hinge_loss,
    logistic_loss,
    savage_loss,
    squared_hinge_loss,
    tangent_loss,
    zero_one_loss,
)
from lossbook.losses._regression import (
    absolute_error,
    general_robust_loss,
    huber_loss,
    log_cosh_loss,
    quantile_loss,
    squared_error,
)
from lossbook.losses._reward import reward_prediction_loss

__all__ = [
    "absolute_error",
    "comp_sum_loss",
    "cross_entropy",
    "exponential_loss",
    "general_robust_loss",
    "generalized_cross_entropy",
    "hinge_loss",
    "huber_loss",
    "log_cosh_loss",
    "logistic_loss",
    "mean_absolute_error_loss",
    "quantile_loss",
    "reward_prediction_loss",
    "savage_loss",
    "smooth_adversarial_comp_sum_loss",
    "squared_error",
    "squared_hinge_loss",
    "sum_exponential_loss",
    "tangent_loss",
    "zero_one_loss",
]
