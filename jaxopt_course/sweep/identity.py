"""Which sweep a store belongs to, told by name: what was asked for, and what the programs compute with."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_course.sweep.execution import Runner
from jaxopt_course.sweep.fingerprints import contents, fingerprint
from jaxopt_course.sweep.labels import label
from jaxopt_course.sweep.population import evaluated_lane, init_lane, lane_step
from jaxopt_course.sweep.recipes import FixedProblem
from jaxopt_course.sweep.results import versions
from jaxopt_course.sweep.spaces import Space

__all__ = ["differences", "identity"]

SHOWN = 60  # characters of a value in a message


def identity(runners: Sequence[Runner], factory: Callable[..., Any] | Any, space: Space) -> dict[str, str]:
    """What has to agree for two sweeps to be the same one, bit by bit: name → value.

    Lane sizes are not in it: they are recorded apart, and a store that goes on keeps to them.
    """
    options, plan = runners[0].options, runners[0].plan
    axes = space.axes if space.kind == "grid" else space.columns
    quoted = lambda value: repr(value) if isinstance(value, str) else label(value)
    return {
        "problem": runners[0].group.problem.name,
        "factory": getattr(factory, "__qualname__", type(factory).__qualname__),
        "space": f"{space.kind} over {', '.join(space.names)}",
        **{f"axis {name}": ", ".join(map(quoted, values)) for name, values in axes},
        "batch_size": "swept" if "batch_size" in space.names else str(plan.batch_size),
        "seeds": ", ".join(map(str, options.seeds)),
        "vary": options.vary,
        "epochs": str(options.epochs),
        "evaluate": str(options.evaluate),
        "sampler": repr(plan.sampler),
        "drop_remainder": str(plan.drop_remainder),
        "float dtype": str(jnp.result_type(float)),
        "device": f"{jax.default_backend()}, {jax.devices()[0].device_kind}",
        "versions": versions(),
        "data": _digest(contents([problem.data for problem in _distinct(runner.group.problem for runner in runners)])),
        "order of examples": _digest(part for runner in runners for part in _order(runner)),
        "programs": _digest(part for runner in runners for part in _programs(runner)),
    }


def differences(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What differs, and how: ``"epochs is 3 there, 5 here"``."""
    names = dict.fromkeys([*recorded, *here])
    pairs = {name: (recorded.get(name, "nothing"), here.get(name, "nothing")) for name in names}
    return [f"{name} is {_shown(a, b)} there, {_shown(b, a)} here" for name, (a, b) in pairs.items() if a != b]


def _programs(runner: Runner) -> Iterator[bytes]:
    """A group's functions, as one lane of them is traced, and the numbers they are called with."""
    group, (lane, start, key, batch, weights) = runner.group, runner.example
    recipe, problem = group.recipe, group.problem
    state = jax.eval_shape(functools.partial(init_lane, recipe, group.make), lane, start, key)

    def measure(lane, params, model_state, batch):
        objective, regularizer = recipe.problem(lane)
        outcome = objective(params, model_state, batch, train=False)
        return outcome.losses, outcome.metrics, None if regularizer is None else regularizer(params)

    params, model_state = jax.eval_shape(problem.init, key)
    yield from fingerprint(functools.partial(init_lane, recipe, group.make), lane, start, key)
    yield from fingerprint(functools.partial(lane_step, recipe), lane, state, batch, weights)
    yield from fingerprint(functools.partial(evaluated_lane, recipe), lane, state)
    yield from fingerprint(measure, lane, params, model_state, batch)
    if isinstance(recipe.problem, FixedProblem):
        yield from fingerprint(problem.init, key)
    yield from contents(group.lanes)


def _order(runner: Runner) -> Iterator[bytes]:
    """The first epoch's rows, for the first seed; the plan decides the rest in the same way."""
    plan = dataclasses.replace(runner.plan, seed=runner.order_seed(0))
    if not runner.full:
        yield from contents(plan.rows(0, plan.steps_per_epoch))


def _digest(parts: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()[:16]


def _distinct(things: Iterable[Any]) -> list[Any]:
    return list({id(thing): thing for thing in things}.values())


def _shown(value: str, other: str) -> str:
    """The value; of a long one, the part around where it first differs from the other."""
    if len(value) <= SHOWN:
        return value
    first = next((i for i, (a, b) in enumerate(zip(value, other, strict=False)) if a != b), min(len(value), len(other)))
    start = max(0, min(first - SHOWN // 2, len(value) - SHOWN))
    return "…" * (start > 0) + value[start:][:SHOWN] + "…" * (start + SHOWN < len(value))
