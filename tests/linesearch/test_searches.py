"""The searches along φ: what they promise holds on the step returned, as in scipy, also under vmap and through noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxopt_course.linesearch import Status, armijo, exact, wolfe
from tests.linesearch.functions import PHIS, QUICKLY, SEARCHES, numbered, scipys_2, searched

pytestmark = pytest.mark.usefixtures("double_precision")


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
