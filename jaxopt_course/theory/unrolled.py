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
from jaxopt_course.transform.jaxprs import is_literal

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
        grads: instead of a function: the gradients, ``[T, ...]``. With neither, they are drawn, of both signs and many sizes,
            as a linear method does not care.
        held: names of the state's fields to hold at their values: the second moments, or the norm, that steps are divided
            by, as ``jc.CATALOG["adam"].held`` lists them (optax's Adam has ``("nu",)``).

    Returns:
        :class:`Unrolled`.

    Raises:
        TypeError, ValueError: bad arguments; a name that is no field of the state; gradients or a path that are not finite;
            or the sum is not the path, of these gradients or, where nothing is held, of others: then the method is not linear
            in its gradients with what is held, or mixes parameters.

    >>> import jaxopt_course as jc
    >>> unroll(jc.momentum(0.1, 0.5), 3).gamma.round(4)  # α(1 − λ^{t+1−i})/(1 − λ)
    array([[0.1  , 0.   , 0.   ],
           [0.15 , 0.1  , 0.   ],
           [0.175, 0.15 , 0.1  ]])

    References:
        Lecture 000 [D4]; Goh, Why momentum really works, Distill 2017.
    """
    checks.check_integer("unroll", "steps", steps)
    if function is not None and grads is not None:
        raise ValueError("unroll: give a function or its gradients, not both")
    checks.check_transformation("unroll", "optimizer", optimizer)
    tx = optax.with_extra_args_support(optimizer)
    with jax.enable_x64(True):
        x = _numbers("start", start)
        state = tx.init(x)
        _check_held(state, held)
        _check_function(function, x)
        g = _gradients(tx, state, x, steps, function, grads)
        u = _draws(g.shape, 1, 4) * jnp.where(g > 0, -1, 1)
        points, slope, other, changes = map(np.asarray, _derived(tx, x, g, u, function, held))
    found = Unrolled(0 - np.moveaxis(changes[:-1], 0, 1), slope, np.concatenate([np.asarray(x)[None], points]), np.asarray(g))
    _check_linear(found, found, state, held)
    if function is None and not held:  # else the path itself is another one: held values, or the function's, would change
        again = dataclasses.replace(found, points=np.concatenate([found.points[:1], other]), grads=np.asarray(u))
        _check_linear(found, again, state, held)
    _check_mixing(found, np.asarray(u), changes[-1])
    return found


def _derived(tx: Any, x: jax.Array, g: jax.Array, u: jax.Array, function: Any, held: Sequence[str]) -> tuple[jax.Array, ...]:
    """The path of gradients g, its change by x⁽⁰⁾, the path of u, and the changes by each step's g and by u: one program."""

    @jax.jit
    def derive(x, g, u):
        path = lambda x, g: _path(tx, x, g, function, held)
        steps = jnp.arange(len(g)).reshape(-1, *[1] * g.ndim)
        each = (steps == steps.swapaxes(0, 1)) * jnp.ones_like(g)
        changes = jax.vmap(lambda v: jax.jvp(lambda g: path(x, g), (g,), (v,))[1])(jnp.concatenate([each, u[None]]))
        return *jax.jvp(lambda x: path(x, g), (x,), (jnp.ones_like(x),)), path(x, u), changes

    return derive(x, g, u)


def _draws(shape: tuple[int, ...], seed: int, decades: float) -> jax.Array:
    """Positive numbers, the same at each call, of sizes from 10⁻ᵈ to 10ᵈ."""
    return jnp.asarray(10 ** np.random.default_rng(seed).uniform(-decades, decades, shape))


def _gradients(tx: Any, state: Any, x: jax.Array, steps: int, function: Any, grads: Any) -> jax.Array:
    if function is None:
        shape = (steps, *x.shape)
        signs = np.where(np.random.default_rng(2).random(shape) < 0.5, -1, 1)
        g = _draws(shape, 0, 1) * signs if grads is None else _numbers("grads", grads)
        if g.shape != shape:
            raise ValueError(f"unroll: grads must have shape {shape}, steps and then the start's; got {g.shape}")
        return g

    def step(carry, _):
        x, state = carry
        value, g = jax.value_and_grad(function)(gradient_point(state, x))
        updates, state = tx.update(g, state, x, value=value, grad=g, value_fn=function)
        return (x + updates, state), g

    return jax.lax.scan(step, (x, state), None, length=steps)[1]


def _path(tx: Any, x: jax.Array, g: jax.Array, function: Any, held: Sequence[str]) -> jax.Array:
    """x⁽¹⁾ … x⁽ᵀ⁾ from this start, which the state may contain, for these gradients; what is held has no derivative."""
    fixed = lambda path, leaf: jax.lax.stop_gradient(leaf) if _is_held(path, held) else leaf
    state = jax.tree_util.tree_map_with_path(fixed, tx.init(x))

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
    read = lambda atom: atom.val if is_literal(atom) else values[atom]
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


def _check_linear(found: Unrolled, path: Unrolled, state: Any, held: Sequence[str]) -> None:
    """Raise unless the sum is the path."""
    finite = [bool(np.isfinite(each).all()) for each in zip(path.grads, path.points[1:], strict=True)]
    if not all(finite):
        raise ValueError(f"unroll: the gradient or the point of step {finite.index(False)} is not finite: take fewer steps")
    error = np.abs(path.sums - path.points[1:]).max()
    scale = np.abs(path.points - path.points[0]).max()
    if not error <= TOLERANCE * max(scale, np.finfo(float).tiny) + _rounding(found):
        fields = ", ".join(sorted(_fields(state)))
        hint = f"hold only what the step is divided by, second moments or a norm; the state has: {fields}"
        raise ValueError(
            f"unroll: the sum of its gradients misses the path by {error:.2g}: this optimizer is not linear in them, or mixes "
            f"parameters, with held={tuple(held)!r}; {hint if fields else 'its state has nothing to hold'}"
        )


def _check_mixing(found: Unrolled, u: np.ndarray, moved: np.ndarray) -> None:
    """Raise unless γ is all that a change u of the gradients does: what a coordinate does to others is not in it."""
    error = np.abs(moved + np.einsum("ti...,i...->t...", found.gamma, u)).max()
    scale = np.einsum("ti...,i...->t...", np.abs(found.gamma), np.abs(u)).max()
    if not error <= TOLERANCE * max(scale, np.finfo(float).tiny):
        raise ValueError(
            f"unroll: this optimizer does not treat parameters one by one: other gradients change the path by {error:.2g} "
            f"more than each coordinate's own do"
        )


def _rounding(found: Unrolled) -> float:
    """What adding small steps to large numbers loses."""
    return 4 * len(found.points) * np.finfo(float).eps * float(np.abs(found.points).max() * max(1, np.abs(found.start).max()))


def _check_function(function: Any, x: jax.Array) -> None:
    if function is None:
        return
    if not callable(function):
        raise TypeError(f"unroll: function must be a function of a point, or None; got {function!r}")
    shape = getattr(jax.eval_shape(function, x), "shape", None)
    if shape != ():
        raise ValueError(
            f"unroll: function must return a scalar; at a start of shape {x.shape} it returns {shape or 'no array'}"
        )


def _check_held(state: Any, held: Sequence[str]) -> None:
    if isinstance(held, str):
        raise TypeError(f"unroll: held must be a list of names; got {held!r} (write [{held!r}])")
    for name in held:
        if name not in _fields(state):
            known = checks.closest(name, _fields(state))
            raise ValueError(f"unroll: held: the optimizer's state has no field {name!r}{known}")
