"""The experiments: a module each, with a frozen `Config`, `SCALES` (tiny, small, paper) and `run(config) -> Run`."""

from types import ModuleType

from lossbook.experiments import (
    adversarial,
    consistency,
    extrapolation,
    label_noise,
    perceptron,
    surrogates,
    two_regimes,
)

EXPERIMENTS: dict[str, ModuleType] = {
    "adversarial": adversarial,
    "consistency": consistency,
    "extrapolation": extrapolation,
    "label_noise": label_noise,
    "perceptron": perceptron,
    "surrogates": surrogates,
    "two_regimes": two_regimes,
}
"""By name, as `lossbook run` knows them."""

__all__ = ["EXPERIMENTS", *EXPERIMENTS]
