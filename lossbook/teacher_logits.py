"""The door to the statistics of two rows of logits, a student's and a teacher's: `teacher_statistics`."""

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_choice, check_floating, check_number, check_same_device
from lossbook.kernels import Linear
from lossbook.kernels import teacher as engine
from lossbook.linear_logits import LinearLogits

Logits = Float[Tensor, "*batch classes"] | LinearLogits


def teacher_statistics(
    student: Logits,
    teacher: Logits,
    names: Sequence[str],
    target: Int[Tensor, "*batch"] | None = None,
    *,
    temperature: float = 1.0,
    beta: float = 0.5,
    ignore_index: int = -100,
) -> SimpleNamespace:
    """The few numbers through which a distillation loss sees a student's and a teacher's scores, row by row.

        p = softmax(student/T),  q = softmax(teacher/T)

    | name | statistic | gradient by the student's scores |
    |---|---|---|
    | "kl" | Σ q log(q/p) | (p − q)/T |
    | "reverse_kl" | Σ p log(p/q) | p_j (log(p_j/q_j) − Σ p log(p/q))/T |
    | "jensen_shannon" | β KL(q ‖ m) + (1 − β) KL(p ‖ m) | (1 − β) p_j (d_j − Σ p d)/T, d = log(p/m) |
    | "target_log_probability" | log p_y at T = 1 | e_y − p |
    | "teacher_target_probability" | q_y at T = 1 | none |
    | "others_cross_entropy" | −Σ_{j≠y} q̂ log p̂, both over the wrong classes alone | (p̂ − q̂)/T, 0 at y |

    with m = β q + (1 − β) p. NKD is −q_y log p_y + γ T² others_cross_entropy, of the last three.

    Args:
        student: (*batch, classes), or `LinearLogits`.
        teacher: the same shape, as a tensor or as `LinearLogits`, of any dimension and dtype. It is constant.
        names: among those above.
        target: (*batch) class indices, where a statistic looks at them; else they only say which rows count. None: all.
        temperature: T > 0. Multiply by T² yourself where gradients should not shrink with it.
        beta: β, the teacher's share of m, strictly between 0 and 1; the limits are "kl" and "reverse_kl".
        ignore_index: rows with this target give 0 and no gradient.

    Returns:
        A namespace with one field a name, each of shape (*batch), differentiable by the student alone.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> student, teacher = torch.tensor([[1.0, 2, 0, -1]]).double(), torch.tensor([[3.0, 1, 0, -1]]).double()
        >>> names = ("target_log_probability", "teacher_target_probability", "others_cross_entropy")
        >>> stats = teacher_statistics(student, teacher, names, torch.tensor([0]))
        >>> normalised = -stats.teacher_target_probability * stats.target_log_probability
        >>> round(float(normalised + 1.5 * stats.others_cross_entropy), 6)                  # NKD
        2.590821

    Limits: a class that both give −∞ counts for nothing; one that only the second of a KL gives −∞ makes it infinite.
    Reference: Hinton, Vinyals & Dean 2015, arXiv 1503.02531; Agarwal et al. 2024, arXiv 2306.13649 (β); Yang et al.
        2023, arXiv 2303.13005 (NKD).
    """
    names = _check_names(names)
    temperature = check_number("temperature", temperature, above=0)
    beta = check_number("beta", beta, above=0, below=1)
    _check_sides(student, teacher)
    shape, classes = student.shape[:-1], student.shape[-1]
    target = _check_target(student, target, names, ignore_index)
    kept = None
    if target is not None:
        target = target.reshape(-1)
        kept = target != ignore_index
        kept, target = (None, target) if bool(kept.all()) else (kept, target[kept])
    sides = _rows(student, shape.numel(), kept), _rows(teacher, shape.numel(), kept)
    found = engine.teacher_statistics(names, *sides, target, temperature, beta)
    return SimpleNamespace(
        classes=classes, **{name: _restore(value, kept).reshape(shape) for name, value in found.items()}
    )


def _check_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise bad_type("names", names, "a tuple of statistics among " + ", ".join(engine.TEACHER_NAMES))
    for name in names:
        check_choice("names", name, engine.TEACHER_NAMES)
    return tuple(names)


def _check_sides(student: Logits, teacher: Logits) -> None:
    for name, side in (("student", student), ("teacher", teacher)):
        if isinstance(side, LinearLogits):
            if side.group is not None or side.shift:
                raise bad_value(name, SimpleNamespace(group=side.group, shift=side.shift), "no group and no shift")
        elif check_floating(name, side).ndim < 1 or side.shape[-1] < 1:
            raise bad_value(name, side, "shape (*batch, classes) with at least one class")
    if teacher.shape != student.shape:
        got = f"logits of shape {tuple(teacher.shape)}"
        raise ValueError(f"teacher: got {got}, expected the shape of student, {tuple(student.shape)}")
    check_same_device("teacher", teacher, "student", student)  # type: ignore[arg-type]
    held = [teacher] if isinstance(teacher, Tensor) else [teacher.features, teacher.weight, teacher.bias]
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in held):
        raise ValueError(
            "teacher: got logits that require grad, expected constants: detach them, no gradient gets there"
        )


def _check_target(student: Logits, target: Tensor | None, names: tuple[str, ...], ignore_index: int) -> Tensor | None:
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise bad_type("ignore_index", ignore_index, "an integer")
    if target is None:
        if engine.TEACHER_NEED_TARGET.intersection(names):
            raise bad_type("target", target, "a tensor: a statistic asked for looks at the target")
        return None
    if (
        not isinstance(target, Tensor)
        or target.is_floating_point()
        or target.is_complex()
        or target.dtype == torch.bool
    ):
        raise bad_type("target", target, "class indices (int64)")
    if target.shape != student.shape[:-1]:
        raise bad_value("target", target, f"class indices of shape {tuple(student.shape[:-1])}")
    check_same_device("target", target, "student", student)  # type: ignore[arg-type]
    classes = student.shape[-1]
    outside = (target != ignore_index) & ((target < 0) | (target >= classes))
    if bool(outside.any()):
        found = int(target[outside].reshape(-1)[0])
        raise ValueError(
            f"target: got class {found}, expected classes 0 to {classes - 1}, or ignore_index {ignore_index}"
        )
    return target.long()


def _rows(side: Logits, rows: int, kept: Tensor | None) -> Linear | Tensor:
    """A side flattened to the rows that count; for the engine a product with neither target nor class weights."""
    values = side if isinstance(side, Tensor) else side.features
    values = values.reshape(rows, values.shape[-1])
    values = values if kept is None else values[kept]
    if isinstance(side, Tensor):
        return values
    weight, bias = (None if part is None else part.to(side.dtype) for part in (side.weight, side.bias))
    return Linear(values.to(side.dtype), weight, bias, None, None, side.memory_budget, side.softcap)  # type: ignore[arg-type]


def _restore(values: Tensor, kept: Tensor | None) -> Tensor:
    return values if kept is None else values.new_zeros(kept.shape).masked_scatter(kept, values)
