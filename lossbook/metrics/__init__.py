"""Numbers about predictions, features and trajectories. Nothing here trains or draws."""

from lossbook.metrics.constant import optimal_constant, optimal_constant_distance

__all__ = ["optimal_constant", "optimal_constant_distance"]
