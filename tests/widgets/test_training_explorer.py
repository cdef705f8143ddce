"""The training explorer: a cursor on the history, and the snapshot of that step."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from lossbook.experiments.run import Run, Snapshot
from lossbook.widgets import TrainingExplorer

HISTORY = pd.DataFrame(
    [
        {"setting": setting, "seed": seed, "step": step, "error": 1 / (1 + step) + seed, "norm": 10.0**step}
        for setting in ("plain", "other")
        for seed in (0, 1)
        for step in range(9)
    ]
)
SNAPSHOTS = tuple(
    Snapshot(setting, step, {"weights": np.array([step, -step, 2.0 * i])})
    for i, setting in enumerate(("plain", "other"))
    for step in (0, 1, 4, 8)
)
RUN = Run("toy", None, HISTORY, SNAPSHOTS)


def start_dot(ax, run):
    (dot,) = ax.plot([], [], "o")
    ax.set(xlim=(-10, 10), ylim=(-10, 10))
    return dot


def update_dot(dot, snapshot):
    dot.set_data(snapshot.arrays["weights"][:1], snapshot.arrays["weights"][1:2])
    return f"A dot at {snapshot.arrays['weights'][0]:g}."


def test_the_words_tell_step_setting_mean_over_seeds_and_the_panels_own_words():
    explorer = TrainingExplorer(RUN, (start_dot, update_dot))
    explorer.set(step=4, setting="other")
    assert "Setting other, step 4: error 0.7, mean of 2 seeds." in explorer.alt  # 1/5 and 1/5 + 1
    assert explorer.alt.endswith("A dot at 4.")
    assert explorer.caption == "Setting other, step 4: error 0.7, mean of 2 seeds.\nA dot at 4."
    assert explorer._cursor.get_xdata() == [4, 4]
    assert np.allclose(explorer._mark.get_data(), [[4], [0.7]])


def test_the_slider_walks_over_the_steps_that_were_kept():
    control = TrainingExplorer(RUN).control("step")
    assert control.tour(99) == [0, 1, 4, 8]
    with pytest.raises(ValueError, match="step: got 3, expected one of 0, 1, 4, 8"):
        TrainingExplorer(RUN).set(step=3)


def test_a_setting_without_a_snapshot_at_that_step_shows_the_last_before_it_and_says_so():
    fewer = tuple(snapshot for snapshot in SNAPSHOTS if (snapshot.setting, snapshot.step) != ("other", 4))
    explorer = TrainingExplorer(dataclasses.replace(RUN, snapshots=fewer), (start_dot, update_dot))
    explorer.set(step=4, setting="other")
    assert explorer.alt.endswith("A dot at 1 (kept at step 1, the nearest).")


def test_where_seeds_kept_the_same_step_the_first_is_shown():
    twice = (*SNAPSHOTS, Snapshot("plain", 0, {"weights": np.array([7.0, 0.0, 0.0])}))
    explorer = TrainingExplorer(dataclasses.replace(RUN, snapshots=twice), (start_dot, update_dot))
    assert explorer.alt.endswith("A dot at 0.")


def test_the_chosen_metric_comes_first_and_one_of_many_decades_gets_a_logarithmic_axis():
    explorer = TrainingExplorer(RUN, metric="norm")
    assert explorer.values["metric"] == "norm"
    assert explorer._left.get_yscale() == "log"
    explorer.set(metric="error")
    assert explorer._left.get_yscale() == "linear"
    low, high = explorer._left.get_ylim()
    assert -0.5 < low < 1 / 9
    assert 2 < high < 2.5  # nothing is left of the metric of a million


def test_steps_kept_ever_more_rarely_get_a_logarithmic_axis_that_holds_zero():
    rare = {0: 0, 1: 1, 4: 10, 8: 1000}
    snapshots = tuple(Snapshot(s.setting, rare[s.step], s.arrays) for s in SNAPSHOTS)
    explorer = TrainingExplorer(Run("toy", None, HISTORY.assign(step=HISTORY["step"] ** 3), snapshots))
    assert explorer._left.get_xscale() == "symlog"
    assert TrainingExplorer(RUN)._left.get_xscale() == "linear"


def test_the_default_panel_draws_few_numbers_as_bars_and_many_as_shares():
    explorer = TrainingExplorer(RUN)
    explorer.set(step=8, setting="other")
    (outline,) = explorer._artists.values()
    assert outline.stairs.get_data().values.tolist() == [8, -8, 2]
    assert "weights: 3 numbers, mean 0.667" in explorer.alt
    many = tuple(Snapshot(s.setting, s.step, {"weights": np.linspace(0, s.step, 100)}) for s in SNAPSHOTS)
    explorer = TrainingExplorer(dataclasses.replace(RUN, snapshots=many))
    (outline,) = explorer._artists.values()
    assert np.isclose(outline.stairs.get_data().values.sum(), 1)
    assert outline.edges[[0, -1]].tolist() == [0, 8]  # the same axis at every step


def test_arrays_that_come_and_go_or_hold_no_finite_number_are_survived():
    snapshots = (
        Snapshot("plain", 0, {"weights": np.full(40, np.nan)}),
        Snapshot("plain", 1, {"biases": np.arange(40.0)}),
        Snapshot("plain", 2, {}),
    )
    explorer = TrainingExplorer(dataclasses.replace(RUN, snapshots=snapshots))
    assert "weights: 40 numbers, mean undefined" in explorer.alt
    explorer.set(step=1)
    assert not explorer._artists["weights"].stairs.get_visible()
    explorer.set(step=2)
    assert "no arrays at this step" in explorer.alt


def test_a_panel_may_draw_anew_what_it_cannot_mutate():
    def start(ax, run):
        return ax

    def update(ax, snapshot):
        ax.clear()
        ax.bar([0], snapshot.arrays["weights"][:1] + 1)
        return f"A bar of {snapshot.arrays['weights'][0] + 1:g}."

    explorer = TrainingExplorer(RUN, (start, update))
    first = explorer._frame.picture
    explorer.set(step=8)
    assert explorer._frame.picture != first
    explorer.set(step=0)
    assert explorer._frame.picture == first


def test_settings_that_are_numbers_are_matched_with_their_snapshots():
    history = HISTORY.assign(setting=HISTORY["setting"].map({"plain": 0.5, "other": 1.0}))
    snapshots = tuple(Snapshot("0.5" if s.setting == "plain" else "1.0", s.step, s.arrays) for s in SNAPSHOTS)
    explorer = TrainingExplorer(Run("toy", None, history, snapshots))
    explorer.set(setting="1.0")
    assert "Setting 1.0, step 0: error 1.5" in explorer.alt


def test_a_metric_that_begins_late_is_said_to_have_no_value_yet():
    history = HISTORY.assign(late=HISTORY["error"].where(HISTORY["step"] > 3))
    explorer = TrainingExplorer(dataclasses.replace(RUN, history=history), metric="late")
    assert "no late yet" in explorer.alt
    explorer.set(step=8)
    assert "late 0.611" in explorer.alt


def test_one_setting_one_seed_one_snapshot_is_enough():
    one = Run("toy", None, HISTORY[(HISTORY["setting"] == "plain") & (HISTORY["seed"] == 0)], SNAPSHOTS[:1])
    explorer = TrainingExplorer(one)
    assert "mean of" not in explorer.alt.split("Right")[0]
    assert explorer.move_every_control()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"run": HISTORY}, TypeError, "run: got a DataFrame, expected a Run"),
        ({"run": dataclasses.replace(RUN, snapshots=())}, ValueError, "run: got 'no snapshots', expected a Run with"),
        ({"run": dataclasses.replace(RUN, history=HISTORY.drop(columns="seed"))}, ValueError, "run: got 'no seed'"),
        (
            {"run": dataclasses.replace(RUN, history=HISTORY.drop(columns=["error", "norm"]))},
            ValueError,
            "run: got 'no metrics'",
        ),
        (
            {"run": dataclasses.replace(RUN, history=HISTORY[HISTORY["setting"] == "plain"])},
            ValueError,
            "run: got ['other'], expected rows of the history for every setting",
        ),
        ({"run": RUN, "metric": "accuracy"}, ValueError, "metric: got 'accuracy', expected one of 'error', 'norm'"),
        ({"run": RUN, "panel": start_dot}, TypeError, "panel: got "),
        ({"run": RUN, "panel": (start_dot, lambda dot, snapshot: None)}, TypeError, "panel: got None (NoneType)"),
    ],
)
def test_a_run_that_cannot_be_scrubbed_is_refused(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        TrainingExplorer(**arguments)
