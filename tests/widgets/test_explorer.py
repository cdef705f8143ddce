"""What holds for every explorer: one picture, words that follow it, and controls that can be reached."""

import html
import io

import ipywidgets
import matplotlib
import numpy as np
import pytest
from explorers import Dot
from PIL import Image

from lossbook.widgets import Preset
from lossbook.widgets.benchmark import EXPLORERS
from lossbook.widgets.canvas import encode
from lossbook.widgets.controls import several, slider, stops

every_explorer = pytest.mark.parametrize("name", EXPLORERS)


@pytest.fixture(scope="module")
def explorers():
    """One of each; a test leaves them as they were."""
    return {name: make() for name, make in EXPLORERS.items()}


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
    explorer = EXPLORERS[name]()
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
    assert f'alt="{html.escape(explorer.alt)}"' in bundle["text/html"]
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
