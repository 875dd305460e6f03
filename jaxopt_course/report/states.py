"""What an optimizer remembers, drawn along its path: accumulators and momentum [D1, E1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from jaxopt_course import checks
from jaxopt_course.report import style, terrain
from jaxopt_course.report.paths import level_curves
from jaxopt_course.report.style import Line, Theme

__all__ = ["optimizer_state"]


def optimizer_state(
    function: Callable[[Any], Any],
    paths: Any,
    *,
    at: Sequence[int] | None = None,
    accumulator: str | None = "v",
    momentum: str | None = "m",
    bounds: Any = None,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """What an optimizer remembers, along its path: accumulators as squares, momentum as an arrow.

    Of the two squares that touch a point, the right one's area is the accumulator's first coordinate, the upper one's its
    second. The thick arrow is −m, where momentum would go, and the thin one −∇f, where the slope would.

    Args:
        function: f of a point ``[2]``.
        paths: one path with its state: ``jc.paths(…, record=("m", "v"))``, with one optimizer, setting and start selected.
        at: recorded steps at which to show it; by default seven, evenly spaced along the path's length.
        accumulator, momentum: the fields to show; None, or all NaN: not shown.
        bounds, axes, theme: as for :func:`jaxopt_course.report.paths.level_curves`.

    Returns:
        The figure.

    Raises:
        ValueError: more than one path, a field that was not recorded, a step that was not.

    >>> import jaxopt_course as jc
    >>> found = jc.paths(jc.surfaces.booth, {"adam": jc.adam(0.5)}, steps=80, record=("m", "v"))
    >>> figure = optimizer_state(jc.surfaces.booth, found, at=[2, 10, 30])

    References:
        Lecture 002 [D1, E1 to E4].
    """
    one = _only_path(paths)
    (strand,) = terrain.strands({"path": one["params"].values}, "optimizer_state")
    box = terrain.bounds_of(function, [strand], bounds, "optimizer_state")
    fields = [_field(one, name, len(strand.points)) for name in (accumulator, momentum)]
    places = _shown(strand.points, one["step"].values, at, np.ptp(box, axis=1))
    with style.canvas(axes, theme, (7.6, 5.2)) as (axes, colors):
        looks = {"path": Line(colors.cycle[0], "solid")}
        level_curves(function, {"path": strand.points}, bounds=box, lines=looks, axes=axes, theme=theme, legend=False)
        size = float(np.ptp(box, axis=1).min())
        slopes = -terrain.gradients_at(function, strand.points[places])
        handles = [_draw_arrows(axes, strand.points[places], slopes, 0.12 * size, colors.ink, 0.003, "−∇f")]
        if fields[1] is not None:
            steered = -fields[1][places]
            handles.append(
                _draw_arrows(axes, strand.points[places], steered, 0.2 * size, colors.cycle[1], 0.0075, f"−{momentum}")
            )
        if fields[0] is not None:
            sides = np.sqrt(np.abs(fields[0][places]))
            sides *= 0.1 * size / max(float(sides.max()), 1e-300)
            handles += _draw_squares(axes, strand.points[places], sides, colors, str(accumulator))
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return style.figure_of(axes)


def _only_path(paths: Any) -> Any:
    if not hasattr(paths, "data_vars") or "params" not in paths:
        raise TypeError(f"optimizer_state: paths must be what jc.paths returns; got {paths!r:.100}")
    many = {str(dim): size for dim, size in paths["params"].sizes.items() if dim not in ("step", "dimension") and size > 1}
    if many:
        raise ValueError(f"optimizer_state: select one path, with .sel or .isel; there are several along {many}")
    return paths.squeeze([dim for dim in paths["params"].dims if dim not in ("step", "dimension")], drop=True)


def _field(one: Any, name: str | None, count: int) -> np.ndarray | None:
    if name is None:
        return None
    if name not in one:
        known = [str(each) for each in one.data_vars if one[each].dims == ("step", "dimension") and each != "params"]
        raise ValueError(f"optimizer_state: {name!r} was not recorded{checks.closest(name, known)}: jc.paths(…, record=…)")
    values = np.asarray(one[name].values[:count], float)
    return None if np.isnan(values).all() else values


def _shown(points: np.ndarray, steps: np.ndarray, at: Sequence[int] | None, size: np.ndarray) -> np.ndarray:
    """Where along the path to show the state."""
    if at is not None:
        if missing := [step for step in at if step not in steps[: len(points)]]:
            raise ValueError(f"optimizer_state: step {missing[0]} was not recorded; recorded are {steps[: len(points)]}")
        return np.searchsorted(steps, at)
    walked = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0) / size, axis=1))])
    return np.unique(np.searchsorted(walked, np.linspace(0.02, 0.98, 7) * walked[-1]))


def _draw_arrows(
    axes: Axes, points: np.ndarray, arrows: np.ndarray, longest: float, color: str, width: float, label: str
) -> Any:
    scaled = arrows * longest / max(float(np.linalg.norm(arrows, axis=1).max()), 1e-300)
    order = 6 - 100 * width  # the thin ones on top
    axes.quiver(*points.T, *scaled.T, angles="xy", scale_units="xy", scale=1, color=color, width=width, zorder=order)
    return Line2D([], [], color=color, linewidth=400 * width, label=label)


def _draw_squares(axes: Axes, points: np.ndarray, sides: np.ndarray, colors: style.Palette, name: str) -> list[Any]:
    edge: dict[str, Any] = {"edgecolor": colors.ink, "linewidth": 0.7, "alpha": 0.7, "zorder": 3.5}
    first, second = ({**edge, "facecolor": colors.cycle[i]} for i in (4, 2))
    for (x, y), (right, above) in zip(points, sides, strict=True):
        axes.add_patch(Rectangle((x, y - right), right, right, **first))
        axes.add_patch(Rectangle((x - above, y), above, above, **second))
    return [
        Rectangle((0, 0), 1, 1, **first, label=f"{name} of x, as an area"),
        Rectangle((0, 0), 1, 1, **second, label=f"{name} of y, as an area"),
    ]
