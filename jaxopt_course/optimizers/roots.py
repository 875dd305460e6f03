"""Squares and square roots that differentiate everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Inexact

__all__ = ["abs_square", "root", "safe_sqrt"]


def abs_square(x: Inexact[Array, ...]) -> Float[Array, ...]:
    """|x|², real for complex x.

    >>> abs_square(jnp.array([3.0 + 4.0j, -2.0]))
    Array([25.,  4.], dtype=float32)
    """
    return x.real * x.real + x.imag * x.imag if jnp.iscomplexobj(x) else x * x


@jax.custom_jvp
def safe_sqrt(x: Float[Array, ...]) -> Float[Array, ...]:
    """√x, with derivative 0 at 0 (where √ has none), so that derivatives through an optimizer stay finite.

    >>> [float(x) for x in (safe_sqrt(4.0), jax.grad(safe_sqrt)(0.0), jax.grad(safe_sqrt)(4.0))]
    [2.0, 0.0, 0.25]
    """
    return jnp.sqrt(x)


@safe_sqrt.defjvp
def _safe_sqrt_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    root = jnp.sqrt(x)
    return root, jnp.where(x > 0, dx / (2 * jnp.where(x > 0, root, 1)), 0)


def root(v: Float[Array, ...], eps: Any = None, eps_root: Any = None) -> Float[Array, ...]:
    """√(v + ε_root) + ε; either may be None, for none.

    >>> [float(x) for x in (root(4.0, 1.0), root(3.0, None, 1.0), root(3.0, 0.5, 1.0))]
    [3.0, 2.0, 2.5]
    """
    size = safe_sqrt(v if eps_root is None else v + eps_root)
    return size if eps is None else size + eps
