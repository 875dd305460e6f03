"""Adamax [E5]: Adam with the largest gradient in the place of the root mean square.

m ← β₁m + (1 − β₁)g
u ← max(β₂u, |g|)
θ ← θ − α / (1 − β₁ᵗ) · m / u         t counts from 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax.numpy as jnp
import optax

from jaxopt_course import checks
from jaxopt_course.optimizers.descent import scale_by_learning_rate
from jaxopt_course.optimizers.wrapping import speaks_for
from jaxopt_course.transform import chain, map_leaves, next_step, optimizer, zeros_like
from jaxopt_course.types import Decay, NonNegative, Updates

if TYPE_CHECKING:
    from jaxtyping import Array, Int

__all__ = ["AdamaxState", "adamax", "scale_by_adamax"]


class AdamaxState(NamedTuple):
    """t, the updates done; m, the moving average of gradients; u, their fading maximum."""

    step: Int[Array, ""]
    m: Updates
    u: Updates


def _adamax(g, m, u, b1, b2, eps, m_correction, eps_place):
    m = b1 * m + (1 - b1) * g
    size = jnp.abs(g) + eps if eps_place == "maximum" else jnp.abs(g)
    u = jnp.maximum(b2 * u, size)
    return m / m_correction / (u + eps if eps_place == "denominator" else u), m, u


@optimizer
def scale_by_adamax(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    *,
    eps_place: Literal["denominator", "maximum"] = "denominator",
    accumulator_dtype: Any = None,
):
    """Adamax's direction: :func:`adamax` without its learning rate, for chains.

    d ← m / (1 − β₁ᵗ) / (u + ε)

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0.
        eps_place: u + ε (Keras), or u ← max(β₂u, \\|g\\| + ε) (PyTorch, optax).
        accumulator_dtype: m's and u's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval, or an unknown place.

    >>> tx = scale_by_adamax()
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([ 1., -1.], dtype=float32)

    References:
        See :func:`adamax` [E5].
    """
    checks.check_choice("scale_by_adamax", "eps_place", eps_place, ("denominator", "maximum"))

    def init(params):
        u = zeros_like(params, accumulator_dtype, real=True)
        return AdamaxState(jnp.zeros((), jnp.int32), zeros_like(params, accumulator_dtype), u)

    def update(updates, state, params=None):
        t = next_step(state.step)
        numbers = {"b1": b1, "b2": b2, "eps": eps, "m_correction": 1 - b1 ** t.astype(b1.dtype), "eps_place": eps_place}
        updates, m, u = map_leaves(_adamax, updates, state.m, state.u, **numbers)
        return updates, AdamaxState(t, m, u)

    return optax.GradientTransformation(init, update)


@speaks_for("scale_by_adamax")
@optimizer
def adamax(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    *,
    eps_place: Literal["denominator", "maximum"] = "denominator",
    accumulator_dtype: Any = None,
):
    """Adam in the infinity norm.

    m ← β₁m + (1−β₁)g, u ← max(β₂u, \\|g\\|), θ ← θ − α/(1−β₁ᵗ) · m / (u + ε)

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        b1: β₁ in [0, 1), how long gradients are remembered.
        b2: β₂ in [0, 1), how fast the maximum fades.
        eps: ε ≥ 0 (the paper has none).
        eps_place: ``"denominator"``: u + ε, as in Keras; ``"maximum"``: u ← max(β₂u, \\|g\\| + ε), as in PyTorch and optax.
        accumulator_dtype: m's and u's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval, or an unknown place.

    >>> tx = adamax(0.1)
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([-0.1,  0.1], dtype=float32)

    References:
        Kingma & Ba, Adam: a method for stochastic optimization, 2015, algorithm 2. Lecture 002 [E5].
    """
    direction = scale_by_adamax(b1, b2, eps, eps_place=eps_place, accumulator_dtype=accumulator_dtype)
    return chain(direction, scale_by_learning_rate(learning_rate))
