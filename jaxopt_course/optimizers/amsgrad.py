"""AMSGrad [E4]: Adam, divided by the largest second moment so far.

m ← β₁m + (1 − β₁)g             v ← β₂v + (1 − β₂)g²
v⁺ ← max(v⁺, v)                 θ ← θ − α m / (√v⁺ + ε)

With Adam's bias correction the maximum is that of v, then corrected (PyTorch, Keras), or that of v̂ (optax).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxopt_course.optimizers.adam import averages, corrected, corrections
from jaxopt_course.optimizers.descent import scale_by_learning_rate
from jaxopt_course.optimizers.roots import abs_square, root
from jaxopt_course.optimizers.wrapping import speaks_for
from jaxopt_course.transform import chain, map_leaves, next_step, optimizer, zeros_like
from jaxopt_course.types import Decay, NonNegative, Updates

if TYPE_CHECKING:
    from jaxtyping import Array, Int

__all__ = ["AmsgradState", "amsgrad", "scale_by_amsgrad"]


class AmsgradState(NamedTuple):
    """t, the updates done; m and v, as Adam's; v⁺, the largest v so far."""

    step: Int[Array, ""]
    m: Updates
    v: Updates
    v_max: Updates


def _amsgrad(g, m, v, v_max, b1, rest1, b2, rest2, k, eps, eps_root, v_correction):
    m = b1 * m + rest1 * g
    v = b2 * v + rest2 * abs_square(g)
    v_max = jnp.maximum(v_max, v if v_correction is None else v / v_correction)
    return k * m / root(v_max, eps, eps_root), m, v, v_max


@optimizer
def scale_by_amsgrad(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative | None = None,
    *,
    bias_correction: bool = False,
    max_after_correction: bool = False,
    eps_before_correction: bool = False,
    accumulator_dtype: Any = None,
):
    """AMSGrad's direction: :func:`amsgrad` without its learning rate, for chains.

    u ← m / (√v⁺ + ε)

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0.
        eps_root: ε_r ≥ 0 of √(v⁺ + ε_r) + ε; by default none.
        bias_correction: Adam's m̂ and v̂.
        max_after_correction: v⁺ is the largest v̂, not the largest v.
        eps_before_correction: √v⁺ + ε, and then the bias correction.
        accumulator_dtype: the accumulators' dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval; ``max_after_correction`` or ``eps_before_correction`` without the
            correction, or both.

    >>> tx = scale_by_amsgrad(0.5, 0.75)
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([ 1., -1.], dtype=float32)

    References:
        See :func:`amsgrad` [E4].
    """
    for name, given in {"max_after_correction": max_after_correction, "eps_before_correction": eps_before_correction}.items():
        if given and not bias_correction:
            raise ValueError(f"scale_by_amsgrad: {name}=True needs bias_correction=True")
    if max_after_correction and eps_before_correction:
        raise ValueError(
            "scale_by_amsgrad: max_after_correction=True leaves no place for eps before the correction; give one of them"
        )

    def init(params):
        v = zeros_like(params, accumulator_dtype, real=True)
        v_max = zeros_like(params, accumulator_dtype, real=True)
        return AmsgradState(jnp.zeros((), jnp.int32), zeros_like(params, accumulator_dtype), v, v_max)

    def update(updates, state, params=None):
        t = next_step(state.step)
        numbers = {"k": jnp.ones_like(b1), "eps": eps, "eps_root": eps_root, "v_correction": None}
        if max_after_correction:
            m_correction, v_correction = corrections(b1, b2, t)
            numbers |= {"k": 1 / m_correction, "v_correction": v_correction}
        elif bias_correction:
            numbers |= corrected(b1, b2, t, eps, eps_root, eps_before_correction)
        updates, *accumulators = map_leaves(_amsgrad, updates, *state[1:], **averages(b1, b2, t), **numbers)
        return updates, AmsgradState(t, *accumulators)

    return optax.GradientTransformation(init, update)


@speaks_for("scale_by_amsgrad")
@optimizer
def amsgrad(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative | None = None,
    *,
    bias_correction: bool = False,
    max_after_correction: bool = False,
    eps_before_correction: bool = False,
    accumulator_dtype: Any = None,
):
    """Adam whose steps are divided by the largest second moment so far, so its rates never grow again.

    m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², v⁺ ← max(v⁺, v), θ ← θ − α m / (√v⁺ + ε)

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        b1: β₁ in [0, 1), how long gradients are remembered.
        b2: β₂ in [0, 1), how long their squares are.
        eps: ε ≥ 0, added to the root (the paper has none).
        eps_root: ε_r ≥ 0, added under the root: √(v⁺ + ε_r) + ε, as in optax; by default none.
        bias_correction: Adam's m̂ and v̂, as in optax, PyTorch and Keras; the paper has none.
        max_after_correction: v⁺ is the largest v̂ (optax), not the largest v (the paper, PyTorch, Keras).
        eps_before_correction: (√v⁺ + ε) / √(1−β₂ᵗ), as in Keras, in the place of √(v⁺ / (1−β₂ᵗ)) + ε.
        accumulator_dtype: the accumulators' dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval; ``max_after_correction`` or ``eps_before_correction`` without the
            correction, or both.

    >>> tx = amsgrad(0.1, bias_correction=True)
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([-0.1,  0.1], dtype=float32)

    References:
        Reddi, Kale & Kumar, On the convergence of Adam and beyond, 2018, algorithm 2. Kin of lecture 002's [E4].
    """
    direction = scale_by_amsgrad(
        b1, b2, eps, eps_root, bias_correction=bias_correction, max_after_correction=max_after_correction,
        eps_before_correction=eps_before_correction, accumulator_dtype=accumulator_dtype,
    )  # fmt: skip
    return chain(direction, scale_by_learning_rate(learning_rate))
