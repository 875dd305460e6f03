"""What the sweeps' benchmark measures: 64 learning rates, one epoch of 6 000 examples each, small models.

``sgd`` without momentum. Inputs are Fashion-MNIST's first 6 000 examples: all pixels, or as many as the model takes, evenly
spread over the image.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks import setting

RATES = np.geomspace(1e-4, 1e-1, 64)
EXAMPLES = 6_000
JUDGED = 56  # the rate whose weights one judge looks at: every peer must have learnt the same with it


@dataclasses.dataclass(frozen=True)
class SweepRow:
    """A model and a batch size; ``required`` is the least ratio peer / ours, in time, that the project promises."""

    name: str
    title: str
    features: int
    hidden: tuple[int, ...]
    batch_size: int
    required: dict[str, float]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the inputs to the classes."""
        return (self.features, *self.hidden, setting.CLASSES)

    def load(self) -> setting.Split:
        """The examples."""
        data = setting.load()
        columns = np.linspace(0, setting.FEATURES - 1, self.features).astype(int)
        return setting.Split(np.ascontiguousarray(data.x[:EXAMPLES, columns]), data.y[:EXAMPLES])


ROWS = {
    "sweep-softmax": SweepRow("sweep-softmax", "softmax 784-10, m = 10", 784, (), 10,
                              {"sweep_fits": 3.5, "sweep_optax": 9, "sweep_torch": 20}),
    "sweep-8-8": SweepRow("sweep-8-8", "MLP 8-8-10, m = 10", 8, (8,), 10,
                          {"sweep_fits": 6, "sweep_optax": 40, "sweep_torch": 40}),
    "sweep-64-32": SweepRow("sweep-64-32", "MLP 64-32-10, m = 32", 64, (32,), 32,
                            {"sweep_fits": 3, "sweep_optax": 10, "sweep_torch": 10}),
    "sweep-784-64": SweepRow("sweep-784-64", "MLP 784-64-10, m = 32", 784, (64,), 32,
                             {"sweep_fits": 1.0, "sweep_optax": 3, "sweep_torch": 3}),
}  # fmt: skip
