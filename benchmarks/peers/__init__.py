"""One short file for each framework, written as its documentation teaches; where there are styles, the fastest of them.

Every file has ``prepare(row, data) → (epoch, weights)``: ``epoch(steps)`` trains at least ``steps`` steps from where it
stopped, waits for the result and returns how many steps it did; ``weights()`` is ``[W, b, …]`` as NumPy arrays, W being
[inputs, outputs], so that one judge can check that all peers have learnt the same thing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from benchmarks.setting import Row, Split

Epoch: TypeAlias = Callable[[int], int]
Weights: TypeAlias = Callable[[], list[np.ndarray]]

PEERS = {
    "ours": "jaxopt_course `fit`",
    "flax_nnx": "flax nnx + optax, `nnx.jit` loop",
    "torch_eager": "PyTorch, eager",
    "keras_jax": "Keras on JAX, `fit`",
    "sklearn_mlp": "scikit-learn `MLPClassifier`",
    "bare_scan": "bare `lax.scan`, `jax.random` shuffle",
    "bare_scan_host": "bare `lax.scan`, NumPy shuffle",
    "floor": "floor: forward and backward only",
}


def prepare(peer: str, row: Row, data: Split) -> tuple[Epoch, Weights]:
    """Import one peer, and only that one, and make it ready to train."""
    return importlib.import_module(f"{__name__}.{peer}").prepare(row, data)
