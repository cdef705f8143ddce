"""Adaptive label distributionally robust loss: every training example has a temperature of its own, and keeps it."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook.checks import bad_type, bad_value, check_choice, check_count, check_floating, check_number
from lossbook.losses._robust_labels import NORMALISATIONS, normalised, raised, robust_rows

UPDATES = ("code", "exact")
FLOOR = 1e-5  # the code adds it to every q, so that its logarithm is a number


class ALDRKLLoss(nn.Module):
    """ALDR-KL: LDR-KL in which every example's temperature λ_i follows how sure the network is of it.

        max over q and λ of Σ_k q_k (f_k − f_y + m [k ≠ y]) − λ KL(q ‖ 1/V) − (α log V/(2 λ_0)) (λ − λ_0)²

    The best λ for a given q is λ_0 − λ_0 KL(q ‖ 1/V)/(α log V): λ_0 (1 − 1/α) for a sure q, λ_0 for an even one.
    In training each call moves the λ_i of its batch once, and charges LDR-KL at the new ones; in evaluation they stay.
    The λ_i carry no gradient.

    Args:
        examples: of the training part; ids count from 0.
        temperature: λ_0 > 0, where all λ_i begin. Against wrong labels it must be large: 10 in the authors' script.
        alpha: α ≥ 1, how dear it is to leave λ_0. The script has 2.
        margin: m ≥ 0; 0.1 in the script.
        normalise: as in `ldr_kl_loss`; "l1" in the released code, and "softplus" for its hundred classes.
        update: "code": q = softmax(f/λ_i) + 10⁻⁵, made to add up to 1, without the margin, and one step a visit, as
            released. "exact": q = softmax((f + m [k ≠ y])/λ_i) repeated until λ_i stays, a maximiser of the formula.
        members: of an `Ensemble`, each with temperatures of its own; None: one network.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> loss = ALDRKLLoss(1, temperature=1.0, normalise="none", update="exact").double()
        >>> value = loss(torch.tensor([[2.0, 1.0, 0.0]]).double(), torch.tensor([0]), torch.tensor([0]))
        >>> round(float(loss.temperatures), 4), round(float(value), 6)
        (0.8634, -0.640322)

    Limits: λ_0 → ∞ is the straight line that LDR-KL tends to; α → ∞ is LDR-KL at λ_0. The penalty is a constant to the
        gradient, and the value says little; log accuracy.
    Reference: Zhu, Ying & Yang 2023, arXiv 2112.14869, and its released code.
    """

    def __init__(
        self,
        examples: int,
        *,
        temperature: float = 10.0,
        alpha: float = 2.0,
        margin: float = 0.1,
        normalise: str = "l1",
        update: str = "code",
        members: int | None = None,
    ):
        super().__init__()
        check_count("examples", examples)
        if members is not None:
            check_count("members", members)
        check_choice("normalise", normalise, NORMALISATIONS)
        check_choice("update", update, UPDATES)
        self.start = check_number("temperature", temperature, above=0)
        self.alpha = check_number("alpha", alpha, at_least=1)
        self.margin = check_number("margin", margin, at_least=0)
        self.normalise, self.update = normalise, update
        shape = (examples,) if members is None else (examples, members)
        self.temperatures: Tensor
        self.register_buffer("temperatures", torch.full(shape, self.start))

    def forward(
        self,
        logits: Float[Tensor, "batch *members classes"],
        target: Int[Tensor, "batch ..."],
        ids: Int[Tensor, " batch"],
        *,
        reduction: str = "mean",
    ) -> Float[Tensor, "..."]:
        """The loss of a batch; `ids` say which examples these are, each at most once.

        Args:
            logits: (batch, classes), at least two classes; or (batch, members, classes).
            target: (batch) or (batch, members) class indices.
            ids: (batch), the place of each example in the training part.
            reduction: "mean", "sum" or "none".
        """
        check_choice("reduction", reduction, ("mean", "sum", "none"))
        self._check(logits, target, ids)
        scores = normalised(logits, self.normalise)
        if self.training:
            with torch.no_grad():
                self.temperatures[ids] = self._moved(scores.detach(), target, self.temperatures[ids])
        level = self.temperatures[ids]
        price = self.alpha * math.log(logits.shape[-1]) / (2 * self.start)
        values = robust_rows(scores, target, level, self.margin) - price * (level - self.start).square()
        return values if reduction == "none" else values.mean() if reduction == "mean" else values.sum()

    def _moved(self, scores: Tensor, target: Tensor, level: Tensor) -> Tensor:
        """The temperatures after one step, or where repeating it no longer moves them."""
        if self.update == "code":
            q = torch.softmax(scores / level[..., None], -1) + FLOOR
            return self._best_for(q / q.sum(-1, keepdim=True)).to(level.dtype)
        ahead, found = raised(scores, target, self.margin), torch.full_like(level, self.start)
        for _ in range(1000):  # from λ_0 downwards, every step is shorter than the last
            before, found = found, self._best_for(torch.softmax(ahead / found[..., None], -1)).to(level.dtype)
            found = found.clamp(min=1e-6 * self.start)  # α = 1 and a q that is sure
            if bool(((before - found).abs() <= 4 * torch.finfo(level.dtype).eps * self.start).all()):
                break
        return found

    def _best_for(self, q: Tensor) -> Tensor:
        """λ_0 − λ_0 KL(q ‖ 1/V)/(α log V), for KL is log V less the entropy."""
        entropy = torch.special.entr(q).sum(-1)
        return self.start * (1 - (1 - entropy / math.log(q.shape[-1])) / self.alpha)

    def _check(self, logits: Tensor, target: Tensor, ids: Tensor) -> None:
        tail = self.temperatures.shape[1:]
        if check_floating("logits", logits).ndim != 2 + len(tail) or logits.shape[1:-1] != tail or logits.shape[-1] < 2:
            raise bad_value(
                "logits", logits, f"shape (batch, {''.join(f'{n}, ' for n in tail)}classes), two classes or more"
            )
        for name, value, shape in (("target", target, logits.shape[:-1]), ("ids", ids, logits.shape[:1])):
            if not isinstance(value, Tensor) or value.dtype != torch.int64:
                raise bad_type(name, value, "a tensor of int64")
            if value.shape != shape:
                raise bad_value(name, value, f"shape {tuple(shape)}")
        examples = len(self.temperatures)
        if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= examples):
            raise ValueError(f"ids: got {int(ids.min())} to {int(ids.max())}, expected 0 to {examples - 1}")
