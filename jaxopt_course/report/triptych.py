"""One descent with three learning rates: too low, good, too high [G3]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxopt_course.report import contours, style, terrain
from jaxopt_course.report.style import Line, Palette, Theme

__all__ = ["learning_rate_triptych"]


def learning_rate_triptych(
    function: Callable[[Any], Any],
    paths: Mapping[str, Any],
    *,
    bounds: Any = None,
    axes: Sequence[Axes] | None = None,
    theme: Theme = "light",
) -> Figure:
    """The same descent with a learning rate that is too low, good, too high: the path on f, and f along it [G3].

    Args:
        function: f, of a number or of two.
        paths: title → what ``jc.minimize`` returns, or points ``[steps]`` or ``[steps, 2]``.
        bounds: what part of f to show: (from, to), or a pair of these; by default around the best point, as wide as the
            starts are far from it.
        axes: where to draw the paths, one for each, instead of a new figure with f along them too.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        TypeError: a function or paths that are none. ValueError: no paths, points of other shapes, bounds that are none, too
            few axes, a function that is finite nowhere on the paths or in the bounds.

    >>> import numpy as np
    >>> paths = {f"α = {rate}": (1 - 2 * rate) ** np.arange(9) for rate in (0.05, 0.4, 1.05)}
    >>> [axes.get_title(loc="left") for axes in learning_rate_triptych(lambda x: x**2, paths).axes[:3]]
    ['α = 0.05', 'α = 0.4', 'α = 1.05']
    """
    if not callable(function):
        raise TypeError(f"learning_rate_triptych: function must be f of a number, or of two; got {function!r:.100}")
    if not isinstance(paths, Mapping):
        raise TypeError(f"learning_rate_triptych: paths must be a dict, title → points; got {paths!r:.100}")
    points = {name: _points(name, path) for name, path in paths.items()}
    if not points or len({path.shape[1] for path in points.values()}) > 1:
        raise ValueError("learning_rate_triptych: expected paths, all of them in one dimension or all in two")
    values = {name: _along(function, path) for name, path in points.items()}
    if not any(np.isfinite(heights).any() for heights in values.values()):
        raise ValueError("learning_rate_triptych: function is finite nowhere on the paths")
    box = _box(points, values, bounds)
    count = len(points)
    with style.themed(theme) as colors:
        if axes is None:
            figure = style.Figure(figsize=(3.6 * count, 5.4))
            grid = figure.subplots(2, count, sharex="row", sharey="row", squeeze=False, height_ratios=(1.5, 1))
            for each in grid.flat:
                style.dress(each, colors)
            above, below = list(grid[0]), list(grid[1])
        else:
            above, below = list(axes), []
            if len(above) != count:
                raise ValueError(f"learning_rate_triptych: expected {count} axes, one for each path; got {len(above)}")
        for i, (name, path) in enumerate(points.items()):
            draw = _descent_in_two if path.shape[1] == 2 else _descent_in_one
            draw(above[i], function, path, values[name], box, colors, theme)
            above[i].set_title(name)
            if i:
                above[i].set_ylabel("")
            if below:
                below[i].plot(values[name], color=colors.cycle[1], marker="o", markersize=3)
                below[i].set(xlabel="steps", ylabel="" if i else "f")
                below[i].xaxis.get_major_locator().set_params(integer=True)
        if below:
            _limit(below[0], values)
    return style.figure_of(above[0])


def _points(name: str, path: Any) -> np.ndarray:
    accepted = f"learning_rate_triptych: {name!r} must be points [steps] or [steps, 2]"
    try:
        points = np.asarray(terrain.walked(path), float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{accepted}; got {path!r:.100}") from error
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or points.shape[1] not in (1, 2) or not len(points):
        raise ValueError(f"{accepted}; got shape {points.shape}")
    return points


def _along(function: Callable[[Any], Any], points: np.ndarray) -> np.ndarray:
    import jax

    return np.asarray(jax.jit(jax.vmap(function))(points[:, 0] if points.shape[1] == 1 else points))


def _box(points: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], bounds: Any) -> np.ndarray:
    """What to show: [dimensions, 2]."""
    if bounds is not None:
        return _checked(bounds, next(iter(points.values())).shape[1])
    every, heights = np.concatenate(list(points.values())), np.concatenate(list(values.values()))
    best = every[np.nanargmin(np.where(np.isfinite(heights), heights, np.nan))]
    reach = 1.35 * np.max([np.abs(path[0] - best) for path in points.values()], axis=0)
    reach = np.maximum(reach, 0.6 * reach.max() or 1.0)
    return np.stack([best - reach, best + reach], axis=1)


def _checked(bounds: Any, dimensions: int) -> np.ndarray:
    try:
        box = np.asarray(bounds, float).reshape(-1, 2)
    except (TypeError, ValueError):
        box = np.empty((0, 2))
    if len(box) != dimensions or not (box[:, 0] < box[:, 1]).all() or not np.isfinite(box).all():
        accepted = "a pair (from, to)" if dimensions == 1 else "two pairs (from, to)"
        raise ValueError(f"learning_rate_triptych: bounds must be {accepted}, from < to; got {bounds!r}")
    return box


def _descent_in_one(
    axes: Axes, function: Any, path: np.ndarray, values: np.ndarray, box: np.ndarray, colors: Palette, theme: Theme
) -> None:
    grid = np.linspace(box[0, 0], box[0, 1], 400)
    heights = terrain.mapped(_along(function, grid[:, None]), box, "learning_rate_triptych")
    axes.plot(grid, heights, color=colors.muted, linewidth=1.4)
    seen = _shown(path, box)
    axes.plot(seen[:, 0], values[: len(seen)], color=colors.cycle[1], marker="o", markersize=4.2, linewidth=1.2)
    axes.plot(
        path[0, 0], values[0], "o", color=colors.paper, markeredgecolor=colors.cycle[1], markeredgewidth=1.8, markersize=7
    )
    low, high = np.nanmin(heights), np.nanmax(heights)
    axes.set(xlim=box[0], ylim=(low - 0.06 * (high - low), high), xlabel="θ", ylabel="f(θ)")


def _descent_in_two(
    axes: Axes, function: Any, path: np.ndarray, values: np.ndarray, box: np.ndarray, colors: Palette, theme: Theme
) -> None:
    x, y, heights = terrain.grid(function, box, 120, "learning_rate_triptych")
    contours.draw_surface(axes, x, y, heights, terrain.levels(heights, 14), theme)
    contours.draw_path(axes, _shown(path, box), Line(colors.cycle[1], "solid"), colors)
    axes.set(xlim=box[0], ylim=box[1], xlabel="θ₁", ylabel="θ₂")


def _shown(path: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The points until they have left the box for good: a path that diverges would cross the picture over and over."""
    inside = ((path >= box[:, 0]) & (path <= box[:, 1])).all(axis=1)
    return path[: max(np.flatnonzero(inside), default=0) + 2]


def _limit(axes: Axes, values: Mapping[str, np.ndarray]) -> None:
    """f along the paths: logarithmic where positive, cut a little above where they start."""
    heights = np.concatenate([v[np.isfinite(v)] for v in values.values()])
    start = max((v[0] for v in values.values() if np.isfinite(v[0])), default=heights.max())
    if heights.min() > 0:
        axes.set_yscale("log")
        axes.set_ylim(max(heights.min(), 1e-12 * start) / 2, min(heights.max(), 30 * start) * 2)
    else:
        reach = start - heights.min()
        axes.set_ylim(heights.min() - 0.05 * reach, min(heights.max(), start + 2 * reach))
