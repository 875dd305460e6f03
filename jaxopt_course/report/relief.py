"""Surfaces in three dimensions, with the paths on them: matplotlib for files, plotly to turn them by hand [G1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from matplotlib.colors import LightSource
from matplotlib.figure import Figure

from jaxopt_course import checks
from jaxopt_course.report import style, terrain
from jaxopt_course.report.cells import DASHES, placed
from jaxopt_course.report.paths import samples, visible
from jaxopt_course.report.style import Line, Theme
from jaxopt_course.report.terrain import Paths, Strand

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Height", "interactive", "relief", "surface_3d"]

Height = Literal["value", "log"]
GRID = 91


def surface_3d(
    function: Callable[[Any], Any],
    paths: Paths = None,
    *,
    bounds: Any = None,
    height: Height = "value",
    view: tuple[float, float] = (38.0, -60.0),
    lines: Mapping[str, Line] | None = None,
    axes: Any = None,
    theme: Theme = "light",
    legend: bool = True,
) -> Figure:
    """A surface in three dimensions, and the paths on it, in matplotlib [G1].

    Args:
        function: f of a point ``[2]``.
        paths: what was walked (see :func:`jaxopt_course.report.paths.level_curves`); None for the surface alone.
        bounds: as for :func:`~jaxopt_course.report.paths.level_curves`.
        height: the ``"value"`` of f, or its ``"log"``, log₁₀(1 + f − min f), for surfaces with steep walls.
        view: elevation and azimuth, in degrees.
        lines: how each label is drawn; by default in their order.
        axes: where to draw, made with ``projection="3d"``, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.
        legend: name the lines.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: paths that are none, bounds that are no box, axes without a third dimension, an unknown theme
            or height.

    >>> import jaxopt_course as jc
    >>> figure = surface_3d(jc.surfaces.saddle, jc.paths(jc.surfaces.saddle, {"adam": jc.adam(0.05)}, steps=50))

    References:
        Lectures 000 and 001 [G1].
    """
    if axes is not None and not hasattr(axes, "plot_surface"):
        raise TypeError("surface_3d: axes must be three-dimensional: figure.add_subplot(projection='3d')")
    own = terrain.strands(paths, "surface_3d")
    box = terrain.bounds_of(function, own, bounds, "surface_3d")
    raised = relief(function, height, box, "surface_3d")
    with style.themed(theme) as colors:
        alone = axes is None
        if axes is None:
            size = (8.2, 5.2) if legend and own else (7.0, 5.2)
            axes = style.Figure(figsize=size).add_subplot(projection="3d", computed_zorder=False)
        x, y, z = terrain.survey(raised, box, GRID, "surface_3d")
        whole: dict[str, Any] = {"rcount": GRID, "ccount": GRID, "linewidth": 0, "antialiased": False, "shade": False}
        axes.plot_surface(x, y, z, facecolors=_shaded(z, theme), **whole, zorder=1)
        if height == "value":
            axes.contour(x, y, z, terrain.levels(z, 14), colors=colors.muted, linewidths=0.6, linestyles="solid", zorder=1.5)
        looks = style.chosen("surface_3d", (strand.label for strand in own), lines, theme)
        for strand in own:
            points = _inside(strand, box)
            if len(points):
                heights = raised(points)
                color = looks[strand.label].color
                axes.plot(*points.T, heights, color=color, linestyle=looks[strand.label].dash, linewidth=2.2, zorder=4)
                axes.plot(*points[-1:].T, heights[-1:], "o", color=color, markeredgecolor=colors.paper, markersize=6, zorder=5)
        _dress(axes, box, height, view, colors)
        if legend and own:
            shown = samples(looks, dict.fromkeys(strand.label for strand in own))
            if alone:
                axes.figure.legend(handles=shown, loc="outside right upper")
            else:
                axes.legend(handles=shown, loc="upper left")
    return style.figure_of(axes)


def interactive(
    function: Callable[[Any], Any],
    paths: Paths = None,
    *,
    bounds: Any = None,
    height: Height = "value",
    lines: Mapping[str, Line] | None = None,
    figure: go.Figure | None = None,
    row: int | None = None,
    col: int | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """The same as a plotly figure, to turn, to zoom into, and to read values off; click a name to hide its paths [G1].

    ``figure.write_html("saddle.html", include_plotlyjs=True)`` makes one file of it, of about 5 MB.

    Args:
        function, paths, bounds, height, lines, theme: as for :func:`surface_3d`.
        figure: a plotly figure to draw in, instead of a new one.
        row, col: in which cell of it, from 1: ``make_subplots(1, 2, specs=[[{"type": "scene"}] * 2])`` has two.

    Returns:
        A ``plotly.graph_objects.Figure``.

    Raises:
        TypeError, ValueError: as for :func:`surface_3d`; a figure that is not plotly's, a cell that is no scene of it.

    >>> import jaxopt_course as jc
    >>> figure = interactive(jc.surfaces.saddle, jc.paths(jc.surfaces.saddle, {"adam": jc.adam(0.05)}, steps=50))
    >>> [trace.name for trace in figure.data]
    ['saddle', 'adam']
    """
    own = terrain.strands(paths, "interactive")
    box = terrain.bounds_of(function, own, bounds, "interactive")
    raised, colors = relief(function, height, box, "interactive"), style.palette(theme)
    x, y, z = terrain.survey(raised, box, 81, "interactive")
    name = getattr(function, "name", getattr(function, "__name__", "surface"))
    hover = "x %{x:.3g}<br>y %{y:.3g}<br>f %{z:.4g}"
    low, high = np.nanmin(z), np.nanmax(z)
    levels = {"show": True, "color": colors.muted, "width": 1, "start": low, "end": high, "size": (high - low) / 16 or 1.0}
    ground = {
        "type": "surface", "x": x[0], "y": y[:, 0], "z": z, "surfacecolor": terrain.ranks(z),
        "colorscale": terrain.colorscale(theme), "showscale": False, "name": name, "hovertemplate": hover,
        "contours": {"z": levels}, "showlegend": False,
    }  # fmt: skip
    looks = style.chosen("interactive", (strand.label for strand in own), lines, theme)
    walks, named = [], set()
    for strand in own:
        points = _inside(strand, box)
        color, dash = looks[strand.label]
        walks.append({
            "type": "scatter3d", "x": points[:, 0], "y": points[:, 1], "z": raised(points), "mode": "lines",
            "name": strand.label, "legendgroup": strand.label, "showlegend": strand.label not in named,
            "line": {"color": color, "width": 6, "dash": DASHES[dash]}, "customdata": strand.steps[: len(points)],
            "hovertemplate": hover + "<br>step %{customdata}",
        })  # fmt: skip
        named.add(strand.label)
    axis = {"gridcolor": colors.grid, "color": colors.muted, "backgroundcolor": colors.paper, "zerolinecolor": colors.grid}
    layout = {
        "paper_bgcolor": colors.paper, "font": {"color": colors.ink}, "margin": {"l": 0, "r": 0, "t": 20, "b": 0},
        "showlegend": True,
        "scene": {
            "xaxis": {**axis, "title": {"text": "x"}}, "yaxis": {**axis, "title": {"text": "y"}},
            "zaxis": {**axis, "title": {"text": _title(height)}},
            "aspectmode": "manual", "aspectratio": {"x": 1, "y": 1, "z": 0.6},
            "camera": {"eye": {"x": 1.3, "y": -1.4, "z": 0.9}},
        },
    }  # fmt: skip
    return placed("interactive", [ground, *walks], layout, figure, row, col)


def relief(function: Callable[[Any], Any], height: Height, box: np.ndarray, where: str) -> Callable[[np.ndarray], np.ndarray]:
    """The height to draw at points ``[..., 2]``.

    Raises:
        ValueError: an unknown ``height``.
    """
    checks.check_choice(where, "height", height, get_args(Height))
    if height == "value":
        return lambda points: terrain.values_at(function, points)
    lowest = min(float(np.nanmin(terrain.grid(function, box, 121, where)[2])), float(getattr(function, "minimum", np.inf)))
    return lambda points: np.log10(1 + np.maximum(terrain.values_at(function, points) - max(lowest, -1e30), 0))


def _inside(strand: Strand, box: np.ndarray) -> np.ndarray:
    """The points up to where the path first leaves the surface that is drawn: in 3-D nothing clips it."""
    points = visible(strand.points, box)
    out = ((points < box[:, 0]) | (points > box[:, 1])).any(axis=1)
    return points[: int(np.argmax(out))] if out.any() else points


def _shaded(z: np.ndarray, theme: Theme) -> np.ndarray:
    low, high = np.nanmin(z), np.nanmax(z)
    ground = np.where(np.isfinite(z), z, low)  # one NaN would make all of it dark
    light = LightSource(250, 55).hillshade(ground * 0.6 * len(z) / max(float(high - low), 1e-300))
    return terrain.colormap(theme)(np.nan_to_num(terrain.ranks(z)))[..., :3] * (0.7 + 0.3 * light[..., None])


def _dress(axes: Any, box: np.ndarray, height: Height, view: tuple[float, float], colors: style.Palette) -> None:
    axes.set(xlim=box[0], ylim=box[1], xlabel="x", ylabel="y", zlabel=_title(height))
    axes.set_box_aspect((1, 1, 0.6), zoom=1.05)
    axes.view_init(*view)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color(colors.paper)
        axis.line.set_color(colors.muted)
        axis._axinfo["grid"].update(color=colors.grid, linewidth=0.6)
    axes.tick_params(colors=colors.muted, labelsize=7.5, pad=0)


def _title(height: Height) -> str:
    return "f" if height == "value" else "log₁₀(1 + f − min f)"
