# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 Softmax and its numerics
#
# On paper softmax is one line. In a computer it overflows, it rounds a probability to exactly 1 and ends a training run, and it spends
# most of its time waiting for memory. This chapter looks at each of the three: the formula that cannot overflow, the gap from which a
# class is "certain", and an algorithm that reads a row twice where the usual one reads it three times.

# %% [markdown]
# ## What you will be able to do
# - say at which logit an exponential overflows in each float format, and rewrite softmax so that none does;
# - compute $-\log p_y$ without losing the digits that matter;
# - read off a number line where $1 + x$ is 1, and predict when a right class stops being pulled;
# - add numbers too large for any float, as mantissa and exponent;
# - count what an algorithm reads and writes, and measure on your machine what that costs.
#
# ## Before you start
# | you need | how much |
# |---|---|
# | [chapter 01](01_from_likelihood_to_cross_entropy.ipynb) | softmax, cross-entropy and its gradient $p - e_y$ |
# | calculus | logarithms and exponentials |
# | programming | a loop over an array |
# | minutes | 60, in three sections that can be read one at a time |
#
# ## Papers in this chapter
# | section | paper |
# |---|---|
# | 3 | Dukhan & Ablavatski 2020, The Two-Pass Softmax Algorithm |

# %%
import math

import torch
from lossbook import check_gradient, claim, datasets
from lossbook.exercises import chapter_02 as exercises
from lossbook.experiments import softmax_precision, softmax_speed
from lossbook.experiments.softmax_precision import FORMATS, collapse_gap, collapsed, row_losses
from lossbook.figures import new_figure, show
from lossbook.figures.softmax import plot_errors, plot_precision, plot_speed
from lossbook.kernels import softmax as by_hand
from lossbook.kernels import softmax_compiled
from lossbook.losses import cross_entropy
from lossbook.widgets import FloatLineExplorer, SoftmaxStepsExplorer

# %% [markdown]
# ## 1 Overflow, and the log-sum-exp
# *origin: likelihood · statistics: logsumexp, log_probability*
#
# **Predict first.** Six logits lie around 1000. Their differences are ordinary, 4 nats at most, so their softmax is ordinary as well.
# The formula is $e^{z_j}/\sum_k e^{z_k}$, and we take it literally, in float32. What is the first number to go wrong, and at which of
# the twelve visits? Walk with the slider `step`. Then choose the row `very negative` and look again.

# %%
overflow_explorer = SoftmaxStepsExplorer()
overflow_explorer.set(algorithm="naive", row="large")
overflow_explorer

# %% [markdown]
# *(The first one: $e^{998}$ is infinite, and so is everything after it. Around −1000 every exponential is 0, and 0/0 ends the same way.)*
#
# ### Where it comes from
# A float format has a largest number. Its logarithm is the largest logit whose exponential exists.

# %%
for name, dtype in FORMATS.items():
    largest = math.log(torch.finfo(dtype).max)
    print(
        f"{name:9}  largest number {torch.finfo(dtype).max:9.3g}, exp overflows from {largest:.2f}"
    )
    inside, outside = (torch.tensor(largest * side).to(dtype).exp() for side in (0.99, 1.01))
    claim(f"{name}: there exp becomes infinite", bool(inside.isfinite() and outside.isinf()))

# %% [markdown]
# Eleven nats in float16. Yet softmax does not see a common shift of all logits: numerator and denominator get the same factor $e^{-c}$.
#
# <a id="eq-shift"></a>
# $$p_j = \frac{e^{z_j}}{\sum_k e^{z_k}} = \frac{e^{z_j - c}}{\sum_k e^{z_k - c}}$$
#
# Choose $c = m = \max_k z_k$. Every exponent is now 0 or less, so nothing overflows. One term of the sum is $e^0 = 1$, so the sum is at
# least 1 and nothing divides by 0. The same shift, taken out of the logarithm of the sum, gives the **log-sum-exp**:
#
# <a id="eq-log-sum-exp"></a>
# $$L = \log\sum_k e^{z_k} = m + \log\sum_k e^{z_k - m}, \qquad m \le L \le m + \log V .$$
#
# The bounds say what $L$ is: a maximum with rounded corners. The lower one holds because the sum is at least 1, the upper one because
# it has $V$ terms of at most 1. Its gradient is softmax, as [chapter 01 found](01_from_likelihood_to_cross_entropy.ipynb#eq-moments).

# %%
z = torch.tensor([1000.0, 1001.0, 999.0])
naive = z.exp() / z.exp().sum()
shifted = (z - z.max()).exp() / (z - z.max()).exp().sum()
claim("taken literally, the softmax of (1000, 1001, 999) is no number", bool(naive.isnan().all()))
claim("shifted by the maximum it is", shifted, torch.tensor([0.244728, 0.665241, 0.090031]), 1e-6)

generator = torch.Generator().manual_seed(0)
rows = 50 * torch.randn(1000, 20, generator=generator, dtype=torch.float64)
L, m = torch.logsumexp(rows, 1), rows.amax(1)
claim("L is never below the maximum", L - m, at_least=0)
claim("and at most log V above it", L - m, at_most=math.log(20))
worst = check_gradient(
    lambda z: torch.logsumexp(z, 1), lambda z: torch.softmax(z, 1), rows[:5] / 50
)
claim("the slope of the log-sum-exp is softmax", worst, at_most=1e-12)

# %% [markdown]
# One trap is left. The loss is $-\log p_y = L - z_y$. If the logits are large, $L$ and $z_y$ are two large numbers close to each other,
# and their difference has lost its digits. Subtract the maximum *before* anything is added to it:
#
# <a id="eq-log-softmax"></a>
# $$\log p_y = (z_y - m) - \log\sum_k e^{z_k - m} .$$
#
# The first difference of two nearby floats is exact, and the logarithm is small. This is what `log_softmax` does, and what the
# statistic `log_probability` of this book is.

# %%
far_out = torch.tensor([[10_000.0, 10_000.5, 9_999.0]])
truth = torch.log_softmax(far_out.double(), 1)[0, 0]
late = far_out[0, 0] - torch.logsumexp(far_out, 1)[0]
early = torch.log_softmax(far_out, 1)[0, 0]
print(f"log p: truth {truth:.7f}, z − L {late:.7f}, log_softmax {early:.7f}")
claim("at 10,000, z − L is off by more than 1e-4", (late.double() - truth).abs(), at_least=1e-4)
claim("log_softmax is right to float32", early.double() - truth, 0, 1e-7)
claim(
    "cross_entropy of this book takes the second way",
    cross_entropy(far_out, torch.tensor([0])).double() + truth,
    0,
    1e-7,
)

# %% [markdown]
# > **Definition.** The *log-sum-exp* of a row is $L = \log\sum_k e^{z_k}$, computed as $m + \log\sum_k e^{z_k - m}$ with
# > $m = \max_k z_k$. Origin: likelihood, as the normaliser of softmax. Gradient $p$. Convex, and 1-Lipschitz in the largest change of any
# > logit. Limits: a masked class, $z_k = -\infty$, adds nothing; a row with every class masked has $L = -\infty$, and its softmax is
# > 0/0, no number.

# %%
masked = torch.tensor([-math.inf, 0.0, 1.0])
nobody = torch.full((3,), -math.inf)
claim(
    "a masked class adds nothing",
    torch.logsumexp(masked, 0),
    torch.logsumexp(masked[1:], 0).item(),
)
claim("all masked: L is −∞", torch.logsumexp(nobody, 0), expected=-math.inf)
claim("and softmax no number", bool(torch.softmax(nobody, 0).isnan().all()))
moved = rows + 0.3 * (2 * torch.rand(rows.shape, generator=generator, dtype=torch.float64) - 1)
claim(
    "no logit moves by more than 0.3, and neither does L",
    (torch.logsumexp(moved, 1) - L).abs(),
    at_most=0.3,
)

# %% [markdown]
# ### What to look for in the picture
# Choose the row `large` and go through the algorithms. `recompute` and `reload` spend a whole walk on the maximum before they add
# anything. The dashed line is the log of the sum so far; from the second walk on it creeps up to $L$, a little above the highest bar.
# Then choose `masked`: the bars that are not there add nothing.

# %%
seen = overflow_explorer.move_every_control()
claim(
    "moving the controls of the step explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=4,
)

# %% [markdown]
# ### The experiment: a classifier whose logits grow
# A linear softmax classifier is fitted to handwritten digits until at most one of 1,437 training rows is wrong. From there on, training
# does little but scale its weights up. We do that by hand: multiply the logits by a scale, round them to a format, and compute the loss of
# the held-out rows by three formulas. *Naive* takes logarithm and quotient of the exponentials as they come. *Log of the softmax* shifts by
# the maximum, makes probabilities, and takes the logarithm of the right one. *Log-softmax* is [the formula above](#eq-log-softmax).
#
# #### What must hold
# Fixed after a look at five seeds (0 to 4); the run below has two of them.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | log-softmax is finite for every row, scale and format | | 5 of 5 |
# | at scale 1 naive is finite for all rows in float32, and for at most 0.1 of them in float16 | 0.05 at most | 5 of 5 |
# | at scale 16 naive is finite for at most 0.02 of them in float32 | 0.01 at most | 5 of 5 |
# | at scale 64 the log of the softmax is infinite in float32, for more than 0.01 and fewer than 0.06 of them | 0.017 to 0.045 | 5 of 5 |

# %%
precision_run = softmax_precision.run(softmax_precision.SCALES["small"], progress=False)
finite = precision_run.history.pivot_table(
    index=["formula", "format", "seed"], columns="step", values="finite", sort=False
)
naive32 = finite.loc["naive", "float32"]
claim(
    "at most one training row is wrong",
    precision_run.history.accuracy.min(),
    at_least=1435.5 / 1437,
)
claim("log-softmax is finite everywhere", finite.loc["log-softmax"].to_numpy(), expected=1)
claim("naive, scale 1: finite in float32", naive32[1.0].to_numpy(), expected=1)
claim("but hardly ever in float16", finite.loc["naive", "float16"][1.0].to_numpy(), at_most=0.1)
claim("naive, scale 16: hardly ever in float32", naive32[16.0].to_numpy(), at_most=0.02)
infinite = 1 - finite.loc["log of the softmax", "float32"][64.0].to_numpy()
claim("log of the softmax, scale 64: infinite for some", infinite, at_least=0.01, at_most=0.06)

# %%
figure, (left, right) = new_figure(2, height=4.2)
plot_precision(precision_run, left, metric="finite", formula="naive")
plot_precision(precision_run, right, metric="finite", formula="log of the softmax")
right.set_ylim(0.9, 1.005)
show(
    figure,
    alt="Share of held-out rows with a finite loss against the scale of the logits, from a half to "
    "128, a line per float format. Left, the naive formula: float16 begins near 0.4 and is 0 from "
    "scale 2 on; bfloat16 and float32 fall together from 1 to 0 between scales 2 and 12, float64 "
    "between 16 and 90. Right, the log of the softmax, axis from 0.9 to 1: float16 begins to fall "
    "at scale 1, bfloat16 and float32 at 8, all three end between 0.94 and 0.98; float64 hardly falls.",
    caption="How to read it: left, range decides, and bfloat16 has the range of float32. Right, "
    "only rows with a wrong answer are lost: their probability has become 0, and its log −∞.",
)

# %% [markdown]
# The shift saves softmax, and that is not enough. A probability can be too small for the format, and its logarithm is then infinite
# although the loss is a modest number, say 120 nats. It happens to the rows that are wrong, which are those that have something to
# teach. Logarithms are taken on paper, before anything is rounded.
#
# ### Why does this differ from the library I know?
# - **`log(softmax(z))`** is what `NLLLoss(log(softmax(z)))` computes in many a tutorial. PyTorch's own `cross_entropy` and `log_softmax`
#   have the shift inside. So has everything in this book.
# - **Clipping.** Libraries that take probabilities clip them to $10^{-7}$ or so before the logarithm. The loss is then finite, at most
#   16, and its gradient is 0 where it should be largest.
# - **Where the softmax is computed.** PyTorch computes the softmax of float16 and bfloat16 logits in float32 and rounds the result. The
#   experiment above rounds after every operation, as a chip without float32 would.

# %%
wrong = torch.tensor([[0.0, 120.0]])
first = torch.tensor([0])
claim(
    "the log of the softmax is infinite", row_losses(wrong, first, "log of the softmax"), math.inf
)
claim("the loss is 120 nats", cross_entropy(wrong, first), expected=120)
clipped = wrong.clone().requires_grad_()
(slope,) = torch.autograd.grad(-torch.softmax(clipped, 1)[0, 0].clamp(1e-7).log(), clipped)
claim("a clipped loss has no gradient there", slope, expected=0)
(slope,) = torch.autograd.grad(cross_entropy(clipped, first), clipped)
claim("ours pulls with −1 and 1", slope, torch.tensor([[-1.0, 1.0]]), 1e-6)

# %% [markdown]
# ### When to use it
# Always when a softmax is followed by a logarithm, which is always when it is trained. The probability itself is for people and for
# thresholds. Subtracting the maximum costs one more look at each row; [section 3](#two_pass_softmax) asks what that look costs, and whether
# it can be saved.
#
# ### Exercises
# **Exercise 1. Write the log-sum-exp.** Of one row `z`, finite whenever the logits are; −∞ where every class is masked.


# %% tags=["exercise"]
def log_sum_exp(z):
    """L = log Σ exp(z) of one row."""
    return z.exp().sum().log()  # your turn


# %% tags=["check"]
exercises.check_log_sum_exp(log_sum_exp)

# %% [markdown]
# *Solution.* Take [the maximum out](#eq-log-sum-exp) and put it back. Where even the maximum is $-\infty$, shift by 0.


# %% jupyter={"source_hidden": true} tags=["solution"]
def log_sum_exp_solution(z):
    """L = log Σ exp(z) of one row."""
    shift = z.max() if z.max() > -math.inf else torch.zeros_like(z.max())
    return shift + (z - shift).exp().sum().log()


verdict = exercises.check_log_sum_exp(log_sum_exp_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# ## 2 Where a probability becomes 1
# *origin: likelihood · inputs: logits in a float format · a preview of
# [Softmax Collapse](70_grokking_and_softmax_collapse.ipynb#softmax_collapse) (chapter 70)*
#
# **Predict first.** Three logits, (20, 0, 0), and the first class is right. The true probability is $1 - 4 \cdot 10^{-9}$: good, not
# perfect. In float32, how large is the gradient on the right logit? And on the two wrong ones? Look at the number line: put `gap` to
# 20 and see where $1 + e^{-20}$ lands.

# %%
line_explorer = FloatLineExplorer()
line_explorer

# %% [markdown]
# *(Exactly 0 on the right one, and $2 \cdot 10^{-9}$ on each wrong one. The gradient no longer adds up to 0.)*
#
# ### Where it comes from
# A float is $\pm\, 1.d_1 d_2 \dots d_{k-1} \times 2^e$: $k$ binary digits, one of them always 1, and an exponent. So between 1 and 2 the
# numbers lie evenly, $\varepsilon = 2^{1-k}$ apart. Between 2 and 4 they lie twice as far apart, between ½ and 1 half as far, and so on:
# the spacing is about $10^{-7}$ *of the number* in float32, wherever you are.
#
# What falls between two numbers goes to the nearer one. So $1 + x$ is 1 for every $x \le \varepsilon/2$.

# %%
for name, dtype in FORMATS.items():
    eps, one = torch.finfo(dtype).eps, torch.ones((), dtype=dtype)
    print(f"{name:9}  {round(1 - math.log2(eps)):2} digits, step above 1: {eps:.3g}")
    claim(f"{name}: 1 + ε/2 is 1", bool(one + torch.tensor(eps / 2).to(dtype) == 1))
    claim(f"{name}: 1 + 0.51 ε is not", bool(one + torch.tensor(0.51 * eps).to(dtype) > 1))

# %% [markdown]
# Now let the right class lead by a gap $g = z_y - z_k$. With two classes, shifted by the maximum,
#
# $$p_y = \frac{1}{1 + e^{-g}} .$$
#
# Once $e^{-g} \le \varepsilon/2$, the denominator is 1 and so is $p_y$. Solve for the gap:
#
# <a id="eq-collapse-gap"></a>
# $$g = -\log\frac{\varepsilon}{2} = k \log 2 .$$
#
# Each binary digit buys 0.69 nats. That is all that a format can tell apart from certainty.

# %%
gaps = {name: collapse_gap(dtype) for name, dtype in FORMATS.items()}
claim(
    "7.62 nats in float16, 16.64 in float32, 36.74 in float64 (and 5.55 in bfloat16)",
    torch.tensor([gaps[name] for name in ("float16", "float32", "float64", "bfloat16")]),
    torch.tensor([7.62, 16.64, 36.74, 5.55]),
    0.006,
)
for name, dtype in FORMATS.items():
    before, after = (
        torch.tensor([[gaps[name] + side, 0.0]], dtype=torch.float64).to(dtype)
        for side in (-0.1, 0.1)
    )
    claim(f"{name}: a tenth of a nat before, p < 1", bool(torch.softmax(before, 1)[0, 0] < 1))
    claim(f"{name}: a tenth of a nat after, collapsed", bool(collapsed(after)))

# %% [markdown]
# [The gradient of cross-entropy](01_from_likelihood_to_cross_entropy.ipynb#eq-expected-minus-observed) is $p - e_y$. On the right class
# that is $p_y - 1$, which is now exactly 0. The loss, $-\log 1$, is exactly 0 as well. The wrong classes still get their $p_k$, a small
# number that the format holds without trouble. So a network goes on pushing wrong logits down, and no longer pulls the right one up.

# %%
logits = torch.tensor([[20.0, 0.0, 0.0]])
right = torch.tensor([0])


def gradient_of(logits):
    """Cross-entropy's gradient where class 0 is right."""
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(cross_entropy(leaf, right), leaf)[0]


in_single, in_double = gradient_of(logits), gradient_of(logits.double())
print("float32:", in_single.tolist(), "\nfloat64:", in_double.tolist())
claim("in float32 the right class feels exactly nothing", in_single[0, 0], expected=0)
claim("and the loss is exactly 0", cross_entropy(logits, right), expected=0)
claim("in float64 it feels −4.1e-9", in_double[0, 0], expected=-4.1e-9, tolerance=5e-11)
claim(
    "the wrong classes feel the same in both", in_single[0, 1:].double() / in_double[0, 1:], 1, 1e-6
)
claim("in float64 the gradient adds up to 0, but for the rounding of p", in_double.sum(), 0, 3e-16)
claim("in float32 it does not", in_single.sum(), at_least=4e-9)

# %% [markdown]
# > **Definition.** The *spacing* $\varepsilon$ of a format is the step from 1 to the next number, $2^{1-k}$ for $k$ binary digits. A row
# > has *collapsed* in a format when $\sum_k e^{z_k - m}$ is exactly 1 there. For a row whose largest logit is the right one this means
# > $p_y = 1$, loss 0, and gradient 0 on the right class. Origin: likelihood, rounded. Limits: with two classes the gap is
# > $k \log 2$. With $V$ classes it lies between that and $k\log 2 + \log(V-1)$, where even the sum of the others is lost; which of
# > the two depends on the order of summation.

# %%
for classes in (3, 11, 1001):
    row = torch.zeros(1, classes, dtype=torch.float64)
    row[0, 0] = gaps["float64"] - 0.1
    before = bool(collapsed(row))
    row[0, 0] = gaps["float64"] + math.log(classes - 1) + 0.1
    claim(
        f"{classes} classes collapse between k log 2 and log(V − 1) more",
        not before and bool(collapsed(row)),
    )

# %% [markdown]
# ### What to look for in the picture
# Left, the numbers of a format and the true sum among them. Move `gap` from 15 to 18 in float32 and watch the dot fall back onto the
# base. Change the format and the cross is suddenly millions of steps away. Move `power`: the picture is the same around every power of
# two, only the scale differs, and below it the numbers lie twice as close. Right, the pull that is left. All formats follow the same
# line, and each of them falls off it at its own gap.

# %%
seen = line_explorer.move_every_control()
claim(
    "moving the controls of the number line gives new pictures, each with words",
    len(set(seen)),
    at_least=4,
)

# %% [markdown]
# ### The experiment: who still has something to say
# The same classifier as in [section 1](#1-Overflow,-and-the-log-sum-exp), and now the rows that it was trained on. How many of them have
# collapsed at each scale?
#
# #### What must hold
# Fixed after a look at five seeds (0 to 4); the run has two of them.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | at scale 1 more than 0.75 of the rows have collapsed in bfloat16 | 0.82 to 0.86 | 5 of 5 |
# | more than 0.6 in float16 | 0.70 to 0.79 | 5 of 5 |
# | between 0.1 and 0.5 in float32 | 0.21 to 0.36 | 5 of 5 |
# | at most 0.02 in float64 | 0.005 at most | 5 of 5 |
# | at scale 8 more than 0.8 even in float64 | 0.87 to 0.89 | 5 of 5 |

# %%
shares = precision_run.history.query("formula == 'log-softmax'").pivot_table(
    index=["format", "seed"], columns="step", values="collapsed", sort=False
)
print(shares[[1.0, 2.0, 4.0, 8.0]].groupby("format", sort=False).mean().round(2).to_string())
claim("bfloat16, scale 1: most rows", shares.loc["bfloat16"][1.0].to_numpy(), at_least=0.75)
claim("float16, scale 1: most rows", shares.loc["float16"][1.0].to_numpy(), at_least=0.6)
claim("float32: some", shares.loc["float32"][1.0].to_numpy(), at_least=0.1, at_most=0.5)
claim("float64: next to none", shares.loc["float64"][1.0].to_numpy(), at_most=0.02)
claim("float64, scale 8: most", shares.loc["float64"][8.0].to_numpy(), at_least=0.8)

# %%
figure, ax = new_figure(height=4.2, width=6.5)
plot_precision(precision_run, ax, metric="collapsed")
show(
    figure,
    alt="Share of training rows that have collapsed against the scale of the logits, from a half "
    "to 128, a line per float format, all rising to 1. bfloat16 begins at 0.55 and float16 at 0.35; "
    "float32 rises from 0 at a half to 0.3 at scale 1 and 0.7 at 2; float64 from 0 at scale 1 to "
    "0.7 at 4. From scale 16 on all are near 1.",
    caption="How to read it: the further left a line, the earlier training goes quiet.",
)

# %% [markdown]
# A longer format postpones the silence, it does not prevent it. Nothing is wrong with the classifier here: it has learned its training
# rows, and there was little left to learn. It matters when a network has memorised its training set and is about to find the rule behind
# it, long afterwards. The paper on Softmax Collapse (Prieto et al. 2025) shows networks for which this rounding is the reason that they
# never do. [Chapter 70](70_grokking_and_softmax_collapse.ipynb#softmax_collapse) repeats it, and finds another reason that comes first.
#
# ### Why does this differ from what I read about mixed precision?
# - **Loss scaling does not help.** It multiplies the gradient by a constant to keep it from underflowing. Here the gradient is 0 before
#   it is multiplied.
# - **Underflow is something else.** A float32 holds numbers down to $10^{-45}$. Not $e^{-20}$ is lost, but $1 + e^{-20}$.
# - **It is not fate, even in float32.** Nothing forces anyone to add 1. The pull on the right class is the sum of the probabilities of
#   the wrong ones, and the loss is `log1p` of their exponentials. Exercise 3 writes the first. The price is that the right class must be
#   left out of the sum, which a kernel that streams over a row does not get for free.

# %%
others = logits[0, 1:] - logits[0, 0]
kept = torch.log1p(others.exp().sum())
claim("in float32, log1p keeps the loss", kept.double(), 2 * math.exp(-20), 1e-15)
claim("scaled by 2^16 before the derivative, 0 is still 0", gradient_of(logits)[0, 0] * 2**16, 0)

# %% [markdown]
# ### When to use it
# As a diagnostic, in long runs that are past fitting their training set: count collapsed rows in the dtype that the loss is computed in. If
# the share is near 1, a smaller loss is no sign of learning. Remedies are another function than the exponential
# ([StableMax](70_grokking_and_softmax_collapse.ipynb#eq-stablemax)), a penalty on $L$, label smoothing, or float64 for the softmax alone.
#
# ### Exercises
# **Exercise 2. The gap of a format.** A format has `digits` binary digits, with the leading 1. From which gap of two logits on does
# $p_y$ round to 1?


# %% tags=["exercise"]
def gap_of(digits):
    """Nats from which on 1 + exp(−gap) is 1."""
    return 0.0  # your turn


# %% tags=["check"]
exercises.check_collapse_gap(gap_of)

# %% [markdown]
# *Solution.* The step above 1 is $2^{1-k}$; half of it, $2^{-k}$, is lost. $e^{-g} = 2^{-k}$ gives [the gap](#eq-collapse-gap)
# $g = k\log 2$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def gap_of_solution(digits):
    """Nats from which on 1 + exp(−gap) is 1."""
    return digits * math.log(2)


verdict = exercises.check_collapse_gap(gap_of_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# **Exercise 3. The pull that does not collapse.** Write $1 - p_y$ of one row `z` with right class `y`, so that no digits cancel.


# %% tags=["exercise"]
def wrong_probability(z, y):
    """1 − p_y of one row."""
    return 1 - torch.softmax(z, 0)[y]  # your turn


# %% tags=["check"]
exercises.check_wrong_probability(wrong_probability)

# %% [markdown]
# *Solution.* It is the probability of all other classes together, so add up those.


# %% jupyter={"source_hidden": true} tags=["solution"]
def wrong_probability_solution(z, y):
    """1 − p_y of one row."""
    others = z[torch.arange(len(z)) != y]
    return torch.exp(torch.logsumexp(others, 0) - torch.logsumexp(z, 0))


verdict = exercises.check_wrong_probability(wrong_probability_solution)
claim("the solution passes its check", verdict.passed)
claim(
    "in float32 it gives what the gradient above had lost",
    wrong_probability_solution(logits[0], 0).double(),
    expected=-in_double[0, 0],
    tolerance=1e-14,
)
verdict

# %% [markdown]
# <a id="two_pass_softmax"></a>
# ## 3 Online and two-pass softmax
# *Dukhan & Ablavatski 2020, arXiv 2001.04438 · origin: likelihood · statistics: logsumexp*
#
# **Predict first.** A row of 64 million logits takes 256 megabytes, more than any cache. Softmax with the maximum subtracted walks over
# it three times: find the maximum, add the exponentials, write the quotients. Suppose a way is found that walks twice, at the price of
# more arithmetic at each element. Is it faster? And for a row of 16 thousand, which fits into a cache? Write down two ratios.
#
# *(It is faster on the long row, and slower than the best three-pass algorithm on the short one. How much, your machine will say below.)*

# %%
steps_explorer = SoftmaxStepsExplorer()
steps_explorer.choose("two-pass, large logits")
steps_explorer

# %% [markdown]
# ### Where it comes from
# Two ideas save the walk for the maximum. The first, **online softmax** (Milakov & Gimelshein 2018), keeps the maximum *so far*, and
# mends the sum whenever it changes:
#
# <a id="eq-online-softmax"></a>
# $$m \leftarrow \max(m, x), \qquad s \leftarrow s\, e^{m_{\text{old}} - m} + e^{x - m} .$$
#
# The second, **two-pass softmax**, asks why the maximum was needed: because $e^x$ does not fit into a float. A float has a mantissa and
# an exponent, and only the exponent is too short. So it keeps its own. Write
#
# <a id="eq-two-pass"></a>
# $$e^x = 2^{x \log_2 e} = m \cdot 2^n, \qquad n = \operatorname{round}(x \log_2 e), \quad m = e^{\,x - n \log 2} .$$
#
# What is left for the exponential lies between $-\frac12\log 2$ and $\frac12\log 2$, so $m$ lies between 0.707 and 1.415, and a
# polynomial of degree five computes it to the last digits. The whole number $n$ may be as large as it likes. Two such pairs add like
# numbers in scientific notation, the smaller one shifted to the larger:
#
# <a id="eq-add-pairs"></a>
# $$(m_1, n_1) + (m_2, n_2) = \bigl(m_1 2^{n_1 - n} + m_2 2^{n_2 - n},\; n\bigr), \qquad n = \max(n_1, n_2) .$$
#
# A power of two is made by writing bits, not by an exponential. At the end $p_i = (m_i / m_\Sigma)\, 2^{n_i - n_\Sigma}$, and the
# log-sum-exp comes free: $L = \log m_\Sigma + n_\Sigma \log 2$.

# %%
mantissa, exponent = by_hand.extended_exp([1000.0, 1001.0, 999.0])
print("mantissas", mantissa.round(6), "exponents", exponent)
claim(
    "exp(1000) is 0.809465 · 2^1443",
    torch.tensor([mantissa[0], exponent[0]]),
    torch.tensor([0.809465, 1443]),
    1e-6,
)
together = by_hand.NOTHING
for pair in zip(mantissa, exponent, strict=True):
    together = by_hand.add_pairs(together, pair)
claim("the sum is 1.653803 · 2^1444", torch.tensor(together), torch.tensor([1.653803, 1444]), 1e-6)
claim(
    "and its logarithm the log-sum-exp",
    math.log(together[0]) + together[1] * math.log(2),
    torch.logsumexp(torch.tensor([1000.0, 1001.0, 999.0]).double(), 0).item(),
    1e-6,
)

# %% [markdown]
# Addition of pairs is associative, up to rounding. So the row may be cut anywhere, among vector lanes, blocks or devices, and the parts be
# joined in any order. The engines of chapter 03 keep *states* of this kind for every statistic, and
# [join them](03_losses_from_row_statistics.ipynb#eq-join-blocks) in the same way.

# %%
long_row = 30 * torch.randn(600, generator=generator)
pairs = list(zip(*by_hand.extended_exp(long_row.numpy()), strict=True))
totals = []
for size in (1, 7, 64, 600):
    chunks = [pairs[start : start + size] for start in range(0, 600, size)]
    joined = by_hand.NOTHING
    for chunk in chunks:
        part = by_hand.NOTHING
        for pair in chunk:
            part = by_hand.add_pairs(part, pair)
        joined = by_hand.add_pairs(joined, part)
    totals.append(math.log(joined[0]) + joined[1] * math.log(2))
claim(
    "cut into pieces of 1, 7, 64 or 600, it is the same sum",
    torch.tensor(totals, dtype=torch.float64),
    torch.logsumexp(long_row.double(), 0).item(),
    1e-6,
)

# %% [markdown]
# > **Definition.** `lossbook.kernels.softmax_compiled.softmax(logits, algorithm)` is softmax on one core, by one of four algorithms.
# > Per element of a row that fits into no cache:
# >
# > | algorithm | walks | reads | writes |
# > |---|---|---|---|
# > | `recompute`: maximum; sum; exponential again | 3 | 3 | 1 |
# > | `reload`: maximum; exponential kept and summed; divide | 3 | 3 | 2 |
# > | `online`: maximum and sum; exponential again | 2 | 2 | 1 |
# > | `two-pass`: sum of pairs; exponential again | 2 | 2 | 1 |
# >
# > Forward only; the gradient is that of softmax whichever is taken. Origin: likelihood. Limits: −∞ gives 0, a row with NaN, +∞ or
# > nothing but −∞ gives NaN, as `torch.softmax` does. `logsumexp` is the first walk of `two-pass` alone.

# %%
row = torch.round(2048 * torch.randn(600, generator=generator)) / 1024  # row + 1000 is exact too
for algorithm in softmax_compiled.ALGORITHMS:
    last = by_hand.softmax_steps(row.tolist(), algorithm)[-1]
    touched = last.reads / 600, last.writes / 600
    claim(f"{algorithm}: reads and writes", touched == by_hand.ALGORITHMS[algorithm])
    compiled = softmax_compiled.softmax(row, algorithm)
    claim("  compiled over by hand", compiled / torch.tensor(last.output), 1, 3e-6)
claim(
    "a common shift by 1000 changes no probability by more than a few roundings",
    softmax_compiled.softmax(row + 1000) / softmax_compiled.softmax(row),
    1,
    1e-6,
)
claim(
    "the log-sum-exp of the first walk",
    softmax_compiled.logsumexp(row + 1000).double(),
    torch.logsumexp(row.double() + 1000, 0).item(),
    1e-4,
)

# %% [markdown]
# ### What to look for in the picture
# Choose `rising` and `online`: at every step the sum shrinks before it grows. Choose `two-pass` on the same row: the mantissa stays near
# 1 and the exponent counts up. Then count visits. The slider has eighteen stops, as many as a three-pass algorithm needs for six
# elements; the others are done after twelve.

# %%
steps_explorer.set(algorithm="two-pass", row="very negative", step=6)
print(steps_explorer.alt)
claim("numbers too small for a float, and a sum of them", "exponent −1441" in steps_explorer.alt)
seen = steps_explorer.move_every_control()
claim(
    "moving the controls of the step explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=4,
)

# %% [markdown]
# ### The experiment: your machine
# The four algorithms, compiled, on one core: the same exponential, the same number of vector lanes, the same stores. `torch.softmax`
# runs beside them. Rows from 16 thousand to 67 million logits. The algorithms take turns eleven times. What counts is the time
# that the quickest fifth of the turns kept: other programs may have had the core in the rest.
#
# #### What must hold
# | claim, fixed before the run | why |
# |---|---|
# | every probability is right to $3 \cdot 10^{-6}$ of itself, at every length | a few roundings; $x - m$ of up to 30 nats is rounded by $10^{-6}$ |
# | two-pass is right to $10^{-6}$ | it never forms $x - m$ |
# | on the longest row two-pass beats both three-pass algorithms, by 3 % at least | one walk less over 256 megabytes |
# | and `torch.softmax`, which takes three | the same |
# | in a cache: nothing is claimed | arithmetic decides there, and depends on the processor |
#
# The margin of the third is small on purpose: the notebook is also run on busy machines, and on processors with narrow vectors, where
# arithmetic takes longer and memory matters less. The ratios printed below are what was found here.

# %%
bits = softmax_compiled.vector_bits()
print(f"vectors of {bits} bits on this machine")
speed_run = softmax_speed.run(softmax_speed.SCALES["small"], progress=False)
print("nanoseconds a logit\n", softmax_speed.summary(speed_run).round(3).to_string(), sep="")
print("two-pass is faster by\n", softmax_speed.ratios(speed_run).round(2).to_string(), sep="")

# %%
errors = speed_run.history.groupby("setting").error.max()
ours = errors[list(softmax_compiled.ALGORITHMS)]
claim("all four are right to 3e-6 of each probability", ours.to_numpy(), at_most=3e-6)
claim("two-pass to 1e-6", ours["two-pass"], at_most=1e-6)
print(f"torch.softmax in float32 is off by up to {errors['torch.softmax']:.1e} on these rows")
longest = softmax_speed.ratios(speed_run).iloc[-1]
if bits >= 256:
    claim("longest row: ahead of both three-pass ones", longest["three-pass"], at_least=1.03)
    claim("and of torch.softmax", longest["torch.softmax"], at_least=1.03)
else:
    print(f"with vectors of {bits} bits arithmetic dominates: no claim about speed here")

# %% [markdown]
# Accuracy does not depend on the machine. Rows of a thousand logits, spread evenly over wider and wider ranges, against float64; the
# largest relative error of a probability above $10^{-30}$.

# %%
print("range        naive   " + "   ".join(f"{name:>9}" for name in softmax_compiled.ALGORITHMS))
table = []
for size in (10.0, 100.0, 1000.0, 10_000.0):
    row = size * (2 * torch.rand(1000, generator=generator) - 1)
    truth = torch.softmax(row.double(), 0)
    seen = truth > 1e-30
    literal = row.exp() / row.exp().sum()
    found = [literal, *(softmax_compiled.softmax(row, a) for a in softmax_compiled.ALGORITHMS)]
    table.append([float((p.double() / truth - 1)[seen].abs().max()) for p in found])
    print(f"±{size:<7,.0f}" + "   ".join(f"{error:9.1e}" for error in table[-1]))
table = torch.tensor(table)
claim("naive: no number from ±100 on", bool(table[1:, 0].isnan().all()))
claim("three-pass and online: x − m of up to 69 nats, rounded", table[:, 1:4], at_most=6e-6)
claim("two-pass: the same few roundings at every range", table[:, 4], at_most=1e-6)

# %%
figure, (left, right) = new_figure(2, height=4.4)
plot_speed(speed_run, left)
plot_errors(speed_run, right)
shown = softmax_speed.summary(speed_run).round(2)
show(
    figure,
    alt="Left: nanoseconds a logit against the length of the row, five lines, nearly level while "
    f"the row fits into a cache and higher beyond. At {shown.index[0]:,} logits reload takes "
    f"{shown.iloc[0]['reload']:g}, two-pass {shown.iloc[0]['two-pass']:g}, torch.softmax "
    f"{shown.iloc[0]['torch.softmax']:g}; at {shown.index[-1]:,} reload takes "
    f"{shown.iloc[-1]['reload']:g}, recompute {shown.iloc[-1]['recompute']:g}, two-pass "
    f"{shown.iloc[-1]['two-pass']:g} and torch.softmax {shown.iloc[-1]['torch.softmax']:g}. Right: "
    "largest relative error of a probability, on a log axis: two-pass level near 3e-7, the other "
    "three level near 1e-6, torch.softmax rising with the length from 1e-6 to "
    f"{errors['torch.softmax']:.0e}.",
    caption="How to read it: left, the walks over memory are what parts the lines at the right end. "
    "Right, a level line loses no digits in a long sum.",
)

# %% [markdown]
# The right picture holds two lessons that were not asked for. The three algorithms that subtract a maximum are all off by $10^{-6}$,
# several times more than two-pass: $x - m$ is rounded, by half a unit in *its* last place, and an absolute error of the exponent is a
# relative error of the probability. Two-pass reduces its argument exactly. And a sum of 64 million float32 numbers, kept in few
# accumulators, loses digits as it grows, because each term falls between the numbers that lie around the sum;
# [section 2](#2-Where-a-probability-becomes-1) again. Ours are summed in blocks, and the blocks in float64.
#
# ### Why does this differ from the paper, and from the library I know?
# - **Ratio.** The paper reports up to 1.28 with AVX-512 and 1.18 with AVX2, out of cache. The ratio follows from two prices, of a walk over
#   memory and of an exponential, and these have moved since. Within a cache the paper, too, finds the reloading three-pass algorithm
#   ahead.
# - **Stores.** An ordinary store first reads the memory that it will overwrite. Rows too long for the caches are written past them here,
#   by every algorithm where it helps; `reload` overwrites what it has just read, and does so with ordinary stores.
# - **Two constants for one logarithm.** $x - n\log 2$ must keep its digits although $n \log 2$ is large. The paper splits $\log 2$ in
#   two and relies on the fused multiply-add, which rounds once. In plain float32 its constants are worse than another pair, with fewer
#   digits in the high part. The next cell shows it.
# - **In NumPy or eager PyTorch the idea gains nothing.** There each operation is a walk over memory of its own, and two-pass has more
#   operations. It needs a compiler: here numba, which is a wheel on every platform, makes the vectors.
# - **On a GPU** the row often fits on chip, and one read is enough ([chapter 03](03_losses_from_row_statistics.ipynb#cce)). The same four
#   algorithms are in `lossbook.kernels.softmax_triton`. What remains useful there is the pair: it joins parts of a row without an
#   exponential.


# %%
def worst_reduction(parts, x):
    """The largest error of x − n log 2 in float32, with log 2 in two parts and without fused multiply-add."""
    n = torch.round(x * by_hand.LOG2_E)
    high, low = (torch.tensor(part, dtype=torch.float32) for part in parts)
    found = (x - n * high) - n * low
    return float((found.double() - (x.double() - n.double() * math.log(2))).abs().max())


for size in (100.0, 1000.0, 10_000.0):
    x = size * (2 * torch.rand(100_000, generator=generator) - 1)
    paper, plain = (worst_reduction(parts, x) for parts in (by_hand.LN2_FUSED, by_hand.LN2_PLAIN))
    print(
        f"|x| up to {size:7,.0f}: the paper's constants unfused {paper:.1e}, nine digits first {plain:.1e}"
    )
claim("at 10,000 the paper's constants need the fused operation", paper, at_least=1e-4)
claim("the others do not", plain, at_most=1e-6)

# %% [markdown]
# The rows that a classifier meets are shorter. Here is one of real logits, small enough for a cache: the digits again.

# %%
digits = datasets.digits(seed=0)
centres = torch.stack([digits.train_features[digits.train_labels == k].mean(0) for k in range(10)])
real = (digits.test_features @ centres.T).float().contiguous()
for algorithm in softmax_compiled.ALGORITHMS:
    claim(
        f"{algorithm}: {len(real)} rows of ten real logits",
        softmax_compiled.softmax(real, algorithm).double() - torch.softmax(real.double(), 1),
        expected=0,
        tolerance=2e-6,
    )

# %% [markdown]
# ### When to use it
# Two-pass, for long rows on a CPU, and wherever parts of a row are to be joined. Online, where the maximum is wanted anyway, as in
# attention. Three-pass with reloading, for rows that stay in a cache. `torch.softmax`, when softmax is not what you are waiting for; for
# rows of millions of classes, give it float64 or check its sum.
#
# ### Exercises
# **Exercise 4. Add two pairs.** Each pair `(mantissa, exponent)` stands for mantissa · 2^exponent. Exponents may be far beyond what a
# float holds, and `(0, −∞)` is nothing.


# %% tags=["exercise"]
def add(first, second):
    """The sum of two pairs, as a pair with the larger exponent."""
    (m1, n1), (m2, n2) = first, second
    return m1 + m2, max(n1, n2)  # your turn


# %% tags=["check"]
exercises.check_add_pairs(add)

# %% [markdown]
# *Solution.* By [the rule for two pairs](#eq-add-pairs) keep the larger exponent; shift each mantissa by the difference, which is never
# positive. $2^{-\infty}$ is 0.


# %% jupyter={"source_hidden": true} tags=["solution"]
def add_solution(first, second):
    """The sum of two pairs, as a pair with the larger exponent."""
    (m1, n1), (m2, n2) = first, second
    n = max(n1, n2)
    return m1 * 2.0 ** (n1 - n) + m2 * 2.0 ** (n2 - n), n


verdict = exercises.check_add_pairs(add_solution)
claim("the solution passes its check", verdict.passed)
mine = add_solution(
    (float(mantissa[0]), float(exponent[0])), (float(mantissa[1]), float(exponent[1]))
)
theirs = by_hand.add_pairs((mantissa[0], exponent[0]), (mantissa[1], exponent[1]))
claim("and agrees with the book's", torch.tensor(mine), torch.tensor(theirs), 1e-6)
verdict

# %% [markdown]
# ## What to read next
# [Chapter 03](03_losses_from_row_statistics.ipynb) turns the log-sum-exp and a handful of other numbers of a row into an engine for every
# loss of this book. [Chapter 70](70_grokking_and_softmax_collapse.ipynb) takes up the collapse of
# [section 2](#2-Where-a-probability-becomes-1), and asks what it has to do with networks that do not generalise.
# [The atlas](00_start_here.ipynb#The-atlas) shows which of them is there.
#
# ## References
# - Blanchard, P., Higham, D. J. & Higham, N. J. (2021). Accurately computing the log-sum-exp and softmax functions. *IMA Journal of
#   Numerical Analysis* 41, 2311-2330.
# - Cody, W. J. & Waite, W. (1980). *Software Manual for the Elementary Functions*. Prentice-Hall.
# - Dukhan, M. & Ablavatski, A. (2020). The two-pass softmax algorithm. arXiv 2001.04438.
# - Goldberg, D. (1991). What every computer scientist should know about floating-point arithmetic. *ACM Computing Surveys* 23, 5-48.
# - Milakov, M. & Gimelshein, N. (2018). Online normalizer calculation for softmax. arXiv 1805.02867.
# - Prieto, L., Barsbey, M., Mediano, P. & Birdal, T. (2025). Grokking at the edge of numerical stability. *ICLR*, arXiv 2501.04697.
