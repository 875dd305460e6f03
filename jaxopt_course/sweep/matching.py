"""Which configurations share a program.

Every configuration's problem and optimizer are built here, eagerly, so that a bad value raises at the call. Configurations
that differ in floats only make a group: one program. Its floats sit in the optimizer's state and the regulariser where they
can, else the factory is called again while the step is traced (:mod:`~jaxopt_course.sweep.recipes`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course.problems.objective import Problem
from jaxopt_course.sweep.recipes import (
    Call,
    FixedOptimizer,
    FixedProblem,
    Lane,
    RebuiltOptimizer,
    RebuiltProblem,
    Recipe,
    fixed,
)
from jaxopt_course.sweep.spaces import Space
from jaxopt_course.sweep.takers import BATCH_SIZE, Taker, takers
from jaxopt_course.sweep.uses import check_optimizer_depends, check_problem_depends, same_data
from jaxopt_course.training.state import as_transformation

__all__ = ["Group", "match", "tracing"]


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Configurations that share a program.

    Attributes:
        members: their numbers in the space.
        batch_size: m, or None for the default.
        problem: the first one's: data, and where to start.
        recipe: the program.
        make: the optimizer's factory.
        lanes: a :class:`Lane`, its leaves [members, ...].
        named: the names traced as such, and who takes them, for messages.
        where: what was called, for messages.
    """

    members: tuple[int, ...]
    batch_size: int | None
    problem: Problem
    recipe: Recipe
    make: Call
    lanes: Lane
    named: Mapping[str, str]
    where: str


def match(
    problem: Any,
    factory: Any,
    space: Space,
    batch_size: int | None,
    where: str = "sweep",
    own: tuple[str, ...] = (BATCH_SIZE,),
) -> list[Group]:
    """Sort the names, build and check every configuration, and put those together that share a program.

    Args:
        problem: a problem, or a function from swept values to one.
        factory: a function from swept values to an optimizer; or an optimizer, if nothing of it is swept.
        space: what is swept.
        batch_size: m, where it is not swept; None for the default.
        where: what was called, for messages.
        own: the names that it takes itself.

    Raises:
        TypeError, ValueError: a name that nothing takes, or that problem and optimizer both take, or that changes nothing; or
            what the factories raise.
    """
    _check_floats(where, space)
    both = takers(where, problem, factory, space, own)
    configurations = space.configurations()
    problems = _problems(both[0], configurations)
    optimizers = [as_transformation(where, both[1](each)) for each in configurations]
    groups: dict[Any, list[int]] = {}
    for i, each in enumerate(configurations):
        key = tuple((type(value), value) for name, value in each.items() if name not in space.traced)
        groups.setdefault(key, []).append(i)
    check_problem_depends(both[0], space, configurations[0], problems[0])
    check_optimizer_depends(both[1], space, configurations[0], problems[0])
    return [
        _group(members, *both, configurations, problems, optimizers, space.traced, batch_size) for members in groups.values()
    ]


@contextmanager
def tracing(named: Mapping[str, str], where: str = "sweep") -> Iterator[None]:
    """Say what to do about a factory that looks at traced values."""
    listed = ", ".join(f"{name} (of the {role})" for name, role in named.items())
    instead = "as spaces.categorical([...]), which compiles once for each value"
    try:
        yield
    except jax.errors.JAXTypeError as error:
        raise TypeError(
            f"{where}: a factory looks at the value of a float that is traced: one of {listed}. Give that axis {instead}"
        ) from error
    except TypeError as error:
        if named:
            error.add_note(
                f"{where}: traced floats, which have no value yet: {listed}. If that is why, give the axis {instead}"
            )
        raise


def _group(
    members: Sequence[int],
    of_problem: Taker,
    of_optimizer: Taker,
    configurations: Sequence[Mapping[str, Any]],
    problems: Sequence[Problem],
    optimizers: Sequence[optax.GradientTransformation],
    traced: frozenset[str],
    batch_size: int | None,
) -> Group:
    own = list({id(problems[i]): problems[i] for i in members}.values())
    first, size = configurations[members[0]], configurations[members[0]].get(BATCH_SIZE, batch_size)
    call = of_optimizer.call(first, traced)
    names = [name for name in of_optimizer.names if name in traced]
    if all(other.init == own[0].init and _same_functions(other, own[0]) for other in own):
        part, stacked = FixedProblem(own[0].objective), _stack([problems[i].regularizer for i in members])
    else:
        _check_data(of_problem.where, own)
        part, stacked = RebuiltProblem(of_problem.call(first, traced)), None
        names += [name for name in of_problem.names if name in traced]
    values = {name: _column([configurations[i][name] for i in members]) for name in names}
    lanes = Lane(np.arange(len(members), dtype=np.int32), values, stacked)  # type: ignore[arg-type]  # stacked, they are NumPy's
    named = {name: "problem" if name in of_problem.names else "optimizer" for name in names}
    with tracing(named, of_problem.where):
        rule = _optimizer_part(own[0], call, [optimizers[i] for i in members], first)
    return Group(tuple(members), size, own[0], Recipe(part, rule), call, lanes, named, of_problem.where)


def _optimizer_part(
    problem: Problem, call: Call, optimizers: Sequence[optax.GradientTransformation], first: Mapping[str, Any]
) -> FixedOptimizer | RebuiltOptimizer:
    """Fixed, if all have equal updates and states of one structure: then their numbers can only be in the states."""
    others = optimizers[1:] or [as_transformation("sweep", call(first))]
    if all(other.update == optimizers[0].update for other in others):
        params, _ = jax.eval_shape(problem.init, jax.random.key(0))
        one, other = fixed(optimizers[0], params), fixed(others[-1], params)
        if one == other:
            return one
    return RebuiltOptimizer(call)


def _problems(taker: Taker, configurations: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Each configuration's problem; equal arguments share one."""
    built: dict[Any, Problem] = {}
    found = []
    for each in configurations:
        key = tuple((type(each[name]), each[name]) for name in taker.names)
        if key not in built:
            built[key] = taker(each)
            if not isinstance(built[key], Problem):
                raise TypeError(f"{taker.where}: the problem's factory must return a jc.Problem; got {built[key]!r}")
        found.append(built[key])
    return found


def _same_functions(a: Problem, b: Problem) -> bool:
    structure = jax.tree.structure
    return a is b or (a.objective == b.objective and structure(a.regularizer) == structure(b.regularizer) and same_data(a, b))


def _check_data(where: str, problems: Sequence[Problem]) -> None:
    for other in {id(problem): problem for problem in problems}.values():
        if not same_data(other, problems[0]):
            raise ValueError(
                f"{where}: the problem's data depend on a float; give that axis as spaces.categorical([...]), which has data "
                "of its own for each value"
            )


def _check_floats(where: str, space: Space) -> None:
    finite = jnp.finfo(jnp.result_type(float))
    for name, column in space.columns:
        if name in space.traced and abs(largest := max(column, key=abs)) > float(finite.max):
            raise ValueError(f"{where}: {name} must be finite in {finite.dtype}; got {largest!r}")


def _column(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, jnp.result_type(float))


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x, jnp.result_type(x)) for x in leaves]), *trees)
