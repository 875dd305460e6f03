"""What a good JAX user writes: one jitted epoch, shuffle and ``lax.scan`` over steps inside, the state donated.

``shuffle="numpy"`` draws the order on the host, as ``bare_scan_host`` does: XLA's sort, twice an epoch, is slow on a CPU.
"""

import functools
import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.setting import LEARNING_RATE, MOMENTUM


def init(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(k, (a, b)) / a**0.5, jnp.zeros(b))
        for k, (a, b) in zip(keys, itertools.pairwise(sizes), strict=True)
    ]


def loss_fn(params, x, y):
    *hidden, (w, b) = params
    for u, c in hidden:
        x = jax.nn.relu(x @ u + c)
    return optax.softmax_cross_entropy_with_integer_labels(x @ w + b, y).mean()


def prepare(row, data, shuffle: Literal["jax", "numpy"] = "jax"):
    x, y, m = jnp.asarray(data.x), jnp.asarray(data.y), row.batch_size
    optimizer = optax.sgd(LEARNING_RATE, MOMENTUM)

    @functools.partial(jax.jit, donate_argnums=0)
    def train(carry, order, x, y):
        def step(carry, batch):
            params, state = carry
            loss, grads = jax.value_and_grad(loss_fn)(params, x[batch], y[batch])
            updates, state = optimizer.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), loss

        if shuffle == "jax":
            order = jax.random.permutation(order, len(x))
        return jax.lax.scan(step, carry, order[: len(x) // m * m].reshape(-1, m))

    params = init(jax.random.key(0), row.sizes)
    carry = params, optimizer.init(params)
    rng, seeds = np.random.default_rng(0), itertools.count(1)

    def epoch(steps):
        nonlocal carry
        order = jax.random.key(next(seeds)) if shuffle == "jax" else rng.permutation(len(x)).astype(np.int32)
        carry, losses = jax.block_until_ready(train(carry, order, x, y))
        return len(losses)

    def weights():
        return [np.asarray(leaf) for leaf in jax.tree.leaves(carry[0])]

    return epoch, weights
