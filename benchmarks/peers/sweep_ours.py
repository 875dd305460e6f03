"""``jc.sweep``: all rates as one program."""

import itertools

import numpy as np

import jaxopt_course as jc
from benchmarks.peers import sweep_fits
from benchmarks.sweep_setting import JUDGED, RATES


def prepare(row, data):
    problem = sweep_fits.problem_of(row, data)
    seeds, rates = itertools.count(), np.concatenate([RATES] * 16)

    def epoch(trainings):
        space = jc.spaces.zipped(learning_rate=rates[:trainings])
        jc.sweep(problem, jc.sgd, space, seeds=[next(seeds)], batch_size=row.batch_size, epochs=1, evaluate=None)
        return trainings

    def weights():  # a sweep keeps none; its lanes are fit's runs, which the tests hold it to
        return sweep_fits.weights_of(row, jc.fit(problem, jc.sgd(RATES[JUDGED]), batch_size=row.batch_size, epochs=1))

    return epoch, weights
