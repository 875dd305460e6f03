"""Keras 3 on its JAX backend: ``compile`` and ``fit``, which compiles the step and feeds it from NumPy.

Without metrics and progress bar, which only cost time.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np

from benchmarks.setting import LEARNING_RATE, MOMENTUM


def prepare(row, data):
    keras.utils.set_random_seed(0)
    *hidden, classes = row.sizes[1:]
    layers = [keras.layers.Dense(width, activation="relu") for width in hidden]
    model = keras.Sequential([keras.Input((row.sizes[0],)), *layers, keras.layers.Dense(classes)])
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def epoch(steps):
        n = steps * row.batch_size
        model.fit(data.x[:n], data.y[:n], batch_size=row.batch_size, epochs=1, verbose=0)
        jax.block_until_ready([w.value for w in model.weights])
        return steps

    def weights():
        return [np.asarray(w) for w in model.get_weights()]

    return epoch, weights
