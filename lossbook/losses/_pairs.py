"""Losses of two sets of embeddings, the first of one paired with the first of the other.

The scores of all pairs are a product, so none of these losses holds them: they are `LinearLogits` whose classes are the
other side's embeddings.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import (
    bad_type,
    bad_value,
    check_choice,
    check_constant,
    check_floating,
    check_number,
    check_reduction,
    check_same_device,
    check_same_shape,
)
from lossbook.kernels import accumulation_dtype
from lossbook.kernels.pairs import pair_statistics
from lossbook.kernels.sharded import first_class
from lossbook.logits import LinearLogits, row_loss
from lossbook.losses._elementwise import reduce

Embeddings = Float[Tensor, "pairs dimension"]
PairWeight = Float[Tensor, " pairs"] | None
MEMORY = 64 * 2**20  # bytes, as of LinearLogits


def siglip_loss(
    images: Embeddings,
    texts: Embeddings,
    *,
    scale: float | Float[Tensor, ""] = 10.0,
    bias: float | Float[Tensor, ""] = -10.0,
    weight: PairWeight = None,
    group: Any = None,
    memory_budget: int = MEMORY,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """SigLIP's sigmoid loss: each image with each text is a yes or no question of its own.

        ℓ = (1/n) Σ_ij softplus(−y_ij z_ij),  z_ij = s x_i·t_j + b,  y_ij = 1 for i = j, else −1

    Since softplus(−z) = softplus(z) − z, image i costs Σ_j softplus(z_ij) − z_ii. It is divided by n, not by n².

    Args:
        images, texts: (pairs, dimension), unit vectors in the paper; they are taken as they are.
        scale: s, a number or a learned scalar; the paper learns log s, from log 10.
        bias: b, a number or a learned scalar; −10 makes up for n − 1 wrong texts to each right one at the start.
        weight: (pairs,) weights of the images; "mean" then divides by their sum.
        group: a torch.distributed process group, each process holding its own pairs; None: this one holds all. The
            loss is then of this process's images against the texts of all.
        memory_budget: bytes that a chunk of the n × n scores may take.
        reduction: "mean" over images, "sum", or "none" for one number an image.

    Returns:
        A scalar, or (pairs,) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> images, texts = torch.tensor([[0.9, 0.1], [0.2, 0.8]]).double(), torch.eye(2).double()
        >>> round(float(siglip_loss(images, texts)), 6)
        1.720324

    Gradient: by z_ij: (σ(z_ij) − [i = j])/n; by the bias their sum, by the scale their sum with x_i·t_j.
    Limits: at b = 0 and equal scores it starts at n log 2. A text that fits two images costs those two entries alone,
        where a softmax would charge whole rows.
    Reference: Zhai, Mustafa, Kolesnikov & Beyer 2023, arXiv 2303.15343.
    """
    _check_pairs("images", images, "texts", texts)
    weight = _pair_weight(weight, images, group)
    features = images * _scalar("scale", scale, images)
    offset = torch.as_tensor(_scalar("bias", bias, images), dtype=images.dtype, device=images.device)
    logits = _scores(features, texts, offset.expand(len(texts)), group, memory_budget)
    return row_loss(
        lambda stats: stats.softplus_sum - stats.target,
        logits,
        _own(logits),
        ("softplus_sum", "target"),
        weight=weight,
        reduction=reduction,
    )


def info_nce_loss(
    first: Embeddings,
    second: Embeddings,
    *,
    temperature: float | Float[Tensor, ""] = 0.07,
    symmetric: bool = False,
    weight: PairWeight = None,
    group: Any = None,
    memory_budget: int = MEMORY,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """InfoNCE: find the partner of each embedding among all of the other side, by cross-entropy.

        ℓ_i = log Σ_j exp(z_ij) − z_ii,  z_ij = x_i·y_j/τ;  symmetric: half of it, and half with log Σ_j exp(z_ji)

    Args:
        first, second: (pairs, dimension); CLIP and SimCLR take unit vectors, here they are taken as they are.
        temperature: τ > 0, a number or a learned scalar. 0.07 is where CLIP starts to learn it; 1 is the first paper's.
        symmetric: True looks for the partner from both sides, as CLIP does: rows and columns of the scores.
        weight: (pairs,) weights of the pairs; "mean" then divides by their sum.
        group, memory_budget: as in `siglip_loss`.
        reduction: "mean" over pairs, "sum", or "none".

    Returns:
        A scalar, or (pairs,) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores, partners = torch.tensor([[0.9, 0.5], [0.6, 0.7]]).double(), torch.eye(2).double()
        >>> round(float(info_nce_loss(scores, partners, temperature=1.0)), 6)
        0.578706

    Gradient: by z_ij: p_ij − [i = j], p the softmax of each row; symmetric: the mean of it and of that of the columns.
    Limits: log n at equal scores. Blind to a constant added to a row of scores: no row is compared with another.
    Reference: van den Oord, Li & Vinyals 2018, arXiv 1807.03748; symmetric: Radford et al. 2021, arXiv 2103.00020.
    """
    _check_pairs("first", first, "second", second)
    if not isinstance(symmetric, bool):
        raise bad_type("symmetric", symmetric, "True or False")
    check_reduction(reduction)
    warmth = _scalar("temperature", temperature, first, above=0)
    weight = _pair_weight(weight, first, group)
    if symmetric and group is None:
        _scores(first, second, None, None, memory_budget)  # for its checks
        stats = pair_statistics(first / warmth, second, memory_budget)
        values = -(stats["row_log_probability"] + stats["column_log_probability"]) / 2
        return reduce(values, weight, reduction).to(first.dtype)

    def one_way(queries: Tensor, keys: Tensor) -> Tensor:
        logits = _scores(queries / warmth, keys, None, group, memory_budget)
        options: dict[str, Any] = {"weight": weight, "reduction": reduction}
        return row_loss(lambda stats: -stats.log_probability, logits, _own(logits), ("log_probability",), **options)

    return (one_way(first, second) + one_way(second, first)) / 2 if symmetric else one_way(first, second)


def mann_whitney_loss(
    queries: Float[Tensor, "pairs columns"],
    documents: Float[Tensor, "documents columns"] | None = None,
    *,
    temperature: float | Float[Tensor, ""] = 1.0,
    weight: PairWeight = None,
    memory_budget: int = MEMORY,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The MW loss: each query's right score against the wrong scores of all queries, a smooth bound of 1 − AUC.

        ℓ = (1/B) Σ_i Σ_{s⁻} softplus((s⁻ − s_ii)/τ),  s⁻ over all scores of all queries off the diagonal

    The B²(B − 1) comparisons are never held: (s⁻ − s_ii)/τ is a product of two thin factors.

    Args:
        queries: (B, dimension); without documents the scores themselves, (B, K).
        documents: (K, dimension), K ≥ B: document i is the right one of query i, those from B on are of no query.
        temperature: τ > 0, a number or a learned scalar: 1 for raw scores, 0.05 for cosines.
        weight: (B,) weights of the queries' right scores; "mean" and "pairs" then divide by their sum.
        memory_budget: bytes that a chunk of comparisons may take.
        reduction: "mean" over queries, as printed in the paper; "pairs" over all comparisons, which does not grow with
            the batch; "sum"; or "none" for one number a query.

    Returns:
        A scalar, or (B,) for "none". A batch without wrong scores costs 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores = torch.tensor([[0.9, 0.5], [0.6, 0.7]], dtype=torch.float64)
        >>> [round(float(mann_whitney_loss(scores, reduction=reduction)), 6) for reduction in ("mean", "pairs")]
        [1.154953, 0.577477]
        >>> offset = torch.tensor([[5.0], [0.0]])           # InfoNCE is blind to it; one threshold for all is not
        >>> round(float(mann_whitney_loss(scores + offset, reduction="pairs")), 6)
        1.492647

    Gradient: by s_ii: −Σ_{s⁻} σ((s⁻ − s_ii)/τ)/(B τ); by s⁻: Σ_i σ((s⁻ − s_ii)/τ)/(B τ).
    Limits: "pairs" over log 2 bounds the area over the curve, 1 − AUC. Blind only to a shift of all scores together.
    Reference: Sheikholeslami et al. 2025, arXiv 2510.00137.
    """
    check_choice("reduction", reduction, ("mean", "sum", "none", "pairs"))
    scores = _all_scores(queries, documents)
    weight = _pair_weight(weight, queries, None)
    scores = scores.to(accumulation_dtype(scores.dtype)) / _scalar("temperature", temperature, scores, above=0)
    right = scores.diagonal()
    off_diagonal = torch.ones_like(scores, dtype=torch.bool).fill_diagonal_(False)
    wrong = scores[off_diagonal]
    if len(wrong) == 0:
        values = 0 * right
    else:
        comparisons = LinearLogits(-right[:, None], torch.ones_like(wrong)[:, None], wrong, memory_budget=memory_budget)
        together = "sum" if weight is None and reduction != "none" else "none"
        values = row_loss(lambda stats: stats.softplus_sum, comparisons, None, ("softplus_sum",), reduction=together)
    if values.ndim == 0:
        found = values if reduction == "sum" else values / max(1, len(right))
    else:
        found = reduce(values, weight, "mean" if reduction == "pairs" else reduction)
    return (found / max(1, len(wrong)) if reduction == "pairs" else found).to(queries.dtype)


def _check_pairs(first_name: str, first: Tensor, second_name: str, second: Tensor) -> None:
    if check_floating(first_name, first).ndim != 2 or len(first) == 0:
        raise bad_value(first_name, first, "shape (pairs, dimension) with at least one pair")
    check_same_shape(second_name, check_floating(second_name, second), first_name, first)
    _check_alike(second_name, second, first_name, first)


def _check_alike(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    check_same_device(name, tensor, other_name, other)
    if tensor.dtype != other.dtype:
        raise bad_type(name, tensor, f"the dtype of {other_name}, {other.dtype}")


def _all_scores(queries: Tensor, documents: Tensor | None) -> Tensor:
    """(B, K) scores, K ≥ B, the right ones on the diagonal."""
    if check_floating("queries", queries).ndim != 2 or len(queries) == 0:
        raise bad_value("queries", queries, "shape (queries, dimension) with at least one query")
    if documents is None:
        if queries.shape[1] < len(queries):
            raise bad_value(
                "queries", queries, "scores of shape (queries, documents), a document or more for each query"
            )
        return queries
    check_floating("documents", documents)
    if documents.ndim != 2 or documents.shape[1] != queries.shape[1] or len(documents) < len(queries):
        expected = f"shape (documents, {queries.shape[1]}), at least the {len(queries)} right ones of the queries"
        raise bad_value("documents", documents, expected)
    _check_alike("documents", documents, "queries", queries)
    return queries @ documents.T


def _scalar(argument: str, value: Any, like: Tensor, *, above: float | None = None) -> float | Tensor:
    """A number, or a tensor of one number that may be learned."""
    if not isinstance(value, Tensor):
        return check_number(argument, value) if above is None else check_number(argument, value, above=above)
    bound = "" if above is None else f" > {above:g}"
    if not value.is_floating_point() or value.ndim != 0:
        raise bad_type(argument, value, f"a number or a floating-point scalar tensor{bound}")
    check_same_device(argument, value, "the embeddings", like)
    if above is not None and bool(value <= above):
        raise bad_value(argument, float(value), f"a number{bound}")
    return value


def _pair_weight(weight: Tensor | None, like: Tensor, group: Any) -> Tensor | None:
    if weight is None:
        return None
    if group is not None:
        raise bad_value("weight", weight, "None where the pairs are spread over processes")
    if check_floating("weight", weight).shape != like.shape[:1]:
        raise bad_value("weight", weight, f"one weight per pair, shape ({len(like)},)")
    check_same_device("weight", weight, "the embeddings", like)
    check_constant("weight", weight)
    return weight.to(accumulation_dtype(like.dtype))


def _scores(first: Tensor, second: Tensor, bias: Tensor | None, group: Any, memory_budget: int) -> LinearLogits:
    """The scores of all pairs, over all processes where there is a group."""
    return LinearLogits(first, second, bias, memory_budget=memory_budget, group=group, sharded="both")


def _own(logits: LinearLogits) -> Tensor:
    """Where each embedding's partner stands among those of all processes."""
    partner = torch.arange(len(logits.features), device=logits.device)
    return partner if logits.group is None else partner + first_class(logits, logits.group)
