"""Rates that fall [C1, C3, C4].

linear       α_t = (1 − t/ρ) α₀ + (t/ρ) α_ρ, constant after ρ
exponential  α_t = α₀ e^{−ρt}
step         α_t = α₀ e^{−k ⌊t/T⌋}
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import jax.numpy as jnp

from jaxopt_course.checks import Interval
from jaxopt_course.types import Scalar, Schedule, parametric

__all__ = ["constant", "exponential", "linear", "step"]

Number: TypeAlias = Annotated[Scalar, Interval()]
Rate: TypeAlias = Annotated[Scalar, Interval(0)]
Period: TypeAlias = Annotated[Scalar, Interval(0, open_low=True)]


@parametric(Schedule)
def constant(step, value: Number):
    """The same value at every step.

    Args:
        value: α.

    >>> float(constant(0.5)(3))
    0.5
    """
    return jnp.asarray(value, jnp.result_type(float)) + 0 * step


@parametric(Schedule)
def linear(step, init_value: Number, end_value: Number, transition_steps: Period):
    """From one value to another in a straight line, then constant [C1].

    α_t = (1 − t/ρ) α₀ + (t/ρ) α_ρ for t ≤ ρ, then α_ρ

    Args:
        init_value: α₀.
        end_value: α_ρ.
        transition_steps: ρ > 0, in steps.

    Raises:
        ValueError: a number that is not finite, or ρ ≤ 0.

    >>> [float(linear(1.0, 0.2, 4)(t)) for t in (0, 2, 4, 9)]
    [1.0, 0.6, 0.2, 0.2]
    """
    fraction = jnp.clip(step / transition_steps, 0, 1)
    return (1 - fraction) * init_value + fraction * end_value


@parametric(Schedule)
def exponential(step, init_value: Number, decay_rate: Rate):
    """Exponential decay [C3].

    α_t = α₀ e^{−ρt}

    Args:
        init_value: α₀.
        decay_rate: ρ ≥ 0, per step.

    Raises:
        ValueError: a number that is not finite, or ρ < 0.

    >>> round(float(exponential(0.1, 0.5)(2)), 6)  # 0.1 / e
    0.036788
    """
    return init_value * jnp.exp(-decay_rate * step)


@parametric(Schedule)
def step(step, init_value: Number, decay_rate: Rate, transition_steps: Period):
    """Constant for some steps, then lower by a factor, again and again [C4].

    α_t = α₀ e^{−k ⌊t/T⌋}; the usual choice is k = ln 2 (halve) every 10 epochs, from 0.01

    Args:
        init_value: α₀.
        decay_rate: k ≥ 0: each stage is e^{−k} times the one before.
        transition_steps: T > 0, in steps.

    Raises:
        ValueError: a number that is not finite, k < 0, or T ≤ 0.

    >>> halve = step(0.01, jnp.log(2.0), 10)
    >>> [round(float(halve(t)), 6) for t in (0, 9, 10, 25)]
    [0.01, 0.01, 0.005, 0.0025]
    """
    return init_value * jnp.exp(-decay_rate * jnp.floor(step / transition_steps))
