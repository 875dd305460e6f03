"""Pictures of a race, in matplotlib; that of one fit is in `histories`.

A loss is drawn on a logarithmic axis wherever it is positive. Every function draws on the ``axes`` it is given, or on a
figure of its own, and returns the figure; ``figure.savefig(path)`` writes it, Jupyter shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from jaxopt_course.report import budget, schema, series, style, tables
from jaxopt_course.report.histories import history
from jaxopt_course.report.schema import Abscissa, RaceData, label
from jaxopt_course.report.style import Line, Theme

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["budget_curves", "history", "learning_curves", "race_figure", "sensitivity"]


def learning_curves(
    curves: xr.Dataset,
    x: Abscissa = "step",
    metric: str = "validation_loss",
    *,
    lines: dict[str, Line] | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
    legend: bool = True,
) -> Figure:
    """One line for each optimizer, the mean over seeds, in a band that spans them; a cross where a seed diverges.

    Args:
        curves: see :mod:`jaxopt_course.report.schema`.
        x: what to read the curves against: ``"step"``, ``"epoch"``, ``"examples"``, ``"gradient_evaluations"``, ``"seconds"``.
        metric: which variable.
        lines: which optimizers, and how each is drawn; by default all, in their order.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.
        legend: name the lines at the right.

    Returns:
        The figure.

    Raises:
        ValueError: ``x``, ``metric`` or ``theme`` is unknown.
    """
    lines = lines or style.lines(map(str, curves["optimizer"].values), theme)
    bands = {name: series.seed_band(curves, name, x, metric) for name in lines if name in curves["optimizer"]}
    with style.canvas(axes, theme, (8.4, 4.4)) as (axes, _):
        for name, band in bands.items():
            color, dash = lines[name]
            axes.fill_between(band.x, band.low, band.high, color=color, alpha=0.13, linewidth=0)
            axes.plot(band.x, band.mean, color=color, linestyle=dash, label=name)
            if band.diverged:
                last = np.flatnonzero(np.isfinite(band.mean))[-1]
                axes.plot(band.x[last], band.mean[last], "x", color=color, markersize=7, markeredgewidth=2)
        _set_range(axes, series.loss_range(curves, metric))
        axes.set(xlabel=label(x), ylabel=series.loss_label(curves, metric))
        axes.margins(x=0.01)
        if legend and bands:
            _legend_at_right(axes, {name + " (diverged)" * band.diverged: lines[name] for name, band in bands.items()})
    return style.figure_of(axes)


def sensitivity(
    tuning: xr.Dataset,
    metric: str = "validation_loss",
    *,
    lines: dict[str, Line] | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
    legend: bool = True,
) -> Figure:
    """The final validation result against the learning rate, in a band over tuning seeds; the large point was selected.

    Where a rate diverged, the line runs to a cross at the bad edge of the axes. An optimizer without a learning rate is a
    level line.

    Args:
        tuning: see :mod:`jaxopt_course.report.schema`.
        metric, lines, axes, theme, legend: as for :func:`learning_curves`.

    Returns:
        The figure.

    Raises:
        ValueError: ``metric`` or ``theme`` is unknown.
    """
    lines = lines or style.lines(map(str, tuning["optimizer"].values), theme)
    edge = series.bad_edge(tuning, metric)
    with style.canvas(axes, theme, (8.4, 4.4)) as (axes, colors):
        for name, (color, dash) in lines.items():
            rates, value, low, high, selected = series.sensitivity(tuning, name, metric)
            if not len(rates):
                for level, *ends in zip(value, low, high, strict=True):
                    axes.axhline(level, color=color, linestyle=dash)
                    axes.axhspan(*ends, color=color, alpha=0.13, linewidth=0)
                continue
            drawn, crosses = series.to_the_edge(value, edge)
            axes.fill_between(rates, low, high, color=color, alpha=0.13, linewidth=0)
            axes.plot(rates, drawn, color=color, linestyle=dash, marker="o", markersize=3)
            axes.plot(rates[crosses], drawn[crosses], "x", color=color, markersize=7, markeredgewidth=2)
            axes.plot(rates[selected], value[selected], "o", color=color, markersize=8, markeredgecolor=colors.paper, zorder=3)
        axes.set_xscale("log")
        _set_range(axes, series.sensitivity_range(tuning, metric))
        axes.set(xlabel="learning rate", ylabel=f"final {label(metric)}")
        if legend and lines:
            _legend_at_right(axes, lines)
    return style.figure_of(axes)


def budget_curves(
    tuning: xr.Dataset,
    metric: str = "validation_loss",
    *,
    selection: str = "validation_loss",
    lines: dict[str, Line] | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
    legend: bool = True,
) -> Figure:
    """What each optimizer is expected to reach with the best of so many learning rates (:mod:`~jaxopt_course.report.budget`).

    An optimizer without a learning rate is a level line.

    Args:
        tuning: see :mod:`jaxopt_course.report.schema`.
        metric: which variable; one on the test split, if there are any, is the chosen rate's there.
        selection: what chooses.
        lines, axes, theme, legend: as for :func:`learning_curves`.

    Returns:
        The figure.

    Raises:
        ValueError: ``metric`` or ``theme`` is unknown.
    """
    lines = lines or style.lines(map(str, tuning["optimizer"].values), theme)
    with style.canvas(axes, theme, (8.4, 4.4)) as (axes, _):
        searched = set(map(str, tuning["optimizer"].values))
        for name, (color, dash) in lines.items():
            if name not in searched:
                continue
            own = budget.budget(tuning, name, metric, selection)
            if len(own.tried) == 1:
                axes.axhline(own.mean[0], color=color, linestyle=dash)
                continue
            axes.plot(own.tried, own.mean, color=color, linestyle=dash, marker="o", markersize=3)
        _set_range(axes, budget.budget_range(tuning, metric, selection))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="learning rates tried", ylabel=f"expected {label(metric)}")
        if legend and lines:
            _legend_at_right(axes, lines)
    return style.figure_of(axes)


def race_figure(data: RaceData, *, axes: Sequence[Axes] | None = None, theme: Theme = "light") -> Figure:
    """The picture of a race: learning curves, sensitivity, budget, and the ranking, which is also the legend.

    Args:
        data: the race.
        axes: where to draw: curves, sensitivity, ranking, budget; instead of a new figure with the race's title.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure, tall enough for every optimizer's row.

    Raises:
        ValueError: other than four axes.
    """
    if axes is not None and len(axes) != 4:
        raise ValueError(f"race_figure: expected 4 axes: curves, sensitivity, ranking, budget; got {len(axes)}")
    lines = style.lines(data.optimizers, theme)
    with style.themed(theme) as colors:
        top, middle, right, bottom = _race_panels(len(lines), colors) if axes is None else axes
        learning_curves(data.curves, lines=lines, axes=top, theme=theme, legend=False)
        sensitivity(data.tuning, lines=lines, axes=middle, theme=theme, legend=False)
        by, selection = f"test_{data.attrs['metric']}", data.attrs["selection"]
        shown = by if by in budget.metrics(data.tuning) else selection
        budget_curves(data.tuning, shown, selection=selection, lines=lines, axes=bottom, theme=theme, legend=False)
        top.set_title("Learning curves: mean and range over seeds")
        middle.set_title("Sensitivity: the large points were selected, crosses diverged")
        bottom.set_title("Budget: what the best of so many rates is expected to reach")
        _ranking(right, data, lines, colors)
        figure = style.figure_of(top)
        if axes is None:
            figure.suptitle(data.attrs["title"] + " (incomplete)" * bool(data.attrs["incomplete"]), x=0.01, ha="left")
            figure.supxlabel(tables.settings_line(data), x=0.01, ha="left", fontsize=8, color=colors.muted)
    return figure


def _race_panels(rows: int, colors: style.Palette) -> Iterator[Axes]:
    figure = style.Figure(figsize=(13, max(11.0, 3 + 0.36 * rows)))
    grid = figure.add_gridspec(3, 2, width_ratios=(1.75, 1))
    return (style.dress(figure.add_subplot(grid[at]), colors) for at in ((0, 0), (1, 0), (slice(3), 1), (2, 0)))


def _set_range(axes: Axes, limits: tuple[float, float] | None) -> None:
    if limits:
        axes.set_ylim(limits)
        style.log_axis(axes)


def _ranking(axes: Axes, data: RaceData, lines: dict[str, Line], colors: style.Palette) -> None:
    metric = data.attrs["metric"]
    rows = [row for row in tables.rows(data) if row.name in lines]
    for height, row in enumerate(rows):
        color, dash = lines[row.name]
        mean, low, high = (schema.scale(metric) * value for value in row.estimate)
        axes.plot([low, high], [height, height], color=color, linewidth=2)
        axes.plot(mean, height, "o", color=color, markersize=6)
        sample = {"arrowstyle": "-", "color": color, "linestyle": dash, "linewidth": 2, "shrinkA": 0, "shrinkB": 6}
        axes.annotate("", (0, height), (-38, 0), axes.get_yaxis_transform(), "offset points", sample, annotation_clip=False)
        axes.text(1.03, height, row.result, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    for height, text in enumerate(axes.get_yticklabels()):
        text.set_fontweight("bold" if height == 0 or rows[height].p_value > tables.SIGNIFICANCE else "normal")
    axes.tick_params(axis="y", pad=42, labelcolor=colors.ink, labelsize=9)
    axes.grid(False, axis="y")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"test {label(metric)}")
    axes.set_title(f"Ranking, {tables.level(data)} intervals; bold: tied with the best")


def _legend_at_right(axes: Axes, lines: dict[str, Line]) -> None:
    handles = [Line2D([], [], color=color, linestyle=dash) for color, dash in lines.values()]
    axes.legend(handles, list(lines), loc="upper left", bbox_to_anchor=(1.01, 1.0), handlelength=2.6)
