"""Many networks of one shape as one, and what their affine layers see."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from lossbook.checks import bad_type, bad_value
from lossbook.models._networks import Sine, quiet

ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.GELU, nn.Identity, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Dropout, Sine)


class Ensemble(nn.Module):
    """Networks of one shape, evaluated and trained as one: quicker than one after the other where they are small.

    Affine layers with element-wise activations between them become batched matrix products; every other architecture
    goes through torch.func.vmap. Parameters and buffers are stacked, members first. What a layer draws itself, as
    dropout does, differs from member to member. Large convolutions and wide layers gain nothing on a CPU: they are
    arithmetic already.

    Args:
        models: networks of one architecture, dtype and device. Their parameters and buffers are copied.

    `ensemble(x)` takes (batch, ...), the same for all, and gives (batch, members, ...); `ensemble(x, own=True)` takes
    (members, batch, ...), each member its own. The members stay independent: where the loss is a sum over members, and
    the optimiser works element by element as SGD and Adam do, each moves as if trained alone.

    Raises:
        TypeError, ValueError: no models, or models of different shapes; inputs of another number of members.

    Example:
        >>> from lossbook.models import linear
        >>> models = [linear(3, 2, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
        >>> ensemble, x = Ensemble(models), torch.ones(5, 3)
        >>> bool(torch.allclose(ensemble(x)[:, 1], models[1](x)))
        True
        >>> bool(torch.equal(ensemble.member(0).weight, models[0].weight))
        True
    """

    def __init__(self, models: Sequence[nn.Module]):
        super().__init__()
        models = list(models)
        for model in models:
            if not isinstance(model, nn.Module) or isinstance(model, Ensemble):
                raise bad_type("models", model, "networks")
        shapes = [_shape(model) for model in models]
        if not models or any(shape != shapes[0] for shape in shapes):
            raise bad_value("models", shapes, "networks of one shape")
        self.members = len(models)
        self._affine, self._alone = _is_affine(models[0]), isinstance(models[0], nn.Linear)
        self.layers: Any  # a Sequential of stacked layers, or the network as it was with stacked values
        if self._affine:
            layers = zip(*map(_layers, models), strict=True)
            self.layers = nn.Sequential(*map(_stack, layers)).train(models[0].training)
        else:
            states = zip(*(tensors.values() for tensors in map(_state, models)), strict=True)
            self.layers = _with_state(models[0], [torch.stack([one.detach() for one in state]) for state in states])
        self.training = self.layers.training

    def forward(self, inputs: Tensor, *, own: bool = False) -> Float[Tensor, "batch members ..."]:
        """The outputs of every member, for the same inputs or for its own."""
        return self._each(inputs, own, lambda network, call: call()).transpose(0, 1)

    def member(self, index: int) -> nn.Module:
        """One network alone, with a copy of its weights; negative numbers count from the end."""
        if not -self.members <= index < self.members:
            raise bad_value("index", index, f"a member of {self.members}")
        if not self._affine:
            return _with_state(self.layers, [tensor.detach()[index].clone() for tensor in _state(self.layers).values()])
        layers = [layer.member(index) if isinstance(layer, _Stacked) else copy.deepcopy(layer) for layer in self.layers]
        return layers[0] if self._alone else nn.Sequential(*layers).train(self.layers.training)

    def layer_inputs(self, inputs: Tensor, *, own: bool = False) -> list[Float[Tensor, "batch members ..."]]:
        """What each affine layer of each member sees: `lossbook.models.layer_inputs`."""
        return [seen.transpose(0, 1) for seen in self._each(inputs, own, _seen)]

    def _each(self, inputs: Tensor, own: bool, read: Callable[[nn.Module, Callable[[], Tensor]], Any]) -> Any:
        """What `read` makes of the evaluation of each member, members first."""
        if own and (inputs.dim() < 2 or inputs.shape[0] != self.members):
            raise bad_value("inputs", inputs, f"own inputs of {self.members} members: (members, batch, ...)")
        if self._affine:
            if inputs.dim() != 2 + own:
                raise bad_value("inputs", inputs, "(members, batch, inputs)" if own else "(batch, inputs)")
            values = inputs if own else inputs.expand(self.members, -1, -1)
            return read(self.layers, partial(self.layers, values))

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], values: Tensor) -> Any:
            return read(self.layers, partial(functional_call, self.layers, (parameters, buffers), values))

        parameters, buffers = dict(self.layers.named_parameters()), dict(self.layers.named_buffers())
        each = torch.vmap(one, in_dims=(0, 0, 0 if own else None), randomness="different")
        return each(parameters, buffers, inputs)


class _Stacked(nn.Module):
    """The same affine layer of every member: weight (members, inputs, outputs)."""

    def __init__(self, layers: Sequence[nn.Linear]):
        super().__init__()
        learned = layers[0].weight.requires_grad
        weight = torch.stack([layer.weight.detach().T for layer in layers]).contiguous()
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.weight = nn.Parameter(weight, requires_grad=learned)
        self.bias = nn.Parameter(torch.stack(biases)[:, None], requires_grad=learned) if biases else None

    def forward(self, values: Tensor) -> Tensor:
        return torch.bmm(values, self.weight) if self.bias is None else torch.baddbmm(self.bias, values, self.weight)

    def member(self, index: int) -> nn.Linear:
        """The layer of one member, a copy."""
        weight = self.weight.detach()[index].T
        outputs, inputs = weight.shape
        layer = quiet(nn.Linear, inputs, outputs, bias=self.bias is not None).to(weight)
        layer.requires_grad_(self.weight.requires_grad)
        with torch.no_grad():
            layer.weight.copy_(weight)
            if self.bias is not None:
                layer.bias.copy_(self.bias[index, 0])
        return layer


def layer_inputs(model: nn.Module, inputs: Tensor, *, own: bool = False) -> list[Float[Tensor, "batch ... units"]]:
    """What each affine layer of a network sees: the inputs, then the activations of each hidden layer.

    Args:
        model: any network with affine layers, or an Ensemble.
        inputs: what the network takes.
        own: whether the inputs of an Ensemble have its members first.

    Returns:
        One tensor for each affine layer, in the order of evaluation: (batch, units), (batch, members, units) of an
        Ensemble. Gradients flow through them.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.models import multilayer
        >>> model = multilayer((4, 8, 8, 3), generator=torch.Generator().manual_seed(0))
        >>> [seen.shape[-1] for seen in layer_inputs(model, torch.ones(1, 4))]
        [4, 8, 8]
    """
    if not isinstance(model, nn.Module) or not _affine_layers(model):
        raise bad_type("model", model, "a network with affine layers")
    if isinstance(model, Ensemble):
        return model.layer_inputs(inputs, own=own)
    if own:
        raise bad_value("own", own, "False: only an Ensemble has members with inputs of their own")
    return _seen(model, partial(model, inputs))


def features(model: nn.Module, inputs: Tensor, *, own: bool = False) -> Float[Tensor, "batch ... units"]:
    """What the last affine layer of a network sees: the features that it separates.

    Args:
        model: any network with affine layers, or an Ensemble.
        inputs: what the network takes.
        own: whether the inputs of an Ensemble have its members first.

    Returns:
        (batch, units); (batch, members, units) of an Ensemble.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.models import multilayer
        >>> model, x = multilayer((4, 8, 3), generator=torch.Generator().manual_seed(0)), torch.ones(1, 4)
        >>> bool(torch.equal(model[-1](features(model, x)), model(x)))
        True
    """
    return layer_inputs(model, inputs, own=own)[-1]


def _seen(network: nn.Module, call: Callable[[], Tensor]) -> list[Tensor]:
    """What the affine layers of a network are given while it is called."""
    seen: list[Tensor] = []
    handles = [
        layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        for layer in _affine_layers(network)
    ]
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _affine_layers(model: nn.Module) -> list[nn.Module]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear | _Stacked)]


def _stack(layers: tuple[nn.Module, ...]) -> nn.Module:
    affine = [layer for layer in layers if isinstance(layer, nn.Linear)]
    return _Stacked(affine) if affine else copy.deepcopy(layers[0])


def _layers(model: nn.Module) -> list[nn.Module]:
    return [*model] if isinstance(model, nn.Sequential) else [model]  # children() would leave out a repeated layer


def _is_affine(model: nn.Module) -> bool:
    """Whether batched matrix products serve; a subclass may do something else, so the types are compared."""
    if type(model) is nn.Linear:
        return True
    kinds = {type(layer) for layer in model.children() if not _is_plain_norm(layer)}
    return type(model) is nn.Sequential and nn.Linear in kinds and kinds <= {nn.Linear, *ELEMENTWISE}


def _is_plain_norm(layer: nn.Module) -> bool:
    """Whether a layer normalises the units of each example, and has nothing to learn."""
    return type(layer) is nn.LayerNorm and not layer.elementwise_affine and len(layer.normalized_shape) == 1


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _with_state(model: nn.Module, tensors: Sequence[Tensor]) -> nn.Module:
    """A copy of a network with other values, of any shape, in its parameters and buffers."""
    model = copy.deepcopy(model)
    for place, tensor in zip(_state(model).values(), tensors, strict=True):
        place.data = tensor
    return model


def _shape(model: nn.Module) -> tuple[object, ...]:
    """What two networks have in common if one can stand in for the other."""
    state = _state(model).items()
    return repr(model), *((name, tuple(tensor.shape), tensor.dtype, tensor.device) for name, tensor in state)
