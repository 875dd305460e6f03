"""Importance sampling by the losses so far: drawn inside the compiled loop, where the losses are [F2].

p_i = (1 − ε) s_i / Σ_j s_j + ε / n,   w_i = 1 / (n p_i m),   s_i ← max(ℓ_i, 0) for the examples just seen

An index is drawn by descending a tree of sums, eight children a node, with a random number of its own at each level: in
float32 a single one would tell 60 000 examples apart to a percent only. The sums are made anew at every step, in O(n): on
a processor core, for 32 draws among 60 000 examples, 60 µs in all, where a cumulative sum and a binary search take 390.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxopt_course.types import Key

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

__all__ = ["ByLoss"]

CHILDREN = 8


@functools.partial(jax.tree_util.register_dataclass, data_fields=["floor"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class ByLoss:
    """``importance("loss")``: see :func:`~jaxopt_course.training.samplers.weighted.importance`.

    Your own pytree with these three methods is a sampler that learns, too; what ``start`` gives is carried in the run's
    state.
    """

    floor: float

    def start(self, num_examples: int) -> Float[Array, " examples"]:
        """The scores before anything is seen: 1 each."""
        return jnp.ones(num_examples)

    def draw(
        self, key: Key, scores: Float[Array, " examples"], batch_size: int
    ) -> tuple[Int[Array, " batch"], Float[Array, " batch"]]:
        """Indices drawn with replacement by the scores so far, and their factors 1 / (n p_i)."""
        n, levels = len(scores), _tree(scores)
        total = levels[0].sum()
        bits = jax.random.bits(key, (2 + len(levels), batch_size), jnp.uint32)
        chances = (bits >> 8).astype(scores.dtype) / 2**24  # in [0, 1)
        floor = jnp.where(total > 0, self.floor, 1.0)  # nothing to go by if all losses are 0
        evenly = (bits[0] % n).astype(jnp.int32)
        indices = jnp.where(chances[1] < floor, evenly, _descend(levels, chances[2:]))
        indices = jnp.minimum(indices, n - 1)
        share = scores[indices] / jnp.where(total > 0, total, 1.0)
        return indices, 1 / (n * (1 - floor) * share + floor)

    def update(
        self, scores: Float[Array, " examples"], indices: Int[Array, " batch"], losses: Float[Array, " batch"]
    ) -> Float[Array, " examples"]:
        """Finite losses just seen become scores; of an example seen twice (under dropout), the larger. Index n is nobody's.

        Losses beyond an eighth of the largest float, by n, count as that: their sum is finite, and one divided by it is not 0.
        """
        indices = jnp.where(jnp.isfinite(losses), indices, len(scores))
        seen = jnp.clip(losses, 0, jnp.finfo(scores.dtype).max / 8 / len(scores)).astype(scores.dtype)
        return scores.at[indices].set(0, mode="drop").at[indices].max(seen, mode="drop")


def _tree(scores: Float[Array, " examples"]) -> list[Float[Array, "nodes children"]]:
    """Sums of children, the root first; the scores last."""
    levels = []
    while not levels or len(levels[-1]) > 1:
        sums = levels[-1].sum(1) if levels else scores
        levels.append(jnp.pad(sums, (0, -len(sums) % CHILDREN)).reshape(-1, CHILDREN))
    return levels[::-1]


def _descend(levels: list[Float[Array, "nodes children"]], chances: Float[Array, "levels batch"]) -> Int[Array, " batch"]:
    """Indices, each i with probability s_i / Σs: at every level a child, by its sum."""
    node = jnp.zeros(chances.shape[1], jnp.int32)
    for level, chance in zip(levels, chances, strict=True):
        # one addition after the other: a child of weight 0 adds exactly nothing, and is never chosen
        up_to = jnp.stack(list(itertools.accumulate(level[node].T)))
        node = CHILDREN * node + jnp.sum(up_to <= chance * up_to[-1], 0, dtype=jnp.int32)
    return node
