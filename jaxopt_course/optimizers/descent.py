"""Gradient descent [B1, F1]: θ ← θ − α∇L. Stochastic when the gradient is a mini-batch's: the same update."""

from __future__ import annotations

import optax

from jaxopt_course.transform import map_leaves, optimizer
from jaxopt_course.types import NonNegative

__all__ = ["scale_by_learning_rate", "sgd"]


def _downhill(u, learning_rate):
    return (-(learning_rate * u),)  # −α would be worked out before a loop of steps, and moving it there takes XLA long


@optimizer
def scale_by_learning_rate(learning_rate: NonNegative):
    """The last link of a chain: turn a direction into a step.

    u ← −αu

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: α is negative or not finite.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_learning_rate(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """

    def update(updates, state, params=None):
        return map_leaves(_downhill, updates, learning_rate=learning_rate)[0], state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


@optimizer
def sgd(learning_rate: NonNegative):
    """Gradient descent, stochastic when the gradient is.

    θ ← θ − α∇L(θ)

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: α is negative or not finite.

    >>> import jax.numpy as jnp
    >>> tx = sgd(0.1)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.2], dtype=float32)

    References:
        Lectures 000, 001 [B1]; 002 [F1].
    """
    return scale_by_learning_rate(learning_rate)
