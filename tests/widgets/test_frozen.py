"""An explorer without a kernel: it holds what the live one shows, for every control and preset, and loads nothing."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from explorers import Dot
from PIL import Image

from lossbook.widgets import LikelihoodExplorer, MarginExplorer, Preset, SimplexExplorer
from lossbook.widgets.benchmark import EXPLORERS
from lossbook.widgets.frames import FAR, Palette
from lossbook.widgets.plan import COARSEST, planned

# Pillow finds the colour nearest to the first six bits of each channel. These are up to 3 off in each, and the one that
# it finds is no further from them than the right one, 3 √3: so a flat colour is off by 8 at most.
SIX_BITS = 8

PRESETS = {
    "corner": Preset("Look into the corner.", {"x": 0.0, "y": 0.0}),
    "sea": Preset("It is blue. Move it to 0.7.", {"colour": "blue"}, then={"x": (0.7,)}),
}


def data_of(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S).group(1))


def words_of(data, frame):
    """The label of each control that can be seen -> what it says there."""
    return {c["label"]: c["words"][at] for c, at in zip(data["controls"], frame["at"], strict=True) if at >= 0}


def pixels_of(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


@pytest.mark.parametrize(
    "make", [LikelihoodExplorer, lambda: MarginExplorer(("squared_error", "huber_loss"))], ids=["likelihood", "error"]
)
def test_what_is_held_is_what_the_live_explorer_shows(make):
    explorer = make()
    drawn = explorer._drawn(explorer._plan(150)[::16])  # every sixteenth setting of the plan
    assert len(drawn) >= 4
    for setting, frame in drawn:
        explorer.set(**setting)
        seen = {name for name in explorer.values if explorer.control(name).visible}
        assert seen == set(setting)  # the plan knew which controls can be seen there
        assert (explorer.alt, explorer.caption) == (frame.alt, frame.caption)
        kept, live = pixels_of(frame.picture), pixels_of(explorer._frame.picture)
        assert np.abs(kept - live).max() <= FAR
        colours = live @ (1 << 16, 1 << 8, 1)  # one number each
        often = np.flatnonzero(np.bincount(colours.ravel()) > 2000)  # those of areas and long lines
        assert len(often) >= 3
        assert np.abs(kept - live)[np.isin(colours, often)].max() <= SIX_BITS


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_holds_its_start_its_presets_and_each_control_moved_alone_in_a_sane_number(name):
    explorer = EXPLORERS[name]()
    before = explorer.values
    settings = explorer._plan(explorer.most_pictures)
    assert len(settings) <= explorer.most_pictures <= 150
    assert explorer.values == before
    for values in (before, *(base.values for base in explorer._bases())):
        assert {name: values[name] for name in explorer._visible_at(values)} in settings
    for one in explorer._visible_at(before):
        moved = {s[one] for s in settings if all(s.get(name) == before[name] for name in s if name != one)}
        assert len(moved) >= min(COARSEST, len(explorer.control(one).tour(COARSEST)))
    for group in explorer.together:
        assert set(group) <= set(before)
        at_once = [s for s in settings if set(group) <= set(s) and all(s[name] != before[name] for name in group)]
        assert at_once, f"{group} never move together"


def test_a_control_that_a_list_brings_into_sight_moves_there():
    gaussian = [s for s in LikelihoodExplorer()._plan(150) if s["family"] == "Gaussian"]
    assert {tuple(s) for s in gaussian} == {("family", "location")}
    assert len({s["location"] for s in gaussian}) > 10


def test_where_the_words_of_a_preset_send_the_reader_is_drawn():
    assert {"x": 0.7, "y": 0.5, "colour": "blue"} in Dot(PRESETS)._plan(20)
    assert {"x": 0.7, "y": 0.5, "colour": "blue"} not in Dot({"sea": Preset("", {"colour": "blue"})})._plan(20)
    with pytest.raises(ValueError, match=r"^x: got 7, expected a finite number >= 0 and <= 1"):
        Dot({"sea": Preset("", {}, then={"x": (7,)})})


def test_a_finer_grid_is_taken_where_it_fits():
    explorer = Dot(PRESETS)
    counts = [len(explorer._plan(most)) for most in (20, 30, 200)]
    assert counts[0] < counts[1] < counts[2]
    assert counts[2] == len({tuple(s.items()) for s in explorer._plan(200)})  # nothing twice


def test_a_frozen_explorer_has_every_visible_control_and_every_preset():
    dot = Dot(PRESETS)
    dot.set(x=0.3)
    before = dot.values, dot._frame
    html = dot.freeze()
    data = data_of(html)
    assert [control["label"] for control in data["controls"]] == ["across", "up", "colour"]
    start = data["frames"][data["start"]]
    assert words_of(data, start) == {"across": "0.3", "up": "0.5", "colour": "as blood"}
    assert start["alt"] == dot.alt == re.search(r'<img [^>]*alt="([^"]*)"', html).group(1)
    assert [preset["look"] for preset in data["presets"]] == [preset.look for preset in PRESETS.values()]
    corner = data["frames"][data["presets"][0]["frame"]]
    assert corner["alt"] == "A red dot at 0, 0."
    for frame in data["frames"]:
        said = words_of(data, frame)
        colour = {"as blood": "red", "as the sea": "blue"}[said["colour"]]
        assert frame["alt"] == f"A {colour} dot at {said['across']}, {said['up']}."
    assert (dot.values, dot._frame) == before


def test_it_starts_at_the_preset_that_is_chosen():
    dot = Dot(PRESETS)
    dot.choose("sea")
    data = data_of(dot.freeze())
    assert data["chosen"] == 2
    assert data["look"] == PRESETS["sea"].look
    assert data["start"] == data["presets"][1]["frame"]
    dot.set(x=0.7)  # what to look for stays
    data = data_of(dot.freeze())
    assert (data["chosen"], data["look"]) == (0, PRESETS["sea"].look)


def test_named_controls_are_frozen_in_every_combination_and_alone():
    dot = Dot(PRESETS)
    dot.set(x=0.3)
    html = dot.freeze("x", "colour", steps=3)
    data = data_of(html)
    assert [c["words"] for c in data["controls"]] == [["0", "0.3", "0.5", "1"], ["as blood", "as the sea"]]
    assert {frame["alt"] for frame in data["frames"]} == {
        f"A {colour} dot at {x}, 0.5." for x in ("0", "0.3", "0.5", "1") for colour in ("red", "blue")
    }
    assert len(set(data["pictures"])) == len(data["frames"]) == 8
    assert data["presets"] == []
    assert "<select data-presets" not in html


def test_pictures_go_into_the_html_or_into_a_folder_once_each_and_named_by_what_they_hold(tmp_path):
    dot = Dot(PRESETS)
    inline, kept = data_of(dot.freeze()), data_of(dot.freeze(folder=tmp_path / "frames", address="_static/frames/"))
    files = {path.name: path.read_bytes() for path in (tmp_path / "frames").iterdir()}
    assert set(kept["pictures"]) == set(files)
    assert all(name == hashlib.sha256(held).hexdigest()[:20] + ".webp" for name, held in files.items())
    assert [files[name] for name in kept["pictures"]] == [base64.b64decode(text) for text in inline["pictures"]]
    assert [kept["frames"], kept["address"]] == [inline["frames"], "_static/frames/"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "frames").iterdir()}
    dot.freeze(folder=tmp_path / "frames", address="_static/frames/")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "frames").iterdir()} == before


def test_in_the_book_an_explorer_is_its_frozen_self(tmp_path, monkeypatch):
    dot = Dot(PRESETS)
    assert "lossbook-frozen" not in dot._repr_mimebundle_()["text/html"]
    monkeypatch.setenv("LOSSBOOK_FREEZE", str(tmp_path))
    bundle = dot._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/html"] == dot.freeze(folder=tmp_path, address="_static/frames/")
    assert dot.alt in bundle["text/plain"]


def test_a_frozen_explorer_loads_nothing_and_reads_the_same_under_any_encoding(tmp_path):
    html = Dot(PRESETS).freeze(path=tmp_path / "dot.html")
    page = (tmp_path / "dot.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert html in page
    assert html.isascii()
    assert re.findall(r'(?:src|href)="(?!data:image/webp;base64,)', html) == []
    assert "http" not in re.sub(r'"pictures":\[[^]]*\]|base64,[^"]*"', "", html)


def test_every_control_has_a_name_and_every_slider_says_its_value():
    html = SimplexExplorer("cross_entropy").freeze("z_0", "target", steps=2)
    fields = re.findall(r"<(?:input|select) [^>]*>", html)
    assert len(fields) == 2
    assert all('aria-label="' in field for field in fields)
    assert 'aria-label="z&#8320;" aria-valuetext="1"' in html


def test_a_caption_cannot_break_out_of_the_frozen_page():
    class Hostile(Dot):
        def _show(self, values):
            super()._show(values)
            return f'"><script>alert({values["x"]})</script>', "</script><b>bold</b>"

    html = Hostile({"<i>": Preset("<u>", {"x": 0.0})}).freeze()
    assert html.count("<script") == html.count("</script>") == 2
    assert not re.search("<[biu]>", html)


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (("z",), {}, ValueError, "names: got 'z', expected one of "),
        (("x", "y"), {"steps": 20, "most": 100}, ValueError, "steps: got '121 pictures (11 of x × 11 of y)'"),
        (("x",), {"steps": 1}, ValueError, "steps: got 1, expected an integer >= 2"),
        (("x",), {"steps": 2.5}, TypeError, "steps: got 2.5"),
        ((), {"most": 0}, ValueError, "most: got 0, expected an integer >= 1"),
        ((), {"most": 5}, ValueError, "most: got 5, expected at least 15: fewer do not hold every control and preset"),
    ],
)
def test_what_cannot_be_frozen_is_refused(names, options, error, message):
    dot = Dot(PRESETS)
    before = dot.values, dot._frame
    with pytest.raises(error, match=re.escape(message)):
        dot.freeze(*names, **options)
    assert (dot.values, dot._frame) == before


def test_a_plan_draws_groups_together_from_the_first_base_only():
    controls = {name: Dot().control(name) for name in ("x", "y")}
    start, preset = {"x": 0.5, "y": 0.5}, {"x": 0.0, "y": 1.0}
    alone = planned([start, preset], [{}, {}], controls, list, (), None, most=200)
    both = planned([start, preset], [{}, {}], controls, list, (("x", "y"),), None, most=200)
    still = planned([start, preset], [{}, {}], controls, list, (), (), most=200)
    assert all(0.5 in s.values() or s["x"] == 0.0 or s["y"] == 1.0 for s in alone)
    assert {"x": 0.1, "y": 0.1} in both
    assert {"x": 0.1, "y": 0.1} not in alone
    assert preset in still
    assert {"x": 0.1, "y": 1.0} in alone
    assert {"x": 0.1, "y": 1.0} not in still


def test_a_palette_keeps_flat_colours_and_no_colour_far_from_its_own():
    palette, generator = Palette(), np.random.default_rng(0)
    flat = np.full((40, 60, 4), 255, np.uint8)
    flat[10:20, 10:30, :3] = (1, 115, 178)
    assert np.array_equal(pixels_of(palette.small(flat)), flat[..., :3])
    other = flat.copy()
    other[10:20, 10:30, :3] = (222, 143, 5)
    for picture in (other, flat):  # colours known before are kept
        assert np.abs(pixels_of(palette.small(picture)) - picture[..., :3]).max() <= SIX_BITS
    edge = flat.copy()
    edge[5, 5, :3] = (120, 20, 120)  # a single pixel is no area, and still must not be far off
    assert np.abs(pixels_of(palette.small(edge)) - edge[..., :3]).max() <= FAR
    noise = generator.integers(0, 256, (40, 60, 4), dtype=np.uint8)
    assert pixels_of(palette.small(noise)).shape == (40, 60, 3)  # more than any palette holds: as near as 256 come
