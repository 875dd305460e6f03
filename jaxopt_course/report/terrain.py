"""A surface as numbers to draw: its values and gradients on a grid, its levels and colours, and the strands of paths on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex

from jaxopt_course.report import style

__all__ = [
    "Paths", "Strand", "bounds_of", "colormap", "colorscale", "gradients_at", "grid", "levels", "mapped", "ranks", "strands",
    "survey", "values_at", "walked",
]  # fmt: skip

Grid = tuple[np.ndarray, np.ndarray, np.ndarray]
Paths = Any  # what jc.paths or jc.minimize returns, or a mapping, label → what jc.minimize returns, or points [k, 2]
FAR = 4.0  # a path is drawn until it is so many times the picture's size away


class Strand(NamedTuple):
    """One path: what the legend calls it, its points ``[k, 2]`` up to where it left, and at which steps it was there."""

    label: str
    points: np.ndarray
    steps: np.ndarray


def strands(paths: Paths, where: str) -> list[Strand]:
    """The paths of a dataset, a minimum or a mapping, one by one; a label for each optimizer and each of its settings.

    Raises:
        TypeError: something else. ValueError: points that are not ``[k, 2]``.
    """
    if paths is None:
        return []
    if isinstance(paths, Mapping) and not hasattr(paths, "data_vars"):
        return [_strand(where, str(label), _floats(walked(each))) for label, each in paths.items()]
    if walked(paths) is not paths:
        return [_strand(where, "path", _floats(walked(paths)))]
    if not hasattr(paths, "data_vars") or "params" not in paths:
        accepted = "what jc.paths or jc.minimize returns, or a dict, label → points [k, 2]"
        raise TypeError(f"{where}: paths must be {accepted}; got {paths!r:.100}")
    params = paths["params"]
    if not params.size:
        return []
    across = [str(dim) for dim in params.dims if dim not in ("step", "dimension")]
    stacked = params.stack(path=across).transpose("path", "step", "dimension") if across else params.expand_dims("path")
    labels = [_label(paths, dict(zip(across, key, strict=True))) for key in stacked["path"].values] if across else ["path"]
    if len(set(labels)) > style.LOOKS:
        labels = [label.split(", ")[0] for label in labels]
    steps = paths["step"].values
    return [_strand(where, label, points, steps) for label, points in zip(labels, np.asarray(stacked, float), strict=True)]


def _label(paths: Any, place: dict[str, Any]) -> str:
    """An optimizer's name, and the settings that vary."""
    name = str(place.pop("optimizer", "path"))
    varied = {dim: value for dim, value in place.items() if dim != "start" and paths.sizes[dim] > 1}
    return ", ".join(
        [name, *(f"{dim} {value:.3g}" if isinstance(value, float) else f"{dim} {value}" for dim, value in varied.items())]
    )


def walked(path: Any) -> Any:
    """The points of what ``jc.minimize`` returns; anything else as it is."""
    return path.points if hasattr(path, "points") and hasattr(path, "opt_state") else path


def _floats(values: Any) -> np.ndarray | None:
    """As an array; None if these are no numbers."""
    try:
        return np.asarray(values, float)
    except (TypeError, ValueError):
        return None


def _strand(where: str, label: str, points: np.ndarray | None, steps: np.ndarray | None = None) -> Strand:
    if points is None or points.ndim != 2 or points.shape[1] != 2:
        found = "are no numbers" if points is None else f"have shape {points.shape}"
        raise ValueError(f"{where}: paths must have points of 2 coordinates, [k, 2]; those of {label} {found}")
    finite = np.isfinite(points).all(axis=1)
    count = len(points) if finite.all() else int(np.argmin(finite))
    return Strand(label, points[:count], (np.arange(len(points)) if steps is None else np.asarray(steps))[:count])


def bounds_of(function: Callable[..., Any], own: list[Strand], bounds: Any, where: str) -> np.ndarray:
    """What to show, ``[2, 2]``: as given; or a surface's own bounds and all starts; or where the paths are.

    Raises:
        TypeError: a function that is none. ValueError: bounds that are no box of two dimensions; or none, for a function
            without bounds or paths.
    """
    if not callable(function):
        raise TypeError(f"{where}: function must be f of a point [2], as jc.surfaces has them; got {function!r:.100}")
    if bounds is not None:
        box = _floats(bounds)
        if box is None or box.shape != (2, 2) or not np.isfinite(box).all() or (box[:, 0] >= box[:, 1]).any():
            raise ValueError(f"{where}: bounds must be two pairs (low, high), low < high; got {bounds!r}")
        return box
    places = [strand.points[:1] for strand in own]
    box = np.asarray(getattr(function, "bounds", np.empty((2, 0))), float)
    if len(box) != 2:
        raise ValueError(f"{where}: function must take points of 2 coordinates; it takes {len(box)}")
    if box.size == 0:
        places = [strand.points for strand in own]
    seen = np.concatenate([box.T, *places]) if places or box.size else np.empty((0, 2))
    if not len(seen):
        raise ValueError(f"{where}: bounds must be given for a function that is no surface of jc.surfaces, without paths")
    low, high = seen.min(axis=0), seen.max(axis=0)
    size = np.maximum(high - low, max(1e-3, 0.2 * float((high - low).max())))
    margin = np.where((low < box.min(axis=1, initial=np.inf)) | (high > box.max(axis=1, initial=-np.inf)), 0.12, 0.0) * size
    middle = (low + high) / 2
    return np.stack([middle - size / 2 - margin, middle + size / 2 + margin], axis=1)


def grid(function: Callable[..., Any], box: np.ndarray, count: int, where: str) -> Grid:
    """x, y and f(x, y), each ``[count, count]``; NaN where f is not finite.

    Raises:
        ValueError: it is finite nowhere.
    """
    return survey(functools.partial(values_at, function), box, count, where)


def survey(heights: Callable[[np.ndarray], np.ndarray], box: np.ndarray, count: int, where: str) -> Grid:
    """The same for what takes all points at once, ``[..., 2]``."""
    x, y = np.meshgrid(*np.linspace(box[:, 0], box[:, 1], count, axis=1))
    return x, y, mapped(heights(np.stack([x, y], axis=-1)), box, where)


def mapped(heights: np.ndarray, box: np.ndarray, where: str) -> np.ndarray:
    """Heights measured all over a box, in any dimension; NaN where they are not finite.

    Raises:
        ValueError: they are finite nowhere.
    """
    if not (finite := np.isfinite(heights)).any():
        raise ValueError(f"{where}: function is finite nowhere in the box {box.tolist()}; bounds shows another")
    return np.where(finite, heights, np.nan)


def values_at(function: Callable[..., Any], points: np.ndarray) -> np.ndarray:
    """f at points ``[..., 2]``."""
    import jax
    import jax.numpy as jnp

    return np.asarray(jax.jit(jnp.vectorize(function, signature="(d)->()"))(points), float)


def gradients_at(function: Callable[..., Any], points: np.ndarray) -> np.ndarray:
    """∇f at points ``[..., 2]``."""
    import jax
    import jax.numpy as jnp

    return np.asarray(jax.jit(jnp.vectorize(jax.grad(function), signature="(d)->(d)"))(jnp.asarray(points, float)), float)


def levels(values: np.ndarray, count: int = 24) -> np.ndarray:
    """Levels between which lie equal areas: on a quadratic they are evenly spaced, on steep walls they do not crowd.

    >>> levels(np.linspace(0.0, 1.0, 101) ** 2, 2).round(2).tolist()
    [0.0, 0.25, 1.0]
    """
    finite = values[np.isfinite(values)]
    found = np.unique(np.quantile(finite, np.linspace(0, 1, count + 1))) if finite.size else np.empty(0)
    return found if len(found) > 1 else np.array([0.0, 1.0]) + (found[0] if len(found) else 0.0)


def ranks(values: np.ndarray) -> np.ndarray:
    """The share of the finite values below each, which tells its colour as `levels` do; NaN where it is not finite.

    >>> ranks(np.array([30.0, 1.0, np.nan, 2.0])).tolist()
    [0.6666666666666666, 0.0, nan, 0.3333333333333333]
    """
    finite = np.isfinite(values)
    return np.where(finite, np.searchsorted(np.sort(values[finite]), values) / max(1, finite.sum()), np.nan)


def colormap(theme: style.Theme) -> LinearSegmentedColormap:
    """From valley to peak, in one hue and quiet, so that paths stand out: lightness alone tells the height."""
    ends = {"light": ("#a9c3dd", "#f8fafc"), "dark": ("#0e1f33", "#4b6079")}[theme]
    return LinearSegmentedColormap.from_list(f"terrain-{theme}", ends)


def colorscale(theme: style.Theme) -> list[list[Any]]:
    """The same for plotly."""
    return [[at, to_hex(colormap(theme)(at))] for at in (0.0, 0.25, 0.5, 0.75, 1.0)]
