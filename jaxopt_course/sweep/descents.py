"""Many descents as one program: paths from many starts, under many optimizers, that record where they are.

Paths of optimizers whose ``update`` is one function are lanes of one loop (a :class:`Kernel`), inside a ``vmap`` over starts;
the kernels' loops stand side by side in the same program. Every leaf of a state has both axes, numbers and counters too: on a
surface a step is a few operations, and both sides of a ``cond`` cost next to nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.tree_utils import NamedTupleKey

from jaxopt_course.sweep.population import evaluated_lane, init_lane, lane_step
from jaxopt_course.sweep.recipes import Call, Lane, Recipe
from jaxopt_course.training.step import TRACES, TrainState
from jaxopt_course.types import Key

__all__ = ["Kernel", "descend", "first_states", "joined", "state_fields"]


class Kernel(NamedTuple):
    """Paths that share an ``update``.

    ``places``: [lanes], which of all optimizers and configurations each lane is; ``recipe``: the program, static; ``lanes``:
    a :class:`Lane`, its leaves [lanes]; ``states``: a :class:`TrainState`, its leaves [starts, lanes, …], the keys [starts].
    """

    places: np.ndarray
    recipe: Recipe
    lanes: Lane
    states: TrainState


def first_states(recipe: Recipe, make: Call, lanes: Lane, starts: jax.Array, keys: Key) -> TrainState:
    """Where every path starts: points ``[starts, d]``, keys ``[starts]``; leaves [starts, lanes, …]."""
    begin = lambda lane, start, key: init_lane(recipe, make, lane, (start, {}), key)._replace(key=None, step=None)
    states = jax.vmap(jax.vmap(begin, in_axes=(0, None, None)), in_axes=(None, 0, 0))(lanes, starts, keys)
    return states._replace(key=keys, step=jnp.zeros((), jnp.int32))


def joined(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Kernels of equal programs as one, with the lanes of all."""
    groups: dict[Any, list[Kernel]] = {}
    for kernel in kernels:
        groups.setdefault((kernel.recipe, tuple(kernel.lanes.values)), []).append(kernel)
    return [_concatenated(group) if len(group) > 1 else group[0] for group in groups.values()]


def state_fields(kernel: Kernel) -> list[str]:
    """The fields of the optimizer's state that are like a point: what can be recorded."""
    point = kernel.states.params.shape[2:]
    state = jax.eval_shape(lambda lane, state: _whole(kernel.recipe, lane, state), *_one(kernel))
    paths = jax.tree_util.tree_leaves_with_path(state)
    names = [path[-1].name for path, leaf in paths if leaf.shape == point and hasattr(path[-1], "name")]
    return [name for name in dict.fromkeys(names) if _field(state, name, point) is not None]


@functools.partial(jax.jit, static_argnames=("recipes", "fields", "thinned"))
def descend(recipes, lanes, states, data, counts, *, fields, thinned):
    """All steps of all paths.

    Args:
        recipes: of the kernels; static.
        lanes, states: the kernels'.
        data: the training split, or the function's numbers: all of it at every step.
        counts: [points − 1], how many steps to do between one record and the next.
        fields: of optimizers' states, to be recorded (static).
        thinned: whether any count is more than 1 (static).

    Returns:
        For each kernel: name → [points, starts, lanes, …]; and ``diverged``, [starts, lanes], the first step whose loss was
        not finite, or −1.
    """
    TRACES["descend"] += 1
    each = zip(recipes, lanes, states, strict=True)
    return [_descend(recipe, own, state, data, counts, fields, thinned) for recipe, own, state in each]


def _descend(recipe, lanes, states, data, counts, fields, thinned):
    def across(function):
        """Of one path, as a function of all: states have two axes, lanes one."""
        each = TrainState(0, 0, 0, None, None)  # type: ignore[arg-type]  # axes, not arrays
        every = TrainState(0, 0, 0, 0, None)  # type: ignore[arg-type]
        return lambda states: jax.vmap(jax.vmap(function, in_axes=(0, each)), in_axes=(None, every))(lanes, states)

    def step(lane, state):
        new, records = lane_step(recipe, lane, state, data, None)
        return new._replace(key=None, step=None), records["objective"]

    def record(lane, state):
        objective, regularizer = recipe.problem(lane)

        def noiseless(point):
            value = jnp.mean(objective(point, {}, data, train=False).losses)
            return value if regularizer is None else value + regularizer(point)

        value, gradient = jax.value_and_grad(noiseless)(evaluated := evaluated_lane(recipe, lane, state))
        whole = _whole(recipe, lane, state)
        found = {name: _field(whole, name, evaluated.shape) for name in fields}
        found = {name: field for name, field in found.items() if field is not None}
        return {"params": evaluated, "loss": value, "gradient_norm": optax.tree.norm(gradient), **found}

    def one(_, carry):
        states, diverged = carry
        new, loss = across(step)(states)
        count = states.step + 1
        failed = (diverged < 0) & ~jnp.isfinite(loss)
        return new._replace(key=states.key, step=count), jnp.where(failed, count, diverged)

    def between(carry, count):
        records = across(record)(carry[0])
        return jax.lax.fori_loop(0, count, one, carry) if thinned else one(0, carry), records

    carry = (states, jnp.full(states.params.shape[:2], -1, jnp.int32))
    (states, diverged), records = jax.lax.scan(between, carry, counts)
    last = across(record)(states)
    records = jax.tree.map(lambda rows, row: jnp.concatenate([rows, row[None]]), records, last)
    return records, diverged


def _whole(recipe: Recipe, lane: Lane, state: TrainState) -> Any:
    """The optimizer's state of one path, in its own structure."""
    return recipe.program(lane, state.params)[2].unflatten(state.opt_state)


def _field(state: Any, name: str, shape: tuple[int, ...]) -> Any:
    """The one field of this name in a state, if it is like a point."""
    named = lambda path, _: isinstance(path[-1], NamedTupleKey)
    found = [value for _, value in optax.tree.get_all_with_path(state, name, named) if jnp.shape(value) == shape]
    return found[0] if len(found) == 1 else None


def _one(kernel: Kernel) -> tuple[Lane, TrainState]:
    """The first path of a kernel."""
    states = kernel.states._replace(key=None, step=None)
    return jax.tree.map(lambda leaf: leaf[0], kernel.lanes), jax.tree.map(lambda leaf: leaf[0, 0], states)


def _concatenated(kernels: Sequence[Kernel]) -> Kernel:
    first = kernels[0]
    lanes = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(kernel.lanes for kernel in kernels))
    rest = (kernel.states._replace(key=None, step=None) for kernel in kernels)
    states = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *rest)
    states = states._replace(key=first.states.key, step=first.states.step)
    return Kernel(np.concatenate([kernel.places for kernel in kernels]), first.recipe, lanes, states)
