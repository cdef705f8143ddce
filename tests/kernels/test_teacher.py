"""Statistics of a student's and a teacher's logits: torch, loops, closed-form gradients, masks, and what is held."""

import math
from typing import Any

import pytest
import torch
from cases import Watch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import kl_div

from lossbook import LinearLogits
from lossbook.kernels.teacher import (
    TEACHER_NAMES,
    TEACHER_NEED_TARGET,
    TwoRows,
    student_gradient,
    teacher_values,
)
from lossbook.teacher_logits import teacher_statistics

ROWS, CLASSES = 6, 5
DIVERGENCES = tuple(name for name in TEACHER_NAMES if name not in TEACHER_NEED_TARGET)
by_name = pytest.mark.parametrize("name", TEACHER_NAMES)
settings = pytest.mark.parametrize(("temperature", "beta"), [(1.0, 0.5), (2.5, 0.1), (0.5, 0.9)])


def problem(generator, scale=2.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    student, teacher = scale * torch.randn(2, ROWS, CLASSES, dtype=torch.float64, generator=generator)
    return student, teacher, torch.randint(CLASSES, (ROWS,), generator=generator)


def rows(problem, temperature=1.0, beta=0.5) -> TwoRows:
    return TwoRows(*problem, temperature, beta)


def softmax(row):
    powers = [math.exp(score) for score in row]
    return [power / sum(powers) for power in powers]


def by_hand(name, student, teacher, y, temperature, beta):
    """A statistic of one row, class by class."""
    if name == "target_log_probability":
        return math.log(softmax(student)[y])
    if name == "teacher_target_probability":
        return softmax(teacher)[y]
    if name == "others_cross_entropy":
        student, teacher = ([z for j, z in enumerate(row) if j != y] for row in (student, teacher))
    p, q = (softmax([z / temperature for z in row]) for row in (student, teacher))
    total = 0.0
    for a, b in zip(p, q, strict=True):
        middle = beta * b + (1 - beta) * a
        total += {
            "kl": b * math.log(b / a),
            "reverse_kl": a * math.log(a / b),
            "jensen_shannon": beta * b * math.log(b / middle) + (1 - beta) * a * math.log(a / middle),
            "others_cross_entropy": -b * math.log(a),
        }[name]
    return total


@by_name
@settings
def test_each_statistic_is_its_loop(name, temperature, beta, generator):
    student, teacher, target = problem(generator)
    found = teacher_statistics(student, teacher, (name,), target, temperature=temperature, beta=beta)
    for i, value in enumerate(getattr(found, name).tolist()):
        wanted = by_hand(name, student[i].tolist(), teacher[i].tolist(), int(target[i]), temperature, beta)
        assert math.isclose(value, wanted, rel_tol=1e-12, abs_tol=1e-15)


@pytest.mark.parametrize("names", [*((name,) for name in TEACHER_NAMES), tuple(TEACHER_NAMES)], ids="+".join)
@settings
def test_the_closed_form_gradients_are_autograds(names, temperature, beta, generator):
    given = problem(generator)
    coefficients = {name: torch.randn(ROWS, dtype=torch.float64, generator=generator) for name in names}
    leaf = given[0].clone().requires_grad_()
    found = teacher_values(names, rows((leaf, *given[1:]), temperature, beta))
    total = sum((found[name] * coefficients[name]).sum() for name in names) + 0 * leaf.sum()
    (wanted,) = torch.autograd.grad(total, leaf)
    closed = student_gradient(rows(given, temperature, beta), coefficients)
    torch.testing.assert_close(closed, wanted, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in TEACHER_NAMES if name != "teacher_target_probability"])
def test_first_and_second_derivatives_of_held_logits_are_what_differences_say(name, generator):
    student, teacher, target = problem(generator)

    def value(moved):
        return getattr(teacher_statistics(moved, teacher, (name,), target, temperature=1.5, beta=0.3), name)

    leaf = student.clone().requires_grad_()
    assert gradcheck(value, leaf)
    assert gradgradcheck(value, leaf)


def test_kl_both_ways_is_torchs(generator):
    student, teacher, _ = problem(generator)
    log_p, log_q = torch.log_softmax(student / 3, -1), torch.log_softmax(teacher / 3, -1)
    stats = teacher_statistics(student, teacher, ("kl", "reverse_kl"), temperature=3.0)
    for found, (a, b) in ((stats.kl, (log_p, log_q)), (stats.reverse_kl, (log_q, log_p))):
        wanted = kl_div(a, b, log_target=True, reduction="none").sum(-1)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-15)


def test_jensen_shannon_is_symmetric_at_one_half_bounded_and_tends_to_the_kls(generator):
    student, teacher, _ = problem(generator, scale=20.0)

    def divergence(a, b, beta):
        return teacher_statistics(a, b, ("jensen_shannon",), beta=beta).jensen_shannon

    half = divergence(student, teacher, 0.5)
    torch.testing.assert_close(half, divergence(teacher, student, 0.5), rtol=1e-13, atol=0)
    assert bool(((half > 0.5) & (half <= math.log(2))).any())
    assert float(half.max()) <= math.log(2)
    student, teacher = student / 20, teacher / 20
    ends = teacher_statistics(student, teacher, ("kl", "reverse_kl"))
    small = 1e-6  # the next term of the expansion is of this relative size
    torch.testing.assert_close(divergence(student, teacher, small) / small, ends.kl, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(divergence(student, teacher, 1 - small) / small, ends.reverse_kl, rtol=1e-4, atol=1e-8)


NKD = ("target_log_probability", "teacher_target_probability", "others_cross_entropy")


def nkd(student, teacher, target, gamma, temperature=1.0):
    stats = teacher_statistics(student, teacher, NKD, target, temperature=temperature)
    own = -stats.teacher_target_probability * stats.target_log_probability
    return own + gamma * temperature**2 * stats.others_cross_entropy


@pytest.mark.parametrize(("gamma", "value"), [(0.0, 1.196729), (1.5, 2.590821)])
def test_nkd_gives_the_worked_numbers(gamma, value):
    student, teacher = torch.tensor([[1.0, 2, 0, -1]]).double(), torch.tensor([[3.0, 1, 0, -1]]).double()
    assert round(float(nkd(student, teacher, torch.tensor([0]), gamma)), 6) == value


def test_cross_entropy_of_soft_labels_falls_into_nkds_parts(generator):
    """CE(q, p) = −q_y log p_y − (1 − q_y) log(1 − p_y) + (1 − q_y) others_cross_entropy."""
    student, teacher, target = problem(generator)
    stats = teacher_statistics(student, teacher, NKD, target)
    q_y, log_p = stats.teacher_target_probability, stats.target_log_probability
    parts = -q_y * log_p + (1 - q_y) * (stats.others_cross_entropy - torch.log(-torch.expm1(log_p)))
    wanted = -(torch.softmax(teacher, -1) * torch.log_softmax(student, -1)).sum(-1)
    torch.testing.assert_close(parts, wanted, rtol=1e-13, atol=0)


def test_the_part_of_the_others_does_not_see_the_right_class(generator):
    student, teacher, target = problem(generator)
    moved = student.scatter(1, target[:, None], 7.0)
    found, wanted = (teacher_statistics(z, teacher, NKD[2:], target).others_cross_entropy for z in (moved, student))
    assert torch.equal(found, wanted)


KINDS = {
    "both linear": (True, True),
    "a linear student": (True, False),
    "a linear teacher": (False, True),
}


def linear_sides(generator, dtype=torch.float64, rows=ROWS, classes=CLASSES, budget=300, **options: Any):
    """A student that learns and a teacher of another width that does not."""
    made = []
    for dimension, learned in ((4, True), (7, False)):
        parts = [
            torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype).requires_grad_(learned)
            for shape in ((rows, dimension), (classes, dimension), (classes,))
        ]
        made.append(LinearLogits(*parts, memory_budget=budget, **options))
    return made


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", [*TEACHER_NAMES, "all"])
@pytest.mark.parametrize("budget", [1, 2 * 8 * CLASSES * 4, 2**20])  # one row a chunk, four, all
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_linear_logits_are_the_logits_they_stand_for(kind, name, budget, softcap, generator):
    student, teacher = linear_sides(generator, budget=budget, softcap=softcap)
    names = tuple(TEACHER_NAMES) if name == "all" else (name,)
    target = torch.tensor([0, 4, -100, 2, 2, 1])
    leaves = (student.features, student.weight, student.bias)
    upstream = {known: torch.randn(ROWS, dtype=torch.float64, generator=generator) for known in names}
    options: dict[str, Any] = {"temperature": 1.7, "beta": 0.3}
    values, pulls = [], []
    for linear in (kind, (False, False)):
        sides = (side if kept else side.materialize() for side, kept in zip((student, teacher), linear, strict=True))
        stats = teacher_statistics(*sides, names, target, **options)
        values.append(torch.stack([getattr(stats, known) for known in names]))
        total = sum((getattr(stats, known) * upstream[known]).sum() for known in names)
        total = total + sum(0 * leaf.sum() for leaf in leaves)  # the teacher's probability alone moves none of them
        pulls.append(torch.autograd.grad(total, leaves))
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(*pulls, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_rows_that_do_not_count_give_zero_and_no_gradient_whatever_is_in_them(kind, generator):
    sides = linear_sides(generator)
    target = torch.tensor([0, -100, 2, -100, 1, 1])
    with torch.no_grad():
        for side in sides:
            side.features[target == -100] = math.nan
    student, teacher = (side if is_linear else side.materialize() for side, is_linear in zip(sides, kind, strict=True))
    found = teacher_statistics(student, teacher, tuple(TEACHER_NAMES), target)
    together = torch.stack([getattr(found, name) for name in TEACHER_NAMES])
    assert bool((together[:, target == -100] == 0).all())
    if kind[0]:  # through a product with NaN autograd's own gradient is NaN
        (pull,) = torch.autograd.grad(together.sum(), sides[0].features)
        assert bool((pull[target == -100] == 0).all())
        assert bool(pull.isfinite().all())


def test_a_batch_of_any_shape(generator):
    student, teacher, target = problem(generator)
    flat = teacher_statistics(student, teacher, tuple(TEACHER_NAMES), target)
    deep = teacher_statistics(
        student.reshape(2, 3, CLASSES), teacher.reshape(2, 3, CLASSES), tuple(TEACHER_NAMES), target.reshape(2, 3)
    )
    for name in TEACHER_NAMES:
        assert torch.equal(getattr(deep, name), getattr(flat, name).reshape(2, 3))
    assert deep.classes == CLASSES


@pytest.mark.parametrize("name", TEACHER_NAMES)
def test_a_class_that_both_mask_is_as_if_it_were_not_there(name, generator):
    student, teacher, target = problem(generator)
    gone = torch.full((ROWS, 2), -math.inf, dtype=torch.float64)
    leaf = torch.cat([student, gone], -1).requires_grad_()
    wide = torch.cat([teacher, gone], -1)
    found = getattr(teacher_statistics(leaf, wide, (name,), target, beta=0.2), name)
    wanted = getattr(teacher_statistics(student, teacher, (name,), target, beta=0.2), name)
    torch.testing.assert_close(found, wanted, rtol=1e-14, atol=0)
    closed = student_gradient(rows((leaf.detach(), wide, target), beta=0.2), {name: torch.ones(ROWS).double()})
    pulls = [closed]
    if found.requires_grad:
        pulls += torch.autograd.grad(found.sum(), leaf)
    for pull in pulls:
        assert bool((pull[:, CLASSES:] == 0).all())
        assert bool(pull.isfinite().all())


def test_a_class_that_one_side_masks_counts_where_it_may_and_is_infinite_where_it_must(generator):
    student, teacher, _ = problem(generator)
    masked = teacher.clone()
    masked[:, 2] = -math.inf
    leaf = student.clone().requires_grad_()
    stats = teacher_statistics(leaf, masked, DIVERGENCES)
    assert bool(stats.reverse_kl.isinf().all())
    for value in (stats.kl, stats.jensen_shannon):
        assert bool(value.isfinite().all())
        assert bool(torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0].isfinite().all())
    assert bool(teacher_statistics(masked, student, ("kl",)).kl.isinf().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_scores_of_ten_thousand_give_finite_numbers_and_gradients(dtype):
    levels = torch.tensor([-1e4, 0.0, 1e4], dtype=dtype)
    every = torch.cartesian_prod(levels, levels, levels)
    student, teacher = every.repeat_interleave(27, 0).requires_grad_(), every.repeat(27, 1)
    target = torch.arange(3).repeat(27 * 9)
    found = teacher_statistics(student, teacher, tuple(TEACHER_NAMES), target)
    for name in TEACHER_NAMES:
        value = getattr(found, name)
        assert bool(value.isfinite().all())
        if name != "target_log_probability":  # none is negative but by rounding
            assert float(value.detach().min()) >= -4 * torch.finfo(dtype).eps
        if value.requires_grad:
            (pull,) = torch.autograd.grad(value.sum(), student, retain_graph=True)
            assert bool(pull.isfinite().all())


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_few_classes_are_no_trouble(classes, generator):
    student = torch.randn(4, classes, generator=generator).requires_grad_()
    target = torch.zeros(4, dtype=torch.long)
    found = teacher_statistics(student, torch.zeros(4, classes), tuple(TEACHER_NAMES), target)
    together = torch.stack([getattr(found, name) for name in TEACHER_NAMES])
    (pull,) = torch.autograd.grad(together.sum(), student)
    assert bool(together.isfinite().all())
    assert bool(pull.isfinite().all())
    if classes <= 2:  # of one other class or none there is nothing to tell
        assert bool((found.others_cross_entropy == 0).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("name", TEACHER_NAMES)
def test_in_low_precision_the_error_is_at_most_twice_that_of_logits_held_in_the_same(dtype, name, generator):
    student, teacher = linear_sides(generator, dtype, rows=64, classes=33, budget=2**12)
    target = torch.randint(33, (64,), generator=generator)
    exact_sides = [
        LinearLogits(*(part.detach().double() for part in (side.features, side.weight, side.bias)))
        for side in (student, teacher)
    ]
    for part in (exact_sides[0].features, exact_sides[0].weight):
        part.requires_grad_()

    def run(sides, leaves):
        value = getattr(teacher_statistics(*sides, (name,), target), name)
        pulls = torch.autograd.grad(value.sum(), leaves) if value.requires_grad else ()
        return [part.double().detach() for part in (value, *pulls)]

    if name == "teacher_target_probability":
        ours = [getattr(teacher_statistics(student, teacher, (name,), target), name).double().detach()]
    else:
        ours = run((student, teacher), (student.features, student.weight))
    held = run((student.materialize(), teacher.materialize()), (student.features, student.weight))
    exact = run([side.materialize() for side in exact_sides], (exact_sides[0].features, exact_sides[0].weight))
    for found, other, truth in zip(ours, held, exact, strict=True):
        assert float((found - truth).norm()) <= 2 * float((other - truth).norm())


def test_products_and_memory_are_those_of_chunks(generator):
    rows, classes = 256, 128
    student, teacher = linear_sides(generator, rows=rows, classes=classes, budget=2 * 16 * classes * 8)
    with Watch() as watch:
        found = teacher_statistics(student, teacher, DIVERGENCES)
    by_student, by_teacher = rows * classes * 4, rows * classes * 7
    assert watch.multiplications == by_student + by_teacher
    assert watch.largest <= 16 * classes
    with Watch() as watch:
        (found.kl + found.reverse_kl + found.jensen_shannon).sum().backward()
    assert watch.multiplications == 3 * by_student + by_teacher
    assert watch.largest <= 16 * classes


def test_second_derivatives_of_linear_logits_are_refused(generator):
    student, teacher = linear_sides(generator)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(teacher_statistics(student, teacher, ("kl",)).kl.sum(), student.features, create_graph=True)


def test_without_gradients_nothing_is_kept(generator):
    student, teacher = linear_sides(generator)
    with torch.no_grad():
        assert not teacher_statistics(student, teacher, ("kl",)).kl.requires_grad
    teacher.weight.requires_grad_()
    with torch.no_grad():  # where no gradient is asked for, none is lost
        teacher_statistics(student, teacher, ("kl",))
    with pytest.raises(ValueError, match=r"teacher: got logits that require grad, expected constants"):
        teacher_statistics(student, teacher, ("kl",))
