"""What a record of a loss holds. Data only: records drive the tests, the explorers and the atlas."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from lossbook.kernels.filter import CAN_FILTER

Origin = Literal["likelihood", "MAP", "decision theory", "surrogate", "heuristic", "hybrid"]
Inputs = Literal["logits", "margin", "error", "pairs", "labels", "sets"]
TARGETS = {
    "logits": "class indices",
    "pairs": "the other side's embeddings",
    "labels": "0s and 1s",
    "sets": "0s and 1s",
}


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter of a loss: its default, the range that a slider walks, and what it does in a few words."""

    name: str
    default: float
    low: float
    high: float
    step: float
    meaning: str
    symbol: str  # TeX


@dataclass(frozen=True)
class SpecialCase:
    """At these parameters the loss equals another function of the same inputs."""

    statement: str
    parameters: Mapping[str, float]
    equals: Callable[..., Tensor]  # (first input, target?) -> one value per row or element


@dataclass(frozen=True)
class Reference:
    """Where a loss comes from."""

    authors: str
    year: int
    title: str
    arxiv: str = ""
    venue: str = ""

    def __str__(self) -> str:
        where = f"arXiv {self.arxiv}" if self.arxiv else self.venue
        return f"{self.authors} ({self.year}), {self.title}" + (f", {where}" if where else "")


Bound = float | Callable[..., float]  # a number, or a function of the parameters


@dataclass(frozen=True)
class Properties:
    """What is claimed of a loss at every setting of its parameters. Tests hold each claim, True or False, numerically.

    None: not claimed. A function is called with the parameters as keywords. Bounds hold over all inputs and any
    number of classes, with `companions` held.
    """

    lower: Bound = 0.0
    upper: Bound | None = None  # None: claimed to be unbounded
    convex: bool | Callable[..., bool] | None = None  # in the first input
    shift_invariant: bool | None = None  # logits: adding a constant to a row changes nothing
    lipschitz: Bound | None = None  # largest Euclidean length of the gradient; None: none, of sets not claimed
    calibrated: bool | None = None  # margin: the best score has the sign of η − 1/2
    even: bool | Callable[..., bool] | None = None  # error: ℓ(−e) = ℓ(e)
    proper: bool | Callable[..., bool] | None = None  # logits: in expectation best at the true class probabilities


@dataclass(frozen=True)
class Record:
    """A loss as the book knows it.

    `function` is the public loss; `gradient` is its closed form by the first input, one row or element at a time,
    without weights: (logits, target, **parameters), (margin, **parameters) or (prediction, target, **parameters). One
    of pairs takes two sets of embeddings, a row a pair; its rows see each other, and `gradient` is that of their sum.
    One of labels takes scores and 0s and 1s of any one shape, an element a label; one of sets the same, but all
    elements of the last axis make one value, and `gradient` is that value's.
    """

    function: Callable[..., Tensor]
    title: str
    inputs: Inputs
    family: str
    origin: Origin
    chapter: str  # two digits
    formula: str  # TeX
    gradient_formula: str  # TeX
    gradient: Callable[..., Tensor]
    properties: Properties
    reference: Reference
    parameters: tuple[Parameter, ...] = ()
    special_cases: tuple[SpecialCase, ...] = ()
    statistics: tuple[str, ...] = ()  # logits: the row statistics it looks at
    companions: Mapping[str, Callable[[Tensor], Any]] = field(
        default_factory=dict
    )  # further tensors, made from the first input
    system: str = ""  # key of the paper's system in papers.toml, where it belongs to one

    @property
    def key(self) -> str:
        """The function's name, which is the loss's name everywhere."""
        return self.function.__name__

    @property
    def defaults(self) -> dict[str, float]:
        """The parameters at their defaults."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    @property
    def filterable(self) -> bool:
        """Whether LinearLogits may pass over small blocks of its gradient, at every setting of its parameters.

        They may where p − e_y alone makes the gradient, which dies with p.
        """
        return bool(self.statistics) and CAN_FILTER.issuperset(self.statistics)

    def value(self, first: Tensor, target: Tensor | None = None, **parameters: float) -> Tensor:
        """The loss of each row or element. Errors are predictions of the target 0 where no target is given."""
        return self.function(*self._inputs(first, target), **self._keywords(first, parameters), reduction="none")

    def slope(self, first: Tensor, target: Tensor | None = None, **parameters: float) -> Tensor:
        """The closed-form gradient of each row's or element's loss by the first input."""
        return self.gradient(*self._inputs(first, target), **self._keywords(first, parameters))

    def _keywords(self, first: Tensor, parameters: Mapping[str, float]) -> dict[str, Any]:
        return self.defaults | {name: make(first) for name, make in self.companions.items()} | dict(parameters)

    def _inputs(self, first: Tensor, target: Tensor | None) -> tuple[Tensor, ...]:
        if self.inputs == "margin":
            return (first,)
        if target is None and self.inputs == "error":
            target = first.new_zeros(first.shape)
        if target is None:
            raise TypeError(f"target: got None, expected {TARGETS[self.inputs]}: {self.key} is a loss of {self.inputs}")
        return (first, target)
