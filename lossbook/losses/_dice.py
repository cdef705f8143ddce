"""Dice losses: one minus the overlap of what is said with what is so, of a whole set or of one example."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbook.checks import bad_type, bad_value, check_choice, check_floating, check_number, check_reduction
from lossbook.losses._elementwise import reduce
from lossbook.losses._soft_counts import Scores, check_sets

LEVELS = ("example", "set")


def dice_loss(
    logits: Scores,
    target: Scores,
    *,
    power: int = 1,
    smoothing: float = 1e-6,
    reduce_over: int | tuple[int, ...] | None = -1,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Dice loss: one minus twice the overlap over the sum, of all the elements of a set at once.

        ℓ = 1 − (2 Σ p y + ε)/(Σ p^q + Σ y + ε),  p = σ(z)

    Args:
        logits: (*sets, n), the logistic scores of activities.
        target: 0 or 1 for each, in floating point, of the same shape.
        power: q, 1, or 2 as in V-Net.
        smoothing: ε ≥ 0; above 0 a silent set that is called silent costs 0.
        reduce_over: the axes that make up one set. Of (clips, frames, classes): (1, 2) is a set a clip, 1 a set a clip
            and class, (0, 1) a set a class, None one set of everything.
        reduction: "mean", "sum" or "none", over sets.

    Returns:
        A scalar; for "none" one value a set.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> p = torch.tensor([0.9, 0.2, 0.1, 0.6], dtype=torch.float64)
        >>> y = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
        >>> [round(float(dice_loss(p.logit(), y, power=q)), 6) for q in (1, 2)]
        [0.210526, 0.068323]

    Gradient: by p_i, q = 1, with I = Σ p y and S = Σ p + Σ y: −2/S y_i + 2 I/S²: every negative has the same push
        however sure it is, every positive the same pull, S/I − 1 ≥ 1 times as strong; by z_i p_i (1 − p_i) times that.
    Limits: between 0 and 1. p = y gives 0, no overlap 1 up to ε. Negatives with p = 0 change nothing. For p of 0 or 1
        one minus the F1 score of the set.
    Reference: Watcharasupat et al. 2021, arXiv 2107.10471 (a set a clip, over frames and classes, and ε = 10⁻⁶ are our
        reading); q = 2: Milletari, Navab & Ahmadi 2016, arXiv 1606.04797.
    """
    check_reduction(reduction)
    _check_power(power)
    smoothing = check_number("smoothing", smoothing, at_least=0)
    logits, target = (_sets_last(name, value, reduce_over) for name, value in (("logits", logits), ("target", target)))
    scores, positive = check_sets(logits, target)
    hit, missed, false = _overlap(torch.sigmoid(scores), torch.sigmoid(-scores), positive, power)
    values = _missing(hit.sum(-1), (missed.sum(-1) + false.sum(-1)) / 2, smoothing)
    return reduce(values, None, reduction).to(logits.dtype)


def self_adjusting_dice_loss(
    logits: Scores,
    target: Scores,
    *,
    alpha: float = 1.0,
    smoothing: float = 1.0,
    level: str = "example",
    power: int = 1,
    tversky: tuple[float, float] = (0.5, 0.5),
    detach_weight: bool = False,
    hard_negatives: float | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The self-adjusting Dice loss DSC: Dice of u = (1 − p)^α p, so that the sure examples count less.

        level="example":  ℓ = (1/n) Σ_i [1 − (2 u_i y_i + γ)/(u_i + y_i + γ)]
        level="set":      ℓ = 1 − (2 Σ u y + γ)/(Σ u + Σ y + γ)

    Args:
        logits: (*sets, n), the logistic scores of n examples. The last axis is one set, and has one value.
        target: (*sets, n), 0 or 1 for each, in floating point.
        alpha: α ≥ 0, how much less the sure examples count. alpha=0 is Dice.
        smoothing: γ ≥ 0: 1 in the paper; the official code has 10⁻⁴, and α = 0.
        level: "example", a ratio for each as in the paper; or "set", one ratio, as the official code has it for one
            score an example.
        power: 2 squares u and y in the denominator.
        tversky: what false positives and false negatives count. Unequal numbers make it the paper's Tversky index TI,
            whose smoothing is half of this one, with alpha=0.
        detach_weight: take (1 − p)^α as a constant in the gradient. Not in the paper; see Gradient.
        hard_negatives: keep all positives of a set and the highest negatives, so many times as many, rounded down; the
            others count as if p = y = 0. None keeps all.
        reduction: "mean", "sum" or "none", over sets.

    Returns:
        A scalar, or (*sets) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> z = torch.tensor([0.6], dtype=torch.float64).logit()
        >>> [round(float(self_adjusting_dice_loss(z, torch.ones_like(z), alpha=a)), 6) for a in (0, 1, 2)]
        [0.153846, 0.339286, 0.431298]
        >>> z.requires_grad_()
        tensor([0.4055], dtype=torch.float64, requires_grad=True)
        >>> loss = self_adjusting_dice_loss(z, torch.ones(1).double())
        >>> bool(torch.autograd.grad(loss, z)[0] > 0)                       # downhill lowers p, though y = 1
        True

    Gradient: of an example by p: −(2 + γ)/(u + 1 + γ)² u' for y = 1, γ/(u + γ)² u' for y = 0, with
        u' = (1 − p)^(α−1) (1 − (1 + α) p). With α > 0 it changes sign at p = 1/(1 + α): beyond, a positive is pushed
        down and a negative up. detach_weight=True has (1 − p)^α in place of u', and one sign.
    Limits: of an example at most 1/(1 + γ). alpha=0 and p = y give 0; with α > 0 no sure positive costs less than
        1/(2 + γ), which is at the far side of a least value at p = 1/(1 + α).
    Reference: Li et al. 2020, arXiv 1911.02855.
    """
    check_choice("level", level, LEVELS)
    check_reduction(reduction)
    _check_power(power)
    if not isinstance(detach_weight, bool):
        raise bad_type("detach_weight", detach_weight, "True or False")
    alpha = check_number("alpha", alpha, at_least=0)
    smoothing = check_number("smoothing", smoothing, at_least=0)
    if not isinstance(tversky, tuple | list) or len(tversky) != 2:
        raise bad_type("tversky", tversky, "two numbers, of false positives and of false negatives")
    of_false, of_missed = (check_number("tversky", each, at_least=0) for each in tversky)
    scores, positive = check_sets(logits, target)
    kept = _kept(scores, positive, hard_negatives)
    muted = alpha * logsigmoid(-scores)  # log (1 − p)^α
    if detach_weight:
        muted = muted.detach()
    p = torch.sigmoid(scores)
    u, rest = p * muted.exp(), torch.sigmoid(-scores) - p * torch.expm1(muted)  # rest = 1 − u, without cancelling
    parts = [kept * part for part in _overlap(u, rest, positive, power)]
    hit, missed, false = (part.sum(-1) for part in parts) if level == "set" else parts
    values = _missing(hit, of_missed * missed + of_false * false, smoothing)
    return reduce(values if level == "set" else values.mean(-1), None, reduction).to(logits.dtype)


def _overlap(said: Tensor, unsaid: Tensor, positive: Tensor, power: int) -> tuple[Tensor, Tensor, Tensor]:
    """What each element is hit by, misses and says falsely: with y of 0 or 1 these make up u^q + y − 2 u y."""
    return said * positive, unsaid**power * positive, said**power * (1 - positive)


def _missing(hit: Tensor, wrong: Tensor, smoothing: float) -> Tensor:
    """1 − (2 hit + γ)/(2 hit + 2 wrong + γ): as a ratio of sums of positive numbers nothing cancels."""
    whole = hit + wrong + smoothing / 2
    return wrong / whole.clamp(min=torch.finfo(whole.dtype).tiny)


def _kept(scores: Tensor, positive: Tensor, hard_negatives: float | None) -> Tensor:
    """1 for the positives and the highest negatives of each set, else 0."""
    if hard_negatives is None:
        return torch.ones_like(positive)
    ratio = check_number("hard_negatives", hard_negatives, at_least=0)
    negative = positive == 0
    ranked = scores.detach().masked_fill(~negative, -torch.inf)
    place = torch.argsort(ranked, dim=-1, descending=True, stable=True).argsort(-1)
    wanted = (ratio * positive.sum(-1, keepdim=True)).floor()
    return ((place < wanted) | ~negative).to(positive.dtype)


def _check_power(power: int) -> None:
    if isinstance(power, bool) or power not in (1, 2):
        raise bad_value("power", power, "1 or 2")


def _sets_last(argument: str, value: Tensor, axes: int | tuple[int, ...] | None) -> Tensor:
    """The axes of a set made one, the last."""
    check_floating(argument, value)
    if axes is None:
        return value.reshape(-1)
    chosen = axes if isinstance(axes, tuple) else (axes,)
    inside = all(type(axis) is int and -value.ndim <= axis < value.ndim for axis in chosen)
    if not chosen or not inside or len({axis % value.ndim for axis in chosen}) < len(chosen):
        raise bad_value("reduce_over", axes, f"None, or different axes of {argument}, which has {value.ndim}")
    moved = value.movedim(chosen, tuple(range(-len(chosen), 0)))
    return moved.flatten(-len(chosen))
