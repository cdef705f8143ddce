"""Other libraries, called as they ask to be, with their best settings. None is needed: what is missing says so.

The calls were read in the released packages: liger-kernel 0.8.5, cut-cross-entropy 25.1.1, quack-kernels 0.6.5,
flash-attn 2, open-clip-torch 3.3.0, inf-cl 1.2.1. All but open_clip need a GPU.
"""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbook.benchmarks.methods import Case, Function, Method, NotHere

HEAD = 256  # Inf-CL reads features in slices of this many


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a package may be there and not fit the driver, the compiler or PyTorch
        raise NotHere(f"{type(error).__name__}: {error}") from error


def _liger_rows(case: Case) -> Function:
    function = _import("liger_kernel.transformers.functional").liger_cross_entropy
    return lambda logits: function(logits, case.target)


def _liger_linear(chunk: int) -> Any:
    def build(case: Case) -> Function:
        function = _import("liger_kernel.transformers.functional").liger_fused_linear_cross_entropy
        return lambda features, weight: function(
            features, weight, case.target, accum_dtype=torch.float32, chunk_mem_const=chunk
        )

    return build


def _quack_rows(case: Case) -> Function:
    function = _import("quack.cross_entropy").cross_entropy
    return lambda logits: function(logits, case.target)


def _quack_linear(case: Case) -> Function:
    function = _import("quack.linear_cross_entropy").chunked_linear_cross_entropy
    return lambda features, weight: function(features, weight, case.target)


def _flash_rows(case: Case) -> Function:
    function = _import("flash_attn.ops.triton.cross_entropy").cross_entropy_loss
    return lambda logits: function(logits, case.target)[0].mean()


def _cut(filter_eps: str | None) -> Any:
    def build(case: Case) -> Function:
        function = _import("cut_cross_entropy").linear_cross_entropy
        return lambda features, weight: function(features, weight, case.target, filter_eps=filter_eps)

    return build


def _open_clip(case: Case) -> Function:
    # The file of its losses by itself: the package also asks for image models that no loss needs.
    found = importlib.util.find_spec("open_clip")
    path = None if found is None or found.origin is None else Path(found.origin).with_name("loss.py")
    if path is None or not path.exists():
        raise NotHere("No module named 'open_clip'")
    spec = importlib.util.spec_from_file_location("open_clip_loss", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if case.loss == "siglip_loss":
        sigmoid = module.SigLipLoss()
        return lambda images, texts, scale, bias: sigmoid(images, texts, scale, bias)
    softmax = module.ClipLoss(cache_labels=True)
    return lambda images, texts, scale, bias: softmax(images, texts, scale)


def _inf_cl(case: Case) -> Function:
    function = _import("inf_cl").cal_flash_loss

    def loss(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        ahead = -images.shape[-1] % HEAD
        images, texts = (F.pad(side, (0, ahead)) for side in (images, texts))
        first, second = function(images, texts, None, scale, HEAD), function(texts, images, None, scale, HEAD)
        return (first.mean() + second.mean()) / 2

    return loss


_CROSS_ENTROPY: dict[str, Any] = {"losses": ("cross_entropy",), "device": "cuda"}
PEERS: tuple[Method, ...] = (
    Method("Liger", "rows", _liger_rows, package="liger-kernel", overwrites=True, **_CROSS_ENTROPY),
    Method("quack", "rows", _quack_rows, package="quack-kernels", **_CROSS_ENTROPY),
    Method("flash-attn", "rows", _flash_rows, package="flash-attn", **_CROSS_ENTROPY),
    Method("Liger, C=1", "linear", _liger_linear(1), package="liger-kernel", **_CROSS_ENTROPY),
    Method("Liger, C=16", "linear", _liger_linear(16), package="liger-kernel", **_CROSS_ENTROPY),
    Method("quack", "linear", _quack_linear, package="quack-kernels", **_CROSS_ENTROPY),
    Method("CCE exact", "linear", _cut(None), package="cut-cross-entropy", **_CROSS_ENTROPY),
    Method("CCE filtered", "linear", _cut("auto"), package="cut-cross-entropy", approximate=True, **_CROSS_ENTROPY),
    Method("open_clip", "pairs", _open_clip, package="open-clip-torch", losses=("siglip_loss", "symmetric_info_nce")),
    Method("Inf-CL", "pairs", _inf_cl, package="inf-cl", losses=("symmetric_info_nce",), device="cuda"),
)
