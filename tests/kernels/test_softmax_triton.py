"""The Triton softmax: right in the interpreter, and compiled ahead of time for a GPU that is not here.

The interpreter is chosen by an environment variable before triton is imported, so these cases run in a process of their
own: this file, started as a script, prints what each case found.
"""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ALGORITHMS = ("recompute", "reload", "online", "two-pass")
CLASSES = (1, 2, 3, 127, 128, 129, 5000)
DTYPES = ("float16", "float32", "float64")  # the interpreter cuts bfloat16 off instead of rounding it
INFINITY, NAN = math.inf, math.nan
EDGES = {
    "far apart": [-1e4, 1e4, 0.0],
    "beyond reach": [3e4, 3e4 - 1, -3e4],
    "far below": [-3e4, -3e4 - 1, -1e9],
    "masked first": [-INFINITY, -INFINITY, 2.0],
    "masked by a large number": [-1e30, 0.0],
    "all at a large number": [-1e30, -1e30],
    "all masked": [-INFINITY, -INFINITY],
    "infinite": [INFINITY, 0.0],
    "NaN": [0.0, NAN, 1.0],
}


def logits_of(classes, dtype):
    """Three rows, each class in every second place of a row that is longer: no stride is 1 and none is `classes`."""
    generator = torch.Generator().manual_seed(classes)
    return (4 * torch.randn(3, 2 * classes + 1, generator=generator)).to(dtype)[:, 1::2]


def cases():
    """Name of a case -> worst error, relative to the largest probability, of ours and of torch's in the same dtype."""
    from lossbook.kernels.softmax_triton import softmax

    def error(found, truth):
        return float(((found.double() - truth).abs() / truth.amax(-1, keepdim=True)).max())

    found = {}
    for algorithm in ALGORITHMS:
        for classes in CLASSES:
            for name in DTYPES:
                z = logits_of(classes, getattr(torch, name))
                truth = torch.softmax(z.double(), -1)
                case = f"{algorithm}, {classes} classes, {name}"
                found[case] = error(softmax(z, algorithm), truth), error(torch.softmax(z, -1), truth)
        for name, row in EDGES.items():
            z = torch.tensor(row)
            found[f"{algorithm}, {name}"] = softmax(z, algorithm).tolist(), torch.softmax(z, -1).tolist()
    batch = torch.arange(24.0).reshape(2, 3, 4).transpose(0, 2)
    found["batch"] = softmax(batch).tolist(), torch.softmax(batch, -1).tolist()
    found["no row"] = list(softmax(torch.empty(0, 5)).shape), [0, 5]
    return found


if __name__ == "__main__":
    json.dump(cases(), sys.stdout)
    sys.exit()

triton = pytest.importorskip("triton")
softmax_triton = pytest.importorskip("lossbook.kernels.softmax_triton")


@pytest.fixture(scope="module")
def interpreted():
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", __file__]  # NumPy warns of inf − inf, which is what is asked for
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_probabilities_are_as_exact_as_torchs(algorithm, dtype, interpreted):
    eps = torch.finfo(getattr(torch, dtype)).eps
    for classes in CLASSES:
        ours, torchs = interpreted[f"{algorithm}, {classes} classes, {dtype}"]
        # "reload" rounds twice, and a float64 of ours is off by some roundings where torch is the truth itself
        assert ours <= 2 * torchs + 8 * eps, classes


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", EDGES)
def test_at_the_edges_the_kernels_say_what_torch_says(algorithm, name, interpreted):
    ours, torchs = interpreted[f"{algorithm}, {name}"]
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(torchs), rtol=2e-6, atol=1e-38, equal_nan=True)


def test_a_batch_of_any_strides_is_a_batch_of_rows(interpreted):
    ours, torchs = interpreted["batch"]
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(torchs), rtol=2e-6, atol=0)
    assert interpreted["no row"][0] == interpreted["no row"][1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["bf16", "fp32", "fp64"])
def test_every_kernel_compiles_for_sm_90_without_spilling(algorithm, dtype, tmp_path):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = softmax_triton.ALGORITHMS[algorithm]
    accumulate = triton.language.float64 if dtype == "fp64" else triton.language.float32
    names = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64}
    block, warps = softmax_triton.launch(50257, names[dtype])
    steps = ("classes", "row_step", "step", "y_row_step", "y_step")
    source = ASTSource(
        fn=kernel,
        signature={"X": f"*{dtype}", "Y": f"*{dtype}"}
        | dict.fromkeys(steps, "i32")
        | {"ACC": "constexpr", "BLOCK": "constexpr"},
        constexprs={"ACC": accumulate, "BLOCK": block},
    )
    options = {"num_warps": warps, "enable_fp_fusion": True}
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    cubin = tmp_path / "kernel.cubin"
    cubin.write_bytes(compiled.asm["cubin"])
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    command = [tools / "cuobjdump", "--dump-resource-usage", cubin]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers, stack, local = (int(re.search(rf"{name}:(\d+)", usage).group(1)) for name in ("REG", "STACK", "LOCAL"))
    assert 16 <= registers <= 160  # of 255; float64 takes the most, 130
    assert local == 0
    assert stack <= 16  # the division of float64 is a call


@pytest.mark.parametrize(
    ("logits", "algorithm", "error", "message"),
    [
        (torch.zeros(0), "online", ValueError, r"^logits: got a float32 tensor of shape \(0,\), expected at least one"),
        (torch.zeros(()), "online", ValueError, r"^logits: got a float32 tensor of shape \(\), expected at least one"),
        (torch.zeros(3, dtype=torch.long), "online", TypeError, "^logits: got an int64 tensor"),
        ([1.0], "online", TypeError, "^logits: got "),
        (torch.zeros(3), "naive", ValueError, "^algorithm: got 'naive', expected one of 'recompute'"),
        (torch.zeros(3, requires_grad=True), "online", ValueError, "^logits: got a tensor that requires a gradient"),
    ],
)
def test_bad_input_is_refused(logits, algorithm, error, message):
    with pytest.raises(error, match=message):
        softmax_triton.softmax(logits, algorithm)
