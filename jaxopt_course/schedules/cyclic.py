"""Rates that rise again [C5, C6, C7].

triangular   α_min + a(t) (α_max − α_min) (1 − |2p − 1|), p = (t mod T)/T: up for half a period, then down
cosine       α_min + a(t) ½ (α_max − α_min) (1 + cos πp); the slide omits the division by T
restarts     any schedule, from its start again after T₀, T₀r, T₀r², … steps
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_course.checks import Interval
from jaxopt_course.schedules.periods import elapsed, growing
from jaxopt_course.types import Number, Positive, Scalar, Schedule, parametric

__all__ = ["cosine", "restarts", "triangular", "warm_restarts"]

Growth: TypeAlias = Annotated[Any, Interval(1)]


def value(schedule: Schedule | Scalar, step: jax.Array) -> jax.Array:
    """A schedule's value, or the number itself."""
    return schedule(step) if isinstance(schedule, Schedule) else jnp.asarray(schedule)


@parametric(Schedule)
def triangular(step, min_value: Number, max_value: Number, period: Positive, amplitude: Schedule | Number = 1.0):
    """Up in a straight line for half a period, down for the other half, again and again [C5].

    α_t = α_min + a(t) (α_max − α_min) (1 − \\|2p − 1\\|), p = (t mod T)/T

    Args:
        min_value: α_min, at the beginning and the end of a cycle.
        max_value: α_max, in its middle.
        period: T > 0, in steps.
        amplitude: a, a number or a schedule: ``exponential(1, ρ)`` lets the cycles fade, ``step(1, ln 2, T)`` halves each.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, or T ≤ 0.

    >>> [round(float(triangular(0.1, 0.5, 4)(t)), 3) for t in range(6)]
    [0.1, 0.3, 0.5, 0.3, 0.1, 0.3]

    References:
        Smith, Cyclical learning rates for training neural networks, 2015. Lecture 002 [C5].
    """
    position = elapsed(step, period)[1] / period
    return min_value + value(amplitude, step) * (max_value - min_value) * (1 - jnp.abs(2 * position - 1))


@parametric(Schedule)
def cosine(step, min_value: Number, max_value: Number, period: Positive, amplitude: Schedule | Number = 1.0):
    """Down along half a cosine, then at the top again [C6].

    α_t = α_min + a(t) ½ (α_max − α_min) (1 + cos(π (t mod T)/T))

    Args:
        min_value: α_min, approached at the end of a cycle.
        max_value: α_max, at its beginning.
        period: T > 0, in steps.
        amplitude: a, a number or a schedule, as for :func:`triangular`.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, or T ≤ 0.

    >>> [round(float(cosine(0.0, 1.0, 4)(t)), 3) for t in range(6)]
    [1.0, 0.854, 0.5, 0.146, 1.0, 0.854]

    References:
        Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, 2017. Lecture 002 [C6].
    """
    position = elapsed(step, period)[1] / period
    return min_value + value(amplitude, step) * 0.5 * (max_value - min_value) * (1 + jnp.cos(jnp.pi * position))


@parametric(Schedule)
def restarts(step, schedule: Schedule | Number, period: Positive, multiplier: Growth = 1.0, *, stretch: bool = True):
    """A schedule from its start again, after periods that grow [C7].

    α_t = s(p T₀), p the position in the present period, of T₀rⁱ steps

    Args:
        schedule: s, over its first T₀ steps.
        period: T₀ > 0, the first period, in steps.
        multiplier: r ≥ 1; growing periods restart often early, when one is likely to be stuck.
        stretch: later periods run the whole of s's first T₀ steps, slower; otherwise they run further along s.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, T₀ ≤ 0, or r < 1.

    >>> from jaxopt_course.schedules import linear
    >>> [float(restarts(linear(1.0, 0.0, 2), 2, 2)(t)) for t in range(8)]
    [1.0, 0.5, 1.0, 0.75, 0.5, 0.25, 1.0, 0.875]

    References:
        Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, 2017. Lecture 002 [C7].
    """
    within, length = growing(step, period, multiplier)
    return value(schedule, within * period / length if stretch else within)


@parametric(Schedule)
def warm_restarts(step, min_value: Number, max_value: Number, period: Positive, multiplier: Growth = 2.0):
    """The cosine with warm restarts after growing periods [C7].

    α_t = α_min + ½ (α_max − α_min) (1 + cos πp), p the position in the present period, of T₀rⁱ steps

    Args:
        min_value: α_min, approached at the end of a period.
        max_value: α_max, at its beginning.
        period: T₀ > 0, the first period, in steps.
        multiplier: r ≥ 1.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, T₀ ≤ 0, or r < 1.

    >>> [round(float(warm_restarts(0.0, 1.0, 2)(t)), 3) for t in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]

    References:
        Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, 2017. Lecture 002 [C7].
    """
    within, length = growing(step, period, multiplier)
    return min_value + 0.5 * (max_value - min_value) * (1 + jnp.cos(jnp.pi * within / length))
