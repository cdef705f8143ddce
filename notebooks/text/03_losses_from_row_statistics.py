# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 Losses from row statistics
#
# A loss turns a row of scores into one number, and it looks at very little of the row to do so. This chapter says how little. From it
# follow a gradient that is always a sum of two effects, losses over a quarter of a million classes whose scores are never held, losses
# that need no scores at all, and pairs of images and texts that are scored by the thousand. Three matrix products are what it costs.

# %% [markdown]
# ## What you will be able to do
# - write a loss as a function of a few numbers a row, and read its gradient off as a sum of two effects;
# - train over a whole vocabulary without holding the logits, and say what that costs in products and bytes;
# - tell when skipping small gradients is a bargain, and when it is a wrong answer;
# - find the losses for which matrix products with the classes can be avoided altogether;
# - compare SigLIP's sigmoid loss with InfoNCE as the batch grows;
# - choose between a loss for ranks within a query and one for a threshold over all queries.
#
# ## Before you start
# | you need | how much |
# |---|---|
# | [chapter 01](01_from_likelihood_to_cross_entropy.ipynb) | softmax, cross-entropy, $p - e_y$ |
# | linear algebra | matrix products, and what they cost |
# | calculus | the chain rule through a few intermediate numbers |
# | minutes | 120, in six sections that can be read one at a time |
#
# ## Papers in this chapter
# | section | paper |
# |---|---|
# | 2 | Wijmans et al. 2025, Cut Your Losses in Large-Vocabulary Language Models |
# | 3 | de Brébisson & Vincent 2016, The Z-loss: a shift and scale invariant classification loss |
# | 4 | Zhai et al. 2023, Sigmoid Loss for Language Image Pre-Training |
# | 5 | Sheikholeslami et al. 2025, Optimizing What Matters: AUC-Driven Learning for Robust Neural Retrieval |
# | 6 | Gupta et al. 2024, Dual-Encoders for Extreme Multi-Label Classification |

# %%
import dataclasses
import math

import torch
from lossbook import LinearLogits, benchmarks, check_gradient, claim, row_loss, row_statistics
from lossbook.exercises import chapter_03 as exercises
from lossbook.exercises import chapter_03_pairs as pair_exercises
from lossbook.experiments import (
    class_count,
    gradient_filter,
    image_text,
    language_model,
    many_positives,
    retrieval_offsets,
    spherical,
)
from lossbook.figures import new_figure, show
from lossbook.figures.benchmarks import methods_text, plot_methods
from lossbook.figures.large_vocabulary import (
    SORTED_PANEL,
    plot_cost,
    plot_lost,
    plot_perplexity,
    plot_skipped,
)
from lossbook.figures.pairs import (
    SCORES_PANEL,
    plot_memory,
    plot_missed,
    plot_precision,
    plot_pushed_down,
    plot_ranking,
)
from lossbook.figures.spherical import plot_top_k
from lossbook.kernels import NAMES
from lossbook.losses import (
    cross_entropy,
    decoupled_softmax_loss,
    info_nce_loss,
    logistic_loss,
    logit_square_penalty,
    mann_whitney_loss,
    one_hot_squared_error_loss,
    siglip_loss,
    stablemax_cross_entropy,
    z_loss,
)
from lossbook.metrics import area_over_curve, auc, blocks_kept, cost, filtered, linear_cost
from lossbook.training import factor, factored_step
from lossbook.widgets import ComposeExplorer, PairsExplorer, SimplexExplorer, TrainingExplorer
from lossbook.widgets.compose import compose, statistics_of, two_effects

# %% [markdown]
# ## 1 A row of scores, and the few numbers a loss sees
# *origin: hybrid · statistics: all of them*
#
# **Predict first.** A language model scores 8,192 words against a vocabulary of 256,000. In single precision these logits take 7.8 GiB,
# and training holds them three times over. How many numbers of a row does cross-entropy need to know? And how many does its gradient
# need, for one of the 256,000 entries? Then choose the presets in the explorer one after the other, and watch the left panel.
#
# *(Two: $z_y$ and $L$. For one entry of the gradient these two and that entry itself, which can be computed again.)*

# %%
compose_explorer = ComposeExplorer()
compose_explorer

# %% [markdown]
# ### Where it comes from
# Look at the losses so far and ask what they read of a row $z$. Cross-entropy reads $z_y$ and $L = \log\sum_j e^{z_j}$. The whole
# [comp-sum family](01_from_likelihood_to_cross_entropy.ipynb#eq-comp-sum) reads $z_y - L$. Squared error reads $\sum_j z_j^2$ and $z_y$.
# These numbers are **row statistics**, and there are not many:

# %%
for name, meaning in NAMES.items():
    print(f"{name:22}{meaning}")

# %% [markdown]
# A loss is a plain function of a few of them. Cross-entropy with the penalty $\lambda L^2$, which keeps the scores of large language
# models from drifting, is this and nothing more:

# %%
logits = torch.tensor([[2.0, 1.0, 0.0], [-1.0, 0.5, 3.0]], dtype=torch.float64)
target = torch.tensor([0, 1])


def penalised(stats):
    """−log p_y + 0.1 L², one number a row."""
    return stats.logsumexp - stats.target + 0.1 * stats.logsumexp**2


mine = row_loss(penalised, logits, target, ("target", "logsumexp"))
claim(
    "four words of algebra, and it is cross-entropy with the penalty",
    mine - (cross_entropy(logits, target) + 0.1 * logit_square_penalty(logits, target)),
    0,
    1e-15,
)
stats = row_statistics(logits, target, ("target", "logsumexp"))
claim(
    "L − z_y is torch's cross-entropy, row by row",
    stats.logsumexp
    - stats.target
    - torch.nn.functional.cross_entropy(logits, target, reduction="none"),
    0,
    1e-15,
)

# %% [markdown]
# #### The gradient as a sum of two effects
# Let a loss $\ell$ see the statistics $s_1, \dots, s_K$. By the chain rule
#
# $$\frac{\partial \ell}{\partial z_j} = \sum_k c_k\,\frac{\partial s_k}{\partial z_j}, \qquad c_k = \frac{\partial \ell}{\partial s_k} .$$
#
# The $c_k$ are a handful of numbers a row. And $\partial s_k/\partial z_j$ is of one of two kinds. If $s_k$ sums something over the classes,
# every class gets the same *function* of its own score: $p_j$ from $L$, $2z_j$ from $\sum z^2$, $\sigma(z_j)$ from
# $\sum\operatorname{softplus}(z)$. If $s_k$ is the target's score, the right class gets 1 and the others nothing. So
#
# <a id="eq-two-effects"></a>
# $$\frac{\partial \ell}{\partial z_j} = \underbrace{\sum_k c_k\,\varphi_k(z_j)}_{\text{on every class}} + \underbrace{c_y\,[j = y]}_{\text{at the right class}} .$$
#
# For $-\log p_y + \lambda L^2$: every class gets $(1 + 2\lambda L)\,p_j$, the right one $-1$ besides. The bars of the explorer are these two.
# They are found by differentiating a few numbers, not a row.

# %%
row, right = (
    torch.tensor([[2.0, 1.2, 0.6, 0.2, -0.2, -0.6, -1.2, -2.0]]).double(),
    torch.tensor([0]),
)
chosen = {"likelihood": 1.0, "normaliser": 0.1}
value, on_every_class, at_the_right_class = two_effects(chosen, row, right)
level = torch.logsumexp(row, 1)
claim(
    "on every class: (1 + 2λL) p_j",
    torch.from_numpy(on_every_class) - (1 + 0.2 * level) * torch.softmax(row, 1)[0],
    0,
    1e-15,
)
claim("at the right class: −1", at_the_right_class, expected=-1)
generator = torch.Generator().manual_seed(0)
worst = 0.0
for _ in range(50):  # losses that nobody has published
    drawn = dict(
        zip(compose_explorer.values, torch.rand(8, generator=generator).tolist(), strict=False)
    )
    free = row.clone().requires_grad_()
    _, every, alone = two_effects(drawn, row, right)
    loss = row_loss(compose(drawn), free, right, statistics_of(drawn))
    (whole,) = torch.autograd.grad(loss, free)
    every[0] += alone
    worst = max(worst, float((whole[0] - torch.from_numpy(every)).abs().max()))
claim("50 random compositions: two effects, and nothing else", worst, at_most=1e-15)

# %% [markdown]
# #### Two further consequences
# *A row may be read in pieces.* Every statistic is a sum of some kind, so what two blocks of classes have seen can be joined. For $L$ keep
# the pair $(m, s)$ of [online softmax](02_softmax_and_its_numerics.ipynb#eq-online-softmax), the largest score and $\sum e^{z_j - m}$. Then
#
# <a id="eq-join-blocks"></a>
# $$(m_1, s_1) \oplus (m_2, s_2) = \bigl(m,\; s_1 e^{m_1 - m} + s_2 e^{m_2 - m}\bigr), \qquad m = \max(m_1, m_2),$$
#
# in any order, over any number of blocks, of processes, of machines. Exercise 2 asks you for it.
#
# *A row need not be kept.* If scores are products, $z = Wx + b$, they can be formed for some rows, read, turned into their gradient in
# place, used for $\partial\ell/\partial x$ and $\partial\ell/\partial W$, and forgotten. One matrix product makes the scores, two make the
# gradients. Holding them takes just as many.
#
# > **Definition.** `row_statistics(logits, target, names)` gives the named numbers of each row, differentiable.
# > `row_loss(row, logits, target, names)` is the mean of `row(stats)` over the rows, where `row` is a function of these numbers alone.
# > `logits` is a tensor, or `LinearLogits(features, weight, bias)`, which stands for the product. Origin: hybrid, an observation about
# > losses of every origin. Limits: `row` may be any differentiable function; a loss that sorts a row or searches it is not of this kind.
#
# ### What to look for in the picture
# *Cross-entropy*: the plain bars (blue) are $p_j$, the striped one (orange) is $-1$. *Label smoothing*: turn up `spread`; where $p_j$ has
# died, a level pull of $-\varepsilon/V$ remains. *Each class by itself*: move the spread; the plain bars are $\sigma(z_j)$ and do not care
# what the other scores are. *Least squares*: on the right a fourth bar appears, of an engine that forms no scores. Let `rows N` grow and compare.

# %%
seen = compose_explorer.move_every_control()
claim(
    "moving the controls of the composing explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=20,
)

# %% [markdown]
# ### The experiment: counting
# Four losses, each with the scores held and with the scores never whole: 256 rows, 3,000 classes, 64 features. Every tensor operation is
# watched: how many multiplications its matrix products take, and how many bytes are held at one time. These are counts and not timings, so
# they are the same on every machine.
#
# #### What must hold
# | claim, fixed before the run | why |
# |---|---|
# | loss and gradients agree to $10^{-12}$ in double precision | same numbers, other order |
# | three products with the scores held, three without, to 1 % | scores are turned into their gradient in place |
# | at most a tenth of the bytes beyond inputs and gradients | a chunk, not all rows |
# | four products where the numbers themselves are asked for | what will be done with them is not known in advance, so scores are formed twice |

# %%
rows, classes, dimension = 256, 3000, 64
make = {"generator": generator, "dtype": torch.float64}
features = torch.randn(rows, dimension, **make).requires_grad_()
weight = torch.randn(classes, dimension, **make).div(8).requires_grad_()
labels = torch.randint(classes, (rows,), generator=generator)
product = rows * classes * dimension
never_whole = LinearLogits(features, weight, memory_budget=2**18, engine="chunked")
outputs = (features.numel() + weight.numel()) * 8


def with_gradients(loss, scores):
    """A loss and its gradients by features and weight."""
    found = loss(scores() if callable(scores) else scores, labels)
    return found.detach(), *torch.autograd.grad(found, (features, weight))


for loss in (
    cross_entropy,
    logit_square_penalty,
    stablemax_cross_entropy,
    one_hot_squared_error_loss,
):
    held = with_gradients(loss, lambda: features @ weight.T)
    ours = with_gradients(loss, never_whole)
    claim(
        f"{loss.__name__}: value and gradients agree, relative to the largest entry",
        max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(held, ours, strict=True)),
        at_most=1e-12,
    )
    spent_held = cost(with_gradients, loss, lambda: features @ weight.T)
    spent = cost(with_gradients, loss, never_whole)
    claim(
        "  matrix products, held and not",
        torch.tensor([spent_held.multiplications, spent.multiplications]) / product,
        3,
        0.03,
    )
    claim(
        "  bytes beyond inputs and gradients, of those with the scores held",
        (spent.peak_bytes - outputs) / (spent_held.peak_bytes - outputs),
        at_most=0.1,
    )


def by_statistics(scores, labels):
    """Cross-entropy again, from numbers that anything might have been done with."""
    return (-row_statistics(scores, labels, ("log_probability",)).log_probability).mean()


spent = cost(with_gradients, by_statistics, never_whole)
claim("from row_statistics: four products", spent.multiplications / product, 4, 0.04)

# %% [markdown]
# ### Why does this differ from the libraries I know?
# - **One loss, one kernel.** Liger, quack, cut-cross-entropy and torch itself fuse cross-entropy and a handful of others, each by hand. Here
#   the engine knows statistics, and the loss is yours. Cut-cross-entropy's `return_lse` is the same idea for one statistic.
# - **Label smoothing** in torch mixes the target with the uniform distribution. As statistics it is $-\log p_y$ plus
#   $\varepsilon(\log p_y - \frac1V\sum_j\log p_j)$, term for term what the explorer has.
# - **What is not of this kind.** Sparsemax and entmax search a threshold, ranking losses sort: they need engines of their own. Losses that
#   compare two rows, a student's and a teacher's, have one: `teacher_statistics`.

# %%
smoothed = {"likelihood": 1.0, "smoothing": 0.1}
claim(
    "label smoothing of 0.1 is torch's",
    row_loss(compose(smoothed), logits, target, statistics_of(smoothed))
    - torch.nn.functional.cross_entropy(logits, target, label_smoothing=0.1),
    0,
    1e-15,
)

# %% [markdown]
# ### When to use it
# Whenever you try a loss that no library has: write the row function, and every engine serves it. Do not reach for `LinearLogits` when
# the scores are few. With 10 classes the logits are smaller than the features, and a plain tensor is quicker and easier to look at.
#
# ### Exercises
# **Exercise 1. Two effects by hand.** The gradient by the logits of $-\log p_y + \lambda L^2$.


# %% tags=["exercise"]
def two_effects_by_hand(logits, target, strength):
    """The gradient of −log p_y + strength · L² by the logits, (rows, classes)."""
    return 0 * logits  # your turn


# %% tags=["check"]
exercises.check_two_effects(two_effects_by_hand)

# %% [markdown]
# *Solution.* $\ell = L - z_y + \lambda L^2$. So [the two effects](#eq-two-effects) have $c_L = 1 + 2\lambda L$ and $c_y = -1$; and
# $\partial L/\partial z_j = p_j$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def two_effects_solution(logits, target, strength):
    """The gradient of −log p_y + strength · L² by the logits, (rows, classes)."""
    level = torch.logsumexp(logits, 1, keepdim=True)
    gradient = (1 + 2 * strength * level) * torch.softmax(logits, 1)
    gradient[torch.arange(len(target)), target] -= 1
    return gradient


verdict = exercises.check_two_effects(two_effects_solution)
claim("the solution passes its check", verdict.passed)
worst = check_gradient(
    lambda z: row_loss(penalised, z, target, ("target", "logsumexp"), reduction="sum"),
    lambda z: two_effects_solution(z, target, 0.1),
    logits,
)
verdict

# %% [markdown]
# <a id="cce"></a>
# ## 2 A whole vocabulary, and no logits
# *Wijmans, Huval, Hertzberg, Koltun & Krähenbühl, ICLR 2025, arXiv 2411.09009 · origin: likelihood · statistics: log_probability*
#
# **Predict first.** Jane Austen's six novels have 16,196 kinds of words and signs. A model guesses the next one among all of them. After
# some training, most entries of $p - e_y$ are tiny: of a hundred, two reach $2^{-12} = 0.00024$. Skip every block of 128 words by 128
# classes in which none does. How much time may that save, and how wrong will the gradient be? Guess two percentages.
#
# *(Sorted well, four blocks in five are skipped. The gradient by the features is then off by 5 % after 60 steps, and by 12 % after 20.)*
#
# ### Where it comes from
# The loss needs $z_y$, one dot product a row, and $L$, which [section 1 joins from blocks](#eq-join-blocks). So the forward pass visits
# block after block of the product $XW^\top$ and keeps two numbers a row. The backward pass visits them again, forms
#
# <a id="eq-cut-cross-entropy"></a>
# $$G_{ij} = p_{ij} - [j = y_i], \qquad \frac{\partial\ell}{\partial X} = G W, \qquad \frac{\partial\ell}{\partial W} = G^\top X,$$
#
# block by block, and forgets it. That is **cut cross-entropy**. There are two ways to cut. All classes of *some rows* at a time (chunks): a
# row is complete when it is seen, so the gradient follows at once, three products in all. *Some classes* of some rows (tiles): less
# memory still, but the gradient has to wait for the whole row and forms each tile again, a fourth product.


# %%
def bounds(engine, **options):
    """Value and gradients of cross-entropy by an engine, on the features and weight of section 1."""
    return with_gradients(cross_entropy, LinearLogits(features, weight, engine=engine, **options))


held = with_gradients(cross_entropy, lambda: features @ weight.T)
for engine in ("chunked", "tile"):
    claim(
        f"{engine}: loss and gradients are those of held logits",
        max(float((a - b).abs().max()) for a, b in zip(held, bounds(engine), strict=True)),
        at_most=1e-14,
    )
parts = (features @ weight.T).detach().split([1000, 1500, 500], 1)
pairs = [(part.amax(1), (part - part.amax(1, keepdim=True)).exp().sum(1)) for part in parts]
m, s = pairs[0]
for m_next, s_next in pairs[1:]:
    m, s = (
        torch.maximum(m, m_next),
        s * (m - torch.maximum(m, m_next)).exp()
        + s_next * (m_next - torch.maximum(m, m_next)).exp(),
    )
claim(
    "three blocks, joined, give the log-sum-exp of the row",
    m + s.log() - torch.logsumexp((features @ weight.T).detach(), 1),
    0,
    1e-14,
)

# %% [markdown]
# **The filter.** Most of $G$ is nearly nothing, and in half precision an entry below $2^{-12}$ hardly moves the sum that it is added to. So
# cut cross-entropy skips a block of $128 \times 128$ where *every* $|G_{ij}| < \varepsilon$. A single large entry keeps its block. That is why
# the classes are first sorted by their mean logit: those that matter gather in few blocks. What is lost is bounded,
#
# <a id="eq-filter-bound"></a>
# $$\Bigl|\Delta\frac{\partial \ell_i}{\partial x_{id}}\Bigr| \le \varepsilon \sum_j |W_{jd}|,$$
#
# but the bound is a sum over *all* classes. It allows a great deal, and the entries that are skipped are no noise: each is a small push
# *down*. They have one sign, and they add up.

# %%
epsilon, block = 2.0**-8, 16  # on a small gradient, small blocks
with torch.no_grad():
    gradient = torch.softmax(features @ weight.T, 1)
    gradient[torch.arange(rows), labels] -= 1
    kept = filtered(gradient, epsilon, block=block)
    missing = (kept - gradient) @ weight
    share = 1 - float(blocks_kept(gradient, epsilon, block=block).double().mean())
    claim("there is something to skip: share of the blocks", share, at_least=0.1)
    claim(
        "the bound holds, by a wide margin",
        (missing.abs() / (epsilon * weight.abs().sum(0))).max(),
        at_most=1,
    )
    claim(
        "all that is skipped pushes down: no entry is negative",
        gradient[kept != gradient],
        at_least=0,
    )
exact = bounds("tile", gradient_filter=0.0)
claim(
    "with ε = 0 nothing is skipped",
    max(float((a - b).abs().max()) for a, b in zip(held, exact, strict=True)),
    at_most=1e-14,
)

# %% [markdown]
# > **Definition.** `cross_entropy(LinearLogits(features, weight, bias), target)` is cross-entropy of the product, never held whole.
# > `memory_budget` are the bytes that a chunk may take; `engine="tile"` takes the least memory; `softcap`, `shift` and ignored rows are
# > torch's and language models' usual ones. Origin: likelihood; the engine changes nothing about the loss. `gradient_filter=ε` is the
# > filter, off unless asked for. Limits: $\varepsilon = 0$ is exact; beyond the largest $|G|$ nothing is learned.
#
# ### What to look for in the picture
# The model below is a small one: two words before, 32 features, one tanh layer, 60 steps. It begins at the logarithms of the words'
# frequencies, [the optimal constant of chapter 01](01_from_likelihood_to_cross_entropy.ipynb#eq-optimal-constant). Right, the softmax of a
# held-out word, sorted. Between 400 and 500 classes lie above $\varepsilon$, and almost 16,000 below. Scrub through the steps: there is
# much to learn about the first hundred, and little about the tail.

# %%
model_run = language_model.run(language_model.SCALES["small"], progress=False)
training = model_run.history[model_run.history["part"] == "training"]
measured = training.dropna(subset=["loss"])[["setting", "seed", "step", "loss"]]
sorted_explorer = TrainingExplorer(
    dataclasses.replace(model_run, history=measured), panel=SORTED_PANEL, metric="loss"
)
sorted_explorer.set(step=model_run.config.steps)
sorted_explorer

# %%
seen = sorted_explorer.move_every_control()
claim(
    "moving the controls of the training explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=3,
)

# %% [markdown]
# ### The experiment: memory, a language model, and the filter
# First the memory, counted as in [section 1](#1-A-row-of-scores,-and-the-few-numbers-a-loss-sees), for more and more rows and classes at 64
# features. Then the model: trained with the logits held, with chunks, and with tiles and the filter, from the same start on the same
# batches. At every twentieth step the gradient of 512 held-out words is looked at, with the classes cut into blocks in three orders.
#
# #### What must hold
# Fixed after a look at five seeds (0 to 4); the run has one of them.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | memory with held logits is three to four times $N \cdot V$ numbers | 2.9 to 3.9 | counted |
# | chunks and tiles stay within a few budgets, whatever $N$ and $V$ | 0.3 to 3.2 MiB at a budget of 1 MiB | counted |
# | the losses of the batches are the same, held or not, to $10^{-5}$ nats | at most $1.4 \cdot 10^{-6}$ | 5 of 5 |
# | perplexity falls below 0.87 of what frequencies alone give | 0.80 to 0.82 | 5 of 5 |
# | sorting by mean logit: at least 0.7 of the blocks skipped, at every step | 0.82 to 0.84 | 5 of 5 |
# | in dictionary order at the end: at most 0.1 | 0.01 to 0.04 | 5 of 5 |
# | the gradient by the features is then off by at least 0.07 at step 20 | 0.12 to 0.15 | 5 of 5 |
# | and by 0.02 to 0.1 at step 60 | 0.05 to 0.07 | 5 of 5 |
# | the loss on held-out words with the filter is within 0.03 nats | 0.001 to 0.011 | 5 of 5 |
#
# Not claimed, because it does not come out: that the share of skipped blocks *grows* with training. It falls a little. And that sorting by
# mean logit is better than sorting by frequency: here they are equal, and frequency is free.

# %%
memory_run = class_count.run(class_count.SCALES["small"], progress=False)
spent = memory_run.history.pivot_table(index="engine", columns=["rows", "classes"], values="bytes")
print((spent / 2**20).round(1).to_string())
budget = memory_run.config.memory_budget
sizes = [4 * rows * classes for rows, classes in spent.columns]
claim("held logits: three to four times the logits", spent.loc["held"] / sizes, 3.5, 0.6)
claim("chunks: never more than two budgets", spent.loc["chunked"].max() / budget, at_most=2)
claim("tiles: never more than four", spent.loc["tile"].max() / budget, at_most=4)

# %%
batches = training.pivot(index="step", columns="setting", values="batch_loss")
claim(
    "the same losses, held or never whole, batch for batch (nats)",
    (batches["held"] - batches["chunked"]).dropna().to_numpy(),
    0,
    1e-5,
)
end = training[training["step"] == model_run.config.steps].set_index("setting")
perplexity = math.exp(end.loc["chunked", "loss"])
by_frequency = math.exp(end.loc["chunked", "unigram"])
print(f"perplexity on held-out words: {perplexity:.0f}; frequencies alone: {by_frequency:.0f}")
claim("below 0.87 of what frequencies alone give", perplexity / by_frequency, at_most=0.87)
looks = model_run.history[model_run.history["part"] == "filter"].set_index(["setting", "step"])
last = model_run.config.steps
claim(
    "sorted by mean logit: share of blocks skipped",
    looks.loc["mean logit", "skipped"].to_numpy(),
    at_least=0.7,
)
claim("in dictionary order, at the end", looks.loc[("dictionary", last), "skipped"], at_most=0.1)
error = looks.loc["mean logit", "error"]
claim("the gradient by the features, step 20: relative error", error[20], at_least=0.07)
claim("and at the end", error[last], at_least=0.02, at_most=0.1)
claim(
    "trained with the filter, the loss is within 0.03 nats all the same",
    end.loc["filtered", "loss"] - end.loc["chunked", "loss"],
    0,
    0.03,
)

# %%
figure, (left, right) = new_figure(2, height=4.0)
plot_cost(memory_run, ax=left)
plot_cost(memory_run, ax=right, along="rows", legend=False)
most = spent.loc[:, (1024, 16_000)] / 2**20
show(
    figure,
    alt="Memory beyond inputs and gradients, in MiB, against the number of classes at 1,024 rows "
    "(left) and of rows at 16,000 classes (right), both axes logarithmic. Held logits climb "
    f"in proportion, to {most['held']:.0f}. Chunks stay at {most['chunked']:.1f} and tiles at "
    f"{most['tile']:.1f}. The Gram engine of section 3 grows with the rows only, to {most['Gram']:.1f}.",
    caption="How to read it: the discs (blue) are what a plain implementation holds. The level lines do not "
    "know how large the vocabulary is.",
)

# %%
figure, (left, middle, right) = new_figure(3, width=10.0, height=3.8)
plot_perplexity(model_run, ax=left)
plot_skipped(model_run, ax=middle)
plot_skipped(model_run, ax=right, quantity="error", legend=False)
skipped = looks["skipped"]
show(
    figure,
    alt=f"Left: perplexity against steps, three lines on top of each other, from {by_frequency:.0f} to "
    f"{perplexity:.0f}. Middle: share of blocks skipped; by mean logit and by frequency it stays near "
    f"{skipped['mean logit', last]:.2f}, in dictionary order it falls to {skipped['dictionary', last]:.2f}. "
    f"Right: relative error of the gradient by the features, {error[20]:.2f} at step 20 and {error[last]:.2f} "
    "at the end where blocks are sorted, nearly 0 in dictionary order.",
    caption="How to read it: the middle is what sorting gains, the right what skipping costs. "
    "The left says that this short training does not feel it.",
)

# %% [markdown]
# **A larger vocabulary.** 50,257 words are GPT-2's. No text of that size comes with the book, so one is generated: Zipf's frequencies, and
# words that habitually follow each other. The softmax is flatter there. Four blocks in five and more are skipped from the first step on,
# and the gradient by the features is off by two fifths. *What must hold*, after the five seeds 0 to 4: at least 0.8 skipped (seen 0.91 to
# 0.92), an error of at least 0.25 (0.39 to 0.57), and a loss that falls by 0.1 nats in 20 steps (0.16 to 0.23).

# %%
large = language_model.Config(
    data="generated",
    ways=("chunked",),
    batch_size=64,
    steps=20,
    every=10,
    test_words=512,
    looked_at=128,
)
large_run = language_model.run(large, progress=False)
looked = large_run.history[large_run.history["setting"] == "mean logit"].set_index("step")
claim("50,257 words: share of blocks skipped", looked["skipped"].to_numpy(), at_least=0.8)
claim("relative error of the gradient", looked["error"].dropna().to_numpy(), at_least=0.25)
falls = large_run.history.dropna(subset=["loss"])["loss"]
claim("the loss falls (nats)", falls.iloc[0] - falls.iloc[-1], at_least=0.1)

# %% [markdown]
# **When the filter lies.** It was made for a peaked softmax in half precision. The next run applies it to other gradients: 16,384 classes,
# right ones drawn by Zipf's law, and rows of the weight that share half of their length. *What must hold*, seen in 5 of 5 seeds: at
# deviations 1 and 3 nothing is skipped, so nothing is gained; where all logits are equal, as in the first step of a network that begins at
# zero, and under [StableMax](70_grokking_and_softmax_collapse.ipynb#eq-stablemax), more than half of the mass is lost, and the gradient by
# the features is off by a fifth or more.

# %%
lost_run = gradient_filter.run(gradient_filter.SCALES["small"], progress=False)
lost = lost_run.history.set_index("setting")
for setting in ("cross-entropy, deviation 1", "cross-entropy, deviation 3"):
    claim(f"{setting}: blocks skipped", lost.loc[setting, "skipped"], expected=0)
for setting in (gradient_filter.FLAT, "StableMax, deviation 1", "StableMax, deviation 3"):
    claim(f"{setting}: mass lost", lost.loc[setting, "lost"], at_least=0.5)
    claim("  and the gradient by the features is off by", lost.loc[setting, "error"], at_least=0.2)
claim("SigLIP: mass lost", lost.loc[gradient_filter.SIGLIP, "lost"], at_least=0.2)

# %%
figure, ax = new_figure(width=9.0, height=4.4)
plot_lost(lost_run, ax=ax)
show(
    figure,
    alt="Bars for seven kinds of gradient: share of blocks skipped, of mass lost, and relative error of the "
    "gradient by the features. "
    + "; ".join(
        f"{name}: {row.skipped:.2f}, {row.lost:.2f}, {row.error:.2f}"
        for name, row in lost.iterrows()
    )
    + ".",
    caption="How to read it: a filter is worth having where the first bar is long and the other two are short. "
    "None of these is such a case; a trained model with a peaked softmax is.",
)

# %% [markdown]
# **On a graphics card.** The table recorded last, if there is one: cross-entropy with gradients by each method, against three bare
# products.

# %%
table = benchmarks.latest("cuda")
if table is None:
    print("No GPU has recorded a table yet; `lossbook bench` on one writes it to data/benchmarks/.")
    table = benchmarks.latest()
if table is None:
    print("Nor has a CPU: `lossbook bench --quick --record` takes two minutes.")
    shown = None
else:
    _, (left, right) = new_figure(2, width=10.0, height=4.6, sharey=True)
    plot_methods(table, (left, right))
    shown = show(
        left.figure,
        alt=methods_text(table),
        caption="How to read it: farther left is better in both. The dashed line is three bare products.",
    )
shown

# %% [markdown]
# ### Why does this differ from the paper, or from library X?
# - **Size.** The authors take Gemma 2 with 256,000 words: 24 GB of logits and their like become 1 MB. A trained model of that size has a far
#   more peaked softmax than our sixty steps, and there the filter more than halves the time of the backward pass. On a CPU it saves little.
# - **Precision.** The authors' default $\varepsilon$ is a 32nd of the number format's rounding: $2^{-12}$ in bfloat16, $2^{-28}$ in single
#   precision, where the filter skips hardly anything. We look at $2^{-12}$ in single precision to see what the *filter* does, apart from
#   rounding.
# - **Deterministic.** The authors' kernels add to shared memory under locks, in an order that changes from run to run. Ours combine
#   blocks in a fixed order: twice is bitwise the same.
# - **Chunks by default.** Their kernel is a tile engine. Chunks take a fourth less work and only somewhat more memory, so they are our
#   default; tiles are for small budgets.
# - **No row counts.** Where all targets are ignored torch gives NaN, and so do they; here it is a differentiable 0.

# %%
claim(
    "2⁻²⁸ skips nothing of this gradient",
    1 - blocks_kept(gradient, 2.0**-28).double().mean(),
    expected=0,
)
twice = [bounds("tile", memory_budget=2**16) for _ in range(2)]
claim(
    "tiles, twice: bitwise equal",
    all(torch.equal(a, b) for a, b in zip(*twice, strict=True)),
)
ignored = torch.full_like(labels, -100)
claim(
    "no row counts: 0, and no NaN",
    cross_entropy(LinearLogits(features, weight), ignored),
    expected=0,
)

# %% [markdown]
# ### When to use it
# Whenever $N \cdot V$ is larger than you like: language models, large catalogues, contrastive batches. The chunked engine costs nothing
# but the chunk. Leave the filter off. Turn it on when the softmax is peaked, the precision is half, time is short, and you have looked at
# the error once, as above. Never with a loss whose gradient decays like a power.
#
# ### Exercises
# **Exercise 2. Join two blocks.** Each is a pair (maximum, sum of the exponentials measured from it).


# %% tags=["exercise"]
def combine(first, second):
    """The pair (maximum, sum) of two blocks of classes together."""
    return torch.maximum(first[0], second[0]), first[1] + second[1]  # not quite


# %% tags=["check"]
exercises.check_combine(combine)

# %% [markdown]
# *Solution.* [Both sums](#eq-join-blocks) are brought to the larger maximum first.


# %% jupyter={"source_hidden": true} tags=["solution"]
def combine_solution(first, second):
    """The pair (maximum, sum) of two blocks of classes together."""
    m = torch.maximum(first[0], second[0])
    return m, first[1] * (first[0] - m).exp() + second[1] * (second[0] - m).exp()


verdict = exercises.check_combine(combine_solution)
claim("the solution passes its check", verdict.passed)
m, s = combine_solution(pairs[0], combine_solution(pairs[2], pairs[1]))
claim(
    "and the order of the blocks does not matter",
    m + s.log() - torch.logsumexp((features @ weight.T).detach(), 1),
    0,
    1e-14,
)
verdict

# %% [markdown]
# <a id="z_loss"></a>
# ## 3 The spherical family: a loss without a matrix of scores
# *de Brébisson & Vincent 2016, arXiv 1604.08859 · origin: heuristic · statistics: target, mean, variance*
#
# **Predict first.** 2,048 words, 32 features. With 1,000 classes, cross-entropy and its gradients take some milliseconds; with 16,000
# classes sixteen times as many. Another loss asks only how many standard deviations the right score stands above the mean of its row. Must
# it, too, look at every score? Guess the factor by which it is quicker at 16,000 classes.
#
# *(No. It forms none of the 33 million scores, and is some forty times quicker.)*

# %%
z_explorer = SimplexExplorer("z_loss")
z_explorer

# %% [markdown]
# ### Where it comes from
# Standardise the row as one would standardise exam marks, $\hat z_j = (z_j - \mu)/\sigma$, with mean and deviation over the $V$ scores. Ask
# that the right class stand high. A softplus makes it a loss,
#
# <a id="eq-z-loss"></a>
# $$\ell(z, y) = \frac1a \log\bigl(1 + e^{a(b - \hat z_y)}\bigr) .$$
#
# $b$ is the standard score that is enough, $a$ how sharply "enough" is meant. Differentiate. $\hat z_y$ moves with $z_y$, with $\mu$ and with
# $\sigma$, and the two effects are plain:
#
# <a id="eq-z-loss-gradient"></a>
# $$\frac{\partial \ell}{\partial z_j} = -\frac{s}{\sigma}\Bigl([j = y] - \frac1V - \frac{\hat z_y \hat z_j}{V}\Bigr), \qquad
# s = \frac{1}{1 + e^{-a(b - \hat z_y)}} .$$
#
# The loss does not change when all scores are shifted or stretched. So its gradient sums to zero and is orthogonal to $z$.

# %%
scores = torch.randn(6, 9, dtype=torch.float64, generator=generator)
marks = torch.randint(9, (6,), generator=generator)


def standard_pull(logits, target, sharpness, aim):
    """The formula above, row by row."""
    deviation = logits.std(1, correction=0, keepdim=True)
    standard = (logits - logits.mean(1, keepdim=True)) / deviation
    one_hot = torch.nn.functional.one_hot(target, logits.shape[1])
    own = (one_hot * standard).sum(1, keepdim=True)
    pull = torch.sigmoid(sharpness * (aim - own)) / deviation
    return -pull * (one_hot - (1 + own * standard) / logits.shape[1])


for sharpness, aim in ((1.0, 0.0), (0.3, 10.0)):
    check_gradient("z_loss", standard_pull, scores, marks, sharpness=sharpness, aim=aim)
pull = standard_pull(scores, marks, 1.0, 0.0)
claim("the gradient sums to 0", pull.sum(1), 0, 1e-15)
claim("and is orthogonal to the scores", (pull * scores).sum(1), 0, 1e-15)
claim(
    "shift and scale change nothing",
    z_loss(3 * scores + 7, marks, reduction="none") - z_loss(scores, marks, reduction="none"),
    0,
    1e-14,
)
lone = torch.zeros(1, 9, dtype=torch.float64)
lone[0, 4] = 1.0
claim(
    "no standard score exceeds √(V − 1), so the loss has a floor",
    z_loss(lone, torch.tensor([4])),
    math.log1p(math.exp(-math.sqrt(8))),
    1e-12,
)
claim(
    "at z = (2, 1, 0, −1), a = 1, b = 0; and at a = 0.1, b = 10",
    torch.stack(
        [
            z_loss(torch.tensor([[2.0, 1.0, 0.0, -1.0]]).double(), torch.tensor([0])),
            z_loss(
                torch.tensor([[2.0, 1.0, 0.0, -1.0]]).double(),
                torch.tensor([0]),
                sharpness=0.1,
                aim=10.0,
            ),
        ]
    ),
    torch.tensor([0.232235, 12.169854]),
    5e-7,
)

# %% [markdown]
# #### The Gram trick
# Now let the scores be products, $z_j = w_j \cdot x$. What the loss needs of them is
#
# <a id="eq-gram"></a>
# $$z_y = w_y \cdot x, \qquad \sum_j z_j = \Bigl(\sum_j w_j\Bigr)\cdot x, \qquad \sum_j z_j^2 = \sum_j x^\top w_j w_j^\top x = x^\top (W^\top W)\,x .$$
#
# $\sum_j w_j$ and $W^\top W$ do not depend on $x$. They are a vector of $D$ numbers and a $D \times D$ matrix, made once a batch. After that a
# row costs $D^2$ multiplications, however many classes there are. Loss and gradients take $(3N + 2V)D^2$ instead of $3NVD$. A loss with this
# property belongs to the **spherical family**: squared error does, and so do softmaxes that square, $z_j^2 + \varepsilon$, or stop the series
# of $e^z$ after $z^2/2$. Cross-entropy does not: no finite set of moments holds $\sum_j e^{z_j}$.
#
# Even $VD^2$ can be avoided. A step of gradient descent changes all rows of $W$ alike, $W \leftarrow WA - \mathbf 1 a^\top$, and the right
# classes' by something more. Keep $W = VU + \mathbf 1 w^\top$ in factors, put the common change into $U$ and $w$, and touch the right rows of
# $V$ alone. $W^\top W$ and $W^\top\mathbf 1$ are updated beside. Then a step takes $O(D^3)$, and the number of classes is gone from the cost.

# %%
gram = (weight.T @ weight).detach()
direct = (features @ weight.T).detach()
claim(
    "Σz from the sum of the weight's rows",
    features.detach() @ weight.detach().sum(0) - direct.sum(1),
    0,
    1e-12,
)
claim(
    "Σz² from WᵀW, relative",
    ((features.detach() @ gram) * features.detach()).sum(1) / direct.square().sum(1),
    1,
    1e-13,
)
for loss in (z_loss, one_hot_squared_error_loss):
    by_gram = with_gradients(loss, LinearLogits(features, weight, engine="gram"))
    by_logits = with_gradients(loss, lambda: features @ weight.T)
    claim(
        f"{loss.__name__}: value and gradients without a single score, relative",
        max(
            float((a - b).abs().max() / a.abs().max())
            for a, b in zip(by_logits, by_gram, strict=True)
        ),
        at_most=1e-12,
    )
    spent = cost(with_gradients, loss, LinearLogits(features, weight, engine="gram"))
    claim(
        "  multiplications, as the formula has them",
        spent.multiplications / linear_cost("gram", rows, classes, dimension).multiplications,
        1,
        0.02,
    )

# %% [markdown]
# > **Definition.** `z_loss(logits, target, sharpness=1.0, aim=0.0)` is $\frac1a\log(1 + e^{a(b - \hat z_y)})$ with $a$ = `sharpness`, $b$ = `aim`.
# > Of `LinearLogits` it takes the Gram engine by itself where that is less work. Origin: heuristic. Invariant to shift and scale of the
# > row. Limits: $a \to 0$ is linear in $\hat z_y$, $a \to \infty$ a hinge at $b$; $|\hat z_y| \le \sqrt{V - 1}$ bounds the loss on both sides.
# > With two classes $\hat z_y$ is $\pm 1$ whatever the scores are, so take three or more.
#
# ### What to look for in the picture
# In the plane of logits, colours are rays: the loss depends on the direction of the centred scores and not on their length. Arrows run
# *around* the centre and never outwards. So nothing drives the scores to infinity, and nothing here is a probability.

# %%
seen = z_explorer.move_every_control()
claim(
    "moving the controls of the Z-loss explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=4,
)

# %% [markdown]
# ### The experiment: time, and rank
# *Time.* 2,048 rows, 32 features, 1,000 to 16,000 classes: cross-entropy by chunks, the Z-loss by chunks and by the Gram engine, in turn, on
# this machine. Then single steps with a batch of 64 rows and 64 features, and up to 100,000 classes. *Rank.* A generated text of 1,000 words with Zipf's frequencies; each word embedded, the next one scored; every loss with the
# same start, batches and steps. What counts is how often the right word is missing among the $k$ best.
#
# #### What must hold
# The counts are exact, and the times are ratios within one run. The errors were fixed after a look at five seeds (0 to 4); $a$ and $b$ were
# chosen on seed 0 among eleven pairs.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | from 1,000 to 16,000 classes chunks take 16 times the multiplications, the Gram engine less than 5 | 16.0; 4.7 | counted |
# | the Gram engine is at least 5 times quicker than cross-entropy at 16,000 classes | 30 to 65 times | measured |
# | and has less to multiply there than cross-entropy at 1,000, by 3 | 5.0 times | counted |
# | a factored step takes the same work for 1,000 and 100,000 classes, to 5 % | 1.003; classes repeat in a batch of few | counted |
# | and is at least 5 times quicker than the Gram engine's gradients at 100,000 | about 25 times | measured |
# | $k = 20$: the Z-loss with $a = 2$, $b = 5$ ties with cross-entropy, within 0.01 | −0.003 to 0.007 | 5 of 5 |
# | $k = 1$: cross-entropy is ahead, by 0.02 | 0.04 to 0.06 | 5 of 5 |
# | $k = 20$: squared error is behind both, by 0.1 | 0.14 to 0.18 | 5 of 5 |
# | $k = 20$: Taylor softmax is behind both, by 0.05 | 0.10 to 0.17 | 5 of 5 |
#
# Not found: the tie at $k = 5$. The best pair there, $a = 0.3$ and $b = 10$, is 0.02 to 0.03 behind. Each $(a, b)$ suits some $k$.

# %%
time_run = class_count.run(
    class_count.Config(
        methods=("cross-entropy, chunked", "Z-loss, chunked", "Z-loss, Gram"),
        rows=(2048,),
        classes=(1000, 4000, 16_000),
        dimension=32,
        memory_budget=2**24,
        repeats=3,
    ),
    progress=False,
)
taken = time_run.history.pivot(index="setting", columns="classes", values="seconds")
products = time_run.history.pivot(index="setting", columns="classes", values="multiplications")
print((1000 * taken).round(1).to_string())
growth = products[16_000] / products[1000]
claim("chunks: 16 times the work for 16 times the classes", growth["Z-loss, chunked"], 16, 0.1)
claim("Gram: less than five", growth["Z-loss, Gram"], at_most=5)
quick, slow = taken.loc["Z-loss, Gram"], taken.loc["cross-entropy, chunked"]
claim("16,000 classes: how many times quicker", slow[16_000] / quick[16_000], at_least=5)
fewer = products.loc["cross-entropy, chunked", 1000] / products.loc["Z-loss, Gram", 16_000]
claim("and less work there than cross-entropy over 1,000: how many times", fewer, at_least=3)
step_run = class_count.run(
    class_count.Config(
        methods=("cross-entropy, chunked", "squared error, Gram", "squared error, factored step"),
        rows=(64,),
        classes=(1000, 10_000, 100_000),
        repeats=3,
        memory_budget=2**24,
    ),
    progress=False,
)
step_taken = step_run.history.pivot(index="setting", columns="classes", values="seconds")
step_work = step_run.history.pivot(index="setting", columns="classes", values="multiplications")
print((1000 * step_taken).round(1).to_string())
factored = "squared error, factored step"
claim(
    "a factored step: work for 100 times the classes",
    step_work.loc[factored, 100_000] / step_work.loc[factored, 1000],
    1,
    0.05,
)
claim(
    "100,000 classes: how many times quicker than the Gram engine",
    step_taken.loc["squared error, Gram", 100_000] / step_taken.loc[factored, 100_000],
    at_least=5,
)
layer, dense = factor(weight), weight.detach().clone()
for start in range(0, rows, 32):  # eight steps, once in factors and once in full
    batch = slice(start, start + 32)
    free = dense.requires_grad_()
    loss = one_hot_squared_error_loss(features[batch].detach() @ free.T, labels[batch])
    dense = (free - 1e-3 * torch.autograd.grad(loss, free)[0]).detach()
    factored_step(
        layer,
        features[batch],
        labels[batch],
        lambda right, total, squares: squares - 2 * right + 1,
        step_size=1e-3,
    )
claim("eight factored steps are eight steps", layer.weight() - dense, 0, 1e-12)

# %%
rank_run = spherical.run(spherical.SCALES["small"], progress=False)
errors = rank_run.history.pivot_table(index="setting", columns="rank", values="error")
print(errors.round(3).to_string())
plain, sharp = errors.loc["cross-entropy"], errors.loc["Z-loss a=2 b=5"]
claim("k = 20: a tie", sharp[20] - plain[20], 0, 0.01)
claim("k = 1: cross-entropy is ahead", sharp[1] - plain[1], at_least=0.02)
for name, behind in (("squared error", 0.1), ("Taylor softmax", 0.05)):
    claim(
        f"k = 20: {name} is behind both",
        errors.loc[name, 20] - max(plain[20], sharp[20]),
        at_least=behind,
    )

# %%
figure, (left, right) = new_figure(2, height=4.0)
plot_cost(time_run, ax=left, cost="seconds")
plot_cost(step_run, ax=right, cost="seconds")
last = 1000 * step_taken[100_000]
show(
    figure,
    alt="Seconds against the number of classes, both axes logarithmic. Left, loss and gradients of 2,048 rows: at "
    f"16,000 classes cross-entropy by chunks takes {slow[16_000]:.2f}, the Z-loss by the Gram engine "
    f"{quick[16_000]:.4f}. Right, 64 rows: at 100,000 classes cross-entropy takes "
    f"{last['cross-entropy, chunked']:.0f} milliseconds, squared error by the Gram engine "
    f"{last['squared error, Gram']:.0f}, and a whole factored step {last[factored]:.1f}, as with 1,000 classes.",
    caption="How to read it: left, the lowest line pays for (N + V) D² and not for N · V · D. Right, with few rows "
    "that is no gain any more, and the level line pays for D³.",
)

# %%
figure, ax = new_figure(width=8.5, height=3.8)
plot_top_k(rank_run, ax=ax)
show(
    figure,
    alt="Share of words that are not among the k best, against k. "
    + "; ".join(
        f"{name}: {row[1]:.2f} at 1, {row[20]:.2f} at 20" for name, row in errors.iterrows()
    )
    + ".",
    caption="How to read it: lower is better. The lines cross: who is ahead depends on k.",
)

# %% [markdown]
# ### Why does this differ from the paper, or from another z-loss?
# - **Two losses, one name.** The "z-loss" of PaLM and of many training libraries is $\lambda L^2$, which holds the softmax's normaliser near 1. It
#   has nothing to do with this one. Here it is `logit_square_penalty`.
# - **Steps that never touch $V$.** The authors always keep $W$ in factors, which needs plain gradient descent and a fresh start of the
#   factors every hundred steps. `factored_step` does that. The Gram engine forms the gradient of $W$, and works with any optimiser.
# - **Level rows.** Where all scores are equal $\sigma = 0$. The reference code adds $10^{-12}$ to $\sigma$; here such a row has $\hat z_y = 0$
#   and no gradient.
# - **Ranks.** The paper reports ties and wins on top-k errors over large vocabularies. On this text we find the tie at $k = 20$ only.

# %%
flat = torch.zeros(2, 5, dtype=torch.float64, requires_grad=True)
level = z_loss(flat, torch.tensor([0, 3]))
claim("level rows: softplus(0)", level, math.log(2), 1e-12)
claim("and no gradient", torch.autograd.grad(level, flat)[0], expected=0)
claim(
    "PaLM's z-loss is another: it sees a shift",
    (logit_square_penalty(logits + 1, target) - logit_square_penalty(logits, target)).abs(),
    at_least=1,
)

# %% [markdown]
# ### When to use it
# When there are many classes, few features, and ranks count more than probabilities: catalogues, tags, retrieval. When $N$ is much larger
# than $D$; for fewer rows than features the trick gains nothing. Not when you need calibrated probabilities: there are none. Tune $a$ and $b$
# for the $k$ that you will be judged by.
#
# ### Exercises
# **Exercise 3. Squares without scores.** $\sum_j z_j^2$ of each row, from $W^\top W$ and the features.


# %% tags=["exercise"]
def square_sum(gram, features):
    """Σ_j z_j² of each row, (rows,); gram is WᵀW, (dimension, dimension), features (rows, dimension)."""
    return features @ gram  # your turn


# %% tags=["check"]
exercises.check_square_sum(square_sum)

# %% [markdown]
# *Solution.* [$x^\top (W^\top W)\,x$](#eq-gram) for each row: multiply by the matrix, then by $x$ entry by entry, and sum.


# %% jupyter={"source_hidden": true} tags=["solution"]
def square_sum_solution(gram, features):
    """Σ_j z_j² of each row, (rows,); gram is WᵀW, (dimension, dimension), features (rows, dimension)."""
    return ((features @ gram) * features).sum(1)


verdict = exercises.check_square_sum(square_sum_solution)
claim("the solution passes its check", verdict.passed)
claim(
    "and gives the statistic of the package, relative",
    square_sum_solution(gram, features.detach())
    / row_statistics(direct, None, ("square_sum",)).square_sum,
    1,
    1e-13,
)
verdict

# %% [markdown]
# <a id="siglip"></a>
# ## 4 SigLIP: every pair is a question of its own
# *Zhai, Mustafa, Kolesnikov & Beyer, ICCV 2023, arXiv 2303.15343 · origin: likelihood · statistics: softplus_sum, target*
#
# **Predict first.** Four images and their four captions. Caption 2 happens to suit image 1 as well. Move `image 1, text 2` up to 0.8 and
# watch the right table: how many of the sixteen pulls and pushes change? Then choose *InfoNCE, rows* and move it again.
#
# *(Under SigLIP one of sixteen. Under InfoNCE all four of row 1: its captions share one denominator.)*

# %%
pairs_explorer = PairsExplorer()
pairs_explorer


# %%
def slope_by_scores(loss, scores):
    """The gradient by the score of each pair: with unit vectors on one side, the scores are the other."""
    held = scores.clone().requires_grad_()
    return torch.autograd.grad(loss(held, torch.eye(len(scores)).double()), held)[0]


def siglip(scores, partners):
    """At the published scale and bias."""
    return siglip_loss(scores, partners, scale=10.0, bias=-10.0)


def info_nce(scores, partners):
    """At the same scale: τ = 1/10."""
    return info_nce_loss(scores, partners, temperature=0.1)


generator = torch.Generator().manual_seed(0)
similarity = 0.2 * torch.randn(4, 4, generator=generator, dtype=torch.float64) + 0.4 * torch.eye(4)
suits_both = similarity.clone()
suits_both[0, 1] = 0.8
for name, loss, expected in (("SigLIP", siglip, 1), ("InfoNCE", info_nce, 4)):
    changed = slope_by_scores(loss, similarity) != slope_by_scores(loss, suits_both)
    claim(f"{name}: pulls that change with one similarity", int(changed.sum()), expected)

# %% [markdown]
# ### Where it comes from
# Images $x_i$ and captions $t_i$ are unit vectors, $n$ of each, and pair $i$ belongs together. The usual loss makes each image *choose*:
# a softmax over the row of scores, and, from the other side, over the column. No entry has a gradient before its whole row and column
# have been added up. With the batch spread over many machines, that is what they wait for.
#
# SigLIP asks less. Take every pair by itself: do these two belong together? That is
# [the logistic loss of chapter 01](01_from_likelihood_to_cross_entropy.ipynb#3-The-loss-you-mean-and-the-loss-you-train), $n^2$ times:
#
# <a id="eq-siglip"></a>
# $$\ell = \frac1n \sum_{ij} \log\bigl(1 + e^{-y_{ij} z_{ij}}\bigr), \qquad z_{ij} = s\, x_i \cdot t_j + b, \qquad y_{ij} = \pm 1 .$$
#
# Write $\operatorname{softplus}(z) = \log(1 + e^z)$. Since $\operatorname{softplus}(-z) = \operatorname{softplus}(z) - z$, the sign
# disappears,
#
# <a id="eq-siglip-statistics"></a>
# $$n\,\ell = \sum_{ij} \operatorname{softplus}(z_{ij}) - \sum_i z_{ii},$$
#
# and what is left is two row statistics. A sum over pairs is a sum over blocks of pairs. Each machine keeps its images, the captions
# travel round a ring, and only the blocks on the diagonal know which pair is right.

# %%
worked = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
claim(
    "two pairs at s = 10, b = −10", siglip(worked, torch.eye(2).double()), 1.720324, tolerance=1e-6
)
images, texts = torch.nn.functional.normalize(
    torch.randn(2, 48, 16, generator=generator, dtype=torch.float64), dim=-1
)
whole = siglip_loss(images, texts, reduction="sum")
ring = 0
for device in range(3):  # each has 16 pairs; block k rounds on holds the captions of its neighbour
    mine = images[16 * device : 16 * device + 16]
    for turn in range(3):
        start = 16 * ((device + turn) % 3)
        theirs = texts[start : start + 16]
        scores = LinearLogits(10 * mine, theirs, torch.full((16,), -10.0, dtype=torch.float64))
        if turn == 0:
            ring = ring + siglip_loss(mine, theirs, reduction="sum")
        else:  # no pair belongs together here: nothing to subtract
            ring = ring + row_statistics(scores, None, ("softplus_sum",)).softplus_sum.sum()
claim("nine blocks, each on its own, add up to the whole", ring - whole, 0, tolerance=1e-11)
claim(
    "in chunks of two rows: the same",
    siglip_loss(images, texts, reduction="sum", memory_budget=2 * 48 * 8) - whole,
    0,
    tolerance=1e-11,
)
order = torch.randperm(48, generator=generator)
claim(
    "the order of the pairs does not matter",
    siglip_loss(images[order], texts[order], reduction="sum") - whole,
    0,
    tolerance=1e-11,
)

# %% [markdown]
# The gradient has no denominator either:
#
# <a id="eq-siglip-gradient"></a>
# $$\frac{\partial \ell}{\partial z_{ij}} = \frac1n\bigl(\sigma(z_{ij}) - [i = j]\bigr).$$
#
# One thing needs care. At the start similarities are near 0, so $z \approx b$. With $b = 0$ each of the $n - 1$ wrong captions is pushed
# with force $\tfrac12$ and the right one pulled with $\tfrac12$: the loss is $n \log 2$, and the first thing learned is to push
# everything away. The authors start at $b = -10$, where a wrong pair is believed to be wrong already.

# %%
check_gradient(
    lambda z: siglip_loss(z, torch.eye(4).double(), scale=1.0, bias=0.0),
    lambda z: (torch.sigmoid(z) - torch.eye(4)) / 4,
    10 * similarity - 5,
)
level = torch.zeros(1024, 1)  # embeddings whose similarities are all 0
claim("b = 0 begins at n log 2", siglip_loss(level, level, bias=0.0), 709.78, tolerance=0.01)
claim("b = −10 begins at 10.05", siglip_loss(level, level, bias=-10.0), 10.0465, tolerance=1e-4)
push = 1 / (1 + math.exp(10))
claim("at b = −10 a wrong pair is pushed with 4.5e-5", push, 4.54e-5, tolerance=1e-7)
claim("and 1,023 of them together with a twentieth of the pull", 1023 * push, at_most=0.05)

# %% [markdown]
# > **Definition.** `siglip_loss(images, texts, *, scale=10.0, bias=-10.0)` is
# > $\frac1n \sum_i \bigl(\sum_j \operatorname{softplus}(z_{ij}) - z_{ii}\bigr)$, $z_{ij} = s\,x_i \cdot t_j + b$; scale and bias may be
# > learned. `info_nce_loss(first, second, *, temperature=0.07, symmetric=False)` is the cross-entropy of each row, and of each column too
# > where symmetric. Neither holds the $n \times n$ scores. Origin: likelihood (of $n^2$ coins, or of $n$ choices). Limits: SigLIP is 0
# > only when every pair is judged right and far from the boundary; InfoNCE does not see a constant added to a row.
#
# ### What to look for in the picture
# Left the similarities of four images and four captions, right what one step does to each pair; framed are the pairs that belong
# together. Look at the sum of row 1 under the picture. InfoNCE by rows always gives 0: what one caption is pulled, others are pushed.
# SigLIP has no such budget. Then try `offset of row 1`: one loss does not notice it at all.

# %%
pairs_explorer.choose("a caption that fits two images")
print(pairs_explorer.alt)
seen = pairs_explorer.move_every_control()
claim(
    "moving the controls of the pairs explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=15,
)

# %% [markdown]
# ### The experiment: towers, batches, and where they start
# Two noisy linear views of a hidden vector play image and caption. Two linear towers learn to match them, 200 steps on fresh pairs, for
# batches of 8 to 512. Then 500 new images look for their captions. Four contestants: InfoNCE from CLIP's temperature 0.07, SigLIP from
# $s = 10$, $b = -10$, SigLIP from $b = 0$, and a control, InfoNCE from $\tau = 0.2$. Scale and bias are learned in all of them.
#
# #### What must hold
# Fixed after a look at five seeds (0 to 4); the run has one of them. R@1 is the share of images that find their own caption first.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | 8 pairs a batch: SigLIP's R@1 is above InfoNCE's by 0.03 | 0.060 to 0.092 | 5 of 5 |
# | 512 pairs: they are within 0.015 | 0.006 apart at most | 5 of 5 |
# | *control*: 8 pairs, InfoNCE from $\tau = 0.2$ is at least SigLIP's less 0.01 | 0.004 to 0.020 above | 5 of 5 |
# | $b = 0$ begins between $n \log 2$ and $1.8\,n$, and after 200 steps R@1 is below 0.25 | 1.01 to 1.54 $n$; 0.00 to 0.19 | 5 of 5 |
# | four images a caption: no loss below what false negatives cost at best, InfoNCE within 0.1 of it | 1.40 to 1.43; the least is $\log 4$ = 1.39 | 5 of 5 |
# | *control*: there SigLIP's R@1 is not above that of InfoNCE from $\tau = 0.2$ by 0.01 | 0.006 to 0.016 below | 5 of 5 |
# | memory: twice the pairs, three times or more for whole scores, less than twice in chunks | 3.8 to 3.9; 1.5 to 1.6 | no chance in it |
#
# What false negatives cost is arithmetic. If a caption stands $m$ times in the batch, its copies have one score, and only one of them
# counts as right: InfoNCE cannot cost less than $\log m$ a pair, SigLIP not less than $\log m + (m - 1)\log\frac{m}{m - 1}$.

# %%
pair_run = image_text.run(image_text.SCALES["small"], progress=False)
pair_rows = pair_run.history[pair_run.history["part"] == "training"]
pair_end = pair_rows[pair_rows["step"] == 200].set_index(["alike", "loss_name", "batch"])
found = pair_end["recall"].unstack()
print(found.round(3).to_string())

# %%
alone = found.loc[1]
claim(
    "8 pairs a batch: SigLIP above InfoNCE",
    alone.loc["SigLIP", 8] - alone.loc["InfoNCE", 8],
    at_least=0.03,
)
claim(
    "512 pairs: no difference to speak of",
    alone.loc["SigLIP", 512] - alone.loc["InfoNCE", 512],
    0,
    tolerance=0.015,
)
claim(
    "control: InfoNCE that starts at τ = 0.2 does as well with 8 pairs",
    alone.loc["InfoNCE, τ = 0.2", 8] - alone.loc["SigLIP", 8],
    at_least=-0.01,
)
claim(
    "without the bias: R@1 after 200 steps",
    alone.loc["SigLIP, b = 0"].to_numpy(),
    at_most=0.25,
)
begun = pair_rows[(pair_rows["step"] == 0) & (pair_rows["loss_name"] == "SigLIP, b = 0")]
claim(
    "without the bias: the first loss, over n",
    (begun["loss"] / begun["batch"]).to_numpy(),
    at_least=math.log(2),
    at_most=1.8,
)
least_info_nce, least_siglip = image_text.least_loss(4)
copies = pair_end.loc[4]["loss"].droplevel("batch")
print(f"four images a caption: InfoNCE can reach {least_info_nce:.3f}, SigLIP {least_siglip:.3f}")
claim(
    "InfoNCE ends above the least, by less than 0.1",
    copies[["InfoNCE", "InfoNCE, τ = 0.2"]].to_numpy() - least_info_nce,
    at_least=0,
    at_most=0.1,
)
claim("SigLIP ends above the least", copies["SigLIP"] - least_siglip, at_least=0)
claim(
    "control: with four images a caption the sigmoid is not ahead of the warmer softmax",
    found.loc[4].loc["SigLIP", 32] - found.loc[4].loc["InfoNCE, τ = 0.2", 32],
    at_most=0.01,
)

# %%
memory = pair_run.history[pair_run.history["part"] == "memory"]
memory = memory.pivot_table(index="batch", columns=["way", "loss_name"], values="peak_bytes")
grown = memory.loc[2048] / memory.loc[1024]
claim("whole scores: twice the pairs, memory times", grown["one chunk"].to_numpy(), at_least=3)
claim("in chunks: twice the pairs, memory times", grown["many chunks"].to_numpy(), at_most=2)
saved = (memory["one chunk"] / memory["many chunks"]).loc[2048]
claim("at 2,048 pairs chunks need less than a tenth", saved.to_numpy(), at_least=10)

# %%
figure, (left, right) = new_figure(2, height=3.9)
plot_missed(pair_run, ax=left)
plot_memory(pair_run, ax=right)
missed = (100 * (1 - alone)).round(1)
fall = ", ".join(f"{name} from {row[8]:g} to {row[512]:g}" for name, row in missed.iterrows())
whole, chunked = (memory[way].loc[2048] / 2**20 for way in ("one chunk", "many chunks"))
show(
    figure,
    alt="Left: held-out images that miss their caption, in per cent, against pairs in a batch from 8 "
    f"to 512, both axes logarithmic: {fall}. Right: memory against pairs from 256 to 2,048. Whole scores "
    f"grow to {whole['SigLIP']:.0f} mebibytes for SigLIP and {whole['InfoNCE']:.0f} for InfoNCE; in chunks "
    f"both stay below {math.ceil(chunked.max())}.",
    caption="How to read it: left, low is good, and none missed is drawn as half an image. Right, solid "
    "lines hold all n² scores, dashed ones a chunk of them.",
)

# %% [markdown]
# At published starting values the sigmoid is far ahead with 8 pairs, as the paper says of small batches. The control takes most of the
# sentence back: the same softmax, begun at $\tau = 0.2$, is level or better at 8 pairs. At $\tau = 0.07$ eight captions are told apart
# with certainty after a hundred steps; the loss is nearly 0, and little is left to learn from. What this run shows is not that the
# sigmoid wins; it is that two losses cannot be compared before their starting scales are. How much of the paper's own gap has this cause,
# a toy cannot say.
#
# False negatives tell the same story. They stay in their own entry under the sigmoid and spread over rows under the softmax, and with
# four images a caption SigLIP is well ahead of InfoNCE from 0.07; the warmer softmax is ahead of both. What remains for the sigmoid is
# what the formula says: no denominator to wait for, and blocks that add up.

# %%
halfway = pair_rows[(pair_rows["step"] == 100) & (pair_rows["alike"] == 1)]
halfway = halfway[halfway["batch"] == 8].set_index("loss_name")
print(halfway[["loss", "recall"]].round(3).to_string())
claim(
    "8 pairs, step 100: the loss from τ = 0.07, of that from τ = 0.2",
    halfway["loss"]["InfoNCE"] / halfway["loss"]["InfoNCE, τ = 0.2"],
    at_most=1,
)
claim(
    "and yet more images miss their caption",
    halfway["recall"]["InfoNCE, τ = 0.2"] - halfway["recall"]["InfoNCE"],
    at_least=0.05,
)

# %% [markdown]
# ### Why does this differ from the paper, and from the library I know?
# - **Divided by $n$, not $n^2$.** Each image has one right caption and $n - 1$ wrong ones, so the loss *grows* with the batch. It looks
#   like an oversight and is the published scale; a mean over all pairs would make the pull on right pairs fade as $1/n$.
# - **Chunks.** A chunked loop over the same identity, as libraries have it, saves nothing by itself: autograd keeps every chunk until the
#   backward pass. Here each chunk becomes its gradient at once, and only then is the next one made.
# - **Filtering the gradient**, as in [the section on cut cross-entropy](#cce), must not be used: at the start all wrong pairs together
#   weigh a good deal, and each lies below the threshold $2^{-12}$.

# %%
claim("a wrong pair at the start lies below the filter's 2⁻¹²", push, at_most=2**-12)
claim("and 32,767 of them weigh more than the right pair", 32_767 * push / (1 - push), at_least=1.4)
mean_over_pairs = siglip_loss(images, texts) / 48
claim(
    "the loss is n times the mean over pairs",
    mean_over_pairs,
    logistic_loss((2 * torch.eye(48) - 1) * (10 * images @ texts.T - 10)),
    tolerance=1e-12,
)

# %% [markdown]
# ### When to use it
# Two towers and batches spread over machines: take the sigmoid, and set the starting bias to the batch (the exercise). If you need
# calibrated *choices* among given candidates, the softmax is the likelihood of that question. With small batches tune the starting scale
# of either before you believe a comparison.
#
# ### Exercises
# **Exercise 4. The first bias.** All similarities are 0 and there are $n$ pairs. At which $b$ is SigLIP's loss least?


# %% tags=["exercise"]
def first_bias(pairs):
    """The bias of least loss when all similarities are 0."""
    return 0.0  # your turn


# %% tags=["check"]
pair_exercises.check_first_bias(first_bias)

# %% [markdown]
# *Solution.* A row costs $\operatorname{softplus}(-b) + (n - 1)\operatorname{softplus}(b)$. Its slope is
# $-\sigma(-b) + (n - 1)\sigma(b)$, and $\sigma(b)/\sigma(-b) = e^b$. So $e^b = 1/(n - 1)$: the log-odds of a right pair.


# %% jupyter={"source_hidden": true} tags=["solution"]
def first_bias_solution(pairs):
    """The bias of least loss when all similarities are 0."""
    return -math.log(pairs - 1)


verdict = pair_exercises.check_first_bias(first_bias_solution)
claim("the solution passes its check", verdict.passed)
claim("the published −10 is the best for 22,027 pairs", 1 + math.exp(10), 22_027, tolerance=1)
verdict

# %% [markdown]
# <a id="mw_loss"></a>
# ## 5 The MW loss: one threshold for all queries
# *Sheikholeslami et al. 2025, arXiv 2510.00137 · origin: surrogate · statistics: softplus_sum*
#
# **Predict first.** Two queries, two documents each; the scores are (0.9, 0.5) and (0.6, 0.7), the right ones 0.9 and 0.7. Now a bug adds
# 5 to both scores of the first query. The ranking of each query is as before. Does InfoNCE notice? Would a user who shows only documents
# above one fixed score?
#
# *(InfoNCE gives 0.578706 before and after. The user's wrong document of query 1, at 5.5, now stands above the right one of query 2.)*

# %%
scores = torch.tensor([[0.9, 0.5], [0.6, 0.7]], dtype=torch.float64)
raised = scores + torch.tensor([[5.0], [0.0]], dtype=torch.float64)
partners = torch.eye(2).double()
for name, table in (("before", scores), ("after", raised)):
    claim(f"InfoNCE {name}", info_nce_loss(table, partners, temperature=1.0), 0.578706, 1e-6)
for name, table, area, loss in (
    ("before", scores, 1.0, 0.577477),
    ("after", raised, 0.75, 1.492647),
):
    right, wrong = retrieval_offsets.split(table)
    claim(f"AUC over both queries {name}", auc(right, wrong), area)
    claim(f"the MW loss {name}", mann_whitney_loss(table, reduction="pairs"), loss, 1e-6)

# %% [markdown]
# ### Where it comes from
# Pool the scores of all queries: right ones $s^+$ and wrong ones $s^-$. The **area under the ROC curve** is the chance that a right score
# beats a wrong one, *whichever query each belongs to*,
#
# <a id="eq-auc"></a>
# $$\mathrm{AUC} = P(s^+ > s^-) + \tfrac12 P(s^+ = s^-),$$
#
# which is the statistic of Mann and Whitney, up to a factor. Its complement counts lost comparisons, a zero-one loss, and
# [chapter 01](01_from_likelihood_to_cross_entropy.ipynb#3-The-loss-you-mean-and-the-loss-you-train) has shown what to do with those: put a
# smooth bound over the step. The logistic one gives
#
# <a id="eq-mann-whitney"></a>
# $$\ell_{\text{pairs}} = \operatorname{mean}_{i,\, s^-}\ \operatorname{softplus}\Bigl(\frac{s^- - s^+_i}{\tau}\Bigr), \qquad
# 1 - \mathrm{AUC} \le \frac{\ell_{\text{pairs}}}{\log 2},$$
#
# because $\operatorname{softplus}(x) \ge \log 2$ wherever $x \ge 0$.
#
# InfoNCE does not ask this question. Add $h$ to all scores of a query: its softmax stays, so the derivative of its loss by $h$ is
#
# <a id="eq-blind-to-offset"></a>
# $$\sum_j \bigl(p_j - [j = y]\bigr) = 1 - 1 = 0,$$
#
# always, for every network. Whatever in the scorer depends on the query alone is neither punished nor learned.

# %%
generator = torch.Generator().manual_seed(0)
ratios = []
for _ in range(100):  # scores of 12 queries, from useless to separated
    table = 3 * torch.randn(12, 15, generator=generator, dtype=torch.float64)
    table = table + 6 * torch.rand((), generator=generator) * torch.eye(12, 15)
    bound = mann_whitney_loss(table, reduction="pairs") / math.log(2)
    ratios.append(area_over_curve(*retrieval_offsets.split(table)) / float(bound))
claim("1 − AUC is never above the bound, on 100 tables", torch.tensor(ratios), at_most=1)

table = torch.randn(12, 12, generator=generator, dtype=torch.float64)
for name, loss in (
    ("InfoNCE", lambda z, y: info_nce_loss(z, y, temperature=1.0)),
    ("MW", lambda z, y: mann_whitney_loss(z, reduction="pairs")),
):
    by_offset = slope_by_scores(loss, table).sum(1)
    print(f"{name}: slope by a query's offset up to {by_offset.abs().max():.2g}")
    if name == "InfoNCE":
        claim("InfoNCE does not feel an offset", by_offset, 0, tolerance=1e-15)
    else:
        claim("MW does", by_offset.abs().max(), at_least=1e-3)
        claim("only a shift of everything is free", by_offset.sum(), 0, tolerance=1e-14)
one_query = torch.randn(1, 6, generator=generator, dtype=torch.float64)
claim(
    "one query with five wrong documents: the pairwise logistic loss (RankNet)",
    mann_whitney_loss(one_query, reduction="pairs"),
    logistic_loss(one_query[0, 0] - one_query[0, 1:]),
    tolerance=1e-12,
)

# %% [markdown]
# $B$ queries with $B$ documents make $B(B - 1)$ wrong scores and $B^2(B - 1)$ comparisons: two million for a batch of 128. They need not
# exist. The table of $(s^- - s^+_i)/\tau$ is a row of $s^-$ with a number subtracted, so it is a product of two factors with *one*
# column, plus a bias. That is a `LinearLogits`, and what is asked of it is `softplus_sum`.

# %%
queries, documents = torch.randn(2, 128, 16, generator=generator).requires_grad_()
comparisons = 128 * 128 * 127
held = cost(
    lambda: mann_whitney_loss(queries, documents, reduction="pairs", memory_budget=2**18).backward()
).peak_bytes
print(f"{comparisons:,} comparisons are {4 * comparisons:,} bytes in float32; {held:,} were held")
claim("less than a fifth of the comparisons is ever held", held / (4 * comparisons), at_most=0.2)

# %% [markdown]
# > **Definition.** `mann_whitney_loss(queries, documents, *, temperature=1.0)` is
# > $\frac1B \sum_i \sum_{s^-} \operatorname{softplus}\bigl((s^- - s^+_i)/\tau\bigr)$, the wrong scores of *all* queries in the inner sum;
# > without documents the first argument is the scores themselves. `reduction="pairs"` divides by the number of comparisons. Origin:
# > surrogate, of $1 - \mathrm{AUC}$. Limits: with one query it is the pairwise logistic loss; it is blind to a shift of all scores
# > together and to nothing else.
#
# ### What to look for in the picture
# Right, the scores of right and wrong documents, pooled over 500 queries, at the step and setting chosen. A threshold is a vertical line,
# and the overlap is what it gets wrong. Compare the last steps of *InfoNCE, h = 0* and *InfoNCE, h = 0, float32*: both rank each query
# alike, and the histograms of the second have run into each other.

# %%
offset_run = retrieval_offsets.run(retrieval_offsets.SCALES["small"], progress=False)
offset_explorer = TrainingExplorer(offset_run, panel=SCORES_PANEL, metric="f1")
offset_explorer

# %%
seen = offset_explorer.move_every_control()
claim(
    "moving the controls of the training explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=4,
)

# %% [markdown]
# ### The experiment: a scorer with a term that only the query sees
# $s(q, d) = f(q) \cdot g(d) + h(q)$ with linear $f$, $g$ and $h$. A free query norm or a cross-encoder has such a term without being
# asked. Queries show the hidden vector they share with their document, and eight numbers besides that no document answers; $h$ reads
# those. All settings see the same pairs. Two begin with random weights in $h$; two begin with $h = 0$, one of them in float32.
#
# #### What must hold
# Fixed after a look at five seeds (0 to 4); the run has one of them.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | pooled AUC: MW above InfoNCE | by 0.0015 to 0.020 | 5 of 5 |
# | best F1 of one threshold: MW above InfoNCE by 0.02 | 0.039 to 0.091 | 5 of 5 |
# | the spread of $h$ over queries: MW below half of InfoNCE's | 0.10 to 0.27 of it | 5 of 5 |
# | R@1: MW at least InfoNCE's less 0.02 | 0.028 to 0.066 above | 5 of 5 |
# | InfoNCE leaves $h$ where it began, to $10^{-6}$ | $10^{-8}$ | 5 of 5 |
# | *surprise*: in float32 it moves $h$ from 0 by 0.3 or more | 0.70 to 1.05 | 5 of 5 |
# | *surprise*: R@1 is the same there to 0.004, AUC lower by 0.002 | 0.000; 0.008 to 0.024 | 5 of 5 |
# | $1 - \mathrm{AUC} \le \ell_{\text{pairs}}/\log 2$ at every step | | 5 of 5 |
# | MW above InfoNCE that begins with $h = 0$, in AUC | 4 of 5 | **not claimed** |

# %%
offset_end = offset_run.history.query("step == 600").set_index("setting")
shown = ["auc", "f1", "recall", "reciprocal_rank", "spread", "moved"]
print(offset_end[shown].round(4).to_string())

# %%
mw, plain = offset_end.loc["Mann-Whitney"], offset_end.loc["InfoNCE"]
exact, rounded = offset_end.loc["InfoNCE, h = 0"], offset_end.loc["InfoNCE, h = 0, float32"]
claim("pooled AUC: MW above InfoNCE", mw["auc"] - plain["auc"], at_least=0.001)
claim("best F1 of one threshold: MW above InfoNCE", mw["f1"] - plain["f1"], at_least=0.02)
claim("the spread of h: MW over InfoNCE", mw["spread"] / plain["spread"], at_most=0.5)
claim("R@1: MW is not far below InfoNCE", mw["recall"] - plain["recall"], at_least=-0.02)
claim(
    "InfoNCE leaves h where it began",
    torch.tensor([plain["moved"], exact["moved"]]),
    at_most=1e-6,
)
claim("in float32 it moves all the same", rounded["moved"], at_least=0.3)
claim("R@1 does not show it", rounded["recall"] - exact["recall"], 0, tolerance=0.004)
claim("AUC does", exact["auc"] - rounded["auc"], at_least=0.002)
claim(
    "1 − AUC over its bound, at every step of every setting",
    (offset_run.history["area"] / offset_run.history["bound"]).to_numpy(),
    at_most=1,
)

# %%
figure, axes = new_figure(3, height=3.2, sharey=True)
plot_ranking(offset_run, axes=axes)
numbers = "; ".join(
    f"{words}: " + ", ".join(f"{value:.3f}" for value in offset_end[name])
    for name, words in (("auc", "pooled AUC"), ("f1", "best F1"), ("recall", "R@1"))
)
show(
    figure,
    alt="Three dot plots of the last step, a row each for Mann-Whitney, InfoNCE, InfoNCE with h = 0, and "
    f"the same in float32. {numbers}.",
    caption="How to read it: the right picture asks within a query, where the three rows of InfoNCE are "
    "one; the other two ask across queries.",
)

# %% [markdown]
# The first half is the paper's point, at toy size. With offsets in the scorer, the MW loss removes them and InfoNCE cannot. Without
# offsets in the scorer ($h = 0$) there is little to remove, and the gap in AUC is within the noise of seeds. R@1 is another matter: here
# MW is ahead, but in pilots with half the learning rate it was behind, so no order is claimed.
#
# The second half is not in the paper. In exact arithmetic InfoNCE never touches $h$. In float32 its gradient is not 0 but what rounding
# leaves, about $10^{-9}$. Adam divides every gradient by its own size, and the guard against that, $\varepsilon = 10^{-8}$, is too small
# to stop it: $h$ takes sizeable steps in directions that mean nothing. How far it gets depends on how a processor rounds; that it moves
# does not. What no loss holds, the optimiser shakes.

# %%
small = torch.randn(2, 32, 16, generator=generator)
largest = {}
for dtype in (torch.float32, torch.float64):
    offset = torch.zeros(32, dtype=dtype, requires_grad=True)
    longer = retrieval_offsets.with_offset(small[0].to(dtype), offset, small[1].to(dtype))
    info_nce_loss(*longer, temperature=1.0).backward()
    largest[dtype] = float(offset.grad.abs().max())
for dtype, size in largest.items():
    print(f"largest slope of InfoNCE by an offset in {dtype}: {size:.1g}")
claim("float32: nothing but rounding", largest[torch.float32], at_most=1e-7)
step = largest[torch.float32] / (largest[torch.float32] + 1e-8)
claim("Adam's first step on it, as a share of the learning rate", step, at_least=0.05)
step = largest[torch.float64] / (largest[torch.float64] + 1e-8)
claim("float64: the same share", step, at_most=1e-6)

# %% [markdown]
# ### Why does this differ from the paper?
# - **Divided by $B$.** As printed, the sum over comparisons is divided by the number of queries alone, so the loss grows with the square
#   of the batch. `reduction="mean"` is that; `reduction="pairs"` is the mean that the bound is about. Adam does not feel the difference;
#   a weight decay beside it does.
# - **Temperature.** The default $\tau = 1$ is for raw scores. Cosines end at ±1, and there even a perfect table costs 0.127 a comparison;
#   with them take a $\tau$ of 0.05 or so.
# - **No official code was found.** The formula is the paper's, the numbers here are ours.

# %%
claim(
    "the printed form is B(B − 1) times the mean over comparisons",
    mann_whitney_loss(table) / mann_whitney_loss(table, reduction="pairs"),
    12 * 11,
    tolerance=1e-9,
)
perfect = 2 * torch.eye(12, dtype=torch.float64) - 1  # cosines: 1 where right, −1 where wrong
for temperature, least in ((1.0, 0.1269), (0.05, 0.0)):
    claim(
        f"perfect cosines at τ = {temperature:g}",
        mann_whitney_loss(perfect, temperature=temperature, reduction="pairs"),
        least,
        tolerance=1e-4,
    )

# %% [markdown]
# ### When to use it
# When one number decides for all queries: a threshold under which nothing is shown, a filter, a deduplicator, a retriever whose scores
# feed another stage. When each query is ranked by itself, InfoNCE asks the question you have. In either case keep terms that only the
# query sees out of a scorer trained by InfoNCE, or give them a weight decay: nothing else holds them.
#
# ### Exercises
# **Exercise 5. Who pulls a right score?** Write the slope of [$\ell_{\text{pairs}}$](#eq-mann-whitney) by each right score.


# %% tags=["exercise"]
def right_score_pull(right, wrong, temperature):
    """The derivative by each right score; right (B,), wrong (all of them,)."""
    return 0 * right  # your turn


# %% tags=["check"]
pair_exercises.check_right_score_pull(right_score_pull)

# %% [markdown]
# *Solution.* The slope of $\operatorname{softplus}(x)$ is $\sigma(x)$; $x = (s^- - s^+)/\tau$ falls with $s^+$, and the mean has $B$
# times as many terms as there are wrong scores.


# %% jupyter={"source_hidden": true} tags=["solution"]
def right_score_pull_solution(right, wrong, temperature):
    """The derivative by each right score; right (B,), wrong (all of them,)."""
    lost = torch.sigmoid((wrong - right[:, None]) / temperature)
    return -lost.mean(1) / len(right) / temperature


verdict = pair_exercises.check_right_score_pull(right_score_pull_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="decoupled_softmax"></a>
# ## 6 Decoupled softmax: several right answers
# *Gupta, Khatri, Rawat, Bhojanapalli, Jain & Dhillon, ICLR 2024, arXiv 2310.10636 · origin: surrogate · statistics: target, others_logsumexp*
#
# **Predict first.** A query has the scores (2, 1, 0, −1), and the first *two* labels are right. You train with a softmax whose target is
# one half each. Which way does the next step move the best score, the 2? It belongs to a right label, and it is the highest: up, or not
# at all?
#
# *(Down. Its share is 0.644, more than the half it was promised.)*

# %%
row = torch.tensor([[2.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
both = torch.tensor([[0, 1]])
halves = torch.tensor([[0.5, 0.5, 0.0, 0.0]], dtype=torch.float64)


def slope(loss, scores):
    """The gradient of a loss by the scores of one row."""
    held = scores.clone().requires_grad_()
    return torch.autograd.grad(loss(held), held)[0]


by_softmax = slope(lambda z: cross_entropy(z, halves), row)
print("softmax with half each:", [round(x, 4) for x in by_softmax[0].tolist()])
claim("the best right score has a slope above 0: a step lowers it", by_softmax[0, 0], 0.1439, 1e-4)

# %% [markdown]
# ### Where it comes from
# With a set $P$ of right labels, the usual way is one softmax over all labels and a target of $1/|P|$ on each right one:
#
# <a id="eq-softmax-of-many"></a>
# $$\ell = -\frac1{|P|} \sum_{i \in P} \log p_i, \qquad \frac{\partial \ell}{\partial z_i} = p_i - \frac{1}{|P|} \quad (i \in P).$$
#
# A right label with more than its share is pushed *down*. The loss cannot fall below $\log|P|$, and reaches it only when all right labels
# have the same score. Nobody asked for that: the labels are right, not equally obvious.
#
# So take the other right labels out of the denominator. Let $M = \log\sum_{n \notin P} e^{z_n}$ be the log-sum-exp of the wrong ones (the
# statistic `others_logsumexp`). Each right label plays against the wrong ones alone:
#
# <a id="eq-decoupled"></a>
# $$\ell = \frac1{|P|} \sum_{i \in P} \operatorname{softplus}(M - z_i), \qquad
# \frac{\partial \ell}{\partial z_i} = -\frac{1 - \pi_i}{|P|}, \quad \pi_i = \sigma(z_i - M).$$
#
# The slope of a right label is never above 0. A wrong label $n$ has $\frac1{|P|}\sum_{i \in P} (1 - \pi_i)\, e^{z_n - M}$.

# %%
claim("decoupled, worked by hand", decoupled_softmax_loss(row, both), 0.288726, 1e-6)
claim("one softmax over all labels", cross_entropy(row, halves), 0.940190, 1e-6)


# %% tags=["answer"]
def decoupled_slope(scores, target):
    """By hand, for one row: right labels −(1 − π)/|P|, wrong ones their share of what is missing."""
    right = torch.zeros_like(scores, dtype=torch.bool).scatter(1, target, True)
    wrong = torch.logsumexp(scores[~right], 0)
    missing = torch.sigmoid(wrong - scores[right])
    found = torch.exp(scores - wrong) * missing.sum()
    found[right] = -missing
    return found / target.shape[1]


check_gradient(decoupled_softmax_loss, decoupled_slope, row, both)

# %%
claim(
    "both right labels are pulled up",
    slope(lambda z: decoupled_softmax_loss(z, both), row)[0, :2],
    torch.tensor([-0.0781, -0.1674]),
    tolerance=1e-4,
)
settled = torch.tensor([[10.0, 5.0, -10.0, -10.0]], dtype=torch.float64)
claim(
    "far above the wrong labels, in any order: at rest",
    slope(lambda z: decoupled_softmax_loss(z, both), settled).abs().max(),
    at_most=1e-6,
)
claim(
    "where the softmax still pulls with half of its force",
    slope(lambda z: cross_entropy(z, halves), settled)[0, 0],
    0.493,
    tolerance=1e-3,
)
one_right = torch.tensor([[1, -100]])  # empty places are filled with −100
claim(
    "with one right label it is cross-entropy",
    decoupled_softmax_loss(row, one_right) - cross_entropy(row, torch.tensor([1])),
    0,
    tolerance=1e-14,
)
claim(
    "if all labels are right it costs nothing",
    decoupled_softmax_loss(row, torch.tensor([[0, 1, 2, 3]])),
    0,
)

# %% [markdown]
# With a million labels the scores are a product again, and the package treats them so: the wrong labels' $M$ from `others_logsumexp`,
# chunk by chunk, and the few right scores by a dot product each.

# %%
generator = torch.Generator().manual_seed(0)
features = torch.randn(32, 8, generator=generator, dtype=torch.float64)
label_table = torch.randn(500, 8, generator=generator, dtype=torch.float64)
several = torch.rand(32, 500, generator=generator).topk(5, 1).indices
several[::2, 3:] = -100
held = cost(lambda: decoupled_softmax_loss(features @ label_table.T, several)).peak_bytes
chunk = LinearLogits(features, label_table, memory_budget=2**13)
less = cost(lambda: decoupled_softmax_loss(chunk, several)).peak_bytes
claim(
    "from features and label table: the same number",
    decoupled_softmax_loss(chunk, several),
    decoupled_softmax_loss(features @ label_table.T, several),
    tolerance=1e-12,
)
claim("for less than a fifth of the memory", less / held, at_most=0.2)

# %% [markdown]
# > **Definition.** `decoupled_softmax_loss(logits, target)` is $\frac1{|P|}\sum_{i \in P} \operatorname{softplus}(M - z_i)$; the target
# > holds the right labels of each row, empty places filled with −100. No hyper-parameter. Origin: surrogate. Limits: one right label
# > makes it cross-entropy; it is 0 where each right label is far above every wrong one, in whatever order they stand, and where no label
# > is wrong.
#
# ### What to look for in the picture
# The explorer of [section 4](#siglip) again. In the presets at the end of its list caption 2 is right for image 1 too, and lies behind.
# *softmax, two right texts* pushes caption 1, the better one, away until they are level. Choose *decoupled*: both are drawn closer, the one
# behind harder.

# %%
for preset in ("the better of two right texts, by softmax", "the same, decoupled"):
    pairs_explorer.choose(preset)
    print(pairs_explorer.caption, "\n")

# %% [markdown]
# ### The experiment: two hundred labels, one to eight of them right
# Labels are points on a sphere, a query is the noisy mean of one to eight of them; a query with one label is eight times as frequent as
# one with eight. A map of queries and a table of labels are learned, scores are cosines over 0.05. Three losses from the same start: a
# yes or no for each label with a learned bias, as in [SigLIP](#eq-siglip) (*binary*); one *softmax*; *decoupled softmax*.
#
# #### What must hold
# Fixed after a look at five seeds (0 to 4); the run has two of them. 4,000 held-out queries.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | precision of the highest score: decoupled above softmax by 0.002 | 0.006 to 0.017 | 5 of 5 |
# | precision of the five highest: decoupled above softmax by 0.001 | 0.0024 to 0.0040 | 5 of 5 |
# | recall among the twenty highest: decoupled above softmax by 0.001 | 0.0022 to 0.0046 | 5 of 5 |
# | at the end the softmax pushes 1 % or more of the right labels of a batch down | 2.8 to 4.3 % | 5 of 5 |
# | decoupled softmax pushes none down, at any step | 0 | 5 of 5 |
# | decoupled above binary in precision of the highest score | 1 of 5 | **not claimed** |

# %%
label_run = many_positives.run(many_positives.SCALES["small"], progress=False)
label_end = label_run.history.query("step == 400").set_index(["setting", "seed"])
names = ["precision_1", "precision_5", "recall_20", "pushed_down"]
print(label_end[names].groupby("setting", sort=False).mean().round(4).to_string())

# %%
gain = label_end.loc["decoupled softmax"] - label_end.loc["softmax"]
claim("precision of the highest score, gained", gain["precision_1"].to_numpy(), at_least=0.002)
claim("precision of the five highest, gained", gain["precision_5"].to_numpy(), at_least=0.001)
claim("recall among the twenty highest, gained", gain["recall_20"].to_numpy(), at_least=0.001)
claim(
    "right labels that the softmax pushes down at the end",
    label_end.loc["softmax"]["pushed_down"].to_numpy(),
    at_least=0.01,
)
claim(
    "right labels that the decoupled softmax pushes down, at any step",
    label_run.history.query("setting == 'decoupled softmax'")["pushed_down"].to_numpy(),
    expected=0,
)

# %%
figure, (left, right) = new_figure(2, height=3.9)
plot_precision(label_run, ax=left)
plot_pushed_down(label_run, ax=right)
by_loss = label_end.groupby("setting", sort=False).mean()
bars = "; ".join(
    f"{words} right: " + ", ".join(f"{value:.2f}" for value in by_loss[f"precision_1 {words}"])
    for words in many_positives.FEW_AND_MANY
)
show(
    figure,
    alt="Left: precision of the highest score by the number of right labels, a bar each for binary, "
    f"softmax and decoupled softmax. {bars}. Right: right labels pushed down, in per cent, against the "
    f"step. Softmax rises to {100 * by_loss.loc['softmax', 'pushed_down']:.1f}; binary and decoupled "
    "softmax are 0 throughout.",
    caption="How to read it: left, marks are seeds. Right, only queries with several right labels count.",
)

# %% [markdown]
# The order is the paper's, and the gain is small: a hundredth or two where several labels are right. It is there in every seed, because
# the losses differ in nothing else. The binary loss, which has no denominator at all and so nothing to decouple, does as well on this
# toy; the paper's own comparison is on label sets a thousand times as large and more.
#
# ### Why does this differ from the paper, and from the library I know?
# - **−∞, not −100.** The authors' code sets the scores of right labels to −100 before the log-sum-exp. Here they are left out. The two
#   differ when all labels are right, and when scores reach that far down.
# - **The baseline.** Their softmax sums over right labels where [the formula above](#eq-softmax-of-many) has the mean; queries with many
#   labels then weigh more.
# - **The name.** The *decoupled contrastive loss* of Yeh et al. takes the right label out of its own denominator, $M - z_i$. That has no
#   lower bound. Here the right label stays in.
# - **The other half of the paper**, a soft top-$k$ operator that trains the first $k$ places directly, needs a threshold search and no
#   row statistic will do; it is a subject for the part on classification.

# %%
far_down = torch.tensor([[-99.0, -120.0]], dtype=torch.float64)  # both labels are right
claim("all labels right, scores far down: 0", decoupled_softmax_loss(far_down, both), 0)
with_hundred = torch.logaddexp(far_down, torch.full_like(far_down, -100 + math.log(2))) - far_down
claim("with −100 in place of −∞ a right label costs twenty", with_hundred.max(), at_least=20)

# %% [markdown]
# ### When to use it
# Several right answers and a softmax that you want to keep: tags, products bought together, captions that repeat in a batch and are known
# to. With one right answer it is cross-entropy and costs the same. If answers are graded and not merely right, a soft target says more.
# If you know nothing about which negatives are false, no denominator can be cleaned; prefer the sigmoid.
#
# ### Exercises
# **Exercise 6. Pull every right label.** Write the gradient of [the decoupled softmax](#eq-decoupled) by the scores of one query.


# %% tags=["exercise"]
def label_pull(scores, right):
    """The gradient by scores (labels,); right (labels,) is True where a label is right."""
    return torch.softmax(scores, 0) - right / right.sum()  # the softmax over all labels: your turn


# %% tags=["check"]
pair_exercises.check_label_pull(label_pull)

# %% [markdown]
# *Solution.* Term $i$ has the slope $-(1 - \pi_i)$ by its own score and $(1 - \pi_i)\,e^{z_n - M}$ by each wrong one.


# %% jupyter={"source_hidden": true} tags=["solution"]
def label_pull_solution(scores, right):
    """The gradient by scores (labels,); right (labels,) is True where a label is right."""
    wrong = torch.logsumexp(scores[~right], 0)
    missing = torch.sigmoid(wrong - scores)
    by_wrong = missing[right].sum() * torch.exp(scores - wrong)
    return torch.where(right, -missing, by_wrong) / right.sum()


verdict = pair_exercises.check_label_pull(label_pull_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# ## What to read next
# [Chapter 01](01_from_likelihood_to_cross_entropy.ipynb#comp_sum) has the comp-sum family, which all of this chapter's engines serve.
# Chapter 10 takes the row functions further: focal loss, poly loss, squentropy. Chapter 20 looks at what contrastive losses do to the
# embeddings. [The atlas](00_start_here.ipynb#The-atlas) shows what is written.
#
# ## References
# - de Brébisson, A. & Vincent, P. (2016). An exploration of softmax alternatives belonging to the spherical loss family. *ICLR*, arXiv
#   1511.05042.
# - de Brébisson, A. & Vincent, P. (2016). The Z-loss: a shift and scale invariant classification loss belonging to the spherical family.
#   arXiv 1604.08859.
# - Chowdhery, A. et al. (2022). PaLM: scaling language modeling with pathways. arXiv 2204.02311.
# - Gupta, N. et al. (2024). Dual-encoders for extreme multi-label classification. *ICLR*, arXiv 2310.10636.
# - Hsu, P.-L. et al. (2024). Liger Kernel: efficient Triton kernels for LLM training. arXiv 2410.10989.
# - Mann, H. B. & Whitney, D. R. (1947). On a test of whether one of two random variables is stochastically larger than the other. *Annals
#   of Mathematical Statistics* 18, 50-60.
# - van den Oord, A., Li, Y. & Vinyals, O. (2018). Representation learning with contrastive predictive coding. arXiv 1807.03748. (InfoNCE.)
# - Prieto, L., Barsbey, M., Mediano, P. & Birdal, T. (2025). Grokking at the edge of numerical stability. *ICLR*, arXiv 2501.04697.
# - Radford, A. et al. (2021). Learning transferable visual models from natural language supervision. *ICML*, arXiv 2103.00020. (CLIP.)
# - Sheikholeslami, N. et al. (2025). Optimizing what matters: AUC-driven learning for robust neural retrieval. arXiv 2510.00137.
# - Vincent, P., de Brébisson, A. & Bouthillier, X. (2015). Efficient exact gradient update for training deep networks with very large
#   sparse targets. *NIPS*, arXiv 1412.7091.
# - Wijmans, E. et al. (2025). Cut your losses in large-vocabulary language models. *ICLR*, arXiv 2411.09009.
# - Yeh, C.-H. et al. (2022). Decoupled contrastive learning. *ECCV*, arXiv 2110.06848.
# - Zhai, X., Mustafa, B., Kolesnikov, A. & Beyer, L. (2023). Sigmoid loss for language image pre-training. *ICCV*, arXiv 2303.15343.
# - Zipf, G. K. (1935). *The Psycho-Biology of Language*. Houghton Mifflin.
