"""How a surface is drawn from above: deep colours for low values, thin lines between levels; and paths on it.

`landscapes` and `triptych` draw with these, so that the same height looks the same beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap

from jaxopt_course.report import style
from jaxopt_course.report.style import Palette, Theme

__all__ = ["RAMP", "draw_path", "draw_surface", "grid_values", "levels_of", "ramp"]

RAMP = {  # low to high; luminance is monotonic, so a grey print reads the same
    "light": ("#0b3c6f", "#1f6fae", "#6aa8d6", "#b9d7ec", "#eef5fa"),
    "dark": ("#8fd0ff", "#4b94cf", "#2b6090", "#1d3d5a", "#182430"),
}


def ramp(theme: Theme) -> Colormap:
    """The colours of heights, from low to high.

    Raises:
        ValueError: an unknown theme.
    """
    style.palette(theme)
    return LinearSegmentedColormap.from_list(f"valley-{theme}", RAMP[theme])


def levels_of(values: Any, count: int = 14) -> Float[np.ndarray, " level"]:
    """Levels that show a valley: equal ratios where values are positive and span a factor of ten, else closer near the bottom.

    >>> levels_of([1.0, 16.0], 5), levels_of([-1.0, 7.0], 5)
    (array([ 1.,  2.,  4.,  8., 16.]), array([-1. , -0.5,  1. ,  3.5,  7. ]))
    """
    values = np.asarray(values, float)
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))
    if not low < high:
        low, high = (low - 0.5, low + 0.5) if np.isfinite(low) else (0.0, 1.0)
    if low > 0 and high / low >= 10:
        return np.geomspace(low, high, count)
    return low + (high - low) * np.linspace(0, 1, count) ** 2


def draw_surface(
    axes: Axes, x: Any, y: Any, values: Float[np.ndarray, "y x"], levels: Float[np.ndarray, " level"], theme: Theme
) -> Any:
    """Filled level sets with thin lines between them; what is not finite stays blank. Returns what a colour bar needs."""
    values = np.ma.masked_invalid(values)
    shades = ramp(theme)(np.linspace(0, 1, len(levels)))
    filled = axes.contourf(x, y, values, levels=levels, colors=shades, extend="max")
    if not values.mask.all() and values.min() < values.max():
        axes.contour(x, y, values, levels=levels, colors=[style.palette(theme).paper], linewidths=0.5, alpha=0.55)
    axes.grid(False)
    return filled


def draw_path(axes: Axes, points: Any, color: str, colors: Palette, *, label: str | None = None, marks: bool = True) -> None:
    """A path seen from above: an outlined line, dots at its points if they are few, an open start and a star at the end."""
    points = np.asarray(points, float)
    x, y = points.T
    axes.plot(x, y, linewidth=3.2, alpha=0.75, zorder=3, color=colors.paper, solid_joinstyle="round")
    dots = "o" if len(points) <= 60 else ""
    axes.plot(x, y, color=color, linewidth=1.6, zorder=4, label=label, marker=dots, markersize=3.2, markeredgewidth=0)
    if marks:
        axes.plot(*points[0], "o", color=colors.paper, markeredgecolor=color, markeredgewidth=1.8, markersize=7, zorder=5)
        axes.plot(*points[-1], "*", color=color, markeredgecolor=colors.paper, markeredgewidth=0.9, markersize=14, zorder=6)


def grid_values(function: Callable[[Any], Any], x: Any, y: Any) -> Float[np.ndarray, "y x"]:
    """f((x, y)) on a grid, in one compiled call."""
    import jax
    import jax.numpy as jnp

    corners = jnp.stack(jnp.meshgrid(jnp.asarray(x), jnp.asarray(y)), axis=-1)
    return np.asarray(jax.jit(jax.vmap(jax.vmap(function)))(corners))
