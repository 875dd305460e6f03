"""Which penalty or size cross-validation would choose, and its curve [G7]."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxopt_course import checks
from jaxopt_course.report import style
from jaxopt_course.report.schema import is_loss, label, scale
from jaxopt_course.report.style import Theme

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Validation", "cross_validation", "is_geometric", "name_of", "validation_curve"]


class Validation(NamedTuple):
    """A cross-validation curve: mean and standard error over folds at each value, and two choices by it."""

    x: np.ndarray
    mean: np.ndarray
    standard_error: np.ndarray
    best: int
    one_standard_error: int


def validation_curve(
    data: xr.Dataset,
    over: str = "regularization",
    metric: str = "validation_loss",
    *,
    folds: str = "fold",
    simpler: Literal["higher", "lower"] = "higher",
) -> Validation:
    """Mean and standard error over folds of the last evaluation, the best value, and the simplest one not clearly worse.

    mean ± s/√k over k folds; one standard error: the simplest value whose mean is within one standard error of the best

    Args:
        data: ``metric`` over ``over`` and ``folds``; of an ``epoch`` axis the last counts, other axes (``seed``) are averaged.
        over: what is chosen. metric: what by; less is better for losses and errors, more for anything else.
        folds: the axis of folds.
        simpler: where models are simpler: at ``"higher"`` values (a penalty) or ``"lower"`` ones (a degree, a width).

    Raises:
        ValueError: an unknown variable or axis (with the closest match), fewer than two folds, or nothing finite.

    References:
        Lecture 003 [A3, G7]; L. Breiman et al., Classification and regression trees, 1984 (the one-standard-error rule).
    """
    if metric not in data:
        raise ValueError(f"cross_validation: no {metric!r}{checks.closest(metric, map(str, data.data_vars))}")
    values = data[metric]
    values = values.isel(epoch=-1) if "epoch" in values.dims else values
    for dim in (over, folds):
        if dim not in values.dims:
            raise ValueError(f"cross_validation: {metric!r} has no axis {dim!r}{checks.closest(dim, map(str, values.dims))}")
    if simpler not in ("higher", "lower"):
        raise ValueError(f"cross_validation: simpler must be 'higher' or 'lower'; got {simpler!r}")
    scores = (
        values.transpose(over, folds, ...).values.astype(float).reshape(values.sizes[over], values.sizes[folds], -1).mean(-1)
    )
    if scores.shape[1] < 2:
        raise ValueError("cross_validation: expected two folds or more; got 1")
    order = np.argsort(values[over].values, kind="stable")
    at, scores = values[over].values[order].astype(float), scores[order]
    mean, error = scores.mean(axis=1), scores.std(axis=1, ddof=1) / math.sqrt(scores.shape[1])
    cost = np.where(np.isfinite(mean), mean if is_loss(metric) else -mean, np.inf)
    if not np.isfinite(cost).any():
        raise ValueError(f"cross_validation: {metric} is finite at no {over} for all folds")
    best = int(np.argmin(cost))
    close = np.flatnonzero(cost <= cost[best] + error[best])
    factor = scale(metric)
    return Validation(at, factor * mean, factor * error, best, int(close.max() if simpler == "higher" else close.min()))


def cross_validation(
    data: xr.Dataset,
    over: str = "regularization",
    metric: str = "validation_loss",
    *,
    folds: str = "fold",
    simpler: Literal["higher", "lower"] = "higher",
    training: str | None = "loss",
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """The cross-validation curve: the mean over folds in a band of one standard error, its best, and the simpler choice [G7].

    Args:
        data, over, metric, folds, simpler: as for :func:`validation_curve`: what ``jc.sweep`` gives over
            ``jc.grid(regularization=…, fold=range(k))`` for the problems of ``jc.problems.folds``.
        training: the same variable on the training parts, to be drawn beside it if it is there.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: as for :func:`validation_curve`.
    """
    found = validation_curve(data, over, metric, folds=folds, simpler=simpler)
    low, high = found.mean - found.standard_error, found.mean + found.standard_error
    with style.canvas(axes, theme, (6.4, 4.2)) as (axes, colors):
        if training is not None and training in data and {over, folds} <= set(data[training].dims):
            seen = validation_curve(data, over, training, folds=folds)
            axes.plot(seen.x, seen.mean, color=colors.cycle[0], marker="o", markersize=3, label="training")
        axes.fill_between(found.x, low, high, color=colors.cycle[1], alpha=0.18, linewidth=0)
        axes.plot(found.x, found.mean, color=colors.cycle[1], marker="o", markersize=3, label="validation ± 1 standard error")
        edge = high[found.best] if is_loss(metric) else low[found.best]
        if found.one_standard_error != found.best:
            ends = found.x[[found.best, found.one_standard_error]]
            axes.plot(ends, [edge, edge], color=colors.muted, linewidth=1, linestyle="dashed", zorder=1)
        for at, name, mark in (
            (found.best, "best", "*"), (found.one_standard_error, "simplest within one standard error", "D")
        ):  # fmt: skip
            axes.axvline(found.x[at], color=colors.muted, linestyle="dotted", linewidth=1.1, zorder=1)
            axes.plot(
                found.x[at], found.mean[at], mark, color=colors.ink, markeredgecolor=colors.paper, zorder=4,
                markersize=15 if mark == "*" else 8, label=f"{name}: {found.x[at]:.3g}",
            )  # fmt: skip
        if is_geometric(found.x):
            axes.set_xscale("log")
        finite = found.mean[np.isfinite(found.mean)]
        if is_loss(metric) and finite.min() > 0 and finite.max() > 20 * finite.min():
            style.log_axis(axes)
        axes.set(xlabel=name_of(data, over), ylabel=label(metric))
        axes.margins(x=0.02)
        axes.legend()
    return style.figure_of(axes)


def name_of(data: xr.Dataset, dim: str) -> str:
    return str(data[dim].attrs.get("long_name", label(dim)))


def is_geometric(at: np.ndarray) -> bool:
    return len(at) > 2 and at[0] > 0 and at[-1] / at[0] >= 30
