"""The laws that every optimizer obeys, ours and yours.

``check_optimizer(tx)`` holds a gradient transformation to all of :data:`LAWS`, ``check_factory`` a factory to
:data:`FACTORY_LAWS`. Each law is a function that raises an AssertionError saying what broke. An exception is data, with its
reason, where the optimizer is listed: never an ``if`` in here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course.compiler import OLDER, ONCE, compiled
from jaxopt_course.transform import chain, eval_params, gradient_point, hyperparams, set_hyperparams
from jaxopt_course.types import Schedule

__all__ = ["FACTORY_LAWS", "LAWS", "check_factory", "check_optimizer"]

Transformation = optax.GradientTransformation
Factory = Callable[..., Transformation]

_CURVATURE = {"w": jnp.array([[1.0, 4.0], [0.3, 2.0]]), "b": jnp.array([0.5, 1.5])}
_START = {"w": jnp.array([[1.5, -2.0], [0.7, -0.4]]), "b": jnp.array([0.9, -1.1])}


def _quadratic(params: Any) -> Any:
    return 0.5 * sum(jnp.sum(h * p**2) for h, p in zip(jax.tree.leaves(_CURVATURE), jax.tree.leaves(params), strict=True))


def _step(tx: Transformation, state: Any, params: Any, function: Callable = _quadratic, **foreign: Any) -> tuple[Any, Any]:
    value, grads = jax.value_and_grad(function)(gradient_point(state, params))
    update = optax.with_extra_args_support(tx).update
    updates, state = update(grads, state, params, value=value, grad=grads, value_fn=function, **foreign)
    return optax.apply_updates(params, updates), state


def _walk(tx: Transformation, state: Any, params: Any, steps: int, **options: Any) -> tuple[Any, Any]:
    for _ in range(steps):
        params, state = _step(tx, state, params, **options)
    return params, state


@compiled(OLDER, static_argnames=("update", "steps"))
def _compiled(update: Any, state: Any, params: Any, steps: int) -> Any:
    tx = optax.GradientTransformationExtraArgs(optax.identity().init, update)
    params, state = jax.lax.fori_loop(0, steps, lambda _, carry: _step(tx, carry[1], carry[0]), (params, state))
    return params, eval_params(state, params)


def _compiled_walk(tx: Transformation, state: Any, params: Any, steps: int) -> Any:
    """What a walk comes to: the parameters, and what to evaluate in their place. Equal updates share its program."""
    return _compiled(optax.with_extra_args_support(tx).update, state, params, steps)


def _noise(params: Any, seed: int, dtype: Any = None) -> Any:
    rng = np.random.default_rng(seed)
    draw = lambda p: jnp.asarray(rng.normal(size=jnp.shape(p)), dtype or jnp.result_type(p))
    return jax.tree.map(draw, params)


def _close(actual: Any, expected: Any, ulps: float, what: str) -> None:
    def check(a, b):
        scale = jnp.maximum(jnp.max(jnp.abs(b), initial=0), jnp.finfo(b.dtype).tiny)
        error = float(jnp.max(jnp.abs(a - b), initial=0) / scale)
        assert error <= ulps * float(jnp.finfo(b.dtype).eps), f"{what}: relative error {error:.2e}"

    jax.tree.map(check, actual, expected)


def state_keeps_its_form(tx: Transformation) -> None:
    """Structure, shapes and dtypes stay, in float32, bfloat16 and float64; so the state can be a scan's carry."""
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float64):
        with jax.enable_x64(True) if dtype == jnp.float64 else contextlib.nullcontext():
            params = jax.tree.map(lambda p: jnp.asarray(p, dtype), _START)  # noqa: B023  # used in this turn only
            state = tx.init(params)
            grads = _noise(params, 1)
            extra = {"value": jnp.asarray(1.0), "grad": grads, "value_fn": _quadratic}
            update = optax.with_extra_args_support(tx).update
            updates, after = jax.eval_shape(lambda g, s, p: update(g, s, p, **extra), grads, state, params)  # noqa: B023
            chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
            chex.assert_trees_all_equal_structs(after, state)
            chex.assert_trees_all_equal_shapes_and_dtypes(after, jax.eval_shape(lambda s: s, state))


def second_call_does_not_retrace(tx: Transformation) -> None:
    """One trace serves the second step, and every other number."""
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(lambda state, params: _step(tx, state, params), n=1))
    state = tx.init(_START)
    params, state = step(state, _START)
    params, state = step(state, params)
    for name, value in hyperparams(state).items():
        with contextlib.suppress(ValueError):  # what follows a schedule cannot be set
            step(set_hyperparams(state, {name: value / 2}), params)


def jit_equals_eager(tx: Transformation) -> None:
    """Compiled and eager updates agree to 8 ulp of a leaf's largest element, after five steps."""
    state = tx.init(_START)
    params, last = _walk(tx, state, _START, 5)
    eager = params, eval_params(last, params)
    compiled = _compiled_walk(tx, state, _START, 5)
    _close(compiled, eager, 8, "jit and eager differ")


def vmap_over_hyperparams_equals_a_loop(tx: Transformation) -> None:
    """A population over any hyperparameter is the same as its members one by one."""
    state = tx.init(_START)
    walk = lambda state: _compiled_walk(tx, state, _START, 3)
    for name, value in hyperparams(state).items():
        try:
            states = [set_hyperparams(state, {name: value * factor}) for factor in (1.0, 0.5, 0.9)]
        except ValueError:  # follows a schedule
            continue
        together = jax.vmap(walk)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
        for i, one in enumerate(states):
            _close(jax.tree.map(lambda x, k=i: x[k], together), walk(one), 8, f"vmap over {name} and a loop differ")


def updates_keep_the_dtype(tx: Transformation) -> None:
    """bfloat16 leaves get bfloat16 updates, computed in float32: they are float32's, rounded once or twice."""
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), _START)
    grads = jax.tree.map(lambda p, g: g.astype(p.dtype), half, jax.grad(_quadratic)(_START))
    update = optax.with_extra_args_support(tx).update

    def first(dtype):
        params, g = (jax.tree.map(lambda x: x.astype(dtype), tree) for tree in (half, grads))
        return update(g, tx.init(params), params, value=_quadratic(params), grad=g, value_fn=_quadratic)[0]

    rounded, precise = first(jnp.bfloat16), first(jnp.float32)
    chex.assert_trees_all_equal_dtypes(rounded, half)
    _close(jax.tree.map(lambda p: p.astype(jnp.float32), rounded), precise, 2**17, "bfloat16 and float32 differ")


def complex_parameters_descend(tx: Transformation) -> None:
    """A complex parameter reaches the minimum of |z − c|², with real and imaginary part."""
    target = jnp.array([1.0 - 2.0j, 0.5 + 0.3j])
    distance = lambda z: jnp.sum(jnp.abs(z - target) ** 2)
    z = jnp.array([0.2 + 0.1j, -1.0 - 1.0j])
    state, start = tx.init(z), distance(z)
    update = optax.with_extra_args_support(tx).update

    def step(_, carry):
        z, state = carry
        value, grads = jax.value_and_grad(distance)(gradient_point(state, z))
        grads = jnp.conj(grads)
        updates, state = update(grads, state, z, value=value, grad=grads, value_fn=distance)
        return jnp.asarray(z + updates), state

    z, _ = jax.lax.fori_loop(0, 200, step, (z, state))
    assert jnp.iscomplexobj(z), "the parameter became real"
    assert distance(z) < 0.5 * start, f"|z - c|² went from {start} to {distance(z)}"


def any_tree_will_do(tx: Transformation) -> None:
    """Empty trees, scalars, nested containers, None leaves."""
    for params in ({}, jnp.float32(0.5), {"a": [jnp.ones(2), (jnp.ones(()),)], "b": {}}, {"a": jnp.ones(2), "b": None}):
        grads = _noise(params, 2)
        extra = {"value": jnp.float32(1.0), "grad": grads, "value_fn": lambda p: jnp.float32(1.0) + 0 * optax.tree.norm(p)}
        updates, _ = optax.with_extra_args_support(tx).update(grads, tx.init(params), params, **extra)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, grads)


def foreign_arguments_are_ignored(tx: Transformation) -> None:
    """Extra arguments meant for others change nothing."""
    state = tx.init(_START)
    chex.assert_trees_all_equal(_step(tx, state, _START), _step(tx, state, _START, somebody_elses=3.0))


def chain_is_associative(tx: Transformation) -> None:
    """chain(a, chain(tx, b)) is chain(chain(a, tx), b), and chain(tx) is tx."""
    before, after = optax.clip(1.5), optax.identity()
    left, right = chain(before, chain(tx, after)), chain(chain(before, tx), after)
    walks = [_compiled_walk(t, t.init(_START), _START, 3) for t in (left, right)]
    chex.assert_trees_all_equal(*walks)
    assert left.update == right.update, "the two groupings have different updates"
    chex.assert_trees_all_equal(*(_compiled_walk(t, t.init(_START), _START, 3) for t in (chain(tx), tx)))


def a_convex_quadratic_decreases(tx: Transformation) -> None:
    """200 steps halve ½ Σ hᵢxᵢ², at least."""
    params, _ = jax.lax.fori_loop(0, 200, lambda _, c: _step(tx, c[1], c[0]), (_START, tx.init(_START)))
    before, after = float(_quadratic(_START)), float(_quadratic(params))
    assert after < 0.5 * before, f"the quadratic went from {before} to {after} in 200 steps"


def derivatives_are_finite(tx: Transformation) -> None:
    """Through three updates, by the gradients and by every hyperparameter; also where gradients are zero."""
    state = tx.init(_START)
    settable = {}
    for name, value in hyperparams(state).items():
        with contextlib.suppress(ValueError):
            set_hyperparams(state, {name: value})
            settable[name] = value

    def end(numbers, grads):
        here, params = set_hyperparams(state, numbers), _START
        update = optax.with_extra_args_support(tx).update

        def step(_, carry):
            params, here = carry
            extra = {"value": _quadratic(params), "grad": grads, "value_fn": _quadratic}
            updates, here = update(grads, here, params, **extra)
            return optax.apply_updates(params, updates), here

        return optax.tree.sum(jax.lax.fori_loop(0, 3, step, (params, here))[0])

    differentiate = compiled(ONCE)(jax.grad(end, argnums=(0, 1)))
    for grads in (_noise(_START, 3), jax.tree.map(jnp.zeros_like, _START)):
        derivatives = differentiate(settable, grads)
        for path, leaf in jax.tree_util.tree_leaves_with_path(derivatives):
            assert jnp.isfinite(leaf).all(), f"derivative by {jax.tree_util.keystr(path)} is {leaf}"


def numbers_make_no_new_program(factory: Factory, settings: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Optimizers that differ in numbers only have ``update``s that are equal and hash equal."""
    tx = factory(**settings)
    numbers = {k: v for k, v in settings.items() if isinstance(v, float)}
    other = factory(**{**settings, **{k: v / 2 for k, v in numbers.items()}})
    assert tx.update == other.update, "other numbers, another update"
    assert hash(tx.update) == hash(other.update), "equal updates, different hashes"


def numbers_arrays_and_schedules_agree(factory: Factory, settings: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """A number, an array, and a constant schedule of it, ours or a plain function, give the same steps."""
    tx = factory(**settings)
    expected = _compiled_walk(tx, tx.init(_START), _START, 3)
    for name, value in settings.items():
        if not isinstance(value, float):
            continue
        for form in (jnp.asarray(value), Schedule(lambda step, v=value: jnp.asarray(v)), lambda step, v=value: jnp.asarray(v)):
            same = factory(**{**settings, name: form})
            _close(_compiled_walk(same, same.init(_START), _START, 3), expected, 8, f"{name} as {type(form).__name__} differs")


def every_argument_makes_a_difference(factory: Factory, settings: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Each accepted argument changes the result, in the setting that is listed for it."""
    import inspect

    accepted = set(inspect.signature(factory).parameters)
    assert accepted == set(changes), f"listed: {sorted(changes)}; accepted: {sorted(accepted)}"
    for name, (base, value) in changes.items():
        walks = []
        for options in (base, {**base, name: value}):
            tx = factory(**options)
            walks.append(_compiled_walk(tx, tx.init(_START), _START, 4))
        differ = any(bool((a != b).any()) for a, b in zip(*map(jax.tree.leaves, walks), strict=True))
        assert differ, f"{name}={value!r} changes nothing in {dict(base)}"


LAWS: dict[str, Callable[[Transformation], None]] = {
    law.__name__: law
    for law in (
        state_keeps_its_form,
        second_call_does_not_retrace,
        jit_equals_eager,
        vmap_over_hyperparams_equals_a_loop,
        updates_keep_the_dtype,
        complex_parameters_descend,
        any_tree_will_do,
        foreign_arguments_are_ignored,
        chain_is_associative,
        a_convex_quadratic_decreases,
        derivatives_are_finite,
    )
}
"""Law → check of one gradient transformation."""

FACTORY_LAWS: dict[str, Callable[[Factory, Mapping[str, Any], Mapping[str, Any]], None]] = {
    law.__name__: law
    for law in (numbers_make_no_new_program, numbers_arrays_and_schedules_agree, every_argument_makes_a_difference)
}
"""Law → check of a factory, at its settings and changes (see :class:`jaxopt_course.optimizers.catalog.Entry`)."""


def check_optimizer(tx: Transformation, *, exceptions: Collection[str] = ()) -> None:
    """Hold an optimizer to the laws.

    Args:
        tx: a gradient transformation, with settings that decrease a small convex quadratic in 200 steps.
        exceptions: names of laws that it need not obey (a mapping law → reason will do).

    Raises:
        AssertionError: the first law that it breaks, which a note names; or what the optimizer itself raises there, with the
            same note. ValueError: an exception that is no law.

    >>> import jaxopt_course as jc
    >>> check_optimizer(jc.momentum(0.03, 0.8))
    """
    if unknown := set(exceptions) - set(LAWS):
        raise ValueError(f"check_optimizer: no such law: {', '.join(sorted(unknown))}")
    for name, law in LAWS.items():
        if name in exceptions:
            continue
        try:
            law(tx)
        except Exception as error:
            error.add_note(f"check_optimizer: the law that does not hold is {name}. {(law.__doc__ or '').splitlines()[0]}")
            raise


def check_factory(
    factory: Factory,
    settings: Mapping[str, Any],
    changes: Mapping[str, tuple[Mapping[str, Any], Any]],
    *,
    exceptions: Collection[str] = (),
) -> None:
    """Hold a factory to the laws, those of its optimizer at ``settings`` included.

    Args:
        factory: made by ``jc.optimizer``.
        settings: arguments with which it decreases a small convex quadratic.
        changes: argument → (settings, other value) in which it makes a difference.
        exceptions: as for :func:`check_optimizer`.

    Raises:
        AssertionError: the first law that is broken.

    >>> import jaxopt_course as jc
    >>> check_factory(jc.sgd, {"learning_rate": 0.1}, {"learning_rate": ({"learning_rate": 0.1}, 0.2)})
    """
    for name, law in FACTORY_LAWS.items():
        if name not in exceptions:
            law(factory, settings, changes)
    check_optimizer(factory(**settings), exceptions=set(exceptions) - set(FACTORY_LAWS))
