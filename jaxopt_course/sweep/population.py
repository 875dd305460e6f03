"""A population's compiled programs: training's own step, ``vmap``-ped over lanes inside the loop over shared batches.

A lane is one configuration (with one initialisation). All lanes see the same mini-batch at the same step, so a dense
layer's many small products become one large one. What no lane's numbers reach (step counters, hyperparameters that are not
swept) keeps no lane axis, so a ``cond`` on the step stays a ``cond``. A lane that turns non-finite stays so, alone.

Between steps, matrices lie transposed: so the gradient of many kernels at once comes out of its one product as they lie, and
a step of softmax regression takes two thirds of the time.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_course.compiler import ONCE, compiled, of_lanes
from jaxopt_course.sweep.products import lanes_first
from jaxopt_course.sweep.recipes import Call, Lane, Recipe
from jaxopt_course.training.step import TRACES, TrainState, evaluate, train_step
from jaxopt_course.transform import eval_params
from jaxopt_course.types import Batch, Key

__all__ = [
    "Varying",
    "average_lanes",
    "evaluate_lanes",
    "evaluated_lane",
    "finite_lanes",
    "init_lane",
    "init_lanes",
    "lane_step",
    "train_lanes",
]

Varying = tuple[bool, ...]  # for each leaf of a TrainState: whether it has a lane axis, its first


def init_lane(recipe: Recipe, make: Call, lane: Lane, start: Any, key: Key) -> TrainState:
    """One lane's first state; its optimizer state is a list of leaves (see :class:`RebuiltOptimizer`)."""
    params, model_state = recipe.problem.start(lane, start)
    opt_state = jax.tree.leaves(make(lane.values).init(params))
    strong = lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf))  # weakly typed, a loop's carry would change its type
    params, model_state, opt_state = jax.tree.map(strong, (params, model_state, opt_state))
    return _turned(TrainState(params, model_state, opt_state, key, jnp.zeros((), jnp.int32)))


def lane_step(recipe: Recipe, lane: Lane, state: TrainState, batch: Batch, weights: Any) -> tuple[TrainState, dict]:
    """One step of one lane, and what is recorded of it."""
    old = _turned(state)
    program, regularizer, structure = recipe.program(lane, old.params)
    whole = old._replace(opt_state=structure.unflatten(old.opt_state))
    new, report = train_step(program, whole, batch, weights, regularizer)
    new = _turned(new._replace(opt_state=jax.tree.leaves(new.opt_state)))
    like = lambda n, o: n if n.dtype == o.dtype else n.astype(o.dtype)  # a loop's carry keeps its dtypes
    return jax.tree.map(like, new, state), {"loss": report.loss, "objective": report.objective, **report.metrics}


def evaluated_lane(recipe: Recipe, lane: Lane, state: TrainState) -> Any:
    """The parameters of one lane that are evaluated; matrices lie transposed."""
    old = _turned(state)
    structure = recipe.program(lane, old.params)[2]
    return _turned(eval_params(structure.unflatten(old.opt_state), old.params))


@compiled(ONCE, static_argnames=("recipe", "make", "varying", "starts"))
def init_lanes(recipe, make, varying, starts, lanes, start, key):
    """All lanes' first states.

    Args:
        recipe, make, varying: static; ``make`` is the optimizer's factory.
        starts: whether ``start`` has a lane axis (static).
        lanes: a :class:`Lane` whose leaves have a lane axis.
        start: what the recipe's problem starts from.
        key: of dropout, the same for all.
    """
    TRACES["init_lanes"] += 1
    init = jax.vmap(lambda lane, start: init_lane(recipe, make, lane, start, key), in_axes=(0, 0 if starts else None))
    return _joined(varying, init(lanes, start))


@compiled(
    lambda *_, state, **__: of_lanes(state.params),
    static_argnames=("recipe", "varying"),
    donate_argnames=("state", "totals", "diverged"),
)
def train_lanes(recipe, varying, lanes, state, totals, diverged, data, rows, shares, count):
    """``count`` steps of all lanes.

    Args:
        recipe, varying: static.
        lanes: a :class:`Lane` whose leaves have a lane axis.
        state: a :class:`TrainState`, its leaves with a lane axis where ``varying``; donated.
        totals: name → [lanes], to which each step's records are added, times the step's share; donated.
        diverged: [lanes], the first step whose objective was not finite; −1 before there is one; donated.
        data: the training split.
        rows: indices [steps, B] and weights [steps, B] or None; or None: all the data at every step.
        shares: [steps], the weight of each step in the totals.
        count: how many of the rows.

    Returns:
        ``state``, ``totals``, ``diverged``.
    """
    TRACES["train_lanes"] += 1

    def one(i, carry):
        state, totals, diverged = carry
        batch, weights = _batch(data, rows, i)
        across = jax.vmap(
            lambda lane, state: lane_step(recipe, lane, state, batch, weights), in_axes=(0, _axes(varying, state))
        )
        new, records = lanes_first(across, _varying(lanes, varying), lanes, state)
        state = _joined(varying, new)
        totals = {name: total + shares[i] * records[name] for name, total in totals.items()}
        failed = (diverged < 0) & ~jnp.isfinite(records["objective"])
        return state, totals, jnp.where(failed, state.step, diverged)

    return jax.lax.fori_loop(0, count, one, (state, totals, diverged))


@compiled(ONCE, static_argnames=("varying", "size"))
def finite_lanes(varying, params, *, size):
    """[lanes], whether the parameters are finite; a program of its own, as all optimizers share it.

    Args:
        varying: which leaves have a lane axis (static).
        params: the parameters.
        size: how many lanes (static).
    """
    TRACES["finite_lanes"] += 1
    return jax.vmap(_finite, in_axes=(_axes(varying, params),), axis_size=size)(params)


@functools.partial(jax.jit, static_argnames=("recipe", "varying"))
def average_lanes(recipe, varying, lanes, state):
    """The parameters to evaluate, with a lane axis, for the optimizers that keep an average."""
    TRACES["average_lanes"] += 1
    return jax.vmap(functools.partial(evaluated_lane, recipe), in_axes=(0, _axes(varying, state)))(lanes, state)


@functools.partial(jax.jit, static_argnames=("problem", "varying", "batch_size"))
def evaluate_lanes(problem, varying, lanes, model, data, *, batch_size):
    """Loss, objective (where there is a regulariser) and metrics of all lanes over a whole split: name → [lanes].

    Args:
        problem: a recipe's (static); the optimizer is not asked, so all optimizers share this program.
        varying: which leaves of ``model`` have a lane axis (static).
        lanes: a :class:`Lane` whose leaves have a lane axis.
        model: parameters and model state, matrices transposed.
        data: the split.
        batch_size: examples at a time (static).
    """
    TRACES["evaluate_lanes"] += 1

    def one(lane, model):
        objective, regularizer = problem(lane)
        values = evaluate.function(objective, *_turned(model), data, regularizer, batch_size=batch_size)
        return {name: value for name, value in values.items() if name != "objective" or regularizer is not None}

    across = jax.vmap(one, in_axes=(0, _axes(varying, model)))
    return lanes_first(across, _varying(lanes, varying), lanes, model)


def _finite(params: Any) -> jax.Array:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()


def _turned(tree: Any) -> Any:
    """One lane's tree with its matrices transposed."""
    return jax.tree.map(lambda leaf: leaf.T if leaf.ndim == 2 else leaf, tree)


def _axes(varying: Varying, state: Any) -> Any:
    """``vmap``'s in_axes for a state."""
    return jax.tree.unflatten(jax.tree.structure(state), [0 if varies else None for varies in varying])


def _varying(lanes: Lane, varying: Varying) -> Varying:
    """Which leaves of (lanes, state) have a lane axis."""
    return (True,) * len(jax.tree.leaves(lanes)) + varying


def _joined(varying: Varying, state: TrainState) -> TrainState:
    """``vmap``'s output with the lane axis taken off the leaves that all lanes share."""
    leaves, structure = jax.tree.flatten(state)
    return structure.unflatten([leaf if varies else leaf[0] for leaf, varies in zip(leaves, varying, strict=True)])


def _batch(data: Batch, rows: Any, i: jax.Array) -> tuple[Batch, jax.Array | None]:
    if rows is None:
        return data, None
    indices, weights = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), rows)
    return jax.tree.map(lambda x: x.at[indices].get(mode="promise_in_bounds"), data), weights
