"""Each schedule equals its formula, from step 0."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course import schedules

STEPS = np.arange(0, 60)


def recursion(alpha, rho):
    """Lecture 000's, one division a step."""
    values = [alpha]
    for t in range(len(STEPS) - 1):
        values.append(values[-1] / (1 + rho * t))
    return np.array(values)


def sgdr(low, high, period, multiplier):
    """Loshchilov and Hutter's loop: T_cur runs to T_i, then T_i grows."""
    now, length = 0, period
    for _ in STEPS:
        yield low + 0.5 * (high - low) * (1 + np.cos(np.pi * now / length))
        now += 1
        if now >= length:
            now, length = now - length, length * multiplier


def smith(low, high, stepsize, amplitude):
    """Smith's own formula, whose step size is half a period."""
    cycle = np.floor(1 + STEPS / (2 * stepsize))
    x = np.abs(STEPS / stepsize - 2 * cycle + 1)
    return low + amplitude(STEPS, cycle) * (high - low) * np.maximum(0, 1 - x)


FORMULAS = {
    "recursive": (schedules.recursive(0.7, 0.03), lambda t: recursion(0.7, 0.03)),
    "recursive, tiny rate": (schedules.recursive(0.7, 1e-9), lambda t: recursion(0.7, 1e-9)),
    "recursive, large rate": (schedules.recursive(0.7, 1.7), lambda t: recursion(0.7, 1.7)),
    "recursive, no decay": (schedules.recursive(0.7, 0.0), lambda t: np.full(t.shape, 0.7)),
    "time-based": (schedules.time_based(0.7, 0.03), lambda t: 0.7 / (1 + 0.03 * t)),
    "triangular": (schedules.triangular(0.1, 0.7, 14), lambda t: smith(0.1, 0.7, 7, lambda t, c: 1.0)),
    "triangular, fading": (
        schedules.triangular(0.1, 0.7, 14, schedules.exponential(1.0, 0.02)),
        lambda t: smith(0.1, 0.7, 7, lambda t, c: np.exp(-0.02 * t)),
    ),
    "triangular, halving": (
        schedules.triangular(0.1, 0.7, 14, schedules.step(1.0, np.log(2.0), 14)),
        lambda t: smith(0.1, 0.7, 7, lambda t, c: 0.5 ** (c - 1)),
    ),
    "cosine": (
        schedules.cosine(0.1, 0.7, 13),
        lambda t: 0.1 + 0.5 * 0.6 * (1 + np.cos(np.pi * (t % 13) / 13)),
    ),
    "warm restarts": (schedules.warm_restarts(0.1, 0.7, 3, 2), lambda t: np.array(list(sgdr(0.1, 0.7, 3, 2)))),
    "warm restarts, slow growth": (
        schedules.warm_restarts(0.1, 0.7, 10, 1.5),
        lambda t: np.array(list(sgdr(0.1, 0.7, 10, 1.5))),
    ),
    "warm restarts, equal periods": (schedules.warm_restarts(0.1, 0.7, 7, 1), lambda t: np.array(list(sgdr(0.1, 0.7, 7, 1)))),
    "restarts over a cosine": (
        schedules.restarts(schedules.cosine(0.1, 0.7, 3), 3, 2),
        lambda t: np.array(list(sgdr(0.1, 0.7, 3, 2))),
    ),
    "restarts, unstretched": (
        schedules.restarts(schedules.linear(0.8, 0.0, 40), 5, 3, stretch=False),
        lambda t: 0.8 * (1 - (t - np.select([t < 5, t < 20], [0, 5], 20)) / 40),
    ),
    "join": (
        schedules.join(schedules.linear(0.9, 0.1, 20), 12, 0.3),
        lambda t: np.where(t < 12, (1 - t / 20) * 0.9 + t / 20 * 0.1, 0.3),
    ),
    "constant": (schedules.constant(0.3), lambda t: np.full(t.shape, 0.3)),
    "linear": (schedules.linear(0.9, 0.1, 37), lambda t: np.where(t < 37, (1 - t / 37) * 0.9 + t / 37 * 0.1, 0.1)),
    "exponential": (schedules.exponential(0.7, 0.03), lambda t: 0.7 * np.exp(-0.03 * t)),
    "step": (schedules.step(0.7, 0.5, 7), lambda t: 0.7 * np.exp(-0.5 * (t // 7))),
    "scaled": (schedules.scaled(schedules.linear(0.9, 0.1, 20), 0.3), lambda t: 0.3 * (0.9 - 0.04 * np.minimum(t, 20))),
    "scaled by a schedule": (
        schedules.scaled(0.7, schedules.time_based(0.5, 0.1)),
        lambda t: 0.7 * 0.5 / (1 + 0.1 * t),
    ),
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
        values = jax.vmap(schedule)(jnp.asarray(STEPS))
    np.testing.assert_allclose(values, formula(STEPS), rtol=1e-13, atol=1e-80)  # e^{−205} has lost 8 bits to the exponent


@pytest.mark.parametrize("multiplier", [2, 3, 1.1])
def test_restarts_are_at_the_very_step_in_single_precision(multiplier):
    schedule = schedules.warm_restarts(0.0, 1.0, 10, multiplier)
    begins = np.ceil(np.cumsum([0.0] + [10 * multiplier**i for i in range(8)]))
    assert all(float(schedule(int(t))) > 0.97 for t in begins)
    assert all(float(schedule(int(t) - 1)) < 0.1 for t in begins[1:])


@pytest.mark.long
def test_every_schedule_differentiates_by_every_number_at_every_step():
    for name, (schedule, _) in FORMULAS.items():
        for t in (0, 1, 7, 30):
            slopes = jax.grad(lambda s, t=t: s(t), allow_int=True)(schedule)
            assert all(
                np.isfinite(np.asarray(x, float)).all() for x in jax.tree.leaves(slopes) if x.dtype != jax.dtypes.float0
            ), name


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
        (lambda: schedules.triangular(0.1, 0.5, 0), "period must be a number > 0; got 0"),
        (lambda: schedules.cosine(0.1, 0.5, -4), "period must be a number > 0; got -4"),
        (lambda: schedules.warm_restarts(0.1, 0.5, 4, 0.9), "multiplier must be a number >= 1; got 0.9"),
        (lambda: schedules.restarts(0.1, 4, 0.5), "multiplier must be a number >= 1; got 0.5"),
        (lambda: schedules.recursive(0.1, -0.5), "decay_rate must be a number >= 0; got -0.5"),
        (lambda: schedules.join(0.1, 0, 0.2), "boundary must be a number > 0; got 0"),
        (lambda: schedules.warmup(0.1, 0), "warmup_steps must be a number > 0; got 0"),
    ],
)
def test_bad_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_piecewise_is_a_list_of_stretches():
    rule = jc.schedules.piecewise(0.1, {3: jc.schedules.linear(1.0, 0.0, 4), 9: 0.01})
    expected = [0.1, 0.1, 0.1, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.01, 0.01]
    np.testing.assert_allclose([rule(t) for t in range(11)], expected, rtol=1e-6)
    theirs = optax.piecewise_constant_schedule(0.1, {4: 0.2, 7: 0.5})
    ours = jc.schedules.piecewise(0.1, {4: 0.02, 7: 0.01})
    np.testing.assert_allclose([ours(t) for t in range(10)], [theirs(t) for t in range(10)], rtol=1e-6)


@pytest.mark.parametrize(
    ("pieces", "error"), [({}, TypeError), ([0.1], TypeError), ({0: 0.1}, ValueError), ({-1: 0.1}, ValueError)]
)
def test_piecewise_refuses(pieces, error):
    with pytest.raises(error, match="piecewise: "):
        jc.schedules.piecewise(0.1, pieces)


@pytest.mark.parametrize(("drop", "n", "m"), [(False, 103, 10), (True, 103, 10), (False, 100, 10)])
def test_epochs_are_the_steps_that_fit_does(drop, n, m):
    problem = jc.problems.linear_regression(num_examples=n, num_features=2)
    examples = problem.num_examples
    result = jc.fit(problem, jc.sgd(0.01), batch_size=m, epochs=2, drop_remainder=drop)
    assert jc.schedules.epochs(2, problem, m, drop_remainder=drop) == result.steps
    assert jc.schedules.epochs(2, examples, m, drop_remainder=drop) == result.steps


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((-1, 100, 10), ValueError), ((1, 100, 101), ValueError), ((1, "digits", 10), TypeError), ((1, 100, 0), ValueError)],
)
def test_epochs_refuses(arguments, error):
    with pytest.raises(error, match="epochs: "):
        jc.schedules.epochs(*arguments)


def test_a_schedule_draws_itself():
    (line,) = jc.schedules.exponential(0.1, 0.01).plot(50).axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), 0.1 * np.exp(-0.01 * np.arange(50)), rtol=1e-5)


def test_only_what_is_to_be_scheduled_takes_a_schedule():
    with pytest.raises(TypeError, match="linear: transition_steps must be a number > 0; got linear"):
        schedules.linear(1.0, 0.0, schedules.linear(9.0, 3.0, 2))
    with pytest.raises(TypeError, match="join: boundary must be a number > 0; got linear"):
        schedules.join(0.1, schedules.linear(9.0, 3.0, 2), 0.2)
    with pytest.raises(TypeError, match=r"join: first must be .* or a schedule; got 'a'"):
        schedules.join("a", 3, 0.2)
