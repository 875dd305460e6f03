"""Other libraries' schedules, and functions of your own: they count whole steps, as optax does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

TABLE = np.linspace(0.1, 0.01, 100)
WHOLE = {
    "a table": lambda step: jnp.asarray(TABLE)[step],
    "every other step": lambda step: jnp.where(step & 1, 0.1, 0.2),
    "optax's": optax.linear_schedule(0.1, 0.01, 100),
}


def rates(schedule, steps=15):
    tx, params = jc.sgd(schedule), jnp.ones(())
    state, update, found = tx.init(params), jax.jit(tx.update), []
    for _ in range(steps):
        step, state = update(params, state, params)
        found.append(-float(step))
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_they_are_given_whole_steps(name):
    function = WHOLE[name]
    expected = [float(function(jnp.int32(step))) for step in range(15)]
    np.testing.assert_allclose(rates(function), expected, rtol=1e-6)
    np.testing.assert_allclose(rates(jc.schedules.scaled(function, 2.0)), 2 * np.array(expected), rtol=1e-6)
    late = rates(jc.schedules.join(0.5, 4, function))
    np.testing.assert_allclose(late, [0.5] * 4 + expected[:-4], rtol=1e-6)
    np.testing.assert_allclose(
        rates(jc.schedules.restarts(function, 6)), [*expected[:6], *expected[:6], *expected[:3]], rtol=1e-6
    )


def test_what_takes_fractions_gets_them_from_schedules_that_stretch():
    function = optax.linear_schedule(1.0, 0.0, 4)
    stretched = jc.schedules.restarts(function, 4, 2.0)
    assert [float(stretched(4 + step)) for step in range(8)] == pytest.approx([1 - step / 8 for step in range(8)])


def test_with_optaxs_schedule_the_preset_is_optaxs_optimizer():
    with jax.enable_x64(True):
        schedule = optax.linear_schedule(0.1, 0.01, 100)
        ours, theirs = jc.dialects.optax.adam(schedule, 0.8, 0.95), optax.adam(schedule, 0.8, 0.95)
        a = b = jnp.array([1.0, -2.0])
        state, other = ours.init(a), theirs.init(b)
        for _ in range(150):
            step, state = ours.update(jnp.cos(3 * a) + a, state, a)
            a = a + step
            step, other = theirs.update(jnp.cos(3 * b) + b, other, b)
            b = b + step
            np.testing.assert_allclose(a, b, rtol=1e-12)
