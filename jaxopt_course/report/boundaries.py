"""What a classifier of two features has learnt so far: its decision boundary as it trains [G7].

One output decides by its sign, of several the largest wins. The shade is what the model believes: the probability that a
log-linear model gives, or the score of a linear one, whose margins ±1 are dashed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from jaxopt_course import checks
from jaxopt_course.report import style
from jaxopt_course.report.style import Palette, Theme

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

__all__ = ["boundaries", "boundary", "boundary_animation"]

Link = Literal["sigmoid", "sign", "softmax"]
Predict = Callable[[Any, Any], Any]

_MARKS = "os^DvP*X"
_DETAIL = 160  # points along each axis


class _Scene(NamedTuple):
    """Everything but the parameters.

    Attributes:
        x, y: the examples. classes: the labels that occur.
        across, up: the grid. scores: for each frame, on the grid. wrong: which examples each frame gets wrong.
    """

    x: np.ndarray
    y: np.ndarray
    classes: np.ndarray
    across: np.ndarray
    up: np.ndarray
    scores: np.ndarray
    wrong: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """The share of examples that each frame gets right."""
        return 1 - self.wrong.mean(axis=1)


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
    scene = _scene(predict, [params], x, y)
    link = _link(link, scene)
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
    scene = _scene(predict, frames, x, y)
    count, link = len(scene.scores), _link(link, scene)
    titles = _titles("boundaries", labels, scene)
    columns = min(checks.check_positive_integer("boundaries", "columns", columns), count)
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
    scene = _scene(predict, frames, x, y)
    count, link = len(scene.scores), _link(link, scene)
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


def _scene(predict: Predict, frames: Any, x: Any, y: Any) -> _Scene:
    import jax
    import jax.numpy as jnp

    x, y = np.asarray(x, float), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise ValueError(f"boundary: x must be examples of two features, [n, 2]; got shape {x.shape}")
    if y.shape != x.shape[:1]:
        raise ValueError(f"boundary: y must be {len(x)} labels, one for each example; got shape {y.shape}")
    if isinstance(frames, list):
        if not frames:
            raise ValueError("boundary: no frames; expected a list of parameters")
        frames = jax.tree.map(lambda *leaves: jnp.stack(leaves), *frames)
    middle, half = (x.min(axis=0) + x.max(axis=0)) / 2, 0.56 * np.maximum(np.ptp(x, axis=0), 1e-9)
    across, up = np.linspace(middle - half, middle + half, _DETAIL).T
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    points = jnp.asarray(np.concatenate([grid, x]), jnp.result_type(float))
    scores = np.asarray(jax.jit(lambda frames: jax.lax.map(lambda params: predict(params, points), frames))(frames), float)
    scores = scores[..., 0] if scores.ndim == 3 and scores.shape[2] == 1 else scores
    if scores.ndim not in (2, 3) or scores.shape[1] != len(points):
        raise ValueError(
            f"boundary: predict must return scores [n] or [n, classes]; for n = {len(points)}: {scores.shape[1:]}"
        )
    classes = np.unique(y)
    if scores.ndim == 2 and not set(classes.tolist()) <= ({-1, 1} if classes.min() < 0 else {0, 1}):
        raise ValueError(f"boundary: y must be labels 0 and 1, or -1 and +1, for one score; got {classes.tolist()}")
    own = scores[:, len(grid) :]
    found = own.argmax(axis=2) if own.ndim == 3 else np.where(own > 0, 1, -1 if classes.min() < 0 else 0)
    shape = (len(scores), _DETAIL, _DETAIL, *scores.shape[2:])
    return _Scene(x, y, classes, across, up, scores[:, : len(grid)].reshape(shape), found != y)


def _link(link: Link | None, scene: _Scene) -> Link:
    several = scene.scores.ndim == 4
    accepted = ("softmax",) if several else ("sigmoid", "sign")
    if link is None:
        return "softmax" if several else "sign" if scene.classes.min() < 0 else "sigmoid"
    if link not in accepted:
        outputs = "several outputs" if several else "one output"
        raise ValueError(f"boundary: link must be {' or '.join(map(repr, accepted))} for {outputs}; got {link!r}")
    return link


def _titles(where: str, labels: Sequence[Any] | None, scene: _Scene) -> list[str]:
    count = len(scene.scores)
    if labels is not None and len(labels) != count:
        raise ValueError(f"{where}: labels must be {count}, one for each frame; got {len(labels)}")
    named = [
        label if isinstance(label, str) else f"epoch {label:g}" for label in (labels if labels is not None else range(count))
    ]
    return [f"{name}: {100 * right:.0f} % right" for name, right in zip(named, scene.right, strict=True)]


def _draw(axes: Axes, scene: _Scene, frame: int, link: Link, colors: Palette, size: float = 24) -> None:
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
