"""Answers to the exercises on smoothness and flatness: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_13_smooth import check_divergence_hessian, check_sam_gradient, check_transfer


def spread(logits):
    """How the log-sum-exp bends."""
    p = torch.softmax(logits, 0)
    return p.diag() - torch.outer(p, p)


def hessian(jacobian, logits):
    """Jᵀ (diag p − p pᵀ) J."""
    return jacobian.T @ spread(logits) @ jacobian


def outer(jacobian, logits):
    """What should have been taken off."""
    p = torch.softmax(logits, 0)
    return jacobian.T @ torch.outer(p, p) @ jacobian


def uphill(matrix, weights, rho):
    """The point a step uphill."""
    slope = matrix @ weights
    return weights + rho * slope / slope.norm()


def fooled(clean, moved, labels):
    """Right before and wrong after."""
    return ((clean == labels) & (moved != labels)).double()


ATTEMPTS = [
    (check_divergence_hessian, lambda j, z: spread(z), "bends in the logits"),
    (check_divergence_hessian, lambda j, z: j @ j.T, "J stands on both sides"),
    (check_divergence_hessian, lambda j, z: hessian(j, z) / 2, "half of H"),
    (check_divergence_hessian, lambda j, z: j.T @ torch.softmax(z, 0).diag() @ j, "without − p pᵀ"),
    (check_divergence_hessian, lambda j, z: j.T @ j, "p is nowhere"),
    (check_divergence_hessian, outer, "From what?"),
    (check_divergence_hessian, lambda j, z: 0 * j.T @ j, "begin with"),
    (check_divergence_hessian, hessian, "Right"),
    (check_sam_gradient, lambda a, w, r: a @ w, "Take it a step uphill"),
    (check_sam_gradient, uphill, "the gradient there"),
    (check_sam_gradient, lambda a, w, r: a @ (w + r * a @ w), "divide the gradient"),
    (check_sam_gradient, lambda a, w, r: a @ (2 * w - uphill(a, w, r)), "downhill"),
    (check_sam_gradient, lambda a, w, r: a @ (w + r * w / w.norm()), "along the weights"),
    (check_sam_gradient, lambda a, w, r: a @ (w + r * (a @ w).sign()), "l∞ ball"),
    (check_sam_gradient, lambda a, w, r: a, "yours has shape"),
    (check_sam_gradient, lambda a, w, r: 0 * w, "first g = A w"),
    (check_sam_gradient, lambda a, w, r: a @ uphill(a, w, r), "Right"),
    (check_transfer, lambda c, m, y: (m != y).double().mean(), "wrong before the attack"),
    (check_transfer, lambda c, m, y: fooled(c, m, y).mean(), "not by all"),
    (check_transfer, lambda c, m, y: (c != m).double().mean(), "change of mind"),
    (check_transfer, lambda c, m, y: 1 - fooled(c, m, y).sum() / (c == y).sum(), "withstands"),
    (check_transfer, lambda c, m, y: 2.0, "The first number"),
    (check_transfer, lambda c, m, y: fooled(c, m, y), "One rate"),
    (check_transfer, lambda c, m, y: fooled(c, m, y).sum() / (c == y).sum(), "Right"),
]
