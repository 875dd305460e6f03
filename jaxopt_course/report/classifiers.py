"""A classifier of two features as numbers to draw: its scores on a grid, frame by frame, and the examples it gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = ["Link", "Predict", "Scene", "link_of", "observed"]

Link = Literal["sigmoid", "sign", "softmax"]
Predict = Callable[[Any, Any], Any]

DETAIL = 160  # points along each axis


class Scene(NamedTuple):
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


def observed(predict: Predict, frames: Any, x: Any, y: Any) -> Scene:
    """What the frames' models say on a grid around the examples, and of the examples.

    Raises:
        ValueError: examples that are not of two features, labels that do not match, no frames, scores of another shape.
    """
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
    across, up = np.linspace(middle - half, middle + half, DETAIL).T
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
    shape = (len(scores), DETAIL, DETAIL, *scores.shape[2:])
    return Scene(x, y, classes, across, up, scores[:, : len(grid)].reshape(shape), found != y)


def link_of(link: Link | None, scene: Scene) -> Link:
    """The link asked for, or what the labels suggest.

    Raises:
        ValueError: one that the outputs do not have.
    """
    several = scene.scores.ndim == 4
    accepted = ("softmax",) if several else ("sigmoid", "sign")
    if link is None:
        return "softmax" if several else "sign" if scene.classes.min() < 0 else "sigmoid"
    if link not in accepted:
        outputs = "several outputs" if several else "one output"
        raise ValueError(f"boundary: link must be {' or '.join(map(repr, accepted))} for {outputs}; got {link!r}")
    return link
