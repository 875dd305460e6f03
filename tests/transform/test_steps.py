"""Counting steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.transform import next_step

LAST = np.iinfo(np.int32).max


def test_a_step_is_one_more_and_the_last_is_itself():
    assert [int(next_step(jnp.int32(step))) for step in (0, 41, LAST - 1, LAST)] == [1, 42, LAST, LAST]


COUNTING = {
    "schedule": jc.sgd(jc.schedules.linear(0.1, 0.01, 7)),
    "momentum": jc.momentum(0.1, dampening=0.3, dampen_first=False),
    "rmsprop": jc.rmsprop(0.1, bias_correction=True),
    "adam": jc.adam(0.1),
    "amsgrad": jc.amsgrad(0.1),
    "adamax": jc.adamax(0.1),
    "nadam": jc.nadam(0.1),
    "averaged": jc.averaged_sgd(0.1),
}


@pytest.mark.parametrize("name", COUNTING)
def test_no_optimizer_counts_past_the_last_step(name):
    tx, params = COUNTING[name], jnp.array([1.0, -2.0])
    is_step = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.integer)
    state = jax.tree.map(lambda leaf: jnp.full_like(leaf, LAST) if is_step(leaf) else leaf, tx.init(params))
    updates, state = tx.update(params, state, params)
    steps = [int(leaf) for leaf in jax.tree.leaves(state) if is_step(leaf)]
    assert steps == [LAST] * len(steps) != []
    assert jnp.isfinite(updates).all()
