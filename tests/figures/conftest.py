"""Every figure that a test of this folder draws must be legible when the test is over."""

from collections.abc import Iterator

import pytest
from legibility import alike, small
from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def every_figure_is_legible(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    drawn, plain = [], Figure.__init__

    def remembered(figure, *arguments, **options):
        plain(figure, *arguments, **options)
        drawn.append(figure)

    monkeypatch.setattr(Figure, "__init__", remembered)
    yield
    for figure in drawn:
        assert not alike(figure), "told apart by colour alone"
        assert not small(figure), "too small"
        assert figure.get_facecolor() == (1, 1, 1, 1), "a dark page would show through"
