"""`LinearLogits`: logits that stand for a product and are never held whole."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook import kernels
from lossbook.capping import softcap
from lossbook.checks import (
    bad_type,
    bad_value,
    check_choice,
    check_floating,
    check_number,
    check_same_device,
)


@dataclass(frozen=True, eq=False)
class LinearLogits:
    """Logits that stand for features @ weight.T + bias and are never held whole.

    Args:
        features: (*batch, dimension), floating point.
        weight: (classes, dimension), the classifier; for contrastive losses, the other side's embeddings. A DTensor
            sharded by classes brings its group along.
        bias: (classes,), or None.
        memory_budget: bytes that one chunk of logits may take, 64 MiB by default.
        softcap: c > 0: each logit z becomes c tanh(z/c). None: no cap.
        shift: position t of a sequence (the last axis of the batch) is scored against the target at t + shift, and the
            last `shift` positions do not count: 1 for a language model.
        engine: "chunked" forms all classes for some rows at a time (three matrix products with gradients), "tile" some
            classes for some rows (the least memory, four products), "gram" none at all, for losses of the target's
            score, Σz and Σz² alone. "auto" chooses.
        gradient_filter: blocks of p − e_y in which every entry stays below this are passed over in the gradient:
            faster, not exact. Only with the tile engine and for functions of the target's log-probability. None: exact.
        group: a torch.distributed process group over which the logits are spread; None: this process has all.
        sharded: with a group, "classes" (weight and bias are this process's slice of the classes, features are every
            process's) or "both" (features and weight are this process's; targets count over all processes' classes).

    Every loss on row statistics takes it in place of a logits tensor and gives the same value and gradients. Under
    autocast the products are taken in autocast's dtype, as torch.nn.Linear takes them.

    Raises:
        TypeError: a tensor that is not floating point, or dtypes that differ.
        ValueError: shapes that do not fit, tensors on different devices, options that are out of range.

    Example:
        >>> from lossbook.losses import cross_entropy
        >>> features, weight = torch.eye(2, dtype=torch.float64), torch.tensor([[1.0, 0], [0, 2], [0, 0]]).double()
        >>> target = torch.tensor([0, 1])
        >>> held = cross_entropy(features @ weight.T, target)
        >>> bool(torch.isclose(cross_entropy(LinearLogits(features, weight), target), held, rtol=1e-15))
        True
    """

    features: Float[Tensor, "*batch dimension"]
    weight: Float[Tensor, "classes dimension"]
    bias: Float[Tensor, " classes"] | None = None
    memory_budget: int = field(default=64 * 2**20, kw_only=True)
    softcap: float | None = field(default=None, kw_only=True)
    shift: int = field(default=0, kw_only=True)
    engine: Literal["auto", "chunked", "tile", "gram"] = field(default="auto", kw_only=True)
    gradient_filter: float | None = field(default=None, kw_only=True)
    group: Any = field(default=None, kw_only=True)
    sharded: Literal["classes", "both"] = field(default="classes", kw_only=True)

    def __post_init__(self) -> None:
        self._take_local_part()
        features = check_floating("features", self.features)
        weight, bias = check_floating("weight", self.weight), self.bias
        if features.ndim < 1:
            raise bad_value("features", features, "shape (*batch, dimension)")
        if weight.ndim != 2 or weight.shape[1] != features.shape[-1] or weight.shape[0] < 1:
            raise bad_value("weight", weight, f"shape (classes, {features.shape[-1]}) with at least one class")
        if bias is not None and check_floating("bias", bias).shape != weight.shape[:1]:
            raise bad_value("bias", bias, f"shape ({weight.shape[0]},)")
        for name, tensor in (("weight", weight), ("bias", bias)):
            if tensor is not None:
                check_same_device(name, tensor, "features", features)
                if tensor.dtype != features.dtype and not torch.is_autocast_enabled(features.device.type):
                    raise bad_type(name, tensor, f"the dtype of features, {features.dtype}")
        self._check_options()

    def _take_local_part(self) -> None:
        """Of a DTensor sharded by classes this process has a slice, and the group is its mesh's."""
        if not isinstance(self.weight, Tensor) or type(self.weight) in (Tensor, torch.nn.Parameter):
            return
        weight, group = kernels.local_part(self.weight, self.group)
        if group is not self.group:
            bias = self.bias if self.bias is None else kernels.local_part(self.bias, argument="bias")[0]
            for name, value in (("weight", weight), ("bias", bias), ("group", group)):
                object.__setattr__(self, name, value)

    def _check_options(self) -> None:
        for name, least in (("memory_budget", 1), ("shift", 0)):
            number = getattr(self, name)
            expected = "a whole number of bytes > 0" if least else "a whole number of positions >= 0"
            if isinstance(number, bool) or not isinstance(number, int):
                raise bad_type(name, number, expected)
            if number < least:
                raise bad_value(name, number, expected)
        if self.softcap is not None:
            check_number("softcap", self.softcap, above=0)
        check_choice("engine", self.engine, ("auto", *kernels.LINEAR_ENGINES))
        check_choice("sharded", self.sharded, ("classes", "both"))
        if self.gradient_filter is not None:
            check_number("gradient_filter", self.gradient_filter, at_least=0)
            if self.engine != "tile":
                raise bad_value("gradient_filter", self.gradient_filter, 'None, or engine="tile": no other can filter')
        if self.shift and self.features.ndim < 2:
            raise bad_value("shift", self.shift, "0, or features of shape (*batch, positions, dimension)")
        if self.group is not None and self.engine in ("tile", "gram"):
            raise bad_value("engine", self.engine, '"auto" or "chunked" for logits spread over processes')

    @property
    def shape(self) -> torch.Size:
        """(*batch, classes): all classes, of all processes."""
        return torch.Size((*self.features.shape[:-1], kernels.total_classes(self)))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of features, weight and bias; under autocast that of its products."""
        device = self.features.device.type
        if self.features.dtype == torch.float64 or not torch.is_autocast_enabled(device):
            return self.features.dtype
        return torch.get_autocast_dtype(device)

    @property
    def device(self) -> torch.device:
        """The device of features, weight and bias."""
        return self.features.device

    def materialize(self) -> Float[Tensor, "*batch classes"]:
        """The logits themselves, capped, for a look or a comparison; of this process's classes."""
        logits = self.features @ self.weight.T
        logits = logits if self.bias is None else logits + self.bias
        return logits if self.softcap is None else softcap(logits, self.softcap)
