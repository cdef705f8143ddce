# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 Start here
#
# A loss function is a sentence about what you want, written so that a derivative can act on it. This book takes such sentences one at
# a time: where each comes from, what it pulls on, what it did to a real training run, and when to leave it alone.
#
# Everything in it runs. The function that the prose derives is the one that the picture draws, the experiment trains with and the
# tests check.

# %% [markdown]
# ## What you will be able to do
# - read any chapter of this book, move its explorers and check its claims;
# - say why the mean, the median and a quantile are each the best guess, for a different loss;
# - predict from a loss's slope what one wild reading does to a fit;
# - find any loss or published system in the atlas.
#
# ## Before you start
# | you need | how much |
# |---|---|
# | Python | enough to read a function |
# | calculus | the derivative of a square |
# | minutes | 30 |
#
# Run a cell with <kbd>Shift</kbd>+<kbd>Enter</kbd>. All cells: menu *Run → Run All Cells*.
#
# ## Papers in this chapter
# None that are new. The losses of this chapter are from 1774 to 1978, and their papers stand in the references below. The papers of
# the other chapters are in [the atlas](#The-atlas), further down.

# %%
import lossbook
import torch
from IPython.display import HTML
from lossbook import LinearLogits, check_gradient, claim, datasets
from lossbook.catalog import RECORDS, find
from lossbook.catalog.table import atlas_table, loss_table
from lossbook.exercises import chapter_00 as exercises
from lossbook.experiments import perceptron
from lossbook.figures import new_figure, show
from lossbook.figures.constants import plot_constants
from lossbook.figures.perceptron import MARGINS_PANEL
from lossbook.figures.records import plot_loss, plot_slope
from lossbook.losses import absolute_error, cross_entropy, huber_loss, quantile_loss, squared_error
from lossbook.widgets import MarginExplorer, SimplexExplorer, TrainingExplorer

# %% [markdown]
# ## One number for many
# *origin: decision theory · inputs: an error e = prediction − target*
#
# **Predict first.** Five people report how far they live from work: 1, 2, 2, 3 and 42 kilometres. You may keep one number to stand
# for all five. Name it before you go on. Now somebody finds that the 42 was a typing error for 420. Does your number change?
#
# *(If you said 2, it does not change. If you said 10, it becomes 85.6. Both answers are best; they differ in what they are best for.)*

# %%
distances = torch.tensor([1.0, 2.0, 2.0, 3.0, 42.0], dtype=torch.float64)
mistyped = torch.tensor([1.0, 2.0, 2.0, 3.0, 420.0], dtype=torch.float64)
claim("the mean of the five distances is 10 km", distances.mean(), expected=10)
claim("with the typing error it is 85.6 km", mistyped.mean(), expected=85.6, tolerance=1e-12)
claim("the median is 2 km", distances.median(), expected=2)
claim("the median does not see the typing error", mistyped.median(), expected=2)

# %% [markdown]
# ### Where it comes from
# Keep one number $c$. Each reading $y_i$ then has an error $e_i = c - y_i$, and a loss says what an error costs. The best $c$ is where
# the total cost no longer falls, so where the slopes add up to nothing:
#
# <a id="eq-balance"></a>
# $$\frac{d}{dc} \sum_i \ell(c - y_i) = \sum_i \ell'(c - y_i) = 0 .$$
#
# Read $\ell'(e)$ as a force. Every reading pulls $c$ towards itself, and $c$ rests where the forces balance.
#
# With the **squared error** $\ell(e) = e^2$ the force is $2e$: twice as far, twice the pull. The forces balance at
# $\sum_i (c - y_i) = 0$, which is the mean.
#
# With the **absolute error** $\ell(e) = |e|$ the force is $\pm 1$, near or far. The forces balance when as many readings lie above as
# below. That is the median.
#
# You can hold a derivative worked out by hand against automatic differentiation. `check_gradient` says how well it fits.

# %%
errors = torch.tensor([-2.0, -0.5, 0.25, 3.0], dtype=torch.float64)
nothing = torch.zeros(4, dtype=torch.float64)
check_gradient(
    "squared_error", lambda prediction, target: 2 * (prediction - target), errors, nothing
)
worst = check_gradient(
    "absolute_error", lambda prediction, target: torch.sign(prediction - target), errors, nothing
)
claim("both slopes worked out above are right", worst, at_most=1e-12)

# %% [markdown]
# A claim of this book is never only said. The next cell asserts it, prints one line that starts with ✓, and would stop the notebook if
# it were false. The tests of the book run every such line.


# %%
def best_constant(loss, data, candidates):
    """The candidate with the smallest mean loss as the one number for the data."""
    shape = (len(candidates), len(data))
    costs = loss(candidates[:, None].expand(shape), data.expand(shape), reduction="none").mean(1)
    return candidates[costs.argmin()]


kilometres = torch.linspace(0, 45, 4501, dtype=torch.float64)
claim(
    "squared error: the best candidate is the mean",
    best_constant(squared_error, distances, kilometres),
    10,
    0.005,
)
claim(
    "absolute error: the best candidate is the median",
    best_constant(absolute_error, distances, kilometres),
    2,
    0.005,
)

# %% [markdown]
# > **Definition.** `squared_error(prediction, target)` is $e^2$, `absolute_error` is $|e|$, with $e$ = prediction − target. Their best
# > constants are the mean and the median. Squared error is the
# > [negative log-likelihood](01_from_likelihood_to_cross_entropy.ipynb#eq-negative-log-likelihood) of Gaussian noise, absolute error that
# > of Laplace noise, up to constants (*origin: likelihood*).
# >
# > `huber_loss(prediction, target, delta=1.0)` is $e^2/2$ up to $|e| = \delta$ and a straight line beyond (*origin: hybrid*). Large
# > $\delta$ gives half the squared error, small $\delta$ gives $\delta$ times the absolute error.

# %%
claim(
    "huber with a large delta is half the squared error",
    huber_loss(errors, nothing, delta=1e6) - squared_error(errors, nothing) / 2,
    expected=0,
    tolerance=1e-12,
)
claim(
    "huber with a small delta is delta times the absolute error",
    huber_loss(errors, nothing, delta=1e-6) / 1e-6 - absolute_error(errors, nothing),
    expected=0,
    tolerance=1e-6,
)

# %% [markdown]
# ### What to look for in the picture
# Three losses, three panels: cost, slope, curvature. The slope is the force. Move `x` to the right and watch which of the three slopes
# goes on growing. Then move `delta`: it is the distance at which Huber stops listening harder.
#
# Each slider has a number field beside it, for keyboards and for exact values. The line below the picture says what it shows now; a
# screen reader reads the same words.

# %%
margin_explorer = MarginExplorer(losses=("squared_error", "absolute_error", "huber_loss"))
margin_explorer

# %% [markdown]
# A picture also comes without controls, when one setting says it all.

# %%
figure, (left, right) = new_figure(2)
plot_loss(("squared_error", "absolute_error", "huber_loss"), ax=left, low=-3, high=3)
plot_slope(("squared_error", "absolute_error", "huber_loss"), ax=right, low=-3, high=3)
show(
    figure,
    alt="Left: the squared error is a parabola, the absolute error a V, Huber's loss a parabola "
    "that turns into straight lines at errors of 1. Right: their slopes; a line without end, a "
    "step from −1 to 1, and a ramp that stops at ±1.",
    caption="How to read it: the right panel is the force with which one reading pulls. Only "
    "the squared error's has no limit.",
)

# %% [markdown]
# ### The experiment: one wild reading among 442
# The diabetes data hold a score of disease progression for 442 people, one year after a first visit. We keep one number for all of
# them, first as the data are, then after one reading has been multiplied by 100, as a slipped decimal point would do.
#
# #### What must hold
# | claim, fixed before the run | why |
# |---|---|
# | the best constant under squared error moves by (new − old)/442 | the mean is a sum |
# | under absolute error it moves by no more than the gap to the next reading | the order changes by one place |
# | under Huber it moves by no more than 2δ/(number of readings within δ/2) | the wild one can only turn its pull from −δ to δ, the near ones resist |

# %%
delta = 25.0
progression = torch.cat(
    [datasets.diabetes().train_labels, datasets.diabetes().test_labels]
).double()
wild = progression.clone()
wild[0] *= 100
grid = torch.linspace(20, 360, 8501, dtype=torch.float64)  # steps of 0.04


def huber(prediction, target, reduction="mean"):
    return huber_loss(prediction, target, delta=delta, reduction=reduction)


losses_compared = {
    "squared error": squared_error,
    "absolute error": absolute_error,
    f"Huber, δ = {delta:g}": huber,
}
before = {
    name: float(best_constant(loss, progression, grid)) for name, loss in losses_compared.items()
}
after = {name: float(best_constant(loss, wild, grid)) for name, loss in losses_compared.items()}
for name in losses_compared:
    print(f"{name:16}  before {before[name]:6.1f}   after {after[name]:6.1f}")

# %%
step = 0.04  # of the grid: what a minimum found on it can be wrong by
moved = {name: after[name] - before[name] for name in losses_compared}
nearby = int(((progression - before[f"Huber, δ = {delta:g}"]).abs() < delta / 2).sum())
gap = progression.sort().values.diff()[219:222].max()
claim("all 442 people are there", len(progression), expected=442)
claim(
    "squared error: moved by (new − old)/442",
    moved["squared error"],
    (wild[0] - progression[0]) / 442,
    tolerance=step,
)
claim(
    "absolute error: moved by at most the gap to the next reading",
    abs(moved["absolute error"]),
    at_most=float(gap) + step,
)
claim(
    "Huber: moved by at most 2δ over the readings well within δ",
    abs(moved[f"Huber, δ = {delta:g}"]),
    at_most=2 * delta / nearby + step,
)
claim(
    "the mean moved by more than a third of its value",
    moved["squared error"] / before["squared error"],
    at_least=1 / 3,
)
claim(
    "the first reading lay on the high side, beyond δ, before it was spoilt",
    float(progression[0]) - before[f"Huber, δ = {delta:g}"],
    at_least=delta,
)

# %%
figure, (left, right) = new_figure(2, sharey=True)
plot_constants(progression, before, ax=left, label="disease progression (score)")
plot_constants(progression, after, ax=right, label="disease progression (score), one reading × 100")
show(
    figure,
    alt="Two histograms of the same 442 readings. Left: the three best constants lie at "
    f"{before['squared error']:.0f}, {before['absolute error']:.0f} and "
    f"{list(before.values())[2]:.0f}. Right, after one reading was multiplied by 100: the "
    f"squared error's constant has moved to {after['squared error']:.0f}; the other two stand "
    f"at {after['absolute error']:.0f} and {list(after.values())[2]:.0f}.",
    caption="How to read it: each line is the best single number for its loss. One bad reading "
    "(off the picture) moved only one of them.",
)

# %% [markdown]
# One reading in 442 was wrong, and the mean went from 152 to 207. The median went to its neighbour. Huber's constant did not move by as
# much as a step of the grid: the wild reading had pulled upwards with full force all along.
#
# ### Why does this differ from the library I know?
# - **A half or not.** `squared_error` is $e^2$, as torch's `mse_loss`. Many texts write $e^2/2$, and so does every Huber loss. The best
#   constant is the same; a learning rate is not.
# - **Shapes.** torch's `mse_loss` broadcasts a (5, 1) prediction against a (5,) target into 25 errors, with a warning. Here that is an
#   error: shapes must agree.
# - **The mean of a weighted Huber loss.** torch divides its weighted `mse_loss` and `l1_loss` by the sum of the weights, and its weighted
#   `huber_loss` by the number of elements. We do the same, so that numbers carry over; all our other losses divide by the weights.

# %%
weights = torch.tensor([1.0, 1.0, 1.0, 5.0], dtype=torch.float64)
claim(
    "squared error is torch's mse_loss",
    squared_error(errors, nothing) - torch.nn.functional.mse_loss(errors, nothing),
    expected=0,
)
claim(
    "with weights its mean divides by their sum",
    squared_error(errors, nothing, weight=weights),
    (weights * errors**2).sum() / weights.sum(),
    tolerance=1e-12,
)
claim(
    "with weights Huber's mean divides by the number of elements",
    huber_loss(errors, nothing, weight=weights),
    (weights * huber_loss(errors, nothing, reduction="none")).mean(),
    tolerance=1e-12,
)
try:
    squared_error(torch.zeros(5, 1), torch.zeros(5))
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ### When to use it
# Squared error, when every reading is to be believed and large errors cost more than in proportion. Absolute error, when some readings
# are wrong and you cannot say which. Huber, when most errors are small noise and a few are accidents: choose $\delta$ as the largest
# error you would still call noise. None of them, when errors to one side cost more than to the other; exercise 2 has the loss for that.

# %% [markdown]
# ### Exercises
# An exercise has three cells: a skeleton that runs as it stands, a check, and in the book a solution, folded below them. Change the skeleton,
# run it, run the check. A wrong answer is no error. The check says what is wrong with it.
#
# **Exercise 1. The pull of one reading.** Write the slope of the Huber loss for any error and any $\delta$.


# %% tags=["exercise"]
def pull(error, delta):
    """The slope of the Huber loss at each error."""
    return 0 * error  # your turn


# %% tags=["check"]
exercises.check_pull(pull)

# %% [markdown]
# *Solution.* Inside, the slope of $e^2/2$ is $e$. Outside, the line has the slope it had at the seam, $\pm\delta$. So it is $e$, held
# between $-\delta$ and $\delta$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def pull_solution(error, delta):
    """The slope of the Huber loss at each error."""
    return error.clamp(-delta, delta)


verdict = exercises.check_pull(pull_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# **Exercise 2. Nine buses out of ten.** You leave home so as to be late for one bus in ten. The walk takes a different time each day.
# Being late costs nine times as much as waiting as long. Which constant should you plan with? It minimises `quantile_loss` at
# $q = 0.9$. Write `best_plan(data, q)` for any data and any $q$, without searching.


# %% tags=["exercise"]
def best_plan(data, q):
    """The constant with the smallest mean quantile loss."""
    return data.mean()  # your turn


# %% tags=["check"]
exercises.check_best_constant(best_plan)

# %% [markdown]
# *Solution.* A reading above the constant pulls up with force $q$, one below pulls down with force $1 - q$.
# [The forces balance](#eq-balance) when $q \cdot (\text{share above}) = (1-q) \cdot (\text{share below})$, so when the share $q$ lies
# below.


# %% jupyter={"source_hidden": true} tags=["solution"]
def best_plan_solution(data, q):
    """The constant with the smallest mean quantile loss."""
    return torch.quantile(data, q)


verdict = exercises.check_best_constant(best_plan_solution)
claim("the solution passes its check", verdict.passed)
walks = torch.tensor([6.0, 7, 7, 8, 8, 8, 9, 9, 11, 15], dtype=torch.float64)
planned = best_plan_solution(walks, 0.9)
claim(
    "among ten walks the plan for q = 0.9 lies between the two longest (minutes)",
    planned,
    at_least=11,
    at_most=15,
)
everyone = torch.full((10,), 8.0, dtype=torch.float64)
claim(
    "and costs less than planning with the median",
    quantile_loss(planned.expand(10), walks, quantile=0.9)
    - quantile_loss(everyone, walks, quantile=0.9),
    at_most=-0.1,
)
verdict

# %% [markdown]
# ## A tour of the other explorers
# Most losses of this book score classes. The network gives each class a number, the *logit*;
# [softmax](01_from_likelihood_to_cross_entropy.ipynb#eq-softmax) makes probabilities of the logits; the loss looks at them and at the right
# class. With three classes all of this fits into a triangle.
#
# **Predict first.** A corner of the triangle is certainty. Put the target on class 0. Where do the arrows, the steps that gradient
# descent would take, grow long: near the right corner, or far from it? Then move `tau` from 1 to 2 and look at the far corners again.

# %%
simplex_explorer = SimplexExplorer("comp_sum_loss")
simplex_explorer

# %% [markdown]
# At $\tau = 1$, cross-entropy, the arrows are long wherever the answer is wrong. At $\tau = 2$ they die in the far corners: a network
# that is wrong and sure stays so. [Chapter 01](01_from_likelihood_to_cross_entropy.ipynb#comp_sum) makes use of both.

# %%
sure_and_wrong = torch.tensor([[-6.0, 6.0, 0.0]], dtype=torch.float64)
first_class = torch.tensor([0])
claim(
    "cross-entropy pulls hard on a sure mistake",
    find("comp_sum_loss").slope(sure_and_wrong, first_class, tau=1.0).norm(),
    at_least=1.4,
)
claim(
    "at τ = 2 hardly at all",
    find("comp_sum_loss").slope(sure_and_wrong, first_class, tau=2.0).norm(),
    at_most=1e-4,
)

# %% [markdown]
# The third explorer scrubs through a training run. This one separates benign from malignant tumours with a single linear rule, by gradient
# descent with steps a hundred times larger than one would dare. [Chapter 01](01_from_likelihood_to_cross_entropy.ipynb#lr_perceptron) tells
# why that works. Every experiment runs at three scales, `tiny`, `small` and `paper`.

# %%
run = perceptron.run(perceptron.SCALES["tiny"], progress=False)
training_explorer = TrainingExplorer(run, panel=MARGINS_PANEL, metric="accuracy")
training_explorer.set(setting="LR+GD, γ = 100", step=3)
training_explorer

# %% [markdown]
# One cell in each chapter moves every control of its explorers, so that the tests of the book have moved them too.

# %%
for explorer in (margin_explorer, simplex_explorer, training_explorer):
    seen = explorer.move_every_control()
    claim(
        f"{type(explorer).__name__}: moving its controls gives new pictures, each with words",
        len(set(seen)),
        at_least=4,
    )

# %% [markdown]
# ## One function, everywhere
# A loss of this book is a plain function. It takes logits, or `LinearLogits`, which stands for features times classifier and is never
# held whole. Value and gradient are the same; the memory is not. [Chapter 03](03_losses_from_row_statistics.ipynb#cce) tells how.

# %%
generator = torch.Generator().manual_seed(0)
features = torch.randn(256, 32, generator=generator, dtype=torch.float64, requires_grad=True)
classifier = torch.randn(1000, 32, generator=generator, dtype=torch.float64, requires_grad=True)
target = torch.randint(1000, (256,), generator=generator)

held = torch.autograd.grad(cross_entropy(features @ classifier.T, target), (features, classifier))
never_held = torch.autograd.grad(
    cross_entropy(LinearLogits(features, classifier, memory_budget=64_000), target),
    (features, classifier),
)
for name, one, other in zip(("features", "classifier"), held, never_held, strict=True):
    claim(f"the gradient of the {name} is the same", one - other, expected=0, tolerance=1e-12)
print(
    "logits held:",
    features.shape[0] * classifier.shape[0] * 8,
    "bytes; in chunks of at most 64000 bytes",
)
print("computing on:", lossbook.device())

# %% [markdown]
# ## Notation
# The last column leads to a place early in the book where the symbol is at work. Where a letter has a second meaning, its chapters are
# named.
#
# | symbol | meaning | unit, range | at work in |
# |---|---|---|---|
# | $\ell$ | a loss, of one example; its mean where a batch is meant |  | [balance of forces](#eq-balance) |
# | $e$ | error, prediction − target | the target's unit | [one number for many](#One-number-for-many) |
# | $V$ | number of classes; $K$ in chapter 71 |  | [log-sum-exp](02_softmax_and_its_numerics.ipynb#eq-log-sum-exp) |
# | $z$ | logits, the scores of the classes | $V$ numbers, nats | [softmax](01_from_likelihood_to_cross_entropy.ipynb#eq-softmax) |
# | $y$ | the right class; $\pm 1$ where there are two; a reading where no classes are meant | an index | [gradient of cross-entropy](01_from_likelihood_to_cross_entropy.ipynb#eq-expected-minus-observed) |
# | $p$ | probabilities by softmax: $e^{z_j}$ over the sum of all $e^{z_k}$ | $V$ numbers, sum 1 | [softmax](01_from_likelihood_to_cross_entropy.ipynb#eq-softmax) |
# | $L$ | log-sum-exp, the logarithm of the sum of all $e^{z_j}$; in section 1 of chapter 70 the number of layers | nats | [softmax](01_from_likelihood_to_cross_entropy.ipynb#eq-softmax) |
# | $\log p_y$ | log-probability of the right class, $u = z_y - L$ | nats, at most 0 | [log-softmax](02_softmax_and_its_numerics.ipynb#eq-log-softmax) |
# | $e_y$ | 1 at the right class, 0 elsewhere | $V$ numbers | [gradient of cross-entropy](01_from_likelihood_to_cross_entropy.ipynb#eq-expected-minus-observed) |
# | $[\,\cdot\,]$ | 1 where the statement holds, 0 where not |  | [two effects](03_losses_from_row_statistics.ipynb#eq-two-effects) |
# | $\eta$ | true probability of a class, given the input; in chapter 10 the floor of a weight, in chapters 13 and 70 to 72 the step size | 0 to 1 | [conditional risk](01_from_likelihood_to_cross_entropy.ipynb#eq-conditional-risk) |
# | $\varphi$ | a surrogate, a loss of the margin; in chapter 70 what a unit does to its input |  | [conditional risk](01_from_likelihood_to_cross_entropy.ipynb#eq-conditional-risk) |
# | $m$ | margin of a binary score, $y f(x)$ with $y = \pm 1$; the largest of a row's logits where a softmax is computed; $1 - p_y$ in chapter 10; a shift of probabilities in chapter 12 | above 0: right | [logistic step](01_from_likelihood_to_cross_entropy.ipynb#eq-logistic-step) |
# | $\theta$, $\gamma$ | weights of a model, step size of gradient descent; in chapters 10 to 12 $\gamma$ is a focal exponent, in chapter 13 the width of a band |  | [logistic step](01_from_likelihood_to_cross_entropy.ipynb#eq-logistic-step) |
# | $\sigma(s)$ | logistic function $1/(1 + e^{-s})$; $\sigma$ alone is a standard deviation, or a singular value | 0 to 1 | [logistic step](01_from_likelihood_to_cross_entropy.ipynb#eq-logistic-step) |
# | $\tau$ | exponent of the comp-sum family; in chapter 03 a temperature | at least 0 | [comp-sum family](01_from_likelihood_to_cross_entropy.ipynb#eq-comp-sum) |
# | $\pi_k$ | share of class $k$; in section 6 of chapter 03 chance of right label $k$ against the wrong ones | 0 to 1 | [naive Bayes](01_from_likelihood_to_cross_entropy.ipynb#eq-naive-bayes) |
# | $\mathbb{E}$, $\operatorname{Cov}$ | mean and covariance over a distribution; $\operatorname{mean}$ over what is at hand |  | [moments](01_from_likelihood_to_cross_entropy.ipynb#eq-moments) |
# | $\operatorname{KL}(p\,\Vert\,q)$ | divergence of $p$ from $q$, $\sum_k p_k \log (p_k/q_k)$ | nats, at least 0 | [distance to the constant](01_from_likelihood_to_cross_entropy.ipynb#eq-constant-distance) |
# | $\lVert a \rVert$, $\langle a, b \rangle$ | Euclidean length and inner product, of matrices entry by entry |  | [perpGrad](70_grokking_and_softmax_collapse.ipynb#eq-perpgrad) |
# | $\lVert Z \rVert_*$ | nuclear norm, the sum of the singular values |  | [nuclear norm](71_neural_collapse.ipynb#eq-nuclear-norm) |
# | $\varepsilon$ | something small: spacing of a float format, threshold of a filter, share of a smoothed label, bend of a unit; PolyLoss's coefficient in chapter 10, radius of a box in chapter 13 |  | [gap of a format](02_softmax_and_its_numerics.ipynb#eq-collapse-gap) |
# | $g$ | how far the right logit leads; in chapters 70 and 72 also a gradient | nats | [gap of a format](02_softmax_and_its_numerics.ipynb#eq-collapse-gap) |
# | $\operatorname{softplus}(s)$ | $\log(1 + e^s)$ | at least 0 | [SigLIP](03_losses_from_row_statistics.ipynb#eq-siglip-statistics) |
# | $x$, $W$ | features of a row, weights of the last layer; with a bias, $z = Wx + b$ |  | [Gram trick](03_losses_from_row_statistics.ipynb#eq-gram) |
# | $X$, $G$ | features of all rows; gradient by all their logits |  | [cut cross-entropy](03_losses_from_row_statistics.ipynb#eq-cut-cross-entropy) |
# | $N$ | number of rows or examples; $n$ in chapters 01 and 11; in chapter 10 also draws of an answer, or terms of a series |  | [NC1](71_neural_collapse.ipynb#eq-nc1) |
# | $D$ | number of features |  | [exact error](70_grokking_and_softmax_collapse.ipynb#eq-exact-error) |
# | $\lambda$ | strength of a penalty or a weight decay; in chapter 10 a temperature, in chapter 13 an eigenvalue | at least 0 | [free features](71_neural_collapse.ipynb#eq-free-features) |
# | $A^\top$, $A^+$, $\operatorname{tr} A$ | transposed, pseudo-inverse, trace of a matrix |  | [NC1](71_neural_collapse.ipynb#eq-nc1) |
# | $(\cdot)_+$ | positive part: what is below 0 becomes 0 |  | [soft threshold](71_neural_collapse.ipynb#eq-soft-threshold) |
# | $h_i$, $\mu_c$ | what the last layer sees of example $i$, its mean over class $c$ |  | [NC1](71_neural_collapse.ipynb#eq-nc1) |
# | $\alpha$ | laziness of a network; in chapter 71 the scale of the logits, in chapter 12 an exponent or a sharpness, in chapter 13 a step size | above 0 | [lazy network](70_grokking_and_softmax_collapse.ipynb#eq-lazy) |
# | $K(x, x')$ | neural tangent kernel of two inputs |  | [tangent kernel](70_grokking_and_softmax_collapse.ipynb#eq-tangent-kernel) |
# | $w(p)$ | what $p - e_y$ is multiplied by in a gradient | cross-entropy's is 1 | [weight](10_reshaping_cross_entropy.ipynb#eq-weight) |
# | $H(\pi)$ | what the truth costs on average under a proper loss; $H$ alone is a Hessian |  | [price of a lie](11_proper_losses_and_calibration.ipynb#eq-savage) |
# | $c$, $t$ | confidence in an answer, and whether it is right | 0 to 1; 0 or 1 | [three parts](11_proper_losses_and_calibration.ipynb#eq-murphy) |
# | $\beta$ | one over the temperature that all scores are divided by | above 0 | [slope in the temperature](11_proper_losses_and_calibration.ipynb#eq-temperature-slope) |
# | $\Delta_k$, $n_k$ | margin that is asked of class $k$, number of its training examples | logits | [margins](12_imbalance_and_many_labels.ipynb#eq-margin-split) |
# | $a_i$ | soft decision on example $i$ | 0 to 1 | [soft decisions](12_imbalance_and_many_labels.ipynb#eq-soft-decision) |
# | $\delta$ | change of an input that an attack chooses | the input's unit | [adversarial training](13_margins_and_adversaries.ipynb#eq-min-max) |
# | $J$ | derivative of the logits by the input |  | [what a small change does](13_margins_and_adversaries.ipynb#eq-lds-hessian) |
# | $\rho$ | how far uphill sharpness-aware minimisation looks | length in weights | [SAM](13_margins_and_adversaries.ipynb#eq-sam) |
# | $A(E_i, f_n)$ | accuracy on task $i$ after update $n$ | 0 to 1 | [worst case](72_the_stability_gap.ipynb#eq-worst-case) |
#
# Logarithms are natural, so losses that are logarithms come in nats; one nat is 1.44 bits.

# %%
logits = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
log_probability = logits[0] - torch.logsumexp(logits, 0)
claim(
    "u = z_y − L is the log of the softmax",
    log_probability,
    torch.softmax(logits, 0)[0].log(),
    tolerance=1e-15,
)
claim(
    "cross-entropy is −u", cross_entropy(logits, torch.tensor(0)), -log_probability, tolerance=1e-15
)

# %% [markdown]
# ## The losses so far

# %%
HTML(loss_table())

# %% [markdown]
# ## The atlas
# Every published system that this book is to hold. A title with a link leads to its section; the others are planned.

# %%
claim(
    "every loss that the book names can be found by that name",
    all(find(key).key == key for key in RECORDS),
)
HTML(atlas_table())

# %% [markdown]
# ## What to read next
# [Chapter 01](01_from_likelihood_to_cross_entropy.ipynb) asks where cross-entropy comes from, what else could stand in its place, and
# what gradient descent makes of it.
#
# ## References
# - Boscovich, R. J. (1757). *De litteraria expeditione per pontificiam ditionem*. (Least absolute errors.)
# - Efron, B., Hastie, T., Johnstone, I. & Tibshirani, R. (2004). Least angle regression. *Annals of Statistics* 32, 407-499. (The diabetes
#   data.)
# - Huber, P. J. (1964). Robust estimation of a location parameter. *Annals of Mathematical Statistics* 35, 73-101.
# - Koenker, R. & Bassett, G. (1978). Regression quantiles. *Econometrica* 46, 33-50.
# - Laplace, P.-S. (1774). Mémoire sur la probabilité des causes par les évènements.
# - Legendre, A.-M. (1805). *Nouvelles méthodes pour la détermination des orbites des comètes*. (Least squares.)
