"""scikit-learn's ``MLPClassifier``, the rates shared out to both cores by joblib."""

import os

import joblib
import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.setting import CLASSES
from benchmarks.sweep_setting import JUDGED, RATES


def train(row, data, rate, seed):
    model = MLPClassifier(hidden_layer_sizes=row.hidden, solver="sgd", alpha=0.0, batch_size=row.batch_size, momentum=0.0,
                          learning_rate_init=rate, random_state=seed)  # fmt: skip
    return model.partial_fit(data.x, data.y, classes=range(CLASSES))


def prepare(row, data):
    pool = joblib.Parallel(n_jobs=len(os.sched_getaffinity(0)))

    def epoch(trainings):
        pool(joblib.delayed(train)(row, data, RATES[i % 64], 0) for i in range(trainings))
        return trainings

    def weights():
        model = train(row, data, RATES[JUDGED], 0)
        return [np.asarray(w) for pair in zip(model.coefs_, model.intercepts_, strict=True) for w in pair]

    return epoch, weights
