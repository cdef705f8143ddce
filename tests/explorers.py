"""The smallest explorer there is, for tests."""

from lossbook.figures.style import new_figure
from lossbook.widgets import Explorer
from lossbook.widgets.controls import choice, slider


class Dot(Explorer):
    """A dot at (x, y), in a colour."""

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
