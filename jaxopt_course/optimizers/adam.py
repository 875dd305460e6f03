"""Adam and its closest kin [E4]: momentum, divided by the gradient's measured size.

m ← β₁m + (1 − β₁)g             m̂ = m / (1 − β₁ᵗ)
v ← β₂v + (1 − β₂)g²            v̂ = v / (1 − β₂ᵗ)
θ ← θ − α m̂ / (√v̂ + ε)          t counts from 1
adamw     θ ← θ − α (m̂ / (√v̂ + ε) + λθ)

With ε before the bias correction (the paper's ε̂, Keras): θ ← θ − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε̂), that is
ε = ε̂ / √(1 − β₂ᵗ). The slide's form has no bias correction (m̂ = m, v̂ = v), and steps with the m and v of before the update,
which divides by zero at the first step: like the paper, we update first.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_course.optimizers.descent import scale_by_learning_rate
from jaxopt_course.optimizers.roots import abs_square, root
from jaxopt_course.optimizers.wrapping import speaks_for
from jaxopt_course.transform import chain, map_leaves, next_step, optimizer, zeros_like
from jaxopt_course.types import Decay, NonNegative, Updates

if TYPE_CHECKING:
    from jaxtyping import Array, Int

__all__ = ["AdamState", "adam", "adamw", "averages", "corrected", "corrections", "scale_by_adam"]


class AdamState(NamedTuple):
    """t, the updates done; m and v, the moving averages of the gradient and of its square."""

    step: Int[Array, ""]
    m: Updates
    v: Updates


def _adam(g, m, v, b1, rest1, b2, rest2, k, eps, eps_root):
    m = b1 * m + rest1 * g
    v = b2 * v + rest2 * abs_square(g)
    return k * m / root(v, eps, eps_root), m, v


@functools.partial(jax.jit, inline=True)  # outside of a trace, one dispatch
def averages(b1, b2, t):
    """β₁, 1 − β₁, β₂, 1 − β₂: worked out here, once, and not for every leaf (compilers take their time to find that out)."""
    one = jnp.minimum(t, 1).astype(b1.dtype)  # not 1: what is the same at every step XLA moves out of the loop, at length
    return {"b1": b1, "rest1": one - b1, "b2": b2, "rest2": one - b2}


def corrections(b1, b2, t):
    """1 − β₁ᵗ and 1 − β₂ᵗ, what the averages' weights sum to after t updates."""
    return 1 - b1 ** t.astype(b1.dtype), 1 - b2 ** t.astype(b2.dtype)


def corrected(b1, b2, t, eps, eps_root, eps_before_correction):
    """The bias corrections c₁, c₂ as numbers: m̂ / (√(v̂ + ε_r) + ε) = k m / (√(v + ε_r c₂) + ε √c₂) with k = √c₂ / c₁."""
    c1, c2 = corrections(b1, b2, t)
    if not eps_before_correction:
        eps = None if eps is None else eps * jnp.sqrt(c2)
        eps_root = None if eps_root is None else eps_root * c2
    return {"k": jnp.sqrt(c2) / c1, "eps": eps, "eps_root": eps_root}


@optimizer
def scale_by_adam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative | None = None,
    *,
    bias_correction: bool = True,
    eps_inside_sqrt: bool = False,
    eps_before_correction: bool = False,
    accumulator_dtype: Any = None,
):
    """Adam's direction: :func:`adam` without its learning rate, for chains.

    u ← m̂ / (√v̂ + ε)

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0.
        eps_root: ε_r ≥ 0 of √(v̂ + ε_r) + ε; by default none.
        bias_correction: the paper's m̂ and v̂; without, the slide's form.
        eps_inside_sqrt: √(v̂ + ε).
        eps_before_correction: √v + ε, and then the bias correction.
        accumulator_dtype: m's and v's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval, or ``eps``' places contradict each other.

    >>> tx = scale_by_adam()
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([ 1., -1.], dtype=float32)

    References:
        See :func:`adam` [E4].
    """
    if eps_root is not None and eps_inside_sqrt:
        raise ValueError("scale_by_adam: eps_inside_sqrt=True puts eps under the root; give eps_root or that, not both")
    if eps_before_correction and not bias_correction:
        raise ValueError("scale_by_adam: eps_before_correction=True needs bias_correction=True")

    def init(params):
        m = zeros_like(params, accumulator_dtype)
        return AdamState(jnp.zeros((), jnp.int32), m, zeros_like(params, accumulator_dtype, real=True))

    def update(updates, state, params=None):
        t = next_step(state.step)
        outer, inner = (None, eps) if eps_inside_sqrt else (eps, eps_root)
        numbers = {"k": jnp.ones_like(b1), "eps": outer, "eps_root": inner}
        if bias_correction:
            numbers = corrected(b1, b2, t, outer, inner, eps_before_correction)
        updates, m, v = map_leaves(_adam, updates, state.m, state.v, **averages(b1, b2, t), **numbers)
        return updates, AdamState(t, m, v)

    return optax.GradientTransformation(init, update)


@speaks_for("scale_by_adam")
@optimizer
def adam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative | None = None,
    *,
    bias_correction: bool = True,
    eps_inside_sqrt: bool = False,
    eps_before_correction: bool = False,
    accumulator_dtype: Any = None,
):
    """Momentum and RMSProp in one: adaptive moment estimation.

    m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − α m̂ / (√v̂ + ε), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        b1: β₁ in [0, 1), how long gradients are remembered.
        b2: β₂ in [0, 1), how long their squares are.
        eps: ε ≥ 0, added to the root.
        eps_root: ε_r ≥ 0, added under the root: √(v̂ + ε_r) + ε, as in optax; by default none.
        bias_correction: the paper's m̂ and v̂; without (m̂ = m, v̂ = v), the slide's form.
        eps_inside_sqrt: √(v̂ + ε) in the place of √v̂ + ε.
        eps_before_correction: (√v + ε) / √(1−β₂ᵗ) in the place of √v̂ + ε: the paper's ε̂, and Keras.
        accumulator_dtype: m's and v's dtype; by default each leaf's own (a bfloat16 v with b2 = 0.999 never decays).

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval, ``eps_root`` with ``eps_inside_sqrt``, or ``eps_before_correction`` without
            bias correction.

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
        eps_root,
        bias_correction=bias_correction,
        eps_inside_sqrt=eps_inside_sqrt,
        eps_before_correction=eps_before_correction,
        accumulator_dtype=accumulator_dtype,
    )
    return chain(direction, scale_by_learning_rate(learning_rate))


@optimizer
def adamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-2,
    *,
    decay_by_rate: bool = True,
    eps_inside_sqrt: bool = False,
    accumulator_dtype: Any = None,
):
    """Adam with decoupled weight decay: the decay is not divided by the gradient's size.

    θ ← θ − α (m̂ / (√v̂ + ε) + λθ)

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        b1: β₁ in [0, 1), how long gradients are remembered.
        b2: β₂ in [0, 1), how long their squares are.
        eps: ε ≥ 0, added to the root.
        weight_decay: λ ≥ 0.
        decay_by_rate: α scales the decay too, as in every framework; without, θ ← θ − α m̂/(√v̂ + ε) − λθ: the paper's,
            where λ carries the schedule but not α.
        eps_inside_sqrt: √(v̂ + ε) in the place of √v̂ + ε.
        accumulator_dtype: m's and v's dtype; by default each leaf's own.

    Returns:
        A gradient transformation; its ``update`` needs the parameters.

    Raises:
        ValueError: a number outside its interval; from ``update``: no parameters.

    >>> tx = adamw(0.1, weight_decay=0.5)
    >>> theta = jnp.array([1.0, 4.0])
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(theta), theta)[0]  # −0.1 (±1 + 0.5 θ)
    Array([-0.15, -0.1 ], dtype=float32)

    References:
        Loshchilov & Hutter, Decoupled weight decay regularization, 2019, algorithm 2. Kin of lecture 002's [E4].
    """
    adam_ = scale_by_adam(b1, b2, eps, eps_inside_sqrt=eps_inside_sqrt, accumulator_dtype=accumulator_dtype)
    rate = scale_by_learning_rate(learning_rate)
    if decay_by_rate:
        return chain(adam_, optax.add_decayed_weights(weight_decay), rate)
    return chain(adam_, rate, optax.add_decayed_weights(-weight_decay))
