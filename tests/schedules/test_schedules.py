"""Each schedule equals its formula, from step 0."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_course import schedules

STEPS = np.arange(0, 60)

FORMULAS = {
    "constant": (schedules.constant(0.3), lambda t: np.full(t.shape, 0.3)),
    "linear": (schedules.linear(0.9, 0.1, 37), lambda t: np.where(t < 37, (1 - t / 37) * 0.9 + t / 37 * 0.1, 0.1)),
    "exponential": (schedules.exponential(0.7, 0.03), lambda t: 0.7 * np.exp(-0.03 * t)),
    "step": (schedules.step(0.7, 0.5, 7), lambda t: 0.7 * np.exp(-0.5 * (t // 7))),
    "warmup": (
        schedules.warmup(schedules.exponential(0.7, 0.03), 11, 0.2),
        lambda t: np.where(t < 11, 0.2 + t / 11 * 0.5, 0.7 * np.exp(-0.03 * (t - 11))),
    ),
    "warmup to a number": (schedules.warmup(0.7, 11), lambda t: np.where(t < 11, t / 11 * 0.7, 0.7)),
    "warmup to a function": (
        schedules.warmup(lambda t: 1.0 / (1 + t), 11),
        lambda t: np.where(t < 11, t / 11, 1 / (1 + np.maximum(t - 11, 0))),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_schedule_equals_its_formula(name):
    schedule, formula = FORMULAS[name]
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.vmap(schedule)(jnp.asarray(STEPS)), formula(STEPS), rtol=1e-13)


def test_halving_every_ten_epochs_is_the_lectures_usual_choice():
    """[C4]"""
    schedule = schedules.step(0.01, jnp.log(2.0), 10)
    np.testing.assert_allclose([schedule(t) for t in (0, 9, 10, 19, 20)], [0.01, 0.01, 0.005, 0.005, 0.0025], rtol=1e-6)


def test_schedules_are_optax_schedules():
    tx = optax.sgd(schedules.linear(1.0, 0.0, 2))
    state = tx.init(jnp.ones(1))
    steps = []
    for _ in range(3):
        update, state = tx.update(jnp.ones(1), state)
        steps.append(float(update[0]))
    assert steps == [-1.0, -0.5, 0.0]


def test_schedules_compare_by_rule_and_numbers():
    assert schedules.exponential(0.1, 0.5) == schedules.exponential(0.1, 0.5)
    assert schedules.exponential(0.1, 0.5) != schedules.exponential(0.1, 0.4)
    assert schedules.exponential(0.1, 0.5) != schedules.linear(0.1, 0.5, 2)
    assert jax.tree.structure(schedules.exponential(0.1, 0.5)) == jax.tree.structure(schedules.exponential(0.2, 0.1))


def test_schedules_differentiate_by_their_numbers():
    slope = jax.grad(lambda rate: schedules.exponential(0.5, rate)(3))(0.2)
    np.testing.assert_allclose(slope, -3 * 0.5 * np.exp(-0.6), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.linear(1.0, 0.0, 0), "transition_steps must be a number > 0; got 0"),
        (lambda: schedules.step(1.0, 0.5, -3), "transition_steps must be a number > 0; got -3"),
        (lambda: schedules.exponential(1.0, -0.1), "decay_rate must be a number >= 0; got -0.1"),
        (lambda: schedules.exponential(float("nan"), 0.1), "init_value must be .* got nan"),
        (lambda: schedules.warmup(0.1, 0), "warmup_steps must be a number > 0; got 0"),
    ],
)
def test_bad_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
