"""Plotly's figures: alone, or in a cell of somebody's ``make_subplots``, as matplotlib's are drawn on given ``axes``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["DASHES", "placed"]

DASHES = {"solid": "solid", "dashed": "dash", "dotted": "dot", "dashdot": "dashdot"}  # plotly's names
KINDS = {"surface": "scene", "scatter3d": "scene", "parcoords": "domain"}  # else "xy"


def placed(
    where: str,
    traces: Sequence[Mapping[str, Any]],
    layout: Mapping[str, Any],
    figure: Any = None,
    row: int | None = None,
    col: int | None = None,
) -> Any:
    """Traces in a figure of their own, or added to somebody's.

    In a cell, they bring what belongs to their axes: titles, ticks, colours; names stand in a legend inside the cell, a colour
    bar beside it (for which ``horizontal_spacing=0.15`` leaves room). The look of the whole figure, and the cells' titles, are
    left to whoever made it. A figure without cells gets the whole layout.

    Args:
        where: the caller's name, for messages.
        traces: plotly's, with their ``type``, all for one kind of cell.
        layout: of a figure of their own.
        figure: where to add them. row, col: in which cell, from 1, of a ``make_subplots`` figure.

    Returns:
        The figure, a ``plotly.graph_objects.Figure`` or what was given.

    Raises:
        TypeError: ``figure`` is not plotly's. ValueError: a cell without a figure, half a cell, no cell for a figure that has
            them, a cell that is not there or of another kind.
    """
    import plotly.graph_objects as go
    from plotly.basedatatypes import BaseFigure

    if figure is None:
        if row is not None or col is not None:
            raise ValueError(f"{where}: row and col are a cell of figure: give it too, made by plotly.subplots.make_subplots")
        return go.Figure(traces, layout)
    if not isinstance(figure, BaseFigure):
        raise TypeError(f"{where}: figure must be a plotly figure; got {figure!r:.100}")
    cells = getattr(figure, "_grid_ref", None)  # what plotly.subplots.make_subplots leaves; no public name tells
    if row is None and col is None and not cells:
        return figure.add_traces(traces).update_layout(layout)
    if row is None or col is None:
        raise ValueError(f"{where}: give row and col, both, for a figure of subplots; got row={row!r}, col={col!r}")
    if not cells:
        raise ValueError(f"{where}: row and col need a figure with cells, made by plotly.subplots.make_subplots")
    _fill(figure, _cell(where, figure, row, col, KINDS.get(traces[0]["type"], "xy")), traces, layout)
    return figure


def _cell(where: str, figure: Any, row: int, col: int, kind: str) -> Any:
    """What plotly has at this place, if it is of this kind: a scene, a pair of axes, or a domain."""
    try:
        cell = figure.get_subplot(row, col)
    except ValueError as error:
        raise ValueError(f"{where}: figure has no cell row={row!r}, col={col!r}") from error
    held = figure._grid_ref[row - 1][col - 1]
    found = held[0].subplot_type if held else "empty"
    if found != kind:
        specs = f'specs=[[{{"type": "{kind}"}}, …], …]'
        raise ValueError(
            f"{where}: cell row={row}, col={col} must be of type {kind!r}: make_subplots({specs}); it is {found!r}"
        )
    return cell


def _fill(figure: Any, cell: Any, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> None:
    """Add the traces to a cell, with what the layout says of its axes."""
    references: dict[Any, dict[str, Any]]  # the axis that a trace names in a figure of its own → those it has here
    if hasattr(cell, "camera"):
        cell.update(layout["scene"])
        references, (x, y) = {None: {"scene": cell.plotly_name}}, (cell.domain.x, cell.domain.y)
    elif hasattr(cell, "xaxis"):
        cell.xaxis.update(layout.get("xaxis", {}))
        cell.yaxis.update(layout.get("yaxis", {}))
        across, up = (axis.plotly_name.replace("axis", "") for axis in cell)
        references, (x, y) = {None: {"xaxis": across, "yaxis": up}}, (cell.xaxis.domain, cell.yaxis.domain)
        if edge := layout.get("yaxis2"):
            name = _free(figure, "yaxis")
            figure.update_layout({name: {**edge, "overlaying": up, "anchor": across}})
            references["y2"] = {"xaxis": across, "yaxis": name.replace("axis", "")}
    else:
        references, (x, y) = {None: {"domain": {"x": cell.x, "y": cell.y}}}, (cell.x, cell.y)
    below = y[0] + 0.9 * (y[1] - y[0])  # the marks of what diverged are at the edge
    corner = {"x": x[1], "y": below, "xanchor": "right", "yanchor": "top", "bgcolor": "rgba(0,0,0,0)"}
    legend = _free(figure, "legend")
    named = any(trace.get("showlegend", "name" in trace) for trace in traces) and "domain" not in references[None]
    for trace in traces:
        own = {**trace, **references[trace.get("yaxis")]}
        if named:
            own |= {"legend": legend, "legendgroup": f"{legend} {trace['legendgroup']}" if "legendgroup" in trace else None}
        beside = {"x": x[1], "xpad": 4, "y": (y[0] + y[1]) / 2, "len": y[1] - y[0], "thickness": 12}
        if "colorbar" in own:
            own["colorbar"] = {**own["colorbar"], **beside}
        if "colorbar" in (marker := own.get("marker", {})):
            own["marker"] = {**marker, "colorbar": {**marker["colorbar"], **beside}}
        figure.add_trace(own)
    if named:
        figure.update_layout({legend: {**layout.get("legend", {}), **corner}})


def _free(figure: Any, kind: str) -> str:
    """A name for one more axis or legend: the first number, from 2, that the figure does not use."""
    used, number = set(figure.layout.to_plotly_json()), 2
    while f"{kind}{number}" in used:
        number += 1
    return f"{kind}{number}"
