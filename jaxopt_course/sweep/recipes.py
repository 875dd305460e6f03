"""How a configuration's floats become a training step, while that is traced.

Where the numbers sit in the state (ours) or in the regulariser, equal functions serve all configurations, and compiled code
is shared with everything that has equal ones: *fixed*. Where functions close over them (optax's factories, a lambda with a
schedule of its own, a loss with a parameter), the factory is called again inside the trace, with traced floats: *rebuilt*.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax

from jaxopt_course.problems.objective import Objective, Problem
from jaxopt_course.training.state import as_transformation
from jaxopt_course.training.step import Program, takes_extra_arguments
from jaxopt_course.types import Key, ModelState, OptState, Params, Regularizer

__all__ = ["Call", "FixedOptimizer", "FixedProblem", "Lane", "RebuiltOptimizer", "RebuiltProblem", "Recipe"]


class Lane(NamedTuple):
    """What makes one configuration differ from the next: traced floats, and the regulariser with its numbers, or None.

    ``place`` is the one in its group; no computation depends on it, but there is always a leaf to count lanes by.
    """

    place: jax.Array
    values: dict[str, jax.Array]
    regularizer: Regularizer | None


@dataclasses.dataclass(frozen=True)
class Call:
    """A factory, the static arguments to call it with, and the names of its traced ones."""

    factory: Callable[..., Any]
    static: tuple[tuple[str, Any], ...] = ()
    traced: tuple[str, ...] = ()

    def __call__(self, values: Mapping[str, Any]) -> Any:
        return self.factory(**dict(self.static), **{name: values[name] for name in self.traced})


@dataclasses.dataclass(frozen=True)
class FixedProblem:
    """One objective for all; a start is parameters and model state."""

    objective: Objective

    def __call__(self, lane: Lane) -> tuple[Objective, Regularizer | None]:
        return self.objective, lane.regularizer

    def start(self, lane: Lane, given: tuple[Params, ModelState]) -> tuple[Params, ModelState]:
        return given


@dataclasses.dataclass(frozen=True)
class RebuiltProblem:
    """A problem for each lane; a start is a key."""

    call: Call

    def __call__(self, lane: Lane) -> tuple[Objective, Regularizer | None]:
        problem: Problem = self.call(lane.values)
        return problem.objective, problem.regularizer  # type: ignore[return-value]  # a Regularizer by now

    def start(self, lane: Lane, given: Key) -> tuple[Params, ModelState]:
        return self.call(lane.values).init(given)


@dataclasses.dataclass(frozen=True)
class FixedOptimizer:
    """One update for all, whose numbers are in the state; ``structure`` is the state's."""

    update: Callable[..., tuple[Any, OptState]]
    takes_extra: bool
    structure: Any

    def __call__(self, lane: Lane, params: Params) -> FixedOptimizer:
        return self


@dataclasses.dataclass(frozen=True)
class RebuiltOptimizer:
    """An update for each lane. The state's structure may hold functions that close over traced numbers: it is made again."""

    call: Call

    def __call__(self, lane: Lane, params: Params) -> FixedOptimizer:
        return fixed(as_transformation("sweep", self.call(lane.values)), params)


def fixed(optimizer: optax.GradientTransformation, params: Params) -> FixedOptimizer:
    """This very optimizer, for parameters like these."""
    structure = jax.tree.structure(jax.eval_shape(optimizer.init, params))
    return FixedOptimizer(optimizer.update, takes_extra_arguments(optimizer), structure)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is static in a population's program; equal recipes share one compilation."""

    problem: FixedProblem | RebuiltProblem
    optimizer: FixedOptimizer | RebuiltOptimizer

    def needs(self, lanes: Lane, *, step: bool = True) -> Lane:
        """The lanes with those values only that a step's program reads (or an evaluation's): what is fixed reads none."""
        parts = (self.problem, self.optimizer) if step else (self.problem,)
        read = {name for part in parts if isinstance(part, (RebuiltProblem, RebuiltOptimizer)) for name in part.call.traced}
        return lanes._replace(values={name: value for name, value in lanes.values.items() if name in read})

    def program(self, lane: Lane, params: Params) -> tuple[Program, Regularizer | None, Any]:
        """A lane's training program, its regulariser, and the structure of its optimizer's state."""
        objective, regularizer = self.problem(lane)
        optimizer = self.optimizer(lane, params)
        return Program(objective, optimizer.update, optimizer.takes_extra), regularizer, optimizer.structure
