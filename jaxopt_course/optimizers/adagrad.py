"""AdaGrad [E1]: each coordinate's rate falls with the squares of all its gradients.

v ← v + g²
θ ← θ − α g / (√v + ε)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax

from jaxopt_course.optimizers.descent import scale_by_learning_rate
from jaxopt_course.optimizers.roots import abs_square, root
from jaxopt_course.transform import chain, map_leaves, optimizer, zeros_like
from jaxopt_course.types import NonNegative, Updates

__all__ = ["AdagradState", "adagrad", "scale_by_adagrad"]


class AdagradState(NamedTuple):
    """v, the sum of squared gradients."""

    v: Updates


def _adagrad(g, v, eps, eps_inside_sqrt):
    v = v + abs_square(g)
    return g / (root(v, None, eps) if eps_inside_sqrt else root(v, eps)), v


@optimizer
def scale_by_adagrad(
    eps: NonNegative = 1e-10,
    initial_accumulator: NonNegative = 0.0,
    *,
    eps_inside_sqrt: bool = False,
    accumulator_dtype: Any = None,
):
    """AdaGrad's direction: :func:`adagrad` without its learning rate, for chains.

    u ← g / (√v + ε)

    Args:
        eps: ε ≥ 0.
        initial_accumulator: v₀ ≥ 0, read by ``init`` only.
        eps_inside_sqrt: √(v + ε).
        accumulator_dtype: v's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number is negative or not finite.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adagrad()
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([ 1., -1.], dtype=float32)

    References:
        See :func:`adagrad` [E1].
    """

    def init(params):
        zeros = zeros_like(params, accumulator_dtype, real=True)
        return AdagradState(jax.tree.map(lambda v: v + initial_accumulator.astype(v.dtype), zeros))

    def update(updates, state, params=None):
        updates, v = map_leaves(_adagrad, updates, state.v, eps=eps, eps_inside_sqrt=eps_inside_sqrt)
        return updates, AdagradState(v)

    return optax.GradientTransformation(init, update)


@optimizer
def adagrad(
    learning_rate: NonNegative,
    eps: NonNegative = 1e-10,
    initial_accumulator: NonNegative = 0.0,
    *,
    eps_inside_sqrt: bool = False,
    accumulator_dtype: Any = None,
):
    """Gradient descent with a rate for each coordinate, which only falls.

    v ← v + g², θ ← θ − α g / (√v + ε)

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        eps: ε ≥ 0, added to the root.
        initial_accumulator: v₀ ≥ 0 (optax and Keras start at 0.1); read by ``init`` only.
        eps_inside_sqrt: √(v + ε) in the place of √v + ε, as in optax and Keras.
        accumulator_dtype: v's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number is negative or not finite.

    >>> import jax.numpy as jnp
    >>> tx = adagrad(0.1)
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([-0.1,  0.1], dtype=float32)

    References:
        Duchi, Hazan & Singer, Adaptive subgradient methods for online learning and stochastic optimization, 2011. Lecture
        002 [E1].
    """
    direction = scale_by_adagrad(
        eps, initial_accumulator, eps_inside_sqrt=eps_inside_sqrt, accumulator_dtype=accumulator_dtype
    )
    return chain(direction, scale_by_learning_rate(learning_rate))
