"""Medians, and ratios that are formed within a round, where both sides have met the same weather."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.stats


def interleave(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Ask each side once a round, the order turned round in every other one, so that none always follows the same."""
    samples = {name: [] for name in sides}
    for i in range(rounds):
        for name in list(sides)[:: -1 if i % 2 else 1]:
            samples[name].append(sides[name]())
    return samples


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": float(np.median(values)), "min": float(np.min(values)), "max": float(np.max(values))}


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> dict[str, float]:
    """The spread of the ratios, round by round."""
    return spread(np.divide(numerator, denominator))


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Where the median lies, by the bootstrap."""
    found = scipy.stats.bootstrap((values,), np.median, confidence_level=confidence, rng=0).confidence_interval
    return float(found.low), float(found.high)


def show(s: Mapping[str, float], digits: int = 2, unit: str = "") -> str:
    """``1.04 (0.98–1.10)``, with a unit if it has one."""
    return f"{s['median']:.{digits}f}{unit} ({s['min']:.{digits}f}–{s['max']:.{digits}f})"
