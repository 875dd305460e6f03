"""Chains compose, and are equal when their members are."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

PARAMS = jnp.array([1.0, -2.0])
GRADS = jnp.array([3.0, -4.0])


def test_chain_is_optaxs_chain():
    ours = jc.chain(optax.clip_by_global_norm(1.0), jc.momentum(0.1, 0.9, rate_inside=False))
    theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9))
    state, reference = ours.init(PARAMS), theirs.init(PARAMS)
    for _ in range(3):
        updates, state = ours.update(GRADS, state, PARAMS)
        expected, reference = theirs.update(GRADS, reference, PARAMS)
    np.testing.assert_allclose(updates, expected, rtol=1e-6)


def test_equal_members_make_equal_chains():
    clip = optax.clip(1.0)
    assert jc.chain(clip, jc.adam(0.1)).update == jc.chain(clip, jc.adam(0.2)).update
    assert hash(jc.chain(clip, jc.adam(0.1)).update) == hash(jc.chain(clip, jc.adam(0.2)).update)
    assert jc.chain(clip, jc.adam(0.1)).update != jc.chain(jc.adam(0.1), clip).update
    assert jc.chain(optax.clip(1.0)).update != jc.chain(clip).update


def test_nested_chains_are_flat():
    clip = optax.clip(1.0)
    assert jc.chain(jc.chain(clip, jc.sgd(0.1)), optax.identity()).init(PARAMS).members[0] == optax.EmptyState()
    assert len(jc.chain(jc.chain(clip, jc.sgd(0.1)), optax.identity()).init(PARAMS).members) == 3


def test_extra_arguments_reach_those_that_take_them():
    tx = jc.chain(optax.GradientTransformation(lambda p: (), lambda g, s, p=None: (g, s)), optax.polyak_sgd())
    updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, value=5.0)
    np.testing.assert_allclose(updates, -5.0 / 25.0 * GRADS, rtol=1e-6)


def test_the_empty_chain_changes_nothing():
    tx = jc.chain()
    assert tx.update(GRADS, tx.init(PARAMS))[0] is GRADS


def test_members_must_be_transformations():
    with pytest.raises(TypeError, match="member 1 must be a gradient transformation, a pair"):
        jc.chain(jc.sgd(0.1), jc.adam)


def test_a_foreign_state_is_refused():
    with pytest.raises(ValueError, match="not made by this chain's init"):
        jc.chain(jc.sgd(0.1)).update(GRADS, jc.sgd(0.1).init(PARAMS))


def test_optimizers_show_themselves_as_they_were_called():
    rate = jc.schedules.linear(0.1, 0.0, 3)
    assert repr(jc.sgd(rate)) == (
        "GradientTransformationExtraArgs(init=sgd(learning_rate=linear(init_value=0.1, end_value=0.0, transition_steps=3)), "
        "update=sgd.update)"
    )
    assert repr(jc.averaged(jc.sgd(0.1), 0.9)) == (
        "GradientTransformationExtraArgs(init=chain(sgd(learning_rate=0.1), "
        "average_params(decay=0.9, start=0, bias_correction=True, accumulator_dtype=None)), "
        "update=chain(sgd.update, average_params.update))"
    )
    shown = repr(jc.line_search(jc.linesearch.armijo(), growth=2.0))
    assert "scale_by_line_search(search=armijo(c1=0.0001, " in shown
    assert "growth=2.0" in shown
    assert " at 0x" not in shown
    assert len(shown) < 400
