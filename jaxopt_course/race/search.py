"""The learning-rate search: one sweep trains an optimizer's whole grid, side by side, on all tuning seeds.

Rates that extend the grid train in as many lanes as the grid has, so nothing compiles again. An optimizer without rates has
nothing to search, and one that looks at its rate's value cannot be given many at once: these are fitted, one run after
another, by the program of the final runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jax.interpreters.partial_eval import dce_jaxpr

from jaxopt_course.problems.objective import Problem
from jaxopt_course.race.contestants import Contestant, Factory
from jaxopt_course.race.outcome import final_value, quantities, test_values
from jaxopt_course.sweep import spaces, sweep
from jaxopt_course.sweep.uses import first_update
from jaxopt_course.training.result import Result

__all__ = ["Scores", "of_results", "sweepable", "swept"]

Scores = dict[str, np.ndarray]
"""Name → its final value on each seed; NaN where the run diverged."""

FEWEST = 2  # lanes: a grid of one rate grows both ways


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


def sweepable(problem: Problem, entrant: Contestant) -> bool:
    """Whether rates are data: there are some, the factory does not look at their values, and does not ignore them.

    Read off the program of a first update of the problem's parameters.
    """
    if math.isnan(entrant.learning_rates[0]):
        return False
    params, _ = jax.eval_shape(problem.init, jax.random.key(0))
    rate = np.asarray(entrant.learning_rates[0], jax.numpy.result_type(float))
    try:
        program = jax.make_jaxpr(lambda rate, params: first_update(entrant.factory(rate))(params))(rate, params).jaxpr
    except Exception:  # of whatever kind: with a number, contestants has called it
        return False
    return dce_jaxpr(program, [True] * len(program.outvars))[1][0]


def swept(
    problem: Problem, entrant: Contestant, rates: Sequence[float], seeds: Sequence[int], batch_size: int, epochs: int
) -> tuple[list[Scores], float]:
    """The scores of these rates, and the seconds spent compiling."""
    lanes = max(len(rates), len(entrant.learning_rates), FEWEST)
    space = spaces.zipped(learning_rate=[*rates, *[rates[-1]] * (lanes - len(rates))])
    found = sweep(problem, _Rated(entrant.factory), space, seeds=seeds, batch_size=batch_size, epochs=epochs, evaluate="end")
    if found.attrs["incomplete"]:
        raise KeyboardInterrupt
    last = found.isel(epoch=-1)
    names = [str(name) for split in ("validation_", "test_") for name in last.data_vars if str(name).startswith(split)]
    of_rate: Callable[[int], Any] = lambda i: {name: last[name].values[i].astype(float) for name in names}
    return [of_rate(i) for i in range(len(rates))], float(found.attrs["compile_seconds"])
