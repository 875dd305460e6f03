"""Bowls, saddles and bends: the surfaces that the lectures' claims are about [B5, C11, D5, D6, E6]."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxopt_course import checks
from jaxopt_course.problems.surfaces.definition import Facts, Surface, surface
from jaxopt_course.types import Number

__all__ = ["local_optimum", "monkey_saddle", "piecewise_quadratic", "quadratic", "saddle"]

SOURCE = "Goh 2017, 'Why momentum really works', Distill; lecture 000 [D5]"


def quadratic(eigenvalues: Any = (1.0, 10.0), angle: Number = 0.0, center: Any = 0.0, *, rotation: Any = None) -> Surface:
    """A quadratic with the Hessian that you choose [D5].

    f(x) = ½ (x − c)ᵀ Q diag(λ) Qᵀ (x − c)

    Args:
        eigenvalues: λ ``[d]``, d ≥ 1. All positive makes a bowl; mixed signs make a saddle, without a minimum.
        angle: Q in two dimensions: the direction of the first eigenvector, in radians from the first axis.
        center: c, a point ``[d]`` or one number for all coordinates.
        rotation: Q ``[d, d]`` itself, orthogonal, in place of the angle: its columns are the eigenvectors.

    Returns:
        A :class:`Surface` whose numbers are all leaves. Its start is c + √2·Q(1, …, 1): as far along each eigenvector.

    Raises:
        TypeError, ValueError: numbers that are not finite or do not fit together, a matrix that is not orthogonal, or
            one beside an angle.

    >>> bowl = quadratic(eigenvalues=(1.0, 4.0), angle=np.pi / 2)
    >>> round(float(bowl([1.0, 0.0])), 3), round(float(bowl([0.0, 1.0])), 3)
    (2.0, 0.5)

    References:
        Goh 2017, "Why momentum really works"; lecture 000 [D5].
    """
    for name, value in (("eigenvalues", eigenvalues), ("angle", angle), ("center", center)):
        checks.check_number("quadratic", name, value, scalar=name == "angle")
    shape, place = np.shape(eigenvalues), np.shape(center)
    if len(shape) != 1 or shape[0] == 0:
        raise ValueError(f"quadratic: eigenvalues must be d >= 1 numbers; got shape {shape}")
    if place not in ((), shape):
        raise ValueError(f"quadratic: center must be one number or a point of {shape[0]}; got shape {place}")
    numbers: dict[str, Any] = {"eigenvalues": _array(eigenvalues), "center": _array(center)}
    turned = isinstance(angle, Tracer) or bool(angle != 0)
    if rotation is not None:
        if turned:
            raise ValueError(f"quadratic: give angle or rotation, not both; got angle={angle!r} and a rotation")
        numbers["rotation"] = _orthogonal(rotation, shape[0])
    elif shape == (2,):
        numbers["angle"] = angle
    elif not turned:
        numbers["rotation"] = np.eye(shape[0])
    else:
        raise ValueError(f"quadratic: an angle rotates two dimensions; for {shape[0]} give rotation, an orthogonal matrix")
    return Surface(_quadratic, numbers, (), _QUADRATIC, shape[0])


def _quadratic(x, eigenvalues, center, angle=None, rotation=None):
    along = jnp.asarray(_axes(jnp, angle, rotation), x.dtype).T @ (x - jnp.asarray(center, x.dtype)).reshape(-1)
    return 0.5 * jnp.sum(jnp.asarray(eigenvalues, x.dtype) * along**2)


def _axes(xp: Any, angle: Any, rotation: Any) -> Any:
    """Q, by NumPy or JAX."""
    if rotation is not None:
        return rotation
    return xp.stack([xp.stack([xp.cos(angle), -xp.sin(angle)]), xp.stack([xp.sin(angle), xp.cos(angle)])])


def _centers(dimension: int, eigenvalues: Any, center: Any, **_: Any) -> list[np.ndarray]:
    return [np.broadcast_to(center, dimension)] if np.min(eigenvalues) >= 0 else []


def _lowest(dimension: int, eigenvalues: Any, **_: Any) -> float:
    return 0.0 if np.min(eigenvalues) >= 0 else -np.inf


def _around(dimension: int, center: Any, **_: Any) -> np.ndarray:
    return np.broadcast_to(center, dimension)[:, None] + np.array([-2.5, 2.5])


def _off_center(dimension: int, center: Any, angle: Any = None, rotation: Any = None, **_: Any) -> np.ndarray:
    return center + _axes(np, angle, rotation) @ np.full(dimension, np.sqrt(2.0))


def _flat(dimension: int, eigenvalues: Any, **_: Any) -> str:
    return "flat along the eigenvectors of eigenvalue 0" if np.min(eigenvalues) == 0 else ""


def _replaced(dimension: int, numbers: Any, changes: Any) -> dict[str, Any]:
    """The changes as :func:`quadratic` takes them, of as many eigenvalues as before."""
    eigenvalues = changes.get("eigenvalues", numbers["eigenvalues"])
    if np.ndim(eigenvalues) == 1 and len(eigenvalues) != dimension:
        raise ValueError(f"quadratic: eigenvalues must be {dimension} numbers, as before; got {len(eigenvalues)}")
    fitting = quadratic(**{"eigenvalues": eigenvalues, **changes}).numbers
    return {name: fitting[name] for name in changes}


_QUADRATIC = Facts(_centers, _lowest, _around, _off_center, SOURCE, degenerate=_flat, checked=_replaced)


def _array(value: Any) -> Any:
    """Sequences as float64 arrays; JAX arrays (traced ones, too) as they are."""
    return np.asarray(value, float) if isinstance(value, (list, tuple, int, float, np.ndarray)) else value


def _orthogonal(rotation: Any, dimension: int) -> np.ndarray:
    checks.check_number("quadratic", "rotation", rotation, scalar=False)
    matrix = np.asarray(rotation, float)
    if matrix.shape != (dimension, dimension):
        raise ValueError(f"quadratic: rotation must have shape ({dimension}, {dimension}); got {matrix.shape}")
    error = np.abs(matrix.T @ matrix - np.eye(dimension)).max()
    if error > 1e-5:
        raise ValueError(f"quadratic: rotation must be orthogonal; QᵀQ differs from the identity by {error:.2g}")
    return matrix


@surface(
    minima=(),
    minimum=-np.inf,
    bounds=[(-2, 2)],
    start=(1.5, 1e-3),
    source="lecture 002, 'optimization on saddle point' [E6]: the animation of A. Radford 2014",
)
def saddle(x):
    """The saddle: up along the first axis, down along the second, unbounded below [B5, E6].

    f(x, y) = x² − y²

    It starts almost on the ridge, from where plain descent leaves last.

    >>> float(saddle([2.0, 1.0])), saddle.minima.shape
    (3.0, (0, 2))
    """
    return x[0] ** 2 - x[1] ** 2


@surface(
    minima=(),
    minimum=-np.inf,
    bounds=[(-1.5, 1.5)],
    start=(0.7, 0.2),
    source="Hilbert & Cohn-Vossen 1932, 'Anschauliche Geometrie'; a degenerate stationary point for lecture 000 [B5]",
)
def monkey_saddle(x):
    """The monkey saddle: a stationary point whose Hessian is zero; room for two legs and a tail, unbounded below [B5].

    f(x, y) = x³ − 3xy²

    >>> float(monkey_saddle([1.0, 1.0]))
    -2.0
    """
    return x[0] ** 3 - 3 * x[0] * x[1] ** 2


@surface(
    minima=[(2.0, 0.0)],
    minimum=-8 / 3,
    bounds=[(-2.2, 3.2), (-2, 2)],
    start=(-1.8, 1.2),
    source="for lecture 002, 'optimization on local optimum' [E6], whose picture has no equation; lecture 000 [D6]",
)
def local_optimum(x):
    """A local minimum at (−1, 0), the global one at (2, 0), and the saddle (0, 0) between them [B5, D6, E6].

    f(x, y) = x⁴/4 − x³/3 − x² + y²/2, so that ∂f/∂x = (x + 1) x (x − 2); f(−1, 0) = −5/12, f(2, 0) = −8/3

    It starts on the far side of the local minimum, high enough to roll over the saddle.

    >>> round(float(local_optimum([-1.0, 0.0])), 4), round(float(local_optimum([2.0, 0.0])), 4)
    (-0.4167, -2.6667)
    """
    return x[0] ** 4 / 4 - x[0] ** 3 / 3 - x[0] ** 2 + x[1] ** 2 / 2


@surface(
    minima=[(0.0,)],
    minimum=0.0,
    bounds=[(-3, 4)],
    start=(3.3,),
    source="Lessard, Recht & Packard 2016, 'Analysis and design of optimization algorithms via integral quadratic "
    "constraints', SIAM J. Optim. 26(1); lecture 000 [D5]",
    dimension=1,
)
def piecewise_quadratic(x):
    """The convex function of one number on which heavy ball cycles for ever, and Nesterov converges [D5].

    f′(x) = 25x for x < 1, x + 24 for 1 ≤ x < 2, 25x − 24 for x ≥ 2: between m = 1 and L = 25 times convex

    With the α = 4/(√L + √m)² = 1/9 and β = ((√L − √m)/(√L + √m))² = 4/9 that are optimal on quadratics, heavy ball goes from
    3.3 to the cycle 792/1225 → −2208/1225 → 2592/1225; Nesterov with α = 1/L, β = (√L − √m)/(√L + √m) = 2/3 does not.

    >>> [float(piecewise_quadratic(x)) for x in (-1.0, 1.0, 2.0, 3.0)]
    [12.5, 12.5, 38.0, 76.5]
    """
    low, middle, high = 12.5 * x**2, 0.5 * x**2 + 24 * x - 12, 12.5 * x**2 - 24 * x + 36
    return jnp.sum(jnp.where(x < 1, low, jnp.where(x < 2, middle, high)))


__test__ = {
    each.name: each.__doc__ for each in (local_optimum, monkey_saddle, piecewise_quadratic, saddle)
}  # doctest does not look into instances
