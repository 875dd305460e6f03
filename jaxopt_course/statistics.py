"""What a comparison may claim: intervals over seeds, and differences tested paired by seed.

The seeds of two optimizers share their initialisation and their mini-batches, so their results are compared seed by
seed: the spread that the seeds have in common cancels. Every optimizer is compared with the best one, and Holm's
step-down correction [1] holds the chance of *any* false claim among these comparisons at the level of one test.

A diverged run is a non-finite value. It makes the mean, the interval and the test of its optimizer NaN: averaging the
seeds that survived would reward divergence.

References:
    [1] S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats

__all__ = ["Estimate", "confidence_interval", "holm", "paired_test"]


class Estimate(NamedTuple):
    """A mean and its confidence interval."""

    mean: Float[np.ndarray, ...]
    low: Float[np.ndarray, ...]
    high: Float[np.ndarray, ...]


def confidence_interval(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean and Student-t confidence interval over seeds: mean ± t · s/√n, with n − 1 degrees of freedom.

    Args:
        values: results, shape ``[..., seeds]``, in any unit.
        level: coverage, in (0, 1).

    Returns:
        An :class:`Estimate` of shape ``[...]``. The interval of a single seed is NaN; with a diverged seed all three are.

    Raises:
        ValueError: no seeds, or a level outside (0, 1).

    >>> mean, low, high = confidence_interval([0.96, 0.97, 0.95])
    >>> f"{mean:.3f} in [{low:.3f}, {high:.3f}]"
    '0.960 in [0.935, 0.985]'
    """
    if not 0 < level < 1:
        raise ValueError(f"confidence_interval: level must be a number in (0, 1); got {level!r}")
    values = _finite_or_nan(values)
    if values.ndim == 0 or not (seeds := values.shape[-1]):
        raise ValueError(f"confidence_interval: values must have at least one seed; got shape {values.shape}")
    mean = values.mean(axis=-1)
    if seeds == 1:
        return Estimate(mean, mean * np.nan, mean * np.nan)
    margin = stats.t.ppf((1 + level) / 2, seeds - 1) * values.std(axis=-1, ddof=1) / np.sqrt(seeds)
    return Estimate(mean, mean - margin, mean + margin)


def paired_test(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p value of the paired t-test: do ``a`` and ``b`` differ in the mean, seed by seed?

    Args:
        a: results of one optimizer, shape ``[seeds]``.
        b: results of another with the same seeds in the same order, shape ``[seeds]``.

    Returns:
        The p value. Differences at rounding level (1e-12 relative) count as ties. All tied: 1. One and the same
        difference at every seed: 0, the limit of vanishing variance. NaN with one seed, or with a diverged one.

    Raises:
        ValueError: the shapes differ, or are not ``[seeds]``.

    >>> round(paired_test([0.97, 0.96, 0.98], [0.95, 0.95, 0.95]), 3), paired_test([0.97, 0.96], [0.97, 0.96])
    (0.074, 1.0)
    """
    a, b = _finite_or_nan(a), _finite_or_nan(b)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"paired_test: a and b must have one shape [seeds]; got {a.shape} and {b.shape}")
    difference = np.where(np.isclose(a, b, rtol=1e-12, atol=0), 0.0, a - b)
    if len(difference) < 2 or np.isnan(difference).any():
        return np.nan
    mean, error = np.abs(difference.mean()), difference.std(ddof=1) / np.sqrt(len(difference))
    if error == 0:
        return float(mean == 0)
    return float(2 * stats.t.sf(mean / error, len(difference) - 1))


def holm(p_values: ArrayLike) -> Float[np.ndarray, " comparisons"]:
    """Holm's correction: the smallest level at which each hypothesis falls when all are tested together [1].

    Args:
        p_values: shape ``[comparisons]``. NaN, a comparison that was not made, stays NaN and does not count.

    Returns:
        Adjusted p values, shape ``[comparisons]``, in the order given.

    Raises:
        ValueError: a value outside [0, 1], or not one axis.

    >>> holm([0.01, float("nan"), 0.04, 0.03]).tolist()
    [0.03, nan, 0.06, 0.06]
    """
    p = np.array(p_values, dtype=float)
    if p.ndim != 1 or np.any((p < 0) | (p > 1)):
        raise ValueError(f"holm: p_values must be numbers in [0, 1], shape [comparisons]; got {p_values!r}")
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested])]
    weights = np.arange(len(order), 0, -1)
    p[order] = np.minimum(np.maximum.accumulate(weights * p[order]), 1)
    return p


def _finite_or_nan(values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    return np.where(np.isfinite(values), values, np.nan)
