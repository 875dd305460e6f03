"""How a surface is drawn from above: deep colours for low values, thin lines between levels; and paths on it.

`paths`, `landscapes` and `triptych` draw with these, by the levels and colours of `terrain`, so that a height is one colour
in every picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from jaxopt_course.report import style, terrain
from jaxopt_course.report.style import Line, Palette, Theme

__all__ = ["draw_path", "draw_surface"]


def draw_surface(
    axes: Axes, x: Any, y: Any, values: Float[np.ndarray, "y x"], levels: Float[np.ndarray, " level"], theme: Theme
) -> Any:
    """Filled level sets with thin lines between them; what is not finite stays blank. Returns what a colour bar needs."""
    values = np.ma.masked_invalid(values)
    shades = terrain.colormap(theme)(np.linspace(0, 1, len(levels) - 1))
    filled = axes.contourf(x, y, values, levels, colors=shades)
    if not values.mask.all() and values.min() < values.max():
        look: dict[str, Any] = {"colors": style.palette(theme).muted, "linewidths": 0.5, "linestyles": "solid", "alpha": 0.55}
        axes.contour(x, y, values, levels, **look)
    axes.grid(False)
    return filled


def draw_path(axes: Axes, points: Any, look: Line, colors: Palette, *, label: str | None = None) -> None:
    """A path seen from above: an outlined line, dots at its points if they are few, an open start and a star at the end."""
    points = np.asarray(points, float)
    (x, y), (color, dash) = points.T, look
    axes.plot(x, y, linewidth=3.2, alpha=0.75, zorder=3, color=colors.paper, solid_joinstyle="round")
    dots = "o" if len(points) <= 60 else ""
    axes.plot(
        x, y, color=color, linestyle=dash, linewidth=1.6, zorder=4, label=label, marker=dots, markersize=3.2, markeredgewidth=0
    )
    axes.plot(*points[0], "o", color=colors.paper, markeredgecolor=color, markeredgewidth=1.8, markersize=7, zorder=5)
    axes.plot(*points[-1], "*", color=color, markeredgecolor=colors.paper, markeredgewidth=0.9, markersize=14, zorder=6)
