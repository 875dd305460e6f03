"""Every surface: its minima, its values in the literature, precisions, transformations, and what its points may be."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import jaxopt_course as jc
from jaxopt_course import surfaces
from jaxopt_course.problems.surfaces import SURFACES
from jaxopt_course.training.step import TRACES
from jaxopt_course.types import Positive

NAMED = pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
EVERYWHERE = {  # also in more dimensions, with numbers of their own, and rotated
    **SURFACES,
    "rosenbrock in 5": surfaces.rosenbrock.replace(dimension=5, steepness=7.0),
    "rastrigin in 3": surfaces.rastrigin.replace(dimension=3, amplitude=4.0),
    "ackley in 4": surfaces.ackley.replace(dimension=4),
    "styblinski_tang in 3": surfaces.styblinski_tang.replace(dimension=3),
    "rotated bowl": surfaces.quadratic((0.5, 20.0), 0.7, (3.0, -1.0)),
    "bowl in 3": surfaces.quadratic((1.0, 2.0, 3.0), center=0.5, rotation=np.linalg.qr(np.arange(9.0).reshape(3, 3) ** 2).Q),
}

# By hand, or from the literature: (point, value).
VALUES = {
    "quadratic": ((1.0, 2.0), 0.5 * (1 + 10 * 4)),
    "saddle": ((3.0, 2.0), 5.0),
    "monkey_saddle": ((2.0, 3.0), 8 - 54.0),
    "local_optimum": ((-1.0, 2.0), -5 / 12 + 2),
    "piecewise_quadratic": ((1.5,), 0.5 * 2.25 + 36 - 12),
    "not_differentiable": ((1.0, 2.0), 0.4),
    "continuous_gradient": ((1.0, 2.0), 0.8),
    "discontinuous_gradient": ((0.6 / np.pi, 0.8 / np.pi), 0.0),
    "rosenbrock": ((-1.2, 1.0), 24.2),
    "beale": ((0.0, 0.0), 14.203125),
    "branin": ((0.0, 0.0), 36 + 10 * (1 - 1 / (8 * np.pi)) + 10),
    "himmelblau": ((-0.270845, -0.923039), 181.617),  # the local maximum
    "rastrigin": ((0.5, 1.0), 20.25 + 1.0),
    "ackley": ((1.0, 1.0), -20 * np.exp(-0.2) + 20),
    "styblinski_tang": ((2.7468, 2.7468), 2 * -25.0294),  # the shallowest minimum
    "booth": ((-1.0, 2.0), 16 + 25.0),
}


@jax.jit
def compiled(surface, point):
    return surface(point), jax.grad(surface)(point), jax.hessian(surface)(point)


@jax.jit
def compiled_values(surface, points):
    return jax.vmap(surface)(points)


def derivatives(surface, point):
    """Value, gradient and Hessian in float64; compiled once for a surface."""
    with jax.enable_x64(True):
        return jax.device_get(compiled(surface, np.asarray(point, float)))


def values(surface, points):
    with jax.enable_x64(True):
        return np.asarray(compiled_values(surface, points))


def grid(surface):
    """About 3 600 points inside the bounds."""
    axes = (np.linspace(*pair, 61) for pair in surface.bounds)
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, surface.dimension)


@pytest.mark.parametrize("surface", EVERYWHERE.values(), ids=EVERYWHERE)
def test_the_gradient_is_zero_at_each_minimum_and_the_hessian_positive_definite(surface):
    for point in surface.minima:
        value, gradient, hessian = derivatives(surface, point)
        assert value == pytest.approx(surface.minimum, abs=1e-12)
        assert np.linalg.norm(gradient) < 1e-8
        assert surface.degenerate or np.linalg.eigvalsh(hessian).min() > 0.1


@NAMED
def test_minima_are_global_inside_the_bounds_and_only_where_there_are_any(surface):
    points = grid(surface)
    assert np.isfinite(values(surface, points)).all()
    assert (values(surface, points) >= surface.minimum - 1e-12).all()
    assert bool(len(surface.minima)) == np.isfinite(surface.minimum)
    inside = (surface.bounds[:, 0] <= surface.minima) & (surface.minima <= surface.bounds[:, 1])
    assert inside.all()
    if not len(surface.minima):
        assert values(surface, 1e4 * points).min() < -100


@NAMED
def test_the_start_is_inside_the_bounds_with_something_to_descend(surface):
    start, bounds = surface.start, surface.bounds
    assert start.shape == (surface.dimension,)
    assert ((bounds[:, 0] <= start) & (start <= bounds[:, 1])).all()
    value, gradient, _ = derivatives(surface, start)
    assert np.linalg.norm(gradient) > 1e-3
    assert value > surface.minimum + 0.01


@pytest.mark.parametrize(("name", "point", "value"), [(name, *pair) for name, pair in VALUES.items()], ids=VALUES)
def test_values_are_the_literatures(name, point, value):
    assert VALUES.keys() == SURFACES.keys()
    assert derivatives(SURFACES[name], point)[0] == pytest.approx(value, rel=1e-5, abs=1e-12)


def test_rosenbrock_is_scipys_in_any_dimension():
    for point in ([0.3, -0.7], [1.5, 2.0, -0.5, 0.25, 3.0]):
        value, gradient, _ = derivatives(surfaces.rosenbrock, point)
        assert value == pytest.approx(scipy.optimize.rosen(point), rel=1e-14)
        np.testing.assert_allclose(gradient, scipy.optimize.rosen_der(np.array(point)), rtol=1e-13)


@NAMED
def test_precision_is_the_points_and_float32_agrees_with_float64(surface):
    single = jax.jit(surface)(jnp.asarray(surface.start, jnp.float32))
    double = derivatives(surface, surface.start)[0]
    assert (single.dtype, double.dtype) == (jnp.float32, np.float64)
    assert single == pytest.approx(float(double), rel=2e-5, abs=2e-5)
    with jax.enable_x64(True):
        assert jax.eval_shape(surface, jax.ShapeDtypeStruct((surface.dimension,), jnp.float32)).dtype == jnp.float32


@NAMED
def test_vmap_is_a_loop(surface):
    points = grid(surface)
    some = slice(None, None, len(points) // 7)
    one_by_one = np.array([derivatives(surface, point)[0] for point in points[some]])
    np.testing.assert_allclose(values(surface, points)[some], one_by_one, rtol=1e-13, atol=1e-14)


@NAMED
def test_a_surface_says_what_it_is(surface):
    assert len(surface.source) > 20
    assert surface.__doc__
    assert surface == SURFACES[surface.name]
    assert repr(surface).startswith(surface.name + "(")


def test_numbers_are_leaves_so_equal_rules_share_compiled_code():
    traces = []

    @jax.jit
    def value(surface, x):
        traces.append(surface)
        return surface(x)

    x = jnp.array([1.0, 2.0])
    values = [value(surfaces.quadratic(numbers, angle), x) for numbers, angle in [((1.0, 2.0), 0.0), ((3.0, 5.0), np.pi / 2)]]
    np.testing.assert_allclose(values, [0.5 * (1 + 8), 0.5 * (5 * 1 + 3 * 4)], rtol=1e-6)
    assert len(traces) == 1
    assert surfaces.quadratic((1.0, 2.0)) == surfaces.quadratic([1.0, 2.0])
    assert surfaces.quadratic((1.0, 2.0)) != surfaces.quadratic((1.0, 3.0))
    by_eigenvalues = jax.jit(jax.grad(lambda numbers: surfaces.quadratic(numbers)(x)))(jnp.array([1.0, 4.0]))
    np.testing.assert_allclose(by_eigenvalues, [0.5, 2.0])


def test_minimize_compiles_once_for_surfaces_that_differ_in_numbers():
    @surfaces.surface(minima=[(1.0, 1.0)], minimum=0.0, bounds=[(-2, 2)], start=(-1.0, 2.0), source="made up for this test")
    def valley(x, steepness: Positive = 1.0):
        return steepness * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    before = TRACES["run_chunk"]
    for steepness in (1.0, 2.0, 3.0):
        surface = valley.replace(steepness=steepness)
        np.testing.assert_allclose(
            jc.minimize(surface, jc.momentum(0.02, 0.9), start=surface.start, steps=500).params, 1.0, atol=1e-3
        )
    assert TRACES["run_chunk"] - before == 1


def test_nesterov_comes_down_rosenbrocks_valley_from_a_plain_start():
    path = jc.minimize(jc.surfaces.rosenbrock, jc.nesterov(1e-3), start=(-1.5, 2.0), steps=2000)
    np.testing.assert_allclose(path.params, [1.0, 1.0], atol=1e-3)


def hessian_of(surface):
    return derivatives(surface, np.full(surface.dimension, 0.3))[2]


def test_a_quadratic_has_the_chosen_eigenvalues_axes_and_center():
    hessian = hessian_of(surfaces.quadratic((2.0, 9.0), 0.4, (1.0, -2.0)))
    first = np.array([np.cos(0.4), np.sin(0.4)])
    np.testing.assert_allclose(hessian @ first, 2.0 * first, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), [2.0, 9.0], rtol=1e-12)
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4))).Q
    surface = surfaces.quadratic((1.0, -2.0, 3.0, 4.0), rotation=rotation)
    np.testing.assert_allclose(hessian_of(surface), rotation @ np.diag([1.0, -2.0, 3.0, 4.0]) @ rotation.T, atol=1e-12)
    assert surface.minima.shape == (0, 4)
    assert surface.minimum == -np.inf
    assert surfaces.quadratic((0.0, 2.0)).degenerate


def test_a_quadratics_numbers_are_replaced_as_they_are_given():
    turned = surfaces.quadratic((1.0, 4.0), 0.3)
    changed = turned.replace(eigenvalues=[1.0, 3.0], center=[1.0, 2.0])
    expected = surfaces.quadratic((1.0, 3.0), 0.3, (1.0, 2.0))
    assert changed == expected
    assert float(changed([0.5, -1.0])) == float(expected([0.5, -1.0]))
    np.testing.assert_allclose(changed.minima, [[1.0, 2.0]])
    q = np.linalg.qr(np.arange(9.0).reshape(3, 3) + np.eye(3)).Q
    three = surfaces.quadratic((1.0, 2.0, 3.0), rotation=np.eye(3)).replace(rotation=q, eigenvalues=(3.0, 2.0, 1.0))
    assert float(three([1.0, 2.0, 4.0])) == float(surfaces.quadratic((3.0, 2.0, 1.0), rotation=q)([1.0, 2.0, 4.0]))


def test_points_come_as_lists_integers_or_a_single_number():
    assert surfaces.booth((1, 3)) == 0
    assert surfaces.booth(np.array([0, 0])) == 74
    assert surfaces.piecewise_quadratic(2.0) == surfaces.piecewise_quadratic([2.0]) == 38


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: surfaces.beale([1.0, 2.0, 3.0]), ValueError, r"beale: a point must have shape \(2,\); got shape \(3,\)"),
        (lambda: surfaces.rosenbrock([1.0]), ValueError, "rosenbrock: a point must have any number of coordinates from 2 on"),
        (lambda: surfaces.quadratic((1.0,) * 3)(1.0), ValueError, r"quadratic: a point must have shape \(3,\)"),
        (
            lambda: jc.minimize(surfaces.branin, jc.sgd(0.1), start=(1.0, 2.0, 3.0)),
            ValueError,
            r"branin: a point must have shape \(2,\); got shape \(3,\)",
        ),
        (lambda: surfaces.rosenbrock.replace(steep=3.0), TypeError, "unknown argument 'steep'; did you mean 'steepness'"),
        (lambda: surfaces.rosenbrock.replace(steepness=-1.0), ValueError, "steepness must be a number > 0; got -1.0"),
        (lambda: surfaces.rosenbrock.replace(dimension=1), ValueError, "dimension must be an integer >= 2; got 1"),
        (lambda: surfaces.booth.replace(dimension=3), ValueError, "booth: dimension must be 2; got 3"),
        (lambda: surfaces.quadratic((1.0, np.inf)), ValueError, "eigenvalues must be finite numbers"),
        (lambda: surfaces.rosenbrock("ab"), TypeError, r"rosenbrock: a point must be numbers \[d\]; got 'ab'"),
        (
            lambda: surfaces.quadratic().replace(eigenvalues=2.0),
            ValueError,
            r"eigenvalues must be d >= 1 numbers; got shape \(\)",
        ),
        (
            lambda: surfaces.quadratic().replace(eigenvalues=[1.0, 2, 3]),
            ValueError,
            "eigenvalues must be 2 numbers, as before",
        ),
        (lambda: surfaces.quadratic().replace(center=[1.0] * 3), ValueError, "center must be one number or a point of 2"),
        (lambda: surfaces.quadratic((1.0, 2.0)).replace(angle="a"), TypeError, "angle must be a finite number; got 'a'"),
        (lambda: surfaces.quadratic(3.0), ValueError, r"eigenvalues must be d >= 1 numbers; got shape \(\)"),
        (
            lambda: surfaces.quadratic((1.0, 2.0), center=(1.0, 2.0, 3.0)),
            ValueError,
            "center must be one number or a point of 2",
        ),
        (lambda: surfaces.quadratic((1.0, 2.0, 3.0), 0.3), ValueError, "an angle rotates two dimensions; for 3 give rotation"),
        (lambda: surfaces.quadratic((1.0, 2.0), rotation=np.ones((2, 2))), ValueError, "rotation must be orthogonal"),
        (lambda: surfaces.quadratic((1.0, 2.0), rotation=np.eye(3)), ValueError, r"rotation must have shape \(2, 2\)"),
        (lambda: surfaces.quadratic((1.0, 2.0), 0.5, rotation=np.eye(2)), ValueError, "give angle or rotation, not both"),
        (lambda: surfaces.quadratic(("a", "b")), TypeError, "eigenvalues must be finite numbers; got"),
    ],
)
def test_bad_points_and_numbers_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
