"""Nadam [E5]: Adam with Nesterov's momentum.

m ← β₁m + (1 − β₁)g                        v ← β₂v + (1 − β₂)g²
m̄ = β₁ m / (1 − β₁ᵗ⁺¹) + (1 − β₁) g / (1 − β₁ᵗ)
θ ← θ − α m̄ / (√v̂ + ε)                     v̂ = v / (1 − β₂ᵗ), t counts from 1

Dozat's schedule warms the momentum up: μₜ = β₁ (1 − ½ · 0.96^{ψt}), and products of μ take the place of powers of β₁:
m̄ = μₜ₊₁ m / (1 − Πμ…μₜ₊₁) + (1 − μₜ) g / (1 − Πμ…μₜ).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxopt_course.optimizers.descent import scale_by_learning_rate
from jaxopt_course.optimizers.roots import abs_square, root
from jaxopt_course.transform import chain, map_leaves, next_step, optimizer, zeros_like
from jaxopt_course.types import Decay, NonNegative, Updates

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

__all__ = ["NadamState", "nadam", "scale_by_nadam"]


class NadamState(NamedTuple):
    """t, the updates done; Πμ, the product of their momenta; m and v, as Adam's."""

    step: Int[Array, ""]
    product: Float[Array, ""]
    m: Updates
    v: Updates


def _nadam(g, m, v, b1, b2, eps, eps_root, m_weight, g_weight, v_correction):
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * abs_square(g)
    m_bar = m_weight * m + g_weight * g
    return m_bar / root(v / v_correction, eps, eps_root), m, v


@optimizer
def scale_by_nadam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    momentum_decay: NonNegative | None = None,
    eps_root: NonNegative | None = None,
    *,
    accumulator_dtype: Any = None,
):
    """Nadam's direction: :func:`nadam` without its learning rate, for chains.

    u ← m̄ / (√v̂ + ε)

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0.
        momentum_decay: ψ ≥ 0 of Dozat's schedule, or None: a constant μ = β₁.
        eps_root: ε_r ≥ 0 of √(v̂ + ε_r) + ε; by default none.
        accumulator_dtype: m's and v's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval.

    >>> tx = scale_by_nadam(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0].round(3)  # 0.5 · 1 / 0.75 + 0.5 · 2 / 0.5, over 2
    Array([1.333], dtype=float32)

    References:
        See :func:`nadam` [E5].
    """

    def momentum(t):
        return b1 if momentum_decay is None else b1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    def init(params):
        m, v = zeros_like(params, accumulator_dtype), zeros_like(params, accumulator_dtype, real=True)
        return NadamState(jnp.zeros((), jnp.int32), jnp.ones((), jnp.result_type(float)), m, v)

    def update(updates, state, params=None):
        count = next_step(state.step)
        t = count.astype(b1.dtype)
        product = state.product.astype(b1.dtype) * momentum(t)
        numbers = {
            "m_weight": momentum(t + 1) / (1 - product * momentum(t + 1)),
            "g_weight": (1 - momentum(t)) / (1 - product),
            "v_correction": 1 - b2**t,
            "eps": eps,
            "eps_root": eps_root,
        }
        updates, m, v = map_leaves(_nadam, updates, state.m, state.v, b1=b1, b2=b2, **numbers)
        return updates, NadamState(count, product.astype(state.product.dtype), m, v)

    return optax.GradientTransformation(init, update)


@optimizer
def nadam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    momentum_decay: NonNegative | None = None,
    eps_root: NonNegative | None = None,
    *,
    accumulator_dtype: Any = None,
):
    """Adam that takes its momentum one step ahead, as Nesterov's.

    θ ← θ − α m̄ / (√v̂ + ε), m̄ = μₜ₊₁m/(1−Πμ…μₜ₊₁) + (1−μₜ)g/(1−Πμ…μₜ), m and v as Adam's

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        b1: β₁ in [0, 1), how long gradients are remembered.
        b2: β₂ in [0, 1), how long their squares are.
        eps: ε ≥ 0, added to the root.
        momentum_decay: ψ ≥ 0 of Dozat's schedule μₜ = β₁(1 − ½ · 0.96^{ψt}): 0.004 in the paper and PyTorch, 1 in Keras;
            None, as in optax: a constant μ = β₁.
        eps_root: ε_r ≥ 0, added under the root: √(v̂ + ε_r) + ε, as in optax; by default none.
        accumulator_dtype: m's and v's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval.

    >>> tx = nadam(0.1, 0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0].round(3)
    Array([-0.133], dtype=float32)

    References:
        Dozat, Incorporating Nesterov momentum into Adam, 2016, algorithm 8 and section 4. Lecture 002 [E5].
    """
    direction = scale_by_nadam(b1, b2, eps, momentum_decay, eps_root, accumulator_dtype=accumulator_dtype)
    return chain(direction, scale_by_learning_rate(learning_rate))
