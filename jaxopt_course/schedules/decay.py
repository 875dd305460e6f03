"""Rates that fall [C1–C4].

linear       α_t = (1 − t/ρ) α₀ + (t/ρ) α_ρ, constant after ρ
recursive    α_{t+1} = α_t / (1 + ρt)
time_based   α_t = α₀ / (1 + kt)
exponential  α_t = α₀ e^{−ρt}
step         α_t = α₀ e^{−k ⌊t/T⌋}
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxopt_course.schedules.periods import elapsed
from jaxopt_course.types import NonNegative, Number, Positive, Schedule, parametric

__all__ = ["constant", "exponential", "linear", "recursive", "step", "time_based"]

FIRST = 16  # factors one by one


@parametric(Schedule)
def constant(step, value: Number):
    """The same value at every step.

    Args:
        value: α.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite.

    >>> float(constant(0.5)(3))
    0.5

    References:
        Lecture 000 [B1]: a constant rate.
    """
    return jnp.asarray(value, jnp.result_type(float)) + 0 * step


@parametric(Schedule)
def linear(step, init_value: Number, end_value: Number, transition_steps: Positive):
    """From one value to another in a straight line, then constant [C1].

    α_t = (1 − t/ρ) α₀ + (t/ρ) α_ρ for t ≤ ρ, then α_ρ

    Args:
        init_value: α₀.
        end_value: α_ρ.
        transition_steps: ρ > 0, in steps.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, or ρ ≤ 0.

    >>> [round(float(linear(1.0, 0.2, 4)(t)), 3) for t in (0, 2, 4, 9)]
    [1.0, 0.6, 0.2, 0.2]

    References:
        Lecture 000 [C1].
    """
    fraction = jnp.clip(step / transition_steps, 0, 1)
    return (1 - fraction) * init_value + fraction * end_value


@parametric(Schedule)
def recursive(step, init_value: Number, decay_rate: NonNegative):
    """Each value is the one before, divided by a little more each time [C2].

    α_{t+1} = α_t / (1 + ρt), that is α_t = α₀ / Π_{i<t} (1 + ρi)

    Args:
        init_value: α₀.
        decay_rate: ρ ≥ 0.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, or ρ < 0.

    >>> [round(float(recursive(1.0, 0.5)(t)), 4) for t in range(4)]  # 1, 1/1, 1/1.5, 1/(1.5 · 2)
    [1.0, 1.0, 0.6667, 0.3333]

    References:
        Lecture 000 [C2]. It falls faster than any exponential; :func:`time_based` is another schedule.
    """
    return init_value * _fallen(step, decay_rate)


@jax.jit
def _fallen(t, rate):
    """1 / Π_{i<t} (1 + ρi): some factors one by one, the others by Euler and Maclaurin's sum formula for their logarithms."""
    few = functools.reduce(lambda value, i: jnp.where(t > i, value / (1 + rate * i), value), range(1, FIRST), 1.0)
    rest, passed = jnp.maximum(t - FIRST, 0), rate * FIRST
    slow = rate / (1 + passed)  # at most 1/16: what the formula wants
    y = slow * rest
    logs = rest * jnp.log1p(passed) + rest * y * _entropy(y) - jnp.log1p(y) / 2
    for power, coefficient in ((1, 1 / 12), (3, -1 / 360), (5, 1 / 1260), (7, -1 / 1680)):  # B₂ₖ/(2k(2k − 1)), at 2k − 1
        logs = logs + coefficient * slow**power * ((1 + y) ** -power - 1)
    return few * jnp.exp(-logs)


def _entropy(y):
    """((1 + y) ln(1 + y) − y)/y², by the series of artanh z, z = y/(2 + y), where the difference would cancel."""
    small = y < 0.6
    z = jnp.where(small, y / (2 + y), 0.1)
    terms = functools.reduce(lambda total, k: total * z * z + 1 / (2 * k + 1), range(12, 0, -1), 0.0)
    far = jnp.where(small, 1.0, y)
    return jnp.where(small, (1 - z) / 2 * (1 + z * (1 + z) * terms), ((1 + far) * jnp.log1p(far) - far) / far**2)


@parametric(Schedule)
def time_based(step, init_value: Number, decay_rate: NonNegative):
    """Time-based decay [C2].

    α_t = α₀ / (1 + kt)

    Args:
        init_value: α₀.
        decay_rate: k ≥ 0, per step.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, or k < 0.

    >>> [float(time_based(1.0, 0.5)(t)) for t in (0, 2, 6)]
    [1.0, 0.5, 0.25]

    References:
        Lecture 002 [C2].
    """
    return init_value / (1 + decay_rate * step)


@parametric(Schedule)
def exponential(step, init_value: Number, decay_rate: NonNegative):
    """Exponential decay [C3].

    α_t = α₀ e^{−ρt}

    Args:
        init_value: α₀.
        decay_rate: ρ ≥ 0, per step.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, or ρ < 0.

    >>> round(float(exponential(0.1, 0.5)(2)), 6)  # 0.1 / e
    0.036788

    References:
        Lectures 000, 002 [C3].
    """
    return init_value * jnp.exp(-decay_rate * step)


@parametric(Schedule)
def step(step, init_value: Number, decay_rate: NonNegative, transition_steps: Positive):
    """Constant for some steps, then lower by a factor, again and again [C4].

    α_t = α₀ e^{−k ⌊t/T⌋}; the usual choice is k = ln 2 (halve) every 10 epochs, from 0.01

    Args:
        init_value: α₀.
        decay_rate: k ≥ 0: each stage is e^{−k} times the one before.
        transition_steps: T > 0, in steps.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, k < 0, or T ≤ 0.

    >>> halve = step(0.01, jnp.log(2.0), 10)
    >>> [round(float(halve(t)), 6) for t in (0, 9, 10, 25)]
    [0.01, 0.01, 0.005, 0.0025]

    References:
        Lecture 002 [C4].
    """
    return init_value * jnp.exp(-decay_rate * elapsed(step, transition_steps)[0])
