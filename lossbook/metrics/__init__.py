"""Numbers about predictions, features and trajectories. Nothing here trains or draws."""

from lossbook.metrics.constant import optimal_constant, optimal_constant_distance
from lossbook.metrics.cost import Cost, cost, linear_cost
from lossbook.metrics.filter import blocks_kept, filtered
from lossbook.metrics.ranking import (
    BestF1,
    area_over_curve,
    auc,
    best_f1,
    mean_reciprocal_rank,
    target_rank,
    top_k_error,
)

__all__ = [
    "BestF1",
    "Cost",
    "area_over_curve",
    "auc",
    "best_f1",
    "blocks_kept",
    "cost",
    "filtered",
    "linear_cost",
    "mean_reciprocal_rank",
    "optimal_constant",
    "optimal_constant_distance",
    "target_rank",
    "top_k_error",
]
