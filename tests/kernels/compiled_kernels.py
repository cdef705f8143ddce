"""Compile every Triton kernel for an H100 that is not here; `test_triton_compiled.py` runs this as a script.

The host functions run as they would on the GPU, with tensors that hold nothing, and a driver that only names the
device: what they launch is compiled as it would be there, with the launch table's tiles and with what Triton makes of
each argument (a stride of 1, a multiple of 16), but is not launched. Prints, for each kernel of each case, registers,
stack and shared memory from its cubin, and the widest load of its PTX.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from lossbook.catalog import RECORDS
from lossbook.kernels import triton_dense, triton_fused, triton_linear
from lossbook.kernels.linear import Linear
from lossbook.kernels.statistics import NEED_SOFT_TARGET

ROWS = 2048
BFLOAT16, FLOAT16, FLOAT32, FLOAT64 = torch.bfloat16, torch.float16, torch.float32, torch.float64
OTHER_NAMES = (  # of losses that no record lists, and of distillation and policies
    ("soft_log_probability", "log_probability_sum"),
    ("entropy", "log_probability"),
    ("max", "target"),
    ("softplus_sum", "target"),
)


class Absent:
    """A driver for a GPU that is not here."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_active_torch_device(self):
        return torch.device("cpu")


def rows_case(names, dtype=BFLOAT16, classes=32000, weighted=False, rows=ROWS, gap=0):
    """Forward and backward of the row engine. `gap`: columns between the end of a row and the next."""
    logits = torch.empty(rows, classes + gap, dtype=dtype)[:, :classes]
    soft = NEED_SOFT_TARGET.intersection(names)
    target = torch.empty(rows, classes, dtype=dtype) if soft else torch.zeros(rows, dtype=torch.long)
    weight = torch.empty(classes) if weighted else None
    found, state = triton_dense.forward(names, logits, target, weight, -1)
    triton_dense.backward(names, found, logits, target, weight, state, -1)


def fused_case(loss, dtype=BFLOAT16, classes=16384):
    parameters = tuple(0.5 for _ in triton_fused.FUSED[loss].parameters)
    logits, target = torch.empty(ROWS, classes, dtype=dtype), torch.zeros(ROWS, dtype=torch.long)
    weight = torch.empty(classes) if loss == "smoothed_cross_entropy" else None
    triton_fused.loss_and_gradient(loss, parameters, logits, target, weight, torch.empty(ROWS), -1)


def linear_case(names, dtype=BFLOAT16, dimension=256, rows=ROWS, classes=4096, **options):
    parts = [torch.empty(*size, dtype=dtype) for size in ((rows, dimension), (classes, dimension), (classes,))]
    linear = Linear(*parts, torch.zeros(rows, dtype=torch.long), None, 2**20, **options)
    found, state = triton_linear.forward(names, linear)
    triton_linear.backward(names, found, linear, state)


def cases():
    """Name of a case -> what to run: each set of names that a loss uses, each dtype, each shape of the tables."""
    of_losses = {record.statistics for record in RECORDS.values() if record.statistics}
    found = {f"rows, {'+'.join(names)}": (rows_case, names) for names in sorted(of_losses | set(OTHER_NAMES))}
    cross_entropy = ("log_probability",)
    for dtype in (FLOAT16, FLOAT32, FLOAT64):
        found[f"rows, {dtype}"] = (rows_case, cross_entropy, dtype)
    found["rows, class weights"] = (rows_case, ("log_probability", "log_probability_sum"), BFLOAT16, 32000, True)
    found["rows, 50257 classes"] = (rows_case, cross_entropy, BFLOAT16, 50257)
    found["rows, a gap between them"] = (rows_case, cross_entropy, BFLOAT16, 32000, False, ROWS, 3)
    found["rows, few and long"] = (rows_case, cross_entropy, BFLOAT16, 128256, False, 8)
    found["rows, one"] = (rows_case, cross_entropy, BFLOAT16, 129, False, 1)
    found["rows, one class"] = (rows_case, cross_entropy, FLOAT32, 1)
    found["rows, 1000 classes"] = (rows_case, cross_entropy, BFLOAT16, 1000)
    for loss in triton_fused.FUSED:
        found[f"fused, {loss}"] = (fused_case, loss)
    found["fused, float32"] = (fused_case, "cross_entropy", FLOAT32, 8192)
    found["fused, read again"] = (fused_case, "cross_entropy", BFLOAT16, 128256)
    found["fused, scaled afterwards"] = (
        triton_fused.scale_rows_,
        torch.empty(4, 32000, dtype=BFLOAT16),
        torch.empty(4),
    )
    for dimension in (64, 128, 256, 512):
        found[f"linear, {dimension} features"] = (linear_case, cross_entropy, BFLOAT16, dimension)
    for dtype in (FLOAT16, FLOAT32, FLOAT64):
        found[f"linear, {dtype}"] = (linear_case, ("softplus_sum", "target"), dtype, 128)

    found["linear, one of each"] = (linear_case, cross_entropy, BFLOAT16, 1, 1, 1)

    def filtered(names):
        linear_case(names, softcap=30.0, gradient_filter=2**-12)

    found["linear, filtered"] = (filtered, cross_entropy)
    return found


def usage(kernel, folder):
    """Registers a thread and bytes of stack, which is where registers spill to, of a compiled kernel."""
    cubin = Path(folder) / "kernel.cubin"
    cubin.write_bytes(kernel.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    told = subprocess.run([tool, "-res-usage", cubin], capture_output=True, text=True, check=True).stdout
    return [int(found) for found in re.search(r"REG:(\d+) STACK:(\d+)", told).groups()]


def main():
    """Compile all cases, and print what came of them."""
    driver.set_active(Absent())
    launched, launch = [], JITFunction.run

    def compile_only(function, *arguments, grid, warmup, **options):
        kernel = launch(function, *arguments, grid=grid, warmup=True, **options)
        launched.append((function.__name__, kernel))
        return kernel

    JITFunction.run = compile_only
    report = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (run, *arguments) in cases().items():
            launched.clear()
            run(*arguments)
            for function, kernel in launched:
                registers, stack = usage(kernel, folder)
                report.append(
                    {
                        "case": name,
                        "kernel": function,
                        "registers": registers,
                        "stack": stack,
                        "shared": kernel.metadata.shared,
                        "threads": 32 * kernel.metadata.num_warps,
                        "wide loads": bool(re.search(r"ld\.global[\w.:]*\.(v4\.b32|v2\.b64)", kernel.asm["ptx"])),
                        "tensor cores": "wgmma" in kernel.asm["ptx"],
                    }
                )
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
