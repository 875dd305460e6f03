"""What the tests of samplers that weigh draw from, and how they look at what was drawn."""

from __future__ import annotations

import numpy as np
import scipy.stats

from jaxopt_course.training import samplers as sampling

N = 37
SCORES = np.random.default_rng(8).gamma(0.7, size=N)
LABELS = np.repeat([5, -1, 2], [24, 10, 3])[np.random.default_rng(9).permutation(N)]


def bound(sampler, n=N, data=None):
    return sampling.plan("test", sampler, n, 5, data=data).sampler


def draws(sampler, m, epochs, n=N, seed=(3, 4)):
    plan = sampling.plan("test", sampler, n, m, seed=seed)
    return plan.rows(0, epochs * plan.steps_per_epoch)


def chi_square(indices, probabilities):
    """The p-value of these draws, whose rare examples are counted together."""
    order = np.argsort(probabilities)
    expected, counts = probabilities[order] * indices.size, np.bincount(indices.ravel(), minlength=len(order))[order]
    groups = np.minimum(np.cumsum(expected) // 20, 10**9)
    _, group = np.unique(groups, return_inverse=True)
    return scipy.stats.chisquare(np.bincount(group, counts), np.bincount(group, expected)).pvalue
