"""What an optimizer reaches with a tuning budget: the expected result of the best of k learning rates, for every k.

E[y of the best of k] = Σⱼ y₍ⱼ₎ · C(K − j, k − 1) / C(K, k)

over all subsets of k of the K rates that were tried, which is over all orders of trying them: the j-th best is the best of a
subset, if it is in it and none of the j − 1 better ones is. Exact, nothing is drawn. "Best" is by the selection's metric on
validation, whatever is shown. After a rate that diverged, or ended worse than it began, one keeps the model before training.

References:
    Sivaprasad et al., Optimizer benchmarking needs to account for hyperparameter tuning, 2020. Dodge et al., Show your work:
    improved reporting of experimental results, 2019 (who draw with replacement).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxopt_course.report import schema
from jaxopt_course.types import falls

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["RANGE", "Budget", "budget", "budget_range", "expected_best", "metrics"]

RANGE = (0.1, 0.9)  # of the band: quantiles over subsets


class Budget(NamedTuple):
    """Results against the number of rates tried, 1 … K: their mean over subsets, and the quantiles ``RANGE``."""

    tried: Float[np.ndarray, " k"]
    mean: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]


def expected_best(costs: np.ndarray, values: np.ndarray) -> Budget:
    """The value of the trial that costs least, among k of them: over all subsets of k.

    Args:
        costs: what decides, [K]; of equal ones, the first.
        values: what is reported, [K].

    Returns:
        For k = 1 … K; NaN where a value that may come out is not finite.

    >>> expected_best(np.array([3.0, 1.0, 2.0]), np.array([3.0, 1.0, 2.0])).mean.round(4)
    array([2.    , 1.3333, 1.    ])
    """
    count = len(costs)
    ordered = np.asarray(values, float)[np.argsort(costs, kind="stable")]
    ranks = range(1, count + 1)
    chances = np.array([[math.comb(count - j, k - 1) / math.comb(count, k) for j in ranks] for k in ranks])
    ordered = np.where(np.isfinite(ordered), ordered, np.nan)
    mean = np.where(chances > 0, chances * ordered, 0.0).sum(axis=1)
    ascending = np.argsort(ordered, kind="stable")
    reached = chances[:, ascending].cumsum(axis=1)
    low, high = (ordered[ascending][(reached < level - 1e-12).sum(axis=1)] for level in RANGE)
    hidden = np.isnan(mean)
    return Budget(np.arange(1.0, count + 1), mean, np.where(hidden, np.nan, low), np.where(hidden, np.nan, high))


def metrics(tuning: xr.Dataset) -> list[str]:
    """The quantities that a budget can be read by: on validation, and on test where the search evaluated it."""
    names = schema.quantities(tuning)
    return names + [test for name in names if (test := name.replace("validation_", "test_")) in tuning]


def budget(tuning: xr.Dataset, optimizer: str, metric: str, selection: str = "validation_loss") -> Budget:
    """One optimizer's results against its budget, in the units shown.

    Raises:
        ValueError: ``metric`` is not in the dataset.
    """
    schema.check_metric(metrics(tuning), metric)
    one = tuning.isel(trial=np.flatnonzero(tuning["optimizer"].values == optimizer))
    sign = 1 if falls(selection) else -1
    costs = sign * one[selection].values.astype(float)
    before, start = (float(tuning.attrs.get(f"start_{name}", np.nan)) for name in (selection, metric))
    failed = one["diverged"].values.astype(bool) | ~np.isfinite(costs) | (costs > sign * before)
    values = np.where(failed, start, one[metric].values.astype(float)) * schema.scale(metric)
    return expected_best(np.where(failed, np.inf, costs), values)


def budget_range(tuning: xr.Dataset, metric: str, selection: str = "validation_loss") -> tuple[float, float] | None:
    """Where a loss's logarithmic axis ends: at what the search could have ended with; None for what is not a loss."""
    if not schema.is_loss(metric):
        return None
    found = [budget(tuning, str(name), metric, selection) for name in dict.fromkeys(tuning["optimizer"].values)]
    means = np.concatenate([np.zeros(0), *(own.mean for own in found)])
    means = means[np.isfinite(means)]
    return (float(means.min() / 1.15), float(means.max() * 1.15)) if len(means) and means.min() > 0 else None
