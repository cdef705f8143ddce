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
    models,
    row_loss,
    row_statistics,
    soft_top_k,
    softcap,
    teacher_statistics,
    training,
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


def adjusting(**options: Any) -> torch.Tensor:
    return losses.self_adjusting_dice_loss(M, M, **options)


def siglip(images: Any = FEATURES, texts: Any = FEATURES, **options: Any) -> torch.Tensor:
    return losses.siglip_loss(images, texts, **options)


def nce(first: Any = FEATURES, second: Any = FEATURES, **options: Any) -> torch.Tensor:
    return losses.info_nce_loss(first, second, **options)


def ranked(queries: Any = FEATURES, documents: Any = FEATURES, **options: Any) -> torch.Tensor:
    return losses.mann_whitney_loss(queries, documents, **options)


def asymmetric(target: Any = M, logits: Any = M, **options: Any) -> torch.Tensor:
    return losses.asymmetric_loss(logits, target, **options)


def one_label(target: Any = Y, logits: Any = Z, **options: Any) -> torch.Tensor:
    return losses.single_label_asymmetric_loss(logits, target, **options)


def margins(counts: Any = Y[:3], target: Any = Y, logits: Any = Z, **options: Any) -> torch.Tensor:
    return losses.ldam_loss(logits, target, counts=counts, **options)


def label_margins(counts: Any = M, target: Any = M, logits: Any = M, **options: Any) -> torch.Tensor:
    return losses.multi_label_ldam_loss(logits, target, counts=counts, **options)


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


def looks(**options: Any) -> torch.Tensor:
    return training.appearance_likelihood(
        Z, **{"clusters": 2, "components": 2, "generator": torch.Generator()} | options
    )


def promised(confidence: Any = M, correct: Any = M, **options: Any) -> float:
    return metrics.expected_calibration_error(confidence, correct, **options)


def device(name: str) -> torch.device:
    with patch.dict(os.environ, LOSSBOOK_DEVICE=name):
        return lossbook.device()


def changed(**options: Any) -> torch.Tensor:
    return training.transformed_scores(torch.nn.Identity(), Z, **{"transforms": [torch.neg], "top": 2} | options)


def legendre(**options: Any) -> Any:
    return models.LegendreTron(**{"inputs": 3, "classes": 3, "generator": torch.Generator()} | options)


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
    Bad("epsilon below −1", lambda: losses.poly_loss(Z, Y, epsilon=-1.1), V, "epsilon", "-1.1", ">= -1"),
    Bad("second epsilon", lambda: losses.poly_loss(Z, Y, epsilon=(1, -0.6)), V, "epsilon[1]", "-0.6", ">= -0.5"),
    Bad("no epsilon", lambda: losses.poly_loss(Z, Y, epsilon=()), V, "epsilon", "()", "at least one"),
    Bad("epsilon as a word", lambda: losses.poly_loss(Z, Y, epsilon="two"), T, "epsilon", "two", "number"),
    Bad("epsilon as a tensor", lambda: losses.poly_loss(Z, Y, epsilon=M), T, "epsilon", "float32", "number"),
    Bad("negative gamma, poly", lambda: losses.poly_loss(Z, Y, gamma=-1), V, "gamma", "-1", "a finite number >= 0"),
    Bad("soft targets, poly", lambda: losses.poly_loss(Z, SOFT), T, "target", "float32", "class indices"),
    Bad("no terms", lambda: losses.taylor_cross_entropy(Z, Y, terms=0), V, "terms", "0", "a finite number >= 1"),
    Bad("half a term", lambda: losses.taylor_cross_entropy(Z, Y, terms=1.5), V, "terms", "1.5", "a whole number"),
    Bad("soft targets, squentropy", lambda: losses.squentropy_loss(Z, SOFT), T, "target", "float32", "class indices"),
    Bad(
        "soft targets, CW margin", lambda: losses.carlini_wagner_loss(Z, SOFT), T, "target", "float32", "class indices"
    ),
    Bad(
        "a ratio of two scores",
        lambda: losses.logits_ratio_loss(Z[:, :2], 0 * Y),
        V,
        "logits",
        "(4, 2)",
        "three classes",
    ),
    Bad("integer scores to attack", lambda: losses.probability_margin_loss(Z.long(), Y), T, "logits", "int64", FLOATS),
    Bad("a rescaled class too high", lambda: losses.rescaled_cross_entropy(Z, Y + 1), V, "target", "class 3", "0 to 2"),
    Bad(
        "no attack", lambda: metrics.robust_accuracy(torch.nn.Identity(), {}, Z, Y), V, "attacks", "{}", "at least one"
    ),
    Bad("attacks without names", lambda: metrics.robust_accuracy(None, [abs], Z, Y), T, "attacks", "list", "a mapping"),
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
    Bad("half a label", lambda: asymmetric(M + 0.5), V, "target", "0.5", "0s and 1s alone"),
    Bad("labels that are whole numbers", lambda: asymmetric(M.long()), T, "target", "int64", "floating point"),
    Bad("a label too few", lambda: asymmetric(M[:4]), V, "target", "shape (4,)", "the shape of logits, (5,)"),
    Bad("scores that are whole numbers", lambda: asymmetric(logits=M.long()), T, "logits", "int64", "floating-point"),
    Bad("a negative focus", lambda: asymmetric(gamma_negative=-1), V, "gamma_negative", "-1", "a finite number >= 0"),
    Bad("a focus NaN", lambda: asymmetric(gamma_positive=math.nan), V, "gamma_positive", "nan", "a finite number >= 0"),
    Bad("a shift of 1", lambda: asymmetric(shift=1.0), V, "shift", "1.0", ">= 0 and < 1"),
    Bad("detached by number", lambda: asymmetric(detach_weight=1), T, "detach_weight", "1", "True or False"),
    Bad("a weight a label too few", lambda: asymmetric(weight=M[:4]), V, "weight", "(4,)", "the shape of logits"),
    Bad("a focus in words", lambda: one_label(gamma_negative="4"), T, "gamma_negative", "'4'", "a finite number >= 0"),
    Bad("a negative focus of one label", lambda: one_label(gamma_positive=-1), V, "gamma_positive", "-1", ">= 0"),
    Bad("more than all smoothed", lambda: one_label(label_smoothing=1.1), V, "label_smoothing", "1.1", "<= 1"),
    Bad("counts as a list", lambda: margins([1, 2, 3]), T, "counts", "[1, 2, 3]", "a tensor"),
    Bad("a negative count", lambda: margins(Y[:3] - 1), V, "counts", "shape (3,)", "finite counts >= 0"),
    Bad("a count too many", lambda: margins(Y), V, "counts", "shape (4,)", "one count per class or label, shape (3,)"),
    Bad("a negative margin", lambda: margins(max_margin=-0.5), V, "max_margin", "-0.5", "a finite number >= 0"),
    Bad("a scale of 0", lambda: margins(scale=0), V, "scale", "0", "a finite number > 0"),
    Bad("a count a label too few", lambda: label_margins(M[:4]), V, "counts", "shape (4,)", "shape (5,)"),
    Bad("a negative strength", lambda: label_margins(strength=-1), V, "strength", "-1", "a finite number >= 0"),
    Bad("margins of half a label", lambda: label_margins(target=M + 0.5), V, "target", "0.5", "0s and 1s alone"),
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
    Bad("a Brier score of labels", lambda: losses.brier_loss(Y[:, None], Y), T, "logits", "int64", FLOATS),
    Bad("a Brier score in another mean", lambda: losses.brier_loss(Z, Y, reduction="avg"), V, "reduction", "'avg'", ""),
    Bad("a spherical score of a list", lambda: losses.spherical_score_loss([0.0], Y), T, "logits", "[0.0]", FLOATS),
    Bad("a class too many", lambda: losses.spherical_score_loss(Z, Y + 1), V, "target", "", "0 to 2"),
    Bad("confidence by labels", lambda: promised(M, Y), V, "correct", "shape (4,)", "the shape of confidence, (5,)"),
    Bad("confidence in per cent", lambda: promised(M + 80), V, "confidence", "(5,)", "numbers in [0, 1]"),
    Bad("a confidence that is none", lambda: promised(M / 0), V, "confidence", "(5,)", "numbers in [0, 1]"),
    Bad("whole confidences", lambda: promised(Y, Y), T, "confidence", "int64", FLOATS),
    Bad("correct as a number", lambda: promised(M, 1.0), T, "correct", "1.0 (float)", "or of booleans"),
    Bad("correct twice over", lambda: promised(M, M + 2), V, "correct", "(5,)", "numbers in [0, 1]"),
    Bad("nothing promised", lambda: promised(M[:0], M[:0]), V, "confidence", "shape (0,)", "at least one prediction"),
    Bad("no bins", lambda: promised(bins=0), V, "bins", "0", "an integer >= 1"),
    Bad("half a bin", lambda: metrics.maximum_calibration_error(M, M, bins=0.5), T, "bins", "0.5", "an integer"),
    Bad("no bins to add", lambda: metrics.calibration_error_plus_width(M, M, bins=0), V, "bins", "0", "integer >= 1"),
    Bad("no bins for Brier", lambda: metrics.brier_decomposition(M, M, bins=0), V, "bins", "0", "an integer >= 1"),
    Bad("a whole interval", lambda: metrics.interval_calibration_error(M + 80, M), V, "confidence", "", "[0, 1]"),
    Bad("a low kernel", lambda: metrics.laplace_kernel_calibration_error(M - 1, M), V, "confidence", "", "[0, 1]"),
    Bad("smooth and empty", lambda: metrics.smooth_ece(M[:0], M[:0]), V, "confidence", "(0,)", "one prediction"),
    Bad("a kernel of no width", lambda: metrics.smooth_ece_at(M, M, bandwidth=0.0), V, "bandwidth", "0.0", ">= 0.0001"),
    Bad("one point", lambda: metrics.smooth_reliability(M, M, points=1), V, "points", "1", "an integer >= 2"),
    Bad("a band of all", lambda: metrics.smooth_reliability(M, M, level=1.0), V, "level", "1.0", "> 0 and < 1"),
    Bad("a plain band", lambda: metrics.smooth_reliability(M, M, resamples=9), V, "generator", "None", "at random"),
    Bad(
        "a class's forecasts beyond 1",
        lambda: metrics.classwise_calibration_error(Z + 2, Y),
        V,
        "confidence",
        "(4,)",
        "numbers in [0, 1]",
    ),
    Bad("soft labels", lambda: metrics.confidence_and_correctness(Z, SOFT), T, "target", "float32", "class indices"),
    Bad("a class that is none", lambda: metrics.confidence_and_correctness(Z, Y - 1), V, "target", "(4,)", "0 to 2"),
    Bad("too few labels", lambda: metrics.confidence_and_correctness(Z, Y[:2]), V, "target", "(2,)", "shape (4,)"),
    Bad("transfer of integers", lambda: metrics.transfer_rate(Y, Y, Y), T, "clean", "int64", FLOATS),
    Bad("transfer without rows", lambda: metrics.transfer_rate(M, M, Y), V, "clean", "(5,)", "(batch, ..., classes)"),
    Bad("transfer of other rows", lambda: metrics.transfer_rate(Z, Z[:3], Y), V, "moved", "(3, 3)", "(4, 3)"),
    Bad("transfer of soft labels", lambda: metrics.transfer_rate(Z, Z, SOFT), T, "target", "float32", "class indices"),
    Bad("transfer with a label too few", lambda: metrics.transfer_rate(Z, Z, Y[:3]), V, "target", "(3,)", "(4,)"),
    Bad("transfer where all is lost", lambda: metrics.transfer_rate(Z, Z, Y * 0 + 1), V, "clean", "no example", "one"),
    Bad("AnyLoss of no metric", lambda: losses.anyloss(M, M, metric="auc"), V, "metric", "'auc'", "one of 'accuracy'"),
    Bad("AnyLoss, flat", lambda: losses.anyloss(M, M, sharpness=0), V, "sharpness", "0", "a finite number > 0"),
    Bad("AnyLoss, beta NaN", lambda: losses.anyloss(M, M, beta=math.nan), V, "beta", "nan", "a finite number > 0"),
    Bad("AnyLoss of nothing", lambda: losses.anyloss(M[:0], M[:0]), V, "logits", "shape (0,)", "at least one element"),
    Bad("AnyLoss of halves", lambda: losses.anyloss(M, M + 0.5), V, "target", "other than 0 and 1", "a 0 or a 1"),
    Bad("AnyLoss of class indices", lambda: losses.anyloss(Z, Y), T, "target", "int64", FLOATS),
    Bad("AnyLoss of other shapes", lambda: losses.anyloss(Z, M), V, "target", "shape (5,)", "of logits, (4, 3)"),
    Bad("AnyLoss elsewhere", lambda: losses.anyloss(M, M.to("meta")), V, "target", "on meta", "device of logits, cpu"),
    Bad("AnyLoss, reduction", lambda: losses.anyloss(M, M, reduction="avg"), V, "reduction", "'avg'", "'mean'"),
    Bad("Dice of integers", lambda: losses.dice_loss(Y, Y), T, "logits", "int64", FLOATS),
    Bad("Dice, another power", lambda: losses.dice_loss(M, M, power=3), V, "power", "3", "1 or 2"),
    Bad("Dice, negative smoothing", lambda: losses.dice_loss(M, M, smoothing=-1), V, "smoothing", "-1", ">= 0"),
    Bad("Dice over no such axis", lambda: losses.dice_loss(M, M, reduce_over=1), V, "reduce_over", "1", "which has 1"),
    Bad("an axis twice", lambda: losses.dice_loss(Z, Z, reduce_over=(0, -2)), V, "reduce_over", "(0, -2)", "different"),
    Bad("DSC, no such level", lambda: adjusting(level="row"), V, "level", "'row'", "'set'"),
    Bad("DSC, negative alpha", lambda: adjusting(alpha=-1), V, "alpha", "-1", ">= 0"),
    Bad("DSC, one Tversky", lambda: adjusting(tversky=0.3), T, "tversky", "0.3", "two numbers"),
    Bad("DSC, detach a number", lambda: adjusting(detach_weight=1), T, "detach_weight", "1", "True"),
    Bad("DSC, fewer than none", lambda: adjusting(hard_negatives=-1), V, "hard_negatives", "-1", ">= 0"),
    Bad("top-k of one score", lambda: soft_top_k(M[:1], 0.5), V, "scores", "shape (1,)", "at least two scores"),
    Bad("top-k of all", lambda: soft_top_k(M, 5), V, "k", "5", "below the 5 scores"),
    Bad("top-k of none", lambda: soft_top_k(M, 0), V, "k", "0", "a finite number > 0"),
    Bad("a k too few", lambda: soft_top_k(Z, BIAS + 1), V, "k", "shape (3,)", "one a row, shape (4,)"),
    Bad("a row of k too large", lambda: soft_top_k(Z, Y.float() + 1.5), V, "k", "3.5", "below the 3 scores"),
    Bad("a boolean k", lambda: soft_top_k(Z, Y > 0), T, "k", "bool tensor", "a tensor of numbers"),
    Bad("a learned k", lambda: soft_top_k(Z.T, LEARNED), V, "k", "grad", "a constant"),
    Bad("top-k, no slope", lambda: soft_top_k(M, 2, sharpness=0), V, "sharpness", "0", "> 0"),
    Bad("top-k of linear logits", lambda: losses.soft_top_k_loss(LINEAR, Z), T, "logits", "LinearLogits", FLOATS),
    Bad("a right label masked", lambda: losses.soft_top_k_loss(M - math.inf, M + 1), V, "target", "−∞", "take part"),
    Bad("soft decisions", lambda: metrics.f_beta(M + 0.5, M), V, "decisions", "other than 0 and 1", "hard decisions"),
    Bad("decisions as a list", lambda: metrics.accuracy([1, 0], M), T, "decisions", "[1, 0]", "zeros and ones"),
    Bad("decisions of another shape", lambda: metrics.recall(Z, M), V, "target", "shape (5,)", "of decisions, (4, 3)"),
    Bad("one decision", lambda: metrics.g_mean(M[0], M[0]), V, "decisions", "shape ()", "at least one axis"),
    Bad("undefined above 1", lambda: metrics.precision(M, M, undefined=2), V, "undefined", "2", "<= 1"),
    Bad("F zero", lambda: metrics.f_beta(M, M, beta=0), V, "beta", "0", "> 0"),
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
    Bad("negative gamma, dual", lambda: losses.dual_focal_loss(Z, Y, gamma=-1), V, "gamma", "-1", ">= 0"),
    Bad("gamma as a word, dual", lambda: losses.dual_focal_loss(Z, Y, gamma="5"), T, "gamma", "'5' (str)", "number"),
    Bad("soft targets, dual", lambda: losses.dual_focal_loss(Z, SOFT), T, "target", "float32", "class indices"),
    Bad("exponent below one", lambda: losses.correctness_aware_loss(Z, Y, exponent=0.5), V, "exponent", "0.5", ">= 1"),
    Bad("exponent NaN", lambda: losses.correctness_aware_loss(Z, Y, exponent=math.nan), V, "exponent", "nan", ">= 1"),
    Bad("soft targets, correctness", lambda: losses.correctness_aware_loss(Z, SOFT), T, "target", "float32", "indices"),
    Bad("a temperature of a list", lambda: training.fit_temperature([0.0], Y), T, "logits", "[0.0] (list)", FLOATS),
    Bad("a temperature of nothing", lambda: training.fit_temperature(Z[:0], Y[:0]), V, "logits", "(0, 3)", "one row"),
    Bad("a temperature of NaN", lambda: training.fit_temperature(Z / 0, Y), V, "logits", "NaN", "finite ones"),
    Bad("soft targets, temperature", lambda: training.fit_temperature(Z, SOFT), T, "target", "float32", "indices"),
    Bad("a label too few, temperature", lambda: training.fit_temperature(Z, Y[:3]), V, "target", "(3,)", "shape (4,)"),
    Bad("a label too high", lambda: training.fit_temperature(Z, Y + 1), V, "target", "shape (4,)", "classes 0 to 2"),
    Bad("labels elsewhere", lambda: training.fit_temperature(Z, Y.to("meta")), V, "target", "on meta", "device of"),
    Bad("no transform", lambda: changed(transforms=[]), T, "transforms", "[] (list)", "at least one function"),
    Bad("a transform that is none", lambda: changed(transforms=[3]), T, "transforms", "[3] (list)", "one function"),
    Bad("more leaders than classes", lambda: changed(top=4), V, "top", "4", "at most the classes"),
    Bad("no leader", lambda: changed(top=0), V, "top", "0", "an integer >= 1"),
    Bad("a calibrator of a function", lambda: training.SampleTemperature(abs), T, "network", "abs", "a network"),
    Bad("an odd convex network", lambda: legendre(hidden=3), V, "hidden", "3", "an even number"),
    Bad("a convex network of one unit", lambda: legendre(hidden=1), V, "hidden", "1", "an integer >= 2"),
    Bad("a convex network without a layer", lambda: legendre(depth=0), V, "depth", "0", "an integer >= 1"),
    Bad("a link without a block", lambda: legendre(blocks=0), V, "blocks", "0", "an integer >= 1"),
    Bad("a link of one class", lambda: legendre(classes=1), V, "classes", "1", "an integer >= 2"),
    Bad("a link from a seed", lambda: legendre(generator=0), T, "generator", "0 (int)", "a torch.Generator"),
    Bad("a norm of one row", lambda: legendre().normalise(Z[:1]), V, "features", "shape (1, 3)", "at least two rows"),
    Bad("a norm of integers", lambda: legendre().normalise(Z.long()), T, "features", "int64", FLOATS),
    Bad("no such device", lambda: device("abacus"), V, "LOSSBOOK_DEVICE", "'abacus'", "a device torch can use here"),
    Bad("a device that is not there", lambda: device("cuda:99"), V, "LOSSBOOK_DEVICE", "'cuda:99'", "such as 'cpu'"),
    Bad("LDR: no temperature", lambda: losses.ldr_kl_loss(Z, Y, temperature=0.0), V, "temperature", "0.0", "> 0"),
    Bad("LDR: negative margin", lambda: losses.ldr_kl_loss(Z, Y, margin=-1.0), V, "margin", "-1.0", ">= 0"),
    Bad("LDR: NaN margin", lambda: losses.ldr_kl_loss(Z, Y, margin=math.nan), V, "margin", "nan", "a finite number"),
    Bad("LDR: unknown scores", lambda: losses.ldr_kl_loss(Z, Y, normalise="l2"), V, "normalise", "'l2'", "'none'"),
    Bad("LDR: integer logits", lambda: losses.ldr_kl_loss(Z.long(), Y), T, "logits", "int64", FLOATS),
    Bad(
        "LDR: integer logits, cool",
        lambda: losses.ldr_kl_loss(Z.long(), Y, temperature=2.0),
        T,
        "logits",
        "int64",
        FLOATS,
    ),
    Bad(
        "LDR: logits as a list", lambda: losses.ldr_kl_loss([[0.0]], Y, temperature=2.0), T, "logits", "[[0.0]]", FLOATS
    ),
    Bad("less than one draw", lambda: losses.direct_coverage_loss(Z, Y, samples=0.5), V, "samples", "0.5", ">= 1"),
    Bad(
        "draws as text", lambda: losses.direct_coverage_loss(Z, Y, samples="4"), T, "samples", "'4'", "a finite number"
    ),
    Bad("pass@N of no draw", lambda: metrics.pass_at_n(M, 0), V, "samples", "0", ">= 1"),
    Bad("pass@N of a percentage", lambda: metrics.pass_at_n(M + 50, 4), V, "probability", "shape (5,)", "from 0 to 1"),
    Bad("pass@N of integers", lambda: metrics.pass_at_n(Y, 4), T, "probability", "int64", FLOATS),
    Bad("log coverage of a probability", lambda: metrics.log_coverage(M + 0.5, 4), V, "log_probability", "0.5", "<= 0"),
    Bad("log coverage of no draw", lambda: metrics.log_coverage(M, 0), V, "samples", "0", ">= 1"),
    Bad("more draws than drawn", lambda: metrics.pass_at_n_estimate(Y, 4, 5), V, "samples", "5", "at most the 4"),
    Bad(
        "more right than drawn",
        lambda: metrics.pass_at_n_estimate(Y + 4, 4, 2),
        V,
        "correct",
        "shape (4,)",
        "from 0 to 4",
    ),
    Bad("no draws", lambda: metrics.pass_at_n_estimate(Y, 0, 1), V, "drawn", "0", "an integer >= 1"),
    Bad("answers without a chance", lambda: metrics.best_answers(M, 4), V, "chances", "shape (5,)", "above 0"),
    Bad("answers to no draw", lambda: metrics.best_answers(M + 1, 0.5), V, "samples", "0.5", ">= 1"),
    Bad("ALDR of no examples", lambda: training.ALDRKLLoss(0), V, "examples", "0", "an integer >= 1"),
    Bad("ALDR of no members", lambda: training.ALDRKLLoss(4, members=0), V, "members", "0", "an integer >= 1"),
    Bad("ALDR without a price", lambda: training.ALDRKLLoss(4, alpha=0.5), V, "alpha", "0.5", ">= 1"),
    Bad("ALDR at no temperature", lambda: training.ALDRKLLoss(4, temperature=0), V, "temperature", "0", "> 0"),
    Bad("ALDR, negative margin", lambda: training.ALDRKLLoss(4, margin=-1), V, "margin", "-1", ">= 0"),
    Bad("ALDR, unknown update", lambda: training.ALDRKLLoss(4, update="all"), V, "update", "'all'", "'code', 'exact'"),
    Bad("ALDR, unknown scores", lambda: training.ALDRKLLoss(4, normalise="l2"), V, "normalise", "'l2'", "'none'"),
    Bad("ALDR, an id too many", lambda: training.ALDRKLLoss(3)(Z, Y, torch.arange(4)), V, "ids", "0 to 3", "0 to 2"),
    Bad(
        "ALDR, an id too few",
        lambda: training.ALDRKLLoss(4)(Z, Y, torch.arange(3)),
        V,
        "ids",
        "shape (3,)",
        "shape (4,)",
    ),
    Bad("ALDR, ids as floats", lambda: training.ALDRKLLoss(4)(Z, Y, M[:4]), T, "ids", "float32", "int64"),
    Bad("ALDR, one class", lambda: training.ALDRKLLoss(4)(Z[:, :1], Y, Y), V, "logits", "(4, 1)", "two classes"),
    Bad("ALDR, float target", lambda: training.ALDRKLLoss(4)(Z, M[:4], Y), T, "target", "float32", "int64"),
    Bad("ALDR, reduction", lambda: training.ALDRKLLoss(4)(Z, Y, Y, reduction="avg"), V, "reduction", "'avg'", "'mean'"),
    Bad("EnsLoss without chance", lambda: training.EnsLoss(None), T, "generator", "None", "a torch.Generator"),
    Bad(
        "EnsLoss, no period", lambda: training.EnsLoss(torch.Generator(), period=0), V, "period", "0", "an integer >= 1"
    ),
    Bad(
        "EnsLoss, NaN",
        lambda: training.EnsLoss(torch.Generator(), box_cox=math.nan),
        V,
        "box_cox",
        "nan",
        "a finite number",
    ),
    Bad(
        "EnsLoss of nothing",
        lambda: training.EnsLoss(torch.Generator())(M[:0]),
        V,
        "margin",
        "shape (0,)",
        "at least one",
    ),
    Bad("EnsLoss of integers", lambda: training.EnsLoss(torch.Generator())(Y), T, "margin", "int64", FLOATS),
    Bad("a negative floor", lambda: training.equity_weights(M, eta=-1), V, "eta", "-1", ">= 0"),
    Bad("a negative power", lambda: training.equity_weights(M, gamma=-1), V, "gamma", "-1", ">= 0"),
    Bad("likelihood above 1", lambda: training.equity_weights(M + 2), V, "likelihood", "shape (5,)", "from 0 to 1"),
    Bad("clusters as floats", lambda: training.cluster_likelihood(M), T, "clusters", "float32", "int64"),
    Bad("no clusters", lambda: training.cluster_likelihood(Y[:0]), V, "clusters", "shape (0,)", "at least one"),
    Bad(
        "relative to none",
        lambda: training.cluster_likelihood(Y, relative_to="mean"),
        V,
        "relative_to",
        "'mean'",
        "'all'",
    ),
    Bad("fewer samples than clusters", lambda: looks(clusters=5), V, "features", "(4, 3)", "at least 5 samples"),
    Bad("more components than units", lambda: looks(components=4), V, "components", "4", "at most the 3"),
    Bad("clusters without chance", lambda: looks(generator=None), T, "generator", "None", "a torch.Generator"),
    Bad("no cluster", lambda: looks(clusters=0), V, "clusters", "0", "an integer >= 1"),
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
