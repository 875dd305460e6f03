"""A run's state: made, owned, and told from the state of another optimizer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.compiler import ONCE, compiled
from jaxopt_course.probes.definition import Probe, start
from jaxopt_course.problems.objective import Problem
from jaxopt_course.training.samplers import Plan
from jaxopt_course.training.step import TrainState
from jaxopt_course.types import Key, is_key

__all__ = [
    "as_key",
    "as_seed",
    "as_transformation",
    "check_problem",
    "check_state",
    "init_state",
    "owned",
    "split",
    "with_probes",
    "with_sampler",
]


def init_state(problem: Problem, optimizer: optax.GradientTransformation, key: int | np.integer | Key = 0) -> TrainState:
    """A run's first state.

    Args:
        problem, optimizer: what to train, and how.
        key: an integer or a JAX key: split into one for the parameters and one for order and dropout.

    Raises:
        TypeError: ``problem`` is no problem, or ``optimizer`` no gradient transformation.
    """
    check_problem("init_state", problem)
    optimizer = as_transformation("init_state", optimizer)
    params, model_state, run_key = _started(problem, as_seed("init_state", key))
    return owned(TrainState(params, model_state, optimizer.init(params), run_key, jax.device_put(np.int32(0))))


def check_problem(where: str, problem: Any) -> None:
    """Raise a TypeError unless this is a :class:`~jaxopt_course.problems.objective.Problem`."""
    if not isinstance(problem, Problem):
        hint = "a jc.Problem (see Problem.from_loss, problems.from_arrays)"
        raise TypeError(f"{where}: problem must be {hint}; got {problem!r}")


def owned(state: TrainState) -> TrainState:
    """The same state in buffers of its own, each leaf in one: these can be donated, whoever else holds the originals."""

    numeric = {name: value for name, value in state._asdict().items() if name != "key"}
    return jax.device_put(state._replace(**jax.tree.map(_strong, numeric)), may_alias=False)


def _strong(leaf: Any) -> Any:
    """A weakly typed leaf would not be one any more after the first step, and retrace the second."""
    if isinstance(leaf, jax.Array):
        return jnp.asarray(leaf, leaf.dtype) if getattr(leaf, "weak_type", False) else leaf  # a key has no such thing
    return np.array(leaf, jnp.result_type(leaf))  # a copy: JAX may alias NumPy's memory, whatever it is told


def check_state(where: str, problem: Problem, optimizer: optax.GradientTransformation, state: Any) -> TrainState:
    """Raise unless ``state`` is a :class:`TrainState` whose optimizer state is of this optimizer's form."""
    if not isinstance(state, TrainState):
        raise TypeError(f"{where}: state must be the .state of an earlier result; got {type(state).__name__}")
    start = _start_shapes(problem.init)
    for part, want in zip(("params", "model_state"), start, strict=True):
        have = getattr(state, part)
        same = jax.tree.structure(want) == jax.tree.structure(have)
        if not same or any(w.shape != jnp.shape(h) for w, h in zip(jax.tree.leaves(want), jax.tree.leaves(have), strict=True)):
            raise ValueError(
                f"{where}: state comes from another problem: its {part} have shapes {jax.tree.map(jnp.shape, have)}; "
                f"those of {problem.name}: {jax.tree.map(jnp.shape, want)}"
            )
    expected = _state_shapes(optimizer.init, *_shapes(state.params))
    if jax.tree.structure(expected) != jax.tree.structure(state.opt_state):
        raise ValueError(
            f"{where}: state comes from another optimizer: its opt_state is {_outline(state.opt_state)}; "
            f"this optimizer's is {_outline(expected)}"
        )
    pairs = zip(jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(state.opt_state), strict=True)
    for (path, want), have in pairs:
        if jnp.shape(want) != jnp.shape(have):
            raise ValueError(
                f"{where}: state comes from another optimizer: its opt_state{jax.tree_util.keystr(path)} has shape "
                f"{jnp.shape(have)}; this optimizer's has {jnp.shape(want)}"
            )
    return state


@functools.lru_cache(maxsize=16)
def _start_shapes(init: Callable[[Key], tuple[Any, Any]]) -> tuple[Any, Any]:
    return jax.eval_shape(init, jax.random.key(0))


def _shapes(tree: Any) -> tuple[Any, tuple[Any, ...]]:
    leaves, treedef = jax.tree.flatten(tree)
    return treedef, tuple(jax.typeof(leaf) for leaf in leaves)


@functools.lru_cache(maxsize=16)
def _state_shapes(init: Callable[[Any], Any], treedef: Any, leaves: tuple[Any, ...]) -> Any:
    """The shapes of an optimizer's state; traced once for each optimizer."""
    return jax.eval_shape(init, treedef.unflatten(leaves))


def with_sampler(where: str, plan: Plan, state: TrainState) -> TrainState:
    """The state with what the plan's sampler carries: its own, if it goes on with one that learns; or from the start."""
    if not plan.learns:
        return state._replace(sampler=())
    start = plan.sampler.start(plan.num_examples)
    if not jax.tree.leaves(state.sampler):
        return state._replace(sampler=jax.device_put(jax.tree.map(_strong, start), may_alias=False))
    if (have := jax.tree.map(jnp.shape, state.sampler)) != (want := jax.tree.map(jnp.shape, start)):
        raise ValueError(
            f"{where}: state comes from another problem or sampler: its sampler carries arrays of shape {have}; "
            f"this one's, {want}"
        )
    return state


def with_probes(probes: Mapping[str, Probe], state: TrainState) -> TrainState:
    """The state with the probes' memories: those that it has of probes of the same names and shapes; or from the start."""
    memories = start(probes, state.params)
    for name, memory in memories.items() if isinstance(state.probes, Mapping) else ():
        shapes = lambda tree: jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), tree)
        if name in state.probes and shapes(state.probes[name]) == shapes(memory):
            memories[name] = state.probes[name]
    return state._replace(probes=jax.device_put(jax.tree.map(_strong, memories), may_alias=False) if probes else ())


def as_transformation(where: str, optimizer: Any) -> optax.GradientTransformation:
    """The optimizer as a pair (init, update), or a TypeError."""
    if isinstance(optimizer, optax.MultiSteps):
        return optax.GradientTransformationExtraArgs(optimizer.init, optimizer.update)  # type: ignore[arg-type]  # a pair as any
    checks.check_transformation(where, "optimizer", optimizer)
    if getattr(optimizer.init, "__qualname__", "").startswith("lookahead.<locals>"):
        raise TypeError(
            f"{where}: optax.lookahead trains pairs of parameters (optax.LookaheadParams), which models do not have; "
            "jc.averaged(...) keeps an average of the parameters"
        )
    return optimizer


def as_key(where: str, key: Any) -> Key:
    """A typed JAX key from an integer, a typed key, or an old-style one."""
    return _key(as_seed(where, key))


def as_seed(where: str, key: Any) -> np.int64 | Key:
    """What programs that make keys take, of an integer, a typed JAX key, or an old-style one."""
    accepted = "an integer or one JAX key"
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        try:
            return np.int64(int(key))
        except OverflowError:
            raise ValueError(f"{where}: key must be {accepted}, of 64 bits at most; got {key!r}") from None
    if not isinstance(key, (jax.Array, np.ndarray)):
        raise TypeError(f"{where}: key must be {accepted}; got {key!r}")
    if jnp.issubdtype(key.dtype, jnp.integer):
        if key.shape == ():
            return jax.random.key(key)
        if key.dtype == jnp.uint32 and key.shape == jax.random.key_data(jax.random.key(0)).shape:
            return jax.random.wrap_key_data(jnp.asarray(key))
    if not is_key(key) or key.shape != ():
        raise TypeError(f"{where}: key must be {accepted}; got an array of dtype {key.dtype} and shape {key.shape}")
    return jnp.asarray(key)


def _key(seed: Any, implementation: str | None = None) -> Key:
    return seed if is_key(seed) else jax.random.key(seed, impl=implementation)


def _implementation() -> str:
    """Of keys: an argument of programs that make one, for JAX does not tell programs apart by this setting."""
    return jax.config.jax_default_prng_impl  # type: ignore[attr-defined]  # the flags of Config are made at run time


def _started(problem: Problem, seed: np.int64 | Key) -> tuple[Any, Any, Key]:
    """A run's parameters, model state and key.

    One program, if the start is one of ours; a start of the user's may do anything, and is called as it is.
    """
    if getattr(problem.init, "traceable", False):
        return _begin(problem.init, _implementation(), seed)
    init_key, run_key = split(seed)
    return (*problem.init(init_key), run_key)


@compiled(ONCE, static_argnums=(0, 1))
def _begin(init: Callable[[Key], tuple[Any, Any]], implementation: str, seed: np.int64 | Key) -> tuple[Any, Any, Key]:
    init_key, run_key = jax.random.split(_key(seed, implementation))
    return (*init(init_key), run_key)


def split(seed: np.int64 | Key) -> tuple[Key, Key]:
    """Two keys: for the start, and for the run."""
    return _split(_implementation(), seed)


@compiled(ONCE, static_argnums=0)
def _split(implementation: str, seed: np.int64 | Key) -> tuple[Key, Key]:
    return tuple(jax.random.split(_key(seed, implementation)))


def _outline(state: Any) -> str:
    """The names of the states in a state, as ``HyperparamsState(adam)`` or ``tuple(ScaleByAdamState, EmptyState)``."""
    rule = getattr(state, "rule", None)
    if rule is not None:
        return f"{type(state).__name__}({getattr(rule, 'name', rule)})"
    members = getattr(state, "members", state if type(state) is tuple else ())
    inside = f"({', '.join(map(_outline, members))})" if members else ""
    return type(state).__name__ + inside
