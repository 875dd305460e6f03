"""Flat pictures of surfaces and paths: level curves, gradients, full gradient beside noisy [G1, G6].

Paths are what ``jc.paths`` or ``jc.minimize`` returns, or a dict from labels to such minima or points ``[k, 2]``. A ring is
where a path starts, a dot where it ends; one that leaves the picture, or the numbers, is drawn up to there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from jaxopt_course.report import contours, style, terrain
from jaxopt_course.report.style import Line, Theme
from jaxopt_course.report.terrain import Paths, Strand

__all__ = ["level_curves", "samples", "side_by_side", "visible"]

Function = Callable[[Any], Any]
MARKS = {"minimum": "*", "maximum": "^", "saddle": "X", "degenerate": "s"}
GRID = 241


def level_curves(
    function: Function,
    paths: Paths = None,
    *,
    bounds: Any = None,
    gradients: bool = False,
    points: Sequence[Any] | None = None,
    lines: Mapping[str, Line] | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
    legend: bool = True,
) -> Figure:
    """The level curves of a surface, with gradients, stationary points, and paths [G1].

    Between neighbouring level curves lie equal areas. Dark is low on light paper, and on dark paper too.

    Args:
        function: f of a point ``[2]``.
        paths: what was walked; None for the surface alone.
        bounds: what to show, two pairs (low, high); by default the surface's own, made larger to hold every start.
        gradients: draw −∇f, the direction of steepest descent, on a coarse grid; lengths go with ‖∇f‖^⅓.
        points: stationary points to mark by their ``kind``, from ``jc.surfaces.stationary_points``; by default the minima that
            the surface knows.
        lines: how each label is drawn; by default in their order.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.
        legend: name the lines at the right.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: a function or paths that are none, bounds that are no box, points without a kind, lines that
            lack a label, an unknown theme.

    >>> import jaxopt_course as jc
    >>> found = jc.paths(jc.surfaces.himmelblau, {"sgd": jc.sgd(0.01), "adam": jc.adam(0.3)}, steps=60)
    >>> level_curves(jc.surfaces.himmelblau, found, gradients=True).axes[0].get_xlabel()
    'x'

    References:
        Lectures 000 and 001 [G1].
    """
    own = terrain.strands(paths, "level_curves")
    box = terrain.bounds_of(function, own, bounds, "level_curves")
    with style.canvas(axes, theme, (7.4, 5.2) if legend and own else (5.6, 5.2)) as (axes, colors):
        x, y, values = terrain.grid(function, box, GRID, "level_curves")
        contours.draw_surface(axes, x, y, values, terrain.levels(values), theme)
        if gradients:
            _draw_gradients(axes, function, box, colors)
        handles = _draw_points(axes, function, points, colors)
        looks = style.chosen("level_curves", _labels(own), lines, theme)
        _draw_strands(axes, own, looks, box, colors)
        axes.set(xlim=box[0], ylim=box[1], xlabel="x", ylabel="y")
        width, height = np.ptp(box, axis=1)
        axes.set_aspect("equal" if 1 / 3 < width / height < 3 else "auto")
        if legend and (own or handles):
            axes.legend(
                handles=[*samples(looks, _labels(own)), *handles],
                loc="upper left",
                bbox_to_anchor=(1.01, 1.0),
                handlelength=2.2,
            )
    return style.figure_of(axes)


def side_by_side(
    panels: Mapping[str, tuple[Function, Paths]],
    *,
    bounds: Any = None,
    points: Sequence[Any] | None = None,
    axes: Sequence[Axes] | None = None,
    theme: Theme = "light",
) -> Figure:
    """Surfaces with their paths beside each other, in one box: full against noisy gradient, training against test [G6].

    Args:
        panels: title → (function, paths).
        bounds: what all show; by default what the first panel would.
        points: as for :func:`level_curves`.
        axes: where to draw, one for each panel, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: no panels, or not as many axes.

    >>> import jaxopt_course as jc
    >>> surface, optimizers = jc.surfaces.booth, {"sgd": jc.sgd(0.03)}
    >>> noisy = jc.paths(jc.surfaces.noisy(surface, 9.0), optimizers, steps=60)
    >>> figure = side_by_side({"full gradient": (surface, jc.paths(surface, optimizers, steps=60)), "noisy": (surface, noisy)})
    >>> [axes.get_title("left") for axes in figure.axes]
    ['full gradient', 'noisy']

    References:
        Lectures 000 and 004 [G6].
    """
    if not panels:
        raise ValueError("side_by_side: panels must be title → (function, paths), at least one; got none")
    if axes is not None and len(axes) != len(panels):
        raise ValueError(f"side_by_side: axes must be one for each of {len(panels)} panels; got {len(axes)}")
    drawn = [terrain.strands(paths, "side_by_side") for _, paths in panels.values()]
    first = next(iter(panels.values()))[0]
    box = terrain.bounds_of(first, [strand for own in drawn for strand in own], bounds, "side_by_side")
    looks = style.lines((strand.label for own in drawn for strand in own), theme)
    with style.themed(theme) as colors:
        if axes is None:
            figure = style.Figure(figsize=(0.9 + 4.3 * len(panels), 4.6))
            axes = [style.dress(each, colors) for each in figure.subplots(1, len(panels), squeeze=False).flat]
        for each, (title, (function, paths)) in zip(axes, panels.items(), strict=True):
            shared = {"lines": looks, "axes": each, "theme": theme, "legend": False}
            level_curves(function, paths, bounds=box, points=points, **shared)
            each.set_title(title)
        if len(looks) > 1:
            axes[-1].legend(handles=samples(looks, looks), loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return style.figure_of(axes[0])


def samples(looks: Mapping[str, Line], labels: Iterable[str]) -> list[Line2D]:
    return [Line2D([], [], color=looks[label].color, linestyle=looks[label].dash, label=label) for label in labels]


def _labels(own: list[Strand]) -> list[str]:
    return list(dict.fromkeys(strand.label for strand in own))


def _draw_strands(axes: Axes, own: list[Strand], looks: Mapping[str, Line], box: np.ndarray, colors: style.Palette) -> None:
    crowded = len(own) > 3 * len(_labels(own)) and len(own) > 12
    for strand in own:
        color, dash = looks[strand.label]
        points = visible(strand.points, box)
        if not len(points):
            continue
        dots = "o" if len(points) <= 40 and not crowded else ""
        axes.plot(
            *points.T, color=color, linestyle=dash, marker=dots, markersize=2.6, linewidth=0.9 if crowded else 1.7,
            alpha=0.6 if crowded else 1.0, zorder=3, label=strand.label,
            path_effects=None if crowded else [Stroke(linewidth=3.2, foreground=colors.paper, alpha=0.6), Normal()],
        )  # fmt: skip
        small = 3.0 if crowded else 6.0
        axes.plot(*points[0], "o", markersize=small, markerfacecolor=colors.paper, markeredgecolor=color, zorder=4)
        axes.plot(*points[-1], "o", markersize=small, color=color, markeredgecolor=colors.paper, zorder=5)


def visible(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The points up to the first that is far outside the box."""
    middle, size = box.mean(axis=1), np.ptp(box, axis=1)
    far = (np.abs(points - middle) > terrain.FAR * size).any(axis=1)
    return points[: int(np.argmax(far)) + 1] if far.any() else points


def _draw_gradients(axes: Axes, function: Function, box: np.ndarray, colors: style.Palette) -> None:
    count = 15
    step = np.ptp(box, axis=1) / count
    x, y = np.meshgrid(*(low + (np.arange(count) + 0.5) * s for (low, _), s in zip(box, step, strict=True)))
    places = np.stack([x, y], axis=-1)
    down = -terrain.gradients_at(function, places)
    norms = np.linalg.norm(down, axis=-1)
    there = np.isfinite(terrain.values_at(function, places)) & np.isfinite(norms) & (norms > 0)
    places, down, norms = places[there], down[there], norms[there][:, None]
    if len(places):
        scaled = down / norms * np.cbrt(norms / norms.max()) * 0.85 * step.min()
        axes.quiver(
            *places.T, *scaled.T, angles="xy", scale_units="xy", scale=1, pivot="mid", color=colors.ink, alpha=0.5,
            width=0.0028, zorder=2,
        )  # fmt: skip


def _draw_points(axes: Axes, function: Function, points: Sequence[Any] | None, colors: style.Palette) -> list[Line2D]:
    """Marks at stationary points, and what they mean."""
    if points is None:
        known = np.asarray(getattr(function, "minima", np.empty((0, 2))), float).reshape(-1, 2)
        kinds = {"minimum": known} if len(known) else {}
    else:
        kinds = {}
        for each in points:
            if getattr(each, "kind", None) not in MARKS or np.shape(getattr(each, "point", ())) != (2,):
                accepted = f"with a point [2] and a kind ({', '.join(MARKS)}), from jc.surfaces.stationary_points"
                raise TypeError(f"level_curves: points must be a list of stationary points, {accepted}; got {each!r:.100}")
            kinds.setdefault(each.kind, []).append(each.point)
    handles = []
    for kind, places in kinds.items():
        look: dict[str, Any] = {
            "marker": MARKS.get(kind, "o"),
            "linestyle": "",
            "color": colors.ink,
            "markeredgecolor": colors.paper,
        }
        size = 13 if kind == "minimum" else 8
        handles += axes.plot(*np.transpose(places), **look, markersize=size, label=kind, zorder=2.5)
    return handles
