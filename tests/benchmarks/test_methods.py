"""A method is timed only when it does the same work: what is checked, against what, and what is refused."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from lossbook.benchmarks import Configuration, configurations, run, runner
from lossbook.benchmarks.accuracy import Refused, errors, truth
from lossbook.benchmarks.configurations import CPU, CUDA, KINDS, QUICK, QUICK_CUDA, inputs, narrow
from lossbook.benchmarks.formulas import LOSSES, losses_of
from lossbook.benchmarks.methods import METHODS, Case, Method
from lossbook.benchmarks.peers import PEERS
from lossbook.benchmarks.runner import ALL_METHODS

SLOW = ("torch.compile", "square product")
SHAPES = {"rows": (24, 61, 0), "linear": (24, 61, 7), "pairs": (24, 24, 7)}
TINY = {
    kind: Configuration(kind, *shape, "float32", losses=losses_of(kind), without=SLOW, seconds=0, least=1)
    for kind, shape in SHAPES.items()
}
CPU_DEVICE = torch.device("cpu")


def measured(configuration, methods=METHODS):
    return run([configuration], methods=methods)


def linear_peer(name, loss, **options):
    """A peer that computes `loss(logits, target)` on the whole matrix."""

    def build(case):
        return lambda features, weight: loss(features @ weight.T, case.target)

    return Method(name, "linear", build, losses=("cross_entropy",), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_computes_every_loss_that_it_is_measured_on(kind):
    table = measured(TINY[kind])
    timed = table[table["status"] == "ok"]
    assert set(table["status"]) == {"ok"}, table.loc[table["status"] != "ok", ["loss", "method", "status"]]
    assert set(timed["loss"]) - {""} == set(losses_of(kind))
    here = [m for m in METHODS if m.kind == kind and not m.halves and m.device == "any"]
    assert set(timed["method"]) == {m.name for m in here if not m.name.startswith(SLOW)}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_the_book_passes_its_own_check_in_every_number_format(dtype):
    kept = [m for m in METHODS if m.ours or m.eager]
    for kind, shape in SHAPES.items():
        options = {"losses": losses_of(kind), "without": SLOW, "seconds": 0, "least": 1}
        table = measured(Configuration(kind, *shape, dtype, "random", **options), kept)
        assert set(table["status"]) == {"ok"}, table.loc[table["status"] != "ok", ["loss", "method", "status"]]


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("sum for mean", lambda z, y: F.cross_entropy(z, y, reduction="sum")),
        ("a little smoothing", lambda z, y: F.cross_entropy(z, y, label_smoothing=1e-3)),
        ("one class short", lambda z, y: F.cross_entropy(z[:, :-1], y.clamp(max=z.shape[1] - 2))),
        ("half precision inside", lambda z, y: F.cross_entropy(z.bfloat16(), y).float()),
        ("right value, wrong gradient", lambda z, y: F.cross_entropy(z, y).detach() + 0 * z.sum()),
        ("gradient not a number", lambda z, y: F.cross_entropy(z, y) + (z - z).abs().sqrt().sum()),
        ("a value a row", lambda z, y: F.cross_entropy(z, y, reduction="none")),
    ],
)
def test_a_peer_that_does_other_work_is_refused_and_never_timed(name, loss):
    peers = (linear_peer("honest", F.cross_entropy), linear_peer(name, loss))
    few = Configuration("linear", 24, 61, 7, "float32", seconds=0, least=1)
    table = measured(few, peers).set_index("method")
    assert set(table.loc[["honest"], "status"]) == {"ok"}
    assert table.loc[name, "status"].startswith("refused: ")
    assert table.loc[name, "turns"] == 0


def test_a_wrong_value_under_no_grad_alone_is_found():
    def loss(z, y):
        return F.cross_entropy(z, y) * (1.0 if torch.is_grad_enabled() else 1.01)

    few = Configuration("linear", 24, 61, 7, "float32", seconds=0, least=1)
    table = measured(few, (linear_peer("lazy", loss),))
    assert table["status"].iloc[0].startswith("refused: loss off by 1.0e-02")


def test_small_gradients_may_be_skipped_only_by_a_method_that_says_so():
    def loss(z, y):
        slope = (F.softmax(z, -1) - F.one_hot(y, z.shape[1])).detach()
        return F.cross_entropy(torch.where(slope.abs() < 0.01, z.detach(), z), y)

    few = Configuration("linear", 64, 61, 7, "float32", seconds=0, least=1)
    peers = (linear_peer("filtered", loss, approximate=True), linear_peer("silently filtered", loss))
    status = measured(few, peers).drop_duplicates("method").set_index("method")["status"]
    assert status["filtered"] == "ok"
    assert status["silently filtered"].startswith("refused: gradient")


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (ValueError("no such shape\nmore"), "failed: ValueError: no such shape"),
        (torch.OutOfMemoryError("9 GiB"), "failed: OutOfMemoryError: 9 GiB"),
        (RuntimeError(), "failed: RuntimeError: no message"),
    ],
)
def test_a_method_that_fails_is_a_row_with_its_words_and_the_others_go_on(raised, status):
    def loss(z, y):
        raise raised

    few = Configuration("linear", 24, 61, 7, "float32", seconds=0, least=1)
    table = measured(few, (linear_peer("broken", loss), linear_peer("honest", F.cross_entropy)))
    assert list(table["status"]) == [status, "ok", "ok"]


class Careless(torch.autograd.Function):
    """Cross-entropy that writes the gradient over the logits, as some kernels do, unseen by autograd."""

    @staticmethod
    def forward(ctx, logits, target):
        with torch.enable_grad():
            leaf = logits.detach().clone().requires_grad_()
            value = F.cross_entropy(leaf, target)
            (ctx.gradient,) = torch.autograd.grad(value, leaf)
        logits.data.copy_(ctx.gradient)
        return value.detach()

    @staticmethod
    def backward(ctx, upstream):
        return ctx.gradient * upstream, None


def test_a_method_that_fails_in_its_turn_is_a_row_too():
    calls = []

    def loss(z, y):
        calls.append(None)
        if len(calls) == 4:  # after its check and its memory
            raise torch.OutOfMemoryError("9 GiB")
        return F.cross_entropy(z, y)

    few = Configuration("linear", 24, 61, 7, "float32", measures=("both",), seconds=0, least=2)
    table = measured(few, (linear_peer("tired", loss), linear_peer("honest", F.cross_entropy)))
    assert list(table["status"]) == ["failed: OutOfMemoryError: 9 GiB", "ok"]
    assert list(table["turns"]) == [0, 2]


def test_inputs_without_room_end_their_configuration_and_no_other(monkeypatch):
    real = runner.inputs

    def inputs_of(configuration, device):
        if configuration.rows == 99:
            raise torch.OutOfMemoryError("9 GiB")
        return real(configuration, device)

    monkeypatch.setattr(runner, "inputs", inputs_of)
    both = [Configuration("linear", rows, 61, 7, "float32", seconds=0, least=1) for rows in (99, 24)]
    lines = []
    table = run(both, methods=(linear_peer("honest", F.cross_entropy),), say=lines.append)
    assert lines[1] == "  failed: OutOfMemoryError: 9 GiB"
    assert set(table["rows"]) == {24}


@pytest.mark.parametrize("declared", [True, False])
def test_a_method_that_overwrites_its_input_finds_it_restored_at_every_turn(declared):
    seen = []

    def build(compute):
        def loss_of(case):
            def loss(logits):
                seen.append(float(logits.detach().double().sum()))
                return compute(logits, case.target)

            return loss

        return loss_of

    few = Configuration("rows", 24, 61, 0, "float32", measures=("both",), seconds=0, least=3)
    careless = Method("careless", "rows", build(Careless.apply), overwrites=declared)
    measured(few, (careless, Method("the next", "rows", build(F.cross_entropy))))
    assert (len(set(seen)) == 1) == declared  # and so do those after it


def test_the_truth_is_the_formula_on_all_rows_at_once():
    for configuration in TINY.values():
        given = inputs(configuration)
        wide = tuple(t.detach().double().requires_grad_() for t in given.tensors)
        for loss in configuration.losses[:2]:
            found = truth(configuration, given, loss)
            logits = wide[0] if configuration.kind == "rows" else None
            if configuration.kind == "linear":
                logits = wide[0] @ wide[1].T
            formula = LOSSES[loss].formula
            value = formula(*wide) if logits is None else formula(logits, given.target).mean()
            assert torch.isclose(found.loss, value, rtol=1e-12)
            expected = torch.autograd.grad(value, wide, allow_unused=True)
            for own, right in zip(found.gradients, expected, strict=True):
                assert torch.allclose(own, torch.zeros_like(own) if right is None else right, rtol=1e-10, atol=1e-14)


def test_the_truth_is_taken_some_rows_at_a_time(monkeypatch):
    from lossbook.benchmarks import accuracy

    given, whole = inputs(TINY["linear"]), truth(TINY["linear"], inputs(TINY["linear"]), "z_loss")
    monkeypatch.setattr(accuracy, "CHUNK_BYTES", 8 * 61 * 5)  # five rows, and four at the end
    parts = truth(TINY["linear"], given, "z_loss")
    assert torch.isclose(parts.loss, whole.loss, rtol=1e-12)
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(parts.gradients, whole.gradients, strict=True))


def test_errors_are_relative_distances_to_the_truth():
    configuration = Configuration("linear", 24, 61, 7, "float64")
    given = inputs(configuration)
    true = truth(configuration, given, "cross_entropy")

    def off(features, weight):
        value = F.cross_entropy(features @ weight.T, given.target)
        return value + 0.1 * (value - value.detach())  # gradients 10 % too long, value right

    found = errors(off, given, true)
    assert found.loss < 1e-14
    assert found.rms == pytest.approx((0.1, 0.1), rel=1e-9)
    assert found.largest == pytest.approx((0.1, 0.1), rel=1e-9)
    with pytest.raises(Refused, match=r"gave shape \(24,\), expected one number"):
        errors(lambda x, w: F.cross_entropy(x @ w.T, given.target, reduction="none"), given, true)


def test_trained_like_scores_favour_the_right_class_and_random_ones_do_not():
    for kind in ("rows", "linear"):
        for scores, spread in (("trained", 4.0), ("random", 1.0)):
            made = inputs(Configuration(kind, 256, 500, 64 if kind == "linear" else 0, "float32", scores))
            tensors = [tensor.detach() for tensor in made.tensors]
            logits = tensors[0] if kind == "rows" else tensors[0] @ tensors[1].T
            right = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, made.target[:, None], True)
            assert float(logits[~right].std()) == pytest.approx(spread, rel=0.1)
            ahead = float(logits[right].mean() - logits[~right].mean())
            assert ahead == pytest.approx(14 if scores == "trained" else 0, abs=1.5)


def test_the_same_seed_gives_the_same_tensors_and_fewer_rows_are_the_first_ones():
    for configuration in TINY.values():
        first, again = inputs(configuration), inputs(configuration)
        assert all(torch.equal(a, b) for a, b in zip(first.tensors, again.tensors, strict=True))
        few = narrow(configuration, first, 5)
        assert len(few.target) == 5
        assert torch.equal(few.tensors[0], first.tensors[0][:5])
        assert all(tensor.requires_grad and tensor.is_leaf for tensor in few.tensors)
        assert narrow(configuration, first, 0) is first


def test_the_sets_cover_the_configurations_that_the_book_promises():
    shapes = {(c.rows, c.dimension, c.classes) for c in CUDA if c.kind == "linear"}
    assert {(8192, 2304, 256000), (8192, 4096, 128256), (16384, 2048, 32000)} <= shapes
    assert (4096, 512, 50257) in {(c.rows, c.dimension, c.classes) for c in QUICK} & {
        (c.rows, c.dimension, c.classes) for c in CPU
    }
    for chosen in (CUDA, CPU, QUICK, QUICK_CUDA):
        assert {c.kind for c in chosen} == set(KINDS)
    at_128k = next(c for c in CUDA if c.kind == "rows" and c.classes == 128256)
    assert len(at_128k.losses) >= 12
    assert {c.scores for c in CUDA} == {"trained", "random"}


def test_the_set_is_that_of_the_device_and_of_the_kind_asked_for():
    assert configurations("cuda") == CUDA
    assert configurations("cpu", quick=True) == QUICK
    assert {c.kind for c in configurations("cpu", only="rows")} == {"rows"}
    with pytest.raises(ValueError, match="only: got 'columns', expected one of 'rows', 'linear', 'pairs'"):
        configurations("cpu", only="columns")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "columns"}, "kind: got 'columns', expected one of 'rows', 'linear', 'pairs'"),
        ({"rows": 0}, "rows: got 0, expected an integer >= 1"),
        ({"dimension": 0}, "dimension: got 0, expected an integer >= 1"),
        ({"dtype": "int8"}, "dtype: got 'int8'"),
        ({"scores": "good"}, "scores: got 'good'"),
        ({"losses": ("siglip_loss",)}, "losses: got 'siglip_loss'"),
        ({"measures": ("backward",)}, "measures: got 'backward'"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        Configuration(**({"kind": "linear", "rows": 4, "classes": 5, "dimension": 3} | change))


def test_what_is_not_installed_says_so(monkeypatch):
    for module in ("liger_kernel", "quack", "flash_attn", "cut_cross_entropy", "inf_cl"):
        monkeypatch.setitem(sys.modules, module, None)
    for method in PEERS:
        if method.name == "open_clip":
            continue
        case = Case(TINY[method.kind], (method.losses or ("cross_entropy",))[0], torch.zeros(24).long(), CPU_DEVICE)
        with pytest.raises(Exception, match=r"ModuleNotFoundError|ImportError") as refused:
            method.build(case)
        assert type(refused.value).__name__ == "NotHere"


def test_a_torch_without_the_chunked_function_and_a_book_without_the_loss_say_so(monkeypatch):
    monkeypatch.delattr(torch.nn.functional, "linear_cross_entropy", raising=False)
    few = Configuration("linear", 24, 61, 7, "float32", seconds=0, least=1)
    found = [m for m in METHODS if m.name.startswith("F.")]
    assert all("has no F.linear_cross_entropy" in status for status in measured(few, found)["status"])
    from lossbook import losses

    monkeypatch.delattr(losses, "cross_entropy")
    own = [m for m in METHODS if m.name == "lossbook chunked"]
    assert list(measured(few, own)["status"]) == ["not here: lossbook has no cross_entropy"]


def test_a_compiler_that_is_missing_is_a_row(monkeypatch):
    def broken(function, **options):
        raise RuntimeError("no working C++ compiler")

    monkeypatch.setattr(torch, "compile", broken)
    few = Configuration("rows", 24, 61, 0, "float32", seconds=0, least=1)
    found = [m for m in METHODS if m.name == "torch.compile"]
    assert list(measured(few, found)["status"]) == ["failed: RuntimeError: no working C++ compiler"]


PEER_MODULES = {
    "liger_kernel.transformers.functional": {
        "liger_cross_entropy": lambda z, y: F.cross_entropy(z, y),
        "liger_fused_linear_cross_entropy": lambda x, w, y, accum_dtype, chunk_mem_const: F.cross_entropy(x @ w.T, y),
    },
    "quack.cross_entropy": {"cross_entropy": lambda z, y: F.cross_entropy(z, y)},
    "quack.linear_cross_entropy": {"chunked_linear_cross_entropy": lambda x, w, y: F.cross_entropy(x @ w.T, y)},
    "flash_attn.ops.triton.cross_entropy": {
        "cross_entropy_loss": lambda z, y: (F.cross_entropy(z, y, reduction="none"), None)
    },
    "cut_cross_entropy": {"linear_cross_entropy": lambda x, w, y, filter_eps: F.cross_entropy(x @ w.T, y)},
    "inf_cl": {
        "cal_flash_loss": lambda q, k, labels, scale, head: F.cross_entropy(
            scale * q @ k.T, torch.arange(len(q)), reduction="none"
        )
    },
}


def test_each_peer_is_called_as_its_package_asks_and_gives_the_loss(monkeypatch):
    # Stand-ins with the released signatures: the packages need a GPU, their argument order does not.
    for name, functions in PEER_MODULES.items():
        module = ModuleType(name)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, name, module)
    for method in PEERS:
        if method.name == "open_clip":
            continue
        configuration = TINY[method.kind]
        given = inputs(configuration)
        loss = (method.losses or ())[0]
        function = method.build(Case(configuration, loss, given.target, CPU_DEVICE))
        found = errors(function, given, truth(configuration, given, loss))
        assert found.loss < 1e-5
        assert max(found.rms) < 1e-4


def test_open_clip_is_read_from_the_file_of_its_losses_alone(monkeypatch, tmp_path):
    (tmp_path / "__init__.py").write_text("raise ImportError('image models')")
    (tmp_path / "loss.py").write_text(
        "import torch, torch.nn.functional as F\n"
        "class SigLipLoss(torch.nn.Module):\n"
        "    def forward(self, images, texts, scale, bias):\n"
        "        z = scale * images @ texts.T + bias\n"
        "        return -F.logsigmoid((2 * torch.eye(len(z)) - 1) * z).sum() / len(z)\n"
    )
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    method = next(m for m in PEERS if m.name == "open_clip")
    given = inputs(TINY["pairs"])
    function = method.build(Case(TINY["pairs"], "siglip_loss", given.target, CPU_DEVICE))
    assert errors(function, given, truth(TINY["pairs"], given, "siglip_loss")).loss < 1e-5


def test_no_two_methods_of_a_kind_have_one_name():
    names = [(m.kind, m.name) for m in ALL_METHODS]
    assert len(set(names)) == len(names)
