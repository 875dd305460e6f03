"""The floor: the bare scan's forward and backward pass on one fixed batch, without shuffle, gather or update.

Each step writes its gradient into the carry, so that none is dropped. The batch lies there twice, and the steps take
turns: were it one constant, XLA would see the same work in every step, and do it once, before the loop.
"""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.bare_scan import init, loss_fn


def prepare(row, data):
    m = row.batch_size
    steps_per_epoch = len(data.x) // m
    params = init(jax.random.key(0), row.sizes)
    batch = jnp.stack([data.x[:m]] * 2), jnp.stack([data.y[:m]] * 2)

    @jax.jit
    def train(params, x, y):
        def step(grads, i):
            loss, grads = jax.value_and_grad(loss_fn)(params, x[i % 2], y[i % 2])
            return grads, loss

        return jax.lax.scan(step, jax.tree.map(jnp.zeros_like, params), jnp.arange(steps_per_epoch))

    def epoch(steps):
        grads, losses = jax.block_until_ready(train(params, *batch))
        assert all(np.any(g) for g in jax.tree.leaves(grads)), "the gradient did not reach the carry"
        return len(losses)

    def weights():
        return []

    return epoch, weights
