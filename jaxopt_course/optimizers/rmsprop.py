"""RMSProp and Adadelta [E2, E3]: AdaGrad with a memory that fades.

rmsprop    v ← ρv + (1 − ρ)g²                θ ← θ − α g / (√v + ε)
  centred  and ḡ ← ρḡ + (1 − ρ)g             √(v − ḡ²) in the place of √v
  momentum m ← μm + α g / (√v + ε)           θ ← θ − m
  bias     v / (1 − ρᵗ), ḡ / (1 − ρᵗ)        in the places of v and ḡ
adadelta   v ← ρv + (1 − ρ)g²                Δ = √(d + ε) / √(v + ε) g
           d ← ρd + (1 − ρ)Δ²                θ ← θ − Δ (there is no rate; variants have one: θ ← θ − αΔ)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_course.optimizers.descent import scale_by_learning_rate
from jaxopt_course.optimizers.momentum import momentum as heavy_ball
from jaxopt_course.optimizers.momentum import nesterov as accelerated
from jaxopt_course.optimizers.roots import abs_square, root, safe_sqrt
from jaxopt_course.transform import chain, map_leaves, next_step, optimizer, zeros_like
from jaxopt_course.types import Decay, Fraction, NonNegative, Updates

__all__ = ["AdadeltaState", "RmspropState", "adadelta", "rmsprop", "scale_by_adadelta", "scale_by_rmsprop"]


class RmspropState(NamedTuple):
    """v, the moving average of the squared gradient; ḡ, the gradient's, where centred; t, where they are bias-corrected."""

    v: Updates
    mean: Any = None
    step: Any = None


class AdadeltaState(NamedTuple):
    """v and d, the moving averages of the squares of gradients and of steps."""

    v: Updates
    d: Updates


def _rmsprop(g, v, decay, eps, eps_root, correction):
    v = decay * v + (1 - decay) * abs_square(g)
    return g / root(_corrected(v, correction), eps, eps_root), v


def _centred(g, v, mean, decay, eps, eps_root, correction):
    v = decay * v + (1 - decay) * abs_square(g)
    mean = decay * mean + (1 - decay) * g
    variance = _corrected(v, correction) - abs_square(_corrected(mean, correction))
    return g / root(jnp.maximum(variance, 0), eps, eps_root), v, mean  # rounding can make it negative


def _corrected(average, correction):
    return average if correction is None else average / correction


def _adadelta(g, v, d, decay, eps):
    v = decay * v + (1 - decay) * abs_square(g)
    step = safe_sqrt(d + eps) / safe_sqrt(v + eps) * g
    d = decay * d + (1 - decay) * abs_square(step)
    return step, v, d


@optimizer
def scale_by_rmsprop(
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_accumulator: NonNegative = 0.0,
    *,
    centred: bool = False,
    bias_correction: bool = False,
    eps_inside_sqrt: bool = False,
    accumulator_dtype: Any = None,
):
    """RMSProp's direction: :func:`rmsprop` without its learning rate, for chains.

    u ← g / (√v + ε)

    Args:
        decay: ρ in [0, 1).
        eps: ε ≥ 0.
        initial_accumulator: v₀ ≥ 0, read by ``init`` only.
        centred: √(v − ḡ²).
        bias_correction: v / (1 − ρᵗ), and ḡ likewise.
        eps_inside_sqrt: √(v + ε).
        accumulator_dtype: v's and ḡ's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval.

    >>> tx = scale_by_rmsprop(0.75)
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([ 2., -2.], dtype=float32)

    References:
        See :func:`rmsprop` [E2].
    """

    def init(params):
        zeros = zeros_like(params, accumulator_dtype, real=True)
        v = jax.tree.map(lambda x: x + initial_accumulator.astype(x.dtype), zeros)
        mean = zeros_like(params, accumulator_dtype) if centred else None
        return RmspropState(v, mean, jnp.zeros((), jnp.int32) if bias_correction else None)

    def update(updates, state, params=None):
        t = None if state.step is None else next_step(state.step)
        outer, inner = (None, eps) if eps_inside_sqrt else (eps, None)
        numbers = {"decay": decay, "eps": outer, "eps_root": inner}
        numbers["correction"] = None if t is None else 1 - decay ** t.astype(decay.dtype)
        if centred:
            updates, v, mean = map_leaves(_centred, updates, state.v, state.mean, **numbers)
            return updates, RmspropState(v, mean, t)
        updates, v = map_leaves(_rmsprop, updates, state.v, **numbers)
        return updates, RmspropState(v, None, t)

    return optax.GradientTransformation(init, update)


@optimizer
def rmsprop(
    learning_rate: NonNegative,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    momentum: Fraction | None = None,
    initial_accumulator: NonNegative = 0.0,
    *,
    centred: bool = False,
    bias_correction: bool = False,
    rate_inside: bool = True,
    nesterov: bool = False,
    eps_inside_sqrt: bool = False,
    accumulator_dtype: Any = None,
):
    """AdaGrad with a moving average in the place of the sum.

    v ← ρv + (1 − ρ)g², θ ← θ − α g / (√v + ε); with momentum m ← μm + α g / (√v + ε), θ ← θ − m

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        decay: ρ in [0, 1), how long squares are remembered (0.9 in the lecture of Tieleman & Hinton, 0.99 in PyTorch).
        eps: ε ≥ 0, added to the root.
        momentum: μ in [0, 1], or None for none.
        initial_accumulator: v₀ ≥ 0; read by ``init`` only.
        centred: divide by the standard deviation, √(v − ḡ²), in the place of the root mean square.
        bias_correction: v / (1 − ρᵗ) in the place of v (and ḡ likewise), as Adam's.
        rate_inside: α inside m, as in optax and Keras; outside (θ ← θ − αm), as in PyTorch.
        nesterov: Nesterov's momentum, in the shifted form.
        eps_inside_sqrt: √(v + ε) in the place of √v + ε, as in optax and Keras.
        accumulator_dtype: the accumulators' dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval; ``nesterov=True`` or ``rate_inside=False`` without momentum.

    >>> tx = rmsprop(0.1, 0.75)
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(jnp.zeros(2)))[0]
    Array([-0.2,  0.2], dtype=float32)

    References:
        Tieleman & Hinton, Lecture 6.5: rmsprop, 2012; centred: Graves, Generating sequences with recurrent neural networks,
        2013. Lecture 002 [E2].
    """
    direction = scale_by_rmsprop(
        decay, eps, initial_accumulator, centred=centred, bias_correction=bias_correction,
        eps_inside_sqrt=eps_inside_sqrt, accumulator_dtype=accumulator_dtype,
    )  # fmt: skip
    if momentum is None:
        if nesterov or not rate_inside:
            asked = "nesterov=True" if nesterov else "rate_inside=False"
            raise ValueError(f"rmsprop: {asked} needs a momentum in [0, 1]; got momentum=None")
        return chain(direction, scale_by_learning_rate(learning_rate))
    options = {"rate_inside": rate_inside, "accumulator_dtype": accumulator_dtype}
    step = (
        accelerated(learning_rate, momentum, form="shifted", **options)
        if nesterov
        else heavy_ball(learning_rate, momentum, **options)
    )
    return chain(direction, step)


@optimizer
def scale_by_adadelta(decay: Decay = 0.95, eps: NonNegative = 1e-6, *, accumulator_dtype: Any = None):
    """Adadelta's step Δ, with the sign of the gradient, for chains.

    u ← √(d + ε) / √(v + ε) g

    Args:
        decay: ρ in [0, 1).
        eps: ε ≥ 0.
        accumulator_dtype: v's and d's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval.

    >>> tx = scale_by_adadelta(0.75, 1.0)
    >>> tx.update(jnp.array([0.0, 2.0]), tx.init(jnp.zeros(2)))[0].round(3)  # 1 / √2 · 2
    Array([0.   , 1.414], dtype=float32)

    References:
        See :func:`adadelta` [E3].
    """

    def init(params):
        v = zeros_like(params, accumulator_dtype, real=True)
        return AdadeltaState(v, zeros_like(params, accumulator_dtype, real=True))

    def update(updates, state, params=None):
        updates, *accumulators = map_leaves(_adadelta, updates, *state, decay=decay, eps=eps)
        return updates, AdadeltaState(*accumulators)

    return optax.GradientTransformation(init, update)


@optimizer
def adadelta(
    learning_rate: NonNegative | None = None, decay: Decay = 0.95, eps: NonNegative = 1e-6, *, accumulator_dtype: Any = None
):
    """Steps in the parameters' own units: no learning rate.

    v ← ρv + (1−ρ)g², Δ = √(d + ε) / √(v + ε) g, d ← ρd + (1−ρ)Δ², θ ← θ − Δ

    Args:
        learning_rate: none in the paper; variants have one, θ ← θ − αΔ: a number ≥ 0, a scalar array or a schedule.
        decay: ρ in [0, 1), how long squares are remembered.
        eps: ε ≥ 0, inside both roots; it decides the first steps' length.
        accumulator_dtype: v's and d's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: a number outside its interval.

    >>> tx = adadelta(decay=0.75, eps=1.0)
    >>> tx.update(jnp.array([0.0, 2.0]), tx.init(jnp.zeros(2)))[0].round(3)
    Array([-0.   , -1.414], dtype=float32)

    References:
        Zeiler, ADADELTA: an adaptive learning rate method, 2012, algorithm 1. Lecture 002 [E3].
    """
    direction = scale_by_adadelta(decay, eps, accumulator_dtype=accumulator_dtype)
    return chain(direction, optax.scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate))
