"""Names that change nothing: found before anything trains, by what the programs of different values compute.

A traced name of the optimizer is followed by :mod:`~jaxopt_course.sweep.flow`, whatever its value. The others' values are
compared here, so of an axis with one value nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course.problems.objective import Problem
from jaxopt_course.sweep.fingerprints import fingerprint
from jaxopt_course.sweep.spaces import Space
from jaxopt_course.sweep.takers import Taker
from jaxopt_course.training.step import metric_names
from jaxopt_course.transform import eval_params, gradient_point

__all__ = ["check_optimizer_depends", "check_problem_depends", "first_update", "same_data"]


def check_problem_depends(taker: Taker, space: Space, first: Mapping[str, Any], problem: Problem) -> None:
    """Raise for a name that makes the same problem whatever its value."""
    same = lambda other: same_data(other, problem) and _problem_program(other) == _problem_program(problem)
    for name, others in _alternatives(taker, space, first):
        if others and all(same(taker(other)) for other in others):
            raise ValueError(f"{taker.where}: the problem does not depend on {name!r}: its factory ignores it")


def check_optimizer_depends(taker: Taker, space: Space, first: Mapping[str, Any], problem: Problem) -> None:
    """Raise for a static name that makes the same optimizer whatever its value."""
    params, _ = jax.eval_shape(problem.init, jax.random.key(0))
    program = lambda configuration: fingerprint(first_update(taker(configuration)), params)
    for name, others in _alternatives(taker, space, first, but=space.traced):
        if others and all(program(other) == program(first) for other in others):
            raise ValueError(f"{taker.where}: the optimizer does not depend on {name!r}: its factory ignores it")


def same_data(a: Problem, b: Problem) -> bool:
    """Whether two problems have equal data."""
    if jax.tree.structure(a.data) != jax.tree.structure(b.data):
        return False
    pairs = zip(jax.tree.leaves(a.data), jax.tree.leaves(b.data), strict=True)
    return all(x is y or np.array_equal(x, y) for x, y in pairs)


def first_update(optimizer: optax.GradientTransformation) -> Callable[[Any], Any]:
    """From parameters to an optimizer's first update, and where it wants the gradient and the evaluation.

    That is all that some differ in. It is given what training gives; only shapes matter.
    """
    rule = optax.with_extra_args_support(optimizer)
    total = lambda p: sum((jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(p)), jnp.zeros(()))

    def update(params):
        state = rule.init(params)
        points = gradient_point(state, params), eval_params(state, params)
        return rule.update(params, state, params, value=total(params), grad=params, value_fn=total), points

    return update


def _problem_program(problem: Problem) -> Any:
    """Where a problem starts, and what it computes of a batch, in training and in evaluation."""
    key = jax.random.key(0)
    params, model_state = jax.eval_shape(problem.init, key)

    def measure(params, model_state, batch, key):
        outcomes = [problem.objective(params, model_state, batch, key=key, train=train) for train in (True, False)]
        return outcomes, None if problem.regularizer is None else problem.regularizer(params)

    batch = jax.eval_shape(lambda: problem.data.train)
    programs = fingerprint(problem.init, key), fingerprint(measure, params, model_state, batch, key)
    return programs, problem.coupled, metric_names(problem)


def _alternatives(
    taker: Taker, space: Space, first: Mapping[str, Any], but: frozenset[str] = frozenset()
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """For each name (but some), the first configuration with its other values (three at most), where those can be built."""
    for name, column in space.columns:
        if name in taker.names and name not in but:
            others = [{**first, name: value} for value in dict.fromkeys(column) if value != first[name]][:3]
            yield name, [other for other in others if _builds(taker, other)]


def _builds(taker: Taker, configuration: Mapping[str, Any]) -> bool:
    try:
        taker(configuration)
    except Exception:  # not a configuration of the space, so nobody's error
        return False
    return True
