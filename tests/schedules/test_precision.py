"""Schedules over long runs, compiled, in both precisions: near their formulas, and changing at the very step."""

import math
from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course import schedules

STEPS = np.arange(100_001)


def recursion(t, alpha, rho):
    """Lecture 000's, one factor a step, in extended precision."""
    logs = np.cumsum(np.log1p(rho * np.arange(t[-1], dtype=np.longdouble)))
    return alpha * np.exp(-np.concatenate([[0], logs])).astype(float)


def position(t, period):
    """Whole periods, and the part of the present one: in integers, for periods of halves."""
    laps, rest = np.divmod(2 * t, int(2 * period))
    return laps, rest / (2 * period)


# name: numbers, and what they give, in float64
LONG = {
    "time_based": [(rate, lambda t, a, k: a / (1 + k * t)) for rate in ((0.7, 1e-8), (0.7, 0.03), (0.7, 2.0))],
    "exponential": [(rate, lambda t, a, k: a * np.exp(-k * t)) for rate in ((0.7, 1e-8), (0.7, 1e-5), (0.7, 1e-3))],
    "linear": [((0.9, 0.1, 37003.0), lambda t, a, b, n: a + np.minimum(t / n, 1) * (b - a))],
    "warmup": [((0.7, 30011.0, 0.1), lambda t, a, n, b: b + np.minimum(t / n, 1) * (a - b))],
    "join": [((0.7, 30011.0, 0.1), lambda t, a, n, b: np.where(t < n, a, b))],
    "step": [((0.7, 1e-3, T), lambda t, a, k, T: a * np.exp(-k * position(t, T)[0])) for T in (41.0, 1312.0, 12.5)],
    "triangular": [
        ((0.1, 0.7, T), lambda t, low, high, T: low + (high - low) * (1 - np.abs(2 * position(t, T)[1] - 1)))
        for T in (41.0, 1312.0, 12.5)
    ],
    "cosine": [
        ((0.1, 0.7, T), lambda t, low, high, T: low + (high - low) * (1 + np.cos(np.pi * position(t, T)[1])) / 2)
        for T in (41.0, 1312.0, 12.5)
    ],
    "recursive": [((0.7, rate), recursion) for rate in (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3, 0.04, 0.06, 0.5, 20.0)],
}
CASES = [
    pytest.param(
        name, *case, double, id=f"{name}{case[0]}, {'float64' if double else 'float32'}", marks=[pytest.mark.long][quick:]
    )
    for name, cases in LONG.items()
    for case in cases
    for double in (False, True)
    for quick in [name in ("recursive", "step") and case[0][1:] in ((1e-9,), (1e-7,), (0.06,), (1e-3, 41.0)) and not double]
]


def compiled(schedule, steps):
    """Its values, with its numbers as constants of the program and as the program's arguments."""
    as_arguments = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), schedule)
    yield jax.jit(jax.vmap(schedule))(jnp.asarray(steps))
    yield jax.jit(jax.vmap(lambda s, t: s(t), (None, 0)))(as_arguments, jnp.asarray(steps))


@pytest.mark.parametrize(("name", "numbers", "formula", "double"), CASES)
def test_schedule_is_near_its_formula_over_100_000_steps(name, numbers, formula, double):
    with jax.enable_x64(double):
        dtype = np.dtype(jnp.result_type(float))
        rounded = [float(dtype.type(number)) for number in numbers]
        expected = formula(STEPS, *rounded)
        logs = np.abs(np.log(np.maximum(expected, np.finfo(dtype).tiny)))  # e^x has |x| ulps of x's own rounding
        seen = expected > 100 * np.finfo(dtype).tiny
        for values in compiled(getattr(schedules, name)(*numbers), STEPS):
            ulps = np.abs(np.asarray(values, float) / np.where(seen, expected, 1) - 1) / np.finfo(dtype).eps
            assert (ulps[seen] <= 4 + 8 * logs[seen]).all()


some = lambda quick, others: [*quick, *(pytest.param(*np.atleast_1d(x).tolist(), marks=pytest.mark.long) for x in others)]


@pytest.mark.parametrize("rho", some([1e-8], [1e-9, 1e-7, 1e-6, 1e-5]))
def test_recursive_is_exact_as_far_as_it_is_felt(rho):
    steps = np.unique(np.linspace(0, math.sqrt(6 / rho), 400).astype(int))
    expected = recursion(np.arange(steps[-1] + 1), 1.0, rho)[steps]
    for values in compiled(schedules.recursive(1.0, rho), steps):
        np.testing.assert_allclose(values, expected, rtol=1e-6)
    with jax.enable_x64(True):
        for values in compiled(schedules.recursive(1.0, rho), steps):
            np.testing.assert_allclose(values, expected, rtol=1e-14)
        slope = lambda t: jax.grad(lambda rate: schedules.recursive(1.0, rate)(t))(rho)
        t = int(steps[200])
        exact = -expected[200] * np.sum(np.arange(t) / (1 + rho * np.arange(t)))
        np.testing.assert_allclose(slope(t), exact, rtol=1e-10)


def test_training_records_the_recursive_rate():
    problem = jc.problems.linear_regression(num_examples=16, num_features=1, condition_number=1)
    result = jc.fit(problem, jc.sgd(schedules.recursive(1e-3, 1e-7)), batch_size=1, steps=4_001)
    recorded = np.asarray(result.history["learning_rate"])
    np.testing.assert_allclose(recorded, recursion(np.arange(4_001), 1e-3, 1e-7)[: len(recorded)], rtol=1e-6)
    assert len(recorded) == 4_001


LAST = np.array([[1], [2], [3], [7], [101], [20_011]])


@pytest.mark.parametrize("double", [False, True])
def test_every_whole_period_ends_at_its_step(double):
    with jax.enable_x64(double):
        laps = jax.jit(jax.vmap(lambda s, t: jnp.log(s(t)) * -(2.0**7), (None, 0)))
        for period in range(1, 401):  # numbers as arguments: one program, which may divide all steps by one number
            at = np.concatenate([LAST[:, 0] * period - 1, LAST[:, 0] * period])
            at = at[at // period < 5000]
            steps = jnp.asarray(np.resize(at, 12))
            values = laps(schedules.step(jnp.ones(()), jnp.asarray(2.0**-7), jnp.asarray(float(period))), steps)
            np.testing.assert_array_equal(np.round(values), np.asarray(steps) // period, err_msg=str(period))


@pytest.mark.parametrize("period", some([41, 47], [55, 61, 82, 83, 94, 107, 109, 110, 115, 121, 122, 123, 397]))
def test_a_constant_period_ends_at_its_step(period):
    steps = np.concatenate([LAST[:, 0] * period - 1, LAST[:, 0] * period])[:11]
    for values in compiled(schedules.step(1.0, math.log(2), period), steps[steps // period < 120]):
        np.testing.assert_array_equal(np.round(-np.log2(values)), steps[steps // period < 120] // period)
    values, _ = compiled(schedules.cosine(0.0, 1.0, period), steps)
    np.testing.assert_array_equal(values[6:], 1.0)


@pytest.mark.parametrize("period", some([12.3], [0.5, 41.7]))
def test_a_period_that_rounds_ends_at_the_step_that_its_decimals_say(period):
    with localcontext() as context:
        context.prec = 50
        laps = [math.floor(Decimal(int(t)) / Decimal(str(period))) for t in range(5000)]
    for values in compiled(schedules.step(1.0, 2.0**-7, period), np.arange(5000)):
        np.testing.assert_array_equal(np.round(np.log(np.asarray(values, float)) * -(2.0**7)), laps)
    with jax.enable_x64(True):
        for values in compiled(schedules.step(1.0, 2.0**-7, period), np.arange(5000)):
            np.testing.assert_array_equal(np.round(np.log(np.asarray(values, float)) * -(2.0**7)), laps)


def test_batches_grow_at_the_pass_where_the_rate_would_have_fallen():
    grow = schedules.batch_size.from_decay(schedules.step(0.1, math.log(2), 41), 32, epochs=5, num_examples=1312)
    assert [grow(epoch) for epoch in range(5)] == [32, 64, 128, 256, 512]


def sgdr(low, high, period, multiplier, steps, ulp):
    """Loshchilov and Hutter's loop with 50 digits; a beginning less than an ulp behind a step is that step."""
    with localcontext() as context:
        context.prec = 50
        begin, length = Decimal(0), Decimal(period)
        for t in range(steps):
            if begin + length <= t * (1 + Decimal(ulp)):
                begin, length = begin + length, length * Decimal(multiplier)
            yield low + 0.5 * (high - low) * (1 + math.cos(math.pi * max(0.0, float((t - begin) / length))))


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(
    ("period", "multiplier"),
    some([(100, 1.01), (30, 1.0000005)], [(100, 1.0001), (30, 1.00001), (1000, 1.1), (50, 1.2), (10, 1.5), (3, 3), (41, 1)]),
)
def test_warm_restarts_begin_at_the_exact_step(period, multiplier, double):
    with jax.enable_x64(double):
        dtype = np.dtype(jnp.result_type(float)).type
        exact = np.array(list(sgdr(0.001, 0.5, period, float(dtype(multiplier)), 5001, float(np.finfo(dtype).eps))))
        for values in compiled(schedules.warm_restarts(0.001, 0.5, period, multiplier), np.arange(5001)):
            np.testing.assert_allclose(values, exact, atol=1e4 * np.finfo(dtype).eps * exact.max())
        for values in compiled(schedules.restarts(schedules.cosine(0.001, 0.5, period), period, multiplier), range(5001)):
            np.testing.assert_allclose(values, exact, atol=1e4 * np.finfo(dtype).eps * exact.max())
