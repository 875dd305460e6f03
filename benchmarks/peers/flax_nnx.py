"""flax nnx: a module, ``nnx.Optimizer``, an ``nnx.jit`` step, and a Python loop over NumPy batches.

The loop does not wait for the loss of each step, so dispatch runs ahead as far as JAX lets it.
"""

import itertools

import jax
import numpy as np
import optax
from flax import nnx

from benchmarks.setting import LEARNING_RATE, MOMENTUM


class MLP(nnx.Module):
    def __init__(self, sizes, *, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        return self.layers[-1](x)


@nnx.jit
def train_step(model, optimizer, x, y):
    def loss_fn(model):
        return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


def prepare(row, data):
    model = MLP(row.sizes, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(LEARNING_RATE, MOMENTUM), wrt=nnx.Param)
    rng, m = np.random.default_rng(0), row.batch_size

    def epoch(steps):
        order = rng.permutation(len(data.x))
        for i in range(steps):
            batch = order[i * m : (i + 1) * m]
            loss = train_step(model, optimizer, data.x[batch], data.y[batch])
        jax.block_until_ready((loss, nnx.state(model)))
        return steps

    def weights():
        return [np.asarray(leaf[...]) for layer in model.layers for leaf in (layer.kernel, layer.bias)]

    return epoch, weights
