"""How well learning carries over: bias against variance, as a bull's-eye and as a U-curve [G7]; `validation` chooses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from jaxopt_course import checks
from jaxopt_course.report import style
from jaxopt_course.report.style import Palette, Theme
from jaxopt_course.report.validation import Validation, cross_validation, is_geometric, name_of, validation_curve

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Validation", "bias_variance", "bulls_eye", "cross_validation", "validation_curve"]

_PARTS = ("error", "bias2", "variance", "noise")


def bulls_eye(
    shots: Mapping[str, Any], *, axes: Sequence[Axes] | None = None, theme: Theme = "light", columns: int = 2
) -> Figure:
    """Bias and variance as shots at a target: each is what the model learnt from another training set [G7].

    bias = how far the mean of the shots is from the centre, variance = their mean squared distance from it

    Args:
        shots: title → ``[n, 2]``: predictions at two inputs less the truth, one row for each resampled training set.
        axes: where to draw, one for each target, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.
        columns: targets in a row.

    Returns:
        The figure. All targets have one scale; the cross is the mean of the shots, the dashed circle their spread.

    Raises:
        ValueError: no shots, shots of another shape or not finite, other than one axes for each target.

    >>> figure = bulls_eye({"biased": [[1.0, 1.0], [1.0, 1.2]], "fair": [[-0.1, 0.0], [0.1, 0.0]]})
    >>> figure.axes[0].get_xlabel()
    'bias² 2.21 + variance 0.01 = 2.22'
    """
    found = {name: _shots(name, each) for name, each in shots.items()}
    if not found:
        raise ValueError("bulls_eye: expected shots for at least one target")
    columns = min(checks.check_integer("bulls_eye", "columns", columns), len(found))
    rows = math.ceil(len(found) / columns)
    reach = 1.12 * max(float(np.linalg.norm(each, axis=1).max()) for each in found.values()) or 1.0
    alone = axes is None
    with style.themed(theme) as colors:
        if axes is None:
            every = style.Figure(figsize=(3.3 * columns, 3.5 * rows)).subplots(rows, columns, squeeze=False).ravel()
            for spare in every[len(found) :]:
                spare.set_axis_off()
            axes = list(every[: len(found)])
        elif len(axes) != len(found):
            raise ValueError(f"bulls_eye: expected {len(found)} axes, one for each target; got {len(axes)}")
        for each, (name, points) in zip(axes, found.items(), strict=True):
            _target(each, points, reach, colors)
            each.set_title(name, loc="center")
        if alone:
            style.figure_of(axes[0]).draw_without_rendering()  # with a fixed aspect, the second layout is the first that fits
    return style.figure_of(axes[0])


def bias_variance(data: xr.Dataset, *, axes: Axes | None = None, theme: Theme = "light") -> Figure:
    """The U-curve: squared bias falls, variance rises, their sum with the noise has a minimum between [G7].

    Err = bias² + variance + σ²

    Args:
        data: ``error``, ``bias2``, ``variance``, ``noise`` over one dimension: complexity, λ, …, whose ``long_name`` names the
            axis. The line is the sum of the three parts; the dots are the measured error.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: a variable is missing, or they have not one dimension in common.
    """
    if missing := [name for name in _PARTS if name not in data]:
        raise ValueError(f"bias_variance: no {missing[0]!r}{checks.closest(missing[0], map(str, data.data_vars))}")
    dims = {dim for name in _PARTS for dim in data[name].dims}
    if len(dims) != 1:
        raise ValueError(f"bias_variance: expected one dimension; got {', '.join(sorted(map(str, dims))) or 'none'}")
    (dim,) = map(str, dims)
    order = np.argsort(data[dim].values, kind="stable")
    at = data[dim].values[order].astype(float)
    error, bias2, variance, noise = (
        np.broadcast_to(data[name].values, data.sizes[dim])[order].astype(float) for name in _PARTS
    )
    total = bias2 + variance + noise
    with style.canvas(axes, theme, (6.4, 4.2)) as (axes, colors):
        for name, values, color, dash in (
            ("bias²", bias2, colors.cycle[0], "solid"),
            ("variance", variance, colors.cycle[1], "solid"),
            ("irreducible error", noise, colors.muted, "dashed"),
            ("their sum", total, colors.ink, "solid"),
        ):
            axes.plot(at, values, color=color, linestyle=dash, label=name, linewidth=2.2 if name == "their sum" else 1.6)
        axes.plot(at, error, "o", color=colors.ink, markersize=4, label="measured error")
        lowest = int(np.nanargmin(total))
        least = f"lowest at {at[lowest]:.3g}"
        axes.axvline(at[lowest], color=colors.muted, linestyle="dotted", linewidth=1.1, zorder=1, label=least)
        axes.set(xlabel=name_of(data, dim), ylabel="expected squared error", ylim=(0, _top(total)))
        if is_geometric(at):
            axes.set_xscale("log")
        axes.margins(x=0.02)
        axes.legend(frameon=True, facecolor=colors.paper, edgecolor="none", framealpha=0.9)  # the dotted line may be behind it
    return style.figure_of(axes)


def _shots(name: str, shots: Any) -> np.ndarray:
    points = np.asarray(shots, float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"bulls_eye: {name!r} must be finite points, [n, 2]; got shape {points.shape}")
    return points


def _target(axes: Axes, points: np.ndarray, reach: float, colors: Palette) -> None:
    centre, spread = points.mean(axis=0), math.sqrt(points.var(axis=0).sum())
    for i, part in enumerate((1.0, 0.75, 0.5, 0.25)):
        face = (colors.grid, colors.paper)[i % 2] if part > 0.25 else colors.cycle[3]
        axes.add_patch(
            Circle((0, 0), part * reach, facecolor=face, edgecolor=colors.muted, linewidth=0.8, alpha=0.75, zorder=part < 0.5)
        )
    axes.plot(*points.T, "o", color=colors.cycle[0], markeredgecolor=colors.paper, markeredgewidth=0.5, markersize=5, zorder=3)
    axes.add_patch(
        Circle(tuple(centre), spread, fill=False, edgecolor=colors.ink, linewidth=1.1, linestyle="dashed", zorder=4)
    )
    axes.plot([0, centre[0]], [0, centre[1]], color=colors.ink, linewidth=1.4, zorder=4)
    axes.plot(*centre, "+", color=colors.ink, markersize=13, markeredgewidth=2.2, zorder=5)
    bias2, variance = float(centre @ centre), spread**2
    axes.set(xlim=(-1.03 * reach, 1.03 * reach), ylim=(-1.03 * reach, 1.03 * reach), aspect="equal", xticks=[], yticks=[])
    axes.set_xlabel(f"bias² {bias2:.2f} + variance {variance:.2f} = {bias2 + variance:.2f}", color=colors.ink)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _top(total: np.ndarray) -> float:
    """Where to cut, so that a blow-up at one end leaves the valley to be seen."""
    finite = total[np.isfinite(total)]
    return float(1.06 * min(finite.max(), max(6 * finite.min(), 1.5 * np.median(finite))))
