"""Runs by name, as the numbers of a picture: means over seeds in a band that spans them, averaged over short windows.

Runs are given by name: each one dataset, or a list of them, one for each seed; or all in one dataset with an axis of names,
as a race or a sweep has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from jaxopt_course import checks
from jaxopt_course.report import schema
from jaxopt_course.report.schema import label
from jaxopt_course.report.series import Band

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Against", "Runs", "band", "named_runs", "restarts"]

Runs: TypeAlias = "Mapping[str, xr.Dataset | Sequence[xr.Dataset]] | xr.Dataset"
Against: TypeAlias = Literal["epoch", "step", "examples"]

_TIMES = {  # the axis of time, and what it can be read against
    "step": {"step": "step", "epoch": "step_epoch", "examples": "examples"},
    "epoch": {"step": "epoch_step", "epoch": "epoch", "examples": "epoch_examples"},
    "evaluation": {"step": "evaluation", "epoch": "epoch", "examples": "examples"},
}
_WINDOWS = 60  # over a whole run


def named_runs(runs: Runs) -> dict[str, list[xr.Dataset]]:
    """The runs by name, each a list over seeds.

    Raises:
        ValueError: no runs; or a dataset with no axis of names, or more than one.
    """
    named: dict[str, Any] = {}
    if isinstance(runs, Mapping) and not hasattr(runs, "data_vars"):  # a dataset is a mapping, too
        named = {str(name): list(each) if isinstance(each, Sequence) else [each] for name, each in runs.items()}
    else:
        data: Any = runs
        others = [str(dim) for dim in data.dims if dim not in (*_TIMES, "seed")]
        if len(others) != 1:
            raise ValueError(f"runs: expected a dataset with one axis of names, besides seed and time; got {others or 'none'}")
        for i, value in enumerate(data[others[0]].values):
            name = str(value) if isinstance(value, str) else f"{label(others[0])} {value:g}"
            named[name] = [data.isel({others[0]: i})]
    if not named or not all(named.values()):
        raise ValueError("runs: expected at least one run for each name")
    return named


def band(
    runs: Sequence[xr.Dataset], metric: str, x: Against = "epoch", windows: bool = False, per_epoch: float | None = None
) -> Band:
    """Mean and range over seeds of one method's curve, in the units shown.

    Args:
        runs: datasets of one method.
        metric: which variable. x: what to read it against.
        windows: average what was recorded at every step over sixty windows of the whole run; or
        per_epoch: over so many in each epoch.

    Raises:
        ValueError: no such variable, or no coordinate to read it against.
    """
    curves, at = [], np.zeros(0)
    for run in runs:
        if metric not in run:
            raise ValueError(f"runs: unknown metric {metric!r}{checks.closest(metric, map(str, run.data_vars))}")
        time = next((dim for dim in _TIMES if dim in run[metric].dims), None)
        coordinate = _TIMES[time].get(x) if time else None
        if coordinate is None or coordinate not in run.variables:
            have = ", ".join(map(str, run.variables))
            raise ValueError(f"runs: {metric!r} cannot be read against {x!r}: the run has {have}")
        values = run[metric].transpose(..., time).values.astype(float).reshape(-1, run.sizes[time])
        own = run[coordinate].values.astype(float)
        if time == "step" and (windows or per_epoch):
            own, values = _windowed(own, values, _bins(run, per_epoch))
        kept = ~np.isnan(values).all(axis=0) if time == "epoch" else slice(None)  # a sweep has no training loss at epoch 0
        own, values = own[kept], values[:, kept]
        curves.extend(values)
        at = max(at, own, key=len)
    rows = np.full((len(curves), len(at)), np.nan)
    for row, curve in zip(rows, curves, strict=True):
        row[: len(curve)] = curve
    rows = np.where(np.isfinite(rows), rows, np.nan) * schema.scale(metric)
    return Band(at, rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0))


def restarts(rate: Band) -> np.ndarray:
    """Where a learning rate jumps up by half its range or more.

    >>> restarts(Band(np.arange(6), np.array([3.0, 2, 1, 3, 2, 1]), *2 * (np.zeros(6),)))
    array([3])
    """
    return rate.x[1:][np.diff(rate.mean) >= 0.5 * max(np.ptp(rate.mean), np.finfo(float).tiny)]


def _bins(run: xr.Dataset, per_epoch: float | None) -> np.ndarray:
    """The number of each step's window."""
    count = run.sizes["step"]
    if per_epoch and "step_epoch" in run.variables:
        return np.ceil(run["step_epoch"].values * per_epoch - 1e-9).astype(int)
    return np.arange(count) // max(1, count // _WINDOWS)


def _windowed(at: np.ndarray, values: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over windows, read at each one's end."""
    if not len(at):
        return at, values
    starts = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
    counts = np.diff(starts, append=len(bins))
    return at[starts + counts - 1], np.add.reduceat(values, starts, axis=1) / counts
