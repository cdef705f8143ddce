"""Learning tasks one after the other: batches with a memory of old tasks, and penalties that hold old weights fast."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from lossbook.checks import bad_type, bad_value, check_count, check_number
from lossbook.training.batches import Shuffled

Examples = tuple[Tensor, Tensor]


class Batch(NamedTuple):
    """Examples of the present task, and of each older one."""

    features: Tensor
    labels: Tensor
    old: tuple[Examples, ...] = ()


class ReplayBatches:
    """The next batch of a task, and beside it as many remembered examples, shared equally among the tasks before.

    Args:
        present: features and labels of the task being learned. Several generators: members first.
        old: the same, of each task before; what is kept of it.
        size: examples of the present task a step.
        generators: for the present task and each old one, in that order, what `Shuffled` takes: one, or one a member.

    Each call gives a `Batch`. Its old parts hold size // (number of old tasks) examples each, at least 1.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> tasks = [(torch.zeros(8, 3) + k, torch.full((8,), k)) for k in range(3)]
        >>> generators = [torch.Generator().manual_seed(k) for k in range(3)]
        >>> batch = ReplayBatches(tasks[2], tasks[:2], 4, generators)()
        >>> batch.labels.tolist(), [labels.tolist() for _, labels in batch.old]
        ([2, 2, 2, 2], [[0, 0], [1, 1]])
    """

    def __init__(self, present: Examples, old: Sequence[Examples], size: int, generators: Sequence[Any]):
        check_count("size", size)
        if len(generators) != 1 + len(old):
            raise bad_value("generators", len(generators), f"{1 + len(old)}: one for the present task and each old one")
        self._parts = [present, *old]
        sizes = [size, *([max(1, size // len(old))] * len(old) if old else [])]
        self._orders = [
            Shuffled(labels.shape[-1], least, generator)
            for (_, labels), least, generator in zip(self._parts, sizes, generators, strict=True)
        ]

    def __call__(self) -> Batch:
        """The next batch."""
        drawn = [_chosen(part, order()) for part, order in zip(self._parts, self._orders, strict=True)]
        return Batch(*drawn[0], tuple(drawn[1:]))

    def state_dict(self) -> dict[str, Any]:
        """Where each part stands."""
        return {str(k): order.state_dict() for k, order in enumerate(self._orders)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for k, order in enumerate(self._orders):
            order.load_state_dict(state[str(k)])


def _chosen(examples: Examples, chosen: Tensor) -> Examples:
    """Rows of features and labels; of each member its own where there are members."""
    features, labels = examples
    chosen = chosen.to(labels.device)
    if chosen.ndim == 1:
        return features[chosen], labels[chosen]
    member = torch.arange(len(chosen), device=chosen.device)[:, None]
    return features[member, chosen], labels[member, chosen]


def fisher_diagonal(
    model: nn.Module, features: Tensor, *, answers: Sequence[int] | None = None, own: bool = False, chunk: int = 8
) -> dict[str, Tensor]:
    """The diagonal of the Fisher information of a classifier: how much its answers depend on each weight.

        F_j = mean over examples of Σ_c p_c (∂ log p_c/∂θ_j)²

    Args:
        model: features to logits, or an `Ensemble`.
        features: (examples, ...); of an ensemble with `own`, (members, examples, ...).
        answers: the outputs among which the classifier chooses; None: all.
        own: whether each member of an ensemble has its own examples.
        chunk: examples at a time; more of them take more memory.

    Returns:
        For each parameter a tensor of its shape. The expectation over classes is exact: nothing is drawn, and no label
        is looked at.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.models import linear
        >>> model = linear(1, 2, generator=torch.Generator().manual_seed(0))
        >>> p = model(torch.ones(1, 1)).softmax(-1)[0].detach()
        >>> found = fisher_diagonal(model, torch.ones(4, 1))["bias"]
        >>> bool(torch.allclose(found, p * (1 - p)))
        True

    Reference: Kirkpatrick et al. 2017, arXiv 1612.00796.
    """
    check_count("chunk", chunk)
    if not isinstance(model, nn.Module):
        raise bad_type("model", model, "a network")
    axis = 1 if own else 0
    count = features.shape[axis] if isinstance(features, Tensor) and features.ndim > axis else 0
    if not count:
        raise bad_value("features", features, "at least one example")
    options = {"own": True} if own else {}
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def of_class(weights: dict[str, Tensor], example: Tensor, label: Tensor) -> Tensor:
        """The logarithm of p_c, times the root of p_c as a constant: its square is what is wanted. Members add up."""
        logits = functional_call(model, weights, (example.unsqueeze(axis),), options)
        logits = logits if answers is None else logits[..., list(answers)]
        log_p = torch.log_softmax(logits, -1).index_select(-1, label[None])
        return ((log_p / 2).exp().detach() * log_p).sum()

    width = len(answers) if answers is not None else model(features.narrow(axis, 0, 1), **options).shape[-1]
    labels = torch.arange(width, device=features.device)
    each = vmap(vmap(grad(of_class), (None, None, 0)), (None, axis, None))
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for part in features.split(chunk, axis):
        for name, found in each(weights, part, labels).items():
            total[name] += found.square().sum((0, 1))
    return {name: value / count for name, value in total.items()}


class ElasticWeights:
    """EWC: a spring on every weight towards where it stood after each old task, as stiff as the weight was important.

        penalty(θ) = (strength/2) Σ_tasks Σ_j F_j (θ_j − θ*_j)²

    Args:
        strength: of all springs, at least 0; 0 is no penalty.

    Call `consolidate(model, importance)` after each task, with `fisher_diagonal` for instance.

    Example:
        >>> from lossbook.models import linear
        >>> model, held = linear(1, 1, bias=False, generator=torch.Generator().manual_seed(0)), ElasticWeights(3.0)
        >>> held.consolidate(model, {"weight": torch.tensor([[2.0]])})
        >>> _ = model.weight.data.add_(0.5)
        >>> round(held.penalty(model).item(), 6)                  # 3/2 · 2 · 0.5²
        0.75

    Reference: Kirkpatrick et al. 2017, arXiv 1612.00796.
    """

    def __init__(self, strength: float):
        self._strength = check_number("strength", strength, at_least=0)
        self._held: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    def consolidate(self, model: nn.Module, importance: dict[str, Tensor]) -> None:
        """Hold the present weights, each by its importance."""
        weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        if importance.keys() != weights.keys():
            raise bad_value("importance", sorted(importance), f"a tensor for each of {', '.join(weights)}")
        self._held.append((importance, weights))

    def penalty(self, model: nn.Module) -> Tensor:
        """The energy of all springs; summed over the members of an ensemble."""
        weights = dict(model.named_parameters())
        total = torch.zeros((), device=next(iter(weights.values())).device)
        for importance, anchor in self._held:
            for name, weight in weights.items():
                total = total + (importance[name] * (weight - anchor[name]).square()).sum()
        return self._strength / 2 * total


class SynapticIntelligence:
    """SI: springs as in EWC, a weight's importance being what its own path has taken off the loss while it was learned.

        ω_j = −Σ_t g_j Δθ_j,   Ω_j = Σ_tasks max(0, ω_j)/((θ_j at the end − at the beginning)² + ξ)
        penalty(θ) = strength Σ_j Ω_j (θ_j − θ*_j)²

    Args:
        strength: c, at least 0.
        damping: ξ > 0, for weights that have not moved.

    It is the transform of `train`, which sees g and where the weights went since. g is the gradient of the loss alone:
    that of the penalty, which is known, is taken off. Call `consolidate(model)` after each task.

    Reference: Zenke, Poole & Ganguli 2017, arXiv 1703.04200.
    """

    def __init__(self, strength: float, *, damping: float = 0.1):
        self._strength = check_number("strength", strength, at_least=0)
        self._damping = check_number("damping", damping, above=0)
        self._importance: dict[str, Tensor] = {}
        self._anchor: dict[str, Tensor] = {}
        self._path: dict[str, Tensor] = {}
        self._begun: dict[str, Tensor] = {}
        self._last: dict[str, Examples] = {}  # gradient and weight of the step before

    @torch.no_grad()
    def __call__(self, model: nn.Module, batch: Any) -> None:
        """Note a step: to be called with its gradients, before the optimiser moves."""
        self._advance(model)
        for name, parameter in model.named_parameters():
            if parameter.grad is None:
                continue
            gradient, weight = parameter.grad.clone(), parameter.detach().clone()
            if name in self._importance:
                gradient -= 2 * self._strength * self._importance[name] * (weight - self._anchor[name])
            self._begun.setdefault(name, weight)
            self._last[name] = gradient, weight

    @torch.no_grad()
    def consolidate(self, model: nn.Module) -> None:
        """End a task: its path becomes importance, and the weights are held where they are."""
        self._advance(model)
        for name, parameter in model.named_parameters():
            weight = parameter.detach().clone()
            if name in self._path:
                moved = (weight - self._begun[name]).square()
                found = self._path[name].clamp(min=0) / (moved + self._damping)
                self._importance[name] = self._importance.get(name, 0) + found
            self._anchor[name] = weight
        self._path, self._begun, self._last = {}, {}, {}

    @property
    def importance(self) -> dict[str, Tensor]:
        """Ω by the names of the parameters; empty before the first task has ended."""
        return dict(self._importance)

    def penalty(self, model: nn.Module) -> Tensor:
        """The energy of the springs; summed over the members of an ensemble."""
        weights = dict(model.named_parameters())
        total = torch.zeros((), device=next(iter(weights.values())).device)
        for name, importance in self._importance.items():
            total = total + (importance * (weights[name] - self._anchor[name]).square()).sum()
        return self._strength * total

    def _advance(self, model: nn.Module) -> None:
        """Add what the step before has done."""
        for name, parameter in model.named_parameters():
            if name in self._last:
                gradient, weight = self._last[name]
                step = -gradient * (parameter.detach() - weight)
                self._path[name] = self._path.get(name, torch.zeros_like(step)) + step
