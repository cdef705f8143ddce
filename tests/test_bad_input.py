"""One table of bad input. Each row is refused by name: the argument, what it got, what was expected."""

import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
import torch

import lossbook
from lossbook import (
    LinearLogits,
    check_gradient,
    claim,
    losses,
    metrics,
    row_loss,
    row_statistics,
    softcap,
    teacher_statistics,
)
from lossbook.catalog import find

Z, Y = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])
SOFT = torch.full((4, 3), 1 / 3)
M = torch.zeros(5)
FEATURES, WEIGHT, BIAS = torch.zeros(4, 2), torch.zeros(3, 2), torch.zeros(3)
LEARNED, LEARNED_SOFT = torch.ones(3, requires_grad=True), SOFT.clone().requires_grad_()
LINEAR = LinearLogits(FEATURES, WEIGHT, BIAS)
NAMED = ("target", "logsumexp")


def entropy(logits: Any = Z, target: Any = Y, **options: Any) -> torch.Tensor:
    return losses.cross_entropy(logits, target, **options)


def comp_sum(logits: Any = Z, target: Any = Y, **options: Any) -> torch.Tensor:
    return losses.comp_sum_loss(logits, target, **options)


def robust(**options: Any) -> torch.Tensor:
    return losses.general_robust_loss(M, M, **options)


def rewards(outputs: Any = Z, target: Any = Y, **options: Any) -> torch.Tensor:
    return losses.reward_prediction_loss(outputs, target, **options)


def adversarial(moved: Any = Z, logits: Any = Z, **options: Any) -> torch.Tensor:
    return losses.smooth_adversarial_comp_sum_loss(logits, Y, adversarial_logits=moved, **options)


def decoupled(target: Any = Y, logits: Any = Z, **options: Any) -> torch.Tensor:
    return losses.decoupled_softmax_loss(logits, target, **options)


def siglip(images: Any = FEATURES, texts: Any = FEATURES, **options: Any) -> torch.Tensor:
    return losses.siglip_loss(images, texts, **options)


def nce(first: Any = FEATURES, second: Any = FEATURES, **options: Any) -> torch.Tensor:
    return losses.info_nce_loss(first, second, **options)


def ranked(queries: Any = FEATURES, documents: Any = FEATURES, **options: Any) -> torch.Tensor:
    return losses.mann_whitney_loss(queries, documents, **options)


def taught(teacher: Any = Z, names: Any = ("kl",), student: Any = Z, **options: Any) -> Any:
    return teacher_statistics(student, teacher, names, **options)


def statistics(names: Any, target: Any = Y, logits: Any = Z) -> Any:
    return row_statistics(logits, target, names)


def linear(weight: Any = WEIGHT, *, features: Any = FEATURES, bias: Any = BIAS, **options: Any) -> LinearLogits:
    return LinearLogits(features, weight, bias, **options)


def siglip_row(logits: Any) -> torch.Tensor:
    return row_loss(lambda stats: stats.softplus_sum - stats.target, logits, Y, ("softplus_sum", "target"))


def row(function: Any, logits: Any = Z) -> torch.Tensor:
    return row_loss(function, logits, Y, NAMED)


def device(name: str) -> torch.device:
    with patch.dict(os.environ, LOSSBOOK_DEVICE=name):
        return lossbook.device()


class Bad(NamedTuple):
    """What is wrong, a call that does it, and what the message must hold."""

    what: str
    call: Callable[[], Any]
    error: type[Exception]
    argument: str
    got: str
    expected: str


V, T = ValueError, TypeError
FLOATS, ATTACK, GF = "a floating-point tensor", "adversarial_logits", "gradient_filter"
TABLE = [
    Bad("logits as a list", lambda: entropy([[0.0, 1.0]]), T, "logits", "[[0.0, 1.0]] (list)", FLOATS),
    Bad("logits as an array", lambda: entropy(np.zeros((4, 3))), T, "logits", "ndarray", FLOATS),
    Bad("no logits", lambda: entropy(None), T, "logits", "None", FLOATS),
    Bad("integer logits", lambda: entropy(Z.long()), T, "logits", "int64 tensor", FLOATS),
    Bad("complex logits", lambda: entropy(Z + 0j), T, "logits", "complex64 tensor", FLOATS),
    Bad("logits without an axis", lambda: entropy(Z[0, 0]), V, "logits", "shape ()", "(*batch, classes)"),
    Bad("no class", lambda: entropy(Z[:, :0]), V, "logits", "shape (4, 0)", "at least one class"),
    Bad("target as a list", lambda: entropy(target=[0, 1]), T, "target", "[0, 1] (list)", "a tensor of class indices"),
    Bad("no target", lambda: entropy(target=None), T, "target", "None", "a tensor"),
    Bad("boolean target", lambda: entropy(target=Y > 0), T, "target", "bool tensor", "class indices (int64)"),
    Bad("complex target", lambda: entropy(target=Y + 0j), T, "target", "complex64 tensor", "class indices (int64)"),
    Bad("target one too short", lambda: entropy(target=Y[:3]), V, "target", "shape (3,)", "of shape (4,)"),
    Bad("one-hot integer target", lambda: entropy(target=SOFT.long()), V, "target", "shape (4, 3)", "of shape (4,)"),
    Bad("class above the last", lambda: entropy(target=Y + 1), V, "target", "class 3", "0 to 2, or ignore_index -100"),
    Bad("negative class", lambda: entropy(target=-Y, ignore_index=-2), V, "target", "class -1", "or ignore_index -2"),
    Bad("target elsewhere", lambda: entropy(target=Y.to("meta")), V, "target", "on meta", "device of logits, cpu"),
    Bad("soft targets without a class", lambda: entropy(target=SOFT[:, :2]), V, "target", "(4, 2)", "(4, 3)"),
    Bad("float class indices", lambda: comp_sum(target=Y.float()), T, "target", "float32", "(int64) of shape (4,)"),
    Bad("soft targets where none count", lambda: comp_sum(target=SOFT), T, "target", "float32", "class indices"),
    Bad("learned soft targets, linear", lambda: entropy(LINEAR, LEARNED_SOFT), V, "target", "grad", "a constant"),
    Bad("class weights as a list", lambda: entropy(weight=[1, 1, 1]), T, "weight", "[1, 1, 1]", FLOATS),
    Bad("integer class weights", lambda: entropy(weight=Y[:3]), T, "weight", "int64", FLOATS),
    Bad("a class weight too few", lambda: entropy(weight=BIAS[:2]), V, "weight", "shape (2,)", "shape (3,)"),
    Bad("class weights elsewhere", lambda: entropy(weight=BIAS.to("meta")), V, "weight", "on meta", "device of logits"),
    Bad("learned class weights", lambda: entropy(weight=LEARNED), V, "weight", "grad", "a constant"),
    Bad("unknown reduction", lambda: entropy(reduction="avg"), V, "reduction", "'avg'", "'mean', 'sum', 'none'"),
    Bad("reduction None", lambda: entropy(reduction=None), V, "reduction", "None", "'mean', 'sum', 'none'"),
    Bad("reduction of a margin loss", lambda: losses.hinge_loss(M, reduction="max"), V, "reduction", "'max'", "'mean'"),
    Bad("fractional ignore_index", lambda: entropy(ignore_index=1.0), T, "ignore_index", "1.0 (float)", "an integer"),
    Bad("boolean ignore_index", lambda: entropy(ignore_index=True), T, "ignore_index", "True (bool)", "an integer"),
    Bad("smoothing above one", lambda: entropy(label_smoothing=1.5), V, "label_smoothing", "1.5", ">= 0 and <= 1"),
    Bad("smoothing by a string", lambda: entropy(label_smoothing="0.1"), T, "label_smoothing", "'0.1' (str)", "number"),
    Bad("smoothing by a tensor", lambda: entropy(label_smoothing=M[0]), T, "label_smoothing", "float32", "number"),
    Bad("negative tau", lambda: comp_sum(tau=-0.5), V, "tau", "-0.5", "a finite number >= 0"),
    Bad("tau NaN", lambda: comp_sum(tau=math.nan), V, "tau", "nan", "a finite number >= 0"),
    Bad("tau infinite", lambda: comp_sum(tau=math.inf), V, "tau", "inf", "a finite number >= 0"),
    Bad("tau beyond all floats", lambda: comp_sum(tau=10**400), V, "tau", "an int", "a finite number"),
    Bad("tau as a bool", lambda: comp_sum(tau=True), T, "tau", "True (bool)", "a finite number >= 0"),
    Bad("tau None", lambda: comp_sum(tau=None), T, "tau", "None", "a finite number >= 0"),
    Bad("weight limit below one", lambda: comp_sum(max_weight=0.5), V, "max_weight", "0.5", ">= 1"),
    Bad("q above one", lambda: losses.generalized_cross_entropy(Z, Y, q=1.1), V, "q", "1.1", ">= 0 and <= 1"),
    Bad("rho zero", lambda: adversarial(rho=0), V, "rho", "0", "a finite number > 0"),
    Bad("negative nu", lambda: adversarial(nu=-1), V, "nu", "-1", "a finite number >= 0"),
    Bad("attack of another shape", lambda: adversarial(Z[:2]), V, ATTACK, "(2, 3)", "(4, 3)"),
    Bad("attack as a list", lambda: adversarial([0.0]), T, ATTACK, "[0.0] (list)", FLOATS),
    Bad("attack by integers", lambda: adversarial(Z.long()), T, ATTACK, "int64", FLOATS),
    Bad("attack elsewhere", lambda: adversarial(Z.to("meta")), V, ATTACK, "on meta", "device of logits"),
    Bad("attack of another kind", lambda: adversarial(LINEAR), T, ATTACK, "LinearLogits", "tensor for a tensor"),
    Bad("attack on a copy", lambda: adversarial(linear(WEIGHT + 0), LINEAR), V, ATTACK, "Linear", "same weight"),
    Bad("outputs as a list", lambda: rewards([0.0]), T, "outputs", "[0.0] (list)", FLOATS),
    Bad("one action", lambda: rewards(Z[:, :1]), V, "outputs", "shape (4, 1)", "the abstaining action"),
    Bad("soft rewards", lambda: rewards(target=SOFT), V, "target", "shape (4, 3)", "class indices of shape (4,)"),
    Bad("negative cost", lambda: rewards(cost=-4), V, "cost", "-4", "a finite number >= 0"),
    Bad("negative gamma", lambda: losses.focal_loss(Z, Y, gamma=-1), V, "gamma", "-1", "a finite number >= 0"),
    Bad("gamma NaN", lambda: losses.focal_loss(Z, Y, gamma=math.nan), V, "gamma", "nan", "a finite number >= 0"),
    Bad("gamma as a tensor", lambda: losses.focal_loss(Z, Y, gamma=M[0]), T, "gamma", "float32", "number"),
    Bad("soft targets, squentropy", lambda: losses.squentropy_loss(Z, SOFT), T, "target", "float32", "class indices"),
    Bad("sharpness zero", lambda: losses.z_loss(Z, Y, sharpness=0), V, "sharpness", "0", "a finite number > 0"),
    Bad("aim infinite", lambda: losses.z_loss(Z, Y, aim=math.inf), V, "aim", "inf", "a finite number"),
    Bad("epsilon zero", lambda: losses.log_spherical_softmax_loss(Z, Y, epsilon=0), V, "epsilon", "0", "> 0"),
    Bad("weights without classes", lambda: losses.logit_square_penalty(Z, weight=BIAS), T, "weight", "(3,)", "None"),
    Bad("several classes one too large", lambda: decoupled(Y[:, None] + 1), V, "target", "class 3", "0 to 2"),
    Bad("several classes for too few rows", lambda: decoupled(Y[:3, None]), V, "target", "(3, 1)", "shape (4,)"),
    Bad("several soft classes", lambda: decoupled(SOFT), T, "target", "float32", "class indices"),
    Bad("a weight too few, decoupled", lambda: decoupled(Y[:, None], weight=M), V, "weight", "(5,)", "shape (3,)"),
    Bad("learned weights, decoupled", lambda: decoupled(Y[:, None], weight=LEARNED), V, "weight", "grad", "a constant"),
    Bad("images as a list", lambda: siglip([[0.0]]), T, "images", "[[0.0]] (list)", FLOATS),
    Bad("no pair", lambda: siglip(FEATURES[:0]), V, "images", "(0, 2)", "at least one pair"),
    Bad("a text too few", lambda: siglip(texts=FEATURES[:3]), V, "texts", "(3, 2)", "of images, (4, 2)"),
    Bad(
        "texts in another precision", lambda: siglip(texts=FEATURES.double()), T, "texts", "float64", "dtype of images"
    ),
    Bad("a scale for each", lambda: siglip(scale=M), T, "scale", "shape (5,)", "a floating-point scalar tensor"),
    Bad("bias NaN", lambda: siglip(bias=math.nan), V, "bias", "nan", "a finite number"),
    Bad("a weight a text too many", lambda: siglip(weight=M), V, "weight", "(5,)", "one weight per pair, shape (4,)"),
    Bad("weights over processes", lambda: siglip(weight=M[:4], group=0), V, "weight", "(4,)", "None where the pairs"),
    Bad("no memory for pairs", lambda: siglip(memory_budget=0), V, "memory_budget", "0", "bytes > 0"),
    Bad("temperature zero", lambda: nce(temperature=0), V, "temperature", "0", "a finite number > 0"),
    Bad("a learned temperature below zero", lambda: nce(temperature=M[0] - 1), V, "temperature", "-1.0", "> 0"),
    Bad("a symmetric loss by a number", lambda: nce(symmetric=1), T, "symmetric", "1 (int)", "True or False"),
    Bad(
        "no memory for rows and columns", lambda: nce(symmetric=True, memory_budget=-1), V, "memory_budget", "-1", "> 0"
    ),
    Bad("pairs by an unknown reduction", lambda: nce(reduction="pairs"), V, "reduction", "'pairs'", "'mean'"),
    Bad("an unknown mean of comparisons", lambda: ranked(reduction="avg"), V, "reduction", "'avg'", "'pairs'"),
    Bad("a document too few", lambda: ranked(documents=FEATURES[:3]), V, "documents", "(3, 2)", "at least the 4"),
    Bad("documents of another dimension", lambda: ranked(documents=Z), V, "documents", "(4, 3)", "(documents, 2)"),
    Bad("more queries than scores", lambda: ranked(documents=None), V, "queries", "(4, 2)", "for each query"),
    Bad("a cap of zero", lambda: softcap(Z, 0), V, "cap", "0", "a finite number > 0"),
    Bad("a teacher of other classes", lambda: taught(Z[:, :2]), V, "teacher", "(4, 2)", "shape of student, (4, 3)"),
    Bad("a teacher that learns", lambda: taught(LEARNED_SOFT), V, "teacher", "grad", "constants"),
    Bad("a teacher elsewhere", lambda: taught(Z.to("meta")), V, "teacher", "on meta", "device of student, cpu"),
    Bad("a student as a list", lambda: taught(student=[0.0]), T, "student", "[0.0] (list)", FLOATS),
    Bad("an unknown divergence", lambda: taught(names=("tvd",)), V, "names", "'tvd'", "'kl'"),
    Bad("a bare divergence", lambda: taught(names="kl"), T, "names", "'kl' (str)", "a tuple of statistics"),
    Bad("no target for the others", lambda: taught(names=("others_cross_entropy",)), T, "target", "None", "looks at"),
    Bad("a taught class above the last", lambda: taught(target=Y + 1), V, "target", "class 3", "0 to 2"),
    Bad("beta one", lambda: taught(beta=1.0), V, "beta", "1.0", "> 0 and < 1"),
    Bad("a cold teacher", lambda: taught(temperature=0), V, "temperature", "0", "a finite number > 0"),
    Bad("positives by integers", lambda: metrics.auc(Y, M), T, "positives", "int64", FLOATS),
    Bad("no negatives", lambda: metrics.auc(M, M[:0]), V, "negatives", "shape (0,)", "at least one score"),
    Bad("a score that is none", lambda: metrics.auc(M / 0, M), V, "positives", "NaN", "an order"),
    Bad("k zero", lambda: metrics.top_k_error(Z, Y, k=0), V, "k", "0", "an integer >= 1"),
    Bad(
        "a rank of a class above the last", lambda: metrics.target_rank(Z, Y + 1), V, "target", "(4,)", "classes 0 to 2"
    ),
    Bad("the rank of no row", lambda: metrics.mean_reciprocal_rank(Z[:0], Y[:0]), V, "scores", "(0, 3)", "one row"),
    Bad("margin as a float", lambda: losses.logistic_loss(0.5), T, "margin", "0.5 (float)", FLOATS),
    Bad("integer margin", lambda: losses.savage_loss(Y), T, "margin", "int64", FLOATS),
    Bad("margin weight too big", lambda: losses.hinge_loss(M, weight=Z), V, "weight", "(4, 3)", "of margin, (5,)"),
    Bad("margin weight as a number", lambda: losses.hinge_loss(M, weight=2.0), T, "weight", "2.0", FLOATS),
    Bad("boolean prediction", lambda: losses.squared_error(M > 0, M), T, "prediction", "bool", FLOATS),
    Bad("target as a number", lambda: losses.squared_error(M, 1.0), T, "target", "1.0 (float)", FLOATS),
    Bad("shapes that broadcast", lambda: losses.absolute_error(M[:, None], M), V, "target", "(5,)", "(5, 1)"),
    Bad("a target elsewhere", lambda: losses.squared_error(M, M.to("meta")), V, "target", "on meta", "cpu"),
    Bad("delta zero", lambda: losses.huber_loss(M, M, delta=0), V, "delta", "0", "a finite number > 0"),
    Bad("delta NaN", lambda: losses.huber_loss(M, M, delta=math.nan), V, "delta", "nan", "a finite number > 0"),
    Bad("quantile one", lambda: losses.quantile_loss(M, M, quantile=1), V, "quantile", "1", "> 0 and < 1"),
    Bad("alpha NaN", lambda: robust(alpha=math.nan), V, "alpha", "nan", "a number"),
    Bad("negative scale", lambda: robust(scale=-1.0), V, "scale", "-1.0", "a finite number > 0"),
    Bad("features as a list", lambda: linear(features=[[0.0]]), T, "features", "[[0.0]]", FLOATS),
    Bad("features without an axis", lambda: linear(features=Z[0, 0]), V, "features", "shape ()", "(*batch, dimension)"),
    Bad("classifier of one axis", lambda: linear(WEIGHT[0]), V, "weight", "shape (2,)", "(classes, 2)"),
    Bad("another dimension", lambda: linear(Z), V, "weight", "shape (4, 3)", "shape (classes, 2)"),
    Bad("no class to score", lambda: linear(WEIGHT[:0]), V, "weight", "(0, 2)", "at least one class"),
    Bad("two precisions", lambda: linear(WEIGHT.double()), T, "weight", "float64", "dtype of features"),
    Bad("two devices", lambda: linear(WEIGHT.to("meta")), V, "weight", "on meta", "of features, cpu"),
    Bad("bias of another length", lambda: linear(bias=M), V, "bias", "shape (5,)", "shape (3,)"),
    Bad("bias as a number", lambda: linear(bias=0.0), T, "bias", "0.0 (float)", FLOATS),
    Bad("no memory", lambda: linear(memory_budget=0), V, "memory_budget", "0", "bytes > 0"),
    Bad("half a byte", lambda: linear(memory_budget=0.5), T, "memory_budget", "0.5", "bytes > 0"),
    Bad("memory True", lambda: linear(memory_budget=True), T, "memory_budget", "True", "bytes > 0"),
    Bad("a soft cap of zero", lambda: linear(softcap=0.0), V, "softcap", "0.0", "a finite number > 0"),
    Bad("a soft cap NaN", lambda: linear(softcap=math.nan), V, "softcap", "nan", "a finite number > 0"),
    Bad("a shift back", lambda: linear(features=Z[None, :, :2], shift=-1), V, "shift", "-1", "positions >= 0"),
    Bad("half a shift", lambda: linear(features=Z[None, :, :2], shift=0.5), T, "shift", "0.5", "positions >= 0"),
    Bad("a shift of one vector", lambda: linear(features=Z[0, :2], shift=1), V, "shift", "1", "(*batch, positions"),
    Bad("an unknown engine", lambda: linear(engine="fast"), V, "engine", "'fast'", "'chunked', 'tile', 'gram'"),
    Bad("a filter below zero", lambda: linear(engine="tile", gradient_filter=-1e-3), V, GF, "-0.001", ">= 0"),
    Bad("a filter in chunks", lambda: linear(gradient_filter=1e-3), V, GF, "0.001", 'engine="tile"'),
    Bad("a filter of a sum", lambda: siglip_row(linear(engine="tile", gradient_filter=1e-3)), V, GF, "", ""),
    Bad("no logits, yet a softmax", lambda: entropy(linear(engine="gram")), V, "engine", "'gram'", "log_probability"),
    Bad("sharded by rows", lambda: linear(sharded="rows"), V, "sharded", "'rows'", "'classes', 'both'"),
    Bad("shifted soft targets", lambda: entropy(linear(shift=1), SOFT), T, "target", "float32", "class indices"),
    Bad("an unknown statistic", lambda: statistics(("median",)), V, "names", "'median'", "'target', 'logsumexp'"),
    Bad("a statistic that is no name", lambda: statistics((3,)), V, "names", "3", "'target', 'logsumexp'"),
    Bad("a bare name", lambda: statistics("target"), T, "names", "'target' (str)", "a tuple of statistics"),
    Bad("no names", lambda: statistics(None), T, "names", "None", "a tuple of statistics"),
    Bad("a statistic without its target", lambda: statistics(NAMED, None), T, "target", "None", "looks at the target"),
    Bad("no soft targets", lambda: statistics(("soft_log_probability",)), T, "target", "int64", "soft targets"),
    Bad("a class without an index", lambda: statistics(NAMED, SOFT), T, "target", "float32", "class indices (int64)"),
    Bad("no row function", lambda: row(None), T, "row", "None", "a function"),
    Bad("one value for all rows", lambda: row(lambda stats: stats.target.sum()), V, "row", "shape ()", "shape (4,)"),
    Bad("a value a column", lambda: row(lambda stats: stats.target[:, None]), V, "row", "(4, 1)", "one value per row"),
    Bad("rows as a list", lambda: row(lambda stats: [0.0] * 4), V, "row", "[0.0, 0.0, 0.0, 0.0]", "shape (4,)"),
    Bad("one value for a chunk", lambda: row(lambda s: s.target.sum(), LINEAR), V, "row", "shape ()", "shape (1,)"),
    Bad("a claim without words", lambda: claim("", True), T, "statement", "''", "words"),
    Bad("a claim that is a number", lambda: claim("s", 0.5), T, "value", "0.5 (float)", "a condition"),
    Bad("a claim that is a tensor of numbers", lambda: claim("s", M), T, "value", "float32", "a condition"),
    Bad("a claim about a word", lambda: claim("s", "yes"), T, "value", "'yes' (str)", "a number, an array or a tensor"),
    Bad("a claim on nothing", lambda: claim("s", M[:0], expected=0), V, "value", "shape (0,)", "at least one element"),
    Bad("a condition on nothing", lambda: claim("s", M[:0] > 0), V, "value", "shape (0,)", "at least one element"),
    Bad("expected of another shape", lambda: claim("s", M[:, None], M), V, "expected", "shape (5,)", "shape (5, 1)"),
    Bad("expected a word", lambda: claim("s", 1, "one"), T, "expected", "'one' (str)", "a number"),
    Bad("negative tolerance", lambda: claim("s", 1, 1, -1), V, "tolerance", "-1", "a finite number >= 0"),
    Bad("tolerance NaN", lambda: claim("s", 1, 1, math.nan), V, "tolerance", "nan", "a finite number >= 0"),
    Bad("a bound for each", lambda: claim("s", M, at_least=M), V, "at_least", "shape (5,)", "one number"),
    Bad("a bound in words", lambda: claim("s", M, at_most="1"), T, "at_most", "'1' (str)", "a number"),
    Bad("no such loss", lambda: check_gradient("hinge", abs, M), V, "loss", "'hinge'", "'hinge_loss'"),
    Bad("a loss that is a number", lambda: check_gradient(3, abs, M), T, "loss", "3 (int)", "the name of a loss"),
    Bad("a gradient of nothing", lambda: check_gradient("hinge_loss", abs), T, "inputs", "()", "tensors"),
    Bad("a gradient by integers", lambda: check_gradient("hinge_loss", abs, Y), T, "inputs", "int64", "floating-point"),
    Bad("a gradient tensor", lambda: check_gradient("hinge_loss", M, M), T, "gradient", "float32", "a function"),
    Bad("a gradient in words", lambda: check_gradient("hinge_loss", str, M), T, "gradient", "(str)", "a number"),
    Bad("an unknown record", lambda: find("hinge"), V, "loss", "'hinge'", "'hinge_loss'"),
    Bad("a record by number", lambda: find(3), T, "loss", "3 (int)", "the name of a loss"),
    Bad("a record without its target", lambda: find("cross_entropy").value(Z), T, "target", "None", "class indices"),
    Bad("no such device", lambda: device("abacus"), V, "LOSSBOOK_DEVICE", "'abacus'", "a device torch can use here"),
    Bad("a device that is not there", lambda: device("cuda:99"), V, "LOSSBOOK_DEVICE", "'cuda:99'", "such as 'cpu'"),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.what)
def test_bad_input_is_refused_by_name(bad):
    with pytest.raises(bad.error) as caught:
        bad.call()
    assert type(caught.value) is bad.error
    argument, rest = str(caught.value).split(": got ", 1)
    got, expected = rest.split(", expected ", 1)
    assert argument == bad.argument
    assert bad.got in got
    assert bad.expected in expected


def test_the_table_holds_each_kind_once_and_they_are_many():
    assert len({bad.what for bad in TABLE}) == len(TABLE) >= 60


def test_the_good_input_beside_the_bad_is_taken():
    """The helpers of the table refuse nothing when nothing is wrong."""
    assert entropy().shape == adversarial().shape == row(lambda stats: stats.target).shape == ()
    assert entropy(target=SOFT, weight=BIAS + 1).isfinite()
    assert set(vars(statistics(NAMED))) == {*NAMED, "classes"}
    assert device("cpu") == torch.device("cpu")
