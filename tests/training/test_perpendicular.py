"""⟂Grad: across the weights, as long as before, nothing where there is nothing, and any optimiser behind it."""

import copy
import math

import pytest
import torch

from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, multilayer
from lossbook.training import PerpGrad, perpendicular


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


@pytest.mark.parametrize("shape", [(2,), (7,), (3, 4), (2, 3, 4)])
def test_it_is_the_formula_number_by_number(shape):
    gradient, weight = drawn(*shape), drawn(*shape, seed=1)
    g, w = gradient.flatten().tolist(), weight.flatten().tolist()
    along = sum(a * b for a, b in zip(g, w, strict=True)) / sum(b * b for b in w)
    across = [a - along * b for a, b in zip(g, w, strict=True)]
    stretch = math.sqrt(sum(a * a for a in g)) / math.sqrt(sum(a * a for a in across))
    expected = torch.tensor([a * stretch for a in across], dtype=torch.float64).reshape(shape)
    torch.testing.assert_close(perpendicular(gradient, weight), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_it_is_across_the_weights_and_as_long_as_before(dtype):
    gradient, weight = drawn(50, 40, dtype=dtype), drawn(50, 40, seed=1, dtype=dtype)
    found = perpendicular(gradient, weight)
    assert found.dtype == dtype
    before, after, w = gradient.double(), found.double(), weight.double()
    tolerance = 4 * torch.finfo(dtype).eps  # of one rounding of each number
    assert abs(float((after * w).sum())) <= tolerance * float(after.norm() * w.norm())
    assert float(after.norm()) == pytest.approx(float(before.norm()), rel=tolerance)


@pytest.mark.parametrize("size", [1e-35, 1e-25, 1.0, 1e25])
def test_it_does_not_depend_on_the_size_of_gradient_or_weights(size):
    gradient, weight = drawn(30, dtype=torch.float32), drawn(30, seed=1, dtype=torch.float32)
    usual = perpendicular(gradient, weight)
    torch.testing.assert_close(perpendicular(gradient * size, weight) / size, usual, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(perpendicular(gradient, weight * min(size, 1e15)), usual, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [1.0, -3.0, 0.1, 1e-20])
def test_a_gradient_along_the_weights_leaves_nothing_and_not_rounding_blown_up(dtype, factor):
    weight = drawn(100, dtype=dtype)
    assert perpendicular(factor * weight, weight).abs().max() == 0
    assert perpendicular(torch.tensor([0.3]), torch.tensor([-2.0])).item() == 0


def test_no_gradient_stays_none_and_no_weights_leave_it_as_it_is():
    gradient = drawn(5)
    assert perpendicular(torch.zeros(5).double(), gradient).abs().max() == 0
    torch.testing.assert_close(perpendicular(gradient, torch.zeros(5).double()), gradient)
    assert perpendicular(torch.zeros(0), torch.zeros(0)).shape == (0,)


def test_members_are_projected_each_on_its_own():
    gradient, weight = drawn(3, 4, 5), drawn(3, 4, 5, seed=1)
    found = perpendicular(gradient, weight, member_axes=1)
    for k in range(3):
        torch.testing.assert_close(found[k], perpendicular(gradient[k], weight[k]), rtol=1e-13, atol=0)
    assert not torch.allclose(found, perpendicular(gradient, weight))


def test_under_gradient_descent_the_norm_grows_at_second_order_alone():
    weight = torch.nn.Parameter(drawn(6, 4))
    before = weight.detach().clone()
    optimizer = PerpGrad(torch.optim.SGD([weight], lr=0.1))
    (weight.sin() * drawn(6, 4, seed=2)).sum().backward()
    length = float(weight.grad.square().sum())
    optimizer.step()
    after = float(weight.detach().square().sum())
    assert after == pytest.approx(float(before.square().sum()) + 0.01 * length, rel=1e-13)


FEATURES, LABELS = drawn(30, 5, seed=3, dtype=torch.float32), torch.arange(30) % 3


def steps(model, optimizer, count: int = 5, project: bool = False) -> list[torch.Tensor]:
    for _ in range(count):
        optimizer.zero_grad()
        logits = model(FEATURES)
        target = LABELS if logits.ndim == 2 else LABELS[:, None].expand(-1, logits.shape[1])
        cross_entropy(logits, target, reduction="none").mean(0).sum().backward()
        if project:
            for p in model.parameters():
                p.grad = perpendicular(p.grad, p)
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


MAKERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}


@pytest.mark.parametrize("name", MAKERS)
def test_it_wraps_any_optimiser(name):
    one, other = (multilayer((5, 6, 3), generator=seeded(1)) for _ in range(2))
    wrapped = steps(one, PerpGrad(MAKERS[name](one.parameters())))
    by_hand = steps(other, MAKERS[name](other.parameters()), project=True)
    assert all(map(torch.equal, wrapped, by_hand))


def test_in_an_ensemble_each_member_goes_as_alone():
    models = [multilayer((5, 6, 3), generator=seeded(seed)) for seed in (1, 2)]
    ensemble = Ensemble(models)
    steps(ensemble, PerpGrad(torch.optim.SGD(ensemble.parameters(), lr=0.1), member_axes=1))
    for k, model in enumerate(models):
        alone = steps(model, PerpGrad(torch.optim.SGD(model.parameters(), lr=0.1)))
        for found, expected in zip(ensemble.member(k).parameters(), alone, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)  # products in another order


def test_a_closure_sees_turned_gradients_each_time():
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = PerpGrad(torch.optim.LBFGS([weight], lr=0.1, max_iter=3))
    lengths = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (weight[0] - 3) ** 2 + weight[1] ** 2
        loss.backward()
        lengths.append(float(weight.grad.norm()))
        return loss

    before = weight.detach().clone()
    optimizer.step(closure)
    assert len(lengths) > 1
    first = weight.detach() - before
    assert float(first.norm()) > 0


def test_schedules_and_states_see_through_it():
    model = multilayer((5, 6, 3), generator=seeded(1))
    inner = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer = PerpGrad(inner)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    steps(model, optimizer, 1)
    schedule.step()
    assert inner.param_groups[0]["lr"] == 0.05
    kept = copy.deepcopy(optimizer.state_dict())  # it shares its tensors with the optimiser
    other = multilayer((5, 6, 3), generator=seeded(1))
    other.load_state_dict(model.state_dict())
    resumed = PerpGrad(torch.optim.Adam(other.parameters(), lr=0.1))
    resumed.load_state_dict(kept)
    assert all(map(torch.equal, steps(model, optimizer), steps(other, resumed)))


def test_a_group_added_later_is_turned_as_well():
    first, second = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.tensor([2.0, 0.0]))
    optimizer = PerpGrad(torch.optim.SGD([first], lr=1.0))
    optimizer.add_param_group({"params": [second]})
    second.grad = torch.tensor([3.0, 4.0])
    optimizer.step()
    assert second.tolist() == [2.0, -5.0]
    assert first.tolist() == [1.0, 1.0]  # no gradient, no step


BAD = [
    (lambda: perpendicular(torch.ones(2), torch.ones(3)), ValueError, "gradient: got .* expected the shape of weight"),
    (lambda: perpendicular(torch.ones(2).long(), torch.ones(2)), TypeError, "gradient: got"),
    (lambda: perpendicular(torch.ones(2), [1.0, 2.0]), TypeError, "weight: got"),
    (lambda: perpendicular(torch.ones(2), torch.ones(2), member_axes=2), ValueError, "member_axes: got 2"),
    (lambda: perpendicular(torch.ones(2), torch.ones(2), member_axes=-1), ValueError, "member_axes: got -1"),
    (lambda: PerpGrad([torch.ones(2)]), TypeError, "optimizer: got .* expected a torch optimiser"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
