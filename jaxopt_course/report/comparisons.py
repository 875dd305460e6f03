"""Runs beside each other: schedules, with and without restarts; and the training cost of optimizers.

How runs are given is said in :mod:`jaxopt_course.report.runs`. Curves are means over seeds in a band that spans them; a loss
that was recorded at every step is averaged over short windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxopt_course import checks
from jaxopt_course.report import schema, style
from jaxopt_course.report.runs import Against, Runs, band, named_runs, restarts
from jaxopt_course.report.schema import label
from jaxopt_course.report.series import Band
from jaxopt_course.report.style import Line, Theme

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["schedules_compared", "training_cost", "variants"]


def schedules_compared(
    runs: Runs,
    metric: str = "loss",
    *,
    x: Against = "epoch",
    lines: Mapping[str, Line] | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """A loss, or an accuracy, under different schedules; below it their learning rates; restarts are dotted [G3, G7].

    Args:
        runs: see :mod:`jaxopt_course.report.runs`. Their ``learning_rate`` over ``step``, if there, is the lower panel; where
            it jumps up by half its range or more, that is a restart.
        metric: which variable: ``loss``, ``validation_accuracy``, …
        x: read against ``"epoch"``, ``"step"`` or ``"examples"``.
        lines: how each run is drawn, by name.
        axes: where to draw the metric alone, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: a run without the metric, or without the coordinate that ``x`` needs.
    """
    named = named_runs(runs)
    lines = lines or variants(named, theme)
    rates = {name: band(each, "learning_rate", x) for name, each in named.items() if _has_rates(each)}
    with style.themed(theme) as colors:
        if axes is not None or not rates:
            panels = [axes if axes is not None else style.dress(style.Figure(figsize=(6.8, 4.0)).subplots(), colors)]
        else:
            column = style.Figure(figsize=(6.8, 5.2)).subplots(2, sharex=True, height_ratios=(2.4, 1))
            panels = [style.dress(each, colors) for each in column]
        found = {name: band(each, metric, x, windows=True) for name, each in named.items()}
        _draw_bands(panels[0], found, lines, metric)
        for name, rate in rates.items() if len(panels) > 1 else ():
            panels[1].plot(rate.x, rate.mean, color=lines[name].color, linestyle=lines[name].dash)
        for name, rate in rates.items():
            for at in restarts(rate):
                for panel in panels:
                    panel.axvline(at, color=lines[name].color, linewidth=1.1, linestyle="dotted", zorder=1)
        panels[0].set_ylabel(label(metric))
        panels[0].legend()
        if len(panels) > 1:
            panels[1].set(ylabel="learning rate", ylim=(0, None))
        panels[-1].set_xlabel(label(x))
    return style.figure_of(panels[0])


def training_cost(
    runs: Runs,
    metric: str = "loss",
    *,
    first: float = 3,
    lines: Mapping[str, Line] | None = None,
    axes: Sequence[Axes] | None = None,
    theme: Theme = "light",
) -> Figure:
    """Training cost over the first epochs, and over the whole run: Figure 3 of the Adam paper [G4].

    Args:
        runs: see :mod:`jaxopt_course.report.runs`. A name like ``"adam + dropout"`` is drawn in the colour of ``"adam"``, with
            other dashes.
        metric: which variable.
        first: how many epochs the left panel shows, in windows of a twentieth; the right one shows all of them, each epoch's
            mean, on a logarithmic axis.
        lines: how each run is drawn, by name.
        axes: the two to draw on, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: a run without the metric or without epochs; not two axes; ``first`` is not positive.

    References:
        D. Kingma and J. Ba, Adam, ICLR 2015, Figure 3 [G4].
    """
    checks.check_number("training_cost", "first", first, checks.Interval(0, open_low=True))
    named = named_runs(runs)
    lines = lines or variants(named, theme)
    with style.themed(theme) as colors:
        if axes is None:
            figure = style.Figure(figsize=(10.4, 4.0))
            pair = [style.dress(each, colors) for each in figure.subplots(1, 2)]
        else:
            pair = list(axes)
            if len(pair) != 2:
                raise ValueError(f"training_cost: expected two axes; got {len(pair)}")
        early = {name: _until(band(each, metric, "epoch", per_epoch=20), first) for name, each in named.items()}
        whole = {name: band(each, metric, "epoch", per_epoch=1) for name, each in named.items()}
        _draw_bands(pair[0], early, lines, metric, log=False)
        _draw_bands(pair[1], whole, lines, metric)
        pair[0].set_title(f"First {first:g} epochs")
        pair[1].set_title("The whole run")
        pair[0].set(xlabel="epochs", ylabel=label(metric), xlim=(0, first))
        pair[1].set(xlabel="epochs", ylabel=label(metric))
        pair[1].legend()
    return style.figure_of(pair[0])


def variants(names: Iterable[str], theme: Theme) -> dict[str, Line]:
    """Line styles in which ``"adam + dropout"`` has the colour of ``"adam"``.

    >>> {name: line.dash for name, line in variants(["adam", "adam + dropout"], "light").items()}
    {'adam': 'solid', 'adam + dropout': 'dashed'}
    """
    parts = {name: name.partition(" + ")[::2] for name in names}
    colors = style.hues([base for base, _ in parts.values()], theme)
    kinds = list(dict.fromkeys(["", *(kind for _, kind in parts.values())]))
    if len(kinds) == 1:
        return style.lines(parts, theme)
    return {
        name: Line(colors[base], style.DASHES[kinds.index(kind) % len(style.DASHES)]) for name, (base, kind) in parts.items()
    }


def _has_rates(runs: Sequence[xr.Dataset]) -> bool:
    return all("learning_rate" in run.data_vars and run["learning_rate"].dims == ("step",) for run in runs)


def _until(curve: Band, end: float) -> Band:
    return Band(*(part[curve.x <= end + 1e-9] for part in curve))


def _draw_bands(axes: Axes, bands: Mapping[str, Band], lines: Mapping[str, Line], metric: str, *, log: bool = True) -> None:
    for name, curve in bands.items():
        color, dash = lines[name]
        if (curve.high > curve.low).any():
            axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
        mark = {"marker": "o", "markersize": 3.5} if len(curve.x) <= 12 else {}
        axes.plot(curve.x, curve.mean, color=color, linestyle=dash, label=name, **mark)
        if curve.diverged:
            last = np.flatnonzero(np.isfinite(curve.mean))[-1]
            axes.plot(curve.x[last], curve.mean[last], "x", color=color, markersize=7, markeredgewidth=2)
    values = np.concatenate([curve.mean[np.isfinite(curve.mean)] for curve in bands.values()])
    if log and schema.is_loss(metric) and len(values) and values.min() > 0:
        style.log_axis(axes)
    elif not schema.is_loss(metric) and len(values):
        axes.set_ylim(_where_it_matters(bands))
    if max(curve.x.max(initial=0) for curve in bands.values()) > 5:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.margins(x=0.01)


def _where_it_matters(bands: Mapping[str, Band]) -> tuple[float, float]:
    """The range of an accuracy from a tenth of the run on: untrained models would take all the room."""
    later = [curve.x >= 0.1 * curve.x.max(initial=0) for curve in bands.values()]
    low, high = (
        [getattr(curve, part)[when] for curve, when in zip(bands.values(), later, strict=True)] for part in ("low", "high")
    )
    bottom, top = np.nanmin(np.concatenate(low)), np.nanmax(np.concatenate(high))
    room = 0.06 * (top - bottom or 1.0)
    return bottom - room, top + room
