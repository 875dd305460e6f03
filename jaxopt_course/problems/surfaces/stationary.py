"""Where descent stops: stationary points, found and told apart by the Hessian's eigenvalues [B5]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks
from jaxopt_course.problems.surfaces.definition import Surface
from jaxopt_course.types import Parametric

__all__ = ["StationaryPoint", "classify", "stationary_points"]

DISTANCE = 1e-3  # ‖∇f‖/max |λ|, about how far a stationary point is, relative to 1 + ‖x‖: further away, this is none
ZERO = 1e-9  # an eigenvalue beside the median Hessian of the starts


class StationaryPoint(NamedTuple):
    """A point where the gradient vanishes.

    Attributes:
        point: ``[d]``. value: f there. gradient_norm: ‖∇f‖, as a check.
        eigenvalues: of the Hessian, ``[d]``, in rising order.
        kind: ``"minimum"`` (all positive), ``"maximum"`` (all negative), ``"saddle"`` (of both signs), or ``"degenerate"``:
            some are zero and the rest has one sign, so the Hessian does not tell; from :func:`classify` also
            ``"not stationary"``.
    """

    point: np.ndarray
    value: float
    gradient_norm: float
    eigenvalues: np.ndarray
    kind: str


def classify(function: Callable[[jax.Array], jax.Array], point: Any, *, tolerance: float = 1e-6) -> StationaryPoint:
    """What kind of stationary point this is, by the Hessian's eigenvalues, in float64 [B5].

    λ(∇²f) all > 0: minimum; all < 0: maximum; of both signs: saddle; else the Hessian does not tell

    Args:
        function: f, a surface or any twice differentiable function of a point ``[d]``.
        point: where, ``[d]``.
        tolerance: eigenvalues smaller than this, relative to the largest, count as zero.

    Returns:
        A :class:`StationaryPoint`, of kind ``"not stationary"`` where ‖∇f‖ > 10⁻³ max \\|λ\\| (1 + ‖x‖).

    Raises:
        TypeError, ValueError: not a function, a point that is not finite, a function that is not scalar or not finite there.

    >>> from jaxopt_course import surfaces
    >>> classify(surfaces.saddle, [0.0, 0.0]).kind, classify(surfaces.monkey_saddle, [0.0, 0.0]).kind
    ('saddle', 'degenerate')

    References:
        Lecture 000 [B5].
    """
    x = _point("classify", point)
    checks.check_number("classify", "tolerance", tolerance, checks.Interval(0))
    _check_scalar("classify", function, x)
    value, gradient, hessian = (part[0] for part in _derivatives(function, x[None]))
    if not np.isfinite([value, *hessian.ravel()]).all():
        raise ValueError(f"classify: function must be finite with its second derivatives; at {x.tolist()} it is {value}")
    found = _described(x, value, gradient, hessian, tolerance)
    steepest = DISTANCE * float(np.abs(found.eigenvalues).max()) * (1 + float(np.linalg.norm(x)))
    return found if found.gradient_norm <= steepest else found._replace(kind="not stationary")


def stationary_points(
    function: Callable[[jax.Array], jax.Array],
    bounds: Any = None,
    *,
    starts: int = 400,
    tolerance: float = 1e-8,
    seed: int = 0,
) -> list[StationaryPoint]:
    """The stationary points inside a box, by Newton's method on ∇f = 0 from many starts, in float64 [B5].

    x ← x − (H² + μI)⁻¹ H∇f, where μ falls after a step that makes ‖∇f‖ smaller, and grows instead of a step that does not

    Args:
        function: f, a surface or any twice differentiable function of a point ``[d]``.
        bounds: the box, ``[d, 2]``; a surface's own if None.
        starts: how many, drawn uniformly from the box. Points with small basins need many; one never knows to have all.
        tolerance: of ‖∇f‖, relative to its median over the starts.
        seed: of the starts.

    Returns:
        The points, sorted by value. Where they are not isolated, some of them.

    Raises:
        TypeError, ValueError: not a function, no box, an empty one, one of another dimension than the surface, a function
            that is not scalar, or nowhere finite; a seed that is not an integer ≥ 0.

    >>> from jaxopt_course import surfaces
    >>> [(found.kind, found.point.round(6).tolist()) for found in stationary_points(surfaces.local_optimum)]
    [('minimum', [2.0, 0.0]), ('minimum', [-1.0, 0.0]), ('saddle', [0.0, 0.0])]

    References:
        Lecture 000 [B5]; Levenberg 1944 and Marquardt 1963 (the damping).
    """
    where = "stationary_points"
    checks.check_integer(where, "starts", starts)
    checks.check_number(where, "tolerance", tolerance, checks.Interval(0, open_low=True))
    checks.check_integer(where, "seed", seed, minimum=0)
    _check_function(where, function)
    box = _box(where, function, bounds)
    spread = np.random.default_rng(seed).uniform(box[:, 0], box[:, 1], (starts, len(box)))
    _check_scalar(where, function, spread[0])
    with np.errstate(all="ignore"):  # a step may leave for where the function overflows; it is not taken then
        points, values, gradients, hessians, (first, curvature) = _roots(function, spread)
    if not np.isfinite(first).any():
        raise ValueError(f"{where}: function must be finite with its gradient; it is at none of {starts} starts")
    norms, slack = np.linalg.norm(gradients, axis=1), 1e-6 * np.ptp(box, axis=1)
    inside = ((points >= box[:, 0] - slack) & (points <= box[:, 1] + slack)).all(axis=1)
    good = np.flatnonzero(inside & (norms <= tolerance * (float(np.nanmedian(first)) or 1.0)))
    kept = _distinct(points, good[np.argsort(norms[good], kind="stable")], 1e3 * slack)
    described = [_described(points[i], values[i], gradients[i], hessians[i], 1e-6, ZERO * curvature) for i in kept]
    return sorted(described, key=lambda stationary: stationary.value)


def _roots(function: Any, points: np.ndarray) -> tuple[Any, ...]:
    """Where damped Newton's method ends, with the derivatives there; the starts' gradient norms and median Hessian norm."""
    values, gradients, hessians = _derivatives(function, points)
    norms = first = np.where(np.isfinite(values), np.linalg.norm(gradients, axis=1), np.nan)
    bends = np.linalg.norm(hessians, axis=(1, 2))
    curvature = float(np.median(bends[np.isfinite(bends)])) if np.isfinite(bends).any() else 0.0
    relative = np.full(len(points), 1e-2)
    for _ in range(150):
        damping = relative * (hessians**2).sum(axis=(1, 2)) + 1e-200
        squares = hessians @ hessians + damping[:, None, None] * np.eye(points.shape[1])
        moved = points - np.linalg.solve(squares, hessians @ gradients[:, :, None])[:, :, 0]
        new = _derivatives(function, moved)
        lengths = np.linalg.norm(new[1], axis=1)
        better = (lengths < norms) & np.isfinite(new[0])
        if not better.any() and (relative > 1e6).all():
            break
        points, values, gradients, hessians, norms = (
            np.where(better.reshape(-1, *[1] * (old.ndim - 1)), latest, old)
            for latest, old in zip((moved, *new, lengths), (points, values, gradients, hessians, norms), strict=True)
        )
        relative = np.maximum(relative * np.where(better, 0.2, 5.0), 1e-14)  # or singular Hessians would stay singular
    return points, values, gradients, hessians, (first, curvature)


def _derivatives(function: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """f, ∇f and ∇²f at points ``[k, d]``, in float64."""
    with jax.enable_x64(True):
        return jax.device_get(_compiled(function if isinstance(function, Parametric) else Parametric(function), points))


@jax.jit
def _compiled(function: Parametric, points: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    return jax.vmap(lambda x: (function(x), jax.grad(function)(x), jax.hessian(function)(x)))(points)


def _described(
    x: np.ndarray, value: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, tolerance: float, least: float = 0.0
) -> StationaryPoint:
    eigenvalues = np.linalg.eigvalsh(hessian)
    zero = max(tolerance * float(np.abs(eigenvalues).max()), least)
    positive, negative = int((eigenvalues > zero).sum()), int((eigenvalues < -zero).sum())
    kinds = {(len(x), 0): "minimum", (0, len(x)): "maximum"}
    kind = kinds.get((positive, negative), "saddle" if positive and negative else "degenerate")
    return StationaryPoint(x, float(value), float(np.linalg.norm(gradient)), eigenvalues, kind)


def _distinct(points: np.ndarray, order: np.ndarray, distance: np.ndarray) -> list[int]:
    """The first of each cluster, in this order."""
    found: list[int] = []
    for index in order:
        if (np.abs(points[found] - points[index]) > distance).any(axis=1).all():
            found.append(int(index))
    return found


def _box(where: str, function: Any, bounds: Any) -> np.ndarray:
    if bounds is None:
        if not isinstance(function, Surface):
            raise TypeError(f"{where}: bounds must be given for a function that is no surface of jc.surfaces")
        return function.bounds
    checks.check_number(where, "bounds", bounds, scalar=False)
    box = np.asarray(bounds, float)
    if box.ndim != 2 or box.shape[1] != 2 or len(box) == 0 or (box[:, 0] >= box[:, 1]).any():
        raise ValueError(f"{where}: bounds must be d pairs (low, high), low < high; got {box.tolist()}")
    return box


def _point(where: str, point: Any) -> np.ndarray:
    checks.check_number(where, "point", point, scalar=False)
    x = np.atleast_1d(np.asarray(point, float))
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"{where}: point must be [d]; got shape {x.shape}")
    return x


def _check_function(where: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(f"{where}: function must be a surface or a function of a point; got {function!r}")


def _check_scalar(where: str, function: Any, x: np.ndarray) -> None:
    _check_function(where, function)
    shape = jnp.shape(jax.eval_shape(function, x))
    if shape != ():
        raise ValueError(f"{where}: function must return a scalar; for {x.size} coordinates it returns shape {shape}")
