"""What an optimizer's parameters depend on in its state, as the program of its update says [D5]."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.transform import gradient_point
from jaxopt_course.transform.jaxprs import is_literal, origin

__all__ = ["Memory", "coming", "remembered", "tracing"]


@dataclasses.dataclass(frozen=True)
class Memory:
    """Which of a state's leaves are in z, by their positions; ``counters``: the others that move, and A, B or C use."""

    dimension: int
    positions: tuple[int, ...]
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    counters: tuple[int, ...]
    counted: tuple[str, ...]

    def matrices(self, update: Any, state: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """A, B and C of the coming update; traced numbers in the state pass."""
        x = jnp.zeros(self.dimension)
        apply, z = self.program(update, state), jnp.zeros(self.pack(state, x).shape)
        (a, c), (b, _) = (jax.jacfwd(apply, argument)(z, x) for argument in (0, 1))
        return a, b, c

    def program(self, update: Any, state: Any) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """``(z, g) → (z⁺, y)``: the coming update, with z in the place of what the state remembers."""
        leaves, structure = jax.tree.flatten(state)
        shapes = [(self.dimension,), *(jnp.shape(leaves[i]) for i in self.positions)]
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


def coming(update: Any, state: Any, g: jax.Array) -> Any:
    """The state one update later, its counters above all: at 0, with this gradient."""
    new = _update(update, state, jnp.zeros_like(g), g, jnp.zeros(()))[1]
    return jax.tree.map(lambda new, old: jnp.asarray(new).astype(jnp.result_type(old)), new, state)


def remembered(where: str, make: Callable[..., Any], numbers: dict[str, jax.Array], dimension: int) -> Memory:
    """What the parameters depend on, as the update's program says, whatever the numbers are."""
    x = jnp.zeros(dimension)
    start = lambda numbers: make(numbers).init(x)

    def update(numbers, leaves, x, g, value):
        tx = make(numbers)
        return _update(tx.update, jax.tree.unflatten(jax.tree.structure(tx.init(x)), leaves), x, g, value)

    with tracing(where, dimension, numbers):
        found = jax.tree_util.tree_leaves_with_path(jax.eval_shape(start, numbers))
        paths, leaves = zip(*found, strict=True) if found else ((), ())
        with jax.disable_jit():
            program = jax.make_jaxpr(update)(numbers, leaves, x, x, jnp.zeros(())).jaxpr
    *inputs, _, _, value = program.invars[len(numbers) :]
    new_x, *outputs, point = program.outvars
    needed, found = _reached(inputs, outputs, (new_x, point), _sources(program))
    if value in found:
        raise ValueError(f"{where}: this optimizer is not linear: its update depends on the function's value")
    name = lambda i: jax.tree_util.keystr(paths[i])
    moving = [i for i in sorted(needed) if origin(program, outputs[i]) is not inputs[i]]
    kept = tuple(i for i in moving if jnp.issubdtype(leaves[i].dtype, jnp.floating))
    used, _ = _reached(inputs, outputs, (new_x, point), _sources(program, ignoring_zeros=True))
    counters = tuple(i for i in moving if i not in kept and i in used)
    sizes = tuple(int(np.prod(leaves[i].shape)) for i in kept)
    return Memory(dimension, kept, tuple(map(name, kept)), sizes, counters, tuple(map(name, counters)))


def _update(update: Any, state: Any, x: jax.Array, g: jax.Array, value: jax.Array) -> tuple[jax.Array, Any, jax.Array]:
    """One update with this gradient: the parameters, the state, and the point where the gradient was wanted."""

    def value_fn(params):
        raise _EvaluatesError

    y = gradient_point(state, x)
    step, state = update(g, state, x, value=value, grad=g, value_fn=value_fn)
    return x + step, state, y


class _EvaluatesError(Exception):
    """An update asked for the function."""


@contextlib.contextmanager
def tracing(where: str, dimension: int, numbers: Iterable[str]) -> Iterator[None]:
    """What an update raises while it is traced, in words of the caller's arguments."""
    first_line = lambda error: str(error).strip().split("\n")[0][:200]
    try:
        yield
    except _EvaluatesError:
        raise ValueError(f"{where}: this optimizer is not linear: its update evaluates the function (a line search)") from None
    except jax.errors.ConcretizationTypeError as error:
        names = f"factory must compute with {', '.join(numbers)}" if numbers else "the optimizer must compute"
        raise TypeError(f"{where}: {names} without asking for values (no if, no float()): {first_line(error)}") from error
    except (TypeError, ValueError) as error:
        mixing = "; one that mixes parameters has a matrix, of iteration_matrix, and no rate for each eigenvalue"
        raise ValueError(
            f"{where}: this optimizer's update does not run on {dimension} parameter{'s' * (dimension > 1)} in double "
            f"precision: {first_line(error)}{mixing if dimension == 1 else ''}"
        ) from error


def _reached(inputs: Any, outputs: Any, goals: Any, sources: Callable[[Any], set[Any]]) -> tuple[set[int], set[Any]]:
    """Which leaves of the state the goals depend on, now or through what later updates make of them."""
    needed, found = set(), set().union(*map(sources, goals))
    while fresh := {i for i, var in enumerate(inputs) if var in found} - needed:
        needed |= fresh
        found = found.union(*(sources(outputs[i]) for i in fresh))
    return needed, found


def _sources(program: Any, *, ignoring_zeros: bool = False) -> Callable[[Any], set[Any]]:
    """The inputs that a variable is computed from; a product with the literal 0 may count as computed from nothing."""
    known = {var: {var} for var in program.invars}
    for equation in program.eqns:
        if (
            ignoring_zeros
            and equation.primitive.name == "mul"
            and any(np.all(getattr(v, "val", 1) == 0) for v in equation.invars)
        ):
            continue
        inputs = set().union(*(known.get(v, set()) for v in equation.invars if not is_literal(v)))
        known.update(dict.fromkeys(equation.outvars, inputs))
    return lambda var: set() if is_literal(var) else known.get(var, set())
