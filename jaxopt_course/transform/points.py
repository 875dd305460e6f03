"""Where an optimizer wants the gradient, and what to evaluate.

A state may say ``looks_ahead = True``: then its update is asked what to add to the parameters before the gradient is taken
(:func:`look_ahead`; Nesterov). And it may define ``eval_params(params)``, what to evaluate instead of them (an average).
Both are found in any state that is built of such states: chains, masks (they leave gaps), partitions (their parts add up).
"""

from __future__ import annotations

import collections
import contextvars
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax.contrib import ScheduleFreeState, schedule_free_eval_params

from jaxopt_course.transform.hyperparams import HyperparamsState, check_state
from jaxopt_course.types import OptState, Params, real_dtype

__all__ = ["ChainState", "displaced_paths", "eval_params", "gradient_point", "look_ahead", "must_be_last"]


class ChainState(NamedTuple):
    """The states of a chain's members, in order."""

    members: tuple[OptState, ...]


def gradient_point(opt_state: OptState, params: Params) -> Params:
    """Where to take the gradient for the coming update: θ, plus the displacement that a state may define.

    θ − μₜm for look-ahead Nesterov, with μₜ the value of the coming update; θ itself for everything else.

    Args:
        opt_state: the state of any optimizer, ours or optax's.
        params: θ.

    Returns:
        A tree like ``params``.

    Raises:
        TypeError: an optimizer in the place of its state, or state and parameters in each other's.
        ValueError: two displacements on one leaf, or a look-ahead inside ``optax.chain`` with a transformation behind it
            (``jc.chain`` can check that this one leaves the step alone; optax's cannot), or inside schedule-free; or the
            state is of other parameters.

    >>> import optax, jaxopt_course as jc
    >>> tx, theta = jc.nesterov(0.1, 0.9), jnp.array([1.0])
    >>> step, state = tx.update(jnp.array([2.0]), tx.init(theta), theta)
    >>> gradient_point(state, optax.apply_updates(theta, step))  # 0.8 − 0.9 · 0.2
    Array([0.62], dtype=float32)
    """
    _check_order("gradient_point", opt_state, params)
    owners: dict[int, tuple[HyperparamsState | None, list[Any]]] = {}
    for state, owner in _find(opt_state, "looks_ahead"):
        owners.setdefault(id(owner), (owner, []))[1].append(state)
    displacements: dict[Any, Any] = {}
    for owner, states in owners.values():
        for tree in _ask(owner, states, params):
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                if path in displacements:
                    raise ValueError(f"two look-aheads displace the same leaf, {jax.tree_util.keystr(path) or 'params'}")
                displacements[path] = leaf
    if not displacements:
        return params
    move = lambda path, p: p if path not in displacements else (p + displacements[path]).astype(jnp.result_type(p))
    return jax.tree_util.tree_map_with_path(move, params)


def _check_order(where: str, opt_state: Any, params: Any) -> None:
    """Raise TypeError unless a state is followed by parameters; where both have states of ours, one optimizes the other."""
    check_state(where, opt_state)
    ours = lambda node: isinstance(node, (HyperparamsState, ChainState))
    has_ours = lambda tree: any(map(ours, jax.tree.leaves(tree, is_leaf=ours)))
    if not has_ours(opt_state) and has_ours(params):
        raise TypeError(f"{where}: the state comes first: {where}(opt_state, params); got an optimizer's state as params")


_asked: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("asked", default=None)


def look_ahead(displacement: Callable[[], Any]) -> None:
    """Called by an ``update`` that wants its gradient elsewhere: ``displacement()`` is what to add to the parameters.

    The state that it works on says ``looks_ahead = True`` (see :class:`jaxopt_course.optimizers.momentum.LookaheadState`).
    """
    trees = _asked.get()
    if trees is not None:
        trees.append(displacement())


def _ask(owner: HyperparamsState | None, states: list[Any], params: Params) -> list[Any]:
    """What the coming update adds to the parameters: it is asked itself, with its own numbers, on a gradient of zero."""
    if owner is None:
        raise ValueError(
            "a look-ahead inside optax.inject_hyperparams cannot say where it wants its gradient; use it without: "
            "the hyperparameters of jaxopt_course's optimizers are in their state already"
        )
    own, trees = _part("gradient_point", params, owner, [state.m for state in states]), []
    zeros = jax.tree.map(jnp.zeros_like, own)
    token = _asked.set(trees)
    try:
        update = owner.rule.build(owner.values(owner.step, real_dtype(zeros))).update
        update(zeros, owner.inner, own, value=0.0, grad=zeros, value_fn=lambda p: 0.0 * sum(map(jnp.sum, jax.tree.leaves(p))))
    finally:
        _asked.reset(token)
    return trees


def _part(where: str, params: Params, owner: HyperparamsState, accumulators: list[Any]) -> Any:
    """The parameters that a state is of: its look-aheads', and those that others in it, of other parts, keep a leaf for."""
    own, *_ = (_restrict(where, params, tree) for tree in accumulators)
    shapes = {path: jnp.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    number = len(jax.tree.leaves(own))
    if number == len(shapes):
        return own
    ends = [
        [path[i:] for i in range(len(path) + 1) if shapes.get(path[i:]) == jnp.shape(leaf)]
        for path, leaf in jax.tree_util.tree_leaves_with_path(owner.inner)
    ]
    kept = {longest for longest, *_ in filter(None, ends)}
    if number == len(kept):
        return own
    return jax.tree_util.tree_map_with_path(lambda path, p: p if path in kept else optax.MaskedNode(), params)


def eval_params(opt_state: OptState, params: Params) -> Params:
    """What to evaluate: the average, for the optimizers that keep one (optax's schedule-free too), else the parameters.

    Args:
        opt_state: the state of any optimizer, ours or optax's.
        params: the parameters that are trained.

    Returns:
        A tree like ``params``.

    Raises:
        TypeError: an optimizer in the place of its state, or state and parameters in each other's.
        ValueError: the state is of other parameters; names the leaf.

    >>> import optax, jaxopt_course as jc
    >>> tx = optax.contrib.schedule_free_sgd(0.1)
    >>> state = tx.init(jnp.array([1.0]))
    >>> eval_params(state, jnp.array([2.0]))  # (2 − 0.1 · 1) / 0.9
    Array([2.1111112], dtype=float32)
    """
    _check_order("eval_params", opt_state, params)
    averaged: dict[Any, Any] = {}
    for state, _ in _find(opt_state, "eval_params"):
        like = getattr(state, "z", None) if isinstance(state, ScheduleFreeState) else state.average
        own = _restrict("eval_params", params, like)
        tree = schedule_free_eval_params(state, own) if isinstance(state, ScheduleFreeState) else state.eval_params(own)
        averaged |= dict(jax.tree_util.tree_leaves_with_path(tree))
    if not averaged:
        return params
    return jax.tree_util.tree_map_with_path(lambda path, p: averaged.get(path, p), params)


def displaced_paths(opt_state: OptState) -> set[Any]:
    """The paths of the leaves that a state's look-aheads displace."""
    paths: set[Any] = set()
    for state, _ in _find(opt_state, "looks_ahead"):
        here = {path for path, _ in jax.tree_util.tree_leaves_with_path(state.m)}
        if here & paths:
            name = jax.tree_util.keystr(min(here & paths, key=str)) or "params"
            raise ValueError(f"two look-aheads displace the same leaf, {name}")
        paths |= here
    return paths


def must_be_last(opt_state: OptState) -> Any:
    """The first state in ``opt_state`` that says ``must_be_last = True``: an average, a line search. None without one."""
    return next((state for state, _ in _find(opt_state, "must_be_last")), None)


def _find(state: Any, method: str, owner: HyperparamsState | None = None) -> Iterator[tuple[Any, Any]]:
    """Every state in ``state`` that defines ``method``, with the hyperparameters' state that it belongs to."""
    if _defines(state, method):
        yield state, owner
        return
    if isinstance(state, HyperparamsState):
        yield from _find(state.inner, method, state)
        return
    if isinstance(state, ScheduleFreeState) and any(True for _ in _find(state.base_optimizer_state, "looks_ahead", owner)):
        raise ValueError(
            "a look-ahead inside schedule_free would be of z, and the gradient is taken elsewhere: use "
            "nesterov(form='shifted'), or momentum"
        )
    if isinstance(state, ChainState):  # checked by its init
        for member in state.members:
            yield from _find(member, method, owner)
        return
    is_foreign_chain = type(state) in (tuple, collections.OrderedDict)  # optax.chain's and named_chain's
    interesting = lambda s: (
        s is not state
        and (
            isinstance(s, (HyperparamsState, ChainState)) or type(s) in (tuple, collections.OrderedDict) or _defines(s, method)
        )
    )
    children = [c for c in jax.tree.leaves(state, is_leaf=interesting) if interesting(c)]
    if is_foreign_chain and method in ("looks_ahead", "eval_params"):
        members = list(state.values()) if isinstance(state, dict) else list(state)
        what = {"looks_ahead": "a look-ahead", "eval_params": "an average"}[method]
        if any(True for member in members[:-1] for _ in _find(member, method, owner)):
            raise ValueError(
                f"optax.chain has a transformation behind {what}, which must not change its step: "
                f"use jaxopt_course.chain, which checks that, or put {what.split()[1]} last"
            )
    for child in children:
        yield from _find(child, method, owner)


def _defines(state: Any, method: str) -> bool:
    if isinstance(state, ScheduleFreeState):
        return method == "eval_params"
    return isinstance(state, tuple) and bool(getattr(type(state), method, False))


def _restrict(where: str, params: Params, like: Any) -> Any:
    """The parameters in the structure of ``like``, which may have gaps."""
    leaves = dict(jax.tree_util.tree_leaves_with_path(params))

    def own(path, leaf):
        have = jnp.shape(leaves[path]) if path in leaves else None
        if have != jnp.shape(leaf):
            name, there = jax.tree_util.keystr(path) or "params", "are without it" if have is None else f"have {have}"
            raise ValueError(
                f"{where}: the state is of other parameters: it has {name} of shape {jnp.shape(leaf)}; these {there}. "
                "(Around an optimizer that moves or averages parameters, optax.flatten is not supported.)"
            )
        return leaves[path]

    return jax.tree_util.tree_map_with_path(own, like)
