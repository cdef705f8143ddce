"""Pictures of records, runs and surfaces: `plot_x(result, ax=None) -> ax`. Nothing here computes a result."""

from lossbook.figures.html import figure_html, show
from lossbook.figures.records import plot_curvature, plot_loss, plot_slope
from lossbook.figures.simplex import plot_simplex
from lossbook.figures.style import new_figure, styled

__all__ = ["figure_html", "new_figure", "plot_curvature", "plot_loss", "plot_simplex", "plot_slope", "show", "styled"]
