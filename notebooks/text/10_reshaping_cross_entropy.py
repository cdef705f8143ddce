# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 Reshaping cross-entropy
#
# Cross-entropy pulls every row by the same rule: as hard as the network is unsure. Most of the losses that people put in its place keep
# the direction of that pull and change how much a row counts. This chapter lays them over each other in one chart, says what is lost by
# each change, and repeats the experiments that made them known, over five seeds.

# %% [markdown]
# ## What you will be able to do
# - read off one curve which rows a loss listens to, and which it gives up;
# - turn a coefficient of cross-entropy's series, and say on which tasks up and on which down;
# - say where smoothed labels come to rest, and what that does to confidence;
# - hold the scores of wrong classes with an anchor instead of a share;
# - let a loss doubt the label, count several answers, draw another loss for each batch, or weigh samples by how rare they look;
# - tell a claim of a paper that comes out here from one that does not.
#
# ## Before you start
# | you need | how much |
# |---|---|
# | [chapter 01](01_from_likelihood_to_cross_entropy.ipynb) | cross-entropy, the comp-sum family, wrong labels |
# | [chapter 03](03_losses_from_row_statistics.ipynb) | losses as functions of a few numbers a row |
# | calculus | the chain rule, the series of the logarithm |
# | minutes | 120, in ten sections that can be read one at a time |
#
# ## Papers in this chapter
# | section | paper |
# |---|---|
# | 2 | Leng et al. 2022, PolyLoss: a polynomial expansion perspective of classification loss functions |
# | 4 | Hui, Belkin & Wright 2023, Cut your losses with squentropy |
# | 6 | Zhu, Ying & Yang 2023, Label distributionally robust losses for multi-class classification |
# | 7 | Chen et al. 2025, Rethinking fine-tuning when scaling test-time compute: limiting confidence improves mathematical reasoning |
# | 8 | Dai 2024, EnsLoss: stochastic calibrated loss ensembles for preventing overfitting in classification |
# | 9 | Shrivastava et al. 2023, DatasetEquity: are all samples created equal? |

# %%
import dataclasses
import math
from functools import partial

import torch
from lossbook import LinearLogits, check_gradient, claim
from lossbook.catalog import find
from lossbook.comparison import (
    Protocol,
    budget,
    compare,
    differences,
    plot_comparison,
)
from lossbook.comparison import (
    table as bench_table,
)
from lossbook.datasets import digits, fashion_mnist, with_label_noise
from lossbook.exercises import chapter_10 as exercises
from lossbook.exercises import chapter_10_doubt as doubt_exercises
from lossbook.experiments import (
    coverage,
    equity,
    label_uncertainty,
    loss_ensemble,
    polynomial,
    reshaped,
)
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded
from lossbook.figures import new_figure, show
from lossbook.figures.doubt import (
    plot_appearance,
    plot_coverage,
    plot_noise_accuracy,
    plot_overfitting,
    plot_slopes,
    plot_temperatures,
)
from lossbook.figures.headlines import show_verdicts
from lossbook.figures.reshaped import plot_course, plot_epsilon, plot_terms, plot_wrong_scores
from lossbook.figures.reshaping import has_one_weight, plot_weights, pulls, start_of, weights
from lossbook.losses import (
    cross_entropy,
    direct_coverage_loss,
    focal_loss,
    ldr_kl_loss,
    mean_absolute_error_loss,
    poly_loss,
    squentropy_loss,
    taylor_cross_entropy,
    taylor_softmax_loss,
)
from lossbook.metrics import best_answers, log_coverage, pass_at_n, pass_at_n_estimate
from lossbook.models import Ensemble, multilayer
from lossbook.training import (
    ALDRKLLoss,
    EnsLoss,
    appearance_likelihood,
    cluster_likelihood,
    equity_weights,
    fit,
    slopes_of,
)
from lossbook.widgets import ReshapingExplorer

# %% [markdown]
# ## What the papers claim, and what came out
# Each line is a sentence of a paper, put down as a number before the run: above 0 the sentence holds. *Seeds* counts in how many of five it
# does; the interval is Student's, 95 % over seeds. The runs come with the book, `data/runs`; `lossbook run polynomial --scale small` and
# its like make them again. Where a line says *not here* or *contradicted*, that is the result, and its section says what was tried.

# %%
modules = (reshaped, polynomial, label_uncertainty, coverage, loss_ensemble, equity)
runs = {
    module: recorded(module.__name__.rpartition(".")[2] + "_small", module.Config)
    for module in modules
}
headlines = verdicts(
    (headline, runs[module]) for module in modules for headline in module.HEADLINES
)
show_verdicts(headlines)

# %% [markdown]
# ## 1 One chart: who is listened to
#
# **Predict first.** Of a hundred rows the network is nearly sure of 80 ($p_y = 0.95$), undecided about 15 ($0.5$), and 5 look hopeless
# ($0.05$); perhaps their labels are wrong. Add up how hard each row is pulled. Which share of it all comes from the five under
# cross-entropy? Under focal loss with $\gamma = 2$? Under mean absolute error? Then choose *rows that are given up* in the explorer.
#
# *(29 %, 56 % and 3 %. The three agree about the direction of every single pull.)*

# %%
reshaping_explorer = ReshapingExplorer()
reshaping_explorer

# %%
confidences, counts = [0.95, 0.5, 0.05], torch.tensor([80, 15, 5])
asked = {
    "cross-entropy": ("cross_entropy", {}),
    "focal, γ = 2": ("focal_loss", {"gamma": 2.0}),
    "mean absolute error": ("mean_absolute_error_loss", {}),
    "poly-1, ε = 2": ("poly_loss", {"epsilon": 2.0}),
    "direct coverage, N = 8": ("direct_coverage_loss", {"samples": 8.0}),
}
shares = {}
for name, (key, parameters) in asked.items():
    pull = counts * torch.from_numpy(pulls(find(key), confidences, 10, parameters))
    shares[name] = pull / pull.sum()
    sure, undecided, hopeless = (f"{share:5.0%}" for share in shares[name].tolist())
    print(f"{name:24} sure {sure}   undecided {undecided}   hopeless {hopeless}")
claim("cross-entropy: share of the five", shares["cross-entropy"][2], 0.29, 0.005)
claim("focal loss: share of the five", shares["focal, γ = 2"][2], 0.56, 0.005)
claim("mean absolute error: share of the five", shares["mean absolute error"][2], 0.03, 0.005)

# %% [markdown]
# ### Where it comes from
# Let a loss depend on the scores through the right class's probability alone, $\ell = \varphi(p_y)$. The softmax has
# $\partial p_y/\partial z_k = p_y\,([k = y] - p_k)$, so
#
# <a id="eq-weight"></a>
# $$\frac{\partial \ell}{\partial z} = w(p_y)\,(p - e_y), \qquad w(p) = -p\,\varphi'(p).$$
#
# Cross-entropy has $\varphi' = -1/p$, and so $w = 1$. **Every loss of $p_y$ alone is cross-entropy with another weight**; the chart draws
# $w$. A weight that falls to the right lets go of what is learned, one that falls to the left gives up what looks hopeless. Comp-sum losses
# have $w = p^{\tau - 1}$, [as chapter 01 found](01_from_likelihood_to_cross_entropy.ipynb#eq-comp-sum-gradient).
#
# Not every loss is of this kind. Smoothed labels, squentropy, Taylor softmax and dual focal loss pull in another direction, and no curve
# says everything about them. Their lines are dashed, and show the pull on the right score where all wrong scores are 0, over
# cross-entropy's. Which is which the explorer finds out by itself, from the gradient of each record on rows of unequal scores.

# %%
for key in ("poly_loss", "taylor_cross_entropy", "focal_loss", "comp_sum_loss"):
    claim(f"{key}: w (p − e_y), w of p_y alone", has_one_weight(find(key), start_of(key)))
claim("direct coverage too", has_one_weight(find("direct_coverage_loss"), {"samples": 8.0}))
for key in ("cross_entropy", "squentropy_loss", "taylor_softmax_loss", "dual_focal_loss"):
    claim(f"{key}, as the chart begins with it: not", not has_one_weight(find(key), start_of(key)))
claim(
    "LDR-KL: only at temperature 1",
    has_one_weight(find("ldr_kl_loss"), {"temperature": 1.0})
    and not has_one_weight(find("ldr_kl_loss"), {"temperature": 2.0}),
)
slopes = {"−log p": lambda p: -1 / p, "1 − p": lambda p: -1.0, "(1 − p)²/2": lambda p: p - 1}
weights_there = [-0.3 * slope(0.3) for slope in slopes.values()]
claim(
    "w at p = 0.3 of three losses", torch.tensor(weights_there), torch.tensor([1, 0.3, 0.21]), 1e-7
)

# %%
figure, (left, right) = new_figure(2, width=10.0, height=4.6)
solid = [
    ("poly-1, ε = 2", "poly_loss", {"epsilon": 2.0}),
    ("poly-1, ε = −1", "poly_loss", {"epsilon": -1.0}),
    ("focal, γ = 2", "focal_loss", {"gamma": 2.0}),
    ("Taylor, 2 terms", "taylor_cross_entropy", {"terms": 2.0}),
    ("comp-sum, τ = 1.7", "comp_sum_loss", {"tau": 1.7}),
    ("coverage, N = 8", "direct_coverage_loss", {"samples": 8.0}),
]
dashed = [
    ("smoothing 0.1", "cross_entropy", {"label_smoothing": 0.1}),
    ("squentropy", "squentropy_loss", {}),
    ("Taylor softmax", "taylor_softmax_loss", {}),
    ("dual focal, γ = 5", "dual_focal_loss", {"gamma": 5.0}),
    ("LDR-KL, λ = 3", "ldr_kl_loss", {"temperature": 3.0}),
]
plot_weights(solid, left, title="A weight on $p - e_y$")
plot_weights(dashed, right, title="Another form, 10 classes")
at_half = ", ".join(
    f"{name} {weights(find(key), [0.5], 10, parameters)[0]:.2f}"
    for name, key, parameters in solid + dashed
)
show(
    figure,
    alt="Weight against the confidence in the right class, cross-entropy being 1 throughout. Left, "
    f"six losses with a weight of their own, right, five of another form. At 0.5: {at_half}.",
    caption="How to read it: left, above the grey line a loss pulls harder than cross-entropy. "
    "Right, the same is read where all wrong scores are 0; elsewhere dashed lines are other ones.",
)

# %% [markdown]
# ### What to look for in the picture
# All solid lines meet cross-entropy somewhere, and the two ends tell them apart. On the left end, what is done with rows that look
# hopeless: cross-entropy, PolyLoss, focal loss and direct coverage go on at full weight, while Taylor and comp-sum losses with $\tau > 1$
# give up. On the right end, what is done with rows that are learned: PolyLoss with $\varepsilon > 0$ goes on, focal loss and direct
# coverage let go. Move `confidence` through all presets; then `classes`, and see which lines do not care.

# %%
seen = reshaping_explorer.move_every_control()
claim(
    "moving the controls of the explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=15,
)

# %% [markdown]
# ### Exercises
# **Exercise 1. The weight of any loss of $p_y$.** Given $p$ and $\varphi'(p)$.


# %% tags=["exercise"]
def weight(p, slope):
    """What p − e_y is multiplied by in the gradient of φ(p_y); slope is φ'(p)."""
    return slope  # your turn


# %% tags=["check"]
exercises.check_weight(weight)

# %% [markdown]
# *Solution.* $\partial\varphi(p_y)/\partial z_k = \varphi'(p_y)\,p_y\,([k = y] - p_k)$, and the bracket is $-(p - e_y)_k$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def weight_solution(p, slope):
    """What p − e_y is multiplied by in the gradient of φ(p_y); slope is φ'(p)."""
    return -p * slope


verdict = exercises.check_weight(weight_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="polyloss"></a>
# ## 2 PolyLoss and focal loss: one series, its coefficients turned
# *Leng, Tan, Liu, Cubuk, Shi, Cheng & Anguelov, ICLR 2022, arXiv 2204.12511 · origin: heuristic · statistics: log_probability*
#
# **Predict first.** Cross-entropy's weight is 1, everywhere. Written as a series in $1 - p_y$ it is a sum of infinitely many losses. The
# first of them is mean absolute error. How much of the weight 1 comes from that first one, at $p_y = 0.9$, and at $p_y = 0.1$? Set
# `terms` of Taylor cross-entropy to 1 in the preset *rows that are given up*, and read.
#
# *(0.9 and 0.1: the first term has all of the weight where the network is sure, and hardly any where it is lost.)*
#
# ### Where it comes from
# With $m = 1 - p_y$, the logarithm's series is
#
# $$-\log p_y = m + \frac{m^2}{2} + \frac{m^3}{3} + \dots, \qquad 1 = p_y + p_y\,m + p_y\,m^2 + \dots$$
#
# The second line is the same in weights, by [$w = -p\,\varphi'$](#eq-weight): a geometric series. Each term of cross-entropy is in charge
# of its own rows, the first of the sure ones, the late ones of the hopeless. Three things can be done to it.
#
# *Turn the first coefficient.* Adding $\varepsilon\,m$ adds $\varepsilon\,p_y$ to the weight:
#
# <a id="eq-poly-one"></a>
# $$\ell = -\log p_y + \varepsilon\,(1 - p_y), \qquad \frac{\partial\ell}{\partial z} = (1 + \varepsilon\,p_y)\,(p - e_y).$$
#
# That is **Poly-1**. *Cut the series off* after $N$ terms, and the weight is $1 - m^N$: **Taylor cross-entropy**, mean absolute error at
# $N = 1$. *Move all powers* up by $\gamma$: $\sum_j m^{j + \gamma}/j = m^\gamma(-\log p_y)$, which is **focal loss**, with
#
# $$w = m^\gamma \Bigl(1 - \gamma\,\frac{p_y \log p_y}{m}\Bigr).$$

# %%
logits = torch.tensor([[2.0, 1.0, 0.0], [-1.0, 0.5, 3.0]], dtype=torch.float64)
target = torch.tensor([0, 1])
p_right = torch.softmax(logits, 1).gather(1, target[:, None])[:, 0]
m = 1 - p_right
series = sum(m**j / j for j in range(1, 2000))
claim(
    "the series is cross-entropy",
    series - cross_entropy(logits, target, reduction="none"),
    0,
    1e-14,
)
claim("the weights of its terms add up to 1", sum(p_right * m**j for j in range(2000)), 1.0, 1e-14)
first = weights(find("taylor_cross_entropy"), [0.9, 0.1], 3, {"terms": 1})
claim("the first term's weight at 0.9 and 0.1", first, torch.tensor([0.9, 0.1]).double(), 1e-7)
shifted = sum(m ** (j + 2) / j for j in range(1, 2000))
claim(
    "all powers moved by two: focal loss",
    shifted - focal_loss(logits, target, gamma=2, reduction="none"),
    0,
    1e-14,
)
claim(
    "poly-1, worked by hand: p = 0.665241, ε = 2",
    poly_loss(logits[:1], target[:1], epsilon=2),
    1.077124,
    1e-6,
)


# %% tags=["answer"]
def poly_gradient_by_hand(scores, target, epsilon):
    """(1 + ε p_y) (p − e_y)."""
    p = torch.softmax(scores, 1)
    y = torch.nn.functional.one_hot(target, scores.shape[1])
    return (1 + epsilon * p.gather(1, target[:, None])) * (p - y)


for turned in (-1.0, 0.0, 2.0):
    check_gradient(
        partial(poly_loss, epsilon=turned, reduction="none"),
        partial(poly_gradient_by_hand, epsilon=turned),
        logits,
        target,
    )

# %% [markdown]
# **What is given up.** Only cross-entropy asks for the true probabilities. Let the first of two classes be right seven times in ten. In
# expectation a loss $\varphi$ is at rest where $0.7\,w(p)/p = 0.3\,w(1 - p)/(1 - p)$. With $\varepsilon > 0$ that is *above* 0.7, with
# $\varepsilon < 0$ and for focal loss *below*. So $\varepsilon$ is a dial for confidence, and nothing in it knows which confidence is true.
# And only for $-1 \le \varepsilon \le 1$ is the loss convex in the scores.

# %%
both = torch.tensor([0, 1])


def at_rest(loss):
    """The probability of the first class that is best when it is right seven times in ten."""
    gap = torch.zeros((), dtype=torch.float64, requires_grad=True)
    steps = torch.optim.LBFGS([gap], max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-14)

    def expected():
        steps.zero_grad()
        rows = torch.stack([gap, torch.zeros_like(gap)]).expand(2, 2)
        value = loss(rows, both, reduction="none") @ torch.tensor([0.7, 0.3]).double()
        value.backward()
        return value

    steps.step(expected)
    return float(torch.sigmoid(gap.detach()))


rests = {epsilon: at_rest(partial(poly_loss, epsilon=epsilon)) for epsilon in (-1.0, 0.0, 1.0)}
print({epsilon: round(value, 3) for epsilon, value in rests.items()})
claim("cross-entropy: the truth", rests[0.0], 0.7, 1e-6)
claim("ε = 1: surer than the truth", rests[1.0], at_least=0.75)
claim("ε = −1: less sure", rests[-1.0], at_most=0.65)
claim("focal loss, γ = 2: less sure", at_rest(focal_loss), at_most=0.65)
far = torch.tensor([[0.0, 4.0]], dtype=torch.float64, requires_grad=True)
curvature = {}
for epsilon in (1.0, 2.0):
    held = partial(poly_loss, target=torch.tensor([0]), epsilon=epsilon)
    curvature[epsilon] = torch.autograd.functional.hessian(held, far)[0, 0, 0, 0]
claim("ε = 1: curvature at a lost row", curvature[1.0], at_least=0)
claim("ε = 2: below 0, so not convex", curvature[2.0], at_most=-0.01)

# %% [markdown]
# > **Definition.** `poly_loss(logits, target, epsilon=2.0, gamma=0.0)` is $m^\gamma(-\log p_y + \varepsilon\,m)$ with $m = 1 - p_y$; a
# > tuple $(\varepsilon_1, \dots, \varepsilon_N)$ turns the first $N$ coefficients, each $\varepsilon_j \ge -1/j$. `focal_loss(logits, target,
# > gamma=2.0)` is $m^\gamma(-\log p_y)$. `taylor_cross_entropy(logits, target, terms=2)` is $\sum_{j \le N} m^j/j$. Origin: heuristic.
# > Limits: $\varepsilon = \gamma = 0$ and $N = \infty$ are cross-entropy; $\varepsilon \to \infty$ and $N = 1$ are mean absolute error in
# > direction; $\varepsilon = -1$ has no slope left at $p_y = 1$. Proper only as cross-entropy.

# %%
claim(
    "ε = 1 adds mean absolute error",
    poly_loss(logits, target, epsilon=1)
    - cross_entropy(logits, target)
    - mean_absolute_error_loss(logits, target),
    0,
    1e-15,
)
claim(
    "N = 1 is mean absolute error",
    taylor_cross_entropy(logits, target, terms=1) - mean_absolute_error_loss(logits, target),
    0,
    1e-15,
)
claim(
    "199 terms are cross-entropy to twelve digits at p = 0.665",
    taylor_cross_entropy(logits[:1], target[:1], terms=199) - cross_entropy(logits[:1], target[:1]),
    0,
    1e-12,
)

# %% [markdown]
# ### What to look for in the picture
# *sure rows count more*: the line starts at cross-entropy's and rises to $1 + \varepsilon$. Move `epsilon` down through 0 to −1 and it
# tips over like a plank. *easy rows count less*: focal loss is not below cross-entropy everywhere. Where the network is wrong it pulls a
# little *harder*, up to 22 %, because the factor's own slope helps. *rows that are given up*: with more terms the step on the left
# moves towards 0, and at $N$ terms it stands near $p_y = 1/N$.

# %%
reshaping_explorer.choose("easy rows count less")
print(reshaping_explorer.caption)
grid = torch.linspace(0.01, 0.99, 99).tolist()
claim(
    "focal loss, γ = 2: the largest weight",
    weights(find("focal_loss"), grid, 10, {"gamma": 2.0}).max(),
    1.23,
    0.01,
)
claim(
    "N terms at p = 1/N: the weight is 1 − 1/e, nearly",
    weights(find("taylor_cross_entropy"), [0.01], 10, {"terms": 100}),
    1 - 1 / math.e,
    0.003,
)

# %% [markdown]
# ### The experiment: two tasks from one set of letters
# 2,600 drawings of capital letters, sixteen numbers each. *Balanced*: all 26 letters, where a network that has hardly begun gives the right
# one a twenty-sixth. *Imbalanced*: H or not H, one drawing in 26. PolyLoss with five values of $\varepsilon$ on both; on the balanced task
# the first 1, 2, 5, 20 and 100 terms of the series besides. One hidden layer of 64, 30 epochs, a learning rate for each loss.
#
# #### What must hold
# Fixed after a pilot on the seeds 100 to 102, then run once on 0 to 4.
#
# | claim | why |
# |---|---|
# | balanced: $\varepsilon = 2$ more accurate than cross-entropy | the paper's finding on ImageNet |
# | imbalanced: average precision higher with $\varepsilon = -1$ | its finding on detection: the sure background rows count less |
# | mean confidence grows with $\varepsilon$, step by step | $\varepsilon$ is a dial for confidence |
# | one term, and twenty, are less accurate than all | the late terms are in charge of the rows that are not yet learned |

# %%
poly_run = runs[polynomial]
columns = ["learning_rate", "accuracy", "log_loss", "confidence", "average_precision"]
by_setting = poly_run.history.groupby(["task", "setting"], sort=False)[columns].mean()
print(by_setting.round(3).to_string())
of_poly = headlines[headlines.system == "polyloss"].set_index("claim")
precise, surer, first_alone, twenty = (
    next(row for claimed, row in of_poly.iterrows() if words in claimed)
    for words in ("ε = −1 has a higher", "with one learning rate", "first term", "first twenty")
)
claim("imbalanced, ε = −1 more precise: seeds", precise.held, expected=5)
claim("one rate for all, surer with every step of ε: seeds", surer.held, expected=5)
claim("the first term alone less accurate: seeds", first_alone.held, expected=5)
claim("twenty terms less accurate: seeds", twenty.held, expected=5)
claim("the first term alone: points lost, mean", first_alone["mean"], at_least=3)

# %%
figure, axes = new_figure(3, width=10.0, height=3.9)
plot_epsilon(poly_run, axes[:2])
plot_terms(poly_run, axes[2])
gained = {
    task: polynomial.ends(poly_run, task, metric).mean()
    for task, metric in (("balanced", "accuracy"), ("imbalanced", "average_precision"))
}
words = {
    task: ", ".join(
        f"{100 * (means[name] - means['ε=0']):+.1f} at {name}"
        for name in means.index
        if "ε" in name
    )
    for task, means in gained.items()
}
kept = ", ".join(
    f"{100 * gained['balanced'][f'N={count}']:.1f} with {count}" for count in poly_run.config.terms
)
show(
    figure,
    alt="Left and middle: points gained over cross-entropy against ε. "
    f"Balanced: {words['balanced']}. Imbalanced: {words['imbalanced']}. "
    f"Right: accuracy in per cent against the terms kept: {kept}; "
    f"the whole series has {100 * gained['balanced']['ε=0']:.1f}.",
    caption="How to read it: large marks are means over five seeds, small ones the seeds. On the "
    "balanced task the choice of ε hardly matters; on the other it is worth points, and downwards.",
)

# %% [markdown]
# **Imbalanced, the paper's finding is there**: average precision falls from 0.85 at $\varepsilon = -1$ to 0.76 at 5, and 0 is not the best.
# **Balanced, it is not**: $\varepsilon = 2$ is ahead of cross-entropy in three seeds of five, by 0.2 points on average, and the interval
# holds 0. The paper's gain is 0.4 points on a network and data set a thousand times as large; here that is less than a seed is worth.
#
# **Confidence** first came out *against* the claim. Each $\varepsilon$ had chosen its own learning rate, $\varepsilon = 1$ by chance the
# largest, and that made it surer than $\varepsilon = 5$. With one rate for all, confidence grows with each step in all seeds. Both lines
# stand in the table. Moral: a comparison of confidences is a comparison of learning rates first.
#
# **The series** is needed: with 26 classes a fresh network gives the right one $p = 0.04$, where twenty terms have little more than half of
# the weight. Live, three epochs of it:

# %%
quick = Protocol(learning_rates=(1e-2,), seeds=1, epochs=3, every=1)
few = {f"first {n}": partial(taylor_cross_entropy, terms=n) for n in (1, 5, 20)}
live = compare(
    {"cross-entropy": cross_entropy} | few,
    partial(polynomial.data, poly_run.config, "balanced"),
    quick,
    progress=False,
)
print(budget(live))
begun = live.history.pivot(index="setting", columns="step", values="accuracy").loc[
    ["first 1", "first 5", "first 20", "cross-entropy"]
]
print(begun.round(3).to_string())
claim(
    "after three epochs: accuracy of one term less all",
    begun.iloc[0, -1] - begun.iloc[-1, -1],
    at_most=-0.05,
)

# %% [markdown]
# ### Why does this differ from the paper, and from the library I know?
# - **The default of $\varepsilon$.** The paper's code has none, and many copies take 1. Ours is 2, the paper's value for classifying
#   photographs. Its value for Mask R-CNN is −1. Neither is a safe choice elsewhere.
# - **Smoothed labels.** The published snippet sets $p_t = \sum_k q_k p_k$ with the smoothed target $q$. That is no new loss: it is smoothed
#   cross-entropy plus $\varepsilon(1 - s)$ times mean absolute error, and a constant.
# - **Class weights.** Some ports weight cross-entropy by class and add $\varepsilon(1 - p_y)$ without the weight. Here a row's weight counts
#   for all of its loss.
# - **Focal loss of detectors** is logistic, one score per anchor and class, and divides by the number of objects. Of two classes ours is
#   the same function of the gap of their scores.
# - **Taylor cross-entropy** cuts the series of the logarithm. [Taylor softmax](#taylor_softmax), below, cuts that of the exponential.

# %%
smoothing, epsilon = 0.1, 2.0
q = (1 - smoothing) * torch.nn.functional.one_hot(target, 3).double() + smoothing / 3
snippet = cross_entropy(logits, q) + epsilon * (1 - (q * torch.softmax(logits, 1)).sum(1)).mean()
parts = cross_entropy(logits, target, label_smoothing=smoothing)
parts = parts + epsilon * (1 - smoothing) * mean_absolute_error_loss(logits, target)
claim(
    "the published form with smoothed labels, less two losses of the package: a constant",
    snippet - parts,
    epsilon * smoothing * (1 - 1 / 3),
    1e-14,
)
gap = logits[:1, :1] - logits[:1, 1:2]
sigmoid_form = -(torch.sigmoid(-gap) ** 2) * torch.nn.functional.logsigmoid(gap)
claim(
    "of two classes, the detectors' focal loss",
    focal_loss(logits[:1, :2], target[:1]) - sigmoid_form.mean(),
    0,
    1e-15,
)
generator = torch.Generator().manual_seed(0)
features, table = (torch.randn(size, 16, generator=generator).double() for size in (20, 500))
labels = torch.randint(500, (20,), generator=generator)
claim(
    "over 500 classes, scores never held: the same number",
    poly_loss(LinearLogits(features, table, memory_budget=2**12), labels)
    - poly_loss(features @ table.T, labels),
    0,
    1e-12,
)

# %% [markdown]
# ### When to use it
# Poly-1 is one number to tune and costs nothing; try 2 and −1 before anything between. Down where a large easy class drowns a small one: that
# is the half of the paper's advice which we could repeat. Not where the probability itself will be used, unless it is
# [calibrated](11_proper_losses_and_calibration.ipynb) afterwards. Focal loss belongs where easy rows are most of the rows. A short
# series is for labels that you do not trust: generalised cross-entropy does the same with one exponent, and
# [chapter 01](01_from_likelihood_to_cross_entropy.ipynb#comp_sum) shows it at work.
#
# ### Exercises
# **Exercise 2. Poly-1 by hand.** The gradient of [Poly-1](#eq-poly-one) by the scores, from its terms.


# %% tags=["exercise"]
def poly_gradient(logits, target, epsilon):
    """The gradient of Poly-1 by the logits, (rows, classes)."""
    p = torch.softmax(logits, 1)
    return p - torch.nn.functional.one_hot(target, logits.shape[1])  # cross-entropy's: your turn


# %% tags=["check"]
exercises.check_poly_gradient(poly_gradient)

# %% [markdown]
# *Solution.* $w = -p\,\varphi' = -p\,(-1/p - \varepsilon) = 1 + \varepsilon p$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def poly_gradient_solution(logits, target, epsilon):
    """The gradient of Poly-1 by the logits, (rows, classes)."""
    p = torch.softmax(logits, 1)
    own = p.gather(1, target[:, None])
    return (1 + epsilon * own) * (p - torch.nn.functional.one_hot(target, logits.shape[1]))


verdict = exercises.check_poly_gradient(poly_gradient_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="label_smoothing"></a>
# ## 3 Label smoothing: a target that is never certain
# *Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, CVPR 2016, arXiv 1512.00567; Müller, Kornblith & Hinton, NeurIPS 2019, arXiv 1906.02629 ·
# origin: heuristic · statistics: log_probability, log_probability_sum*
#
# **Predict first.** A network of ten classes is trained with labels smoothed by 0.1, and has learned the training set by heart. By how much
# does its right score lead the wrong ones? Under cross-entropy the lead grows for ever. Choose *a target that is not certain*, and look
# for the confidence at which the pull is 0.
#
# *(By 4.51. The pull is 0 at $p_y = 0.91$, and beyond it points down.)*
#
# ### Where it comes from
# Give the right class $1 - \varepsilon$, and share $\varepsilon$ out among all $V$ classes, the right one included: $q = (1 - \varepsilon)\,
# e_y + \varepsilon/V$. The loss is cross-entropy with that target, and its gradient $p$ less the target:
#
# $$\ell = -(1 - \varepsilon)\log p_y - \frac{\varepsilon}{V}\sum_k \log p_k, \qquad \frac{\partial\ell}{\partial z} = p - q.$$
#
# It is at rest where $p = q$: at *finite* scores, the right one ahead by
#
# <a id="eq-smoothing-gap"></a>
# $$z_y - z_k = \log\frac{1 - \varepsilon + \varepsilon/V}{\varepsilon/V}.$$

# %%
smoothed = partial(cross_entropy, label_smoothing=0.1)
scores = torch.zeros(1, 10, dtype=torch.float64, requires_grad=True)
plain = torch.zeros(1, 10, dtype=torch.float64, requires_grad=True)
steps = torch.optim.SGD([scores, plain], lr=5.0)
leads = []
for _ in range(400):  # both from equal scores, by plain gradient steps
    steps.zero_grad()
    (smoothed(scores, torch.tensor([3])) + cross_entropy(plain, torch.tensor([3]))).backward()
    steps.step()
    leads.append([float(z[0, 3] - z[0, 0]) for z in (scores.detach(), plain.detach())])
print(
    f"lead after 100, 200 and 400 steps, smoothed: {leads[99][0]:.3f}, {leads[199][0]:.3f}, "
    f"{leads[-1][0]:.3f}; plain: {leads[99][1]:.2f}, {leads[199][1]:.2f}, {leads[-1][1]:.2f}"
)
claim("smoothed: the lead stops at log(0.91/0.01)", leads[-1][0], math.log(91), 1e-6)
claim("plain: it goes on", leads[-1][1] - leads[199][1], at_least=0.5)


# %%
def smoothed_gradient_by_hand(scores, target):
    """P − (1 − ε) e_y − ε/V."""
    y = torch.nn.functional.one_hot(target, scores.shape[1]).to(scores.dtype)
    return torch.softmax(scores, 1) - 0.9 * y - 0.1 / scores.shape[1]


check_gradient(partial(smoothed, reduction="none"), smoothed_gradient_by_hand, logits, target)
uniform = -torch.log_softmax(logits, 1).mean(1)
claim(
    "it is cross-entropy, and a toll for being far from uniform",
    smoothed(logits, target) - (0.9 * cross_entropy(logits, target) + 0.1 * uniform.mean()),
    0,
    1e-15,
)

# %% [markdown]
# > **Definition.** `cross_entropy(logits, target, label_smoothing=ε)`. Origin: heuristic; it is the mean of cross-entropy over labels of which
# > a share $\varepsilon$ is drawn anew, from all classes alike. Limits: $\varepsilon = 0$ is cross-entropy, $\varepsilon = 1$ forgets the
# > label. Convex. Least at $p = q$, so never proper with $\varepsilon > 0$: where a class is right with probability $\eta$ it asks for
# > $(1 - \varepsilon)\,\eta + \varepsilon/V$.

# %%
there = torch.tensor([[0.68, 0.32]], dtype=torch.float64).log()
expected = 0.7 * smoothed_gradient_by_hand(there, both[:1])
expected += 0.3 * smoothed_gradient_by_hand(there, both[1:])
claim("right seven times in ten: at rest at 0.9 · 0.7 + 0.05 = 0.68", expected, 0, 1e-15)
own = torch.softmax(logits, 1).gather(1, target[:, None])[:, 0]
likelihood = -torch.log(0.9 * own + 0.1 / 3)
claim(
    "not the likelihood of such labels, −log(0.9 p_y + 0.1/V), which is less",
    smoothed(logits, target, reduction="none") - likelihood,
    at_least=0.01,
)

# %% [markdown]
# ### What to look for in the picture
# The dashed line crosses 0 where the chart's others only touch it. To the right of the crossing the right score is pushed *down*, and the
# weight runs off to minus infinity, since cross-entropy's own pull dies there and this one does not. More classes move the crossing
# little, $1 - \varepsilon + \varepsilon/V$; more smoothing moves it far.

# %%
reshaping_explorer.choose("a target that is not certain")
print(reshaping_explorer.caption)
claim(
    "smoothing 0.2, ten classes: the pull is 0 at 0.82",
    pulls(find("cross_entropy"), [0.82], 10, {"label_smoothing": 0.2}),
    0,
    1e-12,
)

# %% [markdown]
# ### The experiment: five hundred garments, learned by heart
# Fifty photographs of each of ten garments, 120 epochs: far more than it takes to repeat all labels. Five losses: cross-entropy, label
# smoothing, focal loss, squentropy (next section), Taylor softmax (the one after it). Once with the labels as they are, and once with a fifth
# of them replaced; tested on 2,000 garments with right labels. Each loss has its own learning rate.
#
# #### What must hold
# Fixed after a pilot on the seeds 100 to 102, then run once on 0 to 4. These three are not in the table above, for the catalogue has no
# row for losses that everybody uses.
#
# | claim | why |
# |---|---|
# | clean labels: calibration error with smoothing below cross-entropy's | the scores cannot run away |
# | the same of focal loss | learned rows let go |
# | a fifth of the labels wrong: smoothing more accurate | no label is taken at its word |

# %%
reshaped_run = runs[reshaped]
at_end = reshaped_run.history[reshaped_run.history.step == reshaped_run.history.step.max()]
columns = ["learning_rate", "accuracy", "confidence", "gap", "error", "wrong"]
print(at_end.groupby(["labels", "setting"], sort=False)[columns].mean().round(3).to_string())
classics = verdicts((headline, reshaped_run) for headline in reshaped.CLASSICS)
classics = classics.set_index("claim")
print(classics[["held", "mean", "low", "high", "unit", "verdict"]].round(2).to_string())

# %%
gaps = 100 * reshaped.ends(reshaped_run, "clean", "gap")
claim(
    "clean: cross-entropy is surer than right, points", gaps["cross-entropy"].to_numpy(), at_least=4
)
claim("clean: with smoothing, less sure than right", gaps["label smoothing"].to_numpy(), at_most=-3)
held = classics.held
claim(
    "clean: focal loss better calibrated, seeds",
    next(held[words] for words in held.index if "focal" in words),
    expected=5,
)

# %%
figure, (left, right) = new_figure(2, width=10.0, height=4.2)
plot_course(reshaped_run, left, metric="gap", labels="clean")
plot_course(reshaped_run, right, metric="accuracy", labels="noisy", legend=False)
means = {
    name: rows.groupby("labels")[["gap", "accuracy"]].mean()
    for name, rows in at_end.groupby("setting", sort=False)
}
left_words = ", ".join(f"{name} {table.gap['clean']:.2f}" for name, table in means.items())
right_words = ", ".join(f"{name} {table.accuracy['noisy']:.2f}" for name, table in means.items())
show(
    figure,
    alt="Left: confidence less accuracy against steps, on clean labels; every line rises. At the "
    "end: "
    f"{left_words}. Right: test accuracy with a fifth of the training labels wrong. At the end: "
    f"{right_words}.",
    caption="How to read it: bands are the range over five seeds. Left, every loss grows surer the "
    "longer it trains, and is calibrated only where its line happens to cross 0. Right, what falls "
    "is memorised.",
)

# %% [markdown]
# **One of the three came out.** Focal loss is better calibrated than cross-entropy in all seeds. Smoothing is not: cross-entropy is 5 to 9
# points too sure, smoothing 4 to 8 points not sure enough. Look left: all lines rise with training, smoothing's too until its scores reach
# [their rest](#eq-smoothing-gap), and a verdict on calibration is one on when training stopped. In a pilot with half as many epochs again,
# cross-entropy was 14 points too sure, and smoothing was the better of the two in all seeds. With wrong labels smoothing is no more accurate:
# 0.1 to 1.2 points *behind* in all five seeds. 0.1 is the habit; it was not turned until something came out.

# %% [markdown]
# ### Why does this differ from the library I know?
# - **torch and Keras** share $\varepsilon$ among all classes, as here. **fairseq** shares it among the $V - 1$ wrong ones; its
#   $\varepsilon$ is ours times $(V - 1)/V$.
# - **Class weights** weight each term $-\log p_k$ by the weight of its own class $k$, as torch does, and the mean is still over the weights
#   of the right classes.
# - **Distillation.** Müller et al. find that a smoothed teacher teaches worse: what it knew of the wrong classes has been levelled.

# %%
claim(
    "torch's label smoothing",
    smoothed(logits, target)
    - torch.nn.functional.cross_entropy(logits, target, label_smoothing=0.1),
    0,
    1e-15,
)
among_wrong = torch.full_like(logits, 0.1 / 2).scatter(1, target[:, None], 0.9)
claim(
    "0.1 among the two wrong classes is 0.15 among all three",
    cross_entropy(logits, among_wrong) - cross_entropy(logits, target, label_smoothing=0.15),
    0,
    1e-15,
)

# %% [markdown]
# ### When to use it
# Training runs so long that confidence runs away, and nobody needs the probabilities as such. Where a known share of labels is wrong there is
# a loss that says so, the likelihood beside the definition; smoothing is not it. Not before distillation, and not with a temperature fitted
# afterwards: then it has nothing left to do.
#
# ### Exercises
# **Exercise 3. How far ahead?** The lead at which smoothed labels rest, for any $\varepsilon$ and $V$.


# %% tags=["exercise"]
def best_gap(smoothing, classes):
    """By how much the right score leads each wrong one where the loss is least."""
    return 0.0  # your turn


# %% tags=["check"]
exercises.check_best_gap(best_gap)

# %% [markdown]
# *Solution.* [At rest](#eq-smoothing-gap) $p = q$, and differences of scores are differences of $\log p$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def best_gap_solution(smoothing, classes):
    """By how much the right score leads each wrong one where the loss is least."""
    share = smoothing / classes
    return math.log((1 - smoothing + share) / share)


verdict = exercises.check_best_gap(best_gap_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="squentropy"></a>
# ## 4 Squentropy: a spring on every wrong score
# *Hui, Belkin & Wright, ICML 2023, arXiv 2302.03952 · origin: heuristic · statistics: target, log_probability, square_sum*
#
# **Predict first.** Three classes, scores (2, 1, 0), the first is right. Add 1 to all of them. Cross-entropy does not notice. By how much
# does squentropy rise, whose name says that it adds a square? And which of the three scores does a step down its gradient move most?
#
# *(By 2: the wrong scores' mean square goes from 0.5 to 2.5. Most of all the 1, and not the right score: 1.24 against 0.33.)*
#
# ### Where it comes from
# Softmax looks at differences of scores. So cross-entropy asks the wrong scores to be small *beside the right one*, and lets the whole row
# drift. Squared error on a one-hot target asks each of them to be 0. Squentropy keeps the first demand and adds the second, for the
# wrong scores alone:
#
# <a id="eq-squentropy"></a>
# $$\ell = -\log p_y + \frac{1}{V - 1}\sum_{j \ne y} z_j^2, \qquad
# \frac{\partial\ell}{\partial z_j} = p_j - [j = y] + [j \ne y]\,\frac{2 z_j}{V - 1}.$$
#
# The right score feels cross-entropy and nothing else; it is still driven up without end. On each wrong score two forces act: the
# softmax's push $p_j$ downwards, which dies as the right score leads, and a spring towards 0, which does not. They balance a little below 0.

# %%
toy, one = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
claim("worked by hand", squentropy_loss(toy, one), 0.907606, 1e-6)
claim("all scores raised by 1", squentropy_loss(toy + 1, one), 2.907606, 1e-6)


# %%
def squentropy_gradient_by_hand(scores, target):
    """P − e_y, and the spring 2 z_j/(V − 1) on the wrong scores."""
    y = torch.nn.functional.one_hot(target, scores.shape[1])
    return torch.softmax(scores, 1) - y + 2 * scores * (1 - y) / (scores.shape[1] - 1)


check_gradient(
    partial(squentropy_loss, reduction="none"), squentropy_gradient_by_hand, logits, target
)
slope = squentropy_gradient_by_hand(toy, one)[0]
claim("its gradient", slope, torch.tensor([-0.334759, 1.244728, 0.090031]).double(), 1e-6)
claim(
    "it adds up to the spring's part alone: twice the mean of the wrong scores",
    slope.sum(),
    1,
    1e-15,
)
for score, floor in ((0.0, -0.298679), (5.0, -0.006605)):
    row = torch.tensor([[score, floor, floor]], dtype=torch.float64)
    claim(
        f"right score {score:g}: wrong ones at rest at {floor}",
        squentropy_gradient_by_hand(row, one)[0, 1:],
        0,
        1e-6,
    )

# %% [markdown]
# > **Definition.** `squentropy_loss(logits, target)`. No hyper-parameter. Origin: heuristic. Convex, and not blind to a common shift.
# > Limits: with the wrong scores at 0 it is cross-entropy; it falls to 0 as $z_y \to \infty$ with the wrong scores going to 0; with $V$
# > classes the spring is divided by $V - 1$, so over a vocabulary it is soft.

# %%
held = torch.tensor([[3.0, 0.0, 0.0]], dtype=torch.float64)
claim("wrong scores at 0: cross-entropy", squentropy_loss(held, one) - cross_entropy(held, one), 0)
lifted = torch.tensor([[-30.0, -34.0, -34.0]], dtype=torch.float64)
claim("the same lead, the row 34 lower: cross-entropy", cross_entropy(lifted, one), 0.035976, 1e-6)
claim("and squentropy", squentropy_loss(lifted, one), 1156.035976, 1e-6)

# %% [markdown]
# ### What to look for in the picture
# In the preset *of another form* squentropy lies exactly on cross-entropy's line. That is no mistake: the chart shows the right score, and
# the spring does not touch it. What it does to the wrong ones is below: their scores in two networks of the same start, trained for 40
# epochs here and now.

# %%
data = fashion_mnist(per_class=50, seed=0)
start = multilayer((784, 64, 10), generator=torch.Generator().manual_seed(0))
pair = Ensemble([start, start])


def both_losses(scores, labels):
    """The first member learns by cross-entropy, the second by squentropy."""
    return cross_entropy(scores[:, 0], labels) + squentropy_loss(scores[:, 1], labels)


fit(
    pair,
    both_losses,
    data.train_features,
    data.train_labels,
    epochs=40,
    batch_size=64,
    learning_rate=3e-3,
    generator=torch.Generator().manual_seed(1),
    evaluate=lambda model: {},
)
with torch.no_grad():
    found = pair(data.test_features)
wrong = torch.ones(len(data.test_labels), 10, dtype=torch.bool)
wrong[torch.arange(len(wrong)), data.test_labels] = False
wrong_scores = {
    name: found[:, k][wrong].numpy() for k, name in enumerate(("cross-entropy", "squentropy"))
}
spread = {name: float((values**2).mean() ** 0.5) for name, values in wrong_scores.items()}
print({name: round(value, 2) for name, value in spread.items()})
claim(
    "root mean square of the wrong scores, cross-entropy's over squentropy's",
    spread["cross-entropy"] / spread["squentropy"],
    at_least=4,
)
claim(
    "squentropy's wrong scores within ±3",
    float((abs(wrong_scores["squentropy"]) < 3).mean()),
    at_least=0.95,
)

# %%
figure, ax = new_figure(width=8.0)
plot_wrong_scores(wrong_scores, ax)
inside = {name: float((abs(values) < 1).mean()) for name, values in wrong_scores.items()}
show(
    figure,
    alt="Two histograms of the scores that two networks give to wrong classes of 2,000 new images, "
    f"on a logarithmic axis. Squentropy's is a narrow peak at 0, with {inside['squentropy']:.0%} "
    f"of the scores within 1; cross-entropy's is flat and wide, with {inside['cross-entropy']:.0%}.",
    caption="How to read it: same start, same batches. Cross-entropy only asks that a wrong score "
    "be below the right one, and it may be anywhere there.",
)

# %% [markdown]
# ### The experiment: the same garments
# The run of [section 3](#label_smoothing), read for squentropy. The paper trains it with cross-entropy's own learning rate, as a plug in its
# socket; here both have chosen theirs.
#
# #### What must hold
# Fixed after a pilot on the seeds 100 to 102, then run once on 0 to 4.
#
# | claim | why |
# |---|---|
# | a fifth of the labels wrong: squentropy more accurate | a wrong label takes a large lead to learn, and springs are in its way |
# | clean labels: more accurate | the paper's finding |
# | clean labels: confidence nearer to accuracy | scale is held, so confidence cannot run away |
# | the same if test labels were as unreliable as those of training | an ambiguous task |
# | wrong scores of new images at least four times smaller | the anchor |

# %%
of_squentropy = headlines[headlines.system == "squentropy"].set_index("claim")
print(of_squentropy[["held", "mean", "low", "high", "unit", "verdict"]].round(2).to_string())
held = of_squentropy.held
for words, how_many in {
    "a fifth of the labels wrong": 5,
    "clean labels: confidence": 5,
    "test labels as unreliable": 5,
    "wrong scores": 5,
}.items():
    named = next(claimed for claimed in held.index if claimed.startswith(words))
    claim(f"{named}: seeds", held[named], expected=how_many)
under = 100 * reshaped.ends(reshaped_run, "noisy", "gap")
claim(
    "noisy training, clean test: less sure than right", under["squentropy"].to_numpy(), at_most=-15
)

# %%
figure, (left, right) = new_figure(2, width=10.0, height=4.2)
plot_course(reshaped_run, left, metric="wrong", labels="clean")
plot_course(reshaped_run, right, metric="gap", labels="noisy", legend=False)
sizes = reshaped.ends(reshaped_run, "clean", "wrong").mean()
shown = ", ".join(f"{name} {value:.1f}" for name, value in sizes.items())
lacking = ", ".join(f"{name} {value / 100:.2f}" for name, value in under.mean().items())
show(
    figure,
    alt="Left: root mean square of the wrong scores of test images against steps, clean labels. At "
    f"the end: {shown}. Right: confidence less accuracy with a fifth of the training labels wrong "
    f"and right test labels. At the end: {lacking}.",
    caption="How to read it: left, under cross-entropy and focal loss the scores go on growing. "
    "Right, the test labels are right. A network that is as sure as its training labels deserve "
    "lies near −0.14.",
)

# %% [markdown]
# **Four of five hold.** With wrong labels squentropy gains 2 to 4.5 points in every seed, the most solid result of this half of the chapter.
# With clean labels it is ahead in four seeds of five, by 0.3 points on average, which is no result. Its wrong scores are eight times smaller.
# Its confidence is within 4 points of its accuracy where cross-entropy's is 5 to 9 above it.
#
# **And one warning.** Train on wrong labels and test on right ones, and squentropy is 18 to 23 points *less* sure than it is right;
# cross-entropy, by then half-way through memorising, happens to be within 1.3. "Better calibrated" is true of test labels that are as
# unreliable as those of training, and of nothing else.

# %% [markdown]
# ### Why does this differ from the paper, and from the library I know?
# - **A factor in the code.** The authors' training script multiplies the square by an option, 1 by default. Here it is left out; the paper
#   has none.
# - **Rescaled squares.** The paper also compares with a squared error whose right class has a weight and an aim of its own. That needs two
#   numbers per data set. In this package `one_hot_squared_error_loss` is the plain one.
# - **Single precision.** The sum over wrong classes is formed as $\sum z_j^2 - z_y^2$, which a vocabulary needs. It is off by $10^{-7}$ of
#   $\sum z_j^2$.
# - **Penalties on log-sum-exp** also stop the drift, [with one number for the whole row](03_losses_from_row_statistics.ipynb#eq-two-effects).
#   Do not use both.

# %%
several = torch.randn(50, 20, generator=torch.Generator().manual_seed(0)).double()
right = torch.arange(50) % 20
by_hand = cross_entropy(several, right, reduction="none") + torch.stack(
    [sum(z[j] ** 2 for j in range(20) if j != y) / 19 for z, y in zip(several, right, strict=True)]
)
claim("as written out in a double loop", squentropy_loss(several, right) - by_hand.mean(), 0, 1e-14)

# %% [markdown]
# ### When to use it
# Small and middling numbers of classes, few or doubtful labels, long training. It has nothing to tune, and the scores keep a scale that
# means something from one row to the next. Over fifty thousand classes the spring is too soft to feel. If the scores are to be shifted
# freely afterwards, as by a prior over classes, train with something that is blind to shifts.
#
# ### Exercises
# **Exercise 4. Where the wrong scores rest.** The right score is held at $z_y$, the $V - 1$ wrong ones are equal. Find the value at which push
# and spring are equal.


# %% tags=["exercise"]
def rest(right, classes):
    """The common score of the wrong classes at which their slope is 0."""
    return 0.0  # your turn: halving an interval will do


# %% tags=["check"]
exercises.check_rest(rest)

# %% [markdown]
# *Solution.* [The slope](#eq-squentropy) $p_j + 2 z_j/(V - 1)$ rises with $z_j$, is below 0 far down, and above it at $z_j = 0$. So halve.


# %% jupyter={"source_hidden": true} tags=["solution"]
def rest_solution(right, classes):
    """The common score of the wrong classes at which their slope is 0."""
    low, high = -50.0, 0.0
    for _ in range(100):
        z = (low + high) / 2
        p = math.exp(z) / (math.exp(right) + (classes - 1) * math.exp(z))
        low, high = (low, z) if p + 2 * z / (classes - 1) > 0 else (z, high)
    return z


verdict = exercises.check_rest(rest_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="taylor_softmax"></a>
# ## 5 Taylor softmax: another way to make scores positive
# *de Brébisson & Vincent, ICLR 2016, arXiv 1511.05042 · origin: likelihood · statistics: target, sum, square_sum*
#
# **Predict first.** Under softmax a class is the less likely the lower its score. Put a parabola in the exponential's place, $1 + z +
# z^2/2$. Which score is now the least likely one? And what becomes of a wrong class that starts at −2?
#
# *(−1. It is pushed away from there: further down, where its probability grows again.)*
#
# ### Where it comes from
# A probability has to be positive and to add up to 1; the exponential is one way to the first. Its series cut after the square is another:
# $s(z) = 1 + z + z^2/2 = \tfrac12\bigl((z + 1)^2 + 1\bigr)$ is positive everywhere. Its likelihood is
#
# <a id="eq-taylor-softmax"></a>
# $$\ell = \log\sum_j s(z_j) - \log s(z_y), \qquad
# \frac{\partial\ell}{\partial z_j} = \frac{1 + z_j}{\sum_k s(z_k)} - [j = y]\,\frac{1 + z_y}{s(z_y)}.$$
#
# Only $\sum z_j$, $\sum z_j^2$ and $z_y$ are needed. So it is one of the losses whose cost does not depend on the number of classes,
# [the spherical family of chapter 03](03_losses_from_row_statistics.ipynb#z_loss). Two things come with the parabola. Confidence is dear:
# the score has to grow like $\sqrt{1/(1 - p)}$, where softmax needs $\log 1/(1 - p)$. And the left half of the parabola counts backwards.

# %%
size = 1 + logits + logits**2 / 2
claim(
    "−log of the right class's share",
    taylor_softmax_loss(logits, target)
    + (size / size.sum(1, keepdim=True)).gather(1, target[:, None]).log().mean(),
    0,
    1e-15,
)
s = torch.linspace(-4, 2, 601, dtype=torch.float64)
claim("the least likely score", s[(1 + s + s**2 / 2).argmin()], -1, 1e-12)
backwards = torch.tensor([[1.0, -2.0, 0.0]], dtype=torch.float64, requires_grad=True)
taylor_softmax_loss(backwards, one).backward()
claim(
    "a wrong score of −2 has a slope below 0: a step raises it", backwards.grad[0, 1], at_most=-0.1
)
near = 1e-2 * logits
claim(
    "near 0 it is cross-entropy, to third order",
    (taylor_softmax_loss(near, target) - cross_entropy(near, target)).abs(),
    at_most=1e-5,
)

# %% [markdown]
# > **Definition.** `taylor_softmax_loss(logits, target)`. No hyper-parameter. Origin: likelihood, of another map to probabilities. Gradient
# > at most 1 long. Limits: all scores near 0, cross-entropy; far out it grows like $2\log\max|z|$. Neither convex nor blind to a shift, and
# > its probabilities are the shares of $s(z_j)$, not the softmax of the scores.
#
# ### What to look for in the picture
# *of another form*, with two classes, then with a thousand. Where the right score is negative, left in the picture, the pull changes its
# sign at $z_y = -1$: a right class that starts low enough is pushed the wrong way. On the right it pulls harder than cross-entropy, for
# confidence is dear and never paid up.

# %%
reshaping_explorer.choose("of another form")
print(reshaping_explorer.caption)
turn = 1 / (1 + 9 * math.e)  # z_y = −1 of ten classes
below, level, above = pulls(find("taylor_softmax_loss"), [0.9 * turn, turn, 1.1 * turn], 10, {})
claim("z_y = −1: no pull", level, 0, 1e-12)
claim("a little below it the right score is pushed down, above it pulled up", below < 0 < above)
claim(
    "and is above cross-entropy's at p = 0.95",
    weights(find("taylor_softmax_loss"), [0.95], 10, {}),
    at_least=1.2,
)

# %% [markdown]
# ### The experiment: the same garments, once more
# #### What must hold
# The paper finds Taylor softmax ahead on MNIST and CIFAR-10, and behind on language. Fixed after the pilot on other seeds: on clean garments
# more accurate than softmax; with a fifth of the labels wrong, too.

# %%
of_taylor = classics[classics.system == "taylor_softmax"]
print(of_taylor[["held", "mean", "low", "high", "unit", "verdict"]].round(2).to_string())
accuracy = reshaped.ends(reshaped_run, "noisy", "accuracy")
gain = 100 * (accuracy["Taylor softmax"] - accuracy["cross-entropy"])
claim("a fifth of the labels wrong: points gained, each seed", gain.to_numpy(), at_least=2)
claim(
    "more than squentropy gains, on average",
    (accuracy["Taylor softmax"] - accuracy["squentropy"]).mean() > 0,
)

# %% [markdown]
# With wrong labels it gains 3 to 5 points in every seed, more than squentropy on average, though nobody claimed that. A guess at why, not
# tested: a wrong label asks for certainty against all that the network knows, and here [certainty is dear](#eq-taylor-softmax). On clean
# labels it is ahead in four seeds of five by less than a point, and behind in one: not here.

# %% [markdown]
# ### Why does this differ from the paper, and from the library I know?
# - **Its own probabilities.** The table's calibration numbers are of the *softmax* of the scores, for all losses alike. A network trained
#   by Taylor softmax is to be read by Taylor softmax.
# - **Higher orders** are used elsewhere. Any even one is positive; the second alone is a row statistic that needs no logits.
# - It is the spherical softmax of $z + 1$ with $\varepsilon = 1$, and so needs no constant of its own.

# %%
claim(
    "the spherical softmax, moved by one",
    find("log_spherical_softmax_loss").value(logits + 1, target, epsilon=1.0)
    - find("taylor_softmax_loss").value(logits, target),
    0,
    1e-14,
)

# %% [markdown]
# ### When to use it
# Many classes and no memory for their scores, or few and doubtful labels. Not as a drop-in for a trained softmax head, and not where the
# scores are wanted as log-odds.
#
# ### Exercises
# **Exercise 5. Its gradient.** By the scores, for a batch.


# %% tags=["exercise"]
def taylor_gradient(logits, target):
    """The gradient of the Taylor softmax loss by the logits, (rows, classes)."""
    size = 1 + logits + logits**2 / 2
    p = size / size.sum(1, keepdim=True)
    return p - torch.nn.functional.one_hot(target, logits.shape[1])  # softmax's form: your turn


# %% tags=["check"]
exercises.check_taylor_gradient(taylor_gradient)

# %% [markdown]
# *Solution.* The exponential is its own slope and the parabola is not: $s'(z) = 1 + z$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def taylor_gradient_solution(logits, target):
    """The gradient of the Taylor softmax loss by the logits, (rows, classes)."""
    size = 1 + logits + logits**2 / 2
    y = torch.nn.functional.one_hot(target, logits.shape[1])
    return (1 + logits) * (1 / size.sum(1, keepdim=True) - y / size)


verdict = exercises.check_taylor_gradient(taylor_gradient_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="ldr"></a>
# ## 6 A label that is in doubt: the worst of all distributions
# *Zhu, Ying & Yang, ICML 2023, arXiv 2112.14869 · origin: decision theory · statistics: log_probability*
#
# **Predict first.** Three classes, scores $(2, 1, 0)$, the first is right. Somebody may move the label to any distribution $q$ over the
# classes and charge you $\sum_k q_k (z_k - z_y)$. He would take the first class alone, at 0, and you would never pay. Now he must pay too:
# $\lambda$ for each nat by which $q$ differs from the even distribution. What do you pay at $\lambda = 1$? And where there is no limit to
# $\lambda$? Positive or negative?
#
# *(Negative both times. At $\lambda = 1$ it is $-0.691$, which is cross-entropy, 0.408, less $\log 3$. For $\lambda \to \infty$ he cannot
# leave the even distribution, and you get the mean of $0$, $-1$ and $-2$.)*

# %%
scores, right_class = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
plain = cross_entropy(scores, right_class)
one = ldr_kl_loss(scores, right_class, temperature=1.0, margin=0.0)
claim("λ = 1, no margin: cross-entropy less log 3", one, plain - math.log(3), 1e-12)
claim("in numbers", one, -0.691006, 5e-7)
hot = ldr_kl_loss(scores, right_class, temperature=1e6, margin=0.0)
claim("λ without limit: the mean of 0, −1 and −2", hot, -1.0, 1e-5)

# %% [markdown]
# ### Where it comes from
# Labels come from people, and people err. Instead of one label let the adversary choose a distribution $q$, at a price,
#
# $$\ell(z, y) = \max_{q}\; \sum_k q_k\,(z_k - z_y + m\,[k \ne y]) - \lambda\,\mathrm{KL}\!\left(q\,\Big\Vert\,\tfrac1V\right),$$
#
# with a margin $m$ by which the right class should lead. A sum that is linear in $q$, less a divergence, is largest at a softmax. With
# $q_k \propto \exp\bigl((z_k + m[k \ne y])/\lambda\bigr)$ put in,
#
# <a id="eq-ldr"></a>
# $$\ell(z, y) = \lambda \log \frac1V \sum_k \exp\frac{z_k - z_y + m\,[k \ne y]}{\lambda}, \qquad
# \frac{\partial \ell}{\partial z} = q - e_y .$$
#
# So $\lambda$ is a temperature, and now it has a meaning: how little we believe that anything but the even distribution can be behind a
# label. *Cold*, $\lambda \to 0$: the adversary takes the one class that hurts most, and the loss is the hinge of Crammer and Singer,
# $\max_k (z_k - z_y + m[k \ne y])$. *Hot*, $\lambda \to \infty$: he cannot move, the loss is a straight line,
# $\frac1V\sum_k(z_k - z_y + m[k \ne y])$. Add this line up over all labels $y$ and the scores cancel. So labels replaced at random add a
# constant to the risk, and pull at nothing: the same [symmetry](01_from_likelihood_to_cross_entropy.ipynb#eq-comp-sum) that makes mean
# absolute error robust. A straight line has no minimum either. That is why the authors' code normalises the scores first.
#
# With $p_y$ the right class's share at this temperature, $\operatorname{softmax}(z/\lambda)_y$, it is cross-entropy with one term more,
#
# <a id="eq-ldr-by-p"></a>
# $$\ell = \lambda\Bigl(-\log p_y - \log V + \log\bigl(p_y + (1 - p_y)\,e^{m/\lambda}\bigr)\Bigr),$$
#
# so one statistic is enough, and over a vocabulary it takes no longer than cross-entropy. Where $m$ exceeds $\lambda$ the last term would
# lift the rounding of $1 - p_y$; there the package looks at the other classes' log-sum-exp instead.

# %%
generator = torch.Generator().manual_seed(0)
gaps = -torch.log(torch.rand(200_000, 3, dtype=torch.float64, generator=generator))
q = gaps / gaps.sum(1, keepdim=True)  # evenly spread over all distributions of three classes
for temperature in (0.3, 1.0, 10.0):
    charged = q @ (scores[0] - 2 + 0.1 * torch.tensor([0.0, 1.0, 1.0]).double())
    charged = charged - temperature * (math.log(3) - torch.special.entr(q).sum(-1))
    best = ldr_kl_loss(scores, right_class, temperature=temperature, margin=0.1)
    room = float(best - charged.max())
    claim(
        f"λ = {temperature:g}: no distribution of 200,000 charges more, the best nearly as much",
        0 <= room < 1e-3,
    )

many = torch.randn(500, 1, 4, generator=generator).double().expand(500, 4, 4)
all_labels = torch.arange(4).expand(500, 4)
for temperature, words in ((1e6, "hot"), (1.0, "λ = 1")):
    total = ldr_kl_loss(many, all_labels, temperature=temperature, reduction="none").sum(-1)
    print(f"{words}: summed over all labels {float(total.min()):.3f} to {float(total.max()):.3f}")
    if temperature > 1:
        claim(
            "hot: the sum over all labels is 4 · 0.1 · 3/4 for all scores",
            total,
            torch.full((500,), 0.3).double(),
            1e-4,
        )
p_y = torch.softmax(scores / 2.5, -1)[0, 0]
by_p = 2.5 * (-torch.log(p_y) - math.log(3) + torch.log(p_y + (1 - p_y) * math.exp(0.3 / 2.5)))
there = ldr_kl_loss(scores, right_class, temperature=2.5, margin=0.3)
claim("by the right class's share alone", there, by_p, 1e-12)
cold = ldr_kl_loss(many[:, 0], all_labels[:, 0], temperature=1e-4, margin=1.0, reduction="none")
hinge = (many[:, 0] - many[:, 0, :1] + torch.tensor([0.0, 1.0, 1.0, 1.0]).double()).amax(-1)
claim("cold: the hinge of Crammer and Singer", cold, hinge, 2e-4)

# %% [markdown]
# **A temperature for each example.** Some labels deserve more doubt than others. ALDR-KL lets the adversary choose $\lambda$ too, one for
# each example, and makes it dear to leave $\lambda_0$,
#
# $$\max_{q,\,\lambda}\; \sum_k q_k\,(\dots) - \lambda\,\mathrm{KL}\!\left(q\,\Big\Vert\,\tfrac1V\right)
# - \frac{\alpha \log V}{2\lambda_0}\,(\lambda - \lambda_0)^2 .$$
#
# For a given $q$ this is a parabola in $\lambda$. Its top is at
#
# <a id="eq-aldr-temperature"></a>
# $$\lambda = \lambda_0\Bigl(1 - \frac{\mathrm{KL}(q \Vert \frac1V)}{\alpha \log V}\Bigr).$$
#
# An example of which the network is sure gets a colder loss, one that it hesitates about keeps $\lambda_0$. Replaced labels should be among
# the latter. Note what this does *not* say: it never asks whether the label fits.

# %%
adaptive = ALDRKLLoss(1, temperature=1.0, normalise="none", update="exact").double()
value = adaptive(scores, right_class, torch.tensor([0]))
claim(
    "the best λ of the row (2, 1, 0)", adaptive.temperatures, torch.tensor([0.8634]).double(), 5e-5
)
claim("and its value", value, -0.640322, 5e-7)
levels = torch.linspace(0.05, 1.5, 30_000, dtype=torch.float64)
lifted = (scores - 2 + torch.tensor([0.0, 0.1, 0.1])) / levels[:, None]
parabola = levels * (lifted.logsumexp(-1) - math.log(3)) - math.log(3) * (levels - 1) ** 2
claim("no other λ has more", value >= parabola.max() - 1e-9)

# %% [markdown]
# > **Definition.** `ldr_kl_loss(logits, target, temperature=, margin=, normalise=)`: [LDR-KL](#eq-ldr) of the scores as they are, by
# > [one statistic](#eq-ldr-by-p); or with `normalise="softplus"` or `"l1"` of scores brought to mean (absolute) value 1, as released.
# > `ALDRKLLoss(examples, temperature=, alpha=)` keeps a $\lambda_i$ for each training example and moves it
# > [to the top of the parabola](#eq-aldr-temperature) at each visit. Origin: decision theory, a worst case at a price. Special cases: $\lambda = 1$, $m = 0$ is cross-entropy less $\log V$; $\lambda \to 0$ the hinge,
# > $\lambda \to \infty$ a straight line. Convex; gradient never longer than $\sqrt2$; least value $-\lambda\log V$. Proper only as
# > cross-entropy.
#
# ### What to look for in the picture
# First picture: three losses appear twice. Compare each with its *fast* twin, which has the rate 0.01 instead of its own, and see whom the
# hurry costs most. Then compare the last two panels: noise that goes anywhere, and noise that always goes to the next class. Second
# picture: how far the temperatures have moved from 1 at all.
#
# ### The experiment: three kinds of wrong labels
# 1,438 digits, 64 hidden units, 60 epochs. Labels are replaced by any other class (40 %, 60 %), or by the class that comes next (40 %). Each
# loss chose its learning rate among four on held-out labels *as noisy as the rest*, on seeds 100 and 101: whoever has wrong labels only has
# no others to choose by.
#
# #### What must hold
# Fixed after a pilot on seeds 100 and 101. The lines "all at one rate" were added from the same pilot when the first six had come out as
# they did.
#
# | claim | where from |
# |---|---|
# | LDR and ALDR at 10 above cross-entropy, three kinds of noise, each at its own rate | the paper: stable under 6 kinds of noise |
# | the same, all at the rate 0.01 | the same; here cross-entropy has time to memorise |
# | without noise ALDR is at most a point behind | the paper |
# | ALDR above LDR on average | the point of adapting |
# | replaced labels have the larger temperatures | the idea of the method |

# %%
of_ldr = headlines[headlines.system == "ldr"].set_index("claim")
print(of_ldr[["held", "mean", "low", "high", "unit", "verdict"]].round(2).to_string())
at_one_rate = of_ldr[of_ldr.index.str.contains("one rate|next class")]
for sentence, held in at_one_rate.held.items():
    claim(f"{sentence}: seeds", held, 5)
apart = of_ldr[of_ldr.index.str.contains("larger temperatures")]
claim("replaced labels have the larger temperatures: seeds", apart.held.to_numpy(), at_least=5)
claim(
    "uniform noise, each at its own rate: no claim of the four holds in every seed",
    of_ldr[of_ldr.index.str.contains("cross-entropy, uniform")].held.to_numpy(),
    at_most=4,
)

# %%
noise_run = runs[label_uncertainty]
figure, axes = new_figure(len(noise_run.config.noises), height=4.4, sharey=True)
plot_noise_accuracy(noise_run, axes)
ends = noise_run.history[noise_run.history.step == noise_run.history.step.max()]
means = (100 * ends.groupby(["noise", "loss"]).test_accuracy.mean()).round(1)
shown = "; ".join(
    f"{noise}: cross-entropy {means[noise, 'cross-entropy']:g}, "
    f"fast {means[noise, 'cross-entropy, fast']:g}, LDR at 10 {means[noise, 'LDR, λ = 10']:g}, "
    f"fast {means[noise, 'LDR, λ = 10, fast']:g}"
    for noise in noise_run.config.noises
)
show(
    figure,
    alt="Test accuracy of eleven ways to train, a panel a kind of noise, marks for five seeds "
    f"and bars for means, in per cent. {shown}.",
    caption="How to read it: to the right is good, and each panel has its own scale. Orange "
    "rows are label distributionally robust.",
)

# %%
figure, (left, right) = new_figure(2)
plot_temperatures(noise_run, left, loss="ALDR, λ₀ = 1")
plot_temperatures(noise_run, right, loss="ALDR, λ₀ = 10")
level = {shot.setting: shot.arrays["temperature"] for shot in noise_run.snapshots}
claim(
    "λ₀ = 10: the lowest temperature of all, over λ₀",
    float(level["ALDR, λ₀ = 10"].min()),
    at_least=0.95,
)
claim("λ₀ = 1: the lowest", float(level["ALDR, λ₀ = 1"].min()), at_most=0.6)
show(
    figure,
    alt="Two histograms of the temperatures of 1,438 examples over the one they began with, 40 "
    f"% of the labels replaced. Left, λ₀ = 1: from {level['ALDR, λ₀ = 1'].min():.2f} to "
    f"{level['ALDR, λ₀ = 1'].max():.2f}, replaced labels to the right of right ones. Right, λ₀ = "
    f"10: all between {level['ALDR, λ₀ = 10'].min():.3f} and 1, mostly the same.",
    caption="How to read it: look at the scale of the axis. On the right, adaptivity is a "
    "matter of two per cent.",
)

# %% [markdown]
# **At one rate the paper is right, and by a wide margin.** With 0.01 for all, cross-entropy falls to 81 % under uniform noise of 40 %, and to
# 64 % at 60 %; LDR and ALDR at $\lambda_0 = 10$ keep 93 and 86 %, in every seed. Cross-entropy has learned a quarter of the wrong labels by
# heart, LDR a twelfth or less.
#
# **At its own rate cross-entropy hardly needs help against uniform noise.** It chose the lowest rate, 0.001, which stops it early, and then
# has 92.6 and 88.0 %. LDR is ahead by 1.1 and 2.4 points, in four seeds of five each time: not a result. ALDR is not ahead at all, and
# generalised cross-entropy has most. So what robustness buys here is mainly that the rate may be wrong.
#
# **Noise with a direction is another matter.** Where labels move to the next class, neither rate saves cross-entropy: 68 and 64 %. LDR has 80 %, ALDR
# 79 %, in all five seeds above it. The hinge of Crammer and Singer, the *cold* end of the family, has 87 %, and is far behind under uniform
# noise of 60 %. Which end of the family is robust depends on the noise.
#
# **Adapting brings nothing here.** ALDR is a point *behind* LDR on average, in all five seeds. The second picture says why. With
# $\lambda_0 = 10$ no temperature of the first seed has moved by more than 1.7 %: replaced labels do have the larger ones (in 61 of 100 comparisons), but a
# difference of two in a thousand helps nobody. With $\lambda_0 = 1$ temperatures spread from 0.50 to 0.99 and tell replaced labels apart in
# 79 of 100 comparisons. But that loss is too cold to be robust, and has 80.6 %.

# %%
live = dataclasses.replace(
    noise_run.config,
    losses=("cross-entropy, fast", "LDR, λ = 10, fast"),
    rates=(1e-2, 1e-2),
    noises=("uniform 60 %",),
    seeds=1,
)
seen = label_uncertainty.run(live, progress=False).history.pivot(
    index="step", columns="loss", values=["test_accuracy", "repeated"]
)
print(seen.round(2).to_string())
claim(
    "by heart: of the wrong labels, cross-entropy repeats more than LDR by",
    seen.repeated["cross-entropy, fast"].iloc[-1] - seen.repeated["LDR, λ = 10, fast"].iloc[-1],
    at_least=0.1,
)

# %% [markdown]
# ### Why does this differ from the paper, and from its code?
# - **The released code is not the formula.** It computes $q$ without the margin, adds $10^{-5}$ to it, and takes one step a visit. Repeated
#   on the row $(2, 1, 0)$ that comes to rest at $\lambda = 0.842$; the maximiser is 0.863. `update="exact"` is the formula. The difference
#   is small because $m$ is.
# - **The normalisation does much of the work.** Scores of mean absolute value 1 over ten classes reach 10 at most, and divided by
#   $\lambda_0 = 10$ every softmax is nearly even. So $\mathrm{KL}$ is nearly 0, and no temperature leaves 10. With the softplus of the
#   hundred-class runs, "l1" *is* "softplus": positive numbers are their absolute values.
# - **$\lambda_0$ is not a default.** The classes have 1, the demonstration 10. With 1, adapting makes things worse here.
# - **Which noise.** Uniform noise is the kind for which a straight line is provably harmless. It also is the kind that early stopping
#   handles. Noise with a direction is the harder test.

# %%
released = ALDRKLLoss(1, temperature=1.0, normalise="none").double()
for _ in range(50):
    released(scores, right_class, torch.tensor([0]))
claim("the released step, repeated", released.temperatures, torch.tensor([0.8424]).double(), 6e-5)
positive = torch.nn.functional.softplus(scores)
claim(
    "l1 of a softplus is softplus",
    ldr_kl_loss(positive, right_class, normalise="l1"),
    ldr_kl_loss(scores, right_class, normalise="softplus"),
    1e-12,
)

# %% [markdown]
# ### When to use it
# Labels that are often wrong, and above all wrong in one direction; or no clean labels to choose a learning rate by, for LDR forgives a rate
# that is too high. One temperature is enough to begin with. Not for probabilities: at $\lambda \ne 1$ the softmax of the scores is not what
# the network believes. And on clean labels cross-entropy is a point better.
#
# ### Exercises
# **Exercise 6. The top of the parabola.** Given $q$, $\lambda_0$ and $\alpha$, the $\lambda$ that the adversary chooses.


# %% tags=["exercise"]
def temperature_of(q, start, alpha):
    """The best λ for the distribution q, a tensor that adds up to 1."""
    return torch.tensor(start)  # your turn: right for an even q


# %% tags=["check"]
doubt_exercises.check_temperature(temperature_of)

# %% [markdown]
# *Solution.* The derivative by $\lambda$ is $-\mathrm{KL} - \frac{\alpha\log V}{\lambda_0}(\lambda - \lambda_0)$. Set it to 0.


# %% jupyter={"source_hidden": true} tags=["solution"]
def temperature_of(q, start, alpha):
    """λ₀ (1 − KL/(α log V)), and KL is log V less the entropy."""
    size = math.log(len(q))
    return start * (1 - (size - torch.special.entr(q).sum()) / (alpha * size))


doubt_exercises.check_temperature(temperature_of)

# %% [markdown]
# <a id="dco"></a>
# ## 7 Sixty-four answers, one is enough: direct coverage
# *Chen, Raventós, Cheng, Ganguli & Druckmann, NeurIPS 2025, arXiv 2502.07154 · origin: decision theory · statistics: log_probability*
#
# **Predict first.** A model will be asked each question 16 times, and one right answer is enough. You know your own chances: the right
# answer is A with probability 0.6, B with 0.3, C with 0.1. How often should it say A? In 60 % of the draws, as a model trained by
# cross-entropy would? Always? Less?
#
# *(In 37 %, and C in 29 %. The first A that is right makes all others useless. With a single draw it would be A, always.)*

# %%
chances = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
for draws, wanted in (
    (1, (1, 0, 0)),
    (4, (0.5094, 0.3819, 0.1086)),
    (16, (0.3699, 0.3401, 0.2900)),
):
    answers = best_answers(chances, draws)
    covered = {
        name: float(chances @ pass_at_n(given, draws))
        for name, given in (("best", answers), ("chances", chances))
    }
    print(f"N = {draws:2}: pass@N {covered['best']:.3f}; as one believes {covered['chances']:.3f}")
    claim(
        f"N = {draws}: the best answers",
        answers,
        torch.tensor(wanted, dtype=torch.float64),
        tolerance=5e-5,
    )

# %% [markdown]
# ### Where it comes from
# Of $N$ independent answers all are wrong with probability $(1 - p)^N$. So the chance that one is right, the *coverage* or pass@N, is
# $1 - (1 - p)^N$, and its negative logarithm is a loss,
#
# <a id="eq-coverage"></a>
# $$\ell_N = -\log\bigl(1 - (1 - p_y)^N\bigr), \qquad \frac{\partial \ell_N}{\partial z} = F_N(p_y)\,(p - e_y), \qquad
# F_N(p) = \frac{N (1 - p)^{N - 1} p}{1 - (1 - p)^N}.$$
#
# It is cross-entropy with [another weight](#eq-weight). The weight is 1 where $p$ is far below $1/N$, for there $\ell_N$ is cross-entropy
# less $\log N$. Beyond it dies like $N (1 - p)^{N - 1}$. With $N = 64$ an example at $p = 0.1$ is pulled 119 times less than by
# cross-entropy. It is good enough, and the network may turn to the others.
#
# Because $F_N$ falls in $p$, the loss is a convex and falling function of $\log p_y$, which is a concave function of the scores: so it is
# **convex** in the scores, for every $N$.

# %%
for p, draws, wanted, factor in (
    (0.1, 4, 1.067404, 0.847921),
    (0.1, 64, 0.001180, 0.008394),
    (0.5, 4, 0.064539, 0.266667),
    (0.01, 64, 0.745697, 0.716225),
):
    logits = torch.tensor([[math.log(p), math.log(1 - p)]], dtype=torch.float64, requires_grad=True)
    found = direct_coverage_loss(logits, right_class, samples=draws)
    (pull,) = torch.autograd.grad(found, logits)
    claim(f"p = {p:g}, N = {draws}: the loss", found.detach(), wanted, 6e-7)
    claim(f"p = {p:g}, N = {draws}: the factor", -pull[0, 0] / (1 - p), factor, 6e-7)
a, b = 5 * torch.randn(2, 1000, 6, generator=generator).double()
ends_of = [
    direct_coverage_loss(z, all_labels[0, 0].expand(1000), samples=16, reduction="none")
    for z in (a, b, (a + b) / 2)
]
claim("N = 16: below its chords", ends_of[2] <= (ends_of[0] + ends_of[1]) / 2 + 1e-12)

# %% [markdown]
# **Answers of many tokens.** For a proof of 2,000 tokens $p$ is a product, and underflows. `log_coverage` takes $\log p$, and computes in
# three ways, each where it is exact: far below $1/N$ the series $\log p + \log N - (N - 1)p/2$, near $p = 1$ a power of $1 - p$, and
# $\log(-\operatorname{expm1}(N \operatorname{log1p}(-p)))$ between. The formula as it stands says $\log 0$.

# %%
tokens = torch.full((2000,), -0.5, requires_grad=True)  # float32, p = e⁻¹⁰⁰⁰
naive = torch.log(1 - (1 - tokens.sum().exp()) ** 64)
ours = log_coverage(tokens.sum(), 64)
(slope,) = torch.autograd.grad(ours, tokens)
claim("as it stands: minus infinity", naive.detach() == -math.inf)
claim("by the series: log p + log 64", ours.detach(), -1000 + math.log(64), 1e-4)
claim("and each token is pulled as by cross-entropy", slope, torch.ones(2000), 1e-6)

# %% [markdown]
# > **Definition.** `direct_coverage_loss(logits, target, samples=N)`: [minus the logarithm of the coverage](#eq-coverage). For sequences
# > `-log_coverage(log_p, N)`, for proofs in $k$ steps the same of each step with about $N^{1/k}$ draws, added up. `pass_at_n(p, N)` measures
# > it, `pass_at_n_estimate(correct, drawn, N)` from counts, without bias. Origin: decision theory, the loss is what will be counted.
# > $N = 1$ is cross-entropy. Convex, gradient never longer than $\sqrt2$, proper only with $N = 1$.
#
# ### What to look for in the picture
# Left, one network, cross-entropy, four numbers of it. Find the step at which the dotted line turns down, and what the solid line does
# there. Right, four networks at the end. No line is the highest everywhere: each is it once.
#
# ### The experiment: letters, and too few of them
# 500 letters of 26 kinds, 128 hidden units, 80 epochs: cross-entropy knows every label long before the end. A class drawn from the softmax
# is an answer. Each loss chose its learning rate among four by its own pass@N, on seeds 100 and 101.
#
# #### What must hold
# Fixed after a pilot on seeds 100 and 101, then run on 0 to 4.
#
# | claim | where from |
# |---|---|
# | pass@64 of cross-entropy falls by over 2 points from its best, while pass@1 rises | the paper's first finding |
# | told $N$, above cross-entropy at $N$, for 4, 16, 64 | the paper's second |
# | told $N$, the best of the four at $N$, for 1, 4, 16, 64 | its frontier |
# | told 16, above cross-entropy stopped at its best step for pass@16 | not asked by the paper; a cheaper cure |

# %%
of_dco = headlines[headlines.system == "dco"].set_index("claim")
print(of_dco[["held", "mean", "low", "high", "unit", "verdict"]].round(2).to_string())
for sentence, held in of_dco.held.items():
    claim(f"{sentence}: seeds", held, 5)

# %%
coverage_run = runs[coverage]
figure, axes = new_figure(2)
plot_coverage(coverage_run, axes)
end = coverage_run.history[coverage_run.history.step == coverage_run.history.step.max()]
table = (
    100 * end.groupby("setting", sort=False)[[f"pass_{n}" for n in coverage.DRAWS]].mean()
).round(1)
shown = "; ".join(
    f"{name} {', '.join(f'{value:g}' for value in row)}" for name, row in table.iterrows()
)
show(
    figure,
    alt="Left, pass@N of cross-entropy against the step: N = 1 rises to the end, N = 16 and 64 "
    "rise at once and then fall. Right, pass@1, 4, 16 and 64 at the end, in per cent, means "
    f"over five seeds: {shown}.",
    caption="How to read it: left, what one draw gains is paid by who draws often. Right, the "
    "lines cross: a model is trained for a number of draws.",
)

# %% [markdown]
# **All nine hold in all five seeds.** Cross-entropy ends with pass@1 of 70 to 72 % and a confidence of 89 %; its pass@64 went from 95 or
# 96 % at its best down to 86 to 88 %. Told to expect 64 draws, the network keeps 98.5 to 98.7 %, and gets one draw right in 13 or 14 of a
# hundred. In between, the frontier: at 4 draws the loss that was told 4 is ahead of cross-entropy by little more than a point, at 16 by 7,
# at 64 by 11. Stopping cross-entropy at the best moment for 16 draws, with the test set as the judge, leaves it 2 points behind.
#
# **Where it did not come out.** Our first set-up was 300 digits with 40 % of the *training* labels wrong and all test labels right. There
# cross-entropy's pass@16 falls too, but cross-entropy stopped early, or at a low rate, had 97 % at 16 draws against 96 for the loss that was
# told 16. That is no riddle: with right test labels the first guess is right more often than the training labels say, and spreading answers
# over the noise wins nothing.

# %%
tiny = coverage.run(
    dataclasses.replace(
        coverage_run.config, samples=(1.0, 64.0), rates=(1e-2, 1e-3), seeds=1, epochs=20
    ),
    progress=False,
)
live_end = tiny.history[tiny.history.step == tiny.history.step.max()].set_index("setting")
print(live_end[["pass_1", "pass_4", "pass_16", "pass_64", "confidence"]].round(3).to_string())
claim(
    "live, a quarter of the epochs: told 64, ahead at 64",
    live_end.pass_64["direct coverage, N = 64"] - live_end.pass_64["cross-entropy"],
    at_least=0.02,
)

# %% [markdown]
# ### Why does this differ from the paper?
# - **One letter is no proof.** The paper fine-tunes language models on mathematics, where an answer is a chain of tokens and $p$ of a right
#   one is tiny. Here an answer is one class, and 26 classes tried at random cover 92 % in 64 draws. That floor is why pass@64 is high even
#   for a network that knows nothing.
# - **Its third variant**, for chains of thought that end in an answer, estimates $p$ by the share of sampled chains that do. It needs a
#   sampler, and is not here.
# - **The logarithm of a mean is not a mean of logarithms.** The loss maximises $\sum\log$ coverage, the metric is the mean coverage. Where
#   the truth is a distribution, the loss's best answers are not `best_answers`, though both are flatter than the truth.
# - **$1 - (1 - c/n)^N$ is not pass@N.** From $n$ draws with $c$ right ones it is too low. The unbiased estimate takes subsets.

# %%
uniform = float(pass_at_n(torch.tensor(1 / 26), 64))
claim("26 classes at random, 64 draws", uniform, 0.919, 0.001)
binomial = torch.tensor(
    [math.comb(10, c) * 0.3**c * 0.7 ** (10 - c) for c in range(11)], dtype=torch.float64
)
counts = torch.arange(11).double()
claim(
    "from 10 draws, pass@4 at p = 0.3, on average",
    binomial @ pass_at_n_estimate(counts, 10, 4),
    1 - 0.7**4,
    1e-12,
)
claim(
    "the plain one is too low by",
    1 - 0.7**4 - binomial @ (1 - (1 - counts / 10) ** 4),
    at_least=0.03,
)

# %% [markdown]
# ### When to use it
# You will draw often and can tell a right answer when you see it: proofs with a checker, programs with tests, candidates for a human. Then
# train for the $N$ you can pay. Not where nobody checks: with one draw it is simply a worse model. And do not read its confidence, which
# says how much of the draws an answer deserves, not how likely it is right.
#
# ### Exercises
# **Exercise 7. The factor.** By what is the gradient of cross-entropy multiplied?


# %% tags=["exercise"]
def factor_of(p, samples):
    """F for a tensor of probabilities and N draws."""
    return torch.ones_like(p)  # your turn: right for one draw


# %% tags=["check"]
doubt_exercises.check_factor(factor_of)

# %% [markdown]
# *Solution.* By $p$ the slope of $-\log(1 - (1 - p)^N)$ is $-N(1 - p)^{N - 1}/(1 - (1 - p)^N)$. By $\log p$ it is $p$ times that, and
# $\partial \log p_y/\partial z = e_y - p$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def factor_of(p, samples):
    """N (1 − p)^(N−1) p over the coverage."""
    return samples * (1 - p) ** (samples - 1) * p / (1 - (1 - p) ** samples)


doubt_exercises.check_factor(factor_of)

# %% [markdown]
# <a id="ensloss"></a>
# ## 8 EnsLoss: another loss for every batch
# *Dai 2024, arXiv 2409.00908 · origin: heuristic, dropout over losses · a loss of the margin, known by its slope alone*
#
# **Predict first.** Two classes, margin $s = y f(x)$. A network is trained to the end of its training set with the logistic loss, the
# hinge, or the exponential loss: three slopes. Now draw a new slope at every step, at random, as long as it belongs to *some* convex loss.
# Will the network learn at all? Will it learn its wrong labels sooner or later than the others?
#
# *(It learns, and later: with 15 % of the labels wrong it knows 95 % of them by heart after some 700 steps, the others after 400 to 550.)*

# %%
runs_of_slopes = runs[loss_ensemble].history.query("noise > 0")
soon = (
    runs_of_slopes[runs_of_slopes.fitted >= 0.95]
    .groupby(["loss", "seed"])[["step", "test_accuracy"]]
    .first()
)
print(soon.groupby("loss").mean().round(3).to_string())
by_seed = soon.step.unstack("loss")
claim(
    "EnsLoss is the last to know 95 % of its labels: seeds",
    int((by_seed.EnsLoss > by_seed.drop(columns="EnsLoss").max(axis=1)).sum()),
    5,
)

# %% [markdown]
# ### Where it comes from
# Gradient descent never sees a loss. It sees the slope, at the margins of a batch. And a slope is easy to recognise: it belongs to a convex
# loss where it does not fall as the margin grows, and the loss is calibrated, so that it aims at the right decision, where the slope at 0
# is negative ([chapter 01](01_from_likelihood_to_cross_entropy.ipynb)). So nobody needs to write the loss down:
#
# 1. draw $u_i \sim N(0, 1)$, one for each example of the batch, and $G_i = (1 + \lambda u_i)_+^{1/\lambda}$, or $e^{u_i}$ for $\lambda = 0$:
#    Box and Cox's transform, backwards;
# 2. cut at 1, put a minus in front, sort, and give the steepest to the smallest margin;
# 3. where $s > 1$, divide by $s$, so that a margin that is large enough is not pulled for ever; take off $10^{-6}$, so that no slope is 0.
#
# With these numbers held, the loss is $\frac1n \sum_i g_i s_i$. Its gradient is right; **its value is not a risk**, and may be negative.
# Half of the normal draws are above 0, so about half of all slopes are cut to $-1$, and go to the examples that are worst. The other half,
# on the better examples, is where the chance is.

# %%
chance = torch.Generator().manual_seed(1)
drawn = EnsLoss(chance)
margins = 2 * torch.randn(256, generator=chance, dtype=torch.float64)
for power in (-0.5, 0.0, 0.5):
    g = EnsLoss(chance, box_cox=power).slopes(margins)
    claim(f"λ = {power:g}: the slope does not fall", g[margins.argsort()].diff() >= 0)
    claim(f"λ = {power:g}: it is negative, and at most 1 steep", (g < 0) & (g >= -1 - 1e-6))
share = float((EnsLoss(chance).slopes(torch.zeros(100_000)) <= -1).float().mean())
claim("the share that is cut", share, 0.5, 0.01)
held_margins = margins.clone().requires_grad_()
value = drawn(held_margins)
value.backward()
print(f"value of the loss: {float(value.detach()):.3f}")
claim(
    "the gradient is a slope over the batch",
    (held_margins.grad * 256 >= -1 - 1e-6) & (held_margins.grad < 0),
)

# %% [markdown]
# > **Definition.** `EnsLoss(generator, box_cox=0, period=None)`, called with the margins of a batch. `box_cox` is $\lambda$, 0 in the paper's
# > main runs; with a period it is drawn anew from $(-1, 1)$. Origin: heuristic. Each slope is that of a convex, calibrated loss whose fall
# > beyond $s = 1$ is no faster than $-\log s$. Two classes only: the paper has no more, and with $V$ classes there is no one margin to sort
# > by. Keeps the state of its draws for checkpoints.
#
# ### What to look for in the picture
# First: the grey staircases are batches. Left of 0 they are the hinge, right of 1 they die. Nowhere are they the exponential loss's, which
# pulls hardest at what is most wrong. Second picture, right panel: who falls from the top, and how far. Left panel: who is lowest.

# %%
figure, ax = new_figure(width=8.0, height=4.0)
plot_slopes(ax)
show(
    figure,
    alt="Slopes of margin losses against the margin from −3 to 4. Twenty grey staircases drawn "
    "by EnsLoss lie at −1 up to a margin of about 0, rise between 0 and 1 at different places, "
    "and fade towards 0 beyond. The logistic slope rises smoothly, the hinge jumps from −1 to 0 "
    "at 1, the exponential slope leaves the picture below −0.5.",
    caption="How to read it: each staircase is one batch. None goes down anywhere, so each is "
    "the slope of a convex loss.",
)

# %% [markdown]
# ### The experiment: small digits or large
# Is it one of 0 to 4, or of 5 to 9? 500 images, 256 hidden units, 200 epochs, with right labels and with 15 % of them turned over. Three
# learning rates were tried on seeds 100 and 101. The paper speaks of networks that fit their training set, so all have the one rate, 0.003,
# at which all four losses end knowing 98 % of their labels.
#
# #### What must hold
# Fixed after that pilot. In it EnsLoss was behind on right labels, so three of the lines were expected to fail.
#
# | claim | where from |
# |---|---|
# | with 15 % turned over, all losses end knowing 98 % of their labels | or the comparison would be of speeds |
# | at the end above the logistic, the hinge and the exponential loss, 15 % turned over | the paper |
# | the same with right labels | the paper |
# | loses less from its best step to the end than each of them | what "prevents overfitting" would mean |

# %%
of_ensloss = headlines[headlines.system == "ensloss"].set_index("claim")
print(of_ensloss[["held", "mean", "low", "high", "unit", "verdict"]].round(2).to_string())
for name, least in (
    ("all losses end", 5),
    ("15 % turned over: above the logistic", 5),
    ("15 % turned over: above the hinge", 5),
):
    sentence = next(words for words in of_ensloss.index if name in words)
    claim(f"{sentence}: seeds", of_ensloss.held[sentence], least)
behind = of_ensloss[of_ensloss.index.str.startswith("0 %")]
claim("right labels: contradicted, three times", (behind.verdict == "contradicted").to_numpy())

# %%
figure, axes = new_figure(2, sharey=True)
plot_overfitting(runs[loss_ensemble], axes)
last = runs[loss_ensemble].history
last = 100 * last[last.step == last.step.max()].groupby(["noise", "loss"]).test_accuracy.mean()
shown = {
    noise: ", ".join(f"{name} {value:.1f}" for name, value in last[noise].items())
    for noise in (0.0, 0.15)
}
show(
    figure,
    alt="Test accuracy against the step for four losses, means over five seeds. Left, right "
    f"labels: all rise and stay; at the end, in per cent: {shown[0.0]}. Right, 15 % turned over: "
    f"all rise for a hundred steps and fall; at the end: {shown[0.15]}.",
    caption="How to read it: left there is nothing to prevent, and EnsLoss is the lowest. Right "
    "it ends highest.",
)

# %% [markdown]
# **With wrong labels it helps, with right ones it hurts.** At 15 % EnsLoss ends 1.6 points above the logistic loss on average and 4.1 above
# the hinge, in every seed; of the exponential loss it is ahead in four seeds of five, by 0.8, which is no result. With right labels it ends
# behind all three in all five seeds, by about 1.5 points. On the pilot's seeds we tried three rates, redrawing $\lambda$ every 80 steps,
# and plain gradient descent: it stayed behind by 1 to 2 points.
#
# **And what is it that helps?** Not a smaller fall: from its best step it loses 6.5 points on average, the exponential loss 6.6, the
# logistic 7.5. Nor a better network at the same stage: when it first knows 95 % of its labels, EnsLoss has 88.0 % on new digits, the
# others 89.2 to 90.0. It comes there later. On this task EnsLoss is a brake.

# %%
stage = soon.test_accuracy.groupby("loss").mean()
claim(
    "at the same stage it is no better than the others",
    stage.EnsLoss,
    at_most=stage.drop("EnsLoss").min(),
)

# %% [markdown]
# ### Why does this differ from the paper?
# - **Another size.** The paper trains residual networks on pairs of classes of CIFAR-10 for hundreds of epochs, with momentum and a falling
#   rate, and fits all labels. Our digits leave 3 points to be won without noise, and nobody over-fits them.
# - **The period.** The class in the released code has a period of 10 that nothing reads; the trainer has its own, $-1$: never. The paper's
#   ablation redraws $\lambda$ after so many *epochs*. Here `period` counts calls.
# - **An infinity.** For $\lambda < 0$ some draws give $G = \infty$. The cut at 1 takes them in.

# %%
written = torch.tensor([0.3, -2.0, -0.5, 1.0, -1.0], dtype=torch.float64)
given = torch.tensor([2.0, -1.0, 0.5, 4.0, 0.9], dtype=torch.float64)
released = (-written.exp()).sort().values.clamp(min=-1)
by_hand = torch.zeros(5, dtype=torch.float64)
by_hand[given.sort().indices] = released
by_hand = torch.where(given > 1, by_hand / given, by_hand) - 1e-6
claim("the released steps, one after the other", slopes_of(given, written.exp()), by_hand, 1e-14)

# %% [markdown]
# ### When to use it
# Two classes, a network that will fit everything, labels that you do not quite trust, and no wish to choose a loss. Expect to train longer.
# Log accuracy or another loss; the value means nothing. With clean labels and few data take the logistic loss.
#
# ### Exercises
# **Exercise 8. Deal a slope.** From margins and drawn sizes $G$ make the slopes: cut, sorted, dealt out, dying beyond 1.


# %% tags=["exercise"]
def deal(margin, sizes):
    """A slope for each margin."""
    return -sizes.clamp(max=1.0)  # your turn: whose is which?


# %% tags=["check"]
doubt_exercises.check_deal(deal)

# %% [markdown]
# *Solution.* The order of the margins says where each place of the sorted sizes goes.


# %% jupyter={"source_hidden": true} tags=["solution"]
def deal(margin, sizes):
    """The largest size to the smallest margin, divided by the margin beyond 1."""
    steepest_first = -sizes.clamp(max=1.0).sort(descending=True).values
    dealt = torch.zeros_like(margin)
    dealt[margin.argsort()] = steepest_first
    return dealt / margin.clamp(min=1.0)


doubt_exercises.check_deal(deal)

# %% [markdown]
# <a id="dataset_equity"></a>
# ## 9 An imbalance that no label shows: dataset equity
# *Shrivastava, Zhang, Nagesh & Parchami, ICCV workshops, 2023, arXiv 2308.09878 · origin: heuristic · a weight for any loss*
#
# **Predict first.** Of 1,438 digits, 8 % are shown white on black where the others are black on white, in every class alike. A network learns
# them all. On new digits of the common kind it is right in 97 of 100. In how many of the rare kind? And if each class is weighted by its
# size?
#
# *(In 69 to 84, depending on the seed. And weighted by class, the same: the classes are of one size, and the rare pictures sit in each.)*

# %%
data = digits()
few = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(0)) < 115
pictures = torch.where(few[:, None], 1 - data.train_features, data.train_features)
likelihood = appearance_likelihood(pictures, clusters=4, generator=torch.Generator().manual_seed(0))
weights = equity_weights(likelihood)
print(f"likelihood: rare {likelihood[few].mean():.2f}, common {likelihood[~few].mean():.2f}")
print(f"weight: rare {weights[few].mean():.2f}, common {weights[~few].mean():.2f}")
claim(
    "the rare pictures are a cluster of their own",
    likelihood[few],
    torch.full((115,), 115 / 1438),
    1e-6,
)
claim(
    "their share of all weight grows from 8 % to", weights[few].sum() / weights.sum(), 0.11, 0.015
)

# %% [markdown]
# ### Where it comes from
# Labels say what a picture is, not what it looks like. So look: take features of all pictures, find clusters, and call the share of its
# cluster the *likelihood* of a picture, $p_i = n_{c(i)}/N$. Focal loss turns down what the *network* finds easy. Here what the *data set*
# has plenty of is turned down, by the same power, with a floor $\eta$:
#
# <a id="eq-equity"></a>
# $$w_i = \frac{\eta + (1 - p_i)^\gamma}{\eta + 1}, \qquad \ell = \frac1n \sum_i w_i\,\ell_i .$$
#
# The weights are found once, before training, and any loss will do. $p \to 0$ weighs 1; the commonest thinkable picture, $p = 1$, weighs
# $\eta/(\eta + 1)$. Without a floor a data set of one cluster would have no weight at all. With the paper's $\eta = 1$ no picture counts
# more than twice as much as another.

# %%
p = torch.tensor([0.01, 0.1, 0.5, 1.0], dtype=torch.float64)
claim("η = 1, γ = 5", equity_weights(p), torch.tensor([0.9755, 0.7952, 0.5156, 0.5]).double(), 5e-5)
claim(
    "η = 0: the focal factor, of the likelihood",
    equity_weights(p, eta=0, gamma=2),
    (1 - p) ** 2,
    1e-12,
)
claim("η without limit: the plain loss", equity_weights(p, eta=1e9), torch.ones(4).double(), 1e-8)
claim(
    "the largest weight over the smallest, η = 1",
    equity_weights(p).max() / equity_weights(p).min(),
    at_most=2,
)

# %% [markdown]
# > **Definition.** `equity_weights(likelihood, eta=1, gamma=5)`: [the weights](#eq-equity). `appearance_likelihood(features, clusters=)`
# > finds the likelihood by principal components and k-means; `cluster_likelihood(clusters)` from clusters of any kind, a noise point counting as
# > one of its own. Origin: heuristic. The paper calls it generalised focal loss; the generalised focal loss of Li et al. 2020, arXiv
# > 2006.04388, is another. Limits: the mean weight is below 1, which shortens all steps alike; what is rare and what is broken look the same.
#
# ### What to look for in the picture
# Left, no label was used, and still the triangles stand alone: 8 % of the pictures, far off along the first component. Notice that the
# crowd has been cut too, into clusters of a fifth to three eighths of all pictures, so the crowd's weight is not yet the floor's. Right, compare
# *equity* with *shuffled*: the same numbers, on other pictures.
#
# ### The experiment: ink and paper changed over
# Digits, 8 % turned over, 64 hidden units, 60 epochs, six ways to weigh. Accuracy on what is rare depends much on the start, so each seed
# trains four networks a way and takes their mean. The loss is cross-entropy for all, and so is the learning rate.
#
# #### What must hold
# Fixed after a pilot on seeds 100 to 102, which also tried two and six clusters, with the same signs.
#
# | claim | where from |
# |---|---|
# | $\eta = 1$, $\gamma = 5$: rare pictures are recognised oftener | the paper |
# | common ones lose at most a point | the paper |
# | weights by class change the rare ones by less than two points | labels do not show the imbalance |
# | above the same weights dealt out at random | it is the pictures, not the numbers |
# | $\eta = 0$ above $\eta = 1$ on rare pictures | the floor costs something |

# %%
of_equity = headlines[headlines.system == "dataset_equity"].set_index("claim")
print(of_equity[["held", "mean", "low", "high", "unit", "verdict"]].round(2).to_string())
for sentence, held in of_equity.held.items():
    claim(f"{sentence}: seeds", held, at_least=4 if sentence.startswith("weights by class") else 5)

# %%
equity_run = runs[equity]
figure, axes = new_figure(2, height=3.9)
plot_appearance(equity_run, axes)
end = equity_run.history[equity_run.history.step == equity_run.history.step.max()]
means = (
    100 * end.groupby("setting", sort=False)[["rare_accuracy", "common_accuracy"]].mean()
).round(1)
print(means.to_string())
shown = "; ".join(f"{way} {row.rare_accuracy:g}" for way, row in means.iterrows())
show(
    figure,
    alt="Left, training pictures in the plane of two principal components: a dense column of circles at "
    "the left, in three shades of likelihood from a fifth to three eighths, and a loose group of dark "
    "triangles far to the right, likelihood 0.08. Right, accuracy on pictures turned over, marks for "
    f"five seeds; means in per cent: {shown}.",
    caption="How to read it: left, dark is rare. Right, orange rows weigh by appearance.",
)

# %% [markdown]
# **Four of five hold in all seeds.** The paper's weights raise accuracy on the rare kind from 75.5 to 79.3 % on average, by 0.2 points in one
# seed and by 6.4 in another, and the common kind loses nothing. Dividing the weights by their mean changes nothing: Adam does not see a
# common factor. Without the floor the gain is 9 points. The line that failed is the one about classes: in one seed of five, weights that
# differ by a per cent moved the rare accuracy by 2.7 points. That is how loud chance is here, with 115 pictures to learn from, and the
# reason for the row *shuffled*.
#
# ### Why does this differ from the paper, and from its code?
# - **How to find what is common.** The authors take features of a residual network trained on ImageNet, t-SNE to two dimensions, and DBSCAN.
#   Their notebooks keep two numbers, $n/N$ and $n$ over the size of the largest cluster; the loss in their detectors is in submodules that
#   we could not read. `relative_to="largest"` is the second. With it the commonest cluster always weighs $\eta/(\eta + 1)$.
# - **The number of clusters is a hidden parameter.** Two clusters say that the crowd has $p = 0.92$, six that it has about 0.2, and the
#   weights follow. More clusters, less equity: below, the ratio of a rare picture's weight to a common one's.
# - **200 % more average precision** on cyclists is a ratio of small numbers, in detection. Ours is a matter of four points.

# %%
ratios = {}
for count in (2, 4, 6, 12):
    found = equity_weights(
        appearance_likelihood(pictures, clusters=count, generator=torch.Generator().manual_seed(0))
    )
    ratios[count] = float(found[few].mean() / found[~few].mean())
print({count: round(ratio, 2) for count, ratio in ratios.items()})
claim(
    "more clusters, less difference",
    [ratios[2] - ratios[4], ratios[4] - ratios[6], ratios[6] - ratios[12]],
    at_least=0,
)
largest = cluster_likelihood(torch.tensor([0, 0, 0, 1]), relative_to="largest")
claim("relative to the largest, the commonest weighs a half", equity_weights(largest)[0], 0.5)

# %% [markdown]
# ### When to use it
# You suspect that your data hold a few of something that matters, night, rain, another scanner, and nobody has labelled it. Look at the
# clusters before you trust the weights: rubbish is rare too. Where you do have labels of what is rare, use them. With $\eta = 1$ it does
# little harm and moderate good.
#
# ### Exercises
# **Exercise 9. A floor for the crowd.** Pictures of likelihood $p$ are to weigh $w$. Which $\eta$ does that, for a given $\gamma$?


# %% tags=["exercise"]
def floor_for(likelihood, weight, gamma):
    """The η at which a picture of this likelihood has this weight."""
    return weight / (1 - weight)  # your turn: right where p is 1


# %% tags=["check"]
doubt_exercises.check_floor(floor_for)

# %% [markdown]
# *Solution.* $w(\eta + 1) = \eta + (1 - p)^\gamma$, so $\eta\,(1 - w) = w - (1 - p)^\gamma$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def floor_for(likelihood, weight, gamma):
    """(w − (1 − p)^γ)/(1 − w)."""
    return (weight - (1 - likelihood) ** gamma) / (1 - weight)


doubt_exercises.check_floor(floor_for)

# %% [markdown]
# ## 10 A loss of your own on the bench
# Which of all these is best? That is a question about a task and a protocol, and `lossbook.comparison` is the protocol of this book. Within
# a seed every loss starts from the same weights and sees the same batches. Each has a learning rate of its own, chosen on a part of the
# training data held out, by seeds that are not used again. The test part is looked at once. Another loss is another line, and it need not
# be the book's: below, the last one is written on the spot. It is partially Huberised cross-entropy (Menon, Rawat, Reddi & Kumar 2020):
# below $p_y = 1/\tau$ it goes on as a straight line, so that a wrong label cannot pull without end.


# %%
def huberised(scores, target, tau=5.0):
    """−log p_y down to p_y = 1/τ, and a straight line in p_y below."""
    log_p = torch.log_softmax(scores, -1).gather(-1, target[:, None])
    line = math.log(tau) + 1 - tau * log_p.exp()
    return torch.where(log_p > -math.log(tau), -log_p, line).mean()


def noisy_digits(seed):
    """Digits, three of ten training labels replaced by another."""
    data, drawn = digits(seed=seed), torch.Generator().manual_seed(seed)
    labels, _ = with_label_noise(data.train_labels, 0.3, data.classes, generator=drawn)
    return dataclasses.replace(data, train_labels=labels)


contenders = {
    "cross-entropy": cross_entropy,
    "smoothing 0.1": partial(cross_entropy, label_smoothing=0.1),
    "poly-1, ε = 2": poly_loss,
    "focal, γ = 2": focal_loss,
    "Taylor, 2 terms": taylor_cross_entropy,
    "squentropy": squentropy_loss,
    "Taylor softmax": taylor_softmax_loss,
    "LDR, λ = 10": partial(ldr_kl_loss, temperature=10.0, normalise="l1"),
    "coverage, N = 4": partial(direct_coverage_loss, samples=4.0),
    "my own": huberised,
}
protocol = Protocol(learning_rates=(1e-3, 5e-3), tuning_seeds=1, epochs=15)
bench = compare(contenders, noisy_digits, protocol, progress=False)
print(budget(bench))
reached = bench_table(bench, ["accuracy"]).set_index("setting")
ahead = differences(bench, "cross-entropy", ["accuracy"]).set_index("setting")
print(reached[["mean", "low", "high", "learning_rate"]].round(3).to_string())

# %%
claim("losses on the bench, one of them not the book's", len(reached), 10)
overlap = reached.high["cross-entropy"] - reached.low["squentropy"]
claim("the intervals of cross-entropy and squentropy overlap by", overlap, at_least=0.01)
claim("and yet, seed by seed, squentropy is ahead: low end", ahead.low["squentropy"], at_least=0)
claim("focal loss is behind: high end", ahead.high["focal, γ = 2"], at_most=0)
claim("my own is no worse, on average", ahead["mean"]["my own"], at_least=0)
axes = plot_comparison(bench, baseline="cross-entropy")
words = ", ".join(f"{name} {100 * gain:+.1f}" for name, gain in ahead["mean"].items())
show(
    axes[0].figure,
    alt=f"Points of test accuracy beyond cross-entropy's, a row a loss, means of five seeds: {words}.",
    caption="How to read it: grey marks are seeds, the bar is the 95 % interval of their mean. A bar "
    "that does not meet the line at 0 is a difference.",
)

# %% [markdown]
# Look at the first table: every interval holds every other loss's mean, or nearly. Seeds differ in their data, and that is most of what the
# intervals show. In the *differences* the seeds' own luck falls out, for all losses of a seed had the same. So compare by differences, and
# say what each loss was given: with twice the epochs, or another rate, the order is another one. That order is a fact about 180 steps on
# noisy digits, and not about the losses.

# %% [markdown]
# ## What to read next
# [Chapter 11](11_proper_losses_and_calibration.ipynb) asks which losses can be trusted to give probabilities at all, and repairs those
# that cannot; dual focal loss is there. [Chapter 12](12_imbalance_and_many_labels.ipynb) takes up where PolyLoss with $\varepsilon = -1$
# leaves off. [Chapter 01](01_from_likelihood_to_cross_entropy.ipynb#comp_sum) has the comp-sum family under wrong labels, and
# [chapter 71](71_neural_collapse.ipynb) what smoothing, focal loss and squentropy do to features when training goes on.
#
# ## References
# - de Brébisson, A. & Vincent, P. (2016). An exploration of softmax alternatives belonging to the spherical loss family. *ICLR*, arXiv
#   1511.05042.
# - Chen, F. et al. (2025). Rethinking fine-tuning when scaling test-time compute: limiting confidence improves mathematical reasoning.
#   *NeurIPS*, arXiv 2502.07154.
# - Dai, B. (2024). EnsLoss: stochastic calibrated loss ensembles for preventing overfitting in classification. arXiv 2409.00908.
# - Feng, L. et al. (2020). Can cross entropy loss be robust to label noise? *IJCAI*.
# - Hui, L., Belkin, M. & Wright, S. (2023). Cut your losses with squentropy. *ICML*, arXiv 2302.03952.
# - Leng, Z. et al. (2022). PolyLoss: a polynomial expansion perspective of classification loss functions. *ICLR*, arXiv 2204.12511.
# - Li, X. et al. (2020). Generalized focal loss: learning qualified and distributed bounding boxes for dense object detection.
#   *NeurIPS*, arXiv 2006.04388.
# - Lin, T.-Y. et al. (2017). Focal loss for dense object detection. *ICCV*, arXiv 1708.02002.
# - Mao, A., Mohri, M. & Zhong, Y. (2023). Cross-entropy loss functions: theoretical analysis and applications. *ICML*, arXiv
#   2304.07288.
# - Menon, A. K., Rawat, A. S., Reddi, S. J. & Kumar, S. (2020). Can gradient clipping mitigate label noise? *ICLR*.
# - Mukhoti, J. et al. (2020). Calibrating deep neural networks using focal loss. *NeurIPS*, arXiv 2002.09437.
# - Müller, R., Kornblith, S. & Hinton, G. (2019). When does label smoothing help? *NeurIPS*, arXiv 1906.02629.
# - Shrivastava, S., Zhang, X., Nagesh, S. & Parchami, A. (2023). DatasetEquity: are all samples created equal? In the quest for equity
#   within datasets. *ICCV-W*, arXiv 2308.09878.
# - Szegedy, C. et al. (2016). Rethinking the Inception architecture for computer vision. *CVPR*, arXiv 1512.00567. (Label smoothing.)
# - Zhang, Z. & Sabuncu, M. (2018). Generalized cross entropy loss for training deep neural networks with noisy labels. *NeurIPS*, arXiv
#   1805.07836.
# - Zhu, D., Ying, Y. & Yang, T. (2023). Label distributionally robust losses for multi-class classification: consistency, robustness
#   and adaptivity. *ICML*, arXiv 2112.14869.
