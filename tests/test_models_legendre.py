"""The learned link: convex potentials, positive Hessians, logistic regression as a special case."""

import itertools

import pytest
import torch
from torch.nn.functional import log_softmax, one_hot, softplus

from lossbook.losses import cross_entropy
from lossbook.models import ConvexNetwork, Ensemble, LegendreLink, LegendreTron


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(rows: int, inputs: int, seed: int = 1, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(rows, inputs, generator=seeded(seed), dtype=torch.float64)


def jacobians(function, u: torch.Tensor) -> torch.Tensor:
    """∂v_i/∂u_j of each row, (rows, outputs, inputs), row by row of the outputs."""
    u = u.clone().requires_grad_()
    outputs = function(u)
    rows = [torch.autograd.grad(outputs[:, i].sum(), u, retain_graph=True)[0] for i in range(outputs.shape[1])]
    return torch.stack(rows, 1)


def trained_a_little(model: LegendreTron, steps: int = 30) -> LegendreTron:
    """Away from where it began, so that no identity holds by the start alone."""
    classes = model.scores.out_features + 1
    x, y = points(64, model.scores.in_features, seed=9), torch.randint(classes, (64,), generator=seeded(8))
    model.normalise(x)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize(("hidden", "depth"), [(4, 4), (2, 1), (8, 2)])
@pytest.mark.parametrize("normalised", [False, True])
def test_the_gradient_that_is_carried_forward_is_autograds(hidden, depth, normalised):
    network = ConvexNetwork(3, hidden=hidden, depth=depth, generator=seeded())
    u = points(20, 3).requires_grad_()
    if normalised:
        with torch.no_grad():
            network.value_and_gradient(points(50, 3, seed=5), normalise=True)
    value, slope = network.value_and_gradient(u)
    (wanted,) = torch.autograd.grad(value.sum(), u)
    torch.testing.assert_close(slope, wanted, rtol=1e-12, atol=1e-13)


def test_the_network_is_the_published_one_written_out_layer_by_layer():
    network = ConvexNetwork(2, hidden=4, depth=3, generator=seeded(3))
    u = points(6, 2)
    z = softplus(u @ network.first.weight.T + network.first.bias)
    for carried, beside, anew, norm in zip(network.carried, network.beside, network.anew, network.norms, strict=True):
        inner = (z @ softplus(carried.weight).T + carried.bias) / 4 + u @ beside.weight.T + beside.bias
        inner = (inner + norm.shift) * (norm.log_scale.exp() + 1e-3)
        z = torch.cat([softplus(inner), softplus(u @ anew.weight.T + anew.bias)], 1)
    last = z @ softplus(network.last.weight).T / 4 + u @ network.last_beside.weight.T
    wanted = (last + network.last_norm.shift) * (network.last_norm.log_scale.exp() + 1e-3)
    torch.testing.assert_close(network(u), wanted[:, 0], rtol=1e-14, atol=1e-14)
    assert network.last.bias is None is network.last_beside.bias
    assert not network.last_norm.shift.requires_grad


@pytest.mark.parametrize("seed", range(3))
def test_the_potential_is_convex(seed):
    network = ConvexNetwork(3, generator=seeded(seed))
    a, b = points(500, 3, seed=10 + seed, scale=4.0), points(500, 3, seed=20 + seed, scale=4.0)
    room = (network(a) + network(b)) / 2 - network((a + b) / 2)
    assert float(room.min().detach()) > -1e-12


@pytest.mark.parametrize("seed", range(3))
def test_of_one_block_the_jacobian_is_symmetric_and_no_eigenvalue_is_below_softplus_of_w0(seed):
    link = trained_a_little(LegendreTron(5, 4, generator=seeded(seed))).link
    jacobian = jacobians(link, points(30, 3, scale=5.0))
    # a normalisation divides by the spread of its first batch, and its rounding with it: by up to a thousand here
    torch.testing.assert_close(jacobian, jacobian.mT, rtol=1e-8, atol=1e-8)
    least = float(softplus(link.round_weight[0].detach()))
    assert float(torch.linalg.eigvalsh(jacobian).min()) >= least - 1e-12
    network = link.networks[0]
    weights = [softplus(weight[0].detach()) for weight in (link.network_weight, link.round_weight)]

    def slope_of_the_value(u):
        return torch.autograd.grad(network(u).sum(), u, create_graph=True)[0]

    of_potential = jacobians(slope_of_the_value, points(30, 3, scale=5.0))
    torch.testing.assert_close(jacobian, weights[0] * of_potential + weights[1] * torch.eye(3), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_link_is_monotone_where_it_is_one_gradient_and_injective_always(blocks):
    link = LegendreLink(3, blocks=blocks, generator=seeded(4))
    u = points(60, 3)
    v = link(u).detach()
    pairs = torch.tensor(list(itertools.combinations(range(60), 2))).T
    moved, seen = u[pairs[0]] - u[pairs[1]], v[pairs[0]] - v[pairs[1]]
    if blocks == 1:
        least = float(softplus(link.round_weight[0].detach()))
        assert bool(((moved * seen).sum(1) >= least * moved.square().sum(1) - 1e-12).all())
    assert float(seen.norm(dim=1).min()) > 0


def test_two_blocks_have_a_product_of_positive_matrices_whose_eigenvalues_are_real_and_positive():
    link = LegendreLink(3, blocks=2, generator=seeded(5))
    with torch.no_grad():
        link.network_weight.fill_(5.0)  # so that the networks are seen beside the identity
    jacobian = jacobians(link, points(40, 3))
    eigenvalues = torch.linalg.eigvals(jacobian)
    assert float(eigenvalues.imag.abs().max()) < 1e-10
    assert float(eigenvalues.real.min()) > 0
    assert float((jacobian - jacobian.mT).abs().max()) > 1e-3  # and it is no gradient any more


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_loss_pulls_on_the_scores_by_the_transposed_jacobian(blocks):
    link = LegendreLink(3, blocks=blocks, generator=seeded(6))
    u, target = points(25, 3).requires_grad_(), torch.arange(25) % 4
    logits = torch.cat([link(u), torch.zeros(25, 1, dtype=torch.float64)], -1)
    (pull,) = torch.autograd.grad(cross_entropy(logits, target, reduction="sum"), u, retain_graph=True)
    jacobian = jacobians(link, u.detach())
    outer = (torch.softmax(logits, -1) - one_hot(target, 4))[:, :3]
    torch.testing.assert_close(pull, (jacobian.mT @ outer[..., None])[..., 0], rtol=1e-10, atol=1e-12)


def test_with_the_network_switched_off_it_is_multinomial_logistic_regression():
    model = LegendreTron(5, 4, generator=seeded(7))
    with torch.no_grad():
        model.link.network_weight.fill_(-1e9)
        model.link.round_weight.fill_(torch.log(torch.expm1(torch.ones(()).double())))  # softplus of it is 1
    x, target = points(30, 5), torch.arange(30) % 4
    scores = torch.cat([model.scores(x), torch.zeros(30, 1, dtype=torch.float64)], -1)
    torch.testing.assert_close(model(x), scores, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(cross_entropy(model(x), target), cross_entropy(scores, target), rtol=1e-14, atol=0)


def test_probabilities_sum_to_one_and_the_reference_class_has_score_zero():
    model = LegendreTron(5, 4, generator=seeded(7))
    v = model(points(30, 5))
    assert bool((v[:, -1] == 0).all())
    p = torch.softmax(v, -1)
    torch.testing.assert_close(p.sum(-1), torch.ones(30, dtype=torch.float64), rtol=1e-14, atol=0)
    # log p̃ as the published code forms it, the maximum guarded with the reference's 0
    top = v[:, :-1].amax(1, keepdim=True).clamp(min=0)
    by_parts = v - top - ((v[:, :-1] - top).exp().sum(1, keepdim=True) + (-top).exp()).log()
    torch.testing.assert_close(log_softmax(v, -1), by_parts, rtol=1e-13, atol=1e-14)


def test_without_that_guard_low_scores_overflow():
    v = torch.tensor([[-800.0, -900.0]], dtype=torch.float64)
    top = v.amax(1, keepdim=True)
    assert not bool(((v - top).exp().sum(1, keepdim=True) + (-top).exp()).log().isfinite())
    assert bool(cross_entropy(torch.cat([v, torch.zeros(1, 1)], 1), torch.tensor([2])).isfinite())


def test_of_two_classes_the_link_is_an_increasing_curve():
    link = trained_a_little(LegendreTron(2, 2, generator=seeded(2))).link
    v = link(torch.linspace(-20, 20, 2001, dtype=torch.float64)[:, None])[:, 0].detach()
    assert bool((v.diff() >= 0.02 * float(softplus(link.round_weight[0].detach())) * (1 - 1e-9)).all())


def test_normalising_gives_every_layer_mean_zero_and_deviation_one_over_the_first_batch():
    model = LegendreTron(5, 4, generator=seeded(3))
    x = points(200, 5)
    assert model.normalise(x) is model
    seen = []
    handles = [
        norm.register_forward_hook(lambda _, given, made: seen.append(made))
        for norm in (*model.link.networks[0].norms, model.link.networks[0].last_norm)
    ]
    model(x)
    for handle in handles:
        handle.remove()
    assert len(seen) == 7  # each hidden norm is read twice, the last once
    for values in seen:
        torch.testing.assert_close(values.mean(0), torch.zeros_like(values[0]), rtol=0, atol=2e-3)
        torch.testing.assert_close(values.std(0, correction=0), torch.ones_like(values[0]), rtol=0, atol=2e-2)


def test_it_is_in_float64_and_drawn_from_its_generator_alone():
    state = torch.get_rng_state()
    one, two = (LegendreTron(5, 3, generator=seeded(4)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert {parameter.dtype for parameter in one.parameters()} == {torch.float64}
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    single = LegendreTron(5, 3, generator=seeded(4), dtype=torch.float32)
    assert single(torch.ones(2, 5)).dtype == torch.float32


def test_many_train_as_one():
    models = [LegendreTron(5, 3, generator=seeded(k)) for k in range(3)]
    ensemble, x = Ensemble(models), points(7, 5)
    for k, model in enumerate(models):
        torch.testing.assert_close(ensemble(x)[:, k], model(x), rtol=1e-12, atol=1e-13)
