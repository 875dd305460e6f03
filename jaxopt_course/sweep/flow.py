"""Where a lane's numbers flow: which leaves of its state differ between lanes, and which swept names reach no update.

Read off the step's program, without running it, so it holds for every value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
from jax.interpreters.partial_eval import dce_jaxpr

from jaxopt_course.sweep.population import Varying, evaluated_lane, init_lane, lane_step
from jaxopt_course.sweep.recipes import Call, Recipe

__all__ = ["Flow", "flow"]


class Flow(NamedTuple):
    """What :func:`flow` found.

    Attributes:
        varying: which leaves of the state need a lane axis.
        unused: the names that no data flows from, neither to the parameters nor to what is evaluated.
        records: what a step records.
        averages: whether something else than the parameters is evaluated.
    """

    varying: Varying
    unused: tuple[str, ...]
    records: tuple[str, ...]
    averages: bool


@functools.lru_cache(maxsize=128)
def flow(recipe: Recipe, make: Call, starts: bool, structure: Any, shapes: tuple[jax.ShapeDtypeStruct, ...]) -> Flow:
    """Follow one lane's numbers through its first state, and from each state to the next.

    Args:
        recipe, make: what makes the program; ``make`` is the optimizer's factory.
        starts: whether lanes differ in what they start from.
        structure, shapes: a flattened tuple (lane, start, key, batch, weights), of what
            :func:`~jaxopt_course.sweep.population.init_lane` and :func:`~jaxopt_course.sweep.population.lane_step` take.
    """
    lane, start, key, batch, weights = jax.tree.unflatten(structure, shapes)
    begin, evaluated = functools.partial(init_lane, recipe, make), functools.partial(evaluated_lane, recipe)

    def step(lane, state, batch, weights):
        new, records = lane_step(recipe, lane, state, batch, weights)
        return new, evaluated(lane, new), records

    state = jax.eval_shape(begin, lane, start, key)
    first = _dependencies(begin, lane, start, key)
    then = _dependencies(step, lane, state, batch, weights)
    lanes, states = len(jax.tree.leaves(lane)), len(jax.tree.leaves(state))
    begins = range(lanes, lanes + len(jax.tree.leaves(start)))
    inputs = range(lanes, lanes + states)

    def reached(sources: set[int], start: bool) -> list[bool]:
        """The leaves of the state, and the outputs after them, that these leaves of the lane (and the start) get to."""
        inside = [bool(sources & used) or (start and not used.isdisjoint(begins)) for used in first]
        while True:
            live = sources | {i for i, leaf in zip(inputs, inside, strict=True) if leaf}
            outputs = [bool(live & used) for used in then]
            grown = [a or b for a, b in zip(inside, outputs, strict=False)]
            if grown == inside:
                return grown + outputs[states:]
            inside = grown

    named = {name: {i} for i, name in enumerate(sorted(lane.values), start=1)}  # the first leaf is the place
    params = len(jax.tree.leaves(state.params))
    matters = {name: reached(sources, start=False) for name, sources in named.items()}
    unused = tuple(name for name, leaves in matters.items() if not any((*leaves[:params], *leaves[states:])))
    records = jax.eval_shape(step, lane, state, batch, weights)[2]
    itself = [{i} for i in inputs[:params]]
    averages = _dependencies(evaluated, lane, state) != itself
    return Flow(tuple(reached(set(range(lanes)), starts)[:states]), unused, tuple(records), averages)


def _dependencies(function: Callable[..., Any], *arguments: Any) -> list[set[int]]:
    """For each leaf that a function returns, the leaves of its arguments that it depends on."""
    program = jax.make_jaxpr(function)(*arguments).jaxpr
    count = len(program.outvars)
    return [_used(dce_jaxpr(program, [i == j for j in range(count)])[1]) for i in range(count)]


def _used(flags: Iterable[bool]) -> set[int]:
    return {i for i, flag in enumerate(flags) if flag}
