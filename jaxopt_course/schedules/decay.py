"""Rates that fall [C1–C4].

linear       α_t = (1 − t/ρ) α₀ + (t/ρ) α_ρ, constant after ρ
recursive    α_{t+1} = α_t / (1 + ρt)
time_based   α_t = α₀ / (1 + kt)
exponential  α_t = α₀ e^{−ρt}
step         α_t = α₀ e^{−k ⌊t/T⌋}
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import gammaln

from jaxopt_course.types import NonNegative, Number, Positive, Schedule, parametric

__all__ = ["constant", "exponential", "linear", "recursive", "step", "time_based"]


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
    return init_value * jnp.exp(-_log_product(step, decay_rate))


def _log_product(t, rate):
    """ln Π_{i<t} (1 + ρi): by gamma functions, or, where 1/ρ would swamp them, by Euler and Maclaurin's sum formula."""
    large = rate > 0.05
    safe = jnp.where(large, rate, 1.0)
    by_gamma = (t - 1) * jnp.log(safe) + gammaln(t + 1 / safe) - gammaln(1 + 1 / safe)
    small = jnp.where(large | (rate == 0), 0.01, rate)
    x = 1 + small * t
    by_sum = (x * jnp.log(x) - (x - 1)) / small - jnp.log(x) / 2 + small * (1 / x - 1) / 12 - small**3 * (x**-3 - 1) / 360
    by_sum = by_sum + small**5 * (x**-5 - 1) / 1260
    return jnp.where((t < 2) | (rate == 0), 0.0, jnp.where(large, by_gamma, by_sum))


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
    return init_value * jnp.exp(-decay_rate * jnp.floor(step / transition_steps))
