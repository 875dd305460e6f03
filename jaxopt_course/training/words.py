"""Examples made of small numbers, gathered as words.

XLA gathers number by number on a CPU, so rows of bytes come faster as rows of 32-bit words over the same memory, taken
apart afterwards: 64 images of Fashion-MNIST take 15 µs in place of 35, of a step of 450.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.types import Batch

__all__ = ["Words", "take", "words_of"]

Words = tuple[jax.Array | None, ...]  # for each leaf of the data: its rows as words, or None


def words_of(data: Batch) -> Words:
    """Each array's rows as words, without a copy; None for those that have none, and on accelerators."""
    return tuple(map(_words, jax.tree.leaves(data)))


def take(data: Batch, words: Words, indices: jax.Array) -> Batch:
    """The examples with these indices, ``[...]``: arrays ``[..., *shape of one]``."""
    leaves, structure = jax.tree.flatten(data)
    rows = [_rows(leaf, word, indices) for leaf, word in zip(leaves, words or (None,) * len(leaves), strict=True)]
    return structure.unflatten(rows)


def _words(leaf: jax.Array) -> jax.Array | None:
    numbers = jnp.issubdtype(leaf.dtype, jnp.integer) or jnp.issubdtype(leaf.dtype, jnp.floating)
    if not numbers or leaf.dtype.itemsize >= 4 or math.prod(leaf.shape[1:]) * leaf.dtype.itemsize % 4 or not leaf.size:
        return None
    if [device.platform for device in leaf.devices()] != ["cpu"]:
        return None
    return jax.device_put(np.asarray(leaf).reshape(len(leaf), -1).view(np.uint32))


def _rows(leaf: jax.Array, words: jax.Array | None, indices: jax.Array) -> jax.Array:
    gathered: Any = (leaf if words is None else words).at[indices].get(mode="promise_in_bounds")
    if words is None:
        return gathered
    return jax.lax.bitcast_convert_type(gathered, leaf.dtype).reshape(*indices.shape, *leaf.shape[1:])
