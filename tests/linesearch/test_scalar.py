"""Bracketing, Brent and golden section against scipy's, on its own test functions and on intervals without 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxopt_course.linesearch import Status, bracket, brent, golden

pytestmark = pytest.mark.usefixtures("double_precision")

METHODS = {"brent": brent, "golden": golden}


def scipys(x, a=1.5):
    """The function of scipy's own tests of scalar minimisers."""
    return (x - a) ** 2 - 0.8


# function, an interval with one minimum inside, and two points to begin a bracket with
FUNCTIONS = {
    "scipy's": (scipys, (-4.0, 11.0), (-3.0, -2.0)),
    "scipy's, right of 0": (lambda x: scipys(x, 42.0), (13.0, 57.0), (30.0, 31.0)),
    "scipy's, left of 0": (lambda x: scipys(x, -42.0), (-57.0, -13.0), (-30.0, -29.0)),
    "quartic": (lambda x: x**4 - 3 * x**3 + 2, (0.7, 5.0), (1.0, 1.2)),
    "waves": (lambda x: jnp.sin(x) + jnp.sin(10 * x / 3), (4.5, 5.6), (4.9, 5.0)),
    "kink": (lambda x: jnp.abs(x + 7.3), (-20.0, -3.0), (-5.0, -4.0)),
    "far away": (lambda x: jnp.cosh((x - 1e4) / 7), (9000.0, 10500.0), (9990.0, 9995.0)),
    "minimum at 0": (lambda x: x**2 * (1 + 0.1 * x), (-3.0, 4.0), (2.5, 2.0)),
}


def one_of_all(index):
    return lambda x: jax.lax.switch(index, [function for function, *_ in FUNCTIONS.values()], x)


# one program for all functions
at = jax.jit(lambda index, x: one_of_all(index)(x))
minimum = jax.jit(
    lambda method, index, low, high, start, rtol=1.5e-8: METHODS[method](one_of_all(index), low, high, start=start, rtol=rtol),
    static_argnums=0,
)
bracketed = jax.jit(lambda index, a, b: bracket(one_of_all(index), a, b))


def numbered(name):
    index = list(FUNCTIONS).index(name)
    return index, lambda x: float(at(index, float(x))), *FUNCTIONS[name][1:]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_minimum_in_an_interval_is_scipys(name, method):
    index, function, (low, high), _ = numbered(name)
    expected = optimize.minimize_scalar(function, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    found = minimum(method, index, low, high, None)
    assert found.status == Status.CONVERGED
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found.value, function(found.x), rtol=1e-13)
    assert found.value <= expected.fun + 1e-7


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_minimum_in_a_bracket_is_scipys(name, method):
    index, function, _, (a, b) = numbered(name)
    ends = bracketed(index, a, b)
    expected = optimize.minimize_scalar(function, bracket=(a, b), method=method, tol=1e-9)
    found = minimum(method, index, ends.low, ends.high, ends.middle)
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-7, atol=1e-7)
    assert int(ends.evaluations + found.evaluations) <= 1.3 * expected.nfev + 5


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_bracket_has_a_lower_middle_whichever_way_it_goes(name):
    index, function, _, points = numbered(name)
    found, back = bracketed(index, *points), bracketed(index, *points[::-1])
    np.testing.assert_allclose(back.values, found.values, rtol=1e-12)
    assert found.low < found.middle < found.high
    assert found.values[1] < found.values[0]
    assert found.values[1] <= found.values[2]
    np.testing.assert_allclose(found.values, [function(x) for x in found[:3]], rtol=1e-12)
    assert found.status == Status.CONVERGED


def test_golden_steps_of_a_bracket_are_scipys_without_its_parabolas():
    found = bracket(lambda x: scipys(x, 42.0), 3.0, 4.0)
    points, ratio = [3.0, 4.0], (1 + 5**0.5) / 2
    while len(points) < 3 or scipys(points[-1], 42.0) < scipys(points[-2], 42.0):
        points.append(points[-1] + ratio * (points[-1] - points[-2]))
    np.testing.assert_allclose(found[:3], points[-3:], rtol=1e-12)
    assert found.evaluations == len(points)


def numpy_golden(function, low, high, rtol, atol=1e-11):
    g, a, b = (3 - np.sqrt(5)) / 2, low, high
    x = a + g * (b - a)
    fx, used = function(x), 1
    while b - a > 2 * (rtol * abs(x) + atol):
        u = x + g * (b - x) if b - x > x - a else x - g * (x - a)
        fu, used = function(u), used + 1
        if fu < fx:
            a, b, x, fx = (x, b, u, fu) if u > x else (a, x, u, fu)
        else:
            a, b = (a, u) if u > x else (u, b)
    return x, used


@pytest.mark.parametrize("name", FUNCTIONS)
def test_golden_section_equals_its_transcription(name):
    index, function, (low, high), _ = numbered(name)
    rtol = 1e-5 if name == "minimum at 0" else 1e-4  # before rounding decides which of two points is lower
    x, used = numpy_golden(function, low, high, rtol, 1e-11)
    found = minimum("golden", index, low, high, None, rtol)
    np.testing.assert_allclose(found.x, x, rtol=1e-12)
    assert found.evaluations == used


@pytest.mark.parametrize("method", METHODS)
def test_evaluations_are_counted(method):
    calls = []

    def counted(x):
        calls.append(float(x))
        return scipys(x, 42.0)

    with jax.disable_jit():
        found = METHODS[method](counted, 13.0, 57.0, rtol=1e-2)
        assert found.evaluations == len(calls)
        calls.clear()
        assert bracket(counted, 3.0, 4.0).evaluations == len(calls)


@pytest.mark.parametrize("method", METHODS)
def test_vmap_is_a_loop(method):
    minimum = jax.jit(lambda a: METHODS[method](lambda x: jnp.cosh(x - a), 3.0, 3.0 + 2 * a))
    offsets = jnp.array([3.7, 5.5, 12.0])
    together = jax.vmap(minimum)(offsets)
    alone = [minimum(a) for a in offsets]
    np.testing.assert_allclose(together.x, [one.x for one in alone], rtol=1e-6)
    np.testing.assert_allclose(together.x, offsets, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_ends_at_what_values_can_tell(method):
    with jax.enable_x64(False):
        found = METHODS[method](lambda x: (x - 42.0) ** 2 + 1.0, 13.0, 57.0)
        assert found.x.dtype == jnp.float32
        assert found.status == Status.CONVERGED
        np.testing.assert_allclose(found.x, 42.0, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("function", "status"),
    [
        (lambda x: x * jnp.nan, Status.NON_FINITE),
        (lambda x: x + jnp.inf, Status.NON_FINITE),
        (lambda x: jnp.where(x > 20, jnp.nan, -x), Status.CONVERGED),
        (lambda x: 0 * x + 3.0, Status.CONVERGED),
        (lambda x: -x, Status.CONVERGED),
    ],
    ids=["nan", "inf", "nan beyond 20", "flat", "falling"],
)
def test_bad_functions_end_with_a_status(function, status, method):
    found = METHODS[method](function, 2.0, 30.0)
    assert found.status == status
    assert 2.0 <= found.x <= 30.0
    assert found.evaluations <= 100
    if status == Status.CONVERGED:
        assert jnp.isfinite(found.value)


def test_a_bracket_on_a_falling_or_bad_function_ends_by_its_budget():
    falling = bracket(lambda x: -x, 2.0, 3.0, max_evaluations=17)
    assert falling.status == Status.BUDGET
    assert falling.evaluations == 17
    assert bracket(lambda x: -x, 2.0, 3.0, max_evaluations=3).evaluations == 3
    assert bracket(lambda x: x * jnp.nan, 2.0, 3.0).status == Status.NON_FINITE
    assert bracket(lambda x: 0 * x, 2.0, 3.0).evaluations == 3


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_that_is_spent_is_said(method):
    found = METHODS[method](scipys, -4.0, 11.0, max_evaluations=5)
    assert found.status == Status.BUDGET
    assert found.evaluations == 5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: brent(3, 0.0, 1.0), TypeError, "brent: function must be a function of a scalar; got 3"),
        (lambda: brent(scipys, 3.0, 3.0), ValueError, r"brent: low must be less than high; got low=3\.0, high=3\.0"),
        (lambda: golden(scipys, 3.0, float("inf")), ValueError, "golden: high must be a finite number; got inf"),
        (lambda: brent(scipys, 1.0, 2.0, start=2.5), ValueError, r"brent: start must be between 1\.0 and 2\.0; got 2\.5"),
        (lambda: brent(scipys, 1.0, 2.0, rtol=-1.0), ValueError, r"brent: rtol must be a number >= 0; got -1\.0"),
        (lambda: brent(scipys, 1.0, 2.0, atol=0.0), ValueError, r"brent: atol must be a number > 0; got 0\.0"),
        (
            lambda: golden(scipys, 1, 2, max_evaluations=0),
            ValueError,
            "golden: max_evaluations must be an integer >= 1; got 0",
        ),
        (lambda: bracket(scipys, 1.0, 2.0, max_evaluations=2), ValueError, "max_evaluations must be an integer >= 3; got 2"),
        (lambda: bracket(scipys, 1.0, 1.0), ValueError, r"bracket: a and b must be different; got 1\.0 twice"),
        (lambda: bracket(scipys, "1", 2.0), TypeError, "bracket: a must be a finite number; got '1'"),
    ],
)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
