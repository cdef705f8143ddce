"""Checks for chapter 70, first half: what longer weights do, what is left across them, and StableMax's pull."""

from collections.abc import Callable
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.losses import stablemax_cross_entropy
from lossbook.metrics import collapsed, scaling_descent
from lossbook.training import perpendicular

DOUBLE = torch.float64


@judged
def check_scaling_descent(function: Callable[[torch.Tensor, int], Any]) -> Verdict:
    """Exercise 70.1: −d/dc of one row's cross-entropy of the logits c z, at c = 1: `longer(logits, right)`."""
    for values, label in (((0.5, 1.5, 0.0), 0), ((2.0, 0.0, -1.0), 0), ((3.0, 3.0), 1), ((7.0, 5.0, 6.5, 6.0), 0)):
        z = torch.tensor(values, dtype=DOUBLE)
        found = ask(function, z.clone(), label)
        wanted = scaling_descent(z, torch.tensor(label))
        if found.numel() != 1:
            return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        if close(found, wanted):
            continue
        p = z.softmax(0)
        at = f"For logits {list(values)} with {label} right yours is {float(found):.4g}. "
        if not float(found):
            return not_yet(at + "Differentiate log Σ exp(c z_k) − c z_y by c, and turn the sign round.")
        if close(found, -wanted):
            return not_yet(at + "The sign is turned round: asked is how fast the loss falls.")
        if close(found, z[label] - z.mean()):
            return not_yet(at + "The mean of the logits is weighted by the softmax: large logits count for more.")
        if close(found, 1 - p[label]):
            return not_yet(at + "That is the pull on the right logit alone. All logits are stretched; sum over them.")
        others = torch.cat([z[:label], z[label + 1 :]])
        if close(found, z[label] - others.max()):
            return not_yet(at + "That is the lead over the next logit. The others count too, each by its probability.")
        if close(found, (p * z).sum()) or close(found, z[label]):
            return not_yet(at + "That is one of the two terms; the answer is their difference.")
        return not_yet(at + "Write it as z_y less a mean of all logits, and find the weights of that mean.")
    return right("z_y less the softmax's mean of the logits: positive on every right row, so longer pays.")


@judged
def check_collapse(function: Callable[[torch.Tensor, torch.dtype], Any]) -> Verdict:
    """Exercise 70.2: whether each row's softmax has collapsed in a format: `has_collapsed(logits, dtype)`, 0 or 1."""
    gap = torch.tensor([7.0, 8.0, 16.0, 17.5, 36.0, 37.5], dtype=DOUBLE)
    rows = torch.stack([gap, torch.zeros_like(gap)], 1)
    crowd = torch.zeros(2, 1001, dtype=DOUBLE)
    crowd[:, 0] = torch.tensor([17.0, 60.0])
    shifted = rows + torch.tensor([[100.0]], dtype=DOUBLE)
    for dtype in (torch.float16, torch.float32, torch.float64):
        name = str(dtype).removeprefix("torch.")
        for kind, logits in (("", rows), ("shifted", shifted), ("crowd", crowd)):
            found, wanted = ask(function, logits.clone(), dtype), collapsed(logits, dtype).double()
            if found.shape != wanted.shape:
                return not_yet(f"One answer a row was asked for, {len(wanted)} here; yours: {tuple(found.shape)}.")
            if close(found, wanted):
                continue
            if close(found, 1 - wanted):
                return not_yet("Turned round: a row has collapsed where the sum is 1.")
            if not found.any():
                return not_yet(f"Nothing has collapsed by yours in {name}: cast before the exponentials, and compare.")
            if close(found, collapsed(logits, torch.float64).double()) or close(
                found, collapsed(logits, torch.float32).double()
            ):
                return not_yet(f"Asked for {name}, and yours has rounded in another format: cast to `dtype` first.")
            if kind == "crowd":
                return not_yet(
                    "Right for two classes. With a thousand others their sum has to vanish beside 1, not each of them."
                )
            if kind == "shifted":
                return not_yet("Right until 100 is added to all logits: subtract the largest first.")
            worst = int((found != wanted).nonzero()[0])
            return not_yet(f"In {name}, a lead of {float(gap[worst]):g} over one class: yours says the opposite.")
    return right("One line, and the first thing to log when a long run stops getting better.")


@judged
def check_across(function: Callable[[torch.Tensor, torch.Tensor], Any]) -> Verdict:
    """Exercise 70.3: perpGrad's gradient of one weight matrix, `across(gradient, weight)`."""
    generator = torch.Generator().manual_seed(70)
    for shape in ((4,), (3, 5)):
        g, w = (torch.randn(shape, generator=generator, dtype=DOUBLE) for _ in range(2))
        w = 3 * w
        found, wanted = ask(function, g.clone(), w.clone()), perpendicular(g, w)
        if found.shape != wanted.shape:
            return not_yet(f"A gradient of shape {tuple(g.shape)} was asked for; yours has {tuple(found.shape)}.")
        if close(found, wanted):
            continue
        plain = g - (g * w).sum() / w.square().sum() * w
        if close(found, g):
            return not_yet("That is the gradient as it came. Take its part along the weights out.")
        if close(found, plain):
            return not_yet("Across the weights, and shorter than it came: stretch it back to the length of g.")
        if close(found, -wanted):
            return not_yet("The sign is turned round: this stands in for the gradient, not for the step.")
        if close(found, g - (g * w).sum() / w.norm() * w) or close(found, g - (g * w).sum() * w):
            return not_yet("Your inner product is divided by the wrong length: the part along w is ⟨g, w⟩ w/‖w‖².")
        rows = g - (g * w).sum(-1, keepdim=True) / w.square().sum(-1, keepdim=True) * w
        if close(found, rows) or close(found, rows * g.norm() / rows.norm()):
            return not_yet("Right for a vector. Of a matrix yours treats each row alone: one inner product for all.")
        inner = float((found * w).sum())
        if abs(inner) > 1e-6:
            return not_yet(f"⟨yours, w⟩ is {inner:.3g}, and asked is 0.")
        return not_yet(f"Across, but ‖yours‖ is {float(found.norm()):.4g} and ‖g‖ is {float(g.norm()):.4g}.")
    return right("Nothing of it makes the weights longer to first order, whatever the loss would have liked.")


@judged
def check_stablemax_pull(function: Callable[[torch.Tensor, int], Any]) -> Verdict:
    """Exercise 70.4: the gradient of StableMax's cross-entropy by one row of logits, `stable_pull(logits, right)`."""
    for values, label in (((3.0, 0.0, -2.0), 0), ((20.0, 0.0, 0.0), 0), ((-2.0, 1.0, 4.0, 0.5), 1)):
        z = torch.tensor(values, dtype=DOUBLE)
        held = z.clone().requires_grad_()
        with torch.enable_grad():
            wanted = torch.autograd.grad(stablemax_cross_entropy(held[None], torch.tensor([label])), held)[0]
        found = ask(function, z.clone(), label)
        if found.shape != wanted.shape:
            return not_yet(f"One slope a logit was asked for, {len(values)} in all; yours: {tuple(found.shape)}.")
        if close(found, wanted):
            continue
        q = torch.where(z >= 0, z + 1, 1 / (1 - z))
        q = q / q.sum()
        target = torch.zeros_like(z)
        target[label] = 1
        if not found.any():
            return not_yet("Your slope is 0 everywhere. Begin with cross-entropy of y = sign(z) log(1 + |z|).")
        if close(found, -wanted):
            return not_yet("The sign is turned round: the gradient points uphill.")
        if close(found, z.softmax(0) - target):
            return not_yet("That is the softmax's p − e. StableMax's shares are s(z)/Σ s, and there is a chain rule.")
        if close(found, q - target):
            return not_yet("That is the slope by log s(z). The chain rule brings d log s/dz = 1/(1 + |z|).")
        if close(found, (q - target) / (1 + z)):
            return not_yet("Right where z ≥ 0. For negative logits the slope of log s is 1/(1 − z): take |z|.")
        return not_yet(
            f"For logits {list(values)} with {label} right yours is {[round(x, 4) for x in found.tolist()]}. It is "
            "(q − e)/(1 + |z|), q = s(z)/Σ s(z)."
        )
    return right("It fades like a power of the lead, so it never rounds to 0.")
