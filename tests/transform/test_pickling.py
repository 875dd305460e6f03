"""Optimizers, their states and schedules go through pickle, as optax's states do."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.optimizers import CATALOG

again = lambda value: pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("name", sorted(CATALOG.keys() - {"line_search"}))  # its direction is one of optax's closures
def test_an_optimizer_and_its_state_come_back(name):
    entry = CATALOG[name]
    tx = entry.factory(jc.schedules.cosine(0.01, 0.1, 50))
    params = {"w": jnp.array([1.0, -2.0])}
    state = tx.init(params)
    copy, copied = again(tx), again(state)
    assert copy.update == tx.update
    assert jax.tree.structure(copied) == jax.tree.structure(state)
    extra = {"value": jnp.float32(5.0), "grad": params, "value_fn": lambda p: jnp.sum(p["w"] ** 2)}
    mine, theirs = (update(params, at, params, **extra)[0] for update, at in ((tx.update, state), (copy.update, copied)))
    np.testing.assert_array_equal(mine["w"], theirs["w"])


@pytest.mark.parametrize(
    "schedule",
    [
        jc.schedules.warmup(jc.schedules.restarts(jc.schedules.linear(1.0, 0.0, 5), 7, 1.5), 3),
        jc.problems.l2(0.1),
        jc.linesearch.armijo(0.3),
    ],
)
def test_functions_with_numbers_come_back_equal(schedule):
    assert again(schedule) == schedule
    assert again(schedule).rule is schedule.rule


def test_a_foreign_optimizer_and_a_chain():
    tx = jc.chain(optax.clip(1.0), jc.inject(optax.lion)(1e-3), jc.scale_by_learning_rate(0.1))
    state = tx.init(jnp.ones(3))
    assert jax.tree.structure(again(state)) == jax.tree.structure(state)
    assert again(functools.partial(jc.adam, b1=0.5))(0.1).update == jc.adam(0.2, 0.5).update
