"""An optimizer on a quadratic as a linear system, extracted from its ``init``, ``update`` and ``gradient_point`` [D5].

z⁺ = A z + B g, y = C z, with z = (x, what the state remembers), and y the point where the gradient g is taken

On f(x) = ½xᵀHx the gradient is g = Hy, so that z⁺ = (A + BHC) z: its powers are the method's path. What the state holds
but never passes on to the parameters (an average, a monitor) is left out of z, and so are its constants.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.theory.memory import Memory, coming, remembered, tracing

__all__ = ["LinearSystem", "linear_system", "linear_systems"]

TOLERANCE = 1e-9  # of linearity, relative to the terms of the sum
SCALES = (1e-4, 1.0, 1e4)  # of the points at which linearity is tested: a clip is not felt at every size
STEPS = (0, 1, 2, 10, 1000)  # at which a system that depends on a counter is looked at, for the message


@dataclasses.dataclass(frozen=True, eq=False)
class LinearSystem:
    """z⁺ = A z + B g, y = C z.

    Attributes:
        a: A ``[..., k, k]``; z is the parameters ``[d]``, then each of ``names``, flat.
        b: B ``[..., k, d]``. c: C ``[..., d, k]``.
        names: the state's leaves that are in z.
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    names: tuple[str, ...]

    def matrix(self, hessian: np.ndarray) -> np.ndarray:
        """A + BHC, the iteration matrix."""
        return self.a + self.b @ hessian @ self.c


def linear_system(
    where: str, optimizer: optax.GradientTransformation, dimension: int = 1, step: int | None = None, hint: str = ""
) -> tuple[LinearSystem, Memory]:
    """A, B and C of an optimizer of ``dimension`` parameters, once it is sure that it is linear.

    Args:
        where: the caller's name, for messages.
        optimizer: ours or optax's.
        dimension: d.
        step: of the update after so many; None: of every update, which must be the same.
        hint: what the caller can do about a map that changes with the step, for the message.

    Raises:
        TypeError: no optimizer. ValueError: it is not linear, with the parts that are not; or it changes with the step.
    """
    checks.check_transformation(where, "optimizer", optimizer)
    systems, memory = linear_systems(where, lambda: optimizer, {}, dimension, step, hint)
    return dataclasses.replace(systems, a=systems.a[0], b=systems.b[0], c=systems.c[0]), memory


def linear_systems(
    where: str,
    factory: Callable[..., Any],
    grid: dict[str, np.ndarray],
    dimension: int = 1,
    step: int | None = None,
    hint: str = "",
) -> tuple[LinearSystem, Memory]:
    """The same of a factory's optimizers ``[n, ...]``, one for each row of the grid's numbers: each is looked at.

    A map that uses a counter which goes on counting is refused, whatever it looks like at some steps.
    """
    make = lambda numbers: optax.with_extra_args_support(factory(**numbers))
    with jax.enable_x64(True):
        memory = remembered(where, make, {name: jnp.asarray(row[0]) for name, row in grid.items()}, dimension)
        steps = np.array((STEPS if memory.counters else (0,)) if step is None else (step,))
        with tracing(where, dimension, grid):
            if grid:
                derive = lambda numbers: _derived((tx := make(numbers)).update, memory, steps, tx.init(jnp.zeros(dimension)))
                found = jax.jit(jax.vmap(derive))(jax.tree.map(jnp.asarray, grid))
            else:
                tx = make({})
                one = _compiled(tx.update, memory, steps, tx.init(jnp.zeros(dimension)))
                found = jax.tree.map(lambda x: x[None], one)
    system, holds, moves = jax.tree.map(np.asarray, found)
    at = lambda i: f" (at {', '.join(f'{name}={row[i]:g}' for name, row in grid.items())})" if grid else ""
    for i in np.flatnonzero(~holds.all(axis=(1, 2))):
        raise ValueError(
            f"{where}: this optimizer is not linear in its gradients and what it remembers: "
            f"{_guilty(memory, holds[i].all(axis=0))}{at(i)}"
        )
    for i in np.flatnonzero(moves.any(axis=1)) if step is None else ():
        other = np.any([(np.abs(m[i] - m[i, 0]) > 1e-12 * np.abs(m[i, 0])).any(axis=(1, 2)) for m in system], axis=0)
        shown = f"that of update {steps[other.argmax()]} is not that of update 0 (it depends on" if other.any() else "(it uses"
        raise ValueError(
            f"{where}: this optimizer's linear map changes with the step: {shown} the state's "
            f"{', '.join(memory.counted)}){at(i)}{hint}"
        )
    a, b, c = (matrix[:, 0] for matrix in system)
    return LinearSystem(a, b, c, memory.names), memory


def _derived(update: Any, memory: Memory, steps: Any, state: Any) -> tuple[Any, jax.Array, jax.Array]:
    """A, B and C after so many steps each; whether (z⁺, y) are what they say, row by row; whether a counter they use moves."""
    d, size, generator = memory.dimension, memory.dimension + sum(memory.sizes), np.random.default_rng(0)
    z = np.concatenate([scale * generator.standard_normal((4, size)) for scale in SCALES])
    g = np.concatenate([scale * generator.standard_normal((4, d)) for scale in SCALES])
    largest = np.abs(z).max(axis=1, keepdims=True)

    def at(step: Any) -> tuple[Any, jax.Array, jax.Array]:
        now = jax.lax.fori_loop(0, step, lambda _, s: coming(update, s, jnp.zeros(d)), state)
        a, b, c = memory.matrices(update, now)
        after, point = jax.vmap(memory.program(update, now))(z, g)
        error = jnp.abs(after - z @ a.T - g @ b.T), jnp.abs(point - z @ c.T)
        terms = np.abs(z) @ jnp.abs(a).T + np.abs(g) @ jnp.abs(b).T, np.abs(z) @ jnp.abs(c).T
        holds = [(e <= TOLERANCE * (size + largest)).all(axis=0) for e, size in zip(error, terms, strict=True)]
        return (a, b, c), jnp.concatenate(holds), _moves(update, memory, now)

    return jax.lax.map(at, steps)


_compiled: Any = jax.jit(_derived, static_argnums=(0, 1))  # once for equal updates


def _moves(update: Any, memory: Memory, state: Any) -> jax.Array:
    """Whether a counter goes on counting, with a gradient or without."""
    pick = lambda state: [jax.tree.leaves(state)[i] for i in memory.counters]
    later = [pick(coming(update, state, jnp.full(memory.dimension, g))) for g in (0.0, 1.0)]
    return jnp.array([jnp.any(new != old) for each in later for new, old in zip(each, pick(state), strict=True)]).any()


def _guilty(memory: Memory, linear: np.ndarray) -> str:
    """The parts that are not linear."""
    owners = np.repeat(
        ["the update", *(f"the state's {name}" for name in memory.names), "the gradient point"],
        [memory.dimension, *memory.sizes, memory.dimension],
    )
    guilty = [*dict.fromkeys(owners[~linear].tolist())]
    return f"{' and '.join(guilty)} {'is' if len(guilty) == 1 else 'are'} not"
