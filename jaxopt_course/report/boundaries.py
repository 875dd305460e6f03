"""What a classifier of two features has learnt so far: its decision boundary as it trains [G7].

One output decides by its sign, of several the largest wins. The shade is what the model believes: the probability that a
log-linear model gives, or the score of a linear one, whose margins ±1 are dashed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from jaxopt_course import checks
from jaxopt_course.report import style
from jaxopt_course.report.classifiers import Link, Predict, Scene, link_of, observed
from jaxopt_course.report.style import Palette, Theme

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

__all__ = ["boundaries", "boundary", "boundary_animation"]

_MARKS = "os^DvP*X"


def boundary(
    predict: Predict,
    params: Any,
    x: Any,
    y: Any,
    *,
    link: Link | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """The decision boundary of one model, and its examples; those that it gets wrong are ringed [G7].

    Args:
        predict: ``predict(params, x)`` → scores ``[n]`` (the boundary is at 0) or ``[n, classes]`` (the largest wins).
        params: of the model.
        x: examples, ``[n, 2]``.
        y: labels, ``[n]``: 0 and 1, −1 and +1, or 0 … K − 1.
        link: what shade the scores give: probabilities by ``"sigmoid"`` or ``"softmax"``, or the bare score (``"sign"``); by
            default as the labels suggest.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: examples that are not of two features, labels that do not match, scores of another shape, an unknown link.

    >>> import jax.numpy as jnp
    >>> figure = boundary(lambda w, x: x @ w, jnp.array([1.0, -1.0]), [[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> figure.axes[0].get_title(loc="left")
    '100 % right'
    """
    scene = observed(predict, [params], x, y)
    link = link_of(link, scene)
    with style.canvas(axes, theme, (4.8, 4.2)) as (axes, colors):
        _draw(axes, scene, 0, link, colors)
        axes.set_title(f"{100 * scene.right[0]:.0f} % right")
    return style.figure_of(axes)


def boundaries(
    predict: Predict,
    frames: Any,
    x: Any,
    y: Any,
    *,
    labels: Sequence[Any] | None = None,
    link: Link | None = None,
    columns: int = 4,
    axes: Sequence[Axes] | None = None,
    theme: Theme = "light",
) -> Figure:
    """The decision boundary as it trains: one small picture for each frame [G7].

    Args:
        predict, x, y, link: as for :func:`boundary`.
        frames: a list of parameters, or one tree of them with one more leading axis. ``frames.append(moment.params)`` in a
            callback of ``jc.fit`` collects them.
        labels: a name for each frame; a number is an epoch.
        columns: pictures in a row.
        axes: where to draw, one for each frame, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: as for :func:`boundary`; no frames; not a label, or axes, for each.
    """
    scene = observed(predict, frames, x, y)
    count, link = len(scene.scores), link_of(link, scene)
    titles = _titles("boundaries", labels, scene)
    columns = min(checks.check_integer("boundaries", "columns", columns), count)
    rows = math.ceil(count / columns)
    with style.themed(theme) as colors:
        if axes is None:
            figure = style.Figure(figsize=(2.7 * columns + 0.3, 2.7 * rows + 0.2))
            every = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
            for spare in every[count:]:
                spare.set_axis_off()
            axes = [style.dress(each, colors) for each in every[:count]]
        elif len(axes) != count:
            raise ValueError(f"boundaries: expected {count} axes, one for each frame; got {len(axes)}")
        for i, (each, title) in enumerate(zip(axes, titles, strict=True)):
            _draw(each, scene, i, link, colors, size=16)
            each.set_title(title, fontsize=9.5)
            each.label_outer()
    return style.figure_of(axes[0])


def boundary_animation(
    predict: Predict,
    frames: Any,
    x: Any,
    y: Any,
    *,
    labels: Sequence[Any] | None = None,
    link: Link | None = None,
    seconds: float = 6.0,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> FuncAnimation:
    """The decision boundary as it trains, moving [G7].

    Args:
        predict, frames, x, y, labels, link: as for :func:`boundaries`.
        seconds: how long it lasts.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        An animation: ``.save("boundary.gif", writer="pillow")`` writes it, ``.to_jshtml()`` is a player for a notebook.

    Raises:
        ValueError: as for :func:`boundaries`.

    Example::

        boundary_animation(predict, frames, x, y).save("boundary.gif", writer="pillow")
    """
    from matplotlib.animation import FuncAnimation

    checks.check_number("boundary_animation", "seconds", seconds, checks.Interval(0, open_low=True))
    scene = observed(predict, frames, x, y)
    count, link = len(scene.scores), link_of(link, scene)
    titles = _titles("boundary_animation", labels, scene)
    with style.canvas(axes, theme, (4.8, 4.2)) as (axes, colors):

        def show(i: int) -> list[Any]:
            with style.themed(theme):
                axes.clear()
                style.dress(axes, colors)
                _draw(axes, scene, i, link, colors)
                axes.set_title(titles[i])
            return []

        show(0)
        return FuncAnimation(style.figure_of(axes), show, frames=count, interval=1000 * seconds / count)


def _titles(where: str, labels: Sequence[Any] | None, scene: Scene) -> list[str]:
    count = len(scene.scores)
    if labels is not None and len(labels) != count:
        raise ValueError(f"{where}: labels must be {count}, one for each frame; got {len(labels)}")
    named = [
        label if isinstance(label, str) else f"epoch {label:g}" for label in (labels if labels is not None else range(count))
    ]
    return [f"{name}: {100 * right:.0f} % right" for name, right in zip(named, scene.right, strict=True)]


def _draw(axes: Axes, scene: Scene, frame: int, link: Link, colors: Palette, size: float = 24) -> None:
    scores, where = scene.scores[frame], (scene.across, scene.up)
    hues = (colors.cycle[1], colors.cycle[0], *colors.cycle[2:]) if link != "softmax" else colors.cycle
    if link == "softmax":
        shade = _mixture(scores, hues, colors.paper)
        for k in range(scores.shape[-1]):
            rest = np.delete(scores, k, axis=-1).max(axis=-1)
            axes.contour(*where, scores[..., k] - rest, levels=[0], colors=colors.ink, linewidths=1.2)
    else:
        belief = 1 / (1 + np.exp(-np.clip(scores, -40, 40))) if link == "sigmoid" else 0.5 + 0.25 * np.clip(scores, -2, 2)
        shade = _between(hues[0], hues[1], colors.paper)(belief)
        if link == "sign":
            axes.contour(*where, scores, levels=[-1, 1], colors=colors.ink, linewidths=0.9, linestyles="dashed")
        axes.contour(*where, scores, levels=[0], colors=colors.ink, linewidths=1.8)
    box = (scene.across[0], scene.across[-1], scene.up[0], scene.up[-1])
    axes.imshow(shade, extent=box, origin="lower", aspect="auto", interpolation="bilinear", zorder=0)
    for k, label in enumerate(scene.classes):
        mine = scene.y == label
        hue = hues[k if link != "softmax" else int(label) % len(hues)]
        axes.scatter(
            *scene.x[mine].T,
            s=size,
            color=hue,
            marker=_MARKS[k % len(_MARKS)],
            edgecolors=colors.paper,
            linewidths=0.7,
            zorder=3,
        )
    axes.scatter(
        *scene.x[scene.wrong[frame]].T, s=3.2 * size, facecolors="none", edgecolors=colors.ink, linewidths=1, zorder=4
    )
    axes.grid(False)
    axes.set(xlim=box[:2], ylim=box[2:], xlabel="x₁", ylabel="x₂")


def _between(low: str, high: str, paper: str) -> LinearSegmentedColormap:
    soft = [tuple(0.55 * np.array(to_rgb(c)) + 0.45 * np.array(to_rgb(paper))) for c in (low, high)]
    return LinearSegmentedColormap.from_list("belief", [soft[0], paper, soft[1]])


def _mixture(scores: Float[np.ndarray, "y x classes"], hues: Sequence[str], paper: str) -> Float[np.ndarray, "y x 3"]:
    """Each class's colour on paper, by its probability."""
    chances = np.exp(scores - scores.max(axis=-1, keepdims=True))
    chances /= chances.sum(axis=-1, keepdims=True)
    palette = np.array([to_rgb(hues[k % len(hues)]) for k in range(scores.shape[-1])])
    sure = 0.55 * (chances.max(axis=-1, keepdims=True) * len(palette) - 1) / max(len(palette) - 1, 1)
    return sure * (chances @ palette) + (1 - sure) * np.array(to_rgb(paper))
