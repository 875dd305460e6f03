"""Counting steps."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import optax

if TYPE_CHECKING:
    from jaxtyping import Array, Int

__all__ = ["next_step"]


@functools.partial(jax.jit, inline=True)  # outside of a trace, one dispatch
def next_step(step: Int[Array, ""]) -> Int[Array, ""]:
    """t + 1; after the largest integer, itself, as in optax.

    A bare t + 1 would be a second counter of the loop of steps, and XLA takes its time to merge the two.

    >>> [int(next_step(jnp.int32(t))) for t in (6, 2**31 - 1)]
    [7, 2147483647]
    """
    return jnp.asarray(optax.safe_increment(step))
