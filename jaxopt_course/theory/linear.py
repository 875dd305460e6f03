"""An optimizer on a quadratic as a linear system, extracted from its ``init``, ``update`` and ``gradient_point`` [D5].

z⁺ = A z + B g, y = C z, with z = (x, what the state remembers), and y the point where the gradient g is taken

On f(x) = ½xᵀHx the gradient is g = Hy, so that z⁺ = (A + BHC) z: its powers are the method's path. What the state holds
but never passes on to the parameters (an average, a monitor) is left out of z, and so are its constants.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course.transform import gradient_point

__all__ = ["LinearSystem", "Memory", "coming", "linear_system"]

TOLERANCE = 1e-9  # of linearity, relative to the terms of the sum
SCALES = (1e-4, 1.0, 1e4)  # of the points at which linearity is tested: a clip is not felt at every size
STEPS = (0, 1, 2, 10, 1000)  # at which the system must be the same


@dataclasses.dataclass(frozen=True, eq=False)
class LinearSystem:
    """z⁺ = A z + B g, y = C z.

    Attributes:
        a: A ``[k, k]``; z is the parameters ``[d]``, then each of ``names``, flat.
        b: B ``[k, d]``. c: C ``[d, k]``.
        names: the state's leaves that are in z.
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    names: tuple[str, ...]

    def matrix(self, hessian: np.ndarray) -> np.ndarray:
        """A + BHC, the iteration matrix."""
        return self.a + self.b @ hessian @ self.c


@dataclasses.dataclass(frozen=True)
class Memory:
    """Which of a state's leaves are in z, by their positions; ``counted``: the counters that it depends on."""

    positions: tuple[int, ...]
    names: tuple[str, ...]
    counted: tuple[str, ...]

    def matrices(self, update: Any, state: Any, dimension: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """A, B and C of the coming update; traced numbers in the state pass."""
        apply, z = self.program(update, state, dimension), jnp.zeros(self.pack(state, jnp.zeros(dimension)).shape)
        (a, c), (b, _) = (jax.jacfwd(apply, argument)(z, jnp.zeros(dimension)) for argument in (0, 1))
        return a, b, c

    def program(self, update: Any, state: Any, dimension: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """``(z, g) → (z⁺, y)``: the coming update, with z in the place of what the state remembers."""
        leaves, structure = jax.tree.flatten(state)
        shapes = [(dimension,), *(jnp.shape(leaves[i]) for i in self.positions)]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

        def apply(z: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
            parts = jnp.split(z, ends)
            x, *rest = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
            mine = dict(zip(self.positions, rest, strict=True))
            full = jax.tree.unflatten(structure, [mine.get(i, leaf) for i, leaf in enumerate(leaves)])
            x, new, y = _update(update, full, x, g, jnp.zeros(()))
            return self.pack(new, x), y

        return apply

    def pack(self, state: Any, x: jax.Array) -> jax.Array:
        """z, of parameters and state."""
        leaves = jax.tree.leaves(state)
        return jnp.concatenate([x, *(jnp.asarray(leaves[i], float).reshape(-1) for i in self.positions)])


def coming(update: Any, state: Any, dimension: int) -> Any:
    """The state one update later, its counters above all: without gradient, at 0."""
    zero = jnp.zeros(dimension)
    new = _update(update, state, zero, zero, jnp.zeros(()))[1]
    return jax.tree.map(lambda new, old: jnp.asarray(new).astype(jnp.result_type(old)), new, state)


def linear_system(
    where: str, optimizer: optax.GradientTransformation, dimension: int = 1, step: int | None = None
) -> tuple[LinearSystem, Memory]:
    """A, B and C of an optimizer of ``dimension`` parameters, once it is sure that it is linear.

    Args:
        where: the caller's name, for messages.
        optimizer: ours or optax's.
        dimension: d.
        step: of the update after so many; None: of every update, which must be the same.

    Raises:
        TypeError: no optimizer. ValueError: it is not linear, with the parts that are not; or it changes with the step.
    """
    if not isinstance(optimizer, optax.GradientTransformation):
        hint = " (call the factory: jc.momentum(0.1))" if callable(optimizer) else ""
        accepted = "a gradient transformation, a pair (init, update)"
        raise TypeError(f"{where}: optimizer must be {accepted}; got {optimizer!r}{hint}")
    with jax.enable_x64(True):
        tx = optax.with_extra_args_support(optimizer)
        memory = _memory(where, tx, dimension)
        steps = (STEPS if memory.counted else (0,)) if step is None else (step,)
        first, *others = (_checked(where, tx, memory, dimension, at) for at in steps)
    for other, at in zip(others, steps[1:], strict=True):
        if not all(map(np.allclose, (first.a, first.b, first.c), (other.a, other.b, other.c))):
            raise ValueError(
                f"{where}: this optimizer's linear map changes with the step: that of update {at} is not that of update 0 "
                f"(it depends on the state's {', '.join(memory.counted)}); give step=, for the map of one update"
            )
    return first, memory


def _update(update: Any, state: Any, x: jax.Array, g: jax.Array, value: jax.Array) -> tuple[jax.Array, Any, jax.Array]:
    """One update with this gradient: the parameters, the state, and the point where the gradient was wanted."""

    def value_fn(params):
        raise _EvaluatesError

    y = gradient_point(state, x)
    step, state = update(g, state, x, value=value, grad=g, value_fn=value_fn)
    return x + step, state, y


class _EvaluatesError(Exception):
    """An update asked for the function."""


def _memory(where: str, tx: Any, dimension: int) -> Memory:
    """What the parameters depend on, as the update's program says."""
    x = jnp.zeros(dimension)
    state = tx.init(x)
    paths, leaves = zip(*jax.tree_util.tree_leaves_with_path(state), strict=True) if jax.tree.leaves(state) else ((), ())
    try:
        with jax.disable_jit():
            trace = jax.make_jaxpr(functools.partial(_update, tx.update))
            program = trace(state, x, x, jnp.zeros(()))
    except _EvaluatesError:
        raise ValueError(f"{where}: this optimizer is not linear: its update evaluates the function (a line search)") from None
    *inputs, _, _, value = program.jaxpr.invars
    new_x, *outputs, point = program.jaxpr.outvars
    sources = _sources(program.jaxpr)
    needed, found = set(), sources(new_x) | sources(point)
    while fresh := {i for i, var in enumerate(inputs) if var in found} - needed:
        needed |= fresh
        found = found.union(*(sources(outputs[i]) for i in fresh))
    if value in found:
        raise ValueError(f"{where}: this optimizer is not linear: its update depends on the function's value")
    name = lambda i: jax.tree_util.keystr(paths[i])
    moving = [i for i in sorted(needed) if _origin(program.jaxpr, outputs[i]) is not inputs[i]]
    kept = tuple(i for i in moving if jnp.issubdtype(jnp.result_type(leaves[i]), jnp.floating))
    counted = tuple(name(i) for i in moving if i not in kept)
    return Memory(kept, tuple(map(name, kept)), counted)


def _checked(where: str, tx: Any, memory: Memory, dimension: int, step: int) -> LinearSystem:
    """The system at a step, compared with the update itself at points of several sizes."""
    state, generator = tx.init(jnp.zeros(dimension)), np.random.default_rng(0)
    size = jax.eval_shape(memory.pack, state, jax.ShapeDtypeStruct((dimension,), float)).shape[0]
    z = np.concatenate([scale * generator.standard_normal((4, size)) for scale in SCALES])
    g = np.concatenate([scale * generator.standard_normal((4, dimension)) for scale in SCALES])
    a, b, c, after, point = map(np.asarray, _derive(tx.update, memory, step, state, z, g))
    error = np.abs(after - z @ a.T - g @ b.T), np.abs(point - z @ c.T)
    size = np.abs(z) @ np.abs(a).T + np.abs(g) @ np.abs(b).T, np.abs(z) @ np.abs(c).T
    linear = [(e <= TOLERANCE * (s + np.abs(z).max(1, keepdims=True))).all(axis=0) for e, s in zip(error, size, strict=True)]
    if not (linear[0].all() and linear[1].all()):
        lengths = [int(np.size(jax.tree.leaves(tx.init(jnp.zeros(dimension)))[i])) for i in memory.positions]
        owners = np.repeat(["the update", *(f"the state's {name}" for name in memory.names)], [dimension, *lengths])
        guilty = [*dict.fromkeys(owners[~linear[0]].tolist()), *([] if linear[1].all() else ["the gradient point"])]
        parts = f"{' and '.join(guilty)} {'is' if len(guilty) == 1 else 'are'} not"
        raise ValueError(f"{where}: this optimizer is not linear in its gradients and what it remembers: {parts}")
    return LinearSystem(a, b, c, memory.names)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _derive(update: Any, memory: Memory, step: Any, state: Any, z: jax.Array, g: jax.Array) -> tuple[jax.Array, ...]:
    """A, B and C after so many steps, and what the update makes of these points; compiled once for equal updates."""
    d = g.shape[-1]
    state = jax.lax.fori_loop(0, step, lambda _, s: coming(update, s, d), state)
    return *memory.matrices(update, state, d), *jax.vmap(memory.program(update, state, d))(z, g)


def _sources(program: Any) -> Callable[[Any], set[Any]]:
    """The inputs that a variable is computed from."""
    known = {var: {var} for var in program.invars}
    for equation in program.eqns:
        inputs = set().union(*(known.get(v, set()) for v in equation.invars if not hasattr(v, "val")))
        known.update(dict.fromkeys(equation.outvars, inputs))
    return lambda var: set() if hasattr(var, "val") else known.get(var, set())


def _origin(program: Any, var: Any, carrying: Sequence[str] = ("convert_element_type", "copy")) -> Any:
    """The variable that this one was before it was cast."""
    producer = {out: equation for equation in program.eqns for out in equation.outvars}
    while not hasattr(var, "val") and (equation := producer.get(var)) is not None and equation.primitive.name in carrying:
        var = equation.invars[0]
    return var
