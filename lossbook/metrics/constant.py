"""The optimal constant: what a network says best without looking at its input, and how far its outputs are from it."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_choice, check_floating, check_number, check_same_device


def optimal_constant(
    loss: str, target: Tensor, *, classes: int | None = None, cost: float = 4.0
) -> Float[Tensor, "..."]:
    """The constant output with the least mean loss on the targets, in closed form.

        c* = argmin_c (1/n) Σ_i ℓ(c, y_i)

    | loss | constant |
    |---|---|
    | "cross_entropy" | log π, the logarithms of the class shares (classes,); −inf for a class without a target |
    | "binary_cross_entropy" | the base rate, a probability |
    | "squared_error" | the mean |
    | "absolute_error" | the median; between two middle targets, their mean |
    | "gaussian_negative_log_likelihood" | (mean, log of the biased variance), (2,) |
    | "reward_prediction_loss" | ((1 + m) π − m, 0), (classes + 1,); m is the cost of a wrong answer |

    Args:
        loss: one of the names above.
        target: (n,) class indices, or numbers for the losses of numbers.
        classes: the number of classes, for the losses of class scores.
        cost: m ≥ 0, for "reward_prediction_loss".

    Returns:
        The constant, as in the table; float64 for class indices, else in the dtype of the targets.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> optimal_constant("cross_entropy", torch.tensor([0, 0, 1, 2]), classes=3).exp().tolist()
        [0.5, 0.25, 0.25]
        >>> optimal_constant("absolute_error", torch.tensor([1.0, 2.0, 30.0])).item()
        2.0

    Reference: Kang, Setlur, Tomlin & Levine 2023, arXiv 2310.00873.
    """
    check_choice("loss", loss, (*_OF_CLASSES, *_OF_NUMBERS))
    if not isinstance(target, Tensor):
        raise bad_type("target", target, "a tensor")
    if target.ndim != 1 or len(target) == 0:
        raise bad_value("target", target, "shape (n,) with at least one target")
    if loss in _OF_NUMBERS:
        return _OF_NUMBERS[loss](check_floating("target", target))
    if target.is_floating_point() or target.dtype == torch.bool:
        raise bad_type("target", target, "class indices (int64)")
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise bad_value("classes", classes, "the number of classes, a positive integer")
    if int(target.min()) < 0 or int(target.max()) >= classes:
        raise bad_value("target", target, f"classes 0 to {classes - 1}")
    shares = torch.bincount(target, minlength=classes).double() / len(target)
    return _OF_CLASSES[loss](shares, check_number("cost", cost, at_least=0))


_OF_CLASSES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "cross_entropy": lambda shares, cost: shares.log(),
    "reward_prediction_loss": lambda shares, cost: torch.cat([(1 + cost) * shares - cost, shares.new_zeros(1)]),
}
_OF_NUMBERS: dict[str, Callable[[Tensor], Tensor]] = {
    "binary_cross_entropy": torch.mean,
    "squared_error": torch.mean,
    "absolute_error": lambda target: torch.quantile(target, 0.5),
    "gaussian_negative_log_likelihood": lambda target: torch.stack([target.mean(), target.var(correction=0).log()]),
}


def optimal_constant_distance(
    logits: Float[Tensor, "*batch classes"], marginals: Float[Tensor, " classes"]
) -> Float[Tensor, ""]:
    """How far softmax predictions are from the class shares, in nats: the mean over inputs of KL(p(x) ‖ π).

        (1/n) Σ_x Σ_k p_k(x) log(p_k(x)/π_k)

    The mean is taken over the divergences, not over the predictions: a network that is certain of a different class for
    each input is far from π though its mean prediction may equal π.

    Args:
        logits: (*batch, classes).
        marginals: (classes,), the shares π of the classes in training; non-negative, sum 1.

    Returns:
        A scalar; 0 where every prediction is π, infinite where a class with share 0 gets probability.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> certain = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
        >>> round(float(optimal_constant_distance(certain, torch.tensor([0.5, 0.5]))), 4)       # log 2
        0.6931

    Reference: Kang, Setlur, Tomlin & Levine 2023, arXiv 2310.00873.
    """
    if check_floating("logits", logits).ndim < 1 or logits.numel() == 0:
        raise bad_value("logits", logits, "shape (*batch, classes), not empty")
    if check_floating("marginals", marginals).shape != logits.shape[-1:]:
        raise bad_value("marginals", marginals, f"one share per class, shape ({logits.shape[-1]},)")
    check_same_device("marginals", marginals, "logits", logits)
    if bool((marginals < 0).any()) or abs(float(marginals.sum()) - 1) > 1e-4:
        raise ValueError(
            f"marginals: got sum {float(marginals.sum()):g}, expected shares of classes: non-negative, sum 1"
        )
    log_p = torch.log_softmax(logits, -1)
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - marginals.to(logits.dtype).log()), 0.0).sum(-1).mean()
