"""The experiments: a module each, with a frozen `Config`, `SCALES` (tiny, small, paper) and `run(config) -> Run`."""

from types import ModuleType

from lossbook.experiments import (
    adversarial,
    class_count,
    consistency,
    extrapolation,
    gap_mitigations,
    gradient_filter,
    image_text,
    label_noise,
    language_model,
    lazy_images,
    lazy_rich,
    many_positives,
    modular_addition,
    neural_collapse,
    perceptron,
    retrieval_offsets,
    softmax_precision,
    softmax_speed,
    sparse_parity,
    spherical,
    stability_gap,
    surrogates,
    two_regimes,
    unconstrained_features,
)

EXPERIMENTS: dict[str, ModuleType] = {
    "adversarial": adversarial,
    "class_count": class_count,
    "consistency": consistency,
    "extrapolation": extrapolation,
    "gap_mitigations": gap_mitigations,
    "gradient_filter": gradient_filter,
    "image_text": image_text,
    "label_noise": label_noise,
    "language_model": language_model,
    "lazy_images": lazy_images,
    "lazy_rich": lazy_rich,
    "many_positives": many_positives,
    "modular_addition": modular_addition,
    "neural_collapse": neural_collapse,
    "perceptron": perceptron,
    "retrieval_offsets": retrieval_offsets,
    "softmax_precision": softmax_precision,
    "softmax_speed": softmax_speed,
    "sparse_parity": sparse_parity,
    "spherical": spherical,
    "stability_gap": stability_gap,
    "surrogates": surrogates,
    "two_regimes": two_regimes,
    "unconstrained_features": unconstrained_features,
}
"""By name, as `lossbook run` knows them."""

__all__ = ["EXPERIMENTS", *EXPERIMENTS]
