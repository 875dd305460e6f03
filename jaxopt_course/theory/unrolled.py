"""An optimizer's path as a sum over its past gradients [D4].

x⁽ᵗ⁺¹⁾ = cₜ x⁽⁰⁾ − Σ_{i≤t} γᵢᵗ ∇f(x⁽ⁱ⁾)

The coefficients are derivatives of the path by the gradients that went into it, taken through ``update`` itself. Where a
method divides by second moments, or by a norm, these are held at the values that they have along the path: then it is
linear in its gradients, and the sum is exact, with a diagonal matrix Γᵢᵗ in the place of γᵢᵗ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.transform import gradient_point

__all__ = ["Unrolled", "unroll"]

TOLERANCE = 1e-9  # of the sum, relative to the path: above it the method is not linear in its gradients


@dataclasses.dataclass(frozen=True, eq=False)
class Unrolled:
    """A path as a sum.

    Attributes:
        gamma: γᵢᵗ, ``[t, i]``, or the diagonal of Γᵢᵗ, ``[t, i, ...]`` for parameters of that shape; 0 for i > t.
        start: cₜ, ``[t]`` or ``[t, ...]``: 1, but for weight decay.
        points: x⁽⁰⁾ … x⁽ᵀ⁾. grads: what went in at each step.
    """

    gamma: np.ndarray
    start: np.ndarray
    points: np.ndarray
    grads: np.ndarray

    @property
    def sums(self) -> np.ndarray:
        """cₜ x⁽⁰⁾ − Σᵢ γᵢᵗ gᵢ for each t: the path from x⁽¹⁾ on, if the method is linear in its gradients."""
        return self.start * self.points[0] - np.einsum("ti...,i...->t...", self.gamma, self.grads)


def unroll(
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    function: Callable[[Any], Any] | None = None,
    start: Any = 0.0,
    grads: Any = None,
    held: Sequence[str] = (),
) -> Unrolled:
    """The coefficients γᵢᵗ of any optimizer, from its ``update``.

    γᵢᵗ = −∂x⁽ᵗ⁺¹⁾/∂gᵢ, in double precision

    Args:
        optimizer: ours or optax's, that treats parameters one by one once the fields in ``held`` are held.
        steps: T.
        function: f(x) → scalar, whose gradients it follows from ``start``, each taken where the optimizer wants it.
        start: x⁽⁰⁾, a number or an array.
        grads: instead of a function: the gradients, ``[T, ...]``. With neither, they are all 1, as a linear method does not
            care.
        held: names of the state's fields to hold at their values: the second moments, or the norm, that steps are divided
            by, as ``jc.CATALOG["adam"].held`` lists them (optax's Adam has ``("nu",)``).

    Returns:
        :class:`Unrolled`.

    Raises:
        TypeError, ValueError: bad arguments; a name that is no field of the state; gradients or a path that are not finite;
            or the sum is not the path: then the method is not linear in its gradients with what is held.

    >>> import jaxopt_course as jc
    >>> unroll(jc.momentum(0.1, 0.5), 3).gamma.round(4)  # α(1 − λ^{t+1−i})/(1 − λ)
    array([[0.1  , 0.   , 0.   ],
           [0.15 , 0.1  , 0.   ],
           [0.175, 0.15 , 0.1  ]])

    References:
        Lecture 000 [D4]; Goh, Why momentum really works, Distill 2017.
    """
    checks.check_positive_integer("unroll", "steps", steps)
    if function is not None and grads is not None:
        raise ValueError("unroll: give a function or its gradients, not both")
    tx = optax.with_extra_args_support(optimizer)
    with jax.enable_x64(True):
        x = _numbers("start", start)
        state = tx.init(x)
        _check_held(state, held)
        g = _gradients(tx, state, x, steps, function, grads)
        path = lambda x, g: _path(tx, state, x, g, function, held)
        gamma = 0 - jax.vmap(lambda i: jax.jvp(lambda g: path(x, g), (g,), (_unit(g, i),))[1], out_axes=1)(jnp.arange(steps))
        points, slope = jax.jvp(lambda x: path(x, g), (x,), (jnp.ones_like(x),))
        found = Unrolled(*map(np.asarray, (gamma, slope, jnp.concatenate([x[None], points]), g)))
    _check_linear(found, state, held)
    return found


def _unit(g: jax.Array, i: Any) -> jax.Array:
    return jnp.zeros_like(g).at[i].set(1)


def _gradients(tx: Any, state: Any, x: jax.Array, steps: int, function: Any, grads: Any) -> jax.Array:
    if function is None:
        shape = (steps, *x.shape)
        g = jnp.ones(shape) if grads is None else _numbers("grads", grads)
        if g.shape != shape:
            raise ValueError(f"unroll: grads must have shape {shape}, steps and then the start's; got {g.shape}")
        return g

    def step(carry, _):
        x, state = carry
        value, g = jax.value_and_grad(function)(gradient_point(state, x))
        updates, state = tx.update(g, state, x, value=value, grad=g, value_fn=function)
        return (x + updates, state), g

    return jax.lax.scan(step, (x, state), None, length=steps)[1]


def _path(tx: Any, state: Any, x: jax.Array, g: jax.Array, function: Any, held: Sequence[str]) -> jax.Array:
    """x⁽¹⁾ … x⁽ᵀ⁾ for these gradients; what is held has no derivative."""

    def value(x):
        return jax.lax.stop_gradient(jnp.zeros(()) if function is None else function(x))

    def update(g, state, x):
        return tx.update(g, state, x, value=value(x), grad=g, value_fn=value)

    with jax.disable_jit():
        program, shapes = jax.make_jaxpr(update, return_shape=True)(g[0], state, x)
    structure = jax.tree.structure(shapes)
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    constant = {var for var, path in zip(program.jaxpr.outvars, paths, strict=True) if _is_held(path, held)}

    def step(carry, g):
        x, state = carry
        updates, state = jax.tree.unflatten(structure, _evaluate(program, constant, jax.tree.leaves((g, state, x))))
        return (x + updates, state), x + updates

    return jax.lax.scan(step, (x, state), g)[1]


def _evaluate(program: Any, constant: set[Any], arguments: list[Any]) -> list[Any]:
    """Run a program in which some variables have no derivative, wherever they are used."""
    values = dict(zip((*program.jaxpr.constvars, *program.jaxpr.invars), (*program.consts, *arguments), strict=True))
    read = lambda atom: atom.val if hasattr(atom, "val") else values[atom]  # a literal has its value
    for equation in program.jaxpr.eqns:
        params = equation.primitive.get_bind_params(equation.params)  # as JAX's own eval_jaxpr does
        out = equation.primitive.bind(*map(read, equation.invars), **params)
        for var, value in zip(equation.outvars, out if equation.primitive.multiple_results else [out], strict=True):
            values[var] = jax.lax.stop_gradient(value) if var in constant else value
    return [read(var) for var in program.jaxpr.outvars]


def _name(entry: Any) -> str:
    return str(getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", ""))))


def _is_held(path: tuple[Any, ...], held: Sequence[str]) -> bool:
    return any(_name(entry) in held for entry in path)


def _fields(state: Any) -> set[str]:
    """The names of the state's fields that hold what a method remembers."""
    paths = [path for path, leaf in jax.tree_util.tree_leaves_with_path(state)]
    names = {_name(entry) for path in paths for entry in path if isinstance(entry, jax.tree_util.GetAttrKey)}
    return names - {"step", "count", "hyperparams", "inner", "members"}


def _numbers(name: str, values: Any) -> jax.Array:
    accepted = f"unroll: {name} must be finite numbers"
    try:
        array = jnp.asarray(np.asarray(values, float))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{accepted}; got {values!r:.100}") from error
    if not bool(jnp.isfinite(array).all()):
        raise ValueError(f"{accepted}; got {np.asarray(array)}")
    return array


def _check_linear(found: Unrolled, state: Any, held: Sequence[str]) -> None:
    """Raise unless the sum is the path."""
    finite = [bool(np.isfinite(each).all()) for each in zip(found.grads, found.points[1:], strict=True)]
    if not all(finite):
        raise ValueError(f"unroll: the gradient or the point of step {finite.index(False)} is not finite: take fewer steps")
    error = np.abs(found.sums - found.points[1:]).max()
    scale = np.abs(found.points - found.points[0]).max()
    if not error <= TOLERANCE * max(scale, np.finfo(float).tiny):
        fields = ", ".join(sorted(_fields(state)))
        hint = f"hold only what the step is divided by, second moments or a norm; the state has: {fields}"
        raise ValueError(
            f"unroll: the sum of its gradients misses the path by {error:.2g}: this optimizer is not linear in them, with "
            f"held={tuple(held)!r}; {hint if fields else 'its state has nothing to hold'}"
        )


def _check_held(state: Any, held: Sequence[str]) -> None:
    if isinstance(held, str):
        raise TypeError(f"unroll: held must be a list of names; got {held!r} (write [{held!r}])")
    for name in held:
        if name not in _fields(state):
            known = checks.closest(name, _fields(state))
            raise ValueError(f"unroll: held: the optimizer's state has no field {name!r}{known}")
