"""Searches that cannot go on: bad φ, the longest step and a spent budget end with a stated result; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.linesearch import Status, armijo, exact, wolfe
from tests.linesearch.functions import BAD, SEARCHES, numbered, scipys_2, searched

pytestmark = pytest.mark.usefixtures("double_precision")

BUDGETS = {"armijo": 60, "wolfe": 30, "brent": 60, "golden": 60}


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


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("first", [1e-3, 4.0, 1e3])
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_no_budget_is_exceeded(name, first, budget):
    if name in ("brent", "golden"):
        budget = max(budget, 2)
    assert SEARCHES[name](max_evaluations=budget)(lambda a: (a - 1.0) ** 2, first).evaluations <= budget


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
