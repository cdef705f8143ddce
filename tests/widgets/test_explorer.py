"""What holds for every explorer: one picture, words that follow it, controls that can be reached, and a frozen twin."""

import io
import json
import re

import ipywidgets
import matplotlib
import numpy as np
import pytest
from PIL import Image

from lossbook.experiments import lazy_rich, neural_collapse, stability_gap
from lossbook.figures.style import new_figure
from lossbook.widgets import (
    Explorer,
    FeaturesExplorer,
    FloatLineExplorer,
    FrameBuilderExplorer,
    LazyExplorer,
    LikelihoodExplorer,
    MarginExplorer,
    Preset,
    SimplexExplorer,
    SoftmaxStepsExplorer,
    StabilityGapExplorer,
    TrainingExplorer,
)
from lossbook.widgets.benchmark import sample_run
from lossbook.widgets.canvas import encode
from lossbook.widgets.controls import choice, several, slider, stops

MAKE = {
    "margin": MarginExplorer,
    "error": lambda: MarginExplorer(("squared_error", "huber_loss")),
    "simplex": SimplexExplorer,
    "training": lambda: TrainingExplorer(sample_run()),
    "lazy": lambda: LazyExplorer(lazy_rich.run(lazy_rich.SCALES["tiny"], progress=False)),
    "likelihood": LikelihoodExplorer,
    "features": lambda: FeaturesExplorer(neural_collapse.run(neural_collapse.SCALES["tiny"], progress=False)),
    "float line": FloatLineExplorer,
    "frame builder": FrameBuilderExplorer,
    "stability gap": lambda: StabilityGapExplorer(stability_gap.run(stability_gap.SCALES["tiny"], progress=False)),
    "softmax steps": SoftmaxStepsExplorer,
}
every_explorer = pytest.mark.parametrize("name", MAKE)


@pytest.fixture(scope="module")
def explorers():
    """One of each; a test leaves them as they were."""
    return {name: make() for name, make in MAKE.items()}


class Dot(Explorer):
    """The smallest explorer: a dot at (x, y), in a colour."""

    def __init__(self, presets=None):
        figure, self.ax = new_figure(width=4, height=3)
        self.ax.set(xlim=(0, 1), ylim=(0, 1))
        (self.dot,) = self.ax.plot([], [], "o", animated=True)
        self.drawn = 0
        controls = {
            "x": slider("across", 0.5, 0, 1, 0.1),
            "y": slider("up", 0.5, 0, 1, 0.1),
            "colour": choice("colour", [("as blood", "red"), ("as the sea", "blue")], "red"),
            "deaf": slider("deaf", 0.0, 0, 1, 0.1),
        }
        controls["deaf"].box.layout.display = "none"
        super().__init__(figure, controls, presets or {})

    def _show(self, values):
        self.drawn += 1
        self.dot.set_data([values["x"]], [values["y"]])
        self.dot.set_color(values["colour"])
        return f"A {values['colour']} dot at {values['x']:g}, {values['y']:g}.", "Where is the dot?"


def numbers_of(explorer):
    return np.asarray(Image.open(io.BytesIO(explorer._frame.picture)))


@every_explorer
def test_every_control_changes_the_picture_and_all_goes_back_to_where_it_was(explorers, name):
    explorer, settings = explorers[name], dict(matplotlib.rcParams)
    before = explorer.values, numbers_of(explorer), explorer.alt, explorer.caption
    seen = explorer.move_every_control()
    assert len(set(seen)) > len(explorer.values)
    assert explorer.values == before[0]
    assert np.array_equal(numbers_of(explorer), before[1])  # the kept background holds no trace of what moved
    assert (explorer.alt, explorer.caption) == before[2:]
    assert dict(matplotlib.rcParams) == settings


@every_explorer
def test_a_picture_drawn_on_the_kept_background_is_the_picture_drawn_afresh(name):
    explorer = MAKE[name]()
    slid = next(name for name in explorer.values if explorer.control(name).is_slider)
    for value in explorer.control(slid).tour(4):
        explorer.set(**{slid: value})
    quick = numbers_of(explorer)
    explorer._canvas._background = None
    explorer.set()
    assert np.array_equal(numbers_of(explorer), quick)


@every_explorer
def test_every_field_has_a_label_and_every_slider_a_labelled_field_beside_it(explorers, name):
    explorer = explorers[name]
    controls = [explorer.control(name) for name in explorer.values]
    assert all(control.holder.description for control in controls)
    assert any(control.is_slider for control in controls)
    with explorer.batch():
        for control in controls:
            if control.is_slider:
                field, handle = control.box.children[:2]
                assert field is control.holder
                before = field.value
                handle.value = next(value for value in control.tour(3) if value != before)
                assert field.value == handle.value != before
                field.value = before
                assert handle.value == before


@every_explorer
def test_text_in_pictures_is_at_least_ten_points(explorers, name):
    figure = explorers[name]._canvas._canvas.figure
    texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip() and text.get_visible()]
    assert len(texts) > 5
    assert min(text.get_fontsize() for text in texts) >= 10


@every_explorer
def test_presets_say_what_to_look_for_and_lead_to_the_same_place_from_anywhere(explorers, name):
    explorer = explorers[name]
    first, *others = explorer.presets
    explorer.choose(first)
    seen = {}
    for preset in others:
        explorer.choose(preset)
        assert explorer.presets[preset].look in explorer.caption
        seen[preset] = explorer._frame
    for preset in reversed(others):
        explorer.choose(preset)
        assert explorer._frame == seen[preset]
    explorer.set(**explorer._beginning)
    explorer._look = ""
    explorer.set()


@every_explorer
def test_a_reader_without_a_kernel_sees_the_picture_and_its_words(explorers, name):
    explorer = explorers[name]
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert '<img src="data:image/png;base64,' in bundle["text/html"]
    assert f'alt="{explorer.alt}"' in bundle["text/html"]
    assert explorer.alt in bundle["text/plain"]


def test_several_controls_set_at_once_are_drawn_once():
    dot = Dot()
    drawn = dot.drawn
    dot.set(x=0.1, y=0.9, colour="blue")
    assert dot.drawn == drawn + 1
    assert dot.alt == "A blue dot at 0.1, 0.9."


def test_a_batch_within_a_batch_is_drawn_once():
    dot = Dot()
    drawn = dot.drawn
    with dot.batch():
        dot.control("x").holder.value = 0.2
        with dot.batch():
            dot.control("y").holder.value = 0.3
        assert dot.drawn == drawn
    assert dot.drawn == drawn + 1


def test_what_moves_is_drawn_on_a_background_that_is_kept_until_something_else_changes(monkeypatch):
    dot = Dot()
    drawings = []
    real = dot._canvas._canvas.draw
    monkeypatch.setattr(dot._canvas._canvas, "draw", lambda: (drawings.append(1), real()))
    dot.set(x=0.1)
    dot.set(x=0.9, colour="blue")
    assert drawings == []
    dot.ax.set_title("changed")
    dot.set(x=0.2)
    assert drawings == [1]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"z": 0.5}, ValueError, "control: got 'z', expected one of 'x', 'y', 'colour', 'deaf'"),
        ({"y": 0.9, "x": 1.5}, ValueError, "x: got 1.5, expected a finite number >= 0 and <= 1"),
        ({"y": 0.9, "x": float("nan")}, ValueError, "x: got nan, expected a finite number >= 0 and <= 1"),
        ({"y": 0.9, "x": "left"}, TypeError, "x: got 'left' (str), expected a finite number >= 0 and <= 1"),
        ({"y": 0.9, "colour": "green"}, ValueError, "colour: got 'green', expected one of 'red', 'blue'"),
    ],
)
def test_a_value_that_a_control_cannot_take_is_refused_and_nothing_moves(values, error, message):
    dot = Dot()
    before = dot.values
    with pytest.raises(error) as raised:
        dot.set(**values)
    assert str(raised.value) == message
    assert dot.values == before


def test_several_takes_a_sequence_of_its_own_values_and_keeps_their_order():
    control = several("letters", [("A", "a"), ("B", "b"), ("C", "c")], ("b",))
    assert control.check("letters", ["c", "a"]) == ("a", "c")
    for wrong, error in (("a", TypeError), ((), ValueError), (("d",), ValueError), (3, TypeError)):
        with pytest.raises(error, match=r"^letters: got .*, expected "):
            control.check("letters", wrong)


def test_the_field_of_a_slider_shows_the_number_that_the_browser_meant():
    control = slider("x", 0.5, 0.0, 1.0, 0.05)
    control.box.children[1].value = 0.5499999999999999
    assert control.holder.value == 0.55


def test_stops_walk_over_uneven_steps():
    control = stops("step", [0, 1, 10, 1000], 0)
    control.box.children[1].index = 3
    assert control.holder.value == 1000
    assert control.tour(10) == [0, 1, 10, 1000]
    assert control.tour(2) == [0, 1000]


def test_a_preset_moves_what_it_names_and_takes_the_rest_back_to_the_beginning():
    dot = Dot({"corner": Preset("Look into the corner.", {"x": 0.0, "y": 0.0})})
    dot.set(colour="blue", x=0.7)
    drawn = dot.drawn
    dot.choose("corner")
    assert dot.drawn == drawn + 1
    assert dot.alt == "A red dot at 0, 0."
    assert dot.caption == "Look into the corner.\nWhere is the dot?"
    dot.control("x").holder.value = 0.3  # as a reader's hand would
    assert dot.caption == "Look into the corner.\nWhere is the dot?"  # what to look for stays while the reader looks
    dot.choose("corner")
    assert dot.alt == "A red dot at 0, 0."


@pytest.mark.parametrize(
    ("presets", "error"),
    [
        ({"far": Preset("", {"x": 7.0})}, ValueError),
        ({"lost": Preset("", {"z": 0.0})}, ValueError),
        ({"bare": {"x": 0.0}}, TypeError),
    ],
)
def test_a_preset_that_cannot_be_reached_is_refused_at_once(presets, error):
    with pytest.raises(error):
        Dot(presets)
    with pytest.raises(ValueError, match="preset: got 'nowhere'"):
        Dot().choose("nowhere")


def test_a_control_that_does_nothing_is_found_out():
    dot = Dot()
    dot.control("deaf").box.layout.display = None
    with pytest.raises(AssertionError, match=r"deaf: moved to 0\.5, but neither"):
        dot.move_every_control()


def test_presets_that_look_the_same_are_found_out():
    with pytest.raises(AssertionError, match="presets: got 2, but only 1 different"):
        Dot({"one": Preset("a", {"x": 0.0}), "two": Preset("b", {"x": 0.0})}).move_every_control()


def frames_of(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S).group(1))


def test_a_frozen_explorer_holds_the_words_of_every_setting_in_order():
    dot = Dot()
    dot.set(x=0.3)
    before = dot.values, dot._frame
    data = frames_of(dot.freeze("x", "colour", steps=3))
    assert data["values"] == [["0", "0.3", "0.5", "1"], ["as blood", "as the sea"]]
    assert [frame["alt"] for frame in data["frames"]] == [
        f"A {colour} dot at {x}, 0.5." for x in ("0", "0.3", "0.5", "1") for colour in ("red", "blue")
    ]
    assert len({frame["picture"] for frame in data["frames"]}) == 8
    assert (dot.values, dot._frame) == before


def test_freezing_takes_the_first_slider_by_default_and_writes_a_whole_page(tmp_path):
    dot = Dot()
    html = dot.freeze(path=tmp_path / "dot.html")
    assert frames_of(html)["values"] == [["0", *(f"{i / 10:g}" for i in range(1, 10)), "1"]]
    page = (tmp_path / "dot.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert html in page
    assert html.isascii()


@every_explorer
def test_a_frozen_explorer_loads_nothing(explorers, name):
    html = explorers[name].freeze(steps=2)
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,)', html) == []
    assert "http" not in re.sub(r'"picture": "[^"]*"|base64,[^"]*"', "", html)
    assert 'aria-live="polite"' in html
    assert "aria-valuetext" in html


def test_a_caption_cannot_break_out_of_the_frozen_page():
    class Hostile(Dot):
        def _show(self, values):
            super()._show(values)
            return f'"><script>alert({values["x"]})</script>', "</script><b>bold</b>"

    html = Hostile().freeze("x", steps=2)
    assert html.count("<script") == html.count("</script>") == 2
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("names", "steps", "message"),
    [
        (("z",), 3, "names: got 'z', expected one of "),
        (("x", "y"), 20, "steps: got 121 pictures"),
        (("x",), 1, "steps: got 1, expected a whole number of at least 2"),
        (("x",), 2.5, "steps: got 2.5, expected a whole number of at least 2"),
    ],
)
def test_what_cannot_be_frozen_is_refused(names, steps, message, monkeypatch):
    monkeypatch.setattr("lossbook.widgets.explorer.MOST_FRAMES", 100)
    with pytest.raises(ValueError, match=re.escape(message)):
        Dot().freeze(*names, steps=steps)


def test_the_quick_encoder_writes_what_other_readers_read():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (17, 23, 4), dtype=np.uint8)
    image = Image.open(io.BytesIO(encode(pixels)))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), pixels[..., :3])


def test_an_explorer_is_a_widget_with_one_persistent_picture():
    dot = Dot()
    picture = dot.children[-1]
    assert isinstance(picture, ipywidgets.HTML)
    dot.set(x=0.0)
    assert dot.children[-1] is picture
    assert 'alt="A red dot at 0, 0.5."' in picture.value
