"""Who takes which swept name, and which configurations share a program.

Every configuration's problem and optimizer are built here, eagerly, so that a bad value raises at the call. Configurations
that differ in floats only make a group: one program. Its floats sit in the optimizer's state and the regulariser where they
can, else the factory is called again while the step is traced (:mod:`~jaxopt_course.sweep.recipes`).
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem
from jaxopt_course.sweep.fingerprints import fingerprint
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
from jaxopt_course.training.state import as_transformation
from jaxopt_course.transform import eval_params, gradient_point

__all__ = ["Group", "match", "tracing"]

BATCH_SIZE = "batch_size"


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
    """

    members: tuple[int, ...]
    batch_size: int | None
    problem: Problem
    recipe: Recipe
    make: Call
    lanes: Lane
    named: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class _Taker:
    """A factory, and the swept names it takes."""

    role: str
    factory: Callable[..., Any]
    names: tuple[str, ...]

    def __call__(self, configuration: Mapping[str, Any]) -> Any:
        values = {name: configuration[name] for name in self.names}
        try:
            return self.factory(**values)
        except Exception as error:
            error.add_note(f"in a sweep: the {self.role}'s factory, called with {values}")
            raise

    def call(self, configuration: Mapping[str, Any], traced: frozenset[str]) -> Call:
        static = tuple((name, configuration[name]) for name in self.names if name not in traced)
        return Call(self.factory, static, tuple(name for name in self.names if name in traced))


def match(problem: Any, factory: Any, space: Space, batch_size: int | None) -> list[Group]:
    """Sort the names, build and check every configuration, and put those together that share a program.

    Args:
        problem: a problem, or a function from swept values to one.
        factory: a function from swept values to an optimizer; or an optimizer, if nothing of it is swept.
        space: what is swept.
        batch_size: m, where it is not swept; None for the default.

    Raises:
        TypeError, ValueError: a name that nothing takes, or that problem and optimizer both take, or that changes nothing; or
            what the factories raise.
    """
    takers = _takers(problem, factory, space)
    configurations = space.configurations()
    problems = _problems(takers["problem"], configurations)
    optimizers = [as_transformation("sweep", takers["optimizer"](each)) for each in configurations]
    groups: dict[Any, list[int]] = {}
    for i, each in enumerate(configurations):
        key = tuple((type(value), value) for name, value in each.items() if name not in space.traced)
        groups.setdefault(key, []).append(i)
    _check_problem_uses(takers["problem"], space, configurations[0], problems[0])
    _check_static_uses(takers["optimizer"], space, configurations[0], problems[0])
    return [
        _group(members, takers, configurations, problems, optimizers, space.traced, batch_size) for members in groups.values()
    ]


@contextmanager
def tracing(named: Mapping[str, str]) -> Iterator[None]:
    """Say what to do about a factory that looks at traced values."""
    try:
        yield
    except jax.errors.JAXTypeError as error:
        listed = ", ".join(f"{name} (of the {role})" for name, role in named.items())
        raise TypeError(
            f"sweep: a factory looks at the value of a float that is traced: one of {listed}. Give that axis as "
            "spaces.categorical([...]), which compiles once for each value"
        ) from error


def _group(
    members: Sequence[int],
    takers: Mapping[str, _Taker],
    configurations: Sequence[Mapping[str, Any]],
    problems: Sequence[Problem],
    optimizers: Sequence[optax.GradientTransformation],
    traced: frozenset[str],
    batch_size: int | None,
) -> Group:
    own = list({id(problems[i]): problems[i] for i in members}.values())
    first, size = configurations[members[0]], configurations[members[0]].get(BATCH_SIZE, batch_size)
    call = takers["optimizer"].call(first, traced)
    names = [name for name in takers["optimizer"].names if name in traced]
    if all(other.init == own[0].init and _same_functions(other, own[0]) for other in own):
        part, stacked = FixedProblem(own[0].objective), _stack([problems[i].regularizer for i in members])
    else:
        _check_data(own)
        part, stacked = RebuiltProblem(takers["problem"].call(first, traced)), None
        names += [name for name in takers["problem"].names if name in traced]
    values = {name: _column([configurations[i][name] for i in members]) for name in names}
    lanes = Lane(np.arange(len(members), dtype=np.int32), values, stacked)  # type: ignore[arg-type]  # stacked, they are NumPy's
    named = {name: "problem" if name in takers["problem"].names else "optimizer" for name in names}
    with tracing(named):
        rule = _optimizer_part(own[0], call, [optimizers[i] for i in members], first)
    return Group(tuple(members), size, own[0], Recipe(part, rule), call, lanes, named)


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


def _takers(problem: Any, factory: Any, space: Space) -> dict[str, _Taker]:
    if isinstance(factory, optax.GradientTransformation):
        optimizer = factory
        factory = lambda: optimizer
    for role, thing in (("problem", problem), ("factory", factory)):
        accepted = "a jc.Problem, or a function" if role == "problem" else "a function"
        if not (callable(thing) or (role == "problem" and isinstance(thing, Problem))):
            raise TypeError(f"sweep: {role} must be {accepted} of swept values; got {thing!r}")
    known = {"problem": {} if isinstance(problem, Problem) else _parameters(problem), "optimizer": _parameters(factory)}
    taken: dict[str, list[str]] = {"problem": [], "optimizer": []}
    for name in space.names:
        by = [role for role, names in known.items() if name in names]
        by = by or [role for role, names in known.items() if None in names and name != BATCH_SIZE]  # **keywords
        if name == BATCH_SIZE and not by:
            continue
        if len(by) > 1 or (by and name == BATCH_SIZE):
            raise ValueError(f"sweep: {name} is taken by {' and '.join(by)}{' and sweep' * (name == BATCH_SIZE)}; rename one")
        if not by:
            names = [each for names in known.values() for each in names if each] + [BATCH_SIZE]
            raise ValueError(f"sweep: nothing takes {name!r}{checks.closest(name, names)}")
        taken[by[0]].append(name)
    build = (lambda: problem) if isinstance(problem, Problem) else problem
    return {
        "problem": _Taker("problem", build, tuple(taken["problem"])),
        "optimizer": _Taker("optimizer", factory, tuple(taken["optimizer"])),
    }


def _parameters(function: Callable[..., Any]) -> dict[str | None, None]:
    """The names that a function can be called with; None among them if it takes any."""
    kinds = inspect.Parameter
    found = inspect.signature(function).parameters.values()
    names = {p.name: None for p in found if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)}
    return names | ({None: None} if any(p.kind is kinds.VAR_KEYWORD for p in found) else {})


def _problems(taker: _Taker, configurations: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Each configuration's problem; equal arguments share one."""
    built: dict[Any, Problem] = {}
    found = []
    for each in configurations:
        key = tuple((type(each[name]), each[name]) for name in taker.names)
        if key not in built:
            built[key] = taker(each)
            if not isinstance(built[key], Problem):
                raise TypeError(f"sweep: the problem's factory must return a jc.Problem; got {built[key]!r}")
        found.append(built[key])
    return found


def _check_problem_uses(taker: _Taker, space: Space, first: Mapping[str, Any], problem: Problem) -> None:
    """Raise for a name that makes equal problems whatever its value."""
    for name, others in _alternatives(taker, space, first):
        if others and all(taker(other) == problem for other in others):
            raise ValueError(f"sweep: the problem does not depend on {name!r}: its factory ignores it")


def _check_static_uses(taker: _Taker, space: Space, first: Mapping[str, Any], problem: Problem) -> None:
    """Raise for a static name that makes the same program whatever its value; traced ones are followed by ``flow``."""

    def program(configuration: Mapping[str, Any]) -> Any:
        params, _ = jax.eval_shape(problem.init, jax.random.key(0))
        optimizer = optax.with_extra_args_support(taker(configuration))
        total = lambda p: sum((jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(p)), jnp.zeros(()))

        def update(params):
            state = optimizer.init(params)
            points = gradient_point(state, params), eval_params(state, params)  # all that some optimizers differ in
            return optimizer.update(params, state, params, value=total(params), grad=params, value_fn=total), points

        return fingerprint(update, params)

    for name, others in _alternatives(taker, space, first, but=space.traced):
        if others and all(program(other) == program(first) for other in others):
            raise ValueError(f"sweep: the optimizer does not depend on {name!r}: its factory ignores it")


def _alternatives(
    taker: _Taker, space: Space, first: Mapping[str, Any], but: frozenset[str] = frozenset()
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """For each name (but some), the first configuration with its other values (three at most), where those can be built."""
    for name, column in space.columns:
        if name in taker.names and name not in but:
            others = [{**first, name: value} for value in dict.fromkeys(column) if value != first[name]][:3]
            yield name, [other for other in others if _builds(taker, other)]


def _builds(taker: _Taker, configuration: Mapping[str, Any]) -> bool:
    try:
        taker(configuration)
    except Exception:  # not a configuration of the space, so nobody's error
        return False
    return True


def _same_functions(a: Problem, b: Problem) -> bool:
    structure = jax.tree.structure
    return a is b or (a.objective == b.objective and structure(a.regularizer) == structure(b.regularizer) and _same_data(a, b))


def _same_data(a: Problem, b: Problem) -> bool:
    if jax.tree.structure(a.data) != jax.tree.structure(b.data):
        return False
    pairs = zip(jax.tree.leaves(a.data), jax.tree.leaves(b.data), strict=True)
    return all(x is y or np.array_equal(x, y) for x, y in pairs)


def _check_data(problems: Sequence[Problem]) -> None:
    for other in {id(problem): problem for problem in problems}.values():
        if not _same_data(other, problems[0]):
            raise ValueError(
                "sweep: the problem's data depend on a float; give that axis as spaces.categorical([...]), which has data of "
                "its own for each value"
            )


def _column(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, jnp.result_type(float))


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x, jnp.result_type(x)) for x in leaves]), *trees)
