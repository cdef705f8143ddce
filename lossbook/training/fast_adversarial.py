"""Fast adversarial training: one gradient step makes the attack, and a band holds the loss where it was.

Training on single steps can end in catastrophic overfitting: the network learns that one step and falls to two. It
shows beforehand as a jump of the loss on the points that the step begins at.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook.checks import (
    bad_type,
    bad_value,
    check_choice,
    check_count,
    check_floating,
    check_generator,
    check_number,
)
from lossbook.training.attack import STARTS


class FastStep(NamedTuple):
    """Where a single step began, and where it went."""

    start: Tensor
    moved: Tensor


def fast_step(
    model: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Float[Tensor, "..."],
    target: Int[Tensor, "*batch"],
    *,
    radius: float,
    step_size: float | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    start: str = "random",
    clip: bool = False,
    generator: torch.Generator,
) -> FastStep:
    """One signed gradient step up a loss: FGSM from the inputs, FGSM-RS from a random start.

        x₀ = x + u, u ~ U(−ε, ε);   x' = x₀ + α sign ∂ℓ(f(x₀), y)/∂x₀;   both kept within the bounds

    Args:
        model: inputs to scores (*batch, classes).
        loss: (scores, target) to one loss a row, or to its mean or sum.
        inputs: (*batch, ...), the clean inputs.
        target: (*batch) class indices.
        radius: ε of the l∞ ball.
        step_size: α; None takes the radius.
        bounds: lowest and highest value of a coordinate.
        start: "random", or "clean": at the inputs.
        clip: keep x' within the radius of x. The released FGSM-RS does not: its points are up to ε + α away.
        generator: source of the start.

    Returns:
        `FastStep(start, moved)`, both detached.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import cross_entropy
        >>> model, x, y = torch.nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0])
        >>> options = {"radius": 0.1, "start": "clean", "generator": torch.Generator().manual_seed(0)}
        >>> fast_step(model, cross_entropy, x, y, **options).moved
        tensor([[0.5000, 0.5000]])

    Reference: Goodfellow, Shlens & Szegedy 2015, arXiv 1412.6572; Wong, Rice & Kolter 2020, arXiv 2001.03994.
    """
    check_floating("inputs", inputs)
    radius = check_number("radius", radius, at_least=0)
    size = radius if step_size is None else check_number("step_size", step_size, at_least=0)
    check_choice("start", start, STARTS)
    check_generator(generator)
    inputs = inputs.detach()
    begun = inputs.clone()
    if start == "random":
        noise = torch.rand(inputs.shape, generator=generator, device=generator.device).to(inputs)
        begun = (inputs + radius * (2 * noise - 1)).clamp(*bounds)
    with torch.enable_grad():
        leaf = begun.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(model(leaf), target).sum(), leaf)
    moved = begun + size * slope.sign()
    if clip:
        moved = moved.clamp(inputs - radius, inputs + radius)
    return FastStep(begun, moved.clamp(*bounds))


class SmoothConvergence:
    """ConvergeSmooth: where a batch's benign loss leaves a band round the last epoch's mean, it is pushed back.

        L = L_base + w₂ s L_n,   s = sign(L_n − L̄_{e−1}) where |L_n − L̄_{e−1}| > γ, else 0
        γ = min(max(γ_max/ratio, L̄_{e−1} − L̄_{e−2}), γ_max)

    L_n is the loss on benign points, or on random starts; L̄_e its mean over epoch e. Outside the band L has the
    gradient of L_base + w₂ |L_n − L̄_{e−1}|.

    Args:
        steps_an_epoch: calls that make an epoch.
        weight: w₂ ≥ 0; 0 is plain training.
        gamma: γ_max > 0; infinity is plain training.
        ratio: γ_max/γ_min ≥ 1; 1 holds γ at γ_max.
        segments: epochs at which the learning rate changes, first and last included: the band waits until more than
            `stride` epochs after each, and ends more than `stride` before the next. None: one segment without end.
        stride: at least 0.

    `constraint(base, benign, rows)` takes the two losses of a batch, scalars or (members,), and gives L; `rows` is the
    size of the batch. `outside` then holds s, `gamma_now` the half-width γ.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> constraint = SmoothConvergence(1, gamma=0.1)
        >>> losses = [2.0, 1.0, 1.5, 1.5]                               # of one batch an epoch
        >>> [float(constraint(torch.tensor(5.0), torch.tensor(loss), 1)) for loss in losses]
        [5.0, 5.0, 6.5, 5.0]

    Gradient: that of L_base, and s w₂ times that of L_n.
    Limits: the first two epochs have no band. One epoch of a jump moves the band with it.
    Reference: Zhao, Zhang, Kong & Yin 2023, arXiv 2308.12857.
    """

    def __init__(
        self,
        steps_an_epoch: int,
        *,
        weight: float = 1.0,
        gamma: float = 0.03,
        ratio: float = 1.0,
        segments: Sequence[int] | None = None,
        stride: int = 1,
    ):
        check_count("steps_an_epoch", steps_an_epoch)
        self.weight = check_number("weight", weight, at_least=0)
        self.gamma = check_number("gamma", gamma, above=0, finite=False)
        self.ratio = check_number("ratio", ratio, at_least=1)
        check_count("stride", stride, least=0)
        ends = (0, float("inf")) if segments is None else tuple(segments)
        if len(ends) < 2 or any(low >= high for low, high in pairwise(ends)):
            raise bad_value("segments", segments, "None, or at least two epochs, each later than the one before")
        self.steps_an_epoch, self.segments, self.stride = steps_an_epoch, ends, stride
        self.epoch = self._calls = self._rows = 0
        self._total: Any = 0.0
        self.means: list[Any] = []  # of the epochs that are over
        self.outside: Any = 0
        self.gamma_now: Any = self.gamma

    @property
    def active(self) -> bool:
        """Whether this epoch has a band."""
        ends = pairwise(self.segments)
        inside = any(low + self.stride < self.epoch < high - self.stride for low, high in ends)
        return inside and len(self.means) > 1

    def __call__(self, base: Tensor, benign: Tensor, rows: int) -> Tensor:
        """The loss to descend. The benign loss joins its epoch's mean."""
        found = base
        if self.active:
            last, before = self.means[-1], self.means[-2]
            self.gamma_now = (last - before).clamp(self.gamma / self.ratio, self.gamma)
            strays = benign.detach() - last
            self.outside = torch.where(strays.abs() > self.gamma_now, strays.sign(), 0.0)
            found = base + self.weight * self.outside * benign
        self._total = self._total + rows * benign.detach()
        self._rows += rows
        self._calls += 1
        if self._calls == self.steps_an_epoch:
            self.means.append(self._total / self._rows)
            self.epoch += 1
            self._calls = self._rows = 0
            self._total = 0.0
        return found


class WeightCentre:
    """Weight centralisation, the other way to smooth convergence: a pull towards the mean of the past epochs' weights.

        w₁ ‖θ − mean over past epochs of θ_e‖²₂, the mean a constant

    Args:
        parameters: of a model; those of an `Ensemble` are each member's own.

    Example:
        >>> theta = torch.nn.Parameter(torch.zeros(2))
        >>> centre = WeightCentre([theta])
        >>> float(centre.distance())                                    # no epoch is past
        0.0
        >>> centre.end_epoch()
        >>> with torch.no_grad():
        ...     _ = theta.add_(3.0)
        >>> float(centre.distance().detach())
        18.0

    Limits: the paper gives it as an alternative; the released code has its weight commented out.
    Reference: Zhao, Zhang, Kong & Yin 2023, arXiv 2308.12857.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]):
        self.parameters = list(parameters)
        if not self.parameters:
            raise bad_value("parameters", self.parameters, "at least one parameter")
        if not all(isinstance(one, Tensor) for one in self.parameters):
            raise bad_type("parameters", self.parameters, "parameters of a model")
        self.epochs = 0
        self.means = [torch.zeros_like(one, requires_grad=False) for one in self.parameters]

    def end_epoch(self) -> None:
        """Take the present weights into the mean."""
        self.epochs += 1
        with torch.no_grad():
            for mean, one in zip(self.means, self.parameters, strict=True):
                mean.add_((one - mean) / self.epochs)

    def distance(self) -> Tensor:
        """The squared distance from the mean; 0 before the first epoch is over."""
        if self.epochs == 0:
            return self.parameters[0].new_zeros(())
        pairs = zip(self.parameters, self.means, strict=True)
        return torch.stack([(one - mean).square().sum() for one, mean in pairs]).sum()


def smoothing(factor: float, classes: int) -> float:
    """The `label_smoothing` that leaves the right class a share of `factor`, and each wrong one (1 − factor)/(K − 1).

        α = (1 − factor) K/(K − 1)

    Args:
        factor: share of the right class, between 1/K and 1.
        classes: K ≥ 2.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> share = smoothing(0.6, 10)
        >>> round(1 - share + share / 10, 12), round(10 * share / 10, 3)        # the right class, and all ten parts
        (0.6, 0.444)

    Reference: Zhao, Zhang, Kong & Yin 2023, arXiv 2308.12857, their code (factor 0.6).
    """
    check_count("classes", classes, least=2)
    factor = check_number("factor", factor, at_least=1 / classes, at_most=1)
    return (1 - factor) * classes / (classes - 1)
