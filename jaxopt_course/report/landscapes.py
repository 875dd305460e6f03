"""The loss of a network on a plane through its parameters, with the paths of training on it [G5, G6].

A surface is a dataset over ``(beta, alpha)``, as ``Plane.evaluate`` of :mod:`jc.theory <jaxopt_course.theory>` gives it; paths
are ``[points, 2]``, as its ``project`` does. A path's own loss is not the plane's where the path is off the plane.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxopt_course import checks
from jaxopt_course.report import contours, style, terrain
from jaxopt_course.report.cells import DASHES, placed
from jaxopt_course.report.schema import label, scale
from jaxopt_course.report.style import Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

__all__ = ["landscape", "landscape_3d", "landscapes"]

LEVELS = 14  # as many as a colour bar can name


def landscape(
    surface: xr.Dataset,
    value: str | None = None,
    *,
    paths: Mapping[str, Any] | None = None,
    points: Mapping[str, Any] | None = None,
    minimum: bool = False,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """A loss surface from above, with paths and points on it [G5].

    Args:
        surface: over ``(beta, alpha)``; the axes' ``long_name`` names them.
        value: which variable; the first one by default.
        paths: name → ``[points, 2]``, the (α, β) of each point: open circle at the start, star at the end.
        points: name → (α, β), to be marked.
        minimum: mark the lowest point of the grid.
        axes: where to draw, instead of a new figure with a colour bar.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: a dataset over other axes, an unknown variable, paths or points of another shape, nothing finite.
    """
    (name,) = _values(surface, [value] if value else None)[:1]
    found = _heights(surface, name)
    with style.canvas(axes, theme, (6.4, 5.0)) as (drawn, colors):
        filled = _draw(drawn, surface, found, terrain.levels(found, LEVELS), paths, points, minimum, colors, theme)
        _name_axes(drawn, surface)
        if axes is None:
            _bar(style.figure_of(drawn), filled, [drawn], label(name), colors)
        if paths or points or minimum:
            drawn.legend(loc="upper right", frameon=True, facecolor=colors.paper, edgecolor=colors.grid, framealpha=0.85)
    return style.figure_of(drawn)


def landscapes(
    surface: xr.Dataset,
    values: Sequence[str] | None = None,
    *,
    paths: Mapping[str, Any] | None = None,
    points: Mapping[str, Any] | None = None,
    minimum: bool = True,
    axes: Sequence[Axes] | None = None,
    theme: Theme = "light",
) -> Figure:
    """Surfaces of several losses side by side, on one scale: training beside test, with both solutions on both [G6].

    Args:
        surface: over ``(beta, alpha)``, with a variable for each loss.
        values: which variables; all by default.
        paths, points: on every surface, as for :func:`landscape`.
        minimum: mark the lowest point of each surface, on all of them: what is best in training is not in the test.
        axes: where to draw, one for each surface, instead of a new figure with a colour bar.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: as for :func:`landscape`; other than one axes for each surface.
    """
    names = _values(surface, values)
    every = {name: _heights(surface, name) for name in names}
    levels = terrain.levels(np.stack(list(every.values())), LEVELS)
    marks = dict(points or {})
    if minimum:
        marks |= {f"lowest {label(name)}": _lowest(surface, heights) for name, heights in every.items()}
    with style.themed(theme) as colors:
        if axes is None:
            figure = style.Figure(figsize=(4.7 * len(names) + 0.8, 4.5))
            drawn = list(figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False)[0])
            for each in drawn:
                style.dress(each, colors)
        elif len(drawn := list(axes)) != len(names):
            raise ValueError(f"landscapes: expected {len(names)} axes, one for each surface; got {len(drawn)}")
        filled = None
        for i, (each, name) in enumerate(zip(drawn, names, strict=True)):
            filled = _draw(each, surface, every[name], levels, paths, marks, False, colors, theme)
            _name_axes(each, surface)
            each.set_title(label(name))
            if i and axes is None:
                each.set_ylabel("")
        if axes is None:
            _bar(style.figure_of(drawn[0]), filled, drawn, "", colors)
        if paths or marks:
            handles, texts = drawn[0].get_legend_handles_labels()
            if axes is None:
                style.figure_of(drawn[0]).legend(handles, texts, loc="outside lower center", ncols=min(len(texts), 4))
            else:
                drawn[0].legend(handles, texts)
    return style.figure_of(drawn[0])


def landscape_3d(
    surface: xr.Dataset,
    value: str | None = None,
    *,
    paths: Mapping[str, Any] | None = None,
    log: bool | None = None,
    figure: go.Figure | None = None,
    row: int | None = None,
    col: int | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """A loss surface to turn and to zoom into, with paths on it (plotly) [G5].

    Args:
        surface, value, paths: as for :func:`landscape`. Paths lie on the surface: at its height, interpolated.
        log: heights on a logarithmic axis; by default where they are positive and span a factor of ten.
        figure: where to add it, a plotly figure, instead of a new one.
        row, col: in which cell of it, from 1: ``make_subplots(1, 2, specs=[[{"type": "scene"}] * 2])`` has two.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The plotly figure: ``.write_html("landscape.html")`` writes it self-contained.

    Raises:
        ValueError: as for :func:`landscape`; ``log=True`` with values that are not positive; a cell that is no scene.
        TypeError: a figure that is not plotly's.
    """
    from scipy.interpolate import RegularGridInterpolator

    (name,) = _values(surface, [value] if value else None)[:1]
    heights, colors = _heights(surface, name), style.palette(theme)
    low, high = np.nanmin(heights), np.nanmax(heights)
    if log and low <= 0:
        raise ValueError(f"landscape_3d: log needs positive values; {name} goes down to {low:g}")
    log = bool(low > 0 and high / low >= 10) if log is None else log
    alpha, beta = (surface[axis].values.astype(float) for axis in ("alpha", "beta"))
    shade = np.log10(heights) if log else heights
    lines = {"show": True, "color": colors.paper, "width": 1, "usecolormap": False}
    ends = (np.log10(low), np.log10(high)) if log else (low, high)
    lines |= {"start": ends[0], "end": ends[1], "size": (ends[1] - ends[0]) / 14 or 1.0}
    ground = {
        "type": "surface", "x": alpha, "y": beta, "z": shade, "surfacecolor": terrain.ranks(shade),
        "colorscale": terrain.colorscale(theme), "showscale": False, "opacity": 0.96, "contours": {"z": lines},
        "customdata": heights,
        "hovertemplate": "α %{x:.3g}<br>β %{y:.3g}<br>" + label(name) + " %{customdata:.4g}<extra></extra>",
        "lighting": {"ambient": 0.65, "diffuse": 0.4, "specular": 0.02},
    }  # fmt: skip
    at = RegularGridInterpolator((beta, alpha), shade, bounds_error=False)
    lift = 0.012 * (ends[1] - ends[0])  # so that the surface does not hide it
    walks, looks = [], _looks(paths, theme)
    for title, path in (paths or {}).items():
        path = _path(title, path)
        between = np.linspace(0, len(path) - 1, max(len(path), 400))  # else long steps pass through the surface
        path = np.stack([np.interp(between, np.arange(len(path)), column) for column in path.T], axis=1)
        walks.append({
            "type": "scatter3d", "x": path[:, 0], "y": path[:, 1], "z": at(path[:, ::-1]) + lift, "mode": "lines",
            "name": title, "line": {"color": looks[title].color, "width": 7, "dash": DASHES[looks[title].dash]},
        })  # fmt: skip
    axis = {"backgroundcolor": colors.paper, "gridcolor": colors.grid, "color": colors.muted, "zerolinecolor": colors.grid}
    powers = _ticks(low, high) if log else None
    height = {"tickvals": np.log10(powers), "ticktext": [f"{p:g}" for p in powers]} if powers is not None else {}
    layout = {
        "paper_bgcolor": colors.paper, "margin": {"l": 0, "r": 0, "t": 10, "b": 0},
        "font": {"color": colors.ink, "family": "DejaVu Sans, Verdana, sans-serif", "size": 12},
        "showlegend": bool(paths), "legend": {"x": 0.02, "y": 0.98},
        "scene": {
            "xaxis": {"title": {"text": _axis_name(surface, "alpha"), "font": {"size": 11}}, **axis},
            "yaxis": {"title": {"text": _axis_name(surface, "beta"), "font": {"size": 11}}, **axis},
            "zaxis": {"title": {"text": label(name)}, **height, **axis},
            "aspectratio": {"x": 1, "y": 1, "z": 0.7},
            "camera": {"eye": {"x": 1.15, "y": -1.6, "z": 1.25}, "center": {"x": 0, "y": 0, "z": -0.15}},
        },
    }  # fmt: skip
    return placed("landscape_3d", [ground, *walks], layout, figure, row, col)


def _values(surface: xr.Dataset, values: Sequence[str] | None) -> list[str]:
    names = [str(name) for name in surface.data_vars if set(surface[name].dims) == {"alpha", "beta"}]
    if not names:
        raise ValueError(f"landscape: expected a dataset over ('beta', 'alpha'); got {dict(surface.sizes)}")
    for name in values or ():
        if name not in names:
            raise ValueError(f"landscape: no surface {name!r}{checks.closest(name, names)}")
    return list(values or names)


def _heights(surface: xr.Dataset, name: str) -> Float[np.ndarray, "beta alpha"]:
    heights = surface[name].transpose("beta", "alpha").values.astype(float) * scale(name)
    heights = np.where(np.isfinite(heights), heights, np.nan)
    if np.isnan(heights).all():
        raise ValueError(f"landscape: {name} is finite nowhere")
    return heights


def _path(name: str, path: Any) -> Float[np.ndarray, "points 2"]:
    points = np.asarray(path, float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"landscape: path {name!r} must be (α, β) of points, [points, 2]; got shape {points.shape}")
    return points


def _lowest(surface: xr.Dataset, heights: np.ndarray) -> tuple[float, float]:
    row, column = np.unravel_index(np.nanargmin(heights), heights.shape)
    return float(surface["alpha"][column]), float(surface["beta"][row])


def _looks(paths: Mapping[str, Any] | None, theme: Theme) -> dict[str, style.Line]:
    return style.lines(paths or (), theme, first=(1, 4, 3, 2))  # what stands out from blue


def _draw(
    axes: Axes,
    surface: xr.Dataset,
    heights: Any,
    levels: Any,
    paths: Any,
    points: Any,
    minimum: bool,
    colors: Any,
    theme: Theme,
) -> Any:
    alpha, beta = (surface[axis].values.astype(float) for axis in ("alpha", "beta"))
    filled = contours.draw_surface(axes, alpha, beta, heights, levels, theme)
    looks = _looks(paths, theme)
    for name, path in (paths or {}).items():
        contours.draw_path(axes, _path(name, path), looks[name], colors, label=name)
    marks = dict(points or {}) | ({"lowest of the grid": _lowest(surface, heights)} if minimum else {})
    for i, (name, point) in enumerate(marks.items()):
        if np.shape(point) != (2,):
            raise ValueError(f"landscape: point {name!r} must be (α, β); got {point!r}")
        axes.plot(
            *point, "DsP^v"[i % 5], color=colors.ink, markeredgecolor=colors.paper, markersize=9, markeredgewidth=1.3,
            linestyle="none", label=name, zorder=7,
        )  # fmt: skip
    axes.set(xlim=(alpha[0], alpha[-1]), ylim=(beta[0], beta[-1]))
    axes.locator_params(nbins=6, prune="both")
    return filled


def _axis_name(surface: xr.Dataset, axis: str) -> str:
    return str(surface[axis].attrs.get("long_name", {"alpha": "α", "beta": "β"}[axis]))


def _name_axes(axes: Axes, surface: xr.Dataset) -> None:
    axes.set(xlabel=_axis_name(surface, "alpha"), ylabel=_axis_name(surface, "beta"))


def _bar(figure: Figure, filled: Any, axes: Sequence[Axes], title: str, colors: style.Palette) -> None:
    bar = figure.colorbar(filled, ax=list(axes), pad=0.015, fraction=0.05, aspect=28, extendfrac=0, format="%.3g")
    bar.set_label(title)
    bar.set_ticks(filled.levels[::2])
    bar.ax.tick_params(labelcolor=colors.muted, color=colors.muted)
    bar.outline.set(edgecolor=colors.muted, linewidth=0.5)  # type: ignore[attr-defined]  # a Spine, typed as a property


def _ticks(low: float, high: float) -> np.ndarray:
    """1, 2, 5 and their powers of ten between these; powers alone where that is many.

    >>> _ticks(0.04, 3.0)
    array([0.05, 0.1 , 0.2 , 0.5 , 1.  , 2.  ])
    """
    powers = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = np.sort(np.concatenate([powers, 2 * powers, 5 * powers]))
    fine, coarse = (each[(each >= low) & (each <= high)] for each in (fine, powers))
    return fine if len(fine) <= 10 else coarse
