"""Gradient projections: nearest, without conflict, and the same for networks side by side as for each alone."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from lossbook.models import Ensemble, multilayer
from lossbook.training import Projection, a_gem_projection, gem_projection

DOUBLE = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def by_active_sets(gradient, references):
    """The nearest vector by trying every set of references that the answer may lean on."""
    best, found = np.inf, None
    for size in range(len(references) + 1):
        for chosen in itertools.combinations(range(len(references)), size):
            rows = references[list(chosen)]
            step = np.linalg.pinv(rows) @ (-rows @ gradient) if size else 0 * gradient
            away = np.linalg.norm(step)
            if (references @ (gradient + step) > -1e-9).all() and away < best:
                best, found = away, gradient + step
    return found


@pytest.mark.parametrize("seed", range(8))
def test_after_a_gem_nothing_conflicts_and_what_did_not_conflict_is_untouched(seed):
    gradient, reference = normal(40, 6, seed=seed), normal(40, 6, seed=100 + seed)
    found = a_gem_projection(gradient, reference)
    against = (gradient * reference).sum(-1) < 0
    assert against.any()
    assert not against.all()
    assert torch.equal(found[~against], gradient[~against])
    assert float((found * reference).sum(-1)[against].abs().max()) < 1e-14
    assert (found.norm(dim=-1) <= gradient.norm(dim=-1)).all()


@pytest.mark.parametrize("tasks", [1, 2, 3, 4])
def test_gem_is_the_nearest_vector_without_conflict(tasks):
    for seed in range(12):
        gradient, references = normal(7, seed=seed), normal(tasks, 7, seed=100 + seed)
        found = gem_projection(gradient, references)
        wanted = by_active_sets(gradient.numpy(), references.numpy())
        assert found.numpy() == pytest.approx(wanted, abs=1e-10)
        assert float((references @ found).min()) > -1e-12


def test_gem_with_a_margin_solves_the_published_program():
    gradient, references, margin = normal(7, seed=3), normal(3, 7, seed=104), 0.4
    assert (references @ gradient < 0).any()
    product, agreement = (references @ references.T).numpy(), (references @ gradient).numpy()
    program = minimize(
        lambda v: v @ product @ v / 2 + agreement @ v,
        np.ones(3),
        jac=lambda v: product @ v + agreement,
        bounds=[(margin, None)] * 3,
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    wanted = gradient.numpy() + program.x @ references.numpy()
    assert gem_projection(gradient, references, margin=margin).numpy() == pytest.approx(wanted, abs=1e-6)


def test_one_reference_or_the_same_one_thrice_is_a_gem():
    gradient, reference = normal(6, seed=1), normal(6, seed=5)
    assert float(gradient @ reference) < 0
    wanted = a_gem_projection(gradient, reference)
    for count in (1, 3):
        torch.testing.assert_close(gem_projection(gradient, reference.expand(count, 6)), wanted)


def test_no_conflict_leaves_the_gradient_whatever_the_margin():
    gradient = torch.tensor([1.0, 1.0])
    for margin in (0.0, 0.5):
        assert torch.equal(gem_projection(gradient, torch.eye(2), margin=margin), gradient)


def test_a_reference_of_zero_asks_for_nothing():
    gradient = torch.tensor([1.0, -1.0])
    assert torch.equal(a_gem_projection(gradient, torch.zeros(2)), gradient)
    both = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    assert gem_projection(gradient, both).tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


def test_networks_side_by_side_are_projected_one_by_one():
    gradient, references = normal(5, 9, seed=2), normal(5, 3, 9, seed=8)
    whole = gem_projection(gradient, references)
    alone = [gem_projection(g, r) for g, r in zip(gradient, references, strict=True)]
    torch.testing.assert_close(whole, torch.stack(alone))


def test_the_joint_gradient_conflicts_far_less_often_than_the_new_one():
    new, old = normal(4000, 5, seed=0), normal(4000, 5, seed=1)
    alone = float(((new * old).sum(-1) < 0).double().mean())
    joint = float((((new + old) / 2 * old).sum(-1) < 0).double().mean())
    # ⟨new + old, old⟩ < 0 asks for ⟨new, old⟩ < −‖old‖². Standard errors: 0.008 and 0.003.
    assert alone == pytest.approx(0.49, abs=0.03)
    assert joint == pytest.approx(0.04, abs=0.015)


def make(seed):
    return multilayer((3, 4, 2), generator=torch.Generator().manual_seed(seed)).double()


def losses(model, batch, **options):
    return [model(part, **options).square().mean(0).sum() for part in batch]


def step(model, batch, member_axes, rows):
    """Gradients of the first part, projected by the others."""
    options = {"own": True} if member_axes else {}
    (-losses(model, batch[:1], **options)[0]).backward()  # minus: it conflicts with much
    projection = Projection(lambda model, batch: losses(model, rows(batch), **options), member_axes=member_axes)
    projection(model, batch)
    return projection


def test_the_transform_projects_a_model_in_place_and_its_members_as_if_alone():
    batch = [normal(2, 6, 3, seed=seed) for seed in range(3)]
    ensemble = Ensemble([make(0), make(1)])
    together = step(ensemble, batch, 1, lambda batch: batch[1:])
    for k in range(2):
        model = make(k)
        alone = step(model, [part[k] for part in batch], 0, lambda batch: batch[1:])
        assert bool(alone.active) == bool(together.active[k])
        assert float(alone.agreement) == pytest.approx(float(together.agreement[k]), abs=1e-12)
        for mine, stacked in zip(model.parameters(), ensemble.parameters(), strict=True):
            wanted = stacked.grad[k].T if mine.ndim == 2 else stacked.grad[k, 0]
            torch.testing.assert_close(mine.grad, wanted, rtol=0, atol=1e-12)
    assert together.active.any()


def test_after_the_transform_a_small_step_does_not_raise_the_old_loss_to_first_order():
    model, batch = make(0), [normal(6, 3, seed=seed) for seed in range(2)]
    step(model, batch, 0, lambda batch: batch[1:])
    held = torch.autograd.grad(losses(model, batch[1:])[0], list(model.parameters()))
    product = sum((p.grad * g).sum() for p, g in zip(model.parameters(), held, strict=True))
    assert float(product) >= -1e-12


def test_without_references_the_gradient_stays():
    model, batch = make(0), [normal(6, 3)]
    losses(model, batch)[0].backward()
    before = [p.grad.clone() for p in model.parameters()]
    projection = Projection(lambda model, batch: [])
    projection(model, batch)
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True))
    assert not projection.active
    assert bool(projection.agreement.isnan())


G = torch.zeros(4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: a_gem_projection([0.0], G), TypeError, r"^gradient: got \[0.0\] \(list\)"),
        (lambda: a_gem_projection(G, G.long()), TypeError, "^reference: got an int64 tensor"),
        (lambda: a_gem_projection(G, G[:3]), ValueError, r"^reference: got .*the shape of gradient, \(4,\)"),
        (lambda: a_gem_projection(G[0], G[0]), ValueError, r"^gradient: got .*shape \(\), expected shape \(..., param"),
        (lambda: gem_projection(G, G), ValueError, "^references: got"),
        (lambda: gem_projection(G, torch.zeros(0, 4)), ValueError, "^references: got"),
        (lambda: gem_projection(G, torch.zeros(2, 3)), ValueError, "^references: got"),
        (lambda: gem_projection(G, torch.zeros(2, 4), margin=-1.0), ValueError, "^margin: got -1.0"),
        (lambda: Projection(3), TypeError, "^references: got 3"),
        (lambda: Projection(losses, member_axes=2), ValueError, "^member_axes: got '2'"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, words):
    with pytest.raises(error, match=words):
        call()
