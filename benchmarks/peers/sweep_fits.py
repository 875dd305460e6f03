"""``jc.fit``, one rate after another; it compiles once."""

import itertools

import jax
import numpy as np

import jaxopt_course as jc
from benchmarks.setting import CLASSES
from benchmarks.sweep_setting import JUDGED, RATES


def problem_of(row, data):
    model = jc.problems.models.mlp(hidden=row.hidden, classes=CLASSES) if row.hidden else "softmax"
    return jc.problems.from_arrays(data.x, data.y, model=model, validation=None)


def weights_of(row, result):
    layers = [result.params[f"dense{i}"] for i in range(len(row.sizes) - 1)]
    return [np.asarray(layer[part]) for layer in layers for part in ("kernel", "bias")]


def prepare(row, data):
    problem, seeds = problem_of(row, data), itertools.count()

    def epoch(trainings):
        seed = next(seeds)
        for i in range(trainings):
            result = jc.fit(problem, jc.sgd(RATES[i % 64]), batch_size=row.batch_size, epochs=1, key=seed, evaluate=None)
            jax.block_until_ready(result.params)
        return trainings

    def weights():
        return weights_of(row, jc.fit(problem, jc.sgd(RATES[JUDGED]), batch_size=row.batch_size, epochs=1))

    return epoch, weights
