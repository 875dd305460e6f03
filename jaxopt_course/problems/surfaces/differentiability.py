"""Partial derivatives ⇏ differentiable; continuous gradient ⇒ differentiable, and not the other way round [B4].

Each has value 0 and partial derivatives 0 at the origin, where the fractions themselves have none.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.problems.surfaces.definition import surface

__all__ = ["continuous_gradient", "discontinuous_gradient", "not_differentiable"]

SOURCE = "lecture 000 [B4], which points to mathinsight.org, 'Subtleties of differentiability in higher dimensions'"


def _away_from_origin(x: jax.Array, function: Any) -> jax.Array:
    """``function(x, y, x² + y²)``, and 0 with derivatives 0 at the origin."""
    squares = jnp.sum(x**2)
    origin = squares == 0
    return jnp.where(origin, 0.0, function(x[0], x[1], jnp.where(origin, 1.0, squares)))


@surface(minima=(), minimum=-np.inf, bounds=[(-1, 1)], start=(0.8, 0.6), source=SOURCE)
def not_differentiable(x):
    """Continuous, with partial derivatives everywhere, but not differentiable at the origin [B4].

    f(x, y) = x²y / (x² + y²), f(0, 0) = 0

    Its directional derivative at the origin is cos²φ sin φ: zero along the axes, and so not ∇fᵀr̂, which would be zero along
    all directions. The gradient is bounded, but has no limit there.

    >>> float(not_differentiable([1.0, 1.0])), jax.grad(not_differentiable)(jnp.zeros(2)).tolist()
    (0.5, [0.0, 0.0])
    """
    return _away_from_origin(x, lambda a, b, squares: a**2 * b / squares)


@surface(
    minima=[(0.0, 0.0)],
    minimum=0.0,
    bounds=[(-1, 1)],
    start=(0.8, 0.6),
    source=SOURCE,
    degenerate="zero along both axes; the second derivatives have no limit at the origin",
)
def continuous_gradient(x):
    """Its gradient is continuous, also at the origin, and so it is differentiable there, though not twice [B4].

    f(x, y) = x²y² / (x² + y²), f(0, 0) = 0; ‖∇f(x)‖ ≤ 2‖x‖

    >>> float(continuous_gradient([1.0, 1.0])), jax.grad(continuous_gradient)(jnp.zeros(2)).tolist()
    (0.5, [0.0, 0.0])
    """
    return _away_from_origin(x, lambda a, b, squares: a**2 * b**2 / squares)


@surface(
    minima=[(0.23393004286482644, 0.0)],
    minimum=-0.049566607874612485,
    bounds=[(-0.5, 0.5)],
    start=(0.3, 0.2),
    source=SOURCE,
    degenerate="a circle of minima, r = 1/u with tan u = u/2, π < u < 3π/2",
)
def discontinuous_gradient(x):
    """Differentiable everywhere, though its gradient has no limit at the origin: the converse fails [B4].

    f(x, y) = r² sin(1/r), r = √(x² + y²), f(0, 0) = 0; \\|f\\| ≤ r²

    >>> round(float(discontinuous_gradient([0.3, 0.4])), 4), jax.grad(discontinuous_gradient)(jnp.zeros(2)).tolist()
    (0.2273, [0.0, 0.0])
    """
    return _away_from_origin(x, lambda a, b, squares: squares * jnp.sin(1 / jnp.sqrt(squares)))


__test__ = {
    each.name: each.__doc__ for each in (continuous_gradient, discontinuous_gradient, not_differentiable)
}  # doctest does not look into instances
