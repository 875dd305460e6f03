"""Normalised gradient descent [B2]: along the steepest descent, by a length that the gradient does not decide.

θ ← θ − α ∇L / ‖∇L‖
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_course.optimizers.descent import scale_by_learning_rate
from jaxopt_course.optimizers.roots import abs_square, safe_sqrt
from jaxopt_course.transform import chain, map_leaves, optimizer
from jaxopt_course.types import NonNegative, Updates, real_dtype

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["NormState", "normalized_sgd", "scale_by_norm"]


class NormState(NamedTuple):
    """‖g‖ of the last update, 0 before the first: what its step was divided by."""

    norm: Float[Array, ""]


def _norm(updates: Updates) -> Float[Array, ""]:
    """‖g‖ of the whole tree, also where the squares of its elements would overflow."""
    dtype = real_dtype(updates)
    sizes = [jnp.abs(jax.lax.stop_gradient(g)).max(initial=0).astype(dtype) for g in jax.tree.leaves(updates)]
    largest = jnp.stack([jnp.zeros((), dtype), *sizes]).max()
    unit = jnp.where(largest > 0, largest, 1)
    squares = [abs_square(g.astype(jnp.promote_types(g.dtype, dtype)) / unit).sum() for g in jax.tree.leaves(updates)]
    return unit * safe_sqrt(sum(squares, jnp.zeros((), dtype)))


def _divide(g, norm, eps):
    length = norm + eps
    return (jnp.where(length > 0, g / jnp.where(length > 0, length, 1), 0),)


@optimizer
def scale_by_norm(eps: NonNegative = 0.0):
    """The direction of steepest descent: :func:`normalized_sgd` without its learning rate, for chains.

    d ← g / (‖g‖ + ε), and 0 where that is 0/0

    Args:
        eps: ε ≥ 0.

    Returns:
        A gradient transformation, whose state's ``norm`` is ‖g‖ of the last update.

    Raises:
        ValueError: ε is negative or not finite.

    >>> tx = scale_by_norm()
    >>> tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)))[0]
    Array([ 0.6, -0.8], dtype=float32)

    References:
        See :func:`normalized_sgd` [B2].
    """

    def update(updates, state, params=None):
        norm = _norm(updates)
        (directions,) = map_leaves(_divide, updates, norm=norm, eps=eps)
        return directions, NormState(norm)

    return optax.GradientTransformation(lambda params: NormState(jnp.zeros((), real_dtype(params))), update)


@optimizer
def normalized_sgd(learning_rate: NonNegative, eps: NonNegative = 0.0):
    """Gradient descent by steps of one length, whatever the gradient's.

    θ ← θ − α g / (‖g‖ + ε), ‖g‖ over all parameters

    Of all unit vectors, −g/‖g‖ has the smallest directional derivative, −‖g‖. Near a minimum the steps do not shorten by
    themselves, so α has to fall.

    Args:
        learning_rate: α ≥ 0, the length of a step: a number, a scalar array or a schedule, like every number here.
        eps: ε ≥ 0: steps shorten where ‖g‖ is about ε. At ε = 0, a gradient of zero makes no step.

    Returns:
        A gradient transformation; ``optax.tree.get(state, "norm")`` is ‖g‖ of the last update, over all parameters.

    Raises:
        ValueError: a number is negative or not finite.

    >>> tx = normalized_sgd(0.5)
    >>> steps, state = tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)))
    >>> steps, optax.tree.get(state, "norm")
    (Array([-0.3,  0.4], dtype=float32), Array(5., dtype=float32))

    References:
        Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées, 1847. Lecture 001 [B2].
    """
    return chain(scale_by_norm(eps), scale_by_learning_rate(learning_rate))
