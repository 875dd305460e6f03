"""Schedules made of schedules."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxopt_course import checks
from jaxopt_course.schedules.cyclic import value
from jaxopt_course.types import Number, Positive, Schedule, parametric

__all__ = ["join", "piecewise", "scaled", "warmup"]


@parametric(Schedule)
def warmup(step, schedule: Schedule | Number, warmup_steps: Positive, init_value: Number = 0.0) -> jax.Array:
    """A linear rise to a schedule's first value, then that schedule from its own step 0.

    α_t = α_init + (t/w)(s(0) − α_init) for t < w, then s(t − w)

    Args:
        schedule: s, or a number (constant).
        warmup_steps: w > 0, in steps.
        init_value: α_init, the value at step 0.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, or w ≤ 0.

    >>> from jaxopt_course.schedules import exponential
    >>> rate = warmup(exponential(0.1, 0.5), 4)
    >>> [round(float(rate(t)), 4) for t in (0, 2, 4, 6)]
    [0.0, 0.05, 0.1, 0.0368]

    References:
        Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017, section 2.2.
    """
    rising = init_value + step / warmup_steps * (value(schedule, jnp.zeros_like(step)) - init_value)
    return jnp.where(step < warmup_steps, rising, value(schedule, jnp.maximum(step - warmup_steps, 0)))


@parametric(Schedule)
def join(step, first: Schedule | Number, boundary: Positive, second: Schedule | Number):
    """One schedule, then another from its own step 0; join again for more.

    α_t = s₁(t) for t < b, then s₂(t − b)

    Args:
        first: s₁, or a number (constant).
        boundary: b > 0, in steps.
        second: s₂, or a number.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite, or b ≤ 0.

    >>> from jaxopt_course.schedules import linear
    >>> rate = join(join(0.5, 2, linear(1.0, 0.0, 4)), 4, 0.1)
    >>> [round(float(rate(t)), 2) for t in range(6)]
    [0.5, 0.5, 1.0, 0.75, 0.1, 0.1]
    """
    return jnp.where(step < boundary, value(first, step), value(second, jnp.maximum(step - boundary, 0)))


@parametric(Schedule)
def scaled(step, schedule: Schedule | Number, factor: Schedule | Number):
    """A schedule times a number, or times another schedule.

    α_t = c_t s(t)

    Args:
        schedule: s, or a number (constant).
        factor: c, a number or a schedule.

    Returns:
        A schedule: step → value, a frozen pytree.

    Raises:
        ValueError: a number that is not finite.

    >>> from jaxopt_course.schedules import linear, time_based
    >>> rate = scaled(linear(1.0, 0.0, 4), time_based(0.5, 1.0))
    >>> [round(float(rate(t)), 4) for t in range(3)]  # 1 · 0.5, 0.75 · 0.5/2, 0.5 · 0.5/3
    [0.5, 0.1875, 0.0833]
    """
    return value(factor, step) * value(schedule, step)


def piecewise(first: Schedule | Number, pieces: Mapping[float, Schedule | Number]) -> Schedule:
    """A value, or a schedule, for each stretch of steps: joins in a row.

    α_t = s₀(t) for t < b₁, then s₁(t − b₁) for t < b₂, then s₂(t − b₂), …

    Args:
        first: s₀, a number or a schedule.
        pieces: boundary bᵢ > 0, in steps → sᵢ, each from its own step 0.

    Returns:
        A schedule.

    Raises:
        TypeError: ``pieces`` is not a mapping, or empty. ValueError: a boundary is not a number > 0.

    >>> rate = piecewise(0.1, {3: 0.02, 5: 0.004})
    >>> [round(float(rate(t)), 4) for t in (0, 2, 3, 4, 5, 9)]
    [0.1, 0.1, 0.02, 0.02, 0.004, 0.004]
    """
    if not isinstance(pieces, Mapping) or not pieces:
        raise TypeError(f"piecewise: pieces must map boundaries (steps) to values or schedules; got {pieces!r}")
    for boundary in pieces:
        checks.check_number("piecewise", "a boundary", boundary, checks.Interval(0, open_low=True))
    rule = first
    for boundary in sorted(pieces):
        rule = join(rule, boundary, pieces[boundary])
    return rule
