"""Numbers about predictions, features and trajectories. Nothing here trains or draws."""

from lossbook.metrics.angles import coherence, cosines, equinorm, frame_distance, gram, simplex_etf
from lossbook.metrics.central_path import SquaredErrorParts, squared_error_parts
from lossbook.metrics.collapse import (
    Alignment,
    collapsed,
    scaling_descent,
    weight_alignment,
    zero_loss,
    zero_share,
)
from lossbook.metrics.constant import optimal_constant, optimal_constant_distance
from lossbook.metrics.continual import (
    ContinualScores,
    Dips,
    average_mean_class_accuracy,
    backward_transfer,
    continual_scores,
    dips,
    final_accuracy,
    forgetting,
    learning_curve_area,
    min_accuracy,
    minimum_accuracies,
    worst_case_accuracy,
)
from lossbook.metrics.cost import Cost, cost, linear_cost
from lossbook.metrics.filter import blocks_kept, filtered
from lossbook.metrics.frames import (
    Geometry,
    chain_minimum,
    cross_entropy_geometry,
    squared_error_geometry,
    vanishing_weight_decay,
)
from lossbook.metrics.kernel import kernel_alignment, kernel_similarity, relative_motion, tangent_kernel
from lossbook.metrics.neural_collapse import (
    ClassMeans,
    bias_collapse,
    class_means,
    nearest_mean_mismatch,
    self_duality,
    within_class_variability,
)
from lossbook.metrics.projection import in_three, simplex_corners
from lossbook.metrics.ranking import (
    BestF1,
    area_over_curve,
    auc,
    best_f1,
    mean_reciprocal_rank,
    target_rank,
    top_k_error,
)
from lossbook.metrics.stability import Gaps, continual_gaps, reference_gap, updates_to_reach
from lossbook.metrics.windowed import windowed_forgetting, windowed_plasticity

__all__ = [
    "Alignment",
    "BestF1",
    "ClassMeans",
    "ContinualScores",
    "Cost",
    "Dips",
    "Gaps",
    "Geometry",
    "SquaredErrorParts",
    "area_over_curve",
    "auc",
    "average_mean_class_accuracy",
    "backward_transfer",
    "best_f1",
    "bias_collapse",
    "blocks_kept",
    "chain_minimum",
    "class_means",
    "coherence",
    "collapsed",
    "continual_gaps",
    "continual_scores",
    "cosines",
    "cost",
    "cross_entropy_geometry",
    "dips",
    "equinorm",
    "filtered",
    "final_accuracy",
    "forgetting",
    "frame_distance",
    "gram",
    "in_three",
    "kernel_alignment",
    "kernel_similarity",
    "learning_curve_area",
    "linear_cost",
    "mean_reciprocal_rank",
    "min_accuracy",
    "minimum_accuracies",
    "nearest_mean_mismatch",
    "optimal_constant",
    "optimal_constant_distance",
    "reference_gap",
    "relative_motion",
    "scaling_descent",
    "self_duality",
    "simplex_corners",
    "simplex_etf",
    "squared_error_geometry",
    "squared_error_parts",
    "tangent_kernel",
    "target_rank",
    "top_k_error",
    "updates_to_reach",
    "vanishing_weight_decay",
    "weight_alignment",
    "windowed_forgetting",
    "windowed_plasticity",
    "within_class_variability",
    "worst_case_accuracy",
    "zero_loss",
    "zero_share",
]
