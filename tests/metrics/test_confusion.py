"""The confusion matrix and its scores against scikit-learn, row by row."""

import math

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.metrics import (
    accuracy,
    balanced_accuracy,
    confusion_counts,
    f_beta,
    g_mean,
    precision,
    recall,
)

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(pairs=pairs, beta=st.sampled_from([0.5, 1.0, 2.0]))
def test_every_score_is_scikit_learns(pairs, beta):
    said, true = (torch.tensor(side) for side in zip(*pairs, strict=True))
    options = {"y_true": true.numpy(), "y_pred": said.numpy()}
    counts = sklearn.metrics.confusion_matrix(**options, labels=[False, True])
    found = confusion_counts(said, true)
    assert [[found.true_negative, found.false_positive], [found.false_negative, found.true_positive]] == counts.tolist()
    wanted = {
        accuracy: sklearn.metrics.accuracy_score(**options),
        precision: sklearn.metrics.precision_score(**options, zero_division=0.0),
        recall: sklearn.metrics.recall_score(**options, zero_division=0.0),
        f_beta: sklearn.metrics.fbeta_score(**options, beta=beta, zero_division=0.0),
    }
    for score, value in wanted.items():
        extra = {"beta": beta} if score is f_beta else {}
        assert math.isclose(float(score(said, true, **extra)), value, rel_tol=1e-14, abs_tol=1e-15), score.__name__
    if len(set(true.tolist())) == 2:  # scikit-learn leaves an absent class out of the mean
        balanced = sklearn.metrics.balanced_accuracy_score(**options)
        rates = sklearn.metrics.recall_score(**options, average=None)
        assert math.isclose(float(balanced_accuracy(said, true)), balanced, rel_tol=1e-14)
        assert math.isclose(float(g_mean(said, true)), math.sqrt(np.prod(rates)), rel_tol=1e-14)


def test_a_number_per_label_is_the_transpose():
    generator = torch.Generator().manual_seed(0)
    said, true = (torch.rand(2, 60, 5, generator=generator) < 0.4).float().unbind()
    by_label = f_beta(said.T, true.T)
    macro = sklearn.metrics.f1_score(true.numpy(), said.numpy(), average="macro")
    micro = sklearn.metrics.f1_score(true.numpy(), said.numpy(), average="micro")
    assert by_label.shape == (5,)
    assert math.isclose(float(by_label.mean()), macro, rel_tol=1e-14)
    assert math.isclose(float(f_beta(said.reshape(-1), true.reshape(-1))), micro, rel_tol=1e-14)


@pytest.mark.parametrize("score", [precision, recall, f_beta])
@pytest.mark.parametrize("undefined", [0.0, 1.0])
def test_silence_about_silence_is_what_the_caller_says(score, undefined):
    assert float(score(torch.zeros(4), torch.zeros(4), undefined=undefined)) == undefined


def test_true_negatives_do_not_enter_f_but_do_enter_accuracy():
    said, true = torch.tensor([1, 1, 0]), torch.tensor([1, 0, 1])
    more = [torch.cat([side, torch.zeros(100, dtype=torch.long)]) for side in (said, true)]
    assert float(f_beta(*more)) == float(f_beta(said, true)) == 0.5
    assert float(accuracy(*more)) == 101 / 103 > float(accuracy(said, true)) == 1 / 3


def test_the_balanced_scores_do_not_see_how_many_negatives_there_are():
    said, true = torch.tensor([1, 0, 1, 0, 0, 0]), torch.tensor([1, 1, 0, 0, 0, 0])
    more = torch.cat([said, *[said[2:]] * 9]), torch.cat([true, *[true[2:]] * 9])
    for score in (balanced_accuracy, g_mean):
        assert math.isclose(float(score(*more)), float(score(said, true)), rel_tol=1e-15)
    assert float(precision(*more)) < float(precision(said, true))


def test_the_geometric_mean_is_never_above_the_arithmetic():
    generator = torch.Generator().manual_seed(1)
    said, true = (torch.rand(2, 200, 7, generator=generator) < 0.5).unbind()
    assert bool((g_mean(said, true) <= balanced_accuracy(said, true) + 1e-15).all())
