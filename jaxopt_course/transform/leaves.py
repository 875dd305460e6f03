"""From an equation for one array to a tree of arrays.

An equation is a module-level function, so that it is traced once for each shape and dtype, not once for each leaf: on
trees of many leaves that is most of what tracing an optimizer costs.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxopt_course.types import Params, real_dtype

__all__ = ["cast_like", "check_floating", "check_same_tree", "map_leaves", "scale_leaves", "zeros_like"]

TOGETHER = 32  # traced leaves of a shape that share a call, if there are so many: it costs little more than a call of one


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _widen(array: jax.Array) -> jax.Array:
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)  # calls inside calls compile slowly
def _leaf(equation, static, row, scalars):
    """The equation for one leaf; ``row``: its gradient and its accumulators."""
    new = equation(*map(_widen, row), **scalars, **dict(static))
    return [n.astype(o.dtype) for n, o in zip(new, row, strict=True)]


@jax.custom_jvp
def _in_one_array(scalars):
    """The same scalars, as parts of one array."""
    array = jax.lax.optimization_barrier(jnp.stack([*scalars.values()]))
    return {name: array[i] for i, name in enumerate(scalars)}


@functools.partial(_in_one_array.defjvp, symbolic_zeros=True)
def _of_each_alone(scalars, tangents):  # what is constant stays so: its derivatives would have to be kept for every step
    return _in_one_array(*scalars), *tangents


@functools.partial(jax.jit, static_argnums=(0, 1))
def _leaves(equation, static, rows, scalars):
    """The equation for leaves of one shape and of the same dtypes.

    If they are many, the scalars are broadcast here, once: compilers take their time to see that a thousand broadcasts are
    equal. Only our own equations are known to be elementwise. More than two come in one array, whose parts XLA may not trace
    back: each kernel has one operand for all, and is called sooner. For one leaf, XLA makes the faster kernels of scalars.
    """
    own, dtype = equation.__module__.startswith("jaxopt_course."), real_dtype(rows)
    scalars = {name: value.astype(dtype) for name, value in scalars.items()}
    if len(rows) > 1 and len(scalars) > 2 and len({*map(jax.typeof, scalars.values())}) == 1:  # not so in some `shard_map`
        scalars = _in_one_array(scalars)
    shape = rows[0][0].shape if own and len(rows) > 1 else ()
    scalars = {name: jnp.broadcast_to(value, shape) for name, value in scalars.items()}
    return [_leaf(equation, static, row, scalars) for row in rows]


def _together(rows: list[Any]) -> list[list[int]]:
    """Which traced leaves share a call: as many as are alike in shape and dtypes, ``TOGETHER`` at a time; the rest, alone."""
    alike, groups = collections.defaultdict(list), []
    for i, row in enumerate(rows):
        if isinstance(row[0], Tracer):
            alike[row[0].shape, *[_dtype(array) for array in row]].append(i)
        elif row[0] is not None:  # not traced: each may be on a device of its own
            groups.append([i])
    for indices in alike.values():
        whole = len(indices) // TOGETHER * TOGETHER
        groups += [indices[i : i + TOGETHER] for i in range(0, whole, TOGETHER)] + [[i] for i in indices[whole:]]
    return groups


def map_leaves(equation: Callable[..., Any], grads: Any, *accumulators: Any, **options: Any) -> tuple[Any, ...]:
    """Apply ``equation(g, *accumulators, **options) → (update, *new_accumulators)`` to every leaf.

    Arithmetic is done in ``promote_types(leaf, float32)``; updates and accumulators keep their own dtypes. Where a gradient
    is None, its update is None and its accumulators stay.

    Args:
        equation: a module-level function of arrays (it is the key of the trace cache).
        grads: tree of gradients.
        accumulators: trees of the same structure and shapes.
        options: scalars (traced), and booleans, strings or None (static).

    Returns:
        The tree of updates, followed by the new accumulators' trees.

    Raises:
        ValueError: a tree or a shape does not match the gradients', with the leaf's path.

    >>> def decayed_sum(g, m, decay):
    ...     m = decay * m + g
    ...     return -m, m
    >>> updates, m = map_leaves(decayed_sum, {"w": jnp.ones(2)}, {"w": jnp.ones(2)}, decay=0.5)
    >>> updates["w"], m["w"]
    (Array([-1.5, -1.5], dtype=float32), Array([1.5, 1.5], dtype=float32))
    """
    is_static = {name: isinstance(value, (bool, str)) or value is None for name, value in options.items()}
    static = tuple((name, value) for name, value in options.items() if is_static[name])
    scalars = {name: value for name, value in options.items() if not is_static[name]}
    leaves, treedef = jax.tree.flatten(grads, is_leaf=_is_none)
    for tree in accumulators:
        check_same_tree("update: gradients", grads, "the optimizer's state", tree)
    rows: list[Any] = [*zip(leaves, *(treedef.flatten_up_to(tree) for tree in accumulators), strict=True)]
    for group in _together(rows):
        for i, row in zip(group, _leaves(equation, static, [rows[i] for i in group], scalars), strict=True):
            rows[i] = row
    columns = zip(*rows, strict=True) if rows else [()] * (1 + len(accumulators))
    return tuple(treedef.unflatten(column) for column in columns)


def _scaled(array, factor):
    return (factor * array,)


def scale_leaves(factor: Any, tree: Any) -> Any:
    """``factor`` (a scalar) times every leaf, by :func:`map_leaves`."""
    return map_leaves(_scaled, tree, factor=factor)[0]


def zeros_like(params: Params, dtype: Any = None, *, real: bool = False) -> Params:
    """An accumulator: zeros in the leaves' shapes, in their dtype or ``dtype``; of real dtype if ``real``."""

    def zeros(leaf):
        own = jnp.result_type(leaf) if dtype is None else jnp.dtype(dtype)
        shape, own = jnp.shape(leaf), jnp.finfo(own).dtype if real else own
        if isinstance(leaf, Tracer):
            return jnp.zeros(shape, own)
        return jax.device_put(np.zeros(shape, own))  # outside of a trace jnp.zeros would compile a program for each shape

    return jax.tree.map(zeros, params)


def check_floating(where: str, params: Params) -> None:
    """Raise a TypeError that names the first leaf that is not floating point (or complex)."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if isinstance(leaf, (str, bytes)):  # jax takes them for the names of dtypes
            raise TypeError(f"{where}: parameters must be arrays; {jax.tree_util.keystr(path) or 'params'} is {leaf!r:.100}")
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            name = jax.tree_util.keystr(path) or "params"
            raise TypeError(
                f"{where}: parameters must be floating point; {name} is {jnp.result_type(leaf)} (leave it out by optax.masked)"
            )


def _match(leaf: Any, other: Any) -> bool:
    return leaf is None or other is None or jnp.shape(leaf) == jnp.shape(other)


def check_same_tree(what: str, tree: Any, like_what: str, like: Any) -> None:
    """Raise a ValueError with the first path at which two trees differ in structure or shape (None matches anything)."""
    ours, structure = jax.tree.flatten(tree, is_leaf=_is_none)
    others, other_structure = jax.tree.flatten(like, is_leaf=_is_none)
    if structure == other_structure and all(map(_match, ours, others)):  # paths take longer to list than to be right
        return
    mine = dict(jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_none))
    theirs = dict(jax.tree_util.tree_leaves_with_path(like, is_leaf=_is_none))
    for path in (*mine, *theirs):
        name = jax.tree_util.keystr(path) or "the leaf"
        if path not in mine or path not in theirs:
            holder = like_what if path not in mine else what.rpartition(": ")[2]
            raise ValueError(f"{what} and {like_what} differ in structure: only {holder} has {name}")
        if not _match(mine[path], theirs[path]):
            raise ValueError(
                f"{what} and {like_what} differ in shape at {name}: {jnp.shape(mine[path])} and {jnp.shape(theirs[path])}"
            )


def cast_like(tree: Any, like: Any) -> Any:
    """Foreign transformations may widen what they are given: keep every leaf's dtype."""
    leaves, treedef = jax.tree.flatten(tree)
    olds, old_treedef = jax.tree.flatten(like)
    if treedef != old_treedef or all(n is o or _dtype(n) == _dtype(o) for n, o in zip(leaves, olds, strict=True)):
        return tree
    return treedef.unflatten([jnp.asarray(n).astype(_dtype(o)) for n, o in zip(leaves, olds, strict=True)])


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if isinstance(leaf, jax.Array) else jnp.result_type(leaf)
