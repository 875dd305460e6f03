"""What a sweep trains: configurations, each a value for every swept name.

``grid`` crosses its axes, ``zipped`` pairs them, ``random``, ``sobol`` and ``halton`` draw points from ranges. A float axis is
data: all its values share one compiled program. Integers, booleans, strings and everything else compile once for each value,
and so does :func:`categorical`, whatever it holds.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxopt_course import checks
from jaxopt_course.sweep.labels import labels
from jaxopt_course.sweep.ranges import Range, categorical, integers, linear, log, read_values

__all__ = ["Range", "Space", "categorical", "grid", "halton", "integers", "linear", "log", "random", "sobol", "zipped"]

CONFIGURATION = "configuration"
RESERVED = frozenset(
    {CONFIGURATION, "seed", "epoch", "loss", "objective", "diverged_step", "finished", "rung", "epochs_trained", "bracket"}
)
POINTS = 2**20  # as many configurations are a mistake


@dataclasses.dataclass(frozen=True)
class Space:
    """Configurations, in order; made by :func:`grid`, :func:`zipped`, :func:`random`, :func:`sobol` or :func:`halton`.

    Attributes:
        kind: the function that made it.
        columns: (name, one value for each configuration); a grid's last name varies fastest.
        axes: (dimension of the results, its values): a grid's axes, or one dimension, ``"configuration"``.
        traced: the names whose values are data; the others compile once for each value.
    """

    kind: str
    columns: tuple[tuple[str, tuple[Any, ...]], ...]
    axes: tuple[tuple[str, tuple[Any, ...]], ...]
    traced: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """What is swept."""
        return tuple(name for name, _ in self.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the results' dimensions."""
        return tuple(len(values) for _, values in self.axes)

    def __len__(self) -> int:
        return math.prod(self.shape)

    def configurations(self) -> list[dict[str, Any]]:
        """Name → value, for each configuration.

        >>> grid(learning_rate=[0.1, 0.2], momentum=[0.5]).configurations()
        [{'learning_rate': 0.1, 'momentum': 0.5}, {'learning_rate': 0.2, 'momentum': 0.5}]
        """
        return [dict(zip(self.names, row, strict=True)) for row in zip(*(v for _, v in self.columns), strict=True)]

    def coordinates(self) -> dict[str, tuple[str, list[Any]]]:
        """The results' coordinates: name → (dimension, labels)."""
        if self.kind == "grid":
            return {name: (name, labels(values)) for name, values in self.axes}
        return {name: (CONFIGURATION, labels(values)) for name, values in self.columns}

    def __repr__(self) -> str:
        parts = [f"{name}: {len(dict.fromkeys(map(str, values)))} values" for name, values in self.columns]
        return f"{self.kind}({', '.join(parts)}: {len(self)} configurations)"


def grid(**axes: Any) -> Space:
    """Every combination of the axes' values.

    Args:
        axes: name → values, each once: a list or an array with one axis, or :func:`categorical`.

    Returns:
        A :class:`Space`; the results get one dimension for each axis.

    Raises:
        ValueError: no axes, an empty axis, a value that is not finite or comes twice, or two that have one name. TypeError:
            something that is not a list of values.

    >>> grid(learning_rate=[0.01, 0.1, 1.0], momentum=[0.0, 0.9])
    grid(learning_rate: 3 values, momentum: 2 values: 6 configurations)
    """
    values, traced = _read("grid", axes)
    for name, column in values.items():
        typed = [(type(value), value) for value in column]  # 1 and True are two
        if len(set(typed)) < len(typed):
            twice = next(value for kind, value in typed if typed.count((kind, value)) > 1)
            raise ValueError(f"grid: {name} has {twice!r} twice; each value of a grid's axis makes one row of the results")
    if (count := math.prod(map(len, values.values()))) > POINTS:
        raise ValueError(f"grid: {count} configurations are more than {POINTS}; draw some: spaces.random, spaces.sobol")
    columns = zip(*itertools.product(*values.values()), strict=True)
    return Space("grid", tuple(zip(values, columns, strict=True)), tuple(values.items()), traced)


def zipped(**axes: Any) -> Space:
    """The axes' first values, their second values, and so on: axes of one length, side by side.

    Args:
        axes: name → values: a list or an array with one axis, or :func:`categorical`.

    Returns:
        A :class:`Space`; the results get one dimension, ``"configuration"``.

    Raises:
        ValueError: as for :func:`grid`, except that values may repeat; or the axes differ in length.

    >>> zipped(learning_rate=[0.1, 0.01], momentum=[0.5, 0.9]).configurations()[1]
    {'learning_rate': 0.01, 'momentum': 0.9}
    """
    values, traced = _read("zipped", axes)
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"zipped: axes differ in length: {', '.join(f'{name} has {n}' for name, n in lengths.items())}")
    return _points("zipped", values, traced)


def random(num: int, /, *, seed: int = 0, **axes: Range) -> Space:
    """Points drawn independently: where few axes matter, these try more values of each than a grid does.

    Args:
        num: how many points.
        seed: of the draw.
        axes: name → :func:`linear`, :func:`log`, :func:`integers` or :func:`categorical`.

    Returns:
        A :class:`Space`; the results get one dimension, ``"configuration"``.

    Raises:
        TypeError, ValueError: an axis that is not a range, no axes, or ``num`` is not an integer ≥ 1.

    >>> random(20, learning_rate=log(1e-4, 1.0), momentum=linear(0.0, 1.0))
    random(learning_rate: 20 values, momentum: 20 values: 20 configurations)

    References:
        Bergstra and Bengio, Random search for hyper-parameter optimization, 2012.
    """
    _check_drawn("random", num, seed, axes)
    return _drawn("random", axes, np.random.default_rng(seed).random((num, len(axes))))


def sobol(num: int, /, *, seed: int = 0, **axes: Range) -> Space:
    """Points of a scrambled Sobol sequence: they fill the space more evenly than random ones.

    Args:
        num: how many points: a power of 2, to which the sequence's balance belongs.
        seed: of the scrambling.
        axes: as for :func:`random`.

    Returns:
        A :class:`Space`; the results get one dimension, ``"configuration"``.

    Raises:
        TypeError, ValueError: as for :func:`random`, or ``num`` is not a power of 2.

    >>> rates = dict(sobol(8, learning_rate=linear(0.0, 8.0)).columns)["learning_rate"]
    >>> sorted(int(rate) for rate in rates)  # one in each eighth
    [0, 1, 2, 3, 4, 5, 6, 7]

    References:
        Sobol, On the distribution of points in a cube and the approximate evaluation of integrals, 1967.
    """
    _check_drawn("sobol", num, seed, axes)
    if num & (num - 1):
        raise ValueError(f"sobol: num must be a power of 2; got {num} (spaces.halton takes any)")
    from scipy.stats import qmc

    return _drawn("sobol", axes, qmc.Sobol(len(axes), rng=np.random.default_rng(seed)).random(num))


def halton(num: int, /, *, seed: int = 0, **axes: Range) -> Space:
    """Points of a scrambled Halton sequence: even like :func:`sobol`'s, and any number of them.

    Args:
        num: how many points.
        seed: of the scrambling.
        axes: as for :func:`random`.

    Returns:
        A :class:`Space`; the results get one dimension, ``"configuration"``.

    Raises:
        TypeError, ValueError: as for :func:`random`.

    >>> len(halton(10, learning_rate=log(1e-3, 1.0), batch_size=categorical([16, 32])))
    10

    References:
        Halton, On the efficiency of certain quasi-random sequences of points, 1960.
    """
    _check_drawn("halton", num, seed, axes)
    from scipy.stats import qmc

    return _drawn("halton", axes, qmc.Halton(len(axes), rng=np.random.default_rng(seed)).random(num))


def drawn_on(values: tuple[Any, ...]) -> str | None:
    """The axis that shows numbers best: "log", if they span a decade and their median is nearer to the ends' geometric mean
    than to their arithmetic one; else "linear"; None for what are no numbers.

    >>> drawn_on((1e-3, 1e-2, 0.1)), drawn_on((0.0, 0.5, 0.9)), drawn_on(("relu", "tanh"))
    ('log', 'linear', None)
    """
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return None
    low, high, middle = min(values), max(values), float(np.median(sorted(set(values))))
    if low <= 0 or high < 10 * low:
        return "linear"
    near = lambda mean: abs(math.log(middle / mean))
    return "log" if near(math.sqrt(low * high)) <= near((low + high) / 2) else "linear"


def _read(where: str, axes: Mapping[str, Any]) -> tuple[dict[str, tuple[Any, ...]], frozenset[str]]:
    """The axes' values, checked; and which of them are traced."""
    _check_names(where, axes)
    values, traced = {}, set()
    for name, axis in axes.items():
        if isinstance(axis, Range):
            if axis.values is None:
                drawn = "spaces.random, spaces.sobol and spaces.halton"
                raise TypeError(f"{where}: {name} must be a list of values; got {axis}, a range ({drawn} draw from these)")
            values[name] = axis.values
        else:
            values[name] = read_values(where, name, axis)
            if _are_floats(values[name]):
                values[name] = tuple(float(value) for value in values[name])
                traced.add(name)
    return values, frozenset(traced)


def _are_floats(values: tuple[Any, ...]) -> bool:
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return numbers and any(isinstance(value, float) for value in values)


def _check_names(where: str, axes: Mapping[str, Any]) -> None:
    if not axes:
        raise ValueError(f"{where}: no axes; give values by name: learning_rate=[0.01, 0.1]")
    if taken := RESERVED & axes.keys():
        raise ValueError(f"{where}: an axis must not be called {min(taken)!r}: the results have something else of this name")


def _check_drawn(where: str, num: int, seed: int, axes: Mapping[str, Any]) -> None:
    checks.check_integer(where, "num", num, maximum=POINTS)
    checks.check_integer(where, "seed", seed, minimum=0)
    check_ranges(where, axes)


def check_ranges(where: str, axes: Mapping[str, Any]) -> None:
    """Raise unless there are axes, all of them ranges, under names that are free."""
    _check_names(where, axes)
    for name, axis in axes.items():
        if not isinstance(axis, Range):
            accepted = "linear(…), log(…), integers(…) or categorical(…)"
            raise TypeError(f"{where}: {name} must be one of {accepted} of jc.spaces; got {axis!r}")


def _drawn(kind: str, axes: Mapping[str, Range], unit: np.ndarray) -> Space:
    values = {name: tuple(axis.at(unit[:, i])) for i, (name, axis) in enumerate(axes.items())}
    traced = frozenset(name for name, axis in axes.items() if axis.values is None and _are_floats(values[name]))
    return _points(kind, values, traced)


def _points(kind: str, values: Mapping[str, tuple[Any, ...]], traced: frozenset[str]) -> Space:
    count = len(next(iter(values.values())))
    return Space(kind, tuple(values.items()), ((CONFIGURATION, tuple(range(count))),), traced)
