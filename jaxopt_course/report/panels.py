"""What the pictures of sweeps show: curves along an axis, a table over two, heights on many. Numbers only.

`sweeps` (matplotlib) and `interactive` (plotly) draw these, so that a picture and its interactive twin cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.ticker import LogLocator, MaxNLocator

from jaxopt_course.report import swept
from jaxopt_course.report.swept import Axis, Outcome

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Column", "Curve", "Curves", "Table", "columns", "curves", "table"]

MOST_CURVES = 8  # as many colours as there are
FEW = 7  # ticks with a value each


class Curve(NamedTuple):
    """Results along one axis: positions, ascending; mean and range over seeds, NaN where there is none; where it diverged;
    and which point is best (or none: -1).
    """

    x: Float[np.ndarray, " value"]
    mean: Float[np.ndarray, " value"]
    low: Float[np.ndarray, " value"]
    high: Float[np.ndarray, " value"]
    diverged: Bool[np.ndarray, " value"]
    best: int


class Curves(NamedTuple):
    """All curves of a picture, by name ("" for a single one), and what its axes say.

    ``title``, ``label`` of the results, the ``axis`` read against, what the curves are ``split`` by (its name, or None), where
    the results' logarithmic axis is cut (``limits``, None: linear); whether less is better (``falls``) and whether they are
    points of a drawn space (``drawn``).
    """

    curves: dict[str, Curve]
    title: str
    label: str
    axis: Axis
    split: str | None
    limits: tuple[float, float] | None
    falls: bool
    drawn: bool

    @property
    def diverged(self) -> bool:
        """Whether there is anything to mark as such."""
        return any(curve.diverged.any() for curve in self.curves.values())

    @property
    def any_off_scale(self) -> bool:
        return any(self.off_scale(curve).any() for curve in self.curves.values())

    def off_scale(self, curve: Curve) -> Bool[np.ndarray, " value"]:
        """Results that are finite, and beyond the cut."""
        return curve.mean > self.limits[1] if self.limits else np.zeros(len(curve.x), bool)


class Table(NamedTuple):
    """Means over two axes, [up, across]; which diverged; the place (up, across) of the best."""

    across: Axis
    up: Axis
    means: Float[np.ndarray, "up across"]
    diverged: Bool[np.ndarray, "up across"]
    best: tuple[int, int] | None
    label: str


class Column(NamedTuple):
    """One of parallel coordinates: each configuration's height in [0, 1] (above it: diverged; NaN: missing), and its ticks."""

    name: str
    heights: Float[np.ndarray, " configuration"]
    ticks: list[tuple[float, str]]


def curves(
    results: xr.Dataset | Mapping[str, xr.Dataset], metric: str, x: str | None, by: str | None, falls: bool | None
) -> Curves:
    """One sweep's curves, one for each value of ``by``; or one for each of several sweeps.

    Raises:
        ValueError: an unknown metric or axis; no sweeps; several that do not share an axis.
    """
    import xarray as xr

    if isinstance(results, xr.Dataset):
        own = swept.outcome(results, metric, falls=falls)
        x, by = _defaults(own, x, by)
        found, outcomes, label = _split(own, x, by), [own], own.label + _others(own, x, by)
        split = own.axes[by].label if by else None
        return Curves(found, own.title, label, own.axes[x], split, swept.limits(outcomes), own.falls, own.drawn)
    if not isinstance(results, Mapping) or not results:
        raise ValueError(f"plot: results must be a sweep's dataset, or some by name: {{'adam': …}}; got {results!r:.200}")
    if by is not None:
        raise ValueError(f"plot: several sweeps have one curve each; got by={by!r}")
    outcomes = {str(name): swept.outcome(one, metric, falls=falls) for name, one in results.items()}
    first = next(iter(outcomes.values()))
    x = x or _defaults(first, None, None)[0]
    axes = [own.axis(x) for own in outcomes.values()]
    if any(
        (axis.scale, axis.values) != (axes[0].scale, axes[0].values)
        for axis in axes
        if "category" in (axis.scale, axes[0].scale)
    ):
        raise ValueError(f"plot: {x} has other values in each sweep: {[axis.texts for axis in axes]}")
    found = {name: _split(own, x, None)[""] for name, own in outcomes.items()}
    rest = dict.fromkeys(n for own in outcomes.values() for n, axis in own.axes.items() if n != x and len(axis.values) > 1)
    label = first.label + (", best of the other axes" if rest else "")
    axis = axes[0]._replace(scale="log") if any(axis.scale == "log" for axis in axes) else axes[0]
    limits, drawn = swept.limits(list(outcomes.values())), any(own.drawn for own in outcomes.values())
    return Curves(found, _problem(results), label, axis, None, limits, first.falls, drawn)


def table(own: Outcome, x: str | None, by: str | None) -> Table:
    """The results over two axes; in each cell, of the configurations that differ in other axes, the best one's.

    Raises:
        ValueError: an unknown axis, twice the same, or fewer than two were swept.
    """
    if len(own.axes) < 2:
        raise ValueError(f"plot: a heat map needs two axes; only {', '.join(own.axes)} was swept")
    x = x or _defaults(own, None, by)[0]
    by = by or next(name for name in own.axes if name != x)
    across, up = _differ(own, x, by)
    means, diverged, costs = (np.full((len(up.values), len(across.values)), fill) for fill in (np.nan, 0.0, np.inf))
    for place in np.ndindex(means.shape):
        if (c := _lowest(own, (up.at == place[0]) & (across.at == place[1]))) is not None:
            means[place], diverged[place], costs[place] = own.mean[c], own.diverged[c], own.cost[c]
    row, column = np.unravel_index(int(np.argmin(costs)), costs.shape)
    best = (int(row), int(column)) if np.isfinite(costs).any() else None
    return Table(across, up, means, diverged.astype(bool), best, own.label + _others(own, x, by))


def columns(own: Outcome) -> list[Column]:
    """The axes, then the result."""
    found = [_column(axis.label, axis.positions[axis.at], axis.scale == "log", axis) for axis in own.axes.values()]
    low, high = swept.shown_range(own)
    result = _column(own.label, np.clip(own.mean, low, high), swept.limits([own]) is not None)
    if not own.diverged.any():
        return [*found, result]
    beyond = 1.1 if own.falls else -0.1
    heights = np.where(own.diverged, beyond, result.heights)
    return [*found, Column(result.name, heights, [*result.ticks, (beyond, "diverged")])]


def _column(name: str, values: np.ndarray, log: bool, axis: Axis | None = None) -> Column:
    warp = np.log if log else np.asarray
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    height = lambda v: (
        (warp(v) - warp(low)) / (warp(high) - warp(low)) if high > low else np.where(np.isfinite(v), 0.5, np.nan)
    )
    if axis and (axis.scale == "category" or len(axis.values) <= FEW):
        return Column(name, height(values), [(float(height(v)), t) for v, t in zip(axis.positions, axis.texts, strict=True)])
    decades = LogLocator(subs=(1,) if high > 300 * low else (1, 2, 5), numticks=FEW)
    at = decades.tick_values(low, high) if log else MaxNLocator(FEW - 1).tick_values(low, high)
    inside = [float(v) for v in at if low <= v <= high]
    inside = inside if len(inside) > 1 else [low, high]
    return Column(name, height(values), [(float(height(v)), f"{v:.3g}") for v in dict.fromkeys(inside)])


def _split(own: Outcome, x: str, by: str | None) -> dict[str, Curve]:
    """A curve for each value of ``by`` (its text; "" if there is none). At each value of ``x``, of the configurations that
    differ in other axes, the best one's result.
    """
    along, split = _differ(own, x, by) if by else (own.axis(x), None)
    found = {}
    for k, name in enumerate(split.texts if split else [""]):
        mine = np.ones(len(own.mean), bool) if split is None else split.at == k
        chosen = {i: c for i in range(len(along.values)) if (c := _lowest(own, mine & (along.at == i))) is not None}
        at = np.array(list(chosen.values()), int)
        best = int(np.argmin(own.cost[at])) if np.isfinite(own.cost[at]).any() else -1
        found[name] = Curve(along.positions[list(chosen)], own.mean[at], own.low[at], own.high[at], own.diverged[at], best)
    return found


def _differ(own: Outcome, x: str, by: str) -> tuple[Axis, Axis]:
    if x == by:
        raise ValueError(f"plot: x and by must differ; got {x!r} twice")
    return own.axis(x), own.axis(by)


def _lowest(own: Outcome, among: np.ndarray) -> int | None:
    """The configuration with the lowest cost; of those without a cost, a diverged one."""
    at = np.flatnonzero(among)
    return int(at[np.lexsort((~own.diverged[at], own.cost[at]))[0]]) if len(at) else None


def _defaults(own: Outcome, x: str | None, by: str | None) -> tuple[str, str | None]:
    """What to draw against, and split by, where the caller does not say: the rate, or what has most values; then a grid's
    next axis, or a drawn space's categories, if there are few values.
    """
    width = lambda name: (name == "learning_rate", own.axes[name].scale != "category", len(own.axes[name].values))
    x = x or max((name for name in own.axes if name != by), key=width)
    few = [name for name, axis in own.axes.items() if name != x and 1 < len(axis.values) <= MOST_CURVES]
    few = [name for name in few if not own.drawn or own.axes[name].scale == "category"]
    return x, by or next(iter(few), None)


def _others(own: Outcome, *names: str | None) -> str:
    """What was chosen at each point, for a label: ", best momentum and b2"."""
    rest = [axis.label for name, axis in own.axes.items() if name not in names and len(axis.values) > 1]
    return "" if own.drawn or not rest else f", best {' and '.join(rest)}"


def _problem(results: Mapping[str, xr.Dataset]) -> str:
    return ", ".join(dict.fromkeys(str(one.attrs["problem"]) for one in results.values() if "problem" in one.attrs))
