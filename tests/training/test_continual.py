"""Memory and penalties: what is drawn, what is held fast, and by how much."""

import pytest
import torch

from lossbook.models import Ensemble, linear, multilayer
from lossbook.training import ElasticWeights, ReplayBatches, SynapticIntelligence, fisher_diagonal, train

DOUBLE = torch.float64


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + k) for k in range(count)]


def tasks(count, members=None, size=12):
    """Examples whose first feature is their place, and labels that are their task."""
    places = torch.arange(size).float()[:, None].expand(size, 3)
    made = [(places + 100 * k, torch.full((size,), k)) for k in range(count)]
    return made if members is None else [(f.expand(members, -1, -1), y.expand(members, -1)) for f, y in made]


def test_a_batch_shares_the_memory_out_equally_and_sees_each_example_once_an_epoch():
    made = tasks(3)
    batches = ReplayBatches(made[2], made[:2], 4, generators(3))
    seen = [batches() for _ in range(3)]
    assert [batch.labels.tolist() for batch in seen] == [[2] * 4] * 3
    assert sorted(torch.cat([batch.features[:, 0] for batch in seen]).tolist()) == [200.0 + k for k in range(12)]
    for batch in seen:
        assert [labels.tolist() for _, labels in batch.old] == [[0, 0], [1, 1]]


def test_members_have_orders_of_their_own():
    made = tasks(2, members=4)
    batch = ReplayBatches(made[1], made[:1], 6, [generators(4), generators(4, 9)])()
    assert batch.features.shape == (4, 6, 3)
    assert len({tuple(row.tolist()) for row in batch.features[..., 0]}) == 4
    assert batch.old[0][1].unique().tolist() == [0]


def test_batches_go_on_from_where_they_stood():
    made = tasks(3)
    batches = ReplayBatches(made[2], made[:2], 5, generators(3))
    for _ in range(4):
        batches()
    state = batches.state_dict()
    following = [batches() for _ in range(4)]
    other = ReplayBatches(made[2], made[:2], 5, generators(3, seed=50))
    other.load_state_dict(state)
    for batch in following:
        found = other()
        assert torch.equal(found.features, batch.features)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(found.old, batch.old, strict=True))


def test_the_first_task_has_no_memory():
    batches = ReplayBatches(tasks(1)[0], [], 4, generators(1))
    assert batches().old == ()


def by_loops(model, features, answers):
    """The Fisher diagonal, an example and a class at a time."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for example in features:
        log_p = torch.log_softmax(model(example[None])[0, answers], -1)
        for one in log_p:
            found = torch.autograd.grad(one, list(model.parameters()), retain_graph=True)
            for name, gradient in zip(total, found, strict=True):
                total[name] += one.exp().detach() * gradient.square()
    return {name: value / len(features) for name, value in total.items()}


@pytest.mark.parametrize("answers", [None, (1, 2)])
@pytest.mark.parametrize("chunk", [2, 50])
def test_the_fisher_diagonal_is_the_mean_square_of_the_score(answers, chunk):
    model = multilayer((3, 5, 4), generator=torch.Generator().manual_seed(0)).double()
    features = torch.randn(7, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    found = fisher_diagonal(model, features, answers=answers, chunk=chunk)
    wanted = by_loops(model, features, list(answers or range(4)))
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-14)


def test_the_fisher_diagonal_of_softmax_regression_is_its_closed_form():
    model = linear(3, 4, generator=torch.Generator().manual_seed(0)).double()
    features = torch.randn(9, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    p = model(features).softmax(-1).detach()
    wanted = (p * (1 - p)).T @ features.square() / 9  # mean of p_c (1 − p_c) x_j²
    torch.testing.assert_close(fisher_diagonal(model, features)["weight"], wanted)


def test_the_fisher_diagonal_of_members_is_that_of_each():
    models = [multilayer((3, 5, 4), generator=torch.Generator().manual_seed(k)).double() for k in range(3)]
    features = torch.randn(3, 6, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    together = fisher_diagonal(Ensemble(models), features, own=True, chunk=4)
    for k, model in enumerate(models):
        alone = fisher_diagonal(model, features[k])
        torch.testing.assert_close(together["layers.0.weight"][k].T, alone["0.weight"])
        torch.testing.assert_close(together["layers.2.bias"][k, 0], alone["2.bias"])


def test_elastic_weights_are_the_sum_of_a_parabola_a_task():
    model = linear(2, 1, bias=False, generator=torch.Generator().manual_seed(0))
    held = ElasticWeights(4.0)
    assert held.penalty(model).item() == 0
    anchors, importances = [], []
    for k in range(2):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[1.0 * k, 2.0]]))
        anchors.append(model.weight.detach().clone())
        importances.append(torch.tensor([[1.0, 0.5 + k]]))
        held.consolidate(model, {"weight": importances[-1]})
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.25, -1.0]]))
    wanted = sum(2 * (f * (model.weight - a) ** 2).sum() for f, a in zip(importances, anchors, strict=True))
    assert held.penalty(model).item() == pytest.approx(wanted.item())
    (slope,) = torch.autograd.grad(held.penalty(model), model.weight)
    by_hand = sum(4 * f * (model.weight - a) for f, a in zip(importances, anchors, strict=True))
    torch.testing.assert_close(slope, by_hand)


def quadratic(curvature):
    return lambda model, batch: (curvature * model.weight**2).sum() / 2


def run_task(model, held, objective, steps=2000, rate=1e-3):
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    train(model, lambda m, b: objective(m, b) + held.penalty(m), lambda: None, optimizer, steps=steps, transform=held)
    held.consolidate(model)


def test_with_small_steps_the_path_adds_up_to_the_loss_that_each_weight_took_off():
    curvature = torch.tensor([[1.0, 4.0]], dtype=DOUBLE)
    model = linear(2, 1, bias=False, generator=torch.Generator().manual_seed(0)).double()
    before = model.weight.detach().clone()
    held = SynapticIntelligence(0.5, damping=0.1)
    run_task(model, held, quadratic(curvature))
    after = model.weight.detach()
    fall = curvature * (before**2 - after**2) / 2  # of the loss, coordinate by coordinate
    wanted = fall / ((after - before) ** 2 + 0.1)
    # ω is a left Riemann sum with steps of at most 0.4 % of the way: its error is half of that.
    torch.testing.assert_close(held.importance["weight"], wanted, rtol=4e-3, atol=0)


def test_the_penalty_of_si_pulls_to_where_the_task_ended_and_its_gradient_is_not_counted():
    curvature = torch.tensor([[1.0, 4.0]], dtype=DOUBLE)
    model = linear(2, 1, bias=False, generator=torch.Generator().manual_seed(0)).double()
    held = SynapticIntelligence(0.5)
    run_task(model, held, quadratic(curvature))
    anchor, first = model.weight.detach().clone(), held.importance["weight"].clone()
    assert held.penalty(model).item() == 0
    with torch.no_grad():
        model.weight += 0.3
    assert held.penalty(model).item() == pytest.approx(0.5 * float((first * 0.3**2).sum()))
    run_task(model, held, lambda model, batch: 0 * model.weight.sum(), steps=200)  # a task that asks for nothing
    torch.testing.assert_close(held.importance["weight"], first)
    assert float((model.weight.detach() - anchor).abs().max()) < 0.3


def test_importance_is_never_negative():
    model = linear(2, 1, bias=False, generator=torch.Generator().manual_seed(0))
    held = SynapticIntelligence(1.0)
    for _ in range(3):
        model.weight.grad = torch.ones_like(model.weight)
        held(model, None)
        with torch.no_grad():
            model.weight += 0.1  # uphill: the loss rises along the path
    held.consolidate(model)
    assert held.importance["weight"].tolist() == [[0.0, 0.0]]


LINE = linear(2, 1, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ReplayBatches(tasks(1)[0], [], 0, generators(1)), ValueError, "^size: got 0"),
        (lambda: ReplayBatches(tasks(1)[0], tasks(2), 4, generators(1)), ValueError, "^generators: got 1, expected 3"),
        (lambda: fisher_diagonal("model", torch.zeros(1, 2)), TypeError, "^model: got 'model'"),
        (lambda: fisher_diagonal(LINE, torch.zeros(0, 2)), ValueError, "^features: got .*at least one example"),
        (lambda: fisher_diagonal(LINE, torch.zeros(1, 2), chunk=0), ValueError, "^chunk: got 0"),
        (lambda: ElasticWeights(-1.0), ValueError, "^strength: got -1.0"),
        (
            lambda: ElasticWeights(1.0).consolidate(LINE, {}),
            ValueError,
            r"^importance: got \[\], expected a tensor",
        ),
        (lambda: SynapticIntelligence(-1.0), ValueError, "^strength: got -1.0"),
        (lambda: SynapticIntelligence(1.0, damping=0.0), ValueError, "^damping: got 0.0"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, words):
    with pytest.raises(error, match=words):
        call()
