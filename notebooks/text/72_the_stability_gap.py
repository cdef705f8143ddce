# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 72 The stability gap
#
# A network has learned one thing and begins to learn another. Every example of the first is still at hand and in every batch. It should
# get no worse at what it knows. It does: within ten updates it loses a third of it, and within forty it has it back. Whoever evaluates
# at the end of a task never sees that. This chapter looks after every update, says why the fall is there even when the whole joint loss
# is minimised, and tries what is said to close the gap.

# %% [markdown]
# ## What you will be able to do
# - evaluate a network that learns task after task so that nothing is hidden: worst case, windowed forgetting, and what they add to ACC;
# - cause a stability gap on your own machine, and choose how deep it is;
# - tell *what* is minimised from *how* a step is taken, and project gradients as A-GEM and GEM do;
# - say why a projection hardly helps, and what does;
# - soften the blow of new classes, and measure which part of the remedy works.
#
# ## Before you start
# | you need | how much |
# |---|---|
# | [chapter 01](01_from_likelihood_to_cross_entropy.ipynb) | cross-entropy and [its gradient](01_from_likelihood_to_cross_entropy.ipynb#eq-expected-minus-observed) |
# | calculus | a Taylor expansion to second order |
# | linear algebra | projecting a vector on another |
# | minutes | 90, in three sections |
#
# ## Papers in this chapter
# | section | paper |
# |---|---|
# | 1 | De Lange, van de Ven & Tuytelaars 2023, Continual evaluation for lifelong learning: identifying the stability gap |
# | 2 | Hess, Tuytelaars & van de Ven 2023, Two complementary perspectives to continual learning: ask not only what to optimize, but also how |
# | 3 | Harun & Kanan 2024, Overcoming the stability gap in continual learning |

# %%
import dataclasses

import numpy as np
import torch
from lossbook import check_gradient, claim
from lossbook.exercises import chapter_72 as exercises
from lossbook.exercises import chapter_72_mitigations as mitigation_exercises
from lossbook.experiments import gap_mitigations, stability_gap
from lossbook.figures import new_figure, show
from lossbook.figures.gap_mitigations import MARGINS_PANEL, plot_course, plot_settings
from lossbook.figures.stability_gap import plot_accuracy, plot_angles, plot_gap, plot_projected
from lossbook.losses import cross_entropy
from lossbook.metrics import (
    final_accuracy,
    forgetting,
    min_accuracy,
    reference_gap,
    windowed_forgetting,
    windowed_plasticity,
    worst_case_accuracy,
)
from lossbook.models import linear, multilayer
from lossbook.training import (
    SoftTargets,
    a_gem_projection,
    data_driven_outputs,
    freeze,
    gem_projection,
    merged,
    teacher_targets,
    with_low_rank,
)
from lossbook.widgets import StabilityGapExplorer, TrainingExplorer

# %% [markdown]
# <a id="continual_eval"></a>
# ## 1 Continual evaluation: the gap that nobody looked at
# *De Lange, van de Ven & Tuytelaars, ICLR 2023, arXiv 2205.13452 · origin: decision theory (the worst case over time)*
#
# **Predict first.** Five classes of points in twenty dimensions. They are learned; then they are all turned by 80° and learned again; then
# by 160°. From the second task on, every step minimises the mean loss of all tasks so far, by replay from the full old data. Evaluated at
# the end of each task, accuracy on the first one reads 1.00, 0.99, 0.99. What was the lowest accuracy in between? Write your number down,
# then move the first slider, `updates between looks`, from 100 to 1.
#
# *(Near two thirds, eight or so updates after the switch. The mean of the five seeds is below.)*

# %%
small = stability_gap.SCALES["small"]
methods = ("finetune", "replay", "joint", "A-GEM", "GEM")
methods += ("replay + A-GEM", "replay + GEM", "joint + A-GEM")
run = stability_gap.run(dataclasses.replace(small, methods=methods), progress=False)
gap_microscope = StabilityGapExplorer(run)
gap_microscope

# %%
seen = gap_microscope.move_every_control()
claim(
    "moving the controls of the microscope gives new pictures, each with words",
    len(set(seen)),
    at_least=10,
)

# %% [markdown]
# ### Where it comes from
# Let $A(E_i, f_n)$ be the accuracy on the test examples of task $i$ after update $n$, and let task $i$ end at update $|T_i|$. Continual
# learning has long been scored by two numbers a task: its accuracy when it had just been learned, and its accuracy at the end. **ACC** is
# the mean of the latter, **forgetting** the difference of the two. Both read the table of accuracies in its last row and at the ends of
# tasks. What lies in between they do not read at all.
#
# Someone who depends on the network does live in between. So ask for the worst case since a task was finished,
#
# <a id="eq-worst-case"></a>
# $$\text{min-ACC} = \frac1{k-1} \sum_{i<k}\ \min_{|T_i| < n \le t} A(E_i, f_n), \qquad
# \text{WC-ACC} = \frac1k A(E_k, f_t) + \Bigl(1 - \frac1k\Bigr)\,\text{min-ACC}.$$
#
# The second weighs the present task against the worst of the others: a network can raise it by learning the new, or by never losing the
# old. For falls at any time, also while the task itself is learned, look through a window of $D$ evaluations:
#
# <a id="eq-windowed"></a>
# $$\text{WF}^D = \max_{i < j < i + D}\, \max(0,\ A_i - A_j), \qquad \text{WP}^D = \max_{i < j < i + D}\, \max(0,\ A_j - A_i).$$
#
# A curve worked by hand: 0.9, 0.9, 0.6, 0.7, 0.85, 0.88. It falls once, by 0.3, from one evaluation to the next, so every window from 2 on
# sees it. The curve 0.9, 0.8, 0.7, 0.6, 0.85 falls slowly, and it takes a window of four to see it all.

# %%
curve = np.array([0.9, 0.9, 0.6, 0.7, 0.85, 0.88])
slow = np.array([0.9, 0.8, 0.7, 0.6, 0.85])
claim(
    "one fall: WF² = WF¹⁰ = 0.3",
    np.array([windowed_forgetting(curve, window) for window in (2, 10)]),
    0.3,
    1e-12,
)
claim(
    "a slow one: WF², WF³, WF¹⁰",
    np.array([windowed_forgetting(slow, window) for window in (2, 3, 10)]),
    np.array([0.1, 0.2, 0.3]),
    1e-12,
)
table = np.column_stack([curve, np.linspace(0.1, 0.9, 6)])
training = np.array([0, 0, 1, 1, 1, 1])  # the task that was being learned at each evaluation
claim("forgetting sees 0.9 → 0.88", forgetting(table, training)[0], 0.02, 1e-12)
claim("min-ACC sees 0.6", min_accuracy(table, training), 0.6, 1e-12)
claim("WC-ACC is their mean: 0.9 and 0.6", worst_case_accuracy(table, training), 0.75, 1e-12)

# %% [markdown]
# Three things follow from the definitions, for every table. The worst case is never above the end. A longer window never sees less. And
# evaluating less often never lowers the minimum: whoever looks rarely believes the network to be better than it was.

# %%
draw = np.random.default_rng(0)
worst_above, window_less, rare_lower = [], [], []
for _ in range(200):
    table = draw.random((30, 3))
    training = np.repeat([0, 1, 2], 10)
    worst_above.append(worst_case_accuracy(table, training) - final_accuracy(table, training))
    falls = [windowed_forgetting(table, window) for window in range(1, 31)]
    window_less.append(np.diff(falls, axis=0).min())
    ends = np.array([9, 19, 29])
    rare_lower.append(min_accuracy(table[ends], training[ends]) - min_accuracy(table, training))
claim("200 random tables: WC-ACC is never above ACC", np.array(worst_above), at_most=1e-12)
claim("  a longer window never sees less", np.array(window_less), at_least=0.0)
claim(
    "  evaluating at the ends only never gives a lower min-ACC", np.array(rare_lower), at_least=0.0
)

# %% [markdown]
# > **Definition.** `continual_scores(table, training)` reads accuracies (evaluations × tasks) and, for each evaluation, the task that was
# > being learned. It gives ACC, min-ACC, WC-ACC, forgetting, and the means over tasks of WF and WP with $D = 10$ and $100$, and LCA, the mean
# > accuracy over the first ten evaluations of a task. `dips(table, training)` gives depth, place and length of each fall after a switch.
# > Origin: decision theory. Limits: with one task WC-ACC is its accuracy and min-ACC undefined; evaluated only at the ends of tasks, WC-ACC
# > sees what ACC and forgetting see.
#
# ### What to look for in the picture
# Left, what a log file would show. At 100 updates between looks there are four points and nothing happens. At 20 a dent, at 1 the gap: it
# begins with the first update after the switch, reaches its floor about ten updates later and is filled within forty. Right, the lowest
# accuracy seen against the frequency of looks: it climbs as one looks away. Change the method to *finetune*: that fall is seen at any
# frequency, for it stays.
#
# ### The experiment: five seeds, every update
# Five classes in $\mathbb{R}^{20}$, 200 training points a task, three tasks that differ in the angle by which pairs of coordinates are
# turned. A network 20-100-100-5, SGD with momentum 0.9 and step 0.1, batches of 64, 100 updates a task. *finetune* minimises the new task's
# loss. *replay* minimises the mean loss of all tasks, from batches of old examples, all of which are kept. *joint* does so exactly: every
# example of every task, at every step. Then digits and Fashion-MNIST: new classes in one output layer, new classes with heads of their own,
# and turned images.
#
# #### What must hold
# Fixed before the run, from the paper and from a pilot on the seeds 100 to 104; five seeds, 0 to 4. The last column is what the cells below
# count.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | replay: ACC 0.97 or more, and min-ACC lower by 0.1 or more | ACC 0.985 to 0.997, lower by 0.19 to 0.36 | 5 of 5 |
# | the same with the exact joint loss | ACC 0.990 to 0.997, lower by 0.18 to 0.37 | 5 of 5 |
# | the deepest dip of both within 20 updates of a switch | 5 to 11 updates | 5 of 5 |
# | seen at the ends of tasks only, replay's min-ACC is higher by 0.1 or more | 0.20 to 0.36 | 5 of 5 |
# | min-ACC of replay falls with the angle: 40°, 80°, 160° | means 0.99, 0.84, 0.46 | 5 of 5 |
# | no turn, no gap: min-ACC 0.9 or more | 0.99 to 1.00 | 5 of 5 |
# | finetuning loses 0.5 or more of an old task, at the end | 0.77 to 0.88 | 5 of 5 |
# | digits, new classes, replay: min-ACC lower than ACC by 0.3 or more | 0.44 to 0.53 | 5 of 5 |
# | digits, new heads, replay: lower by 0.1 at most | 0.00 to 0.03 | 5 of 5 |
# | Fashion-MNIST, turned, replay: lower by 0.1 or more | 0.15 to 0.16 | 5 of 5 |

# %%
scores = stability_gap.scores(run)
columns = ["accuracy", "min_accuracy", "worst_case_accuracy", "forgetting"]
columns += ["windowed_forgetting_10", "learning_curve_area", "depth", "deepest", "length"]
print(scores.groupby("setting", sort=False)[columns].mean().round(3).to_string())


def of(scores, method):
    """The scores of one method, a row a seed."""
    return scores[scores["setting"] == method].set_index("seed")


def count(held):
    """In how many seeds something held."""
    return f"{int(np.sum(held))} of {len(held)}"


# %%
for name in ("replay", "joint"):
    found = of(scores, name)
    claim(f"{name}: ACC", found["accuracy"].to_numpy(), at_least=0.97)
    claim(
        "  min-ACC lower by", (found["accuracy"] - found["min_accuracy"]).to_numpy(), at_least=0.1
    )
    claim("  updates from the switch to the floor", found["deepest"].to_numpy(), at_most=20)
claim(
    "finetune: forgotten at the end",
    of(scores, "finetune")["forgetting"].to_numpy(),
    at_least=0.5,
)
hidden = []
for seed in range(5):
    table, training = stability_gap.table_of(run, "replay", seed)
    ends = np.flatnonzero(np.diff(training, append=3))
    hidden.append(min_accuracy(table[ends], training[ends]) - min_accuracy(table, training))
claim("replay, looked at once a task: min-ACC too high by", np.array(hidden), at_least=0.1)

# %%
figure, (left, right) = new_figure(2, height=3.9)
plot_accuracy(run, ax=left, methods=("finetune", "replay", "joint"))
shown = dataclasses.replace(run, history=run.history[run.history.setting.isin(methods[:3])])
plot_gap(shown, ax=right)
means = scores.groupby("setting")[["accuracy", "min_accuracy", "deepest"]].mean()
text = "; ".join(
    f"{name}: {means.accuracy[name]:.2f} and {means.min_accuracy[name]:.2f}" for name in methods[:3]
)
show(
    figure,
    alt="Left: accuracy on task 1 against the update for finetune, replay and joint, with switches at 100 and 200. "
    "Finetune falls and stays down; replay and joint fall within about "
    f"{means.deepest['replay']:.0f} updates after each switch, deeper after the second, and are back within forty. "
    f"Right: ACC and min-ACC, means over five seeds: {text}.",
    caption="How to read it: bands are the range over five seeds. Right, filled marks are ACC and open ones min-ACC, a mark a seed.",
)

# %% [markdown]
# The joint loss was minimised, exactly and without sampling, and the old task still fell. So the gap is not a matter of too small a memory
# or of noisy batches. How deep it is depends on how far the new task is from the old one:

# %%
angles = (0.0, 40.0, 80.0, 160.0)
turned = {
    angle: stability_gap.run(
        dataclasses.replace(small, methods=("replay",), angles=(0.0, angle)), progress=False
    )
    for angle in angles
}
lowest = {angle: stability_gap.scores(turned[angle])["min_accuracy"].to_numpy() for angle in angles}
falls = (lowest[40.0] > lowest[80.0]) & (lowest[80.0] > lowest[160.0])
print("min-ACC falls from 40° to 80° to 160°:", count(falls))
claim("min-ACC falls with the angle, in seeds", int(falls.sum()), at_least=5)
claim("no turn, no gap: min-ACC", lowest[0.0], at_least=0.9)

# %%
figure, ax = new_figure()
plot_angles(turned, ax=ax)
words = ", ".join(f"{lowest[angle].mean():.2f} at {angle:.0f}°" for angle in angles)
show(
    figure,
    alt="ACC and min-ACC of replay against the angle of the second task. ACC stays near 1; min-ACC, mean of five "
    f"seeds, is {words}.",
    caption="How to read it: both lines are the same five networks, at the end and at their worst moment.",
)

# %% [markdown]
# And on images. *New classes*: digits two at a time, all in one output layer. *New heads*: the same, but it is known which pair is asked
# about. *Turned*: Fashion-MNIST (14 × 14 pixels) at 0°, 80° and 160°.

# %%
images = dataclasses.replace(small, data="digits", hidden=(64, 64), iterations=50, tested=100)
new_classes = stability_gap.run(
    dataclasses.replace(images, scenario="class", methods=("finetune", "replay")), progress=False
)
new_heads = stability_gap.run(
    dataclasses.replace(
        images, scenario="task", methods=("finetune", "replay", "EWC", "SI", "LwF")
    ),
    progress=False,
)
garments = stability_gap.run(
    dataclasses.replace(
        small,
        data="fashion_mnist",
        methods=("finetune", "replay"),
        shrink=2,
        hidden=(100,),
        learning_rate=0.05,
        iterations=80,
        tested=100,
    ),
    progress=False,
)
by_data = {"new classes": new_classes, "new heads": new_heads, "turned": garments}
image_scores = {name: stability_gap.scores(found) for name, found in by_data.items()}
for name, found in image_scores.items():
    print(f"{name}\n{found.groupby('setting', sort=False)[columns].mean().round(3).to_string()}\n")

# %%
gap = {
    name: (of(found, "replay")["accuracy"] - of(found, "replay")["min_accuracy"]).to_numpy()
    for name, found in image_scores.items()
}
claim("digits, new classes: replay's min-ACC is below its ACC by", gap["new classes"], at_least=0.3)
claim("digits, new heads: by", gap["new heads"], at_most=0.1)
claim("Fashion-MNIST, turned: by", gap["turned"], at_least=0.1)

# %%
figure, (left, right) = new_figure(2, height=3.9)
plot_accuracy(new_classes, ax=left)
plot_accuracy(garments, ax=right)
left.set_title("digits, new classes", loc="left")
right.set_title("Fashion-MNIST, turned", loc="left")
floors = {
    name: by_data[name]
    .history.query("setting == 'replay' and task > 0")
    .groupby("seed")["accuracy 1"]
    .min()
    .mean()
    for name in ("new classes", "turned")
}
show(
    figure,
    alt="Accuracy on task 1 against the update, finetune and replay. Left, digits with new classes: at each switch replay "
    f"falls, at the worst to {floors['new classes']:.2f} in the mean of five seeds, and comes back; finetune goes to 0 and "
    f"stays there. Right, turned Fashion-MNIST: replay falls to {floors['turned']:.2f} and comes back.",
    caption="How to read it: dotted lines are switches. Bands are the range over five seeds.",
)

# %% [markdown]
# On digits with new classes the gap is all but complete: a network that ends with 0.88 on everything has, within seven updates of a switch,
# lost most of an older task. One output layer serves all classes, and new ones push the old outputs down. With heads of their own the gap is
# nearly gone, though the hidden layers are shared just the same. On Fashion-MNIST, turned, replay ends at 0.64 (200 images a class are few)
# and is at 0.49 in between.
#
# The paper trains larger networks on larger data and finds the same: a fall within a few updates, and a return where old examples are
# replayed.
#
# ### Why does this differ from the paper, and from the code I know?
# - **Windowed plasticity.** The released code searches a rise as it searches a fall: it skips starting points below the highest value so far.
#   In the window 0.9, 0.5, 0.8 it then finds no rise. The definition has 0.3, and so does `windowed_plasticity`. Forgetting is not affected.
# - **Avalanche** has ACC and forgetting, recorded at the ends of tasks: first minus last. `forgetting` is that. Its AMCA averages over classes
#   first, `average_mean_class_accuracy`. Neither sees the gap.
# - **Learning curve area.** A-GEM's, where it comes from, begins before the task's first update; the released code and this one with the
#   first evaluation after it.
# - **Where windows begin.** Here with the first evaluation of a task's own learning; a rise or fall by chance before that does not count.
# - **Size.** The paper evaluates 1,000 examples a task and trains for thousands of updates. Here 100 or 200 examples, so that one accuracy has
#   a standard error of up to 0.05, and the minimum of many evaluations is a little lower than the accuracy at that moment. The gaps claimed
#   are larger than that.

# %%
window = np.array([0.9, 0.5, 0.8])


def as_released(window, sign):
    """The largest rise (sign 1) or fall (−1), from starts that are not below an earlier value."""
    starts = [i for i in range(len(window)) if window[i] >= window[: i + 1].max()]
    found = [sign * (window[j] - window[i]) for i in starts for j in range(i + 1, len(window))]
    return max([0.0, *found])


claim("the released rule sees no rise", as_released(window, 1), 0.0)
claim("the definition sees one", windowed_plasticity(window, 3), 0.3, 1e-12)
others = draw.random((200, 10))
claim(
    "falls: both rules give the same, in 200 random windows",
    np.array([as_released(each, -1) - windowed_forgetting(each, 10) for each in others]),
    expected=0,
)

# %% [markdown]
# ### When to use it
# Whenever a network is updated while it is in use: evaluate often right after anything changes, and report the minimum beside the mean. A
# fixed subset of a few hundred examples is enough. The first twenty updates after a switch tell more than the next thousand. When nobody
# sees the network until training ends, ACC is the right number, and the gap costs nothing but the updates it takes to fill it.
#
# ### Exercises
# **Exercise 1. Windowed forgetting.** Write [the largest fall of accuracy](#eq-windowed) among any $D$ evaluations in a row.


# %% tags=["exercise"]
def windowed(curve, window):
    """The largest A_i − A_j with i < j < i + window; 0 where accuracy never falls."""
    return curve[0] - curve[-1]  # first minus last: your turn


# %% tags=["check"]
exercises.check_windowed_forgetting(windowed)

# %% [markdown]
# *Solution.* Compare the curve with itself, moved by 1, 2, …, $D - 1$ places.


# %% jupyter={"source_hidden": true} tags=["solution"]
def windowed_solution(curve, window):
    """The largest A_i − A_j with i < j < i + window; 0 where accuracy never falls."""
    falls = [(curve[:-lag] - curve[lag:]).max() for lag in range(1, min(window, len(curve)))]
    return max([0.0, *falls])


verdict = exercises.check_windowed_forgetting(windowed_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="two_perspectives"></a>
# ## 2 What to optimise, and how
# *Hess, Tuytelaars & van de Ven 2023, arXiv 2311.04898 · origin: surrogate (a first-order constraint in place of the loss)*
#
# **Predict first.** The joint loss says *what* to minimise, and its minimum is where we want to be. The gap is about the way there, so change
# *how* a step is taken: if it would raise the old tasks' loss, project it until it does not. In the microscope, choose *replay + A-GEM* and
# look at every update. How much of the dip is left?
#
# *(Nearly all of it, in most seeds.)*

# %%
gap_microscope.set(every=1, method="replay + A-GEM", zoom=50)
print(gap_microscope.caption)
gap_microscope.set(method="replay")
print(gap_microscope.caption)

# %% [markdown]
# ### Where it comes from
# Let $g$ be the gradient about to be stepped on and $r$ that of the old tasks' loss. A small step along $-g$ changes the old loss by
# $-\eta\,\langle g, r\rangle$, so it rises where $\langle g, r\rangle < 0$. **A-GEM** then takes the nearest $g^*$ with
# $\langle g^*, r\rangle \ge 0$, which drops the part of $g$ that points against $r$, much as
# [perpGrad](70_grokking_and_softmax_collapse.ipynb#eq-perpgrad) drops the part along the weights:
#
# <a id="eq-a-gem"></a>
# $$g^* = g - \frac{\min(0, \langle g, r\rangle)}{\langle r, r\rangle}\, r .$$
#
# **GEM** asks it of each old task, with a row of $R$ for each: the nearest $g^*$ with $R g^* \ge 0$. Its dual is a quadratic program with as
# many unknowns as there are old tasks,
#
# <a id="eq-gem"></a>
# $$g^* = g + R^\top v, \qquad v = \operatorname*{argmin}_{v \ge 0}\ \tfrac12 v^\top R R^\top v + (R g)^\top v .$$

# %%
generator = torch.Generator().manual_seed(0)
gradient, reference = (
    torch.randn(1000, 8, generator=generator, dtype=torch.float64) for _ in range(2)
)
projected = a_gem_projection(gradient, reference)
before, after = (gradient * reference).sum(1), (projected * reference).sum(1)
claim("A-GEM: nothing conflicts any more", after, at_least=-1e-12)
claim("  what did not conflict is untouched", projected[before >= 0], gradient[before >= 0])
claim(
    "  and no gradient becomes longer", projected.norm(dim=1) - gradient.norm(dim=1), at_most=1e-12
)
twice = reference[:, None].expand(-1, 2, -1)
claim("GEM with the same task twice is A-GEM", gem_projection(gradient, twice), projected, 1e-10)
several = torch.randn(1000, 3, 8, generator=generator, dtype=torch.float64)
held = gem_projection(gradient, several)
claim(
    "GEM with three: none of them conflicts",
    (several @ held[..., None])[..., 0],
    at_least=-1e-10,
)
closer = [a_gem_projection(gradient, several[:, k]) for k in range(3)]
distance = torch.stack([(one - gradient).norm(dim=1) for one in closer]).amax(0)
claim(
    "  it goes no less far than the farthest of three single projections",
    (held - gradient).norm(dim=1) - distance,
    at_least=-1e-10,
)

# %% [markdown]
# #### The joint gradient needs it less
# With $g = \frac1k g_{\text{new}} + (1 - \frac1k)\, r$ the old tasks have a say already:
#
# <a id="eq-joint-conflict"></a>
# $$\langle g, r \rangle = \tfrac1k \langle g_{\text{new}}, r\rangle + \bigl(1 - \tfrac1k\bigr)\lVert r\rVert^2 < 0
# \iff \langle g_{\text{new}}, r\rangle < -(k - 1)\,\lVert r\rVert^2 .$$
#
# Two random gradients conflict every other time. Their mean hardly ever conflicts with one of them:

# %%
new, old = (torch.randn(20_000, 5, generator=generator, dtype=torch.float64) for _ in range(2))
alone = ((new * old).sum(1) < 0).double().mean()
joint = (((new + old) / 2 * old).sum(1) < 0).double().mean()
claim("random gradients in five dimensions: the new one conflicts", alone, 0.5, 0.02)
claim("  the mean of both conflicts", joint, 0.04, 0.01)

# %% [markdown]
# #### And the slope knows nothing of what is to come
# The constraint is on the first term of an expansion:
#
# <a id="eq-second-order"></a>
# $$L_{\text{old}}(\theta - \eta g) - L_{\text{old}}(\theta) = -\eta\,\langle g, r\rangle + \tfrac{\eta^2}2\, g^\top H g + \dots$$
#
# At a switch the old task has been learned: $r$ is nearly zero, whatever direction it has. The new task's gradient is not. So the first term
# is next to nothing, allowed or forbidden, and the fall is in the rest. Measured: the two tasks' gradients where the first has been learned;
# the change of the old loss by its slope, on a step $\eta/(1 - 0.9)$, as far as momentum goes; and the change in truth.

# %%
two_tasks = dataclasses.replace(small, angles=(0.0, 160.0))
at_switch = stability_gap.at_the_switch(two_tasks)
print(at_switch.to_string(index=False, float_format="{:.2g}".format))
claim(
    "the old gradient is less than a thousandth of the new one",
    (at_switch["old_norm"] / at_switch["new_norm"]).to_numpy(),
    at_most=1e-3,
)
claim(
    "the old loss rises a thousand times as much as its slope says, or more",
    (at_switch["rise"] / at_switch["slope_says"].abs()).to_numpy(),
    at_least=1000,
)

# %% [markdown]
# A projection acts on [the first term](#eq-second-order). A shorter step acts on all of them. That is a prediction, and it is tested below.
#
# > **Definition.** `a_gem_projection(gradient, reference)` and `gem_projection(gradient, references, margin=0)`; `Projection(references)` is
# > the transform of `train` that applies them to every step. Origin: surrogate, the first-order constraint $\langle g^*, r_i \rangle \ge 0$
# > in place of "no old loss rises". One reference makes GEM A-GEM; no conflict leaves the gradient as it was. Limits: it holds for small
# > steps, for the examples that $r$ was computed on, and for plain gradient steps; momentum goes on along what was projected before.
#
# ### What to look for in the picture
# In the microscope compare *A-GEM* with *finetune*: after the switch accuracy falls in the same way and does not come back, though more than
# half of the steps are projected. Compare *replay + A-GEM* with *replay*, then *joint + A-GEM* with *joint*, and move the seed: a little up
# here, a little down there. Only with *joint*, where $r$ is the exact gradient of the old loss, is more gained than lost.
#
# ### The experiment: replay and the joint loss, with and without projection
# The run of [section 1](#continual_eval) has them all. A-GEM and GEM alone step along the new task's gradient, projected; with *replay* or
# *joint* the projected gradient is that of the joint loss. The references are computed on the memory batch of the step; with *joint*, on
# all old data.
#
# #### What must hold
# Fixed before the run, from the paper and the pilot.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | A-GEM and GEM alone lose 0.5 or more of an old task | 0.67 to 0.89 | 5 of 5 |
# | A-GEM projects at least three times as often alone as on top of replay | 48 to 73 % against 3 to 13 % of the updates | 5 of 5 |
# | replay to replay + A-GEM: min-ACC changes by less than 0.05, in the mean over seeds | mean −0.005; −0.057 to 0.032 | mean holds; one by one 4 of 5 |
# | the same pair: the length of the dip changes by less than 5 updates, in the mean | mean −1.8; −6 to 2 | mean holds; one by one 4 of 5 |
# | exact gradients, joint to joint + A-GEM: min-ACC higher by 0.01 or more, in the mean | mean 0.027; −0.003 to 0.075 | mean holds; one by one 3 of 5 |
# | and the gap is still there: ACC − min-ACC of joint + A-GEM 0.05 or more | 0.18 to 0.29 | 5 of 5 |
# | the joint loss with step 0.03 for 333 updates in place of 0.1 for 100: less than half of the depth | 0.10 to 0.25 of it | 5 of 5 |
# | digits, new heads: EWC, SI and LwF end above finetune, in the mean | by 0.10, 0.10 and 0.14 | each above in 5 of 5 |

# %%
for name in ("A-GEM", "GEM"):
    claim(f"{name} alone: forgotten", of(scores, name)["forgetting"].to_numpy(), at_least=0.5)
often, rarely = (of(scores, name)["projected"] for name in ("A-GEM", "replay + A-GEM"))
claim("A-GEM alone projects more often, times", (often / rarely).to_numpy(), at_least=3)


def change(first, second, score):
    """What the second method has more than the first, a number a seed."""
    return (of(scores, second)[score] - of(scores, first)[score]).to_numpy()


for score in ("min_accuracy", "depth", "length"):
    for first, second in (
        ("replay", "replay + A-GEM"),
        ("replay", "replay + GEM"),
        ("joint", "joint + A-GEM"),
    ):
        found = change(first, second, score)
        print(f"{score:13} {second:15} − {first:7}", found.round(3), "mean", found.mean().round(3))
claim(
    "A-GEM on replay changes min-ACC by, in the mean",
    abs(change("replay", "replay + A-GEM", "min_accuracy").mean()),
    at_most=0.05,
)
claim(
    "  the length of the dip by, in updates",
    abs(change("replay", "replay + A-GEM", "length").mean()),
    at_most=5,
)
exact = change("joint", "joint + A-GEM", "min_accuracy")
claim("A-GEM on the exact joint loss raises min-ACC by, in the mean", exact.mean(), at_least=0.01)
print("raised by 0.02 or more in", count(exact >= 0.02))
left_over = of(scores, "joint + A-GEM")
claim(
    "  and leaves a gap of",
    (left_over["accuracy"] - left_over["min_accuracy"]).to_numpy(),
    at_least=0.05,
)

# %%
figure, (left, right) = new_figure(2, height=3.9)
plot_projected(run, ax=left)
compared = ("replay", "replay + A-GEM", "replay + GEM", "joint", "joint + A-GEM")
plot_gap(
    dataclasses.replace(run, history=run.history[run.history.setting.isin(compared)]), ax=right
)
share = 100 * scores.groupby("setting")["projected"].mean()
bars = ", ".join(f"{name} {share[name]:.0f}" for name in methods if "GEM" in name)
ends = "; ".join(f"{name} {means.min_accuracy[name]:.2f}" for name in compared)
show(
    figure,
    alt=f"Left: updates projected, in per cent, means of five seeds: {bars}. Right: ACC, near 1 for all, and min-ACC, "
    f"means: {ends}.",
    caption="How to read it: left, a low bar is a step that did not conflict. Right, the closer the open marks to the filled ones, the smaller the gap.",
)

# %% [markdown]
# Now the prediction. The exact joint loss again, two tasks 160° apart, 100 points each: once with steps of 0.1, once with steps of 0.03 and as
# many more of them.

# %%
by_step = {
    rate: stability_gap.scores(
        stability_gap.run(
            dataclasses.replace(
                two_tasks,
                methods=("joint",),
                train=100,
                learning_rate=rate,
                iterations=iterations,
            ),
            progress=False,
        )
    )
    for rate, iterations in ((0.1, 100), (0.03, 333))
}
for rate, found in by_step.items():
    print(
        f"step {rate}: depth {found['depth'].round(3).tolist()}, ACC {found['accuracy'].round(3).tolist()}"
    )
claim(
    "steps of 0.03: what is left of the depth",
    (by_step[0.03]["depth"] / by_step[0.1]["depth"]).to_numpy(),
    at_most=0.5,
)

# %% [markdown]
# And the methods that hold on to weights (EWC, SI) or answers (LwF) and keep no examples, on digits with heads of their own:

# %%
heads = image_scores["new heads"].groupby("setting", sort=False)[columns[:4]].mean()
print(heads.round(3).to_string())
for name in ("EWC", "SI", "LwF"):
    more = (
        of(image_scores["new heads"], name)["accuracy"]
        - of(image_scores["new heads"], "finetune")["accuracy"]
    )
    claim(f"{name} ends above finetune, in the mean by", more.mean(), at_least=0.02)
    print("  above finetune in", count(more > 0))

# %% [markdown]
# The prediction holds: with steps of a third, depth is a tenth to a quarter of what it was, and no gradient was projected. The price is three
# times as many updates.
#
# The projection does little. On top of replay 7 % of the steps are projected; min-ACC rises in two seeds, falls in three, and both changes are
# small beside the gap. With the exact gradients of the old tasks it gains 0.025 to 0.075 in three seeds and nothing in two. The pilots had
# other signs, which is why only the means are claimed. A-GEM and GEM alone project more than half of their steps and
# forget about as much as finetuning: a condition on slopes that are next to zero forbids next to nothing.
#
# EWC, SI and LwF forget less than finetuning where each task has its own head, and each has a gap of its own: their min-ACC is 0.07 to 0.12
# below their ACC, where replay's is 0.02 below.
#
# ### Why does this differ from the paper, and from the code I know?
# - **A small number in the denominator.** The released A-GEM divides by $\langle r, r\rangle + 10^{-7}$. At a switch $\lVert r\rVert^2$ is of that
#   size or smaller (the table above: norms of about $10^{-4}$), so much of the conflict stays. Here the division is plain, and $r = 0$ asks
#   for nothing.
# - **GEM's margin.** The original GEM asks $v \ge 0.5$ and adds $10^{-3}$ to the diagonal of $RR^\top$. Here the margin is 0 unless `margin` says
#   otherwise, and the program is solved as it stands.
# - **Weights of the tasks.** Theirs begin at 1/2 for the new task, with an option to lower it from task to task. Here every task weighs $1/k$.
# - **The memory batch.** Reference and replay use the same one, here as there. Momentum begins afresh with every task here.

# %%
tiny_reference = torch.tensor([1e-4, 0.0], dtype=torch.float64)
against = torch.tensor([-1.0, 1.0], dtype=torch.float64)
product = against @ tiny_reference
damped = against - product / (tiny_reference @ tiny_reference + 1e-7) * tiny_reference
claim("with 1e-7 in the denominator nine tenths of the conflict stay", damped[0], -0.909, 1e-3)
claim("without it, none", a_gem_projection(against, tiny_reference)[0], 0)

# %% [markdown]
# ### When to use it
# Keep examples if you may: replay is what remembers. A projection alone is no replacement for them, and on top of them it is rarely active;
# give it exact gradients, or leave it. To make the gap itself small, take shorter steps. Whether it is enough to shorten those that follow
# a switch is an experiment for you: `train` takes a scheduler. [Section 3](#sgm_stability) has other remedies.
#
# ### Exercises
# **Exercise 2. A projection.** Write the gradient [without its part against the reference](#eq-a-gem).


# %% tags=["exercise"]
def project(gradient, reference):
    """The nearest vector to the gradient whose product with the reference is not negative."""
    return gradient  # your turn


# %% tags=["check"]
exercises.check_projection(project)

# %% [markdown]
# *Solution.* Only a conflict is taken off, and the reference is not a unit vector.


# %% jupyter={"source_hidden": true} tags=["solution"]
def project_solution(gradient, reference):
    """The nearest vector to the gradient whose product with the reference is not negative."""
    conflict = torch.clamp(gradient @ reference, max=0)
    return gradient - conflict / (reference @ reference) * reference


verdict = exercises.check_projection(project_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# **Exercise 3. When does the joint gradient conflict?** With $g = w\,g_{\text{new}} + (1 - w)\,g_{\text{old}}$ it does, as
# [with equal weights](#eq-joint-conflict), when $\langle g_{\text{new}}, g_{\text{old}}\rangle < -c\,\lVert g_{\text{old}}\rVert^2$. Write
# $c$ as a function of $w$.


# %% tags=["exercise"]
def conflict_at(weight):
    """The c of the condition, for the weight w of the new gradient."""
    return 0.0  # the condition for the new gradient alone: your turn


# %% tags=["check"]
exercises.check_conflict(conflict_at)

# %% [markdown]
# *Solution.* $\langle g, g_{\text{old}}\rangle = w \langle g_{\text{new}}, g_{\text{old}}\rangle + (1 - w) \lVert g_{\text{old}}\rVert^2$, and this is
# below 0 when $\langle g_{\text{new}}, g_{\text{old}}\rangle < -\frac{1 - w}{w} \lVert g_{\text{old}}\rVert^2$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def conflict_at_solution(weight):
    """The c of the condition, for the weight w of the new gradient."""
    return (1 - weight) / weight


verdict = exercises.check_conflict(conflict_at_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# <a id="sgm_stability"></a>
# ## 3 Closing the gap
# *Harun & Kanan, TMLR 2024, arXiv 2306.01904 · origin: heuristic*
#
# **Predict first.** A plain network knows the digits 0 to 4, at 98 %. The digits 5 to 9 arrive, and it needs five new outputs. Random
# numbers are a poor guess, so each new output becomes the mean of what the network makes of its class: the direction its features point
# in. Nothing has been trained. What is the accuracy on the old digits now? Choose *init* in the explorer and leave the step at 0.
#
# *(None at all. Every old digit is taken for a new one, before the first update.)*

# %%
plain_run = gap_mitigations.run(gap_mitigations.PLAIN, progress=False)
shown = ("vanilla", "init", "centred init")
gap_explorer = TrainingExplorer(
    dataclasses.replace(
        plain_run,
        snapshots=tuple(kept for kept in plain_run.snapshots if kept.setting in shown),
    ),
    panel=MARGINS_PANEL,
    metric="old_accuracy",
)
gap_explorer

# %%
seen = gap_explorer.move_every_control()
claim(
    "moving the controls of the explorer gives new pictures, each with words",
    len(set(seen)),
    at_least=4,
)
plain = gap_mitigations.summary(plain_run)
claim(
    "old accuracy before any update, init, five seeds",
    plain.loc["init", "first_old"].to_numpy(),
    at_most=0.2,
)

# %% [markdown]
# ### Where it comes from
# Rehearsal has the right loss: half new examples, half old. The dip comes from how the first steps go. An example of a new class meets
# outputs that were drawn at random, and scores near 0 there, while the old outputs say 5. Its loss is about 4 nats, and
# [the gradient $p - e_y$](01_from_likelihood_to_cross_entropy.ipynb#eq-expected-minus-observed) has its full length: nearly all of it goes
# into pushing down *old* logits, through weights that old examples use too.
#
# The paper names two causes, a first loss that is too high and hidden weights that are too free, and it takes four parts to answer them.
#
# **New outputs from data.** With $\phi$ what the last layer sees, output $k$ becomes the mean direction of its class,
#
# <a id="eq-data-driven-output"></a>
# $$w_k = \operatorname{mean}_{i:\,y_i = k} \frac{\phi_i - \mu}{\lVert \phi_i - \mu \rVert}, \qquad b_k = -w_k \cdot \mu,$$
#
# as published with $\mu = 0$. That hides a condition. Features that come out of a ReLU are nowhere negative, so every $w_k$ is not either,
# and *every* example of *every* class scores above 0 on all new outputs, by its length times a cosine. Subtract the mean old feature,
# and an old example scores 0 on average.

# %%
generator = torch.Generator().manual_seed(0)
labels = torch.arange(200) % 4  # classes 0 and 1 are old
means = 3 * torch.randn(4, 32, generator=generator, dtype=torch.float64)
cloud = means[labels] + torch.randn(200, 32, generator=generator, dtype=torch.float64)
phi = torch.relu(cloud)
old, arriving = labels < 2, torch.tensor([2, 3])
for words, centre in (("μ = 0", None), ("μ = mean old feature", phi[old].mean(0))):
    weight, bias = data_driven_outputs(phi, labels, arriving, centre=centre)
    scores = phi @ weight.T + bias
    of_old, of_new = scores[old].mean(), scores[~old].amax(1).mean()
    print(f"{words}: old examples score {of_old:.2f}, new ones {of_new:.2f}")
    if centre is None:
        claim("μ = 0: all 200 examples score above 0 on both outputs", scores, at_least=1e-9)
    else:
        claim("centred: old examples score 0 on average", scores[old].mean(0), 0, tolerance=1e-12)
random = linear(32, 4, generator=generator).weight.detach().double()
before = cross_entropy(phi[~old] @ random.T, labels[~old])
random[2:], _ = data_driven_outputs(phi, labels, arriving)
after = cross_entropy(phi[~old] @ random.T, labels[~old])
print(
    f"loss of the new classes: {before:.2f} with random outputs, {after:.2f} with mean directions"
)
claim("the first loss falls", before - after, at_least=0.5)

# %% [markdown]
# **Dynamic soft targets.** Take what the network says now, set the class it predicts to $1/V$ and the right class to 1, and divide by
# the sum $S$. The gradient stays $p - t$. For a class $j$ that is neither right nor predicted, $t_j = p_j / S$, so a new example pushes it
# with $p_j(1 - 1/S)$, and $S$ is at most $2 + 1/V$: half of what it was. For an old class $p$ is replaced by the mean softmax of that
# class over all examples predicted right so far.

# %%
row = [2.0, 1.0, 0.0, -1.0, -1.5]
logits = torch.tensor([[row]], dtype=torch.float64)  # (batch, members, classes)
newcomer = torch.tensor([[3]])  # a new class, and the network says 0
soft = SoftTargets(5, torch.tensor([True, True, True, False, False]))
target = soft(logits, newcomer)
p = torch.softmax(logits, -1)
print("softmax:     ", [round(x, 3) for x in p[0, 0].tolist()])
print("soft target: ", [round(x, 3) for x in target[0, 0].tolist()])
check_gradient(
    lambda z: cross_entropy(z, target, reduction="sum"),
    lambda z: torch.softmax(z, -1) - target,
    logits,
)
total = float(p.sum() - p.max() - p[0, 0, 3] + 1 / 5 + 1)
claim("it sums to 1", target.sum(), 1, tolerance=1e-12)
claim(
    "classes neither right nor predicted are pushed with p (1 − 1/S)",
    (p - target)[0, 0, [1, 2, 4]],
    p[0, 0, [1, 2, 4]] * (1 - 1 / total),
    tolerance=1e-12,
)
claim(
    "the right class is pulled with two thirds of the hard target's pull",
    (target - p)[0, 0, 3] / (1 - p[0, 0, 3]),
    at_most=0.67,
)

# %% [markdown]
# **Low rank** (LoRA) lets a hidden weight move only by a product of two thin matrices, $W + \frac{\alpha}{r} B A$. $B$ begins at 0, so the
# network begins as it was, and at the end the product is added into $W$. **Frozen outputs** (old output class freezing, OOCF): the
# weights and biases of old outputs stay.

# %%
network = multilayer((64, 64, 64, 10), generator=generator)
low = with_low_rank(network, rank=8, alpha=8.0, generator=generator)
x = torch.rand(50, 64, generator=generator)
claim("low rank begins as the same function", low(x) - network(x), 0)
optimizer = torch.optim.AdamW(
    [p for p in low.parameters() if p.requires_grad], lr=0.01, weight_decay=0.05
)
is_old = torch.arange(10) < 5
freeze(optimizer, {low[-1].weight: is_old[:, None], low[-1].bias: is_old})
kept = low[-1].weight.detach()[:5].clone()
for _ in range(20):
    optimizer.zero_grad()
    cross_entropy(low(x), torch.arange(50) % 10).backward()
    optimizer.step()
changes = [merged(low)[k].weight - network[k].weight for k in (0, 2)]
sizes = torch.stack([torch.linalg.svdvals(change.detach()) for change in changes])
claim("merged, it is a plain network with the same outputs", merged(low)(x) - low(x), 0)
claim("each hidden weight has moved in eight directions", sizes[:, 7] / sizes[:, 0], at_least=1e-3)
claim("and in no ninth", sizes[:, 8] / sizes[:, 0], at_most=1e-5)
claim(
    "old outputs: not a bit has changed, in spite of the weight decay", low[-1].weight[:5] - kept, 0
)

# %% [markdown]
# **Gaps to a joint model.** Train once on everything, note its accuracies $A$ on old, new and all classes, and compare every update:
#
# <a id="eq-gaps"></a>
# $$S_\Delta = 1 - \operatorname{mean}_u \frac{a_{\text{old}}(u)}{A_{\text{old}}}, \qquad
# P_\Delta = 1 - \operatorname{mean}_u \frac{a_{\text{new}}(u)}{A_{\text{new}}}, \qquad
# CK_\Delta = 1 - \operatorname{mean}_u \frac{a_{\text{all}}(u)}{A_{\text{all}}} .$$
#
# All three are 0 for a curve on its level and negative above it. Being means, they forgive: a dip to one half that lasts four updates of
# two hundred costs 0.01. Read them beside [the lowest accuracy of section 1](#eq-worst-case).

# %%
curve = torch.ones(200, dtype=torch.float64)
claim("a curve on its level has no gap", reference_gap(curve, 1.0), 0, tolerance=1e-12)
curve[3:7] = 0.5
claim("four updates at a half", reference_gap(curve, 1.0), 0.01, tolerance=1e-12)

# %% [markdown]
# > **Definition.** SGM, stability gap mitigation, is rehearsal with all four: `data_driven_outputs(features, labels, classes)`,
# > `SoftTargets(classes, old)`, `with_low_rank(model, rank=r, alpha=α)` and `freeze(optimizer, masks)`. Origin: heuristic. Limits: with
# > random outputs, hard targets, free weights and nothing frozen it is plain rehearsal. Measured by `continual_gaps(old, new, every,
# > joint=...)` and `updates_to_reach(accuracy, reference, share=...)`.
#
# ### What to look for in the picture
# Right in the explorer: for each test example of an old digit, its highest old logit less its highest new one. Left of the line it is
# lost. Under *vanilla* nearly all lie to the right at step 0, and some cross in the first ten steps; that is the dip. Under *init* the
# whole crowd begins on the wrong side, and half a dozen steps bring it back. Under *centred init* it begins right.
#
# ### The experiment: ten digits, ten garments, and one part at a time
# The paper's networks end in a layer norm before the last layer (ConvNeXt). So does ours, 64-64-64-norm-10, but for the plain one of the
# explorer. It learns classes 0 to 4 with Adam, and then takes 150 steps of SGD with momentum on batches of half new, half old examples,
# tested after every update. All settings of a seed start from the same network and see the same batches. *SGM* is all four parts as
# published, *SGM less ...* all but one. *Teacher targets* are not the paper's: half the hard target and half what the old network says
# at temperature 2, on new examples.
#
# #### What must hold
# Thresholds were fixed after a pilot on the seeds 100 to 104. Then came the seeds 0 to 4, which you see here. (After a first look at
# them the training on the old classes was shortened, to save time, and the pilot repeated. The thresholds of the longer one were
# stricter; under them all counts are the same but one, *SGM* on garments: 4 of 5.) "Lowest" is the lowest accuracy on old classes over all updates.
#
# | claim | seen in five | seeds |
# |---|---|---|
# | **digits** | | |
# | the first loss of the new classes: *init* below half of *vanilla*'s | 0.27 to 0.37 of it | 5 of 5 |
# | lowest: *init* above *vanilla* by 0.03 | −0.04 to 0.29 | 4 of 5 |
# | lowest: *SGM* above *vanilla* by 0.05 | 0.15 to 0.42 | 5 of 5 |
# | lowest: *SGM* without low rank below *SGM* by 0.03 | 0.04 to 0.13 | 5 of 5 |
# | lowest: *SGM* without init below *SGM* | 0.04 to 0.20 | 5 of 5 |
# | lowest: *SGM* without soft targets within 0.03 of *SGM* | −0.056 to −0.008 | 4 of 5 |
# | lowest: *SGM* without frozen outputs within 0.03 of *SGM* | −0.016 to 0.032 | 4 of 5 |
# | lowest: *soft targets* alone above *vanilla* | −0.008 to 0.024 | 4 of 5 |
# | lowest: *frozen* alone above *vanilla* | −0.02 to 0.10 | 4 of 5 |
# | lowest: *low rank* alone above *vanilla* | −0.14 to 0.10 | 2 of 5, **not claimed** |
# | lowest: *teacher targets* above *vanilla* by 0.1 | 0.18 to 0.36 | 5 of 5 |
# | and the new accuracy at their end below *vanilla*'s by 0.05 | 0.10 to 0.13 | 5 of 5 |
# | old accuracy at the end of *SGM* not below *vanilla*'s by 0.02 | −0.01 to 0.04 | 5 of 5 |
# | [$S_\Delta$](#eq-gaps): *SGM* below *vanilla* | by 0.02 to 0.05 | 5 of 5 |
# | updates to 95 % of the joint model: *SGM* needs fewer than *vanilla* | 31 to 116 against 18 to 41 | 1 of 5, **not claimed** |
# | **digits, plain network** | | |
# | old accuracy before any update: *init* at most 0.2 | 0 | 5 of 5 |
# | the same: *centred init* at least 0.95 | 0.94 to 0.99 | 4 of 5 |
# | lowest: *centred init* above *vanilla* by 0.01 | −0.02 to 0.14 | 4 of 5 |
# | **garments** | | |
# | lowest: *SGM* above *vanilla* by 0.05 | 0.07 to 0.18 | 5 of 5 |
# | lowest: *low rank* alone above *vanilla* | −0.01 to 0.20 | 4 of 5 |
# | old accuracy before any update: *init* below *vanilla* | by 0.03 to 0.25 | 5 of 5 |
# | lowest: *init*, *soft targets*, *frozen* alone above *vanilla* (2, 1 and 3 of 5 in the pilot) | | 4, 2, 5 of 5, **not claimed** |

# %%
digit_run = gap_mitigations.run(gap_mitigations.SCALES["small"], progress=False)
garment_run = gap_mitigations.run(gap_mitigations.GARMENTS, progress=False)
digits, garments = (gap_mitigations.summary(one) for one in (digit_run, garment_run))
for words, table in (("digits", digits), ("plain", plain), ("garments", garments)):
    columns = ["first_loss", "first_old", "lowest", "old_end", "new_end", "stability", "plasticity"]
    print(f"\n{words}: means over five seeds")
    means = table.drop("joint", level="setting").groupby("setting", sort=False).mean()
    print(means[columns].round(3).to_string())

# %% [markdown]
# Every line of the table, counted. Processors round differently, and a single image is 0.008; so each count is asserted with one seed to
# spare.

# %%
HELD = []


def held(statement, values, test, seen):
    """Count the seeds in which a statement holds, and assert all but one of those seen before."""
    good = int(test(values.to_numpy()).sum())
    HELD.append(good)
    least, most = values.min(), values.max()
    claim(f"{statement} [{least:.3f} to {most:.3f}]: seeds of five", good, at_least=seen - 1)


def gain(table, one, other="vanilla", number="lowest"):
    """One setting less another, seed by seed."""
    return table.loc[one, number] - table.loc[other, number]


ratio = digits.loc["init", "first_loss"] / digits.loc["vanilla", "first_loss"]
held("digits, first loss: init over vanilla, below a half", ratio, lambda x: x < 0.5, 5)
held("lowest: init above vanilla by 0.03", gain(digits, "init"), lambda x: x >= 0.03, 4)
held("lowest: SGM above vanilla by 0.05", gain(digits, "SGM"), lambda x: x >= 0.05, 5)
for part, test, seen in (
    ("low rank", lambda x: x <= -0.03, 5),
    ("init", lambda x: x < 0, 5),
    ("soft targets", lambda x: abs(x) <= 0.03, 4),
    ("frozen", lambda x: abs(x) <= 0.03, 4),
):
    held(f"lowest: SGM less {part}, less SGM", gain(digits, f"SGM less {part}", "SGM"), test, seen)
for part, seen in (("soft targets", 4), ("frozen", 4)):
    held(f"lowest: {part} alone above vanilla", gain(digits, part), lambda x: x > 0, seen)
held(
    "lowest: teacher targets above vanilla by 0.1",
    gain(digits, "teacher targets"),
    lambda x: x >= 0.1,
    5,
)
price = gain(digits, "teacher targets", number="new_end")
held("and their new accuracy at the end lower by 0.05", price, lambda x: x <= -0.05, 5)
held(
    "old accuracy at the end: SGM less vanilla",
    gain(digits, "SGM", number="old_end"),
    lambda x: x >= -0.02,
    5,
)
held("stability gap: SGM less vanilla", gain(digits, "SGM", number="stability"), lambda x: x < 0, 5)

held(
    "plain: old accuracy before any update, init",
    plain.loc["init", "first_old"],
    lambda x: x <= 0.2,
    5,
)
centred = plain.loc["centred init", "first_old"]
held("plain: the same, centred", centred, lambda x: x >= 0.95, 4)
held(
    "plain, lowest: centred init above vanilla by 0.01",
    gain(plain, "centred init"),
    lambda x: x >= 0.01,
    4,
)
held("garments, lowest: SGM above vanilla by 0.05", gain(garments, "SGM"), lambda x: x >= 0.05, 5)
held("garments, lowest: low rank above vanilla", gain(garments, "low rank"), lambda x: x > 0, 4)
print("held in so many of five seeds:", HELD)

# %%
figure, axes = new_figure(3, height=3.8, width=10.0)
drawn = (
    (digit_run, digits, ("vanilla", "init", "low rank", "SGM")),
    (garment_run, garments, ("vanilla", "init", "low rank", "SGM")),
    (plain_run, plain, ("vanilla", "init", "centred init")),
)
words = []
for ax, (one, table, settings) in zip(axes, drawn, strict=True):
    plot_course(one, ax, settings=settings, until=60)
    ax.set_ylabel("accuracy on old classes" if one is digit_run else "")
    lows = {name: table.loc[name, "lowest"] for name in settings}
    words.append(
        ", ".join(f"{name} {low.min():.2f} to {low.max():.2f}" for name, low in lows.items())
    )
show(
    figure,
    alt="Accuracy on old classes over the first 60 updates, means over five seeds with their range. "
    f"Lowest values over all updates, of digits with a layer norm: {words[0]}; of garments: "
    f"{words[1]}; of digits with a plain network: {words[2]}.",
    caption="How to read it: update 0 is before the first step. Vanilla falls within a few updates "
    "and climbs back; low rank alone falls later. The dotted line is a model trained on everything.",
)

# %%
figure, axes = new_figure(3, height=4.4, width=10.0, sharey=True)
plot_settings(digit_run, axes, numbers=("lowest", "new_end", "stability"))
means = digits.drop("joint", level="setting").groupby("setting", sort=False).mean()
words = "; ".join(
    f"{name}: {row['lowest']:.2f}, {row['new_end']:.2f}, {row['stability']:.3f}"
    for name, row in means.iterrows()
)
show(
    figure,
    alt="Three dot plots for the digits, a row each for twelve settings and a mark for each of five "
    "seeds. Means of the lowest old accuracy, the new accuracy at the end and the stability gap: "
    f"{words}.",
    caption="How to read it: the dotted line is the mean of vanilla. The four rows at the bottom leave "
    "one part out: where the marks move back towards the line, that part was needed.",
)

# %% [markdown]
# With a layer norm the paper's central claim comes out: the dip of plain rehearsal, to between 0.53 and 0.78 within five updates, all but
# closes: the lowest is 0.91 to 0.98. Which part does it? Not one alone. *Init* takes the first loss down to a third, and about half of the
# fall away; *low rank* alone falls as deep as *vanilla*, only later, because the loss that drives it is as large as ever. Together they
# hold. Soft targets and frozen outputs could be left out here without a difference that five seeds can show.
#
# Four things do not come out. Without the layer norm the published initialisation is the worst of all starts, and centring repairs it.
# With it, on garments, it still costs a tenth of the old accuracy before any update; *SGM* climbs from there, and its lowest accuracy is
# only 0.07 to 0.18 above that of *vanilla*. *SGM* is not faster on all classes than plain rehearsal; it is slower, since low rank slows
# the new classes down. (Plain rehearsal is faster than training on everything from scratch.) And the targets that protect the old classes
# best are not the paper's: half a teacher keeps them near 0.9 at all times, and pays with a tenth of the new accuracy.

# %%
quick = digits["updates"].unstack().loc[["joint", "vanilla", "SGM less low rank", "SGM"]]
print("updates until 95 % of the joint model's accuracy on all classes")
print(quick.astype(int).to_string())
share = quick.loc["vanilla"] / quick.loc["joint"]
held("rehearsal needs fewer updates than training from scratch", share, lambda x: x < 1, 5)
cost = gain(garments, "init", number="first_old")
held("garments, before any update: init less vanilla, old accuracy", cost, lambda x: x < 0, 5)

# %% [markdown]
# ### Why does this differ from the paper, and from other code?
# - **Layer norm.** The paper does not centre, and does not need to: its features come out of a layer norm. Nothing in the description
#   says so, and on a ReLU network the same lines do harm. That was the explorer.
# - **Soft targets.** The formula here is that of the released code. An independent version mixes $\frac12 e_y$ with a teacher's softmax
#   at temperature 2: a stronger and another thing, as the figure shows.
# - **Frozen outputs** are frozen by zeroed gradients in the released code, under AdamW with a decay of 0.05. Decoupled decay does not ask
#   the gradient: each step shrinks the "frozen" rows by $1 - \eta\lambda$. `freeze` puts them back.
# - **Every hundredth update.** The released code tests before a session and then after every 100 updates. The dip is over by then.
# - **The gaps** are computed nowhere in the released code. Their form is that of the paper's section 3.2 as it has been restated in a
#   public formalisation; the joint model as the reference of all three is our reading.
# - **Size.** ImageNet-1K to Places365 with ConvNeXt, AdamW and a one-cycle learning rate that starts low, rank 48 with $\alpha = 1$; here
#   ten classes, constant SGD, rank 8 with $\alpha = 8$. A low first learning rate softens the first steps by itself.

# %%
hard = teacher_targets(logits[0], newcomer[0])  # as if these were a teacher's logits
print("published:", [round(x, 3) for x in target[0, 0].tolist()])
print("teacher:  ", [round(x, 3) for x in hard[0].tolist()])
claim(
    "the teacher's target leaves the old prediction a share",
    hard[0, 0] / target[0, 0, 0],
    at_least=1.5,
)

layer = linear(4, 3, generator=generator)
began = layer.weight.detach().clone()
decayed = torch.optim.AdamW(layer.parameters(), lr=1.5e-3, weight_decay=0.05)
for _ in range(1200):  # a session of the released code
    decayed.zero_grad()
    layer(torch.ones(1, 4)).sum().backward()
    layer.weight.grad.zero_()
    decayed.step()
claim(
    "1,200 steps with zeroed gradients leave of each 'frozen' weight",
    layer.weight / began,
    (1 - 1.5e-3 * 0.05) ** 1200,
    tolerance=1e-4,
)

# %%
history = digit_run.history
joint = history[history["setting"] == "joint"].groupby("seed")["old_accuracy"].last()
vanilla = history[history["setting"] == "vanilla"].pivot(
    index="step", columns="seed", values="old_accuracy"
)
level = torch.tensor(joint.to_numpy())
for every in (1, 10, 50):
    looked = vanilla[vanilla.index % every == 0]
    gap = reference_gap(torch.tensor(looked.to_numpy()), level).mean()
    print(
        f"tested every {every:2} updates: lowest {looked.min().mean():.2f}, stability gap {gap:.3f}"
    )
missed = looked.min() - vanilla.min()
claim("every 50 updates: the lowest accuracy seen is too high by", missed.to_numpy(), at_least=0.02)

# %% [markdown]
# ### When to use it
# Whenever a service must not stumble while it learns: set the new outputs from data, centred unless the features are normalised. It costs
# one pass over the new examples. Add low rank where old accuracy matters more than speed. In between stands *SGM* without low rank: on
# the digits its lowest accuracy is 0.82 to 0.90, and it learns the new classes no more slowly than plain rehearsal. Test after every
# update for the first fifty, or you will not see what any of this does.

# %%
held(
    "plasticity gap: SGM less low rank, less vanilla",
    gain(digits, "SGM less low rank", number="plasticity"),
    lambda x: x < 0,
    5,
)

# %% [markdown]
# ### Exercises
# **Exercise 4. A new output.** Write the weights and the bias of [a new class's output](#eq-data-driven-output) from its features and a
# centre.


# %% tags=["exercise"]
def new_output(features, centre):
    """Weights and bias of one class, (units + 1,); features (examples, units), centre (units,)."""
    weight = features.mean(0)  # your turn
    return torch.cat([weight, torch.zeros(1, dtype=weight.dtype)])


# %% tags=["check"]
mitigation_exercises.check_new_output(new_output)

# %% [markdown]
# *Solution.* Subtract the centre, divide each row by its length, average. The bias is what makes the output 0 at the centre.


# %% jupyter={"source_hidden": true} tags=["solution"]
def new_output_solution(features, centre):
    """Weights and bias of one class, (units + 1,); features (examples, units), centre (units,)."""
    weight = torch.nn.functional.normalize(features - centre, dim=1).mean(0)
    return torch.cat([weight, -(weight @ centre)[None]])


verdict = mitigation_exercises.check_new_output(new_output_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# **Exercise 5. The pull of a soft target.** An example of a new class has these logits. Write the gradient of the cross-entropy with its
# soft target.


# %% tags=["exercise"]
def soft_pull(logits, right):
    """The gradient by the logits (classes,) of one example of the new class `right`."""
    p = torch.softmax(logits, 0)
    p[right] -= 1  # the pull of a hard target; your turn
    return p


# %% tags=["check"]
mitigation_exercises.check_soft_pull(soft_pull)

# %% [markdown]
# *Solution.* Begin with $p$; the predicted class gets $1/V$, then the right class 1, in this order, for they may be the same. Divide by
# the sum, and subtract from $p$.


# %% jupyter={"source_hidden": true} tags=["solution"]
def soft_pull_solution(logits, right):
    """The gradient by the logits (classes,) of one example of the new class `right`."""
    p = torch.softmax(logits, 0)
    target = p.clone()
    target[p.argmax()] = 1 / len(p)
    target[right] = 1.0
    return p - target / target.sum()


verdict = mitigation_exercises.check_soft_pull(soft_pull_solution)
claim("the solution passes its check", verdict.passed)
verdict

# %% [markdown]
# ## What to read next
# [Chapter 70](70_grokking_and_softmax_collapse.ipynb) and [chapter 71](71_neural_collapse.ipynb) watch other things that happen while a network
# trains. Chapter 73 asks what is lost when a network has learned for too long: plasticity.
# [The atlas](00_start_here.ipynb#The-atlas) shows what is written.
#
# ## References
# - Chaudhry, A., Ranzato, M., Rohrbach, M. & Elhoseiny, M. (2019). Efficient lifelong learning with A-GEM. *ICLR*, arXiv 1812.00420.
# - De Lange, M., van de Ven, G. M. & Tuytelaars, T. (2023). Continual evaluation for lifelong learning: identifying the stability gap.
#   *ICLR*, arXiv 2205.13452.
# - Harun, M. Y. & Kanan, C. (2024). Overcoming the stability gap in continual learning. *TMLR*, arXiv 2306.01904.
# - Hess, T., Tuytelaars, T. & van de Ven, G. M. (2023). Two complementary perspectives to continual learning: ask not only what to
#   optimize, but also how. arXiv 2311.04898.
# - Hinton, G., Vinyals, O. & Dean, J. (2015). Distilling the knowledge in a neural network. arXiv 1503.02531.
# - Hu, E. J. et al. (2022). LoRA: low-rank adaptation of large language models. *ICLR*, arXiv 2106.09685.
# - Kirkpatrick, J. et al. (2017). Overcoming catastrophic forgetting in neural networks. *PNAS* 114, arXiv 1612.00796. (EWC.)
# - Li, Z. & Hoiem, D. (2016). Learning without forgetting. *ECCV*, arXiv 1606.09282. (LwF.)
# - Lopez-Paz, D. & Ranzato, M. (2017). Gradient episodic memory for continual learning. *NeurIPS*, arXiv 1706.08840. (GEM.)
# - Zenke, F., Poole, B. & Ganguli, S. (2017). Continual learning through synaptic intelligence. *ICML*, arXiv 1703.04200. (SI.)
# - Zhang, C.-B. et al. (2021). Delving deep into label smoothing. *IEEE TIP* 30, arXiv 2011.12562.
