"""Who takes part in a race, and with which learning rates to begin with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.optimizers import CATALOG
from jaxopt_course.race.foreign import factories, foreign
from jaxopt_course.training.state import as_transformation

__all__ = ["Contestant", "Optimizers", "contestants"]

Factory: TypeAlias = Callable[[float], optax.GradientTransformation]
Optimizers: TypeAlias = Literal["all"] | Sequence[str] | Mapping[str, Factory]

GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)  # where nothing is known


@dataclasses.dataclass(frozen=True)
class Contestant:
    """An optimizer in a race.

    Attributes:
        factory: from a learning rate to an optimizer.
        learning_rates: the grid to begin with, ascending; only NaN, where the optimizer has none.
    """

    name: str
    factory: Factory
    learning_rates: tuple[float, ...]


def contestants(
    optimizers: Optimizers, learning_rates: Sequence[float] | None = None, *, where: str = "race"
) -> list[Contestant]:
    """The optimizers of a race, checked: each factory is called once.

    A name with a dot is another library's: ``"optax.lion"``.

    >>> [c.name for c in contestants(["adam", "sgd"])]
    ['adam', 'sgd']
    """
    grid = None if learning_rates is None else _grid(where, learning_rates)
    if isinstance(optimizers, Mapping):
        found = [Contestant(str(name), factory, grid or GRID) for name, factory in optimizers.items()]
    else:
        if not isinstance(optimizers, Iterable):
            raise TypeError(f"{where}: optimizers must be 'all', names, or name → function; got {optimizers!r}")
        names: Iterable[Any] = (optimizers,) if isinstance(optimizers, str) else tuple(optimizers)
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"{where}: optimizers must be 'all', names, or name → function; got {name!r} among them")
        names = CATALOG if names == ("all",) else names
        found = [_by_name(where, name, grid) for name in dict.fromkeys(names)]
    if not found:
        raise ValueError(f"{where}: no optimizers; give names from the catalog{checks.closest('', CATALOG)}")
    for contestant in found:
        if not callable(contestant.factory):
            accepted = "a function from a learning rate to an optimizer"
            raise TypeError(f"{where}: {contestant.name} must be {accepted}; got {contestant.factory!r}")
        rate = contestant.learning_rates[0]
        try:
            made = contestant.factory(rate)
        except Exception as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{where}: {contestant.name}: with learning rate {rate:g} it raises: {error}") from error
        as_transformation(f"{where}: {contestant.name}", made)
    return found


def _by_name(where: str, name: str, grid: tuple[float, ...] | None) -> Contestant:
    if "." in name:
        factory, own = foreign(where, name)
        return Contestant(name, factory, own if own and math.isnan(own[0]) else grid or own or GRID)
    if name not in CATALOG:
        hint = f"; did you mean 'optax.{name}'?" if f"optax.{name}" in factories(optax) else checks.closest(name, CATALOG)
        raise ValueError(f"{where}: unknown optimizer {name!r}{hint}")
    entry = CATALOG[name]
    if not entry.learning_rates:
        return Contestant(name, lambda rate: entry.factory(**entry.settings), (math.nan,))
    return Contestant(name, entry.factory, grid or entry.learning_rates)


def _grid(where: str, learning_rates: Sequence[float]) -> tuple[float, ...]:
    if np.ndim(learning_rates) != 1 or not len(learning_rates):
        raise ValueError(f"{where}: learning_rates must be a list of at least one number > 0; got {learning_rates!r}")
    for rate in learning_rates:
        checks.check_number(where, "learning_rates", rate, checks.Interval(0, open_low=True))
    return tuple(sorted({float(rate) for rate in learning_rates}))
