"""Landscapes: the loss as a function of the weights, and how it bends."""

from lossbook.landscapes.curvature import (
    Eigenpair,
    TraceEstimate,
    hessian_vector_product,
    hutchinson_trace,
    largest_eigenvalue,
)

__all__ = [
    "Eigenpair",
    "TraceEstimate",
    "hessian_vector_product",
    "hutchinson_trace",
    "largest_eigenvalue",
]
