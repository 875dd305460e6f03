"""Flax modules of both kinds, with batch statistics and dropout, for the tests of models; and what goes into them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from jaxopt_course.problems import models

KEY = jax.random.key(3)
X = np.random.default_rng(5).normal(0.5, 1.0, (6, 4)).astype(np.float32)


class LinenNet(linen.Module):
    """Batch statistics and dropout, told by ``train``."""

    width: int = 5

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.BatchNorm(use_running_average=not train, momentum=0.5)(linen.Dense(self.width)(x))
        return linen.Dense(3)(linen.Dropout(0.5, deterministic=not train)(x))


class NNXNet(nnx.Module):
    """The same, told by its attributes."""

    def __init__(self, width: int = 5, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(4, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.5, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(width, 3, rngs=rngs)])

    def __call__(self, x):
        return self.layers[0](self.dropout(self.norm(self.first(x))))


FLAX = {
    "linen": lambda: models.from_linen(LinenNet(width=7)),
    "nnx": lambda: models.from_nnx(NNXNet, width=7),
    "convnet": lambda: models.convnet((3,), classes=3, batch_norm=True, dropout=0.5),
}


def inputs(name):
    return jnp.asarray(X.reshape(6, 2, 2) if name == "convnet" else X)
