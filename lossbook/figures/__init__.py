"""Pictures of records, runs and surfaces: `plot_x(result, ax=None) -> ax`. Nothing here computes a result."""

from lossbook.figures.html import figure_html, show
from lossbook.figures.style import new_figure, styled

__all__ = ["figure_html", "new_figure", "show", "styled"]
