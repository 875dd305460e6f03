"""The numbers of a picture, one optimizer at a time, in the units shown: seed bands, learning-rate grids, axis ranges.

`curves` and `html` draw the same series, so that the picture and the page cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float

from jaxopt_course.checks import check_choice
from jaxopt_course.report.schema import Abscissa, check_metric, is_loss, label, quantities, scale

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Band", "Sensitivity", "bad_edge", "loss_label", "loss_range", "seed_band", "sensitivity", "sensitivity_range",
    "to_the_edge",
]  # fmt: skip


class Band(NamedTuple):
    """One optimizer's learning curve: the mean over seeds, and their range; NaN from where a seed diverged."""

    x: Float[np.ndarray, " evaluation"]
    mean: Float[np.ndarray, " evaluation"]
    low: Float[np.ndarray, " evaluation"]
    high: Float[np.ndarray, " evaluation"]

    @property
    def diverged(self) -> bool:
        """The curve begins, and ends before the last evaluation."""
        return bool(len(self.mean) and np.isfinite(self.mean[0]) and np.isnan(self.mean[-1]))


class Sensitivity(NamedTuple):
    """One optimizer's grid, by increasing learning rate; no rates where the optimizer has none, NaN where it diverged.

    ``low`` and ``high`` are the range over the tuning seeds, which is no range where there was one.
    """

    learning_rate: Float[np.ndarray, " trial"]
    value: Float[np.ndarray, " trial"]
    low: Float[np.ndarray, " trial"]
    high: Float[np.ndarray, " trial"]
    selected: Bool[np.ndarray, " trial"]


def seed_band(curves: xr.Dataset, optimizer: str, x: Abscissa = "step", metric: str = "validation_loss") -> Band:
    """One optimizer's curve over its seeds, in the units shown.

    Costs that differ between seeds (seconds, the gradients of a line search) are averaged at each evaluation. A mean over
    the seeds that survived would reward divergence, so the curve ends where the first seed diverges.

    Raises:
        ValueError: ``x`` or ``metric`` is not in the dataset.
    """
    check_choice("plot", "x", x, get_args(Abscissa))
    check_metric(quantities(curves), metric)
    one = curves.sel(optimizer=optimizer)
    cost = one["evaluation" if x == "step" else x]
    values = one[metric].transpose("seed", "evaluation").values.astype(float) * scale(metric)
    values = np.where(np.isfinite(values), values, np.nan)
    mean_cost = cost.astype(float).mean("seed") if "seed" in cost.dims else cost
    return Band(mean_cost.values.astype(float), values.mean(0), values.min(0), values.max(0))


def sensitivity(tuning: xr.Dataset, optimizer: str, metric: str = "validation_loss") -> Sensitivity:
    """One optimizer's learning-rate search, in the units shown.

    Raises:
        ValueError: ``metric`` is not in the dataset.
    """
    check_metric(quantities(tuning), metric)
    one = tuning.isel(trial=np.flatnonzero(tuning["optimizer"].values == optimizer))
    one = one.isel(trial=np.argsort(one["learning_rate"].values, kind="stable"))
    fine = np.isfinite(one[metric].values) & ~one["diverged"].values.astype(bool)
    ranged = f"{metric}_low" in one and f"{metric}_high" in one
    shown = lambda name: np.where(fine, one[name].values.astype(float) * scale(metric), np.nan)
    low, high = (shown(f"{metric}{end}" if ranged else metric) for end in ("_low", "_high"))
    rates = one["learning_rate"].values.astype(float)
    return Sensitivity(rates[~np.isnan(rates)], shown(metric), low, high, one["selected"].values.astype(bool))


def to_the_edge(value: Float[np.ndarray, " trial"], edge: float) -> tuple[np.ndarray, np.ndarray]:
    """The values with divergence at the edge of the axes, where it borders on convergence; and where that is.

    >>> to_the_edge(np.array([2.0, 1.0, np.nan, np.nan]), 9.0)
    (array([ 2.,  1.,  9., nan]), array([False, False,  True, False]))
    """
    finite = np.pad(np.isfinite(value), 1)
    crosses = ~finite[1:-1] & (finite[:-2] | finite[2:])
    return np.where(crosses, edge, value), crosses


def loss_range(curves: xr.Dataset, metric: str) -> tuple[float, float] | None:
    """Where to cut the axis of a loss, in the units drawn: a little above where training began, so that a run that blew up
    does not flatten the others; or above all that came later, where the first evaluation's fall would take more than half of
    the axis. None for what is not a loss, or not positive: nothing is cut then.
    """
    check_metric(quantities(curves), metric)
    values = curves[metric].astype(float)
    start, later = values.isel(evaluation=slice(1)).values, values.isel(evaluation=slice(1, None)).values
    limits = _positive_range(values.values, start) if is_loss(metric) else None
    tamed = later[(later > 0) & (later <= start.max(initial=-np.inf, where=np.isfinite(start)))]
    if limits is None or not tamed.size:
        return limits
    low, high, top = *limits, 1.15 * float(tamed.max())
    return (low, top) if top**2 < low * high else limits


def loss_label(curves: xr.Dataset, metric: str) -> str:
    """The axis's label for it, which says where training began if that is cut off."""
    limits, start = loss_range(curves, metric), curves[metric].isel(evaluation=slice(1)).values.astype(float)
    above = start[np.isfinite(start)]
    began = f" (starts at {above.mean():.2g})" if limits and above.size and above.min() > limits[1] else ""
    return label(metric) + began


def sensitivity_range(tuning: xr.Dataset, metric: str) -> tuple[float, float] | None:
    """As :func:`loss_range`, for the learning-rate search: up to 30 times the worst selected loss."""
    check_metric(quantities(tuning), metric)
    values = tuning[metric].values.astype(float)
    chosen = 30 * values[tuning["selected"].values.astype(bool)]
    return _positive_range(values, chosen) if is_loss(metric) else None


def bad_edge(tuning: xr.Dataset, metric: str) -> float:
    """Where divergence is drawn, in the units shown: the top of a loss, the bottom of anything else."""
    if limits := sensitivity_range(tuning, metric):
        return limits[1] / 1.05
    finite = tuning[metric].values[np.isfinite(tuning[metric].values)].astype(float)
    return float(finite.max(initial=0.0) if is_loss(metric) else finite.min(initial=0.0) * scale(metric))


def _positive_range(values: np.ndarray, reference: np.ndarray) -> tuple[float, float] | None:
    finite, reference = values[np.isfinite(values)], reference[np.isfinite(reference)]
    if not finite.size or finite.min() < 0 or not (finite > 0).any():
        return None
    low, high = finite[finite > 0].min(), min(finite.max(), reference.max(initial=finite.min()))
    return (float(low / 1.15), float(high * 1.15)) if high > low else (float(low / 2), float(low * 2))
