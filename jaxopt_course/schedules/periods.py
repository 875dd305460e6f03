"""Where periods begin, at the very step: division rounds, and XLA divides by a constant by multiplying with its reciprocal."""

from __future__ import annotations

import jax
import jax.numpy as jnp

__all__ = ["elapsed", "growing"]

LEVELS = 24  # doublings: up to 2²⁴ periods


def elapsed(step, period):
    """How many periods are over, ⌊t/T⌋, and the steps since."""
    nearest = jax.lax.stop_gradient(jnp.round(step / period))
    count = jnp.where(_begun(step, nearest * period), nearest, nearest - 1)
    return count, _since(step, count * period)


def growing(step, first, multiplier):
    """The steps since the present period began, and its length: T₀rⁱ, after T₀(1 + r + … + rⁱ⁻¹) steps."""
    multiplier = jnp.asarray(multiplier, step.dtype)
    growth = multiplier - 1
    i = jax.lax.stop_gradient(jnp.round(_periods(step / first, growth)))
    before = _geometric(jnp.maximum(i - 1, 0), multiplier)
    after = 1 + multiplier * before  # the logarithm rounds to the nearest: one of the two, and the beginnings decide
    begin = first * jnp.where(_begun(step, first * after), after, before)
    return _since(step, begin), first + growth * begin


def _begun(step, begin):
    """Whether t ≥ begin, which is off by an ulp or so where periods are no whole numbers, and exact where they are."""
    return begin - step <= jnp.minimum(jnp.finfo(step.dtype).eps * step, 0.25)


def _since(step, begin):
    return jnp.where(begin > step, 0.0, step - begin)


def _periods(step, growth):
    """i of 1 + r + … + rⁱ⁻¹ = t, not rounded."""
    grows = growth > 0
    safe = jnp.where(grows, growth, 1.0)
    return jnp.where(grows, jnp.log1p(step * safe) / jnp.log1p(safe), step)


@jax.jit
def _geometric(count, ratio):
    """1 + r + … + rⁿ⁻¹ for a whole n, bit by bit: S₂ₙ = Sₙ(2 + (r − 1)Sₙ) and Sₙ₊₁ = 1 + rSₙ, where nothing cancels."""
    bits, total = count.astype(jnp.uint32), jnp.zeros_like(count)
    for level in reversed(range(LEVELS)):
        total = total * (2 + (ratio - 1) * total)
        total = jnp.where(bits >> level & 1, 1 + ratio * total, total)
    return total
