"""Training runs of the learning-rate search: on one seed a fit for each rate, on several one sweep.

On one seed, fits share the program of the final runs; a sweep's would have to be compiled besides, which costs more than it
saves. On several seeds, one sweep trains the whole grid side by side. Rates that extend the grid train in as many lanes as the
grid has, so nothing compiles again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course.problems.objective import Problem
from jaxopt_course.race.contestants import Contestant, Factory
from jaxopt_course.race.outcome import final_value, quantities, test_values
from jaxopt_course.sweep import spaces, sweep
from jaxopt_course.training.result import Result

__all__ = ["Scores", "of_results", "sweepable", "swept"]

Scores = dict[str, np.ndarray]
"""Name → its final value on each seed; NaN where the run diverged."""


@dataclasses.dataclass(frozen=True)
class _Rated:
    """A contestant's factory under a name that a sweep can match; equal ones share their programs."""

    factory: Factory

    def __call__(self, learning_rate: float) -> optax.GradientTransformation:
        return self.factory(learning_rate)


def of_results(results: Sequence[Result]) -> Scores:
    """The scores of one rate, from a fit on each seed."""
    rows = [{name: final_value(one, name) for name in quantities(one)} | test_values(one) for one in results]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def sweepable(entrant: Contestant) -> bool:
    """Whether all rates can train in one program: there are rates, and the factory does not look at their values."""
    if math.isnan(entrant.learning_rates[0]):
        return False
    try:
        jax.eval_shape(lambda rate: entrant.factory(rate).init(jnp.zeros((2, 2))), np.float32(entrant.learning_rates[0]))
    except jax.errors.JAXTypeError:
        return False
    return True


def swept(
    problem: Problem, entrant: Contestant, rates: Sequence[float], seeds: Sequence[int], batch_size: int, epochs: int
) -> tuple[list[Scores], float]:
    """The scores of these rates, and the seconds spent compiling."""
    lanes = max(len(rates), len(entrant.learning_rates))
    space = spaces.zipped(learning_rate=[*rates, *[rates[-1]] * (lanes - len(rates))])
    found = sweep(problem, _Rated(entrant.factory), space, seeds=seeds, batch_size=batch_size, epochs=epochs)
    if found.attrs["incomplete"]:
        raise KeyboardInterrupt
    last = found.isel(epoch=-1)
    names = [str(name) for name in last.data_vars if str(name).startswith(("validation_", "test_"))]
    of_rate: Callable[[int], Any] = lambda i: {name: last[name].values[i].astype(float) for name in names}
    return [of_rate(i) for i in range(len(rates))], float(found.attrs["compile_seconds"])
