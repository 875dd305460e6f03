"""The numbers of a sweep's pictures: each configuration's result at the end, over seeds, in the units shown.

A sweep's dataset has one dimension for each axis of a grid, or one, ``configuration``, with the axes as coordinates; either
way this is one flat table of configurations. `panels` makes curves and tables of it, which
`sweeps` (matplotlib) and `interactive` (plotly) both draw.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxopt_course.checks import check_sweep, closest
from jaxopt_course.report.schema import is_loss, label, scale
from jaxopt_course.types import falls as falls_by_name

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Axis", "Outcome", "limits", "outcome", "shown_range", "usual_kind"]

CONFIGURATION = "configuration"


class Axis(NamedTuple):
    """A swept name: its distinct values, ascending (as they came, if they are no numbers); which one each configuration has;
    and the axis to draw them on, from the coordinate's attribute ``scale``.
    """

    name: str
    values: tuple[Any, ...]
    at: Int[np.ndarray, " configuration"]
    scale: Literal["linear", "log", "category"]

    @property
    def label(self) -> str:
        return self.name.replace("_", " ")

    @property
    def texts(self) -> list[str]:
        """The values as text, no two alike, with no more digits than that takes (three at least)."""
        if self.scale == "category":
            return [str(value) for value in self.values]
        digits = next(d for d in range(3, 18) if len({f"{value:.{d}g}" for value in self.values}) == len(self.values))
        return [f"{value:.{digits}g}" for value in self.values]

    @property
    def positions(self) -> Float[np.ndarray, " value"]:
        """Where the values are: at themselves, or one after another."""
        return np.arange(len(self.values), dtype=float) if self.scale == "category" else np.asarray(self.values, float)


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """A sweep's configurations in a row.

    Attributes:
        title: of the picture.
        axes: the swept names.
        drawn: whether the configurations are points of a space rather than a grid.
        metric: what is shown: ``mean``, ``low`` and ``high`` over seeds, NaN where a seed diverged or is missing.
        falls: whether less of it is better.
        diverged: where a seed did.
        cost: what to choose by, infinite where it must not be chosen: on validation, where a test metric is shown.
        start: the metric before training (its worst), or NaN.
    """

    title: str
    axes: dict[str, Axis]
    drawn: bool
    metric: str
    falls: bool
    mean: Float[np.ndarray, " configuration"]
    low: Float[np.ndarray, " configuration"]
    high: Float[np.ndarray, " configuration"]
    diverged: Bool[np.ndarray, " configuration"]
    cost: Float[np.ndarray, " configuration"]
    start: float

    @property
    def best(self) -> int | None:
        """The number of the configuration with the lowest cost."""
        return int(np.argmin(self.cost)) if np.isfinite(self.cost).any() else None

    @property
    def label(self) -> str:
        return f"final {label(self.metric)}" if not self.metric.startswith("test_") else label(self.metric)

    def axis(self, name: str) -> Axis:
        """Raises ValueError: nothing of this name was swept."""
        if name not in self.axes:
            raise ValueError(f"plot: no axis {name!r}{closest(name, self.axes)}")
        return self.axes[name]


def outcome(results: xr.Dataset, metric: str = "validation_loss", *, falls: bool | None = None) -> Outcome:
    """A sweep's results at the end.

    Args:
        results: what ``jc.sweep`` returned.
        metric: a variable of it over the seeds.
        falls: whether less of it is better; by default as its name says.

    Raises:
        TypeError, ValueError: no such metric, no axis; or these are not a sweep's results.
    """
    check_sweep("plot", results)
    known = [str(name) for name in results.data_vars if "seed" in results[name].dims and name != "diverged_step"]
    if metric not in known:
        raise ValueError(f"plot: unknown metric {metric!r}{closest(metric, known)}")
    dims = [str(dim) for dim in results["diverged_step"].dims if dim != "seed"]
    if not dims:
        raise ValueError("plot: results must have an axis of configurations; .isel(…=[0]) keeps it, where .isel(…=0) drops it")
    drawn = dims == [CONFIGURATION]
    names = [str(name) for name in results.coords if results[name].dims == (CONFIGURATION,) and name != CONFIGURATION]
    names = names if drawn else dims
    flat = lambda name: results[name].transpose(*dims, "seed", ...).values.reshape(-1, *results[name].shape[len(dims) :])
    final = lambda name: flat(name)[..., -1].astype(float) if "epoch" in results[name].dims else flat(name).astype(float)
    diverged, values = flat("diverged_step") >= 0, final(metric)
    values = np.where(np.isfinite(values) & ~diverged, values, np.nan) * scale(metric)
    start = np.max(flat(metric)[..., 0], initial=-np.inf) * scale(metric) if "epoch" in results[metric].dims else np.nan
    lower = falls_by_name(metric, falls, "plot")
    by = metric.replace("test_", "validation_", 1) if metric.startswith("test_") else metric
    by, sign = (by, 1 if lower else -1) if by in known else ("loss", 1)
    cost = sign * np.where(diverged, np.nan, final(by)).mean(1)
    places = np.unravel_index(np.arange(len(values)), [results.sizes[dim] for dim in dims])
    axes = {name: _axis(results[name], places[0 if drawn else i]) for i, name in enumerate(names)}
    title = str(results.attrs.get("title", "")) + " (incomplete)" * bool(results.attrs.get("incomplete", 0))
    return Outcome(
        title, axes, drawn, metric, lower, values.mean(1), values.min(1), values.max(1), diverged.any(1),
        np.where(np.isfinite(cost) & np.isfinite(values.mean(1)), cost, np.inf), float(start),
    )  # fmt: skip


def _axis(coordinate: xr.DataArray, places: np.ndarray) -> Axis:
    values = [value.item() if hasattr(value, "item") else value for value in coordinate.values]
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    distinct = sorted(set(values)) if numbers else list(dict.fromkeys(values))
    rank = {value: i for i, value in enumerate(distinct)}
    drawn_on = ("log" if coordinate.attrs.get("scale") == "log" else "linear") if numbers else "category"
    return Axis(str(coordinate.name), tuple(distinct), np.array([rank[values[i]] for i in places], int), drawn_on)


def limits(outcomes: Sequence[Outcome]) -> tuple[float, float] | None:
    """Where to cut the logarithmic axis of a loss: a little above where training began (or 30 times the best), so that what
    blew up does not flatten the rest. None: not a loss, or not positive, so the axis is linear and not cut.
    """
    values = np.concatenate([own.mean for own in outcomes] + [own.low for own in outcomes] + [own.high for own in outcomes])
    values = values[np.isfinite(values)]
    if not is_loss(outcomes[0].metric) or not len(values) or values.min() <= 0:
        return None
    low, starts = float(values.min()), [own.start for own in outcomes]
    top = max([start for start in starts if np.isfinite(start) and start > low] or [30 * low])
    high = min(float(values.max()), top)
    return (low / 1.15, high * 1.15) if high > low else (low / 2, low * 2)


def shown_range(own: Outcome) -> tuple[float, float]:
    """From the lowest result to the highest, or to where a loss's axis is cut."""
    finite = own.mean[np.isfinite(own.mean)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    high = min(high, cut[1]) if (cut := limits([own])) else high
    return (low, high) if high > low else (low, low + (abs(low) or 1.0) * 1e-6)


def usual_kind(results: xr.Dataset) -> Literal["sensitivity", "heatmap", "parallel"]:
    """The picture for so many axes: two of four values or more are a heat map's, three parallel coordinates'."""
    axes = [axis for axis in outcome(results, "loss").axes.values() if len(axis.values) > 1]
    if len(axes) > 2:
        return "parallel"
    return "heatmap" if len(axes) == 2 and all(len(axis.values) >= 4 for axis in axes) else "sensitivity"
