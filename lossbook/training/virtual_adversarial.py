"""Virtual adversarial training: smooth predictions where they would change most, and no label needed."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lossbook.checks import bad_value, check_choice, check_count, check_floating, check_generator, check_number

Model = Callable[[Tensor], Tensor]
Chance = torch.Generator | Sequence[torch.Generator]
TINY, SMOOTH = 1e-12, 1e-6  # of the released code: beside the largest entry, and beside the squared length


def virtual_adversarial_direction(
    model: Model,
    inputs: Float[Tensor, "batch ..."],
    *,
    generator: Chance,
    power_steps: int = 1,
    xi: float | None = None,
    sample_axes: int = 1,
) -> Float[Tensor, "batch ..."]:
    """The direction, for each example, in which a small step changes the predicted distribution most.

        d ~ N(0, I);  power_steps times:  d ← ∂KL(p ‖ softmax f(x + ξ d̄))/∂d,  d̄ = d/‖d‖;  result d̄

    Args:
        model: inputs to logits, classes last. Where it is a module, batch normalisation keeps its running statistics.
        inputs: (batch, ...), the examples x. No label is asked for.
        generator: source of the first d; several of them, one for each entry of the first axis, draw side by side.
        power_steps: of the power iteration on the Hessian of the KL divergence; 0 leaves a random direction.
        xi: ξ, length of the step of the finite difference, in the unit of the inputs. None takes √(machine epsilon) of
            the inputs' format (3.5·10⁻⁴ in float32): a shorter step loses digits to rounding, a longer one to the
            third derivative. The released code has 10⁻⁶.
        sample_axes: leading axes that count examples; 2 for inputs (members, batch, ...) of an `Ensemble`, called
            through `lambda x: ensemble(x, own=True)`.

    Returns:
        Of the inputs' shape, detached; each example's direction has length 1 (to 5·10⁻⁷, as released), or is 0 where
        the prediction does not change.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> weight = torch.tensor([[0.6], [-0.8]], dtype=torch.float64)        # logits (0, 0.6 x₁ − 0.8 x₂)
        >>> x, drawn = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.Generator().manual_seed(0)
        >>> d = virtual_adversarial_direction(lambda x: torch.cat([0 * x @ weight, x @ weight], 1), x, generator=drawn)
        >>> bool(torch.allclose(d.abs(), weight.T.abs(), atol=1e-6))           # along the weights, after one step
        True

    Dropout draws the same mask in every pass.

    Reference: Miyato, Maeda, Koyama & Ishii 2018, arXiv 1704.03976.
    """
    xi = _checked(inputs, generator, power_steps, xi, sample_axes)
    with _quiet_passes(model, inputs) as evaluate:
        return _direction(evaluate, _predicted(evaluate, inputs), inputs, generator, power_steps, xi, sample_axes)


def virtual_adversarial_loss(
    model: Model,
    inputs: Float[Tensor, "batch ..."],
    *,
    radius: float,
    generator: Chance,
    power_steps: int = 1,
    xi: float | None = None,
    sample_axes: int = 1,
    reduction: str = "mean",
) -> Tensor:
    """Local distributional smoothness (LDS): how far the prediction moves at the worst point of a small ball.

        KL(p ‖ softmax f(x + r)),  p = softmax f(x),  r = radius · the virtual adversarial direction

    Args:
        model, inputs, generator, power_steps, xi, sample_axes: as in `virtual_adversarial_direction`. power_steps=0
            takes a random direction instead.
        radius: ε, the length of r (l2) in the unit of the inputs; 0 gives 0.
        reduction: "mean" over examples, "sum" or "none".

    Returns:
        A scalar, or a value for each row of logits.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> weight = torch.tensor([[0.6], [-0.8]], dtype=torch.float64)
        >>> x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
        >>> def lds(radius):
        ...     model = lambda x: torch.cat([0 * x @ weight, x @ weight], 1)
        ...     drawn = torch.Generator().manual_seed(0)
        ...     return float(virtual_adversarial_loss(model, x, radius=radius, generator=drawn))
        >>> round(lds(2e-3) / lds(1e-3), 2)                                    # quadratic in the radius
        4.0

    Gradient: through f(x + r) alone; p and r are constants. For a small radius the value is ½ rᵀ H r with
    H = Jᵀ (diag p − p pᵀ) J, J the Jacobian of the logits in x.

    Limits: 0 for a model that does not depend on its inputs, and so no loss to train by alone.

    Reference: Miyato, Maeda, Koyama & Ishii 2018, arXiv 1704.03976.
    """
    xi = _checked(inputs, generator, power_steps, xi, sample_axes)
    radius = check_number("radius", radius, at_least=0)
    check_choice("reduction", reduction, ("mean", "sum", "none"))
    with _quiet_passes(model, inputs) as evaluate:
        p = _predicted(evaluate, inputs)
        d = _direction(evaluate, p, inputs, generator, power_steps, xi, sample_axes)
        rows = _divergence(p, evaluate(inputs.detach() + radius * d))
    return rows if reduction == "none" else rows.mean() if reduction == "mean" else rows.sum()


def conditional_entropy(logits: Float[Tensor, "*batch classes"], *, reduction: str = "mean") -> Tensor:
    """The entropy of the predicted distributions: small where the model is sure of something, right or wrong.

        −Σ_k p_k log p_k,  p = softmax(z)

    Args:
        logits: (*batch, classes).
        reduction: "mean" over rows, "sum" or "none".

    Returns:
        In nats, between 0 and log(classes).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> [round(conditional_entropy(torch.tensor([[a, 0.0]])).item(), 3) for a in (0.0, 2.0, 100.0)]
        [0.693, 0.365, 0.0]

    Gradient: −p_k (log p_k + H), 0 at the uniform distribution and at every corner.

    Reference: Grandvalet & Bengio 2004, NIPS; added to the LDS by Miyato et al. 2018, arXiv 1704.03976.
    """
    if check_floating("logits", logits).ndim < 1 or logits.shape[-1] < 1:
        raise bad_value("logits", logits, "shape (*batch, classes) with at least one class")
    check_choice("reduction", reduction, ("mean", "sum", "none"))
    log_p = torch.log_softmax(logits, -1)
    rows = -(log_p.exp() * log_p).sum(-1)
    return rows if reduction == "none" else rows.mean() if reduction == "mean" else rows.sum()


def _checked(inputs: Tensor, generator: Chance, power_steps: int, xi: float | None, sample_axes: int) -> float:
    for each in generator if isinstance(generator, list | tuple) else (generator,):
        check_generator(each)
    check_count("power_steps", power_steps, least=0)
    check_count("sample_axes", sample_axes)
    if check_floating("inputs", inputs).ndim <= sample_axes:
        raise bad_value("inputs", inputs, f"more than {sample_axes} axes: those that count examples, and features")
    if not isinstance(generator, torch.Generator) and len(generator) != len(inputs):
        raise bad_value("generator", f"{len(generator)} generators", f"one, or {len(inputs)}: one for each first entry")
    return math.sqrt(torch.finfo(inputs.dtype).eps) if xi is None else check_number("xi", xi, above=0)


def _drawn(inputs: Tensor, generator: Chance) -> Tensor:
    if isinstance(generator, torch.Generator):
        return torch.randn(inputs.shape, generator=generator, device=generator.device).to(inputs)
    return torch.stack([torch.randn(inputs.shape[1:], generator=g, device=g.device) for g in generator]).to(inputs)


def _direction(
    evaluate: Model, log_p: Tensor, inputs: Tensor, generator: Chance, power_steps: int, xi: float, sample_axes: int
) -> Tensor:
    inputs = inputs.detach()
    d = _drawn(inputs, generator)
    for _ in range(power_steps):
        with torch.enable_grad():
            step = (xi * _normalised(d, sample_axes)).requires_grad_()
            # The sum, not the mean: no example's gradient depends on how many others there are.
            (d,) = torch.autograd.grad(_divergence(log_p, evaluate(inputs + step)).sum(), step)
    return _normalised(d, sample_axes)


def _normalised(d: Tensor, sample_axes: int) -> Tensor:
    axes = tuple(range(sample_axes, d.ndim))
    d = d / (TINY + d.abs().amax(axes, keepdim=True))
    return d / torch.sqrt(SMOOTH + d.square().sum(axes, keepdim=True))


def _predicted(evaluate: Model, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.log_softmax(evaluate(inputs.detach()), -1)


def _divergence(log_p: Tensor, logits: Tensor) -> Tensor:
    """KL(p ‖ softmax(logits)) of each row."""
    return (log_p.exp() * (log_p - torch.log_softmax(logits, -1))).sum(-1)


@contextmanager
def _quiet_passes(model: Model, inputs: Tensor) -> Iterator[Model]:
    """The model, whose batch normalisation remembers no pass, and whose dropout draws the same mask in each."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
    norms = [module for module in modules if isinstance(module, kinds) and module.training]
    tracking = [module.track_running_stats for module in norms]
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state(inputs.device) if inputs.is_cuda else None

    def evaluate(values: Tensor) -> Tensor:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, inputs.device)
        return model(values)

    for module in norms:
        module.track_running_stats = False
    try:
        yield evaluate
    finally:
        for module, tracked in zip(norms, tracking, strict=True):
            module.track_running_stats = tracked
