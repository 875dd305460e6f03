"""``jc.fit``, as the README teaches it; every further epoch continues from the state of the last."""

import jax
import numpy as np

import jaxopt_course as jc
from benchmarks.setting import CLASSES, LEARNING_RATE, MOMENTUM


def prepare(row, data):
    model = jc.problems.models.mlp(hidden=row.hidden, classes=CLASSES) if row.hidden else "softmax"
    problem = jc.problems.fashion_mnist(model=model, validation=0)
    optimizer = jc.momentum(LEARNING_RATE, MOMENTUM)
    result = None

    def epoch(steps):
        nonlocal result
        result = jc.fit(
            problem,
            optimizer,
            batch_size=row.batch_size,
            epochs=1,
            key=0,
            state=None if result is None else result.state,
            progress=False,
            evaluate=None,
        )
        jax.block_until_ready(result.params)
        return len(data.x) // row.batch_size

    def weights():
        leaves = {leaf.shape: np.asarray(leaf) for leaf in jax.tree.leaves(result.params)}
        widths = row.sizes
        return [leaves[shape] for i in range(len(widths) - 1) for shape in (widths[i : i + 2], widths[i + 1 : i + 2])]

    return epoch, weights
