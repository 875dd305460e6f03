"""Pictures of sweeps, in matplotlib: sensitivity curves, heat maps, parallel coordinates.

What diverged is never left out: a cross at the bad edge of the axes, an empty cell with a cross, a dashed line that ends
beyond the scale. The best configuration, by validation, stands out. `interactive` draws the same with plotly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from jaxopt_course.report import panels, style, swept
from jaxopt_course.report.panels import Curve, Curves, Table
from jaxopt_course.report.style import Palette, Theme
from jaxopt_course.report.swept import Axis, Outcome

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["heatmap", "parallel", "sensitivity"]

ROW = 0.028  # of the axes' height: crosses of different curves do not cover each other
ANNOTATED = 10  # columns that have room for numbers
CROSS: dict[str, Any] = {"linestyle": "", "markersize": 6, "markeredgewidth": 1.6, "clip_on": False}


def sensitivity(
    results: xr.Dataset | Mapping[str, xr.Dataset],
    metric: str = "validation_loss",
    *,
    x: str | None = None,
    by: str | None = None,
    falls: bool | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """The result at the end against one axis: the mean in a band that spans the seeds, one curve for each value of another.

    Axes that are neither are chosen best, by validation, at each point. The points of a drawn space are no curve: they stand
    alone, with bars over seeds. The large point is best; crosses at the edge diverged, triangles are off the scale.

    Args:
        results: what ``jc.sweep`` returned; or several, by name, one curve for each.
        metric: a variable of it.
        x: the axis to read against; by default the learning rate, or the one with most values.
        by: the axis whose values get a curve each.
        falls: whether less of the metric is better; by default as its name says.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: an unknown metric, axis or theme (with the closest match), or no sweep's results.
    """
    picture = panels.curves(results, metric, x, by, falls)
    lines = style.lines(picture.curves, theme)
    with style.canvas(axes, theme, (7.2, 4.2)) as (axes, colors):
        for row, (name, curve) in enumerate(picture.curves.items()):
            _curve(axes, curve, lines[name], picture, row, colors)
        _numbers(axes, picture.axis, "x")
        if picture.limits:
            axes.set_ylim(picture.limits)
            style.log_axis(axes)
        axes.set(xlabel=picture.axis.label, ylabel=picture.label)
        axes.set_title(picture.title)
        _legend(axes, picture, lines, colors)
    return style.figure_of(axes)


def heatmap(
    results: xr.Dataset,
    metric: str = "validation_loss",
    *,
    x: str | None = None,
    by: str | None = None,
    falls: bool | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """The result at the end over two axes, as colour: bright is good. A frame or a ring marks the best, crosses diverged.

    A grid's values stand one after another, whatever their distances; the points of a drawn space stand where they are.

    Args:
        results: what ``jc.sweep`` returned.
        metric, x, falls, axes, theme: as for :func:`sensitivity`.
        by: the vertical axis.

    Returns:
        The figure.

    Raises:
        ValueError: as for :func:`sensitivity`; or fewer than two axes were swept.
    """
    own = swept.outcome(results, metric, falls=falls)
    plane = panels.table(own, x, by)
    with style.canvas(axes, theme, (7.2, 4.6)) as (axes, colors):
        shade = _shade(own)
        _points(axes, own, plane, shade, colors) if own.drawn else _cells(axes, plane, shade, colors)
        beyond = (own.mean > swept.shown_range(own)[1]).any()
        bar = style.figure_of(axes).colorbar(ScalarMappable(*shade), ax=axes, extend="max" if beyond else "neither")
        bar.outline.set_visible(False)  # type: ignore[operator]  # a Spine; matplotlib types it as a property
        bar.ax.tick_params(which="both", color=colors.muted, labelcolor=colors.muted)
        bar.set_label(plane.label, color=colors.muted)
        axes.set(xlabel=plane.across.label, ylabel=plane.up.label)
        axes.set_title(own.title)
    return style.figure_of(axes)


def parallel(
    results: xr.Dataset,
    metric: str = "validation_loss",
    *,
    falls: bool | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """Every configuration as a line through all axes to its result; the brighter the better, and the best one thick and red.

    Args:
        results: what ``jc.sweep`` returned.
        metric, falls, axes, theme: as for :func:`sensitivity`.

    Returns:
        The figure.

    Raises:
        ValueError: as for :func:`sensitivity`.
    """
    own = swept.outcome(results, metric, falls=falls)
    columns = panels.columns(own)
    with style.canvas(axes, theme, (1.6 + 1.7 * len(columns), 4.4)) as (axes, colors):
        shade, heights = _shade(own), np.stack([column.heights for column in columns], -1)
        worst_first = np.argsort(-own.cost, kind="stable")
        for i in worst_first[np.isfinite(heights[worst_first, -1])]:
            best, lost = i == own.best, bool(own.diverged[i])
            color = colors.cycle[1] if best else colors.muted if lost else shade(own.mean[i])
            axes.plot(
                heights[i], color=color, linestyle="dashed" if lost else "solid",
                linewidth=3 if best else 0.8 if lost else 1.2, alpha=0.45 if lost else 0.9, zorder=3 if best else 2,
                clip_on=False,
            )  # fmt: skip
        for k, column in enumerate(columns):
            axes.axvline(k, color=colors.muted, linewidth=0.8, ymin=0.02, ymax=0.98, zorder=1)
            for height, text in column.ticks:
                axes.annotate(
                    text, (k, height), (-5, 0), textcoords="offset points", va="center", ha="right", fontsize=8, zorder=4,
                    bbox={"boxstyle": "round,pad=0.1", "facecolor": colors.paper, "edgecolor": "none", "alpha": 0.75},
                    color=colors.ink,
                )  # fmt: skip
        axes.set_xticks(range(len(columns)), [column.name for column in columns])
        axes.set_yticks([])
        axes.set(
            xlim=(-0.4, len(columns) - 0.9), ylim=(np.nanmin(heights, initial=0) - 0.03, np.nanmax(heights, initial=1) + 0.03)
        )
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(axis="x", labelcolor=colors.ink, labelsize=9.5)
        axes.set_title(own.title)
    return style.figure_of(axes)


def _curve(axes: Axes, curve: Curve, line: style.Line, picture: Curves, row: int, colors: Palette) -> None:
    color, dash = line
    at = curve.x
    if picture.drawn:
        bars = np.maximum(0, [curve.mean - curve.low, curve.high - curve.mean])
        axes.errorbar(at, curve.mean, bars, color=color, fmt="o", markersize=3.5, elinewidth=0.8, alpha=0.8)
    else:
        axes.fill_between(at, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
        axes.plot(at, curve.mean, color=color, linestyle=dash, marker="o", markersize=3)
    if curve.best >= 0:
        axes.plot(
            at[curve.best], curve.mean[curve.best], "o", color=color, markersize=8, markeredgecolor=colors.paper, zorder=4
        )
    height = 0.985 - ROW * row if picture.falls else 0.015 + ROW * row
    edge = axes.get_xaxis_transform()
    for where, marker in ((curve.diverged, "x"), (picture.off_scale(curve), "^")):
        _crosses(axes, at[where], np.full(where.sum(), height), color, marker, transform=edge)


def _crosses(axes: Axes, x: Any, y: Any, color: str, marker: str = "x", **options: Any) -> None:
    """Marks that may stand over the edge. None where there are none: matplotlib would look for an unclipped, empty line in the
    figure's corner, and a constrained layout give it room."""
    if len(x):
        axes.plot(x, y, color=color, marker=marker, **CROSS, **options)


def _legend(axes: Axes, picture: Curves, lines: Mapping[str, style.Line], colors: Palette) -> None:
    look = lambda dash: (dash, None) if not picture.drawn else ("", "o")
    handles = [
        Line2D([], [], color=color, label=name, linestyle=look(dash)[0], marker=look(dash)[1])
        for name, (color, dash) in lines.items()
        if name
    ]
    notes = {"x": picture.diverged and "diverged", "^": picture.any_off_scale and "off the scale"}
    handles += [Line2D([], [], color=colors.muted, label=text, marker=m, **CROSS) for m, text in notes.items() if text]
    if handles:
        axes.legend(handles=handles, title=picture.split, loc="upper left", bbox_to_anchor=(1.01, 1.0), handlelength=2.4)


def _numbers(axes: Axes, own: Axis, which: str) -> None:
    """The axis of a swept name: logarithmic, linear, or one label for each value."""
    axis = getattr(axes, f"{which}axis")
    if own.scale == "category":
        axis.set_ticks(own.positions, own.texts)
    else:
        getattr(axes, f"set_{which}scale")(own.scale)


class _Shade(NamedTuple):
    """From results to colours, bright for good ones; logarithmic for a loss."""

    norm: Normalize
    cmap: Colormap

    def __call__(self, value: Any) -> tuple[float, ...]:
        return tuple(np.asarray(self.cmap(self.norm(value)), float))


def _shade(own: Outcome) -> _Shade:
    low, high = swept.shown_range(own)
    return _Shade(
        (LogNorm if swept.limits([own]) else Normalize)(low, high), colormaps["viridis_r" if own.falls else "viridis"]
    )


def _cells(axes: Axes, plane: Table, shade: _Shade, colors: Palette) -> None:
    means, best = plane.means, plane.best
    axes.imshow(means, cmap=shade.cmap, norm=shade.norm, origin="lower", aspect="auto", interpolation="nearest")
    axes.grid(False)
    crosses = np.argwhere(plane.diverged)
    _crosses(axes, crosses[:, 1], crosses[:, 0], colors.muted)
    for i, j in np.argwhere(np.isfinite(means)) if means.shape[1] <= ANNOTATED and len(means) <= 2 * ANNOTATED else ():
        dark = np.dot(shade(means[i, j])[:3], (0.299, 0.587, 0.114)) < 0.5
        axes.text(
            j,
            i,
            f"{means[i, j]:.3g}" if abs(means[i, j]) < 100 else f"{means[i, j]:.0f}",
            ha="center",
            va="center",
            fontsize=7.5,
            color="#ffffff" if dark else "#1c2024",
        )
    if best:
        frame = {"fill": False, "edgecolor": colors.cycle[1], "linewidth": 2.5, "zorder": 4, "clip_on": False}
        axes.add_patch(Rectangle((best[1] - 0.5, best[0] - 0.5), 1, 1, **frame))
    for which, axis in (("x", plane.across), ("y", plane.up)):
        every = -(-len(axis.values) // 12)
        rotated = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if which == "x" and len(axis.values) > 8 else {}
        getattr(axes, f"set_{which}ticks")(range(0, len(axis.values), every), axis.texts[::every], **rotated)


def _points(axes: Axes, own: Outcome, plane: Table, shade: _Shade, colors: Palette) -> None:
    x, y = (axis.positions[axis.at] for axis in (plane.across, plane.up))
    axes.scatter(x, y, 42, own.mean, cmap=shade.cmap, norm=shade.norm, edgecolor=colors.muted, linewidth=0.5, zorder=2)
    _crosses(axes, x[own.diverged], y[own.diverged], colors.muted)
    if own.best is not None:
        axes.plot(x[own.best], y[own.best], "o", markersize=12, fillstyle="none", color=colors.cycle[1], markeredgewidth=2.5)
    _numbers(axes, plane.across, "x")
    _numbers(axes, plane.up, "y")
