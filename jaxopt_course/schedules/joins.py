"""Schedules made of schedules."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_course.schedules.decay import Number, Period
from jaxopt_course.types import Schedule, parametric

__all__ = ["warmup"]


@parametric(Schedule)
def warmup(step, schedule: Schedule | Number, warmup_steps: Period, init_value: Number = 0.0) -> jax.Array:
    """A linear rise to a schedule's first value, then that schedule from its own step 0.

    α_t = α_init + (t/w)(s(0) − α_init) for t < w, then s(t − w)

    Args:
        schedule: s, or a number (constant).
        warmup_steps: w > 0, in steps.
        init_value: α_init, the value at step 0.

    Raises:
        ValueError: a number that is not finite, or w ≤ 0.

    >>> from jaxopt_course.schedules import exponential
    >>> rate = warmup(exponential(0.1, 0.5), 4)
    >>> [round(float(rate(t)), 4) for t in (0, 2, 4, 6)]
    [0.0, 0.05, 0.1, 0.0368]
    """
    after = lambda t: schedule(t) if isinstance(schedule, Schedule) else jnp.asarray(schedule)
    rising = init_value + step / warmup_steps * (after(jnp.zeros_like(step)) - init_value)
    return jnp.where(step < warmup_steps, rising, after(jnp.maximum(step - warmup_steps, 0)))
