"""Ours inside optax's wrappers do what optax's own would do there."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.1, -0.7])}

PAIRS = {
    "sgd": (lambda: jc.sgd(0.1), lambda: optax.sgd(0.1)),
    "momentum": (lambda: jc.momentum(0.1, 0.8), lambda: optax.sgd(0.1, momentum=0.8)),
    "shifted nesterov": (lambda: jc.nesterov(0.1, 0.8, form="shifted"), lambda: optax.sgd(0.1, momentum=0.8, nesterov=True)),
    "adam": (lambda: jc.adam(0.1, 0.8, 0.95), lambda: optax.adam(0.1, 0.8, 0.95)),
}
WRAPPERS = {
    "chain": lambda tx: optax.chain(optax.clip_by_global_norm(1.0), tx, optax.scale(0.5)),
    "named_chain": lambda tx: optax.named_chain(("clip", optax.clip(0.5)), ("ours", tx)),
    "masked": lambda tx: optax.masked(tx, {"w": True, "b": False}),
    "masked by a prefix": lambda tx: optax.masked(tx, lambda tree: jax.tree.map(lambda x: x.ndim > 1, tree)),
    "partition": lambda tx: optax.partition({"a": tx, "z": optax.set_to_zero()}, {"w": "a", "b": "z"}),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 3).gradient_transformation(),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 5),
    "conditionally_transform": lambda tx: optax.conditionally_transform(tx, lambda step: step % 2 == 0),
    "weight decay behind": lambda tx: optax.chain(tx, optax.add_decayed_weights(0.01)),
    "jc.chain": lambda tx: jc.chain(optax.clip_by_global_norm(1.0), tx, optax.scale(0.5)),
}


def gradients(step):
    rng = np.random.default_rng(step)
    noise = lambda p: jnp.asarray(rng.normal(size=p.shape) + (np.inf if step == 4 else 0.0), jnp.float32)
    return jax.tree.map(noise, PARAMS)


def walk(tx, steps):
    update = jax.jit(tx.update)
    params, state = PARAMS, tx.init(PARAMS)
    for step in steps:
        updates, state = update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("pair", PAIRS)
def test_inside_optax(pair, wrapper):
    ours, theirs = PAIRS[pair]
    steps = range(8) if wrapper == "apply_if_finite" else [s for s in range(8) if s != 4]  # one gradient is infinite
    actual, expected = walk(WRAPPERS[wrapper](ours()), steps), walk(WRAPPERS[wrapper](theirs()), steps)
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(actual))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), actual, expected)


def test_accumulators_may_have_a_dtype_of_their_own():
    """A bfloat16 second moment with b2 = 0.999 never decays; a float32 one does."""
    params = jnp.zeros(1, jnp.bfloat16)
    sizes = {}
    for dtype in (None, "float32"):
        tx = jc.scale_by_adam(b2=0.999, accumulator_dtype=dtype)
        _, state = tx.update(jnp.full(1, 8.0, jnp.bfloat16), tx.init(params))
        first = float(state.inner.v[0])
        for _ in range(200):
            _, state = tx.update(jnp.zeros(1, jnp.bfloat16), state)
        sizes[dtype] = float(state.inner.v[0]) / first
    assert sizes[None] == 1.0
    assert sizes["float32"] == pytest.approx(0.999**200, rel=1e-3)


def test_a_gradient_of_none_leaves_its_leaf_alone():
    tx = jc.adam(0.1)
    state = tx.init(PARAMS)
    updates, after = tx.update({"w": gradients(0)["w"], "b": None}, state, PARAMS)
    assert updates["b"] is None
    np.testing.assert_array_equal(after.inner.members[0].m["b"], state.inner.members[0].m["b"])
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_optax_can_map_over_our_states():
    """What optax uses to shard states: the leaves that are shaped like parameters are found."""
    tx = jc.adam(0.1)
    doubled = optax.tree.map_params(tx, lambda x: x + 1, tx.init(PARAMS))
    np.testing.assert_array_equal(doubled.inner.members[0].m["b"], np.ones(2))
    assert float(doubled.hyperparams["learning_rate"]) == np.float32(0.1)
