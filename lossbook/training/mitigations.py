"""Ways to soften the blow of new classes: new outputs read off the data, soft targets, frozen old outputs.

With low-rank hidden layers (`low_rank.py`) they are SGM, stability gap mitigation. The formulas are those of the
authors' released code.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lossbook.checks import bad_type, bad_value, check_count, check_floating, check_number, check_same_device


def data_driven_outputs(
    features: Float[Tensor, "examples units"],
    labels: Int[Tensor, " examples"],
    classes: Int[Tensor, " new"],
    *,
    centre: Float[Tensor, " units"] | None = None,
) -> tuple[Float[Tensor, "new units"], Float[Tensor, " new"]]:
    """Weights and biases for the outputs of new classes, from what the network already makes of their examples.

        w_k = mean over class k of (φ − μ)/‖φ − μ‖,   b_k = −w_k · μ

    Args:
        features: (examples, units), φ: what the last affine layer sees.
        labels: (examples,), class indices.
        classes: (new,), the classes to make outputs for; each needs an example.
        centre: (units,), μ, for instance the mean feature of the old classes. None: μ = 0, as published.

    Returns:
        Weights (new, units) and biases (new,). A feature equal to μ has no direction and counts as 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features = torch.tensor([[3.0, 4.0], [30.0, 40.0], [0.0, 5.0]])
        >>> weight, bias = data_driven_outputs(features, torch.tensor([7, 7, 8]), torch.tensor([7, 8]))
        >>> weight.tolist(), bias.tolist()                    # a direction: how long a feature is does not count
        ([[0.6..., 0.8...], [0.0, 1.0]], [-0.0, -0.0])
        >>> weight, bias = data_driven_outputs(features, torch.tensor([7, 7, 8]), torch.tensor([8]), centre=features[0])
        >>> (weight @ features[0] + bias).tolist()            # at the centre every new output says 0
        [0.0]

    Reference: Harun & Kanan 2024, arXiv 2306.01904 (without the centre).
    """
    if check_floating("features", features).ndim != 2:
        raise bad_value("features", features, "shape (examples, units)")
    for name, value, shape in (("labels", labels, features.shape[:1]), ("classes", classes, None)):
        if not isinstance(value, Tensor) or value.dtype != torch.int64:
            raise bad_type(name, value, "class indices (int64)")
        if value.ndim != 1 or (shape is not None and value.shape != shape):
            raise bad_value(name, value, "one class for each row of features" if shape is not None else "shape (new,)")
    if centre is None:
        centre = torch.zeros_like(features[0] if len(features) else features.new_zeros(features.shape[1]))
    elif check_floating("centre", centre).shape != features.shape[1:]:
        raise bad_value("centre", centre, f"one number for each unit, shape ({features.shape[1]},)")
    member = labels == classes[:, None]
    absent = classes[~member.any(1)].tolist()
    if absent:
        raise ValueError(f"classes: got {absent[0]} among them, expected classes that have an example in labels")
    directions = nn.functional.normalize(features - centre, dim=1)
    member = member.to(features.dtype)
    weight = member @ directions / member.sum(1, keepdim=True)
    return weight, -(weight @ centre)


class SoftTargets:
    """Targets that know what the network says now: the right class gets the largest share, others what they have.

        t ∝ template with the predicted class set to 1/V, then the right class set to 1

    The template of an example of an old class is the mean softmax of that class over all examples so far that were
    predicted right (1/V before there is one); that of a new class is the example's own softmax. So t_y is never much
    below one half, and tends to 1 as the network grows sure.

    Args:
        classes: V, at least 2.
        old: (V,), True for old classes.
        members: of an Ensemble; every one has averages of its own.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> soft = SoftTargets(3, torch.tensor([True, False, False]))
        >>> logits = torch.log(torch.tensor([[[0.5, 0.3, 0.2]]]))           # (batch, members, classes)
        >>> soft(logits, torch.tensor([[1]]))                               # new, and taken for class 0: 1/3, 1, 0.2
        tensor([[[0.2174, 0.6522, 0.1304]]])
        >>> soft(logits, torch.tensor([[0]]))                               # old: others 1/3, for nothing is known yet
        tensor([[[0.6000, 0.2000, 0.2000]]])
        >>> soft.see(logits, torch.tensor([[0]]))
        >>> soft(logits, torch.tensor([[0]]))                               # now the class's mean softmax is known
        tensor([[[0.6667, 0.2000, 0.1333]]])

    Reference: Harun & Kanan 2024, arXiv 2306.01904, released code; class averages after Zhang et al. 2021 (online label
    smoothing), arXiv 2011.12562.
    """

    def __init__(self, classes: int, old: Bool[Tensor, " classes"], *, members: int = 1):
        check_count("classes", classes, least=2)
        check_count("members", members)
        if not isinstance(old, Tensor) or old.dtype != torch.bool:
            raise bad_type("old", old, "a boolean tensor")
        if old.shape != (classes,):
            raise bad_value("old", old, f"one truth value for each class, shape ({classes},)")
        self.old = old
        self.sums = torch.zeros(members, classes, classes, device=old.device)
        self.counts = torch.zeros(members, classes, device=old.device)

    @torch.no_grad()
    def __call__(
        self, logits: Float[Tensor, "batch members classes"], target: Int[Tensor, "batch members"]
    ) -> Float[Tensor, "batch members classes"]:
        """The targets of a batch, without a gradient."""
        self._check(logits, target)
        probability = torch.softmax(logits, -1)
        classes = logits.shape[-1]
        known = self.counts > 0
        means = torch.where(known[..., None], self.sums / self.counts.clamp(min=1)[..., None], 1 / classes)
        member = torch.arange(len(means), device=target.device)
        template = torch.where(self.old[target][..., None], means[member, target].to(logits.dtype), probability)
        template = template.scatter(-1, probability.argmax(-1, keepdim=True), 1 / classes)
        template = template.scatter(-1, target[..., None], 1.0)
        return template / template.sum(-1, keepdim=True)

    @torch.no_grad()
    def see(self, logits: Float[Tensor, "batch members classes"], target: Int[Tensor, "batch members"]) -> None:
        """Take the examples predicted right into the class averages: once a batch, after its targets were asked for."""
        self._check(logits, target)
        probability = torch.softmax(logits, -1)
        right = (probability.argmax(-1) == target).to(self.sums.dtype)
        place = nn.functional.one_hot(target, logits.shape[-1]).to(self.sums.dtype) * right[..., None]
        self.sums += torch.einsum("bmk,bmj->mkj", place, probability.to(self.sums.dtype))
        self.counts += place.sum(0)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages, for a checkpoint."""
        return {"sums": self.sums.clone(), "counts": self.counts.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with the averages of a checkpoint."""
        self.sums.copy_(state["sums"])
        self.counts.copy_(state["counts"])

    def _check(self, logits: Tensor, target: Tensor) -> None:
        wanted = self.counts.shape
        if check_floating("logits", logits).ndim != 3 or logits.shape[1:] != wanted:
            raise bad_value("logits", logits, f"shape (batch, {wanted[0]}, {wanted[1]}): batch, members, classes")
        if not isinstance(target, Tensor) or target.dtype != torch.int64:
            raise bad_type("target", target, "class indices (int64)")
        if target.shape != logits.shape[:2] or bool(((target < 0) | (target >= wanted[1])).any()):
            raise bad_value("target", target, f"one class from 0 to {wanted[1] - 1} for each row of logits")
        check_same_device("target", target, "logits", logits)


def teacher_targets(
    teacher_logits: Float[Tensor, "*batch classes"],
    target: Int[Tensor, "*batch"],
    *,
    mix: float = 0.5,
    temperature: float = 2.0,
) -> Float[Tensor, "*batch classes"]:
    """Targets that share the right answer with what the network said before the new classes came.

        t = (1 − a) e_y + a softmax(z_teacher/T)

    Args:
        teacher_logits: (*batch, classes), z_teacher, of the network as it was.
        target: (*batch), class indices.
        mix: a in [0, 1]; 0 is the one-hot target.
        temperature: T > 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> teacher_targets(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([2]))     # class 2 is new to the teacher
        tensor([[0.2881, 0.1060, 0.6060]])

    Reference: Hinton, Vinyals & Dean 2015, arXiv 1503.02531. Not in SGM's released code; an independent version has it.
    """
    check_floating("teacher_logits", teacher_logits)
    if teacher_logits.ndim == 0:
        raise bad_value("teacher_logits", teacher_logits, "shape (*batch, classes)")
    mix = check_number("mix", mix, at_least=0, at_most=1)
    temperature = check_number("temperature", temperature, above=0)
    if not isinstance(target, Tensor) or target.dtype != torch.int64:
        raise bad_type("target", target, "class indices (int64)")
    classes = teacher_logits.shape[-1]
    if target.shape != teacher_logits.shape[:-1] or bool(((target < 0) | (target >= classes)).any()):
        raise bad_value("target", target, f"one class from 0 to {classes - 1} for each row of teacher_logits")
    said = mix * torch.softmax(teacher_logits.detach() / temperature, -1)
    return said.scatter_add(-1, target[..., None], said.new_full((*target.shape, 1), 1 - mix))


def freeze(optimizer: torch.optim.Optimizer, masks: Mapping[nn.Parameter, Bool[Tensor, "..."]]) -> Callable[[], None]:
    """Keep parts of parameters bit for bit as they are, whatever the optimiser does: decay and momentum included.

    Before each step the gradient of the frozen part becomes 0, so that no momentum gathers; after it the values that
    were there before are put back.

    Args:
        optimizer: any torch optimiser.
        masks: parameter → booleans that broadcast to its shape; True stays. For the rows of old classes of an affine
            layer with weight (classes, units): `old[:, None]`.

    Returns:
        A function that thaws them.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> weight = nn.Parameter(torch.ones(2, 3))
        >>> optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.5)
        >>> thaw = freeze(optimizer, {weight: torch.tensor([[True], [False]])})
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight[0].tolist(), bool((weight[1] < 1).all())
        ([1.0, 1.0, 1.0], True)

    Reference: Harun & Kanan 2024, arXiv 2306.01904 (old output class freezing).
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise bad_type("optimizer", optimizer, "a torch optimiser")
    if not isinstance(masks, Mapping):
        raise bad_type("masks", masks, "a mapping from parameters to boolean tensors")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    frozen = []
    for parameter, mask in masks.items():
        if id(parameter) not in held:
            raise bad_value("masks", parameter, "parameters of the optimiser")
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            raise bad_type("masks", mask, "boolean tensors")
        try:
            frozen.append((parameter, mask.expand(parameter.shape)))
        except RuntimeError:
            raise bad_value("masks", mask, f"a shape that broadcasts to {tuple(parameter.shape)}") from None
    before: list[Tensor] = []

    def still(*_: Any) -> None:
        before.clear()
        for parameter, mask in frozen:
            before.append(parameter.detach()[mask])
            if parameter.grad is not None:
                parameter.grad.masked_fill_(mask, 0)

    def restore(*_: Any) -> None:
        with torch.no_grad():
            for (parameter, mask), kept in zip(frozen, before, strict=True):
                parameter[mask] = kept

    handles = (optimizer.register_step_pre_hook(still), optimizer.register_step_post_hook(restore))

    def thaw() -> None:
        for handle in handles:
            handle.remove()

    return thaw
