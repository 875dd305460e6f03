"""The pictures of sweeps for a browser or a notebook, in plotly: hover for numbers, click the legend, brush the axes.

Every function takes what its twin in `sweeps` takes, draws the same numbers (`panels`), and returns a plotly figure;
``figure.write_html(path)`` makes a page that needs no network. In the place of ``axes``, ``figure`` is where to draw, and
``row`` and ``col`` its cell, if plotly's ``make_subplots`` made it (see :func:`jaxopt_course.report.cells.placed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_course.report import panels, style, swept
from jaxopt_course.report.cells import DASHES, placed
from jaxopt_course.report.panels import Curve, Curves, Table
from jaxopt_course.report.style import Palette, Theme
from jaxopt_course.report.swept import Axis, Outcome

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

__all__ = ["heatmap", "parallel", "sensitivity"]

ROW = 0.028


def sensitivity(
    results: xr.Dataset | Mapping[str, xr.Dataset],
    metric: str = "validation_loss",
    *,
    x: str | None = None,
    by: str | None = None,
    falls: bool | None = None,
    figure: go.Figure | None = None,
    row: int | None = None,
    col: int | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """:func:`jaxopt_course.report.sweeps.sensitivity` in plotly."""
    picture = panels.curves(results, metric, x, by, falls)
    lines = style.lines(picture.curves, theme)
    traces = [
        trace
        for row, (name, curve) in enumerate(picture.curves.items())
        for trace in _curve(name, curve, lines[name], picture, row)
    ]
    cut = (
        {"type": "log", "range": np.log10(picture.limits).tolist(), "dtick": "D2", "tickformat": "~g"}
        if picture.limits
        else {}
    )
    edge = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    legend = {"title": {"text": picture.split}} if picture.split else {}
    layout = _layout(
        theme, picture.title, xaxis=_axis(picture.axis), yaxis={"title": {"text": picture.label}} | cut, yaxis2=edge,
        legend=legend,
    )  # fmt: skip
    return placed("sensitivity", traces, layout, figure, row, col)


def heatmap(
    results: xr.Dataset,
    metric: str = "validation_loss",
    *,
    x: str | None = None,
    by: str | None = None,
    falls: bool | None = None,
    figure: go.Figure | None = None,
    row: int | None = None,
    col: int | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """:func:`jaxopt_course.report.sweeps.heatmap` in plotly."""
    own = swept.outcome(results, metric, falls=falls)
    plane, colors = panels.table(own, x, by), style.palette(theme)
    traces = _points(own, plane, colors) if own.drawn else _cells(own, plane, colors)
    as_drawn = _axis if own.drawn else lambda axis: _axis(axis) | {"type": "category"}
    layout = _layout(theme, own.title, xaxis=as_drawn(plane.across), yaxis=as_drawn(plane.up))
    return placed("heatmap", traces, layout, figure, row, col)


def parallel(
    results: xr.Dataset,
    metric: str = "validation_loss",
    *,
    falls: bool | None = None,
    figure: go.Figure | None = None,
    row: int | None = None,
    col: int | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """:func:`jaxopt_course.report.sweeps.parallel` in plotly: drag along an axis to keep only what passes there.

    Its cell must be of type ``"domain"``.
    """
    own = swept.outcome(results, metric, falls=falls)
    colors, columns = style.palette(theme), panels.columns(own)
    order = np.argsort(-own.cost, kind="stable")  # the best on top
    order = order[np.isfinite(columns[-1].heights[order])]
    dimensions = [
        {
            "label": column.name,
            "values": column.heights[order],
            "tickvals": [height for height, _ in column.ticks],
            "ticktext": [text for _, text in column.ticks],
            "range": [min(0, column.heights[order].min(initial=0)), max(1, column.heights[order].max(initial=1))],
        }
        for column in columns
    ]
    shade = np.where(own.diverged, 1.2, _shades(own))
    if own.best is not None:
        shade[own.best] = 1.4
    flat = [(1.1, colors.muted), (1.3, colors.muted), (1.3, colors.cycle[1]), (1.5, colors.cycle[1])]  # diverged, and best
    scale = [[place / 1.5, color] for place, color in [*_viridis(own.falls), (1.1, _viridis(own.falls)[-1][1]), *flat]]
    line = {"color": shade[order], "cmin": 0, "cmax": 1.5, "colorscale": scale}
    trace = {"type": "parcoords", "dimensions": dimensions, "line": line, "tickfont": {"color": colors.ink}}
    layout = _layout(theme, own.title, margin={"l": 80, "r": 110, "t": 100, "b": 30})
    return placed("parallel", [trace], layout, figure, row, col)


def _curve(name: str, curve: Curve, line: style.Line, picture: Curves, row: int) -> list[dict[str, Any]]:
    """Band, line and marks of one curve; the legend hides and shows them together."""
    common = {"type": "scatter", "name": name, "legendgroup": name, "showlegend": False, "hoverinfo": "skip"}
    numbers = "%{x:.4g}: %{y:.4g}<br>seeds: %{customdata[0]:.4g} to %{customdata[1]:.4g}"
    mark = {"color": line.color, "size": 6 if picture.drawn else 5}
    main = common | {
        "x": curve.x, "y": curve.mean, "mode": "markers" if picture.drawn else "lines+markers", "marker": mark,
        "line": {"color": line.color, "dash": DASHES[line.dash], "width": 2}, "hoverinfo": None,
        "hovertemplate": numbers.replace("%{x:.4g}", "%{x}" if picture.axis.scale == "category" else "%{x:.4g}"),
        "customdata": np.stack([curve.low, curve.high], -1), "showlegend": bool(name),
    }  # fmt: skip
    traces = [main]
    if picture.drawn:
        over, under = np.maximum(0, curve.high - curve.mean), np.maximum(0, curve.mean - curve.low)
        main["error_y"] = {"array": over, "arrayminus": under, "symmetric": False, "thickness": 1, "width": 0}
    else:
        x, y = _polygons(curve)
        band = {
            "x": x,
            "y": y,
            "mode": "lines",
            "fill": "toself",
            "line": {"width": 0},
            "fillcolor": line.color,
            "opacity": 0.15,
        }
        traces.insert(0, common | band)
    if curve.best >= 0:
        best = {"color": line.color, "size": 12}
        traces.append(common | {"x": [curve.x[curve.best]], "y": [curve.mean[curve.best]], "mode": "markers", "marker": best})
    height = 0.985 - ROW * row if picture.falls else 0.015 + ROW * row
    for where, symbol, text in (
        (curve.diverged, "x-thin-open", "diverged"), (picture.off_scale(curve), "triangle-up", "off the scale"),
    ):  # fmt: skip
        if where.any():
            marks = {"color": line.color, "symbol": symbol, "size": 9, "line": {"width": 2, "color": line.color}}
            at = {"x": curve.x[where], "y": np.full(where.sum(), height), "yaxis": "y2", "mode": "markers", "marker": marks}
            values = {"customdata": curve.mean[where], "hoverinfo": None}
            shown = f"%{{x}}: {text}" + (": %{customdata:.4g}" if text != "diverged" else "")
            traces.append(common | at | values | {"hovertemplate": shown})
    return traces


def _polygons(curve: Curve) -> tuple[list[Any], list[Any]]:
    """The band's outline, one closed piece for each stretch without gaps."""
    x, y = [], []
    at = np.flatnonzero(np.isfinite(curve.mean))
    for piece in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
        x += [*curve.x[piece], *curve.x[piece][::-1], None]
        y += [*curve.low[piece], *curve.high[piece][::-1], None]
    return x, y


def _cells(own: Outcome, plane: Table, colors: Palette) -> list[dict[str, Any]]:
    z, bar = _colored(own, plane.means)
    x, y = plane.across.texts, plane.up.texts
    cells = {
        "type": "heatmap", "x": x, "y": y, "z": z, "customdata": plane.means, "zmin": 0, "zmax": 1,
        "colorbar": bar | _title(plane), "colorscale": _viridis(own.falls), "hoverongaps": False,
        "hovertemplate": f"{plane.across.label} %{{x}}, {plane.up.label} %{{y}}: %{{customdata:.4g}}<extra></extra>",
    }  # fmt: skip
    found = np.argwhere(plane.diverged)
    crosses = _marks([x[j] for _, j in found], [y[i] for i, _ in found], "x-thin-open", colors.muted, 9, "diverged")
    best = [plane.best] if plane.best else []
    frame = _marks([x[j] for _, j in best], [y[i] for i, _ in best], "square-open", colors.cycle[1], 22, "best")
    return [cells, crosses, frame]


def _points(own: Outcome, plane: Table, colors: Palette) -> list[dict[str, Any]]:
    x, y = (axis.positions[axis.at] for axis in (plane.across, plane.up))
    z, bar = _colored(own, own.mean)
    marker = {
        "color": z, "cmin": 0, "cmax": 1, "colorscale": _viridis(own.falls), "size": 10, "colorbar": bar | _title(plane),
        "line": {"color": colors.muted, "width": 0.5},
    }  # fmt: skip
    shown = np.isfinite(own.mean)
    marker["color"] = z[shown]
    points = {
        "type": "scatter", "mode": "markers", "x": x[shown], "y": y[shown], "marker": marker, "customdata": own.mean[shown],
        "hovertemplate": "%{x:.4g}, %{y:.4g}: %{customdata:.4g}<extra></extra>", "showlegend": False,
    }  # fmt: skip
    crosses = _marks(x[own.diverged], y[own.diverged], "x-thin-open", colors.muted, 9, "diverged")
    best = [] if own.best is None else [own.best]
    return [points, crosses, _marks(x[best], y[best], "circle-open", colors.cycle[1], 18, "best")]


def _marks(x: Any, y: Any, symbol: str, color: str, size: int, text: str) -> dict[str, Any]:
    marker = {"symbol": symbol, "size": size, "color": color, "line": {"width": 2.5, "color": color}}
    at = {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker, "showlegend": False}
    return at | {"hovertemplate": f"%{{x}}, %{{y}}: {text}<extra></extra>"}


def _shades(own: Outcome, values: np.ndarray | None = None) -> np.ndarray:
    """Results between 0 and 1, logarithmically for a loss; what is beyond the range stops there."""
    low, high = swept.shown_range(own)
    warp = np.log if swept.limits([own]) else np.asarray
    values = np.clip(own.mean if values is None else values, low, high)
    return (warp(values) - warp(low)) / (warp(high) - warp(low))


def _colored(own: Outcome, values: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The shades of values, and the ticks of their colour bar."""
    ticks = panels.columns(own)[-1].ticks
    inside = [(height, text) for height, text in ticks if 0 <= height <= 1]
    bar = {"tickvals": [height for height, _ in inside], "ticktext": [text for _, text in inside], "outlinewidth": 0}
    return _shades(own, values), bar


def _title(plane: Table) -> dict[str, Any]:
    return {"title": {"text": plane.label, "side": "right"}}


def _viridis(falls: bool) -> list[list[Any]]:
    """The colours of `sweeps`, as plotly takes them."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    shades = colormaps["viridis_r" if falls else "viridis"]
    return [[float(place), to_hex(shades(float(place)))] for place in np.linspace(0, 1, 17)]


def _axis(own: Axis) -> dict[str, Any]:
    if own.scale == "category":
        numbers = {"tickvals": own.positions, "ticktext": own.texts}
    else:
        numbers = {"type": own.scale} | ({"dtick": 1, "tickformat": "~g"} if own.scale == "log" else {})
    return {"title": {"text": own.label}, **numbers}


def _layout(theme: Theme, title: str, **layout: Any) -> dict[str, Any]:
    colors = style.palette(theme)
    line = {"gridcolor": colors.grid, "linecolor": colors.muted, "zeroline": False, "tickfont": {"color": colors.muted}}
    axes = {name: line | layout.pop(name, {}) for name in ("xaxis", "yaxis")}
    base = {
        "title": {"text": f"<b>{title}</b>", "font": {"size": 15}, "x": 0.01},
        "font": {"family": "system-ui, sans-serif", "color": colors.ink, "size": 12},
        "paper_bgcolor": colors.paper,
        "plot_bgcolor": colors.paper,
        "margin": {"l": 70, "r": 30, "t": 50, "b": 60},
        "hovermode": "closest",
    }
    return base | axes | layout
