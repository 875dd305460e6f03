"""Adam [E4]: momentum, divided by the gradient's measured size.

m ← β₁m + (1 − β₁)g             m̂ = m / (1 − β₁ᵗ)
v ← β₂v + (1 − β₂)g²            v̂ = v / (1 − β₂ᵗ)
θ ← θ − α m̂ / (√v̂ + ε)          t counts from 1

The slide's form has no bias correction (m̂ = m, v̂ = v), and steps with the m and v of before the update, which divides by
zero at the first step: like the paper, we update first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxopt_course.optimizers.descent import scale_by_learning_rate
from jaxopt_course.optimizers.roots import abs_square, safe_sqrt
from jaxopt_course.transform import chain, map_leaves, optimizer, zeros_like
from jaxopt_course.types import Decay, NonNegative, Updates

if TYPE_CHECKING:
    from jaxtyping import Array, Int

__all__ = ["AdamState", "adam", "scale_by_adam"]


class AdamState(NamedTuple):
    """t, the updates done; m and v, the moving averages of the gradient and of its square."""

    count: Int[Array, ""]
    m: Updates
    v: Updates


def _adam(g, m, v, b1, b2, eps, m_correction, v_correction, eps_inside_sqrt):
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * abs_square(g)
    m_hat = m / m_correction
    v_hat = v / v_correction
    size = safe_sqrt(v_hat + eps) if eps_inside_sqrt else safe_sqrt(v_hat) + eps
    return m_hat / size, m, v


@optimizer
def scale_by_adam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    *,
    bias_correction: bool = True,
    eps_inside_sqrt: bool = False,
    accumulator_dtype: Any = None,
):
    """Adam's direction: :func:`adam` without its learning rate, for chains.

    u ← m̂ / (√v̂ + ε)

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0.
        bias_correction: the paper's m̂ and v̂; without, the slide's form.
        eps_inside_sqrt: √(v̂ + ε).
        accumulator_dtype: m's and v's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval.

    >>> tx = scale_by_adam()
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([ 1., -1.], dtype=float32)

    References:
        See :func:`adam` [E4].
    """

    def init(params):
        m = zeros_like(params, accumulator_dtype)
        return AdamState(jnp.zeros((), jnp.int32), m, zeros_like(params, accumulator_dtype, real=True))

    def update(grads, state, params=None):
        t = state.count + 1
        updates, m, v = map_leaves(
            _adam, grads, state.m, state.v, b1=b1, b2=b2, eps=eps, eps_inside_sqrt=eps_inside_sqrt,
            m_correction=1 - b1 ** t.astype(b1.dtype) if bias_correction else jnp.ones_like(b1),
            v_correction=1 - b2 ** t.astype(b2.dtype) if bias_correction else jnp.ones_like(b2),
        )  # fmt: skip
        return updates, AdamState(t, m, v)

    return optax.GradientTransformation(init, update)


@optimizer
def adam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    *,
    bias_correction: bool = True,
    eps_inside_sqrt: bool = False,
    accumulator_dtype: Any = None,
):
    """Momentum and RMSProp in one: adaptive moment estimation.

    m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − α m̂ / (√v̂ + ε), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        b1: β₁ in [0, 1), how long gradients are remembered.
        b2: β₂ in [0, 1), how long their squares are.
        eps: ε ≥ 0, added to the root.
        bias_correction: the paper's m̂ and v̂; without (m̂ = m, v̂ = v), the slide's form.
        eps_inside_sqrt: √(v̂ + ε) in the place of √v̂ + ε.
        accumulator_dtype: m's and v's dtype; by default each leaf's own (a bfloat16 v with b2 = 0.999 never decays).

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval.

    >>> tx = adam(0.1)
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([-0.1,  0.1], dtype=float32)

    References:
        Kingma & Ba, Adam: a method for stochastic optimization, 2015, algorithm 1. Lecture 002 [E4].
    """
    direction = scale_by_adam(
        b1,
        b2,
        eps,
        bias_correction=bias_correction,
        eps_inside_sqrt=eps_inside_sqrt,
        accumulator_dtype=accumulator_dtype,
    )
    return chain(direction, scale_by_learning_rate(learning_rate))
