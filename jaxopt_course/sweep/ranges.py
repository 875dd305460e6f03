"""The ranges that ``spaces.random``, ``spaces.sobol`` and ``spaces.halton`` draw an axis from."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from jaxopt_course import checks
from jaxopt_course.sweep.labels import check_labels

__all__ = ["Range", "categorical", "integers", "linear", "log", "read_values"]


@dataclasses.dataclass(frozen=True)
class Range:
    """Where an axis of ``random``, ``sobol`` or ``halton`` is drawn from: ``at`` maps [0, 1) to its values.

    Attributes:
        text: what it is, as it was written.
        at: from numbers in [0, 1) to as many values.
        values: those of a :func:`categorical`, which can be an axis of ``grid`` and ``zipped`` too.
        kind, low, high: the function that made it, and its bounds, if it has any.
    """

    text: str
    at: Callable[[np.ndarray], list[Any]] = dataclasses.field(compare=False)
    values: tuple[Any, ...] | None = None
    kind: Literal["linear", "log", "integers", "categorical"] = "categorical"
    low: float = np.nan
    high: float = np.nan

    def __repr__(self) -> str:
        return self.text


def linear(low: float, high: float) -> Range:
    """Floats, uniform in [low, high).

    >>> linear(0.0, 1.0)
    linear(0.0, 1.0)
    """
    low, high = _bounds("linear", low, high)
    _check_width("linear", high - low)
    return Range(f"linear({low}, {high})", lambda u: [float(x) for x in low + (high - low) * u], None, "linear", low, high)


def log(low: float, high: float) -> Range:
    """Floats in [low, high), uniform in their logarithm: as many in each decade.

    Raises:
        ValueError: the bounds are not positive, finite and ascending.

    >>> log(1e-4, 1.0)
    log(0.0001, 1.0)
    """
    low, high = _bounds("log", low, high)
    if low <= 0:
        raise ValueError(f"log: low must be a number > 0; got {low!r}")
    _check_width("log", high / low)
    return Range(f"log({low}, {high})", lambda u: [float(x) for x in low * (high / low) ** u], None, "log", low, high)


def integers(low: int, high: int) -> Range:
    """Whole numbers from low to high, both included; each compiles once.

    >>> integers(1, 4)
    integers(1, 4)
    """
    for name, value in (("low", low), ("high", high)):
        checks.check_integer("integers", name, value, minimum=None)
    if high < low:
        raise ValueError(f"integers: low must not be above high; got {low} and {high}")
    at = lambda u: [int(x) for x in low + np.floor((high - low + 1) * u)]
    return Range(f"integers({low}, {high})", at, None, "integers", low, high)


def categorical(values: Iterable[Any]) -> Range:
    """One of these, hashable; each compiles once, floats too.

    Raises:
        ValueError: there are none. TypeError: one is not hashable.

    >>> categorical(["relu", "tanh"])
    categorical(['relu', 'tanh'])
    """
    values = read_values("categorical", "values", values)
    return Range(f"categorical({list(values)})", lambda u: [values[int(i)] for i in np.floor(len(values) * u)], values)


def read_values(where: str, name: str, axis: Any) -> tuple[Any, ...]:
    """The values of an axis as a tuple of Python numbers, strings, …; raises unless they are finite, hashable, …"""
    if isinstance(axis, (str, bytes, Mapping)) or getattr(axis, "ndim", 1) != 1:
        raise TypeError(f"{where}: {name} must be a list or an array with one axis; got {axis!r}")
    try:
        values = np.asarray(axis).tolist() if hasattr(axis, "ndim") else list(axis)
    except TypeError:
        raise TypeError(f"{where}: {name} must be a list or an array with one axis; got {axis!r}") from None
    values = tuple(value.item() if hasattr(value, "ndim") and value.ndim == 0 else value for value in values)
    if not values:
        raise ValueError(f"{where}: {name} is empty; give at least one value")
    for value in values:
        if isinstance(value, (int, float, complex)) and not abs(value) <= sys.float_info.max:
            raise ValueError(f"{where}: {name} must be finite; got {value!r}")
        try:
            hash(value)
        except TypeError:
            raise TypeError(f"{where}: {name} has a value that is not hashable: {value!r}") from None
    check_labels(where, name, values)
    return values


def _bounds(where: str, low: Any, high: Any) -> tuple[float, float]:
    for name, value in (("low", low), ("high", high)):
        checks.check_number(where, name, value)
    if not low < high:
        raise ValueError(f"{where}: low must be below high; got {low!r} and {high!r}")
    return float(low), float(high)


def _check_width(where: str, width: float) -> None:
    if not np.isfinite(width):
        raise ValueError(f"{where}: low and high are too far apart for floats")
