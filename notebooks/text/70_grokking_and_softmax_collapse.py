# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 70 Grokking and Softmax Collapse
#
# A network knows every example it was shown, and nothing else. Training goes on, the loss goes on falling, and after a very long time, or
# a short one, or never, the network finds the rule. This chapter causes all three on your machine. It asks what the gradient does in the
# meantime, and finds that most of it only makes the weights longer, until the softmax rounds to 1 and nothing is left. Then two repairs,
# and at the end a knob that decides beforehand how long the wait will be.

# %% [markdown]
# ## What you will be able to do
# - tell a network that has stopped learning from one that has stopped being able to;
# - compute what share of a gradient only stretches the weights, and count the rows for which the softmax has rounded to 1;
# - say at which lead this happens in float16, float32 and float64, and what a longer format buys;
# - repair it in the loss (StableMax) or in the gradient (perpGrad), and say what each costs;
# - turn grokking on and off with one number, the laziness of the network.
#
# ## Before you start
# | you need | how much |
# |---|---|
# | [chapter 02, section 2](02_softmax_and_its_numerics.ipynb#2-Where-a-probability-becomes-1) | where a probability becomes 1 |
# | [chapter 01](01_from_likelihood_to_cross_entropy.ipynb) | cross-entropy and [its gradient, $p - e_y$](01_from_likelihood_to_cross_entropy.ipynb#eq-expected-minus-observed) |
# | networks | affine layers with ReLU; what Adam does |
# | minutes | 120, in three sections |
#
# ## Papers in this chapter
# | section | paper |
# |---|---|
# | 1, 2 | Prieto et al. 2025, Grokking at the Edge of Numerical Stability |
# | 3 | Kumar et al. 2024, Grokking as the Transition from Lazy to Rich Training Dynamics |

# %%
import dataclasses
import math

import numpy as np
import torch
from lossbook import check_gradient, claim
from lossbook.exercises import chapter_70 as exercises
from lossbook.exercises import chapter_70_lazy as lazy_exercises
from lossbook.experiments import lazy_images, lazy_rich, modular_addition, sparse_parity
from lossbook.experiments.modular_addition import first_step
from lossbook.experiments.run import recorded
from lossbook.experiments.softmax_precision import FORMATS, collapse_gap, row_losses
from lossbook.figures import new_figure, show
from lossbook.figures.grokking import LOGITS_PANEL, plot_metric, plot_metrics, plot_pull
from lossbook.figures.lazy_rich import (
    plot_accuracies,
    plot_delays,
    plot_errors,
    plot_followed,
    plot_parts,
)
from lossbook.losses import cross_entropy, squared_error, stablemax_cross_entropy
from lossbook.metrics import (
    collapsed,
    kernel_alignment,
    scaling_descent,
    tangent_kernel,
    weight_alignment,
)
from lossbook.models import PolynomialNet, multilayer
from lossbook.training import Lazy, Linearized, perpendicular, train
from lossbook.widgets import LazyExplorer, TrainingExplorer

# %% [markdown]
# <a id="softmax_collapse"></a>
# ## 1 Softmax Collapse: right on everything, and stuck
# *Prieto, Barsbey, Mediano & Birdal, ICLR 2025, arXiv 2501.04697 · origin: likelihood, in floating point*
#
# **Predict first.** A small network learns $a + b \bmod 23$ from 449 of the 529 pairs. Cross-entropy, all pairs in every step, no weight
# decay. After 50 steps it is right on all of them. It is trained for 1,600 steps more. Put the metric of the explorer on `test_accuracy`:
# where do you expect the curve of *float32* to end, and where that of *float64*? Then put it on `collapsed` and walk to the last step.
#
# *(Both stay at zero. But in float32 half of the training pairs have by then a loss of exactly 0.)*

# %%
SMALL = modular_addition.SCALES["small"]
addition_run = modular_addition.run(SMALL, progress=False)
scrubber = TrainingExplorer(addition_run, LOGITS_PANEL, metric="test_accuracy")
scrubber

# %% [markdown]
# ### Where it comes from
# Say a network has $L$ layers, ReLU between them and no biases. Multiply all weights by $c$ and the logits are multiplied by $c^L$; no
# prediction changes. What does that do to the loss? For one row,
#
# <a id="eq-louder"></a>
# $$-\frac{d}{dc}\,\ell(c\,z)\Big|_{c=1} = z_y - \sum_k p_k z_k .$$
#
# The sum is a mean of the logits, so it lies below the largest. Once a row is right, its largest logit is $z_y$, and the derivative is
# positive: *longer weights lower the loss*, for every row, whatever it is. By Euler's theorem for homogeneous functions the downhill
# direction has a component along the weights themselves,
#
# <a id="eq-naive-minimisation"></a>
# $$\langle \theta, -\nabla \ell \rangle = L \cdot \operatorname{mean}_i \Bigl(z_{i y_i} - \sum_k p_{ik} z_{ik}\Bigr) > 0 .$$
#
# The authors call this *naive loss minimisation*: to lower the loss by saying the same thing louder. Its direction is $\theta$.


# %%
def generator(seed):
    """Random numbers from a seed."""
    return torch.Generator().manual_seed(seed)


depth = 3
network = multilayer((8, 32, 32, 5), generator=generator(0), bias=False).double()
x = torch.randn(40, 8, generator=generator(1), dtype=torch.float64)
weights = list(network.parameters())
logits = network(x)
labels = logits.argmax(1)  # a network that is right on every row
gradients = torch.autograd.grad(cross_entropy(logits, labels), weights)
along = -sum((w * g).sum() for w, g in zip(weights, gradients, strict=True))
louder = scaling_descent(logits, labels)
claim(
    "⟨θ, −∇ℓ⟩ is three times the mean of z_y − Σ p z", along, depth * louder.mean(), tolerance=1e-12
)
claim("on rows that are right, louder is always better", louder, at_least=0)
with torch.no_grad():
    before = logits.clone()
    for w in weights:
        w *= 2
    claim("all weights times 2, three layers: logits times 8", network(x), 8 * before, 1e-10)
check_gradient(
    lambda c: cross_entropy(c[:, None] * before, labels, reduction="none"),
    lambda c: -scaling_descent(c[:, None] * before, labels) / c,
    torch.ones(40, dtype=torch.float64),
)
# %% [markdown]
# How far can louder go? The loss of a row that leads by $g$ is about $e^{-g}$, and so is its gradient. Adam divides by the size of the
# gradient, so the step does not fade with it: the weights keep growing at one pace, and the leads with them. Then the lead reaches
# [the gap of chapter 02](02_softmax_and_its_numerics.ipynb#eq-collapse-gap): $\log 2^{11}$ in float16, $\log 2^{24}$ in float32,
# $\log 2^{53}$ in float64. From there $1 + e^{-g}$ is 1, the loss is exactly 0, and so is the pull on the right class. What is left of the
# gradient are the pushes on the wrong classes, which point somewhere else.

# %%
for name in ("float16", "float32", "float64"):
    gap = collapse_gap(FORMATS[name])
    sides = torch.tensor([[gap - 0.2, 0.0], [gap + 0.2, 0.0]], dtype=torch.float64)
    leaf = sides.to(FORMATS[name]).requires_grad_()
    losses = row_losses(leaf, torch.tensor([0, 0]), "log-softmax")
    (pull,) = torch.autograd.grad(losses.sum(), leaf)
    print(f"{name}: lead {gap - 0.2:.2f} or {gap + 0.2:.2f}, gradient {pull.tolist()}")
    claim(
        "before the gap it pulls, after it not at all", (pull[:, 0] == 0).tolist() == [False, True]
    )
    claim("and the wrong class is still pushed", bool((pull[:, 1] > 0).all()))

# %% [markdown]
# > **Definition.** `collapsed(logits, dtype)`: a row has undergone *Softmax Collapse* in a format where $\sum_k e^{z_k - \max z}$ is exactly
# > 1 there. `scaling_descent(logits, target)` is $z_y - \sum_k p_k z_k$. `weight_alignment(weights, gradients)` is the cosine of $-g$ with
# > $w$, of each tensor and of all together: how much of a step is naive loss minimisation. Origin: likelihood, rounded. Limits: collapse
# > is a property of the logits alone. Read in a format in which the loss was *not* computed, it tells what would have happened.

# %%
row = torch.tensor([[20.0, 0.0, 0.0]])
claim("(20, 0, 0) has collapsed in float32", bool(collapsed(row)))
claim("and not in float64", not bool(collapsed(row, torch.float64)))
at_start = weight_alignment(weights, gradients).whole
claim("the network above, before any training: cosine of −g and θ", at_start, at_least=0.01)

# %% [markdown]
# ### What to look for in the picture
# Right, three training pairs and a held-out one: their logits in order, below the largest, and a mark on the right class. The dotted line
# is the gap of the format. As long as the second largest logit lies above it, the softmax knows of a rival. Choose *float16* and walk
# through the first hundred steps: the curves sink below the line one by one. In *float32* the line lies deeper, and the same happens
# 1,500 steps later. Choose *perpgrad*: nothing sinks, and the mark of the held-out pair climbs to the top.

# %%
seen = scrubber.move_every_control()
claim("moving the controls of the scrubber gives new pictures", len(set(seen)), at_least=7)
scrubber.set(setting="float32", metric="collapsed", step=1600)
print(scrubber.alt)
scrubber.set(setting="perpgrad", step=150)
print(scrubber.caption)

# %% [markdown]
# ### The experiment: a rule, and networks that do not look for it
# Modular addition with $p = 23$, 85 % of the pairs to train on, 46-96-96-23 units, no biases; AdamW without weight decay, learning rate
# 0.01, $\beta_2 = 0.99$, $\varepsilon = 10^{-25}$, so that tiny gradients still move weights. Four ways: cross-entropy with its softmax in
# float16, in float32 and in float64, and *perpGrad*, the repair of
# [the next section](#2-StableMax-and-perpGrad:-repair-the-softmax,-or-the-gradient), as the proof that the rule is there to be found.
#
# #### What must hold
# Fixed before seeds 0 to 4 were run: the thresholds are those of the paper and of pilots on seeds 100 to 119. The cell below runs all
# five.
#
# | claim | seen | seeds |
# |---|---|---|
# | perpGrad passes 90 % of the held-out pairs within 150 steps | step 50 to 90 | 5 of 5 |
# | at ten times that step, cross-entropy in float32 is below 5 % | 0 | 5 of 5 |
# | the cosine in the output layer passes 0.9 before 1 % of the pairs have collapsed in float32 | step 400 to 750; 1,350 | 5 of 5 |
# | half the pairs collapse in float16 before 1 % do in float32 | step 70; 1,350 | 5 of 5 |
# | when 1 % have in float32, none has in float64 | 0 | 5 of 5 |
# | published size (recorded): perpGrad passes 99 % within 200 steps | step 110 or 120 | 5 of 5 |
# | published size (recorded): cross-entropy in float32 is below 5 % at ten times that step | 0.0003 to 0.0013 | 5 of 5 |
# | published size (recorded): the cosine passes 0.9 before 1 % have collapsed | step 650 to 1,000; 1,600 | 5 of 5 |

# %%
learned = first_step(addition_run, "perpgrad", "test_accuracy", 0.9)
aligned = first_step(addition_run, "float32", "alignment_output", 0.9)
begun = first_step(addition_run, "float32", "collapsed", 0.01)
half = first_step(addition_run, "float16", "collapsed", 0.5)
steps = {
    "perpGrad 90 %": learned,
    "cosine 0.9": aligned,
    "float32 1 %": begun,
    "float16 half": half,
}
for name, found in steps.items():
    print(f"{name:14} step {found.astype(int).tolist()}")


def reading(run, setting, column):
    """Steps down, seeds across."""
    rows = run.history[run.history["setting"] == setting]
    return rows.pivot(index="step", columns="seed", values=column)


accuracy, share = (reading(addition_run, "float32", c) for c in ("test_accuracy", "collapsed"))
ten_times = [accuracy[seed][accuracy.index >= 10 * learned[seed]].iloc[0] for seed in learned.index]
double_share = reading(addition_run, "float64", "collapsed")
then = [double_share[seed][double_share.index <= begun[seed]].iloc[-1] for seed in begun.index]
by_heart = reading(addition_run, "float32", "train_accuracy").loc[50]
claim("after 50 steps cross-entropy is right on every training pair", by_heart, at_least=0.99)
claim("perpGrad passes 90 % within 150 steps", learned, at_most=150)
claim("cross-entropy in float32 at ten times the step", ten_times, at_most=0.05)
claim("cosine past 0.9 before collapse begins: steps between", begun - aligned, at_least=1)
claim("float16 is half collapsed before float32 begins: steps between", begun - half, at_least=1)
claim("float64 when float32 begins: share collapsed", then, expected=0)

# %%
axes = plot_metrics(addition_run, metrics=("test_accuracy", "collapsed", "alignment_output"))
peak = reading(addition_run, "float32", "alignment_output").max().mean()
last = share.iloc[-1]
show(
    axes[0].figure,
    alt="Three panels against the step, logarithmic from 10 on, mean and range of five seeds. "
    f"Left, held-out accuracy: perpGrad rises from 0 to 0.9 between steps 40 and {learned.max():.0f}, "
    "the three cross-entropies stay at 0. Middle, share of training pairs collapsed: float16 is past "
    f"a half by step {half.max():.0f}, float32 rises from 0 at step 1,200 to {last.mean():.2f} at "
    "1,650, float64 and perpGrad stay at 0. Right, cosine of the downhill direction and the weights "
    f"in the output layer: all climb; float32 reaches {peak:.2f} and falls when collapse begins, "
    "float16 falls from step 60 on.",
    caption="How to read it: a line falls in the right panel where it rises in the middle one.",
)

# %% [markdown]
# The story of the paper, in order. By step 50 every training pair is right. The cosine climbs past 0.9 in the output layer: nine tenths
# of the gradient's length ask for larger logits and for no other answer. In float32 the gap is reached after some 1,350 steps, and within 300 more half
# of the pairs have a loss of exactly 0. The cosine falls then, not because the network turned to something better, but because the
# pull on the right classes is gone and what remains are pushes on the wrong ones.
#
# One thing the run does *not* show. float64 has no collapse, and its held-out accuracy is 0 as well. So in these 1,400 steps it is not
# collapse that keeps the rule from being found; it is the direction of the gradient. That is the order of the paper, too: first the
# gradient aligns with the weights, and generalisation is put off; then the rounding comes, and what was put off is cancelled. The paper
# trains ten to fifty times longer than this chapter to tell the two apart.
#
# How much of the gradient is exactly 0? Less than one would think: a weight gets a sum over all pairs, and one pair that has not
# collapsed is enough. It is the *rows* that vanish.

# %%
zero_rows, zero_gradients = (
    reading(addition_run, "float32", c).iloc[-1] for c in ("zero_loss", "zero_gradients")
)
print(f"float32, step 1650: rows without loss {zero_rows.round(3).tolist()}, ")
print(f"                    zero gradients    {zero_gradients.round(3).tolist()}")
claim("about half of the rows have loss 0", zero_rows, at_least=0.4, at_most=0.8)
claim("next to no weight has gradient 0", zero_gradients, at_most=0.05)
claim("the rows without loss are the collapsed ones: all of them are right", zero_rows, last)
in_double = reading(addition_run, "float64", "test_accuracy").iloc[-1]
length, loss = (
    reading(addition_run, "float32", c).loc[[400, 800, 1200]] for c in ("weight_norm", "loss")
)
growth = length.diff().iloc[1:]
print("length of all weights at steps 400, 800, 1200:", length.mean(axis=1).round(1).tolist())
claim("between them the loss falls fiftyfold", loss.iloc[0] / loss.iloc[-1], at_least=50)
claim(
    "and the growth of the weights stays as it was: ratio", growth.iloc[1] / growth.iloc[0], 1, 0.1
)
claim("control: float64 has not found the rule either", in_double, at_most=0.05)

# %% [markdown]
# **At the published size**, $p = 113$, 40 % of the pairs, 226-200-200-113 units, the same comparison takes half an hour on a busy CPU, so
# it has been made beforehand (`data/runs/`, with its config): five seeds, 2,000 steps of cross-entropy in float32 and 200 of perpGrad. The
# next cell reads it; it trains nothing.

# %%
recorded_run = recorded("modular_addition_paper", modular_addition.Config)
print(recorded_run.config, f"\n{recorded_run.device}, {recorded_run.seconds / 60:.0f} minutes")
passed = first_step(recorded_run, "perpgrad", "test_accuracy", 0.99)
paper_accuracy = reading(recorded_run, "float32", "test_accuracy")
paper_ten = [
    paper_accuracy[s][paper_accuracy.index >= 10 * passed[s]].iloc[0] for s in passed.index
]
print("perpGrad passes 99 % at step", passed.astype(int).tolist())
print("cross-entropy at ten times the step:", [round(float(a), 4) for a in paper_ten])
paper_aligned = first_step(recorded_run, "float32", "alignment_output", 0.9)
paper_begun = first_step(recorded_run, "float32", "collapsed", 0.01)
print("cosine past 0.9 at step", paper_aligned.astype(int).tolist())
print("1 % collapsed at step", paper_begun.astype(int).tolist())
claim("recorded: perpGrad passes 99 % within 200 steps, five seeds", passed, at_most=200)
claim("recorded: cross-entropy at ten times the step", paper_ten, at_most=0.05)
claim("recorded: steps from cosine 0.9 to 1 % collapsed", paper_begun - paper_aligned, at_least=1)

# %% [markdown]
# ### Why does this differ from the paper, and from the library I know?
# - **float16 as the engine of this book computes it does not collapse at 7.62.** `cross_entropy` adds up in float32 whatever the logits
#   are stored in, so a float16 row keeps its pull until the *gradient* underflows. The experiment uses `row_losses`, every operation in
#   the format, as PyTorch does on a CPU.
# - **Subtract the largest logit, but not its gradient.** The largest logit cancels in the formula. A program that lets autograd go
#   through it finds for the right class, once rounded, minus the sum of the wrong ones: the row has collapsed, its loss is 0, and its
#   gradient is as good as new. So whether a loss collapses can hang on a `detach`.
# - **Order.** The authors shuffle the full batch in every epoch, so sums are rounded in another order each time. Here it stands still.

# %%
half_row, first = torch.tensor([[9.0, 0.0]], dtype=torch.float16), torch.tensor([0])
slopes = {}
for name, loss in {
    "every operation in float16": lambda z: row_losses(z, first, "log-softmax").sum(),
    "the book's engine": lambda z: cross_entropy(z, first),
    "torch on a CPU": lambda z: torch.nn.functional.cross_entropy(z, first),
}.items():
    leaf = half_row.clone().requires_grad_()
    slopes[name] = float(torch.autograd.grad(loss(leaf), leaf)[0][0, 0])
    print(f"{name:27} gradient on the right class at a lead of 9: {slopes[name]:.3g}")
claim("in float16 throughout it is 0", slopes["every operation in float16"], expected=0)
claim("the engine still pulls", slopes["the book's engine"], expected=-1.234e-4, tolerance=1e-6)

leaf = torch.tensor([[20.0, 0.0, 0.0]], requires_grad=True)
shifted = leaf - leaf.amax(1, keepdim=True)  # no detach
loss = shifted.exp().sum(1).log() - shifted[:, 0]
(through,) = torch.autograd.grad(loss.sum(), leaf)
claim("through the largest logit: the loss is 0", loss, expected=0)
claim("and yet the gradient adds up to 0, none of it lost", through.sum(), expected=0)
claim("the right class is pulled with 4.1e-9", through[0, 0], expected=-4.1e-9, tolerance=5e-11)

# %% [markdown]
# ### When to use it
# Log both numbers in every run that goes on past its training accuracy: the share of collapsed rows in the format of the loss, and the
# cosine with the weights. A cosine near 1 says that the loss falls because the network gets louder. A share near 1 says that it has
# stopped. Neither is a reason to worry while there is still a training example to learn, or where the weights decay
# ([section 2](#2-StableMax-and-perpGrad:-repair-the-softmax,-or-the-gradient)). What a longer format buys is time.
#
# ### Exercises
# **Exercise 1. Louder.** Write $-\frac{d}{dc} \ell(c\,z)$ at $c = 1$ for one row of logits: [what louder weights gain](#eq-louder).


# %% tags=["exercise"]
def longer(logits, right):
    """How fast the row's cross-entropy falls as its logits are multiplied."""
    return 1 - torch.softmax(logits, 0)[right]  # your turn


# %% tags=["check"]
exercises.check_scaling_descent(longer)

# %% [markdown]
# *Solution.* $\ell(cz) = \log \sum_k e^{c z_k} - c z_y$. The derivative of the first term is the mean of the logits under the softmax.


# %% jupyter={"source_hidden": true} tags=["solution"]
def longer_solution(logits, right):
    """How fast the row's cross-entropy falls as its logits are multiplied."""
    return logits[right] - (torch.softmax(logits, 0) * logits).sum()


verdict = exercises.check_scaling_descent(longer_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# **Exercise 2. The lamp on the panel.** Write the diagnostic: for each row of logits 1 if it has collapsed in `dtype`, else 0.


# %% tags=["exercise"]
def has_collapsed(logits, dtype):
    """1 for each row whose softmax has collapsed in the format, else 0."""
    return (torch.softmax(logits, -1).amax(-1) == 1).double()  # your turn


# %% tags=["check"]
exercises.check_collapse(has_collapsed)

# %% [markdown]
# *Solution.* Cast first, then shift, then add up, and compare with exactly 1.


# %% jupyter={"source_hidden": true} tags=["solution"]
def has_collapsed_solution(logits, dtype):
    """1 for each row whose softmax has collapsed in the format, else 0."""
    logits = logits.to(dtype)
    return ((logits - logits.amax(-1, keepdim=True)).exp().sum(-1) == 1).double()


verdict = exercises.check_collapse(has_collapsed_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# ## 2 StableMax and perpGrad: repair the softmax, or the gradient
# *Prieto, Barsbey, Mediano & Birdal, ICLR 2025, arXiv 2501.04697 · origin: heuristic · statistics: stablemax_sum, target*
#
# **Predict first.** Logits (20, 0, 0), the first class is right. Softmax in float32: $p_y = 1$ and no pull. Now replace $e^z$ by a function
# that grows like a straight line. How sure is the network of its answer? And is there any lead at which its pull is 0?
#
# *(0.913, and none.)*

# %%
sure = torch.tensor([[20.0, 0.0, 0.0]], requires_grad=True)
stable = stablemax_cross_entropy(sure, first)
(slope,) = torch.autograd.grad(stable, sure)
claim("StableMax's p of the right class", torch.exp(-stable), expected=21 / 23, tolerance=1e-6)
claim("its pull, in float32", slope[0, 0], expected=-0.004141, tolerance=1e-6)

# %% [markdown]
# ### Where it comes from
# **Repair the softmax.** What rounds is the exponential: 37 nats of lead are a factor of $10^{16}$. Take a function that is positive,
# increasing and slow,
#
# <a id="eq-stablemax"></a>
# $$s(z) = \begin{cases} z + 1 & z \ge 0 \\ 1/(1 - z) & z < 0 \end{cases} \qquad q_k = \frac{s(z_k)}{\sum_j s(z_j)}, \qquad
# \ell = -\log q_y .$$
#
# Look at its logarithm: $\log s(z) = \operatorname{sign}(z) \log(1 + |z|)$. So StableMax is nothing but a *softmax of the signed logarithms
# of the scores*, and its gradient follows by the chain rule,
#
# <a id="eq-stablemax-gradient"></a>
# $$\frac{\partial \ell}{\partial z_k} = \frac{q_k - [k = y]}{1 + |z_k|} .$$
#
# A lead of $g$ leaves $1 - q_y \approx (V - 1)/g$, and a pull of about $(V-1)/g^2$: small, and never 0. To collapse in float32 the logit
# would have to reach $10^7$.

# %%
z = 6 * torch.randn(50, 7, generator=generator(2), dtype=torch.float64)
target = torch.randint(0, 7, (50,), generator=generator(3))
claim(
    "StableMax is the softmax of sign(z) log(1 + |z|)",
    stablemax_cross_entropy(z, target) - cross_entropy(z.sign() * z.abs().log1p(), target),
    expected=0,
    tolerance=1e-12,
)


def stable_gradient(z):
    """(q − e)/(1 + |z|), a row each."""
    s = torch.where(z >= 0, z + 1, 1 / (1 - z))
    return (s / s.sum(1, keepdim=True) - torch.nn.functional.one_hot(target, 7)) / (1 + z.abs())


check_gradient(lambda z: stablemax_cross_entropy(z, target, reduction="none"), stable_gradient, z)
worked = torch.tensor([[3.0, 0.0, -1.0]], dtype=torch.float64)
claim(
    "(3, 0, −1): s is (4, 1, ½) and the loss log(5.5/4)",
    stablemax_cross_entropy(worked, first),
    expected=np.log(5.5 / 4),
    tolerance=1e-12,
)
huge = torch.tensor([[1e6, 0.0, 0.0]])
claim(
    "a logit of a million, in float32: the loss is not 0",
    stablemax_cross_entropy(huge, first),
    at_least=1e-6,
)
claim(
    "unlike the softmax it sees a common shift",
    abs(stablemax_cross_entropy(z + 1, target) - stablemax_cross_entropy(z, target)),
    at_least=0.01,
)

# %% [markdown]
# **Repair the gradient.** If the part along the weights is what does the harm, take it out. For each weight matrix $w$, as one long vector,
#
# <a id="eq-perpgrad"></a>
# $$g_\perp = g - \frac{\langle w, g\rangle}{\lVert w\rVert^2}\, w, \qquad
# g \leftarrow \lVert g\rVert\,\frac{g_\perp}{\lVert g_\perp\rVert} .$$
#
# A step of gradient descent then makes $\lVert w\rVert^2$ grow by $\eta^2 \lVert g\rVert^2$ and by nothing else. The loss is cross-entropy as
# before, in float32 as before. It can still fall, but only by giving other answers.

# %%
w, g = (torch.randn(2, 30, 20, generator=generator(4), dtype=torch.float64)).unbind()
g = g - 5 * w  # most of it along the weights
turned, step_size = perpendicular(g, w), 0.1
claim("what is left is perpendicular to the weights", (turned * w).sum(), 0, 1e-9)
claim("and as long as the gradient was", turned.norm() / g.norm(), 1, 1e-12)
claim(
    "after a step the squared length has grown by η²‖g‖²",
    (w - step_size * turned).square().sum() - w.square().sum(),
    expected=step_size**2 * g.square().sum(),
    tolerance=1e-9,
)
claim(
    "of this gradient, the part along the weights is",
    (g * w).sum() / g.norm() / w.norm(),
    -0.98,
    0.01,
)

# %% [markdown]
# > **Definition.** `stablemax_cross_entropy(logits, target)` is $\log \sum_j s(z_j) - \log s(z_y)$. No hyper-parameter. Origin: heuristic.
# > Grows like $\log |z|$; not blind to a common shift. `PerpGrad(optimizer, member_axes=0)` wraps any optimiser and turns the gradient of
# > each parameter tensor before its step; `perpendicular(gradient, weight)` is the turn alone. Limits: Adam, which weighs each number by
# > itself, bends the step out of the perpendicular a little. Where the gradient lies along the weights, as it always does for a single
# > number, the result is 0.
#
# ### What to look for in the picture
# The pull on the right class against its lead over two others. The three softmaxes are one straight line on this scale, and each ends at a
# cross: there it is exactly 0. StableMax begins lower, crosses them all, and bends away to the right. The price is on the left: at a lead
# of 2, where the work is done, it pulls less.

# %%
leads = torch.arange(0, 45, 0.25, dtype=torch.float64)
rows = torch.cat([leads[:, None], torch.zeros(len(leads), 2)], 1)
firsts = torch.zeros(len(leads), dtype=torch.long)


def pull_of(loss, dtype):
    """|gradient on the right class| of each row."""
    leaf = rows.to(dtype).requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0][:, 0].abs().double()


pulls = {
    f"softmax, {name}": (
        leads,
        pull_of(lambda z: row_losses(z, firsts, "log-softmax"), FORMATS[name]),
    )
    for name in ("float16", "float32", "float64")
}
in_single = pull_of(lambda z: stablemax_cross_entropy(z, firsts, reduction="none"), torch.float32)
pulls["StableMax, float32"] = (leads, in_single)
ends = {name: float(leads[pull == 0][0]) for name, (_, pull) in pulls.items() if (pull == 0).any()}
print("no pull from a lead of", ends)
claim("StableMax pulls at every lead", in_single, at_least=1e-4)
claim(
    "the softmaxes end in the order of their formats", list(ends.values()) == sorted(ends.values())
)
crossing = float(leads[in_single > pulls["softmax, float64"][1]][0])
claim("StableMax pulls harder from a lead of", crossing, at_least=2, at_most=8)

figure, ax = new_figure(height=4.2, width=6.8)
plot_pull(pulls, ax)
show(
    figure,
    alt="Absolute gradient on the right class against its lead over two others, 0 to 45 nats. "
    "Softmax falls as a straight line and ends at "
    + ", ".join(f"{end:g} ({name[9:]})" for name, end in ends.items())
    + f". StableMax falls slowly, from {float(in_single[0]):.2f} at 0 to {float(in_single[-1]):.4f} "
    f"at 45, and lies above the softmax from {crossing:g} nats on.",
    caption="How to read it: a cross is where a line stops, for the next value is exactly 0.",
)

# %% [markdown]
# ### The experiment: three bits of thirty-three, and the published network
# **Sparse parity.** 33 random bits, and the class is the parity of the first three. 800 examples to learn from, 800 held out, 34-64-64-2
# units, a constant 1 in place of biases. Cross-entropy in float32 and in float64, StableMax, perpGrad: five seeds. **Modular addition** at $p = 23$ with
# *weight decay* 3, the repair everybody knows. And perpGrad *at the published size*, in one go.
#
# #### What must hold
# Fixed before seeds 0 to 4 were run, after pilots on seeds 100 to 119. The control in float64 was added afterwards.
#
# | claim | seen | seeds |
# |---|---|---|
# | parity: perpGrad is above 95 % within 250 steps | 1.00 | 5 of 5 |
# | parity: perpGrad above StableMax above cross-entropy at the end of each | by 0.14 to 0.30; by 0.03 to 0.23 | 5 of 5 |
# | parity: StableMax ahead of cross-entropy by 0.08 at step 800 | 0.029 to 0.231 ahead | **3 of 5** |
# | addition, $p = 23$: weight decay passes 90 % within 300 steps | step 150 to 250 | 5 of 5 |
# | addition, published size: perpGrad passes 99 % within 200 steps | step 110 (seed 0); recorded 110 to 120 | 5 of 5 |

# %%
parity_run = sparse_parity.run(sparse_parity.SCALES["small"], progress=False)
ending = {
    name: reading(parity_run, name, "test_accuracy").iloc[-1] for name in parity_run.config.methods
}
for name, found in ending.items():
    print(f"{name:10} {found.round(3).tolist()}")
ahead = ending["stablemax"] - ending["float32"]
print("StableMax ahead of cross-entropy by", ahead.round(3).tolist())
claim("perpGrad at step 250", ending["perpgrad"], at_least=0.95)
claim("perpGrad above StableMax", ending["perpgrad"] - ending["stablemax"], at_least=0.001)
claim("StableMax above cross-entropy", ahead, at_least=0.001)
claim("by 0.08, the threshold: seeds of five", int((ahead >= 0.08).sum()), expected=3, tolerance=1)

# %% [markdown]
# The order holds in all five seeds, the margin that the pilots promised in three. StableMax is not fast: it is *still rising* at step 800,
# where cross-entropy has nearly come to rest. But is it collapse that it repairs? The control says no. In float64 next to nothing has
# collapsed at step 800, in float32 a third of the rows, and the two are level on held-out examples. What StableMax changes is the *pull*: it
# goes on where the softmax, in any format, has long become faint.

# %%
rise = {
    name: reading(parity_run, name, "test_accuracy").loc[[400, 800]].diff().iloc[-1]
    for name in ("float32", "stablemax")
}
for name, found in rise.items():
    print(f"{name:10} rises from step 400 to 800 by {found.round(3).tolist()}")
gap = ending["float64"] - ending["float32"]
shares = {name: reading(parity_run, name, "collapsed").iloc[-1] for name in ("float32", "float64")}
for name, found in shares.items():
    print(f"{name:10} collapsed at step 800: {found.round(3).tolist()}")
claim("control: float64 is level with float32", gap, expected=0, tolerance=0.02)
claim("though next to none of its rows have collapsed", shares["float64"], at_most=0.1)
claim("and in float32 a third", shares["float32"], at_least=0.2)
claim("StableMax rises by more", rise["stablemax"] - rise["float32"], at_least=0)
collapsed_share = {
    c: reading(parity_run, "stablemax", c).iloc[-1] for c in ("collapsed_float32", "zero_loss")
}
print(
    "StableMax's logits, read by a softmax in float32:",
    collapsed_share["collapsed_float32"].round(2).tolist(),
)
claim(
    "counterfactual: as a softmax in float32 its rows would have collapsed",
    collapsed_share["collapsed_float32"],
    at_least=0.9,
)

# %% [markdown]
# The last line is a warning about the diagnostic. StableMax's logits are large, as they must be, and *read by a softmax* every row has
# collapsed. It was not: the loss never took an exponential.

# %%
variants = dataclasses.replace(
    SMALL, methods=("perpgrad_as_asked", "weight_decay"), steps=(150, 300)
)
variant_run = modular_addition.run(variants, progress=False)
decayed = first_step(variant_run, "weight_decay", "test_accuracy", 0.9)
print("weight decay passes 90 % at step", decayed.astype(int).tolist())
claim("weight decay 3 passes 90 % within 300 steps", decayed, at_most=300)

# %%
PUBLISHED = dataclasses.replace(
    modular_addition.SCALES["paper"],
    methods=("perpgrad",),
    steps=(200,),
    seeds=1,
    every=10,
    enough=0.99,
)
published_run = modular_addition.run(PUBLISHED, progress=False)
published = published_run.history.set_index("step")[["train_accuracy", "test_accuracy"]]
print(published.iloc[::2].round(3).to_string())
claim("published size: steps to 99 % of the held-out pairs", int(published.index[-1]), at_most=200)
claim("accuracy there", published["test_accuracy"].iloc[-1], at_least=0.99)

# %%
figure, (left, middle, right) = new_figure(3, height=3.9, width=10.5)
plot_metric(parity_run, left, metric="test_accuracy")
left.set(title="sparse parity", ylim=(0.4, 1.02))
plot_metric(variant_run, middle, metric="test_accuracy", settings=("weight_decay",))
middle.set_title("addition, p = 23")
plot_metric(published_run, right, metric="test_accuracy")
plot_metric(recorded_run, right, metric="test_accuracy", settings=("float32",))
stable_run = recorded("modular_addition_stablemax", modular_addition.Config)
plot_metric(stable_run, right, metric="test_accuracy")
right.set_title("addition, p = 113")
figure.legend(
    handles=[*left.get_lines(), *middle.get_lines()],
    loc="outside upper left",
    ncols=4,
    handlelength=3.2,
    fontsize=10,
    frameon=False,
)
for ax in (left, middle, right):
    ax.get_legend().remove()
means = {name: float(found.mean()) for name, found in ending.items()}
show(
    figure,
    alt="Held-out accuracy against the step in three tasks. Sparse parity: perpGrad reaches "
    f"{means['perpgrad']:.2f} by step 250, StableMax {means['stablemax']:.2f} and cross-entropy, "
    f"in both formats, {means['float32']:.2f} by step 800. Addition at p = 23: weight decay rises from step 100 and "
    f"passes 0.9 by step {decayed.max():.0f}. Addition at p = 113: perpGrad passes 0.99 at step "
    f"{published.index[-1]}; the recorded cross-entropy stays at 0 for 2,000 steps; the recorded "
    "StableMax leaves 0 after 20,000 steps and ends at "
    f"{stable_run.history['test_accuracy'].iloc[-1]:.2f}.",
    caption="How to read it: bands are the range of five seeds; right, perpGrad is the seed run here.",
)

# %% [markdown]
# Weight decay repairs the same thing from the other side. It lets the gradient make the weights longer, and shrinks them again: leads stay
# short, nothing collapses, and an answer that is not kept up by the data fades. perpGrad takes a third of the steps here.
#
# Two recorded runs complete the picture. **A transformer** (one layer, width 128 and 2,048 hidden units, as published; $p = 31$, 70 % of
# the pairs, learning rate 0.001, 1,000 steps, five seeds) takes longer, and the order is the same: alone it stays at 0, with perpGrad it
# finds the rule, with weight decay 1.5 it is a little behind. **StableMax** on modular addition at the published size is the paper's
# longest run, 80,000 steps. The recorded one has one seed and 55,500 steps, nearly an hour of one CPU core. Every training pair is right
# all the time. Held-out accuracy is below 1 % for 20,000 steps; then it grows by two fifths or more every 2,500 up to a quarter, and stands
# at 0.68 at the end, still rising: grokking, hundreds of times later than perpGrad's. Note the cosine. StableMax does not turn away from
# [naive loss minimisation](#eq-naive-minimisation). It keeps it from ending.

# %%
transformer_run = recorded("modular_addition_transformer", modular_addition.Config)
reached = {
    name: reading(transformer_run, name, "test_accuracy").iloc[-1]
    for name in transformer_run.config.methods
}
for name, found in reached.items():
    print(f"{name:25} step 1000: {found.round(3).tolist()}")
claim("recorded: the transformer alone", reached["transformer"], at_most=0.05)
claim("recorded: with perpGrad", reached["transformer_perpgrad"], at_least=0.8)
ahead = reached["transformer_perpgrad"] - reached["transformer_weight_decay"]
claim("recorded: perpGrad ahead of weight decay", ahead, at_least=0.01)

stable = stable_run.history.set_index("step")
shown = ["train_accuracy", "test_accuracy", "loss", "alignment_output"]
print(stable[shown].iloc[:: len(stable) // 8].to_string(float_format="{:.2g}".format))
last_step = int(stable.index[-1])
claim(
    "recorded StableMax: training pairs right", stable["train_accuracy"].loc[1500:], at_least=0.999
)
claim("held-out accuracy up to step 20,000", stable["test_accuracy"].loc[1500:20_000], at_most=0.01)
claim(f"at step {last_step}", stable["test_accuracy"].iloc[-1], at_least=0.6)
claim(
    "it rises to the end: change over the last rows",
    stable["test_accuracy"].diff().iloc[-5:],
    at_least=0,
)
claim("the loss is not 0 and falls still", stable["loss"].diff().iloc[-3:], at_most=0)
claim("cosine in the output layer", stable["alignment_output"].iloc[-1], at_least=0.9)

# %% [markdown]
# ### Why does this differ from the paper?
# - **The released perpGrad runs with another Adam than was asked for.** Its wrapper makes the optimiser anew with learning rate and weight
#   decay only, so $\beta_2$ and $\varepsilon$ are PyTorch's 0.999 and $10^{-8}$ whatever the command line says. `perpgrad` does what the code
#   does, `perpgrad_as_asked` what it was asked to. It makes no difference that matters here.
# - **A guard.** The released code divides $g_\perp$ by its length, however short. Where $g$ lies along $w$, what is left is rounding, blown
#   up to full size in an arbitrary direction. `perpendicular` gives 0 below a millionth of $\lVert g\rVert$.
# - **$10^{-30}$ in $s$.** The code has $1/(1 - z + 10^{-30})$ for $z < 0$. That is the same number in every format.
# - **float64.** The code casts the logits to float64 for StableMax, and so does the experiment. The loss itself does not need it.

# %%
asked = first_step(variant_run, "perpgrad_as_asked", "test_accuracy", 0.9)
print(
    "90 % at step:",
    learned.astype(int).tolist(),
    "with PyTorch's Adam,",
    asked.astype(int).tolist(),
    "as asked",
)
claim("as asked, perpGrad passes 90 % within 150 steps too", asked, at_most=150)

single = w.float()
lying_along = (w / 3).float()  # a gradient that points along the weights
unguarded = lying_along - (lying_along * single).sum() / single.square().sum() * single
unguarded = unguarded * lying_along.norm() / unguarded.norm()
claim(
    "without the guard: pure rounding, as long as g", unguarded.norm() / lying_along.norm(), 1, 1e-5
)
claim("with it", perpendicular(lying_along, single), expected=0)
negative = -torch.logspace(-8, 8, 50)
claim("1 − z + 10⁻³⁰ is 1 − z", bool(((1 - negative + 1e-30) == 1 - negative).all()))
claim(
    "StableMax in float32 and in float64",
    stablemax_cross_entropy(z.float(), target).double() - stablemax_cross_entropy(z, target),
    expected=0,
    tolerance=1e-6,
)

# %% [markdown]
# ### When to use it
# perpGrad: where a network knows its training set by heart and a rule is there to be found, and as an instrument, to see whether loudness
# is what stands in the way. Before a normalisation, which does not see the length of the weights, there is nothing for it to remove: the
# gradient is perpendicular already ([chapter 71](71_neural_collapse.ipynb#2-Past-zero-error)). StableMax: where the run is long, and the
# probabilities are not used as such; its 0.913 at a lead of 20 is no calibrated statement. Before either of them try weight decay, which
# every optimiser has.

# %%
before_norm = torch.randn(8, 16, generator=generator(5), dtype=torch.float64, requires_grad=True)
head = torch.randn(16, 5, generator=generator(6), dtype=torch.float64)
normed = torch.nn.functional.layer_norm(x @ before_norm, (16,), eps=0)
(slope,) = torch.autograd.grad(cross_entropy(normed @ head, labels), before_norm)
claim(
    "before a normalisation the gradient has no part along the weights",
    (slope * before_norm).sum(),
    0,
    1e-12,
)

# %% [markdown]
# ### Exercises
# **Exercise 3. Across.** Write [perpGrad's gradient](#eq-perpgrad) of one weight matrix.


# %% tags=["exercise"]
def across(gradient, weight):
    """The gradient without its part along the weights, as long as before."""
    return gradient - (gradient * weight).sum() / weight.square().sum() * weight  # your turn


# %% tags=["check"]
exercises.check_across(across)

# %% [markdown]
# *Solution.* Project, then stretch.


# %% jupyter={"source_hidden": true} tags=["solution"]
def across_solution(gradient, weight):
    """The gradient without its part along the weights, as long as before."""
    left = gradient - (gradient * weight).sum() / weight.square().sum() * weight
    return left * gradient.norm() / left.norm()


verdict = exercises.check_across(across_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# **Exercise 4. StableMax's pull.** Write [the gradient](#eq-stablemax-gradient) of StableMax's cross-entropy by one row of logits.


# %% tags=["exercise"]
def stable_pull(logits, right):
    """The gradient by each logit."""
    return torch.softmax(logits, 0) - torch.nn.functional.one_hot(
        torch.tensor(right), len(logits)
    )  # your turn


# %% tags=["check"]
exercises.check_stablemax_pull(stable_pull)

# %% [markdown]
# *Solution.* Cross-entropy of $y_k = \operatorname{sign}(z_k)\log(1 + |z_k|)$ has the gradient $q - e_y$ by $y$, and $dy/dz = 1/(1+|z|)$ on
# both sides of 0.


# %% jupyter={"source_hidden": true} tags=["solution"]
def stable_pull_solution(logits, right):
    """The gradient by each logit."""
    s = torch.where(logits >= 0, logits + 1, 1 / (1 - logits))
    q = s / s.sum()
    q[right] -= 1
    return q / (1 + logits.abs())


verdict = exercises.check_stablemax_pull(stable_pull_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="lazy_rich"></a>
# ## 3 From lazy to rich: the same network, with a knob
# *Kumar, Bordelon, Gershman & Pehlevan 2024, arXiv 2310.06110 · origin: heuristic (a knob of training, not a loss)*
#
# The first two sections are about a loss that stops teaching. This one is about a network that learns its points perfectly well, in a way
# that says nothing about other points, and only later in a way that does.
#
# **Predict first.** 120 points in 20 dimensions, $y = (\beta \cdot x)^2/2$, a network of 200 slightly curved units. Multiply its output by
# $\alpha$ and divide the loss by $\alpha^2$. Every $\alpha$ sets off at the same speed, and every $\alpha$ learns the 120 points. Which one
# knows about new points by then: $\alpha = 0.5$ or $\alpha = 8$? How much later does the other one follow? Run the cell (it trains 25
# networks for 2,000 steps each), then move `laziness α` with the step at the end, and walk the step back.
#
# *(The small one. At $\alpha = 8$ the training error is below 0.05 after a hundred to two hundred steps, when the test error still is 0.36
# to 0.77. What comes after that differs from seed to seed: a late fall within the next few hundred steps, or none that we live to see.)*

# %%
lazy_run = lazy_rich.run(lazy_rich.SCALES["small"], progress=False)
lazy_explorer = LazyExplorer(lazy_run)
lazy_explorer

# %% [markdown]
# ### Where it comes from
# Take any network $z(x; \theta)$ and train instead
#
# <a id="eq-lazy"></a>
# $$z_\alpha(x; \theta) = \alpha\,\bigl(z(x; \theta) - z(x; \theta_0)\bigr), \qquad
# L_\alpha(\theta) = \frac{1}{\alpha^2}\,\frac1P \sum_j \ell\bigl(z_\alpha(x_j), y_j\bigr).$$
#
# Follow the gradient,
# $\dot\theta = -\partial L_\alpha/\partial\theta = -\frac1\alpha \frac1P \sum_j \ell'_j\, \partial z(x_j)/\partial\theta$. The output then
# moves by
#
# <a id="eq-tangent-kernel"></a>
# $$\dot z_\alpha(x) = \alpha\,\frac{\partial z(x)}{\partial\theta} \cdot \dot\theta = -\frac1P \sum_j K_\theta(x, x_j)\,\ell'_j, \qquad
# K_\theta(x, x') = \frac{\partial z(x)}{\partial\theta} \cdot \frac{\partial z(x')}{\partial\theta} .$$
#
# $\alpha$ has gone from the speed of the outputs, and stays in that of the weights, $1/\alpha$. So with a large $\alpha$ the outputs arrive
# while the weights have hardly left. Then $K_\theta$, the *neural tangent kernel*, is the one of the start all the time, and training is
# linear: the **lazy** regime, a kernel regression. With a small $\alpha$ the weights must go far, and the kernel changes with them: the
# **rich** regime.


# %%
def start_of(seed, units=200, inputs=20, curvature=0.3):
    """A polynomial network in double precision."""
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(units, inputs, generator=draw, dtype=torch.float64)
    return PolynomialNet(weight, curvature=curvature)


draw = torch.Generator().manual_seed(100)
points = torch.randn(40, 20, generator=draw, dtype=torch.float64) / math.sqrt(20)
target = (points @ torch.ones(20, dtype=torch.float64))[:, None].square() / 2


def after(model, alpha, steps, rate=0.3 * 200 * 20):
    """The outputs after some steps of gradient descent on half the squared error over α²."""
    train(
        model,
        lambda model, x: squared_error(model(x), target) / (2 * alpha**2),
        lambda: points,
        torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=rate),
        steps=steps,
    )
    return model(points).detach()


models = {alpha: Lazy(start_of(0), alpha) for alpha in (1.0, 10.0, 100.0)}
claim("the output is exactly 0 at the start", models[10.0](points), expected=0)
first = {alpha: after(model, alpha, 1, rate=1e-3) for alpha, model in models.items()}
moved = {
    alpha: (model.model.weight - model.start.weight).norm().item()
    for alpha, model in models.items()
}
claim(
    "after one short step the outputs agree for α = 1 and 100, relative",
    (first[1.0] - first[100.0]).norm() / first[100.0].norm(),
    at_most=1e-4,
)
claim("the weights moved 100 times as far for α = 1", moved[1.0] / moved[100.0], 100, 1e-3)
kernel = tangent_kernel(start_of(0), points)
claim(
    "and the outputs moved by the kernel times the errors, relative",
    (first[100.0] - 1e-3 / 40 * kernel @ target).norm() / first[100.0].norm(),
    at_most=1e-4,
)
limit = after(Linearized(start_of(0)), 1.0, 100)
gaps = [
    (after(Lazy(start_of(0), alpha), alpha, 100) - limit).norm().item() for alpha in (64.0, 128.0)
]
claim("100 steps: distance from the network's tangent, α = 64", gaps[0] / limit.norm(), at_most=0.1)
claim("α = 128: half of that", gaps[1] / gaps[0], 0.5, 0.05)

# %% [markdown]
# #### A network that can be known whole
# Now take units whose activation is a line with a slight bend, $\varphi(h) = h + \frac\varepsilon2 h^2$, and average them:
#
# <a id="eq-polynomial-network"></a>
# $$f(x) = \frac1N \sum_i \varphi(w_i \cdot x) = \bar w \cdot x + \frac\varepsilon2\, x^\top M x, \qquad
# \bar w = \frac1N \sum_i w_i, \quad M = \frac1N \sum_i w_i w_i^\top .$$
#
# Two statistics say all that 200 units say. The same holds for the kernel. From
# $\partial f/\partial w_i = \frac1N (1 + \varepsilon\, w_i \cdot x)\, x$,
#
# <a id="eq-polynomial-kernel"></a>
# $$K(x, x') = \frac{x \cdot x'}{N}\,\bigl(1 + \varepsilon\, \bar w \cdot (x + x') + \varepsilon^2\, x^\top M x'\bigr).$$
#
# With $\varepsilon = 0.3$ this is nearly the kernel of a linear network. The target is a pure square, on which linear functions are of no
# use at all. So the kernel of the start is **misaligned**: what it does best has nothing to do with $y$. In numbers, the alignment
# $A = y^\top K y/(\lVert K\rVert\, \lVert y\rVert^2)$, both centred, is a cosine between $K$ and $yy^\top$.
#
# And the error on new points $x \sim \mathcal N(0, I/D)$ needs no sample. Let the network have learned the linear form $v$ and the
# quadratic form $Q$, that is $v = \alpha(\bar w - \bar w_0)$ and $Q = \alpha\varepsilon(M - M_0)$, and let $A = Q - \beta\beta^\top$. Then
#
# <a id="eq-exact-error"></a>
# $$\mathbb E(f - y)^2 = \underbrace{\Bigl(\frac{\operatorname{tr} A}{2D}\Bigr)^2}_{\text{wrong mean}}
# + \underbrace{\frac{\lVert A\rVert^2}{2D^2}}_{\text{wrong quadratic form}} + \underbrace{\frac{\lVert v\rVert^2}{D}}_{\text{a linear form}} .$$
#
# At the start it is 3/2 of the variance of $y$. It is 0 where $v = 0$ and $\alpha\varepsilon(M - M_0) = \beta\beta^\top$. How far is that?
# Along $\beta$, where $\lVert\beta\rVert^2 = D$, the weights' mean square must grow from 1 to $1 + D/\alpha\varepsilon$. The shortest way
# is to stretch every weight in this direction by the same factor:
#
# <a id="eq-way-of-the-weights"></a>
# $$\frac{\lVert w - w_0\rVert}{\lVert w_0\rVert} = \frac{\sqrt{1 + D/\alpha\varepsilon} - 1}{\sqrt D} .$$

# %%
net = start_of(1)
hidden = points @ net.weight[0].T
claim(
    "the two statistics say what the units say",
    net(points)[:, 0] - (hidden + 0.15 * hidden.square()).mean(1),
    expected=0,
    tolerance=1e-12,
)
claim(
    "the kernel by hand is the kernel by torch.func, relative",
    (net.kernel(points)[0] - tangent_kernel(net, points)).abs().max() / net.kernel(points).max(),
    at_most=1e-12,
)
claim(
    "a curved kernel (ε = 3) is better aligned with y than one of ε = 0.3",
    kernel_alignment(start_of(1, curvature=3.0).kernel(points)[0].detach(), target[:, 0])
    / kernel_alignment(net.kernel(points)[0].detach(), target[:, 0]),
    at_least=1.5,
)

draw = torch.Generator().manual_seed(7)
linear, beta = torch.randn(2, 20, generator=draw, dtype=torch.float64)
form = torch.randn(20, 20, generator=draw, dtype=torch.float64)
form = form + form.T
many = torch.randn(100_000, 20, generator=draw, dtype=torch.float64) / math.sqrt(20)
errors = many @ linear + ((many @ form) * many).sum(1) / 2 - (many @ beta).square() / 2
by_hand = sum(lazy_rich.error_parts(linear, form, beta).values()) * (beta @ beta / 20) ** 2 / 2
claim(
    "the three parts are the mean over 100,000 points, in standard errors",
    (errors.square().mean() - by_hand).abs() / (errors.square().std() / math.sqrt(len(many))),
    at_most=4,
)

net = start_of(2)  # stretched along β, and nothing else
along = torch.ones(20, dtype=torch.float64) / math.sqrt(20)
before = net.weight.detach().clone()
mean_square = (before @ along).square().mean()
stretch = torch.sqrt(1 + 20 / (0.5 * 0.3 * mean_square))
with torch.no_grad():
    net.weight += (stretch - 1) * (before @ along)[..., None] * along
reached = ((net.weight - before) @ along).norm() / before.norm()
claim(
    "α = 0.5: the formula's way, from 200 random units",
    reached,
    (math.sqrt(1 + 20 / 0.15) - 1) / math.sqrt(20),
    0.15,
)
gained = 0.5 * 0.3 * (net.weight[0].T @ net.weight[0] - before[0].T @ before[0]) / 200
claim("there the quadratic form along β is β's own", along @ gained @ along, 20, 1e-9)

# %% [markdown]
# > **Definition.** `Lazy(model, alpha)` is the module $\alpha\,(z(\cdot; \theta) - z(\cdot; \theta_0))$, for any network; train it on the loss over
# > $\alpha^2$, or with the step size over $\alpha^2$. `Linearized(model)` is its limit for $\alpha \to \infty$. `tangent_kernel(model, inputs)` is $K$,
# > `kernel_alignment(kernel, target)` the cosine with $yy^\top$, `kernel_similarity` that between two kernels (CKA), `relative_motion` the way of
# > the weights over their length. Origin: heuristic. Limits: 0 at the start for every $\alpha$; with $\alpha = 1$ only the start's output
# > is taken away.
#
# ### What to look for in the picture
# Left, the space between the dashed and the solid line is the delay. Middle, choose `alignment`: rich kernels turn towards $y$, the lazy
# one stays. Right, new points: first a cloud without a direction, then the diagonal. At $\alpha = 8$ and the step at which the own points
# are learned (a preset) the cloud is still there.

# %%
for preset in lazy_explorer.presets:
    lazy_explorer.choose(preset)
    print(preset + ":", lazy_explorer.caption.splitlines()[-1], "\n")
seen = lazy_explorer.move_every_control()
claim(
    "moving the controls of the laziness explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=8,
)

# %% [markdown]
# ### The experiment: the knob, the start, and the number of points
# Five seeds, five $\alpha$, 120 points, plain gradient descent on the full batch. Then, at $\alpha = 8$, three changes one at a time: 80
# points, 300 points, and a start that already lies half along $\beta$. $D = 20$, $N = 200$, $\varepsilon = 0.3$.
#
# #### What must hold
# Fixed after a pilot on seeds 100 to 104; this run is seeds 0 to 4. A *step* is the first one measured at which the training error is below
# 0.05, or the test error below 0.2, both over the variance of $y$. The *delay* is the second over the first.
#
# | claim | seen | seeds |
# |---|---|---|
# | the delay grows with each doubling of $\alpha$ from 0.5 to 8, as long as it ends | 1.2 to 3.1 at 0.5; 2.4 to more than 12 at 8 | 4 of 5 |
# | it is at most 2 at $\alpha = 0.5$ | 1.2 to 3.1 | **3 of 5** |
# | it is at least 4 at $\alpha = 8$ | 2.4, 2.6, 5.0, twice not over | **3 of 5** |
# | the weights move less with each doubling of $\alpha$ | 2.3 to 2.4 at 0.5; 0.40 to 0.44 at 8 | 5 of 5 |
# | by as much as [the formula](#eq-way-of-the-weights) says, to 5 %, at $\alpha = 0.5$, 1 and 2 | 0.97 to 1.03 of it | 5 of 5 |
# | the kernel's alignment at the end, $\alpha = 0.5$: 3 times that of the start | 2.9 to 9.0 | 4 of 5 |
# | $\alpha = 8$: no more than 1.4 times | 1.1 to 1.5 | **3 of 5** |
# | it rises during the delay, at every $\alpha$ whose delay ends | | 5 of 5 |
# | the kernel of the start, trained for ever, leaves [an error](#eq-exact-error) of 0.4 or more | 0.34 to 0.80 | 4 of 5 |
# | $\alpha = 8$ ends below 0.2 | 0.10 to 0.43 | **3 of 5** |
# | 80 points, $\alpha = 8$: the test error never falls below 0.2 | ends at 0.28 to 0.68 | 5 of 5 |
# | 300 points, $\alpha = 8$: no delay, at most 1.2 | 0.8 to 0.9 | 5 of 5 |
# | a start half along $\beta$, $\alpha = 8$: at most 1.5 | 0.9 to 1.2 | 5 of 5 |
#
# What fails are thresholds in absolute numbers. 120 points are about half of the 230 numbers of a quadratic function in 20 dimensions, and
# some 120 points are worth much more than others: seeds 0 and 2 are hard for every $\alpha$, seeds 1 and 4 easy. *Within* a seed only one
# comparison fails, by a tie: seed 4 has 1.47 at 0.5 and 1.45 at 1. Two claims of that kind were added after this run and then tried on five
# seeds that nobody had looked at, 200 to 204: the delay at $\alpha = 8$ is at least 1.5 times that at 0.5 (5 of 5 here, 5 of 5 there), and
# $\alpha = 8$ ends at 0.8 or less of the error that its first kernel leaves in the end (5 of 5, 5 of 5). On those seeds three claims of the
# table are kept by fewer than here: 300 points, 4 of 5; the half-aligned start, 3 of 5 with a longest delay of 2.0; and $\alpha = 8$ ends
# below 0.2 in none. The last threshold comes from 4,000 steps, and this run has 2,000.

# %%
begun, ended = (lazy_run.history.groupby(["alpha", "seed"]).nth(place) for place in (0, -1))
begun, ended = (part.set_index(["alpha", "seed"]).sort_index() for part in (begun, ended))
steps = lazy_rich.first_steps(lazy_run)
delay = steps.pivot(index="alpha", columns="seed", values="delay")
print(delay.round(2).to_string())


def held(statement, by_seed, seeds):
    """Claim in how many of five seeds something held; one to spare, for processors round differently."""
    claim(f"{statement}: seeds", int(np.sum(by_seed)), expected=seeds, tolerance=1)


grows = (delay.diff().iloc[1:] > 0) | np.isinf(delay.iloc[1:])
held("the delay grows with each doubling of α", grows.all(), 4)
held("at α = 0.5 it is at most 2", delay.loc[0.5] <= 2, 3)
held("at α = 8 it is at least 4", delay.loc[8.0] >= 4, 3)
motion = ended["motion"].unstack()
held("the weights move less with each doubling of α", (motion.diff().iloc[1:] < 0).all(), 5)
formula = (np.sqrt(1 + 20 / (0.3 * motion.index)) - 1) / np.sqrt(20)
share = motion.div(formula, axis=0)
print(share.round(3).to_string())
held("by what the formula says, α ≤ 2", ((share.loc[:2.0] - 1).abs() <= 0.05).all(), 5)
growth = (ended["alignment"] / begun["alignment"]).unstack()
held("α = 0.5: the alignment grows three times", growth.loc[0.5] >= 3, 4)
held("α = 8: 1.4 times at most", growth.loc[8.0] <= 1.4, 3)
aligned = lazy_run.history.set_index(["alpha", "seed", "step"])["alignment"]
over = steps[np.isfinite(steps["delay"]) & (steps["delay"] > 1)]
rise = [
    aligned[row.alpha, row.seed, row.test_step] - aligned[row.alpha, row.seed, row.train_step]
    for row in over.itertuples()
]
claim("it rises during every delay that ends: the least rise", min(rise), at_least=1e-4)
for_ever = begun["kernel_error"].unstack().loc[8.0]
lazy_end = ended["test_error"].unstack().loc[8.0]
at_first = lazy_run.history.set_index(["alpha", "seed", "step"])["test_error"]
claim(
    "α = 8: the test error when the own points are learned",
    [at_first[8.0, row.seed, row.train_step] for row in steps[steps["alpha"] == 8].itertuples()],
    at_least=0.3,
)
held("the start's kernel for ever: 0.4 or more", for_ever >= 0.4, 4)
held("α = 8 ends below 0.2", lazy_end < 0.2, 3)
held(
    "within a seed: the delay is 1.5 times as long at 8", delay.loc[8.0] >= 1.5 * delay.loc[0.5], 5
)
held("within a seed: α = 8 ends at 0.8 of the kernel or less", lazy_end <= 0.8 * for_ever, 5)

# %%
lazy_config = dataclasses.replace(lazy_rich.SCALES["small"], alphas=(8.0,))
sizes_run = lazy_rich.run(
    dataclasses.replace(lazy_config, points=(80, 300), steps=1200), progress=False
)
by_size = lazy_rich.first_steps(sizes_run).pivot(index="points", columns="seed", values="delay")
aligned_run = lazy_rich.run(
    dataclasses.replace(lazy_config, aligned=(0.5,), steps=500), progress=False
)
of_aligned = lazy_rich.first_steps(aligned_run).set_index("seed")
print(by_size.round(2).to_string(), "\n", of_aligned["delay"].round(2).to_string())
print(
    sizes_run.history.groupby(["points", "seed"])["test_error"]
    .last()
    .round(3)
    .unstack()
    .to_string()
)
held("80 points: learned, and new points never", np.isinf(by_size.loc[80]), 5)
held("300 points: no delay", by_size.loc[300] <= 1.2, 5)
held("half along β from the start: at most 1.5", of_aligned["delay"] <= 1.5, 5)
aligned_start = aligned_run.history.query("step == 0").set_index("seed")
first_alignment = begun["alignment"].unstack().loc[8.0]
ratio = aligned_start["alignment"] / first_alignment
print("alignment of the half-aligned start over that of the plain one:", ratio.round(2).tolist())
claim("and yet its alignment is at most twice the plain start's", ratio.to_numpy(), at_most=2)
claim(
    "while its kernel leaves ten times less, or less still",
    (for_ever / aligned_start["kernel_error"]).to_numpy(),
    at_least=10,
)

# %%
figure, (left, right) = new_figure(2, height=4.0)
plot_errors(lazy_run, ax=left, alphas=(0.5, 8.0))
plot_delays(steps, ax=right)
middle = lazy_run.history.groupby(["alpha", "step"])[["train_error", "test_error"]].median()
show(
    figure,
    alt="Left, errors against the step, both axes logarithmic, medians of five seeds: at the end "
    f"α = 0.5 has a test error of {middle['test_error'][0.5].iloc[-1]:.3f}, α = 8 one of "
    f"{middle['test_error'][8.0].iloc[-1]:.2f}, and training errors below 0.001 in both. Right, the delay against α, "
    "a line a seed: from "
    f"{delay.loc[0.5].min():.1f} to {delay.loc[0.5].max():.1f} at 0.5; at 8 "
    + ", ".join("not over" if np.isinf(d) else f"{d:.1f}" for d in delay.loc[8.0])
    + ".",
    caption="How to read it: left, of one colour, dashed to solid is the delay. Right, lines go up, from wherever they begin.",
)

# %%
claim(
    "in every seed a linear form comes, which the target has not, and goes: at most a quarter is left",
    [
        one["linear"].iloc[-1] / one["linear"].max()
        for _, one in lazy_run.history.query("alpha == 8").groupby("seed")
    ],
    at_most=0.25,
)
figure, (left, right) = new_figure(2, height=4.0)
plot_followed(lazy_run, ax=left, column="alignment")
plot_parts(lazy_run, ax=right, alpha=8.0, seed=3)
late = lazy_run.history.query("alpha == 8 and seed == 3").set_index("step")
show(
    figure,
    alt="Left, alignment of the kernel with y against the step: from "
    f"{first_alignment.median():.2f} to {ended['alignment'].unstack().loc[0.5].median():.2f} at α = 0.5, to "
    f"{ended['alignment'].unstack().loc[8.0].median():.2f} at α = 8. Right, the parts of the test error at α = 8, seed 3: the "
    f"linear form begins at 0, reaches {late['linear'].max():.2f} at step {late['linear'].idxmax()}, and ends at "
    f"{late['linear'].iloc[-1]:.3f}; the wrong quadratic form falls from {late['misaligned'].iloc[0]:.2f} to "
    f"{late['misaligned'].iloc[-1]:.2f}.",
    caption="How to read it: right, the hump. The network explains its points first by what its kernel offers, a linear "
    "form, and unlearns it again. What comes last is the quadratic form.",
)

# %% [markdown]
# So grokking here is not one thing that happens late. Two speeds are at work, fitting with the features at hand and turning the features,
# and $\alpha$ sets how far apart they are. Where the data hardly need features (300 points), or have too little to show which (80), or the
# features point the right way already, there is nothing to wait for, or nothing to hope for.
#
# One number should be taken with care. The kernel of the half-aligned start leaves an error that is thirty times smaller and more, and its
# *alignment* is 1.2 to 1.8 times as large: 0.06 to 0.08 instead of 0.03 to 0.07. The linear part of the kernel is large, and hides what
# matters. The error that the kernel's own regression leaves says it at once.
#
# **At the authors' size**, $D = 100$, $N = 500$, $P = 450$, nine $\alpha$ and 60,000 steps of one seed, the knob does all of it: new points
# are known after three times as many steps as the own ones, then seven, then eleven, and from $\alpha = 1$ on not within the run. It takes
# a quarter of an hour and was made beforehand (`data/runs/lazy_rich_paper`); the next cell reads it.

# %%
paper_run = recorded("lazy_rich_paper", lazy_rich.Config)
paper_steps = lazy_rich.first_steps(paper_run).set_index("alpha")
paper_ends = paper_run.history.groupby("alpha").last()
print(paper_steps[["train_step", "test_step", "delay"]].round(1).to_string())
claim("recorded: the delay grows with α", np.diff(paper_steps["delay"].loc[:0.5]), at_least=1)
claim("recorded: all α learn their points", paper_ends["train_error"].to_numpy(), at_most=0.05)
claim("recorded: from α = 1 on it is not over", np.isinf(paper_steps["delay"].loc[1:]).all())
claim("recorded: weights move less with α", -np.diff(paper_ends["motion"]), at_least=0.01)
claim("recorded: alignment at the end falls with α", -np.diff(paper_ends["alignment"]), at_least=0)

# %% [markdown]
# #### On digits
# The same knob on 200 images of digits, with new images of the same set as the test. Two networks of 64 units, without biases, on the
# squared error. One with ReLU, as everybody has it. The other with a sine and first weights 2.5 times as large. Then two images of one
# class look nearly as unrelated as any two (their cosine in the kernel is 0.07; with ReLU 0.43), and the kernel of the start is good at
# storing images. A *step* here is the first one at which 95 % of the own images, or 80 % of the test images, are right.
#
# #### What must hold, on digits
# Fixed after a pilot on seeds 100 to 104; this run is seeds 0 to 4. The last column is five more seeds, 200 to 204.
#
# | claim | seen | seeds | more |
# |---|---|---|---|
# | sine: the delay is longer at $\alpha = 0.03$ than at 0.01 | 2.1 to 9.9, and 2.9 to 13.4; in seed 3 neither ends | 4 of 5 | 5 of 5 |
# | sine: it is at least 1.5 at 0.03, and never over at 0.3 | | 5 of 5 | 5 of 5 |
# | sine: at the end 0.03 is ahead of 0.3 by 0.1 in test accuracy, both with 95 % of their own images | by 0.20 to 0.22 | 5 of 5 | 5 of 5 |
# | ReLU: no delay, at most 1, at every $\alpha$ | 0.29 to 1.1 | 4 of 5 | 5 of 5 |
# | ReLU: all $\alpha$ end within 0.05 | 0.01 to 0.06 | 4 of 5 | 5 of 5 |
# | the first kernel's alignment is higher by 0.1 with ReLU | by 0.13 to 0.19 | 5 of 5 | 5 of 5 |
# | sine: similarity to the first kernel at most 0.92 at 0.03, at least 0.95 at 0.3 | 0.86 to 0.88; 0.98 | 5 of 5 | 5 of 5 |
#
# Looked for in the pilot and not found: that the alignment with the labels rises under the sine. It moves by some hundredths, up and down.

# %%
digits_run = lazy_images.run(lazy_images.SCALES["small"], progress=False)
begun, ended = (digits_run.history.groupby(["activation", "alpha", "seed"]).nth(k) for k in (0, -1))
keys = ["activation", "alpha", "seed"]
begun, ended = (part.set_index(keys).sort_index() for part in (begun, ended))
waits = lazy_images.first_steps(digits_run)
wait = waits.set_index(keys)["delay"].unstack()
print(wait.round(2).to_string())
accuracy, trained = ended["test_accuracy"].unstack(), ended["train_accuracy"].unstack()
print(accuracy.round(3).to_string())
held("sine: longer at 0.03", wait.loc["sine", 0.03] > wait.loc["sine", 0.01], 4)
held("sine: 1.5 or more at 0.03", wait.loc["sine", 0.03] >= 1.5, 5)
held("sine: never over at 0.3", np.isinf(wait.loc["sine", 0.3]), 5)
ahead = accuracy.loc["sine", 0.03] - accuracy.loc["sine", 0.3]
held(
    "sine: 0.03 ahead of 0.3",
    (ahead >= 0.1) & (trained.loc["sine"].loc[[0.03, 0.3]] >= 0.95).all(),
    5,
)
held("ReLU: no delay", (wait.loc["relu"] <= 1).all(), 4)
spread = accuracy.loc["relu"].max() - accuracy.loc["relu"].min()
held("ReLU: all end within 0.05", spread <= 0.05, 4)
config, cosines = lazy_images.SCALES["small"], {}
for activation in config.activations:
    images, labels, *_ = lazy_images.draw_images(config, 0)
    kernel = tangent_kernel(lazy_images.network(config, activation, 64, 10, 0), images[:100])
    kernel = kernel / torch.outer(kernel.diagonal(), kernel.diagonal()).sqrt()
    same = (labels[:100, None] == labels[:100]).fill_diagonal_(False)
    cosines[activation] = kernel[same].mean().item()
claim(
    "two images of a class in the sine's first kernel: mean cosine", cosines["sine"], at_most=0.15
)
claim("in that of ReLU", cosines["relu"], at_least=0.3)
aligned = begun["alignment"].unstack()
held("aligned better by 0.1", aligned.loc["relu", 0.3] - aligned.loc["sine", 0.3] >= 0.1, 5)
alike = ended["similarity"].unstack()
held(
    "sine: the kernel changes at 0.03 and stays at 0.3",
    (alike.loc["sine", 0.03] <= 0.92) & (alike.loc["sine", 0.3] >= 0.95),
    5,
)
figure, (left, right) = new_figure(2, height=4.0)
plot_accuracies(digits_run, ax=left)
plot_accuracies(digits_run, ax=right, activation="relu")
median = accuracy.median(axis=1)
show(
    figure,
    alt="Accuracy against the step on 200 digits, training dashed and test solid, medians of five seeds. Left, sine: "
    + "; ".join(f"α = {a:g} ends at {median['sine', a]:.2f}" for a in (0.01, 0.03, 0.3))
    + ", training accuracies at 0.99 or more. Right, ReLU: "
    + "; ".join(f"{median['relu', a]:.2f} at {a:g}" for a in (0.01, 0.03, 0.3))
    + ".",
    caption="How to read it: left, dashed lines rise first, and solid ones follow, late, or at α = 0.3 not at all. "
    "Right, they rise together.",
)

# %% [markdown]
# With ReLU the knob changes the way of the weights by a factor of ten and more, and the outcome by a few hundredths: digits do not grok,
# for their first kernel is a good one. With the sine the delay appears, grows with $\alpha$, and becomes a wait without an end. It is a
# delay of the accuracy above all. The paper warns of that reading, for accuracies can stand still while the errors under them move; watch
# both.
#
# ### Why does this differ from the paper, and from the code that one finds?
# - **Constants.** The authors' notebooks, as others republished them, have the loss without the half and a step of $N/2$ or $N$; in our
#   unit `rate` that is $1/D$ or $2/D$. Only the unit of time changes. Their sweep of $\alpha$ has $D = 100$, $N = 500$, $P = 450$ and
#   60,000 steps: `SCALES["paper"]`. Some cells of theirs take the start's output away, others do not.
# - **The test error** here is that of infinitely many points, by [its formula](#eq-exact-error); theirs is measured on 1,000. They divide
#   by its value at the start, we by the variance of $y$; the factor is 3/2.
# - **The alignment** there is centred on one side, $K - \bar K$. The numerator is the same, since $y$ is centred; the norm below is larger,
#   and the alignment smaller. Checked below.
# - **MNIST** in the paper keeps the start's output, enlarges all weights 150-fold and decays them (AdamW). There $\alpha$, that first
#   output and the decay act together. Chou et al. 2026 (arXiv 2605.27078) lay the delay in a known MNIST example to its unusual recipe.
#   Here $\alpha$ is the only cause, and so it takes a kernel as blind as the sine's.
# - **"Rich" need not mean small weights.** In homogeneous networks larger first weights act as a larger $\alpha$; that is how Liu et al.
#   2023 get grokking on MNIST. The knob does it for any network.

# %%
some = torch.randn(60, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
some = some / math.sqrt(20)
truth = some.sum(1).square() / 2
of_net = start_of(4).kernel(some)[0].detach()
one_sided, middle = of_net - of_net.mean(0), truth - truth.mean()
published = middle @ one_sided @ middle / (one_sided.norm() * middle.square().sum())
claim(
    "centred on one side the alignment is lower: by the factor",
    published / kernel_alignment(of_net, truth),
    at_most=1,
)
centred = of_net - of_net.mean(0) - of_net.mean(1, keepdim=True) + of_net.mean()
claim(
    "and exactly by the ratio of the norms",
    published * one_sided.norm() / centred.norm(),
    expected=kernel_alignment(of_net, truth),
    tolerance=1e-12,
)
homogeneous = multilayer(
    (20, 30, 1), generator=torch.Generator().manual_seed(0), bias=False
).double()
scaled = multilayer((20, 30, 1), generator=torch.Generator().manual_seed(0), bias=False).double()
with torch.no_grad():
    for weight in scaled.parameters():
        weight *= 3
claim(
    "two ReLU layers, all weights times 3: the output times 9",
    scaled(some) - 9 * homogeneous(some),
    expected=0,
    tolerance=1e-12,
)

# %% [markdown]
# ### When to use it
# As an instrument. When a network generalises late, turn $\alpha$ down: if the delay goes, it was lazy. When you want to know whether a
# result needs learned features, turn it up: `Linearized` is the network without them. Measure the regression of the first kernel before you
# speak of features at all; where it is good, as on digits with ReLU, lazy is enough. As a recipe, do not: a very small $\alpha$ is unstable
# at the same step size (on digits with the sine, $\alpha = 0.005$ and below fell apart in the pilot).
#
# ### Exercises
# **Exercise 5. The kernel, unit by unit.** [$K(x, x')$](#eq-polynomial-kernel) of one polynomial network, from its weights.


# %% tags=["exercise"]
def polynomial_kernel(weight, curvature, first, second):
    """K(x, x'), a number; weight (units, inputs), first and second (inputs,)."""
    return first @ second  # the kernel of a linear map: your turn


# %% tags=["check"]
lazy_exercises.check_kernel(polynomial_kernel)

# %% [markdown]
# *Solution.* Of [the network](#eq-polynomial-network) $\partial f/\partial w_i = \frac1N \varphi'(w_i \cdot x)\, x$ with
# $\varphi'(h) = 1 + \varepsilon h$. Multiply two of them and sum over the units.


# %% jupyter={"source_hidden": true} tags=["solution"]
def polynomial_kernel_solution(weight, curvature, first, second):
    """K(x, x'), a number; weight (units, inputs), first and second (inputs,)."""
    slopes = [1 + curvature * weight @ point for point in (first, second)]
    return (first @ second) * (slopes[0] @ slopes[1]) / len(weight) ** 2


verdict = lazy_exercises.check_kernel(polynomial_kernel_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# **Exercise 6. The error of infinitely many points.** $\mathbb E(f - y)^2$ over $x \sim \mathcal N(0, I/D)$ for
# $f = v \cdot x + \frac12 x^\top Q x$ and $y = (\beta \cdot x)^2/2$.


# %% tags=["exercise"]
def expected_error(linear, square, direction):
    """The mean squared error; linear and direction (inputs,), square (inputs, inputs), symmetric."""
    return (linear.square().sum()) / len(linear)  # the linear form's part: your turn


# %% tags=["check"]
lazy_exercises.check_error(expected_error)

# %% [markdown]
# *Solution.* With $A = Q - \beta\beta^\top$ the difference is $v \cdot x + \frac12 x^\top A x$. Its two terms are uncorrelated, for the
# product is of odd degree. The second has the mean $\operatorname{tr} A/2D$ and the variance $\frac14 \cdot 2\lVert A\rVert^2/D^2$: turn to
# the axes of $A$, where it is a sum of squares of independent normals.


# %% jupyter={"source_hidden": true} tags=["solution"]
def expected_error_solution(linear, square, direction):
    """The mean squared error; linear and direction (inputs,), square (inputs, inputs), symmetric."""
    size, gap = len(direction), square - torch.outer(direction, direction)
    constant = (gap.trace() / (2 * size)) ** 2
    return constant + gap.square().sum() / (2 * size**2) + linear.square().sum() / size


verdict = lazy_exercises.check_error(expected_error_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# ## What to read next
# [Chapter 02](02_softmax_and_its_numerics.ipynb#2-Where-a-probability-becomes-1) has the number line on which a probability becomes 1, and
# the `log1p` that keeps the pull. [Chapter 71](71_neural_collapse.ipynb) looks at what the features do while all this happens: the last
# layer's geometry goes on changing long after the training error is 0. [The atlas](00_start_here.ipynb#The-atlas) shows what is written.
#
# ## References
# - Barak, B. et al. (2022). Hidden progress in deep learning: SGD learns parities near the computational limit. *NeurIPS*, arXiv
#   2207.08799.
# - Chizat, L., Oyallon, E. & Bach, F. (2019). On lazy training in differentiable programming. *NeurIPS*, arXiv 1812.07956.
# - Chou, C.-N. et al. (2026). Two speeds of learning: a representation-readout decomposition of grokking and double descent. arXiv
#   2605.27078.
# - Cortes, C., Mohri, M. & Rostamizadeh, A. (2012). Algorithms for learning kernels based on centered alignment. *JMLR* 13, arXiv
#   1203.0550.
# - Jacot, A., Gabriel, F. & Hongler, C. (2018). Neural tangent kernel: convergence and generalization in neural networks. *NeurIPS*, arXiv
#   1806.07572.
# - Kornblith, S., Norouzi, M., Lee, H. & Hinton, G. (2019). Similarity of neural network representations revisited. *ICML*, arXiv
#   1905.00414.
# - Kumar, T., Bordelon, B., Gershman, S. J. & Pehlevan, C. (2024). Grokking as the transition from lazy to rich training dynamics. *ICLR*,
#   arXiv 2310.06110.
# - Liu, Z., Michaud, E. J. & Tegmark, M. (2023). Omnigrok: grokking beyond algorithmic data. *ICLR*, arXiv 2210.01117.
# - Loshchilov, I. & Hutter, F. (2019). Decoupled weight decay regularization. *ICLR*, arXiv 1711.05101. (AdamW.)
# - Nanda, N. et al. (2023). Progress measures for grokking via mechanistic interpretability. *ICLR*, arXiv 2301.05217.
# - Power, A. et al. (2022). Grokking: generalization beyond overfitting on small algorithmic datasets. arXiv 2201.02177.
# - Prieto, L., Barsbey, M., Mediano, P. & Birdal, T. (2025). Grokking at the edge of numerical stability. *ICLR*, arXiv 2501.04697.
