"""The cases that tests share: every record at many settings of its parameters, and the points to probe it at."""

import itertools
from collections.abc import Callable
from typing import Any

import matplotlib
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lossbook import LinearLogits
from lossbook.catalog import RECORDS, Record
from lossbook.figures import new_figure

LOGITS = [record for record in RECORDS.values() if record.inputs == "logits"]
MARGIN = [record for record in RECORDS.values() if record.inputs == "margin"]
ERROR = [record for record in RECORDS.values() if record.inputs == "error"]
PAIRS = [record for record in RECORDS.values() if record.inputs == "pairs"]
LABELS = [record for record in RECORDS.values() if record.inputs == "labels"]
SETS = [record for record in RECORDS.values() if record.inputs == "sets"]
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
REDUCTIONS = ("mean", "sum", "none")
GROW_LIKE_LOGARITHMS = ("log_spherical_softmax_loss", "taylor_softmax_loss", "stablemax_cross_entropy")
PRODUCTS = (torch.ops.aten.mm, torch.ops.aten.matmul, torch.ops.aten.addmm, torch.ops.aten.addmm_)


def settings(record: Record) -> list[dict[str, float]]:
    """The defaults, five points across each parameter's range, the corners of all ranges, and the special cases."""
    found = [record.defaults]
    for parameter in record.parameters:
        found += [{parameter.name: parameter.low + part / 4 * (parameter.high - parameter.low)} for part in range(5)]
    names = [parameter.name for parameter in record.parameters]
    ends = [(parameter.low, parameter.high) for parameter in record.parameters]
    found += [dict(zip(names, corner, strict=True)) for corner in itertools.product(*ends)]
    found += [dict(case.parameters) for case in record.special_cases]
    complete = [record.defaults | setting for setting in found]
    return [setting for k, setting in enumerate(complete) if setting not in complete[:k]]


def named(record: Record, parameters: dict[str, float]) -> str:
    return " ".join([record.key, *(f"{name}={value:g}" for name, value in parameters.items())])


ALL = [(record, parameters) for record in RECORDS.values() for parameters in settings(record)]
BY_RECORD = {"argvalues": ALL, "ids": [named(*case) for case in ALL]}  # of pytest.mark.parametrize


def claimed(claim: Any, parameters: dict[str, float]) -> Any:
    """A claim of `Properties` at some parameters."""
    return claim(**parameters) if callable(claim) else claim


def keywords(record: Record, first: Tensor, parameters: dict[str, float]) -> dict[str, Any]:
    """The parameters, and the further tensors that the loss takes, held while the first input moves."""
    return parameters | {name: make(torch.zeros_like(first)) for name, make in record.companions.items()}


def values(record: Record, inputs: tuple[Tensor, ...], parameters: dict[str, float]) -> Tensor:
    return record.value(*inputs, **keywords(record, inputs[0], parameters))


def gradient(record: Record, inputs: tuple[Tensor, ...], parameters: dict[str, float]) -> Tensor:
    """Autograd's, of each row or element by itself."""
    first = inputs[0].detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(values(record, (first, *inputs[1:]), parameters).sum(), first)
    return found


def steepness(record: Record, inputs: tuple[Tensor, ...], parameters: dict[str, float]) -> Tensor:
    """The Euclidean length of each row's, set's or element's gradient."""
    found = gradient(record, inputs, parameters)
    return found.norm(dim=-1) if found.ndim > 1 and record.inputs != "labels" else found.abs()


def draw(record: Record, generator: torch.Generator, rows: int = 12, classes: int = 5) -> tuple[Tensor, ...]:
    """Random float64 inputs of a record."""
    if record.inputs == "logits":
        logits = 2 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
        return logits, torch.randint(classes, (rows,), generator=generator)
    if record.inputs in ("labels", "sets"):
        shape = (rows, classes) if record.inputs == "sets" else (rows,)
        scores = 2 * torch.randn(shape, dtype=torch.float64, generator=generator)
        positive = torch.rand(shape, generator=generator) < 0.4
        positive[..., :1], positive[..., 1:2] = True, False  # each set has one of each
        return scores, positive.double()
    shape = (min(rows, 6), classes) if record.inputs == "pairs" else (rows,)  # pairs see each other: cost grows faster
    first, second = 2 * torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    return (first,) if record.inputs == "margin" else (first, second)


def ties(record: Record, parameters: dict[str, float]) -> tuple[Tensor, ...]:
    """Inputs at the corners and seams of the losses, and at equal scores."""
    if record.inputs == "logits":
        level = torch.zeros(4, dtype=torch.float64)
        rows = torch.stack([level, *(make(level) for make in record.companions.values())])
        return rows.repeat_interleave(4, 0), torch.arange(4).repeat(len(rows))
    if record.inputs == "pairs":
        return torch.zeros(4, 3, dtype=torch.float64), torch.eye(4, 3, dtype=torch.float64)
    if record.inputs in ("labels", "sets"):
        return torch.zeros(2, 4, dtype=torch.float64), torch.eye(2, 4, dtype=torch.float64)
    if record.inputs == "margin":
        return (torch.tensor([-1.0, 0.0, 1.0]).double(),)
    seam = parameters.get("delta", 1.0)
    errors = torch.tensor([-seam, -1.0, 0.0, 1.0, seam]).double()
    return errors, torch.zeros_like(errors)


def extremes(record: Record) -> list[tuple[Tensor, ...]]:
    """Inputs that come near every supremum: a fine grid, far points, and, for logits, many classes.

    Scores reach 160: times 4, the sharpest rho, the sum-exponential loss e^640 is still a float64. What grows like a
    logarithm is looked at further out; what is blind to scale, close to equal scores.
    """
    grid = torch.arange(0, 20, 0.01).double()
    if record.inputs == "pairs":
        return [(-16 * torch.eye(3, dtype=torch.float64), 100 * torch.eye(3, dtype=torch.float64))]
    if record.inputs == "logits":
        gaps = torch.cat([-grid.flip(0)[::5], grid[::5], torch.tensor([-160.0, 40.0, 160.0])]).double()
        two = torch.stack([torch.zeros_like(gaps), gaps], -1)
        many = torch.zeros(3, 10_000, dtype=torch.float64)
        many[0, 1], many[1, 0], many[2, 0] = 160.0, 160.0, -160.0
        rows = [two, many]
        if record.family in ("spherical", "stable"):
            far = torch.full_like(grid, 1e30 if record.key in GROW_LIKE_LOGARITHMS else 1e3)
            rows += [torch.stack([sign * grid / 10, far, torch.zeros_like(grid)], -1) for sign in (1, -1)]
            rows.append(torch.tensor([[-1e-3, 0.0, 1e-3]], dtype=torch.float64))
        if record.family == "attack":  # of three classes or more; steep and high where gaps are small
            close = torch.tensor([[-160.0, 0.0, -1e-3, -1e-3]], dtype=torch.float64)
            rows = [torch.cat([two, torch.full_like(two[:, :1], -200.0)], -1), many, close]
        if record.key == "dual_focal_loss":  # steepest where another class is a hair behind the right one
            p = torch.linspace(0.2, 0.49, 60).double()
            rows.append(torch.stack([torch.zeros_like(p), torch.full_like(p, -1e-9), ((1 - 2 * p) / p).log()], -1))
        return [(scores, torch.zeros(len(scores), dtype=torch.long)) for scores in rows]
    if record.inputs == "sets":
        corners = torch.cartesian_prod(*[torch.tensor([-30.0, -0.1, 0.0, 0.1, 30.0]).double()] * 4)
        far, many = torch.tensor([[-300.0, -300.0, 300.0, 300.0]]).double(), torch.full((1, 10_000), 30.0).double()
        many[0, 0] = -30.0
        points = [(corners, torch.tensor([1.0, 1.0, 0.0, 0.0]).double().expand_as(corners))]
        points += [(far, torch.tensor([[1.0, 1.0, 0.0, 0.0]]).double()), (many, (many < 0).double())]
        return [*points, (corners, torch.ones_like(corners))]
    if record.inputs == "labels":
        points = torch.cat([-grid.flip(0), grid, torch.tensor([-300.0, 300.0], dtype=torch.float64)])
        return [(points, torch.full_like(points, label)) for label in (0.0, 1.0)]
    far = 1e8 if record.inputs == "margin" else 1e150
    points = torch.cat([grid, torch.tensor([100.0, far], dtype=torch.float64)])
    points = torch.cat([-points.flip(0), points])
    return [(points,)] if record.inputs == "margin" else [(points, torch.zeros_like(points))]


def linear(
    generator: torch.Generator,
    batch: tuple[int, ...],
    classes: int,
    dimension: int = 4,
    *,
    bias: bool = True,
    dtype: torch.dtype = torch.float64,
    rows_per_chunk: int = 3,
) -> LinearLogits:
    """Random linear logits whose parts require grad, cut into chunks of some rows."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype).requires_grad_()

    bytes_per_row = classes * (8 if dtype == torch.float64 else 4)
    made = normal(*batch, dimension), normal(classes, dimension), normal(classes) if bias else None
    return LinearLogits(*made, memory_budget=rows_per_chunk * bytes_per_row)


def parts(logits: LinearLogits) -> tuple[Tensor, ...]:
    """Features, weight and, where there is one, bias."""
    found = (logits.features, logits.weight, logits.bias)
    return tuple(part for part in found if part is not None)


class Watch(TorchDispatchMode):
    """Notes the largest tensor that any operation makes, and the multiplications that matrix products take."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.multiplications = 0

    def __torch_dispatch__(self, function: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, Tensor):
                self.largest = max(self.largest, made.numel())
        if function.overloadpacket in PRODUCTS:
            self.multiplications += result.numel() * args[-2].shape[1]
        return result


def drawn(plot: Callable, run: Any) -> Any:
    """The axes of a plot, which draws on those given or on new ones, labels both, and changes no setting."""
    before = dict(matplotlib.rcParams)
    _, ax = new_figure()
    assert plot(run, ax) is ax
    assert plot(run) is not ax
    assert dict(matplotlib.rcParams) == before
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    ax.figure.canvas.draw()  # a warning about a glyph or a layout is an error
    return ax


def labelled(ax: Any) -> dict[str, Any]:
    """The lines of a plot that a legend names."""
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}
