"""The experiments: a module each, with a frozen `Config`, `SCALES` (tiny, small, paper) and `run(config) -> Run`."""

from types import ModuleType

from lossbook.experiments import (
    adversarial,
    class_count,
    consistency,
    extrapolation,
    gradient_filter,
    image_text,
    label_noise,
    language_model,
    many_positives,
    perceptron,
    retrieval_offsets,
    softmax_precision,
    softmax_speed,
    spherical,
    surrogates,
    two_regimes,
)

EXPERIMENTS: dict[str, ModuleType] = {
    "adversarial": adversarial,
    "class_count": class_count,
    "consistency": consistency,
    "extrapolation": extrapolation,
    "gradient_filter": gradient_filter,
    "image_text": image_text,
    "label_noise": label_noise,
    "language_model": language_model,
    "many_positives": many_positives,
    "perceptron": perceptron,
    "retrieval_offsets": retrieval_offsets,
    "softmax_precision": softmax_precision,
    "softmax_speed": softmax_speed,
    "spherical": spherical,
    "surrogates": surrogates,
    "two_regimes": two_regimes,
}
"""By name, as `lossbook run` knows them."""

__all__ = ["EXPERIMENTS", *EXPERIMENTS]
