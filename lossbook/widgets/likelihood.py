"""Maximum likelihood as the sweep of one parameter."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbook.checks import bad_value
from lossbook.figures.style import BLUE, ORANGE, new_figure, styled
from lossbook.losses import absolute_error, logistic_loss, squared_error
from lossbook.widgets.controls import choice, slider
from lossbook.widgets.explorer import Explorer, Preset

FAMILIES = {
    "Bernoulli": "a coin: 1 with probability p",
    "Gaussian": "Gaussian noise of deviation 1 around a centre",
    "Laplace": "Laplace noise of width 1 around a centre",
}
PRESETS = {
    "the share of ones": Preset(
        "The curve is level exactly at the share of ones: maximum likelihood counts.", {"probability": 0.63}
    ),
    "almost never": Preset("Saying 'almost never' of what happened 357 times is dear.", {"probability": 0.02}),
    "the mean": Preset(
        "Gaussian noise: the curve is a parabola, lowest at the mean.", {"family": "Gaussian", "location": 3.7}
    ),
    "the median": Preset(
        "Laplace noise: straight pieces with a corner at each reading, lowest between the two in the middle.",
        {"family": "Laplace", "location": 2.5},
    ),
}


class LikelihoodExplorer(Explorer):
    """What each observation costs at one parameter, and the mean cost swept over all parameters.

    Args:
        ones, zeros: how often each outcome of the coin was seen; by default the 357 benign and 212 malignant tumours of
            the Wisconsin data.
        outcomes: what the two are called.
        readings: numbers for the Gaussian and the Laplace model, between 0 and 10.

    Raises:
        ValueError: no observations, or readings outside of [0, 10].
    """

    @styled
    def __init__(
        self,
        ones: int = 357,
        zeros: int = 212,
        *,
        outcomes: tuple[str, str] = ("benign", "malignant"),
        readings: Sequence[float] = (1.0, 2.0, 2.0, 3.0, 5.0, 9.0),
    ):
        if ones < 0 or zeros < 0 or ones + zeros == 0:
            raise bad_value("ones, zeros", (ones, zeros), "two counts, not both 0")
        if not readings or min(readings) < 0 or max(readings) > 10:
            raise bad_value("readings", readings, "at least one number, each between 0 and 10")
        self._counts, self._outcomes = (ones, zeros), outcomes
        self._readings = torch.tensor(sorted(readings), dtype=torch.float64)
        self._sweeps = {
            "Bernoulli": torch.linspace(0.01, 0.99, 981, dtype=torch.float64),
            "Gaussian": torch.linspace(0, 10, 201, dtype=torch.float64),
            "Laplace": torch.linspace(0, 10, 201, dtype=torch.float64),
        }
        self._curves = {family: self._mean_cost(family, sweep) for family, sweep in self._sweeps.items()}
        self._shown = ""
        figure, (self._left, self._right) = new_figure(2, height=3.4)
        controls = {
            "family": choice("model", [(f"{name}: {words}", name) for name, words in FAMILIES.items()], "Bernoulli"),
            "probability": slider("probability p", 0.5, 0.01, 0.99, 0.01),
            "location": slider("centre c", 5.0, 0.0, 10.0, 0.1),
        }
        super().__init__(figure, controls, PRESETS)

    def _costs(self, family: str, parameter: Tensor) -> Tensor:
        """−log p of each kind of observation, in nats: (observations, parameters)."""
        if family == "Bernoulli":
            score = torch.logit(parameter)
            return torch.stack([logistic_loss(sign * score, reduction="none") for sign in (1, -1)])
        centre, reading = torch.broadcast_tensors(parameter[None], self._readings[:, None])
        if family == "Gaussian":
            return squared_error(centre, reading, reduction="none") / 2 + math.log(math.sqrt(2 * math.pi))
        return absolute_error(centre, reading, reduction="none") + math.log(2)

    def _mean_cost(self, family: str, parameter: Tensor) -> Tensor:
        costs = self._costs(family, parameter)
        counts = torch.tensor(self._counts if family == "Bernoulli" else [1] * len(costs), dtype=costs.dtype)
        return (counts[:, None] * costs).sum(0) / counts.sum()

    def _lowest(self, family: str) -> tuple[float, float]:
        """Where the sweep is lowest (the middle, where it is level there) and how low."""
        sweep, curve = self._sweeps[family], self._curves[family]
        return float(sweep[curve <= curve.min() + 1e-9].mean()), float(curve.min())

    @styled
    def _redraw(self, family: str) -> None:
        """The still parts of the picture for a model."""
        self._left.figure.set_layout_engine("constrained")  # the labels of another model need other room
        for ax in (self._left, self._right):
            ax.clear()
        if family == "Bernoulli":
            names = [f"{outcome}\n({count} times)" for outcome, count in zip(self._outcomes, self._counts, strict=True)]
        else:
            names = [f"{reading:g}" for reading in self._readings.tolist()]
        places = np.arange(len(names))
        self._bars = self._left.bar(places, np.zeros(len(names)), color=BLUE, width=0.6)
        for bar in self._bars:
            bar.set_animated(True)
        highest = float(self._costs(family, self._sweeps[family]).max())
        self._left.set(xticks=places, xticklabels=names, ylim=(0, highest * 1.05), ylabel="−log p (nats)")
        self._left.set_xlabel("outcome" if family == "Bernoulli" else "reading")
        self._left.set_title("cost of each observation")
        sweep, curve = self._sweeps[family], self._curves[family]
        self._right.plot(sweep, curve, color=BLUE)
        self._right.axvline(self._lowest(family)[0], color="#888888", linestyle=":", linewidth=1.5)
        self._right.set(xlabel="probability p" if family == "Bernoulli" else "centre c", ylabel="mean −log p (nats)")
        self._right.set_title("mean over all observations, swept")
        (self._mark,) = self._right.plot([], [], "o", color=ORANGE, markersize=10, animated=True)
        self._shown = family

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        family = values["family"]
        coin = family == "Bernoulli"
        self._controls["probability"].box.layout.display = "" if coin else "none"
        self._controls["location"].box.layout.display = "none" if coin else ""
        if family != self._shown:
            self._redraw(family)
        here = values["probability"] if coin else values["location"]
        parameter = torch.tensor([here], dtype=torch.float64)
        costs, mean = self._costs(family, parameter)[:, 0], float(self._mean_cost(family, parameter))
        for bar, cost in zip(self._bars, costs.tolist(), strict=True):
            bar.set_height(cost)
        self._mark.set_data([here], [mean])
        best, lowest = self._lowest(family)
        symbol, digits = ("p", 3) if coin else ("c", 2)
        alt = (
            f"{family} model at {symbol} = {here:.2f}. "
            f"Left: the observations cost {', '.join(f'{cost:.2f}' for cost in costs.tolist())} nats. "
            f"Right: their mean is {mean:.3f} nats; the sweep is lowest, {lowest:.3f} nats, "
            f"at {symbol} = {best:.{digits}f}."
        )
        caption = (
            f"{symbol} = {here:.2f} costs {mean:.3f} nats an observation, "
            f"{mean - lowest:.3f} above the lowest point at {symbol} = {best:.{digits}f}."
        )
        return alt, caption
