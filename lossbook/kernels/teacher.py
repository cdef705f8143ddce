"""Statistics of two rows of logits, a student's and a teacher's, over the same classes.

p is the softmax of the student's scores, q that of the teacher's, both at the temperature T. The teacher is constant.
Each statistic is written twice, as a value and as the gradient of the student's logits: held rows leave the second to
autograd, rows of a product are formed chunk by chunk, once for the values and once more for the gradient.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbook.kernels.linear import Gradients, Linear, check_first_order, parts
from lossbook.kernels.statistics import accumulation_dtype

TEACHER_NAMES = {
    "kl": "Σ q_j log(q_j/p_j), KL(teacher ‖ student)",
    "reverse_kl": "Σ p_j log(p_j/q_j), KL(student ‖ teacher)",
    "jensen_shannon": "β KL(q ‖ m) + (1 − β) KL(p ‖ m), m = β q + (1 − β) p",
    "target_log_probability": "log p_y at T = 1",
    "teacher_target_probability": "q_y at T = 1",
    "others_cross_entropy": "−Σ_{j≠y} q̂_j log p̂_j, p̂ and q̂ the softmax of the classes but the target; 0 of none",
}
TEACHER_NEED_TARGET = frozenset({"target_log_probability", "teacher_target_probability", "others_cross_entropy"})


class TwoRows(NamedTuple):
    """Rows of student's and teacher's logits, and what the statistics are set to."""

    student: Tensor  # (rows, classes), in the dtype that sums are taken in
    teacher: Tensor  # (rows, classes)
    target: Tensor | None  # (rows,) class indices
    temperature: float
    beta: float


def teacher_values(names: Iterable[str], rows: TwoRows) -> dict[str, Tensor]:
    """The named statistics of each row, by plain PyTorch, differentiable by the student; each has shape (rows,)."""
    return {name: _value(name, rows) for name in names}


def _value(name: str, rows: TwoRows) -> Tensor:
    match name:
        case "target_log_probability":
            return _at_target(torch.log_softmax(rows.student, -1), rows.target)
        case "teacher_target_probability":
            return _at_target(torch.softmax(rows.teacher, -1), rows.target)
        case "others_cross_entropy":
            log_p, q = (_others(z, rows) for z in (rows.student, rows.teacher))
            q = q.exp()
            return -(q * torch.where(q == 0, 0.0, log_p)).sum(-1)
    log_p, log_q = _log_softmax(rows)
    p, q = log_p.exp(), log_q.exp()
    match name:
        case "kl":
            return (q * torch.where(q == 0, 0.0, log_q - log_p)).sum(-1)
        case "reverse_kl":
            return (p * _difference(p, log_p, log_q)).sum(-1)
        case "jensen_shannon":
            by_student, by_teacher = _to_middle(log_p, log_q, rows.beta)
            return (rows.beta * q * by_teacher + (1 - rows.beta) * p * by_student).sum(-1)
    raise KeyError(name)


def student_gradient(rows: TwoRows, coefficients: dict[str, Tensor]) -> Tensor:
    """Σ_k c_k ∂statistic_k/∂z_j by the student's logits; `coefficients` holds c_k, (rows,), for each name."""
    gradient = torch.zeros_like(rows.student)
    if {"kl", "reverse_kl", "jensen_shannon"} & coefficients.keys():
        log_p, log_q = _log_softmax(rows)
        p = log_p.exp()
    for name, coefficient in coefficients.items():
        factor = coefficient[:, None]
        match name:
            case "kl":
                gradient += factor / rows.temperature * (p - log_q.exp())
            case "reverse_kl":
                gradient += factor / rows.temperature * _centred(p, _difference(p, log_p, log_q))
            case "jensen_shannon":
                by_student, _ = _to_middle(log_p, log_q, rows.beta)
                gradient += factor * (1 - rows.beta) / rows.temperature * _centred(p, by_student)
            case "target_log_probability":
                gradient -= factor * torch.softmax(rows.student, -1)
                gradient.scatter_add_(-1, _column(rows.target), factor)
            case "others_cross_entropy":
                apart = _others(rows.student, rows).exp() - _others(rows.teacher, rows).exp()
                gradient += factor / rows.temperature * apart
    return gradient


def _log_softmax(rows: TwoRows) -> tuple[Tensor, Tensor]:
    """The logarithms of p and of q."""
    log_p, log_q = (torch.log_softmax(z / rows.temperature, -1) for z in (rows.student, rows.teacher))
    return log_p, log_q


def _column(target: Any) -> Tensor:
    return target[:, None]


def _at_target(values: Tensor, target: Any) -> Tensor:
    return values.gather(-1, _column(target)).squeeze(-1)


def _difference(p: Tensor, log_p: Tensor, log_q: Tensor) -> Tensor:
    """log(p/q), and 0 where p is 0: 0 log 0 is 0, and its gradient too."""
    gone = p == 0
    return log_p.masked_fill(gone, 0.0) - log_q.masked_fill(gone, 0.0)


def _to_middle(log_p: Tensor, log_q: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """log(p/m) and log(q/m), m = β q + (1 − β) p; 0 where p and where q is 0."""
    p_gone, q_gone = log_p.exp() == 0, log_q.exp() == 0
    log_p, log_q = (z.masked_fill(p_gone & q_gone, 0.0) for z in (log_p, log_q))
    share = torch.tensor((1 - beta, beta), dtype=log_p.dtype).log().tolist()
    middle = torch.logaddexp(log_p + share[0], log_q + share[1])
    return (
        log_p.masked_fill(p_gone, 0.0) - middle.masked_fill(p_gone, 0.0),
        log_q.masked_fill(q_gone, 0.0) - middle.masked_fill(q_gone, 0.0),
    )


def _centred(p: Tensor, by_class: Tensor) -> Tensor:
    """p_j (d_j − Σ_k p_k d_k), the softmax's Jacobian applied to d."""
    return p * (by_class - (p * by_class).sum(-1, keepdim=True))


def _others(logits: Tensor, rows: TwoRows) -> Tensor:
    """Log-probabilities over the classes that are not the target; −∞ at the target, and everywhere of no classes."""
    without = (logits / rows.temperature).scatter(-1, _column(rows.target), -torch.inf)
    none = without.detach().amax(-1, keepdim=True) == -torch.inf
    return torch.log_softmax(without.masked_fill(none, 0.0), -1).masked_fill(none, -torch.inf)


class _TeacherStatistics(torch.autograd.Function):
    """The student is a product's parts, or held rows in the place of its features with a weight of None."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        rest: tuple,
        teacher: Linear | Tensor,
        settings: tuple,
        names: tuple[str, ...],
    ):
        student = features if weight is None else Linear(features, weight, bias, *rest)
        out = features.new_empty(len(names), len(features), dtype=accumulation_dtype(features.dtype))
        for start, stop, rows in _chunks(student, teacher, settings):
            for k, value in enumerate(teacher_values(names, rows).values()):
                out[k, start:stop] = value
        held = (teacher,) if isinstance(teacher, Tensor) else teacher[:3]
        ctx.save_for_backward(features, weight, bias, settings[0], *held)
        ctx.rest, ctx.teacher_rest, ctx.settings, ctx.names = rest, teacher[3:], settings[1:], names
        if isinstance(teacher, Tensor):
            ctx.teacher_rest = None
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        features, weight, bias, target, *held = ctx.saved_tensors
        teacher = held[0] if ctx.teacher_rest is None else Linear(*held, *ctx.teacher_rest)
        student = features if weight is None else Linear(features, weight, bias, *ctx.rest)
        by_rows = torch.empty_like(features) if weight is None else None
        gradients = None if isinstance(student, Tensor) else Gradients(student, ctx.needs_input_grad)
        for start, stop, rows in _chunks(student, teacher, (target, *ctx.settings)):
            slope = None if isinstance(student, Tensor) else student.slope(rows.student)
            found = student_gradient(rows, dict(zip(ctx.names, upstream[:, start:stop], strict=True)))
            if gradients is None:
                by_rows[start:stop] = found  # type: ignore[index]
            else:
                gradients.add(start, stop, found if slope is None else found.mul_(slope))
        return *((by_rows, None, None) if gradients is None else gradients.cast()), None, None, None, None


def _chunks(student: Linear | Tensor, teacher: Linear | Tensor, settings: tuple) -> Iterator[tuple[int, int, TwoRows]]:
    """Spans of rows, and what stands there. Both sides' logits of a chunk share the budget of the tighter one."""
    target, temperature, beta = settings
    linear = [
        side._replace(memory_budget=side.memory_budget // 2) for side in (student, teacher) if isinstance(side, Linear)
    ]
    count = len(student if isinstance(student, Tensor) else student.features)
    size = min(side.rows_per_chunk() for side in linear)
    for start in range(0, count, size):
        stop = min(start + size, count)
        here = None if target is None else target[start:stop]
        both = _logits(student, start, stop), _logits(teacher, start, stop)
        yield start, stop, TwoRows(*both, here, temperature, beta)


def _logits(side: Linear | Tensor, start: int, stop: int) -> Tensor:
    if isinstance(side, Tensor):
        return side[start:stop].to(accumulation_dtype(side.dtype))
    return side.chunk(start, stop).logits


def teacher_statistics(
    names: tuple[str, ...],
    student: Linear | Tensor,
    teacher: Linear | Tensor,
    target: Tensor | None,
    temperature: float,
    beta: float,
) -> dict[str, Tensor]:
    """The named statistics of each row, differentiable by the student; each has shape (rows,).

    Where both are held, by autograd; else a chunk of rows at a time: two products for the values, four more for the
    gradient, one of each for a side that is held.
    """
    if isinstance(student, Tensor) and isinstance(teacher, Tensor):
        both = _logits(student, 0, len(student)), _logits(teacher, 0, len(teacher))
        return teacher_values(names, TwoRows(*both, target, temperature, beta))
    settings = (target, temperature, beta)
    if isinstance(student, Linear):
        out = _TeacherStatistics.apply(*parts(student), student[3:], teacher, settings, names)
    else:
        leaf = student if torch.is_grad_enabled() else student.detach()
        out = _TeacherStatistics.apply(leaf, None, None, (), teacher, settings, names)
    return dict(zip(names, out, strict=True))
