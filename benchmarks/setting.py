"""What is measured: the two rows, their data, and the method. Each peer does this, and nothing else.

Peers hold what people hold: float32 examples in [0, 1], flat, in memory, and integer labels.
"""

from __future__ import annotations

import dataclasses
import gzip
import os
import pathlib
from typing import NamedTuple

import numpy as np

LEARNING_RATE, MOMENTUM = 0.01, 0.9
FEATURES, CLASSES = 784, 10
FOLDER = pathlib.Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


@dataclasses.dataclass(frozen=True)
class Row:
    """A model and a batch size; ``required`` is the least ratio ours / peer that the project promises."""

    name: str
    title: str
    hidden: tuple[int, ...]
    batch_size: int
    required: dict[str, float]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the pixels to the classes."""
        return (FEATURES, *self.hidden, CLASSES)

    def load(self) -> Split:
        """The examples."""
        return load()


ROWS = {
    "softmax": Row(
        name="softmax",
        title="softmax regression, m = 10",
        hidden=(),
        batch_size=10,
        required={"flax_nnx": 10, "torch_eager": 5, "keras_jax": 3, "bare_scan": 1.0, "bare_scan_host": 1.0, "floor": 0.6},
    ),
    "mlp": Row(
        name="mlp",
        title="MLP 784-128-10, m = 64",
        hidden=(128,),
        batch_size=64,
        required={
            "flax_nnx": 2,
            "torch_eager": 1.5,
            "keras_jax": 1.5,
            "bare_scan": 0.97,
            "bare_scan_host": 0.97,
            "floor": 0.8,
        },
    ),
}


class Split(NamedTuple):
    """Training examples ``x`` [60000, 784] in float32, and labels ``y`` [60000] in int32."""

    x: np.ndarray
    y: np.ndarray


def load() -> Split:
    """The 60 000 training examples of Fashion-MNIST, from its IDX files (folder: ``$FASHION_MNIST``)."""

    def read(name: str, header: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((FOLDER / name).read_bytes()), np.uint8, offset=header)

    x = read("train-images-idx3-ubyte.gz", 16).reshape(-1, FEATURES).astype(np.float32)
    x /= 255
    return Split(x, read("train-labels-idx1-ubyte.gz", 8).astype(np.int32))


def training_loss(weights: list[np.ndarray], data: Split) -> float:
    """Mean cross-entropy of ``[W, b, ...]`` on the training data, in NumPy: one judge for all peers."""
    z = data.x
    for i in range(0, len(weights), 2):
        z = (z if i == 0 else np.maximum(z, 0)) @ weights[i] + weights[i + 1]
    z = z - z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), data.y]))
