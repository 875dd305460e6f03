"""The searches along φ: what they promise holds on the step returned, as in scipy; bad φ end with a stated result."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import jaxopt_course as jc
from jaxopt_course.linesearch import Status, armijo, exact, wolfe


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def more_thuente_1(a, b=2.0):
    return -a / (a**2 + b)


def more_thuente_2(a, b=0.004):
    return (a + b) ** 5 - 2 * (a + b) ** 4


def more_thuente_3(a, b=0.01, periods=39):
    inside = jnp.where(a <= 1 - b, 1 - a, jnp.where(a >= 1 + b, a - 1, (a - 1) ** 2 / (2 * b) + b / 2))
    return inside + 2 * (1 - b) / (periods * jnp.pi) * jnp.sin(periods * jnp.pi / 2 * a)


def yanai(a, b1, b2):
    gamma = lambda b: jnp.sqrt(1 + b**2) - b
    return gamma(b1) * jnp.sqrt((1 - a) ** 2 + b2**2) + gamma(b2) * jnp.sqrt(a**2 + b1**2)


def scipys_1(s):
    """φ of scipy's own line-search tests, shifted so that it descends at 0."""
    return -s - s**3 + s**4


def scipys_2(s):
    return jnp.exp(-4 * s) + s**2


def scipys_3(s):
    return -jnp.sin(10 * s)


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def along(a, start, direction=None):
    x = jnp.asarray(start)
    d = -jax.grad(rosenbrock)(x) if direction is None else jnp.asarray(direction)
    return rosenbrock(x + a * d)


PHIS = {
    "scipy's 1": scipys_1,
    "scipy's 2": scipys_2,
    "scipy's 3": scipys_3,
    "Moré-Thuente 1": more_thuente_1,
    "Moré-Thuente 2": more_thuente_2,
    "Moré-Thuente 3": more_thuente_3,
    "Yanai 4": lambda a: yanai(a, 0.001, 0.001),
    "Yanai 5": lambda a: yanai(a, 0.01, 0.001),
    "Yanai 6": lambda a: yanai(a, 0.001, 0.01),
    "Rosenbrock": lambda a: along(a, [-1.2, 1.0, 0.7]),
    "Rosenbrock, another direction": lambda a: along(a, [1.3, 0.7, 0.8], [-1.0, 0.2, 0.5]),
}

BAD = {
    "nan at 0": (lambda a: a * jnp.nan, Status.NON_FINITE),
    "infinite at 0": (lambda a: a + jnp.inf, Status.NON_FINITE),
    "nan beyond 0": (lambda a: (jnp.where(a == 0, 1.0, jnp.nan), -1.0 + 0 * a), Status.NON_FINITE),
    "-inf beyond 0": (lambda a: (jnp.where(a == 0, 1.0, -jnp.inf), -1.0 + 0 * a), Status.NON_FINITE),
    "nan slope": (lambda a: (1.0 + a, a + jnp.nan), Status.NON_FINITE),
    "flat": (lambda a: 3.0 + 0 * a, Status.FLAT),
    "flat with a slope": (lambda a: (3.0 + 0 * a, -1.0 + 0 * a), Status.FLAT),
    "stationary": (lambda a: a**2, Status.FLAT),
    "ascending": (lambda a: 2 * a - a**2, Status.NOT_DESCENT),
    "wrong slope": (lambda a: (3.0 + a, -1.0 + 0 * a), Status.BUDGET),
}

OTHERS = {
    "parabola": lambda a: (a - 3.0) ** 2,
    "falling": lambda a: -a,
    "undefined from 1 on": lambda a: -jnp.log(1 - a) - 2 * a,
}

SEARCHES = {
    "armijo": functools.partial(armijo, max_evaluations=60),
    "wolfe": wolfe,
    "brent": exact,
    "golden": functools.partial(exact, method="golden"),
}
BUDGETS = {"armijo": 60, "wolfe": 30, "brent": 60, "golden": 60}

QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
FUNCTIONS = PHIS | OTHERS | {name: phi for name, (phi, _) in BAD.items()}


def paired(phi):
    def both(a):
        is_pair = isinstance(jax.eval_shape(phi, a), tuple)
        return tuple(jnp.asarray(x, a.dtype) for x in (phi(a) if is_pair else jax.value_and_grad(phi)(a)))

    return both


def one_of_all(index):
    return lambda a: jax.lax.switch(index, [paired(phi) for phi in FUNCTIONS.values()], a)


# one program for all functions
at = jax.jit(lambda index, a: one_of_all(index)(jnp.asarray(a, float)))
run = jax.jit(lambda search, index, step: search(one_of_all(index), step), compiler_options=QUICKLY)


def numbered(name):
    index = list(FUNCTIONS).index(name)
    return (lambda a: float(at(index, a)[0])), (lambda a: float(at(index, a)[1]))


def searched(search, name, step):
    return run(search, list(FUNCTIONS).index(name), step)


def is_wolfe(phi, slope, a, c1, c2):
    decreases = phi(a) <= phi(0.0) + c1 * a * slope(0.0) + 1e-14 * abs(phi(0.0))
    return decreases and abs(slope(a)) <= c2 * abs(slope(0.0))


@pytest.mark.long
@pytest.mark.parametrize("c", [(1e-4, 0.9), (1e-3, 0.1)])
@pytest.mark.parametrize("name", PHIS)
def test_strong_wolfe_conditions_hold_wherever_the_search_begins(name, c):
    phi, slope = numbered(name)
    for step in (1e-3, 0.1, 1.0, 10.0):
        found = searched(wolfe(*c), name, step)
        assert found.status == Status.CONVERGED, (step, found)
        assert is_wolfe(phi, slope, float(found.step_size), *c), (step, found)
        np.testing.assert_allclose(found.value, phi(found.step_size), rtol=1e-12)


@pytest.mark.parametrize("name", ["scipy's 1", "scipy's 2", "scipy's 3", "Rosenbrock", "Rosenbrock, another direction"])
def test_strong_wolfe_is_met_where_scipys_line_search_meets_it_with_as_few_evaluations(name):
    phi, slope = numbered(name)
    calls = []
    counted = lambda x: (calls.append(1), phi(x[0]))[1]
    theirs, *_ = optimize.line_search(counted, lambda x: np.array([slope(x[0])]), np.zeros(1), np.ones(1), c1=1e-4, c2=0.4)
    found = searched(wolfe(1e-4, 0.4), name, 1.0)
    assert is_wolfe(phi, slope, theirs, 1e-4, 0.4)
    assert is_wolfe(phi, slope, float(found.step_size), 1e-4, 0.4)
    assert int(found.evaluations) <= len(calls) + 2


def numpy_armijo(phi, slope, step, c1, factor):
    tried = [step]
    while not phi(tried[-1]) <= phi(0.0) + c1 * tried[-1] * slope(0.0):
        tried.append(tried[-1] * factor)
    return tried[-1], len(tried)


@pytest.mark.parametrize("c", [(1e-4, 0.5), (0.4, 0.8)])
@pytest.mark.parametrize("name", PHIS)
def test_armijo_equals_its_transcription(name, c):
    for start in (0.05, 3.0):
        step, tried = numpy_armijo(*numbered(name), start, *c)
        found = searched(SEARCHES["armijo"](*c), name, start)
        assert found.status == Status.CONVERGED
        np.testing.assert_allclose(found.step_size, step, rtol=1e-12)
        assert found.evaluations == tried + 1  # and φ(0) with φ′(0)


@pytest.mark.parametrize("method", ["brent", pytest.param("golden", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", PHIS)
def test_exact_search_ends_at_a_minimum_below_the_start(name, method):
    phi, slope = numbered(name)
    found = searched(exact(method=method), name, 0.3)
    a = float(found.step_size)
    assert found.status == Status.CONVERGED
    assert found.value < phi(0.0)
    near = optimize.minimize_scalar(phi, bounds=(0.98 * a, 1.02 * a), method="bounded", options={"xatol": 1e-12})
    np.testing.assert_allclose(found.value, near.fun, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(a, near.x, rtol=2e-5)  # Yanai's functions are that flat at their minimum
    assert abs(slope(a)) <= 1e-4 * abs(slope(0.0)) or abs(slope(a)) < 1e-5


def test_exact_search_on_a_quadratic_is_cauchys_step():
    """[B7] α = gᵀg / gᵀHg."""
    h, x = jnp.array([1.0, 7.0, 0.3]), jnp.array([1.5, -2.0, 0.7])
    g = h * x
    found = jax.jit(lambda step: exact()(lambda a: 0.5 * jnp.sum(h * (x - a * g) ** 2), step))(3.0)
    np.testing.assert_allclose(found.step_size, g @ g / (g @ (h * g)), rtol=1e-7)


@pytest.mark.parametrize("name", SEARCHES)
def test_evaluations_are_counted_and_known_values_are_not_asked_for_again(name):
    calls = []

    def phi(a):
        if not isinstance(a, jax.core.Tracer):  # asked for its shape only
            calls.append(float(a))
        return jnp.exp(-4 * a) + a**2, -4 * jnp.exp(-4 * a) + 2 * a

    with jax.disable_jit():
        found = SEARCHES[name]()(phi, 3.0)
        assert calls[0] == 0.0
        assert found.evaluations == len(calls)
        total = len(calls)
        calls.clear()
        same = SEARCHES[name]()(phi, 3.0, value=1.0, slope=-4.0)
        assert same.evaluations == len(calls) == total - 1
    assert same.step_size == found.step_size
    assert float(found.step_size) in calls


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", SEARCHES)
def test_bad_functions_take_no_step_and_say_why(name, case):
    _, status = BAD[case]
    found = searched(SEARCHES[name](), case, 0.7)
    allowed = {status, Status.FLAT} if case == "wrong slope" else {status}  # so near 0 that φ is φ(0) to rounding
    assert Status(int(found.status)) in allowed
    assert found.step_size == 0.0
    assert found.evaluations <= BUDGETS[name]
    np.testing.assert_equal(float(found.value), numbered(case)[0](0.0))


@pytest.mark.parametrize("name", ["wolfe", "brent", "golden"])
def test_a_function_that_falls_forever_ends_at_the_longest_step(name):
    found = searched(SEARCHES[name](max_step=50.0), "falling", 0.3)
    assert (found.status, found.step_size, found.value) == (Status.MAX_STEP, 50.0, -50.0)


@pytest.mark.parametrize("name", SEARCHES)
def test_no_step_is_longer_than_the_longest(name):
    found = searched(SEARCHES[name](max_step=0.2), "parabola", 7.0)
    assert found.step_size == pytest.approx(0.2)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_step_into_nan_is_shortened(name):
    found = searched(SEARCHES[name](), "undefined from 1 on", 9.0)
    assert found.status == Status.CONVERGED
    assert 0 < found.step_size < 1
    assert found.value < 0


@pytest.mark.parametrize("name", SEARCHES)
def test_a_spent_budget_leaves_the_best_point_or_none(name):
    options = {"wolfe": {"c2": 1e-3}, "armijo": {"c1": 0.99}}.get(name, {})
    phi = lambda a: jnp.cosh(a - 3.0)
    found = SEARCHES[name](**options, max_evaluations=3)(phi, 4.0)
    assert found.status == Status.BUDGET
    assert found.evaluations == 3
    assert found.value <= phi(0.0)
    np.testing.assert_allclose(found.value, phi(found.step_size), rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("name", ["armijo", "wolfe", "brent"])
def test_vmap_is_a_loop_and_jit_is_eager(name):
    search = lambda b, step: SEARCHES[name]()(lambda a: jnp.cosh(a - b) + 0.1 * a, step)
    offsets, steps = jnp.array([0.5, 2.0, -1.0, 7.0]), jnp.array([3.0, 0.1, 1.0, 20.0])
    alone = jax.jit(search, compiler_options=QUICKLY)
    together = jax.jit(jax.vmap(search), compiler_options=QUICKLY)(offsets, steps)
    assert together.status.tolist() == [Status.CONVERGED, Status.CONVERGED, Status.NOT_DESCENT, Status.CONVERGED]
    for i, (offset, step) in enumerate(zip(offsets, steps, strict=True)):
        one = alone(offset, step)
        assert (one.status, one.evaluations) == (together.status[i], together.evaluations[i])
        np.testing.assert_allclose(one.step_size, together.step_size[i], rtol=1e-7)
    if name == "armijo":  # eager loops compile as slowly as all else together
        np.testing.assert_allclose(search(offset, step).step_size, one.step_size, rtol=1e-7)


@pytest.mark.long
def test_vmap_over_a_searchs_numbers_is_a_loop():
    steps = jax.jit(lambda c2: wolfe(1e-4, c2)(lambda a: jnp.cosh(a - 3.0), 0.1).step_size)
    values = jnp.array([0.9, 0.3, 0.01])
    together = jax.vmap(steps)(values)
    np.testing.assert_allclose(together, [steps(c) for c in values], rtol=1e-12)
    assert len(set(np.asarray(together))) == 3


def test_noise_keeps_rounding_from_refusing_a_good_step():
    """Float32: φ(0) = 1000 hides the decrease; the slopes show it."""
    with jax.enable_x64(False):
        phi = lambda a: (1000.0 + 0 * a, 1e-4 * (a - 1.0))
        for rule in (armijo, wolfe):
            search = jax.jit(lambda noise, rule=rule: rule(noise=noise)(phi, 0.9))
            assert search(0.0).step_size == 0.0
            found = search(1e-6)
            assert (found.status, found.step_size) == (Status.CONVERGED, np.float32(0.9))


def test_a_search_is_a_pytree_whose_numbers_do_not_retrace():
    traces = []

    @jax.jit
    def run(search):
        traces.append(1)
        return search(scipys_2, 1.0).step_size

    run(wolfe()), run(wolfe(0.01, 0.2)), run(wolfe(max_step=3.0))
    assert len(traces) == 1
    run(wolfe(max_evaluations=7))
    assert len(traces) == 2
    assert wolfe() == wolfe() != wolfe(c2=0.8)
    assert repr(armijo()).startswith("armijo(c1=0.0001, decrease_factor=0.5")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: armijo(0.0), ValueError, r"armijo: c1 must be a number in \(0, 1\); got 0\.0"),
        (lambda: armijo(decrease_factor=1.0), ValueError, r"armijo: decrease_factor must be a number in \(0, 1\); got 1\.0"),
        (lambda: armijo(noise=-1.0), ValueError, "armijo: noise must be a number >= 0"),
        (lambda: wolfe(0.5, 0.1), ValueError, r"wolfe: c1 must be less than c2; got c1=0\.5, c2=0\.1"),
        (lambda: wolfe(np.float32(0.5), 0.1), ValueError, "wolfe: c1 must be less than c2"),
        (lambda: armijo(jc.schedules.constant(5.0)), ValueError, r"armijo: c1 at step 0 must be a number in \(0, 1\)"),
        (lambda: wolfe(max_step=float("inf")), ValueError, "wolfe: max_step must be a number > 0; got inf"),
        (lambda: wolfe(max_evaluations=0), ValueError, "wolfe: max_evaluations must be an integer >= 1; got 0"),
        (lambda: wolfe(c3=0.1), TypeError, r"wolfe: unknown argument 'c3' \(known: c1, c2"),
        (lambda: exact(method="brend"), ValueError, "exact: unknown method 'brend'; did you mean 'brent'?"),
        (lambda: exact(max_evaluations=1), ValueError, "exact: max_evaluations must be an integer >= 2; got 1"),
        (lambda: exact(rtol=0.0), ValueError, r"exact: rtol must be a number > 0; got 0\.0"),
        (lambda: exact()(scipys_2, 0.0), ValueError, r"exact: initial_step must be a number > 0; got 0\.0"),
        (
            lambda: armijo(max_step=jc.schedules.linear(1.0, 0.0, 3))(scipys_2),
            TypeError, "armijo: a number follows a schedule, and a search alone has no steps",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("first", [1e-3, 4.0, 1e3])
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_no_budget_is_exceeded(name, first, budget):
    if name in ("brent", "golden"):
        budget = max(budget, 2)
    assert SEARCHES[name](max_evaluations=budget)(lambda a: (a - 1.0) ** 2, first).evaluations <= budget
