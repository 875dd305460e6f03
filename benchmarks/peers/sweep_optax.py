"""optax in a Python loop, rate after rate: one jitted step, which takes the rate as an argument and compiles once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers.bare_scan import init, loss_fn
from benchmarks.sweep_setting import JUDGED, RATES


def prepare(row, data):
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    rng, m = np.random.default_rng(0), row.batch_size

    @jax.jit
    def step(params, state, x, y):
        grads = jax.grad(loss_fn)(params, x, y)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def train(rate, order):
        params = init(jax.random.key(0), row.sizes)
        state = optimizer.init(params)
        state.hyperparams["learning_rate"] = jnp.float32(rate)
        for i in range(0, len(order) - m + 1, m):
            batch = order[i : i + m]
            params, state = step(params, state, data.x[batch], data.y[batch])
        return jax.block_until_ready(params)

    def epoch(trainings):
        order = rng.permutation(len(data.x))
        for i in range(trainings):
            train(RATES[i % 64], order)
        return trainings

    def weights():
        return [np.asarray(leaf) for leaf in jax.tree.leaves(train(RATES[JUDGED], rng.permutation(len(data.x))))]

    return epoch, weights
