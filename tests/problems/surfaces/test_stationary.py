"""Stationary points: all of them where they are known, told apart; and what is refused."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_course import surfaces
from jaxopt_course.problems.surfaces import classify, stationary_points


def kinds(found):
    return {kind: sum(point.kind == kind for point in found) for kind in {point.kind for point in found}}


def test_himmelblaus_nine_are_found_and_told_apart():
    found = stationary_points(surfaces.himmelblau)
    assert kinds(found) == {"minimum": 4, "saddle": 4, "maximum": 1}
    minima = np.array(sorted(point.point.tolist() for point in found if point.kind == "minimum"))
    np.testing.assert_allclose(minima, np.array(sorted(surfaces.himmelblau.minima.tolist())), atol=1e-9)
    assert found[-1].value == pytest.approx(181.6165, rel=1e-6)
    np.testing.assert_allclose(found[-1].point, [-0.270845, -0.923039], atol=1e-6)
    assert [point.value for point in found] == sorted(point.value for point in found)
    assert max(point.gradient_norm for point in found) < 1e-6


def test_separable_quartics_have_a_product_of_points():
    roots = np.sort(np.roots([4, 0, -32, 5]).real)  # of one coordinate: minimum, maximum, minimum
    found = stationary_points(surfaces.styblinski_tang)
    assert kinds(found) == {"minimum": 4, "saddle": 4, "maximum": 1}
    expected = np.array([[a, b] for a in roots for b in roots])
    np.testing.assert_allclose(sorted(point.point.tolist() for point in found), expected, atol=1e-9)


def test_eigenvalues_are_the_hessians_and_decide():
    found = classify(surfaces.quadratic((-3.0, 2.0), 0.4, (1.0, 2.0)), (1.0, 2.0))
    np.testing.assert_allclose(found.eigenvalues, [-3.0, 2.0], rtol=1e-12)
    assert (found.kind, found.value, found.gradient_norm) == ("saddle", 0.0, 0.0)
    assert classify(surfaces.quadratic((-3.0, -2.0)), (0.0, 0.0)).kind == "maximum"
    assert classify(surfaces.quadratic((3.0, 0.0)), (0.0, 0.0)).kind == "degenerate"
    assert classify(surfaces.quadratic((3.0, 0.0, -1.0)), (0.0, 0.0, 0.0)).kind == "saddle"
    assert classify(surfaces.monkey_saddle, (0.0, 0.0)).kind == "degenerate"


def test_a_point_that_is_not_stationary_shows_it():
    found = classify(surfaces.booth, (1.0, 2.0))
    assert (found.kind, found.gradient_norm) == ("not stationary", pytest.approx(np.hypot(8, 10)))
    assert classify(surfaces.himmelblau, [1.0, 1.0]).kind == "not stationary"
    assert classify(lambda x: 1e-9 * jnp.sum(x), [1.0, 1.0]).kind == "not stationary"
    assert classify(surfaces.himmelblau, [3.58443, -1.84813]).kind == "minimum"  # as one writes it down


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_a_functions_unit_does_not_matter(scale):
    scaled = lambda x: scale * surfaces.himmelblau(x)
    assert kinds(stationary_points(scaled, surfaces.himmelblau.bounds)) == {"minimum": 4, "saddle": 4, "maximum": 1}
    assert stationary_points(lambda x: scale * jnp.sum(x), [(-1, 1)] * 2) == []
    assert kinds(stationary_points(lambda x: scale * surfaces.monkey_saddle(x), [(-1, 1)] * 2)) == {"degenerate": 1}
    assert classify(lambda x: scale * surfaces.saddle(x), (0.0, 0.0)).kind == "saddle"
    assert classify(lambda x: scale * x[0] ** 2 + 0 * x[1], (0.0, 0.0)).kind == "degenerate"


def test_any_function_on_a_box_in_any_dimension():
    found = stationary_points(lambda x: jnp.sum(x**4 / 4 - x**2 / 2), [(-2, 2)] * 3)
    assert kinds(found) == {"minimum": 8, "maximum": 1, "saddle": 18}


def test_points_outside_the_box_are_left_out():
    assert kinds(stationary_points(surfaces.himmelblau, [(1, 5), (1, 5)])) == {"minimum": 1}


def test_singular_hessians_do_not_stop_the_search():
    assert all(abs(point.point.sum()) < 1e-6 for point in stationary_points(surfaces.quadratic((2.0, 0.0), np.pi / 4)))
    assert stationary_points(lambda x: jnp.sum(x), [(-1, 1), (-1, 1)]) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: stationary_points(3.0, [(0, 1)]), TypeError, "function must be a surface or a function of a point; got 3.0"),
        (lambda: stationary_points(jnp.sum), TypeError, "bounds must be given for a function that is no surface"),
        (lambda: stationary_points(jnp.sin, [(0, 1)]), ValueError, r"function must return a scalar; .* shape \(1,\)"),
        (lambda: stationary_points(jnp.sum, [(0, 1, 2)]), ValueError, r"bounds must be d pairs \(low, high\)"),
        (lambda: stationary_points(jnp.sum, [(1, 0)]), ValueError, r"low < high; got \[\[1.0, 0.0\]\]"),
        (lambda: stationary_points(jnp.sum, [(0, np.inf)]), ValueError, "bounds must be finite numbers"),
        (lambda: stationary_points(surfaces.booth, [(0, 1)] * 3), ValueError, r"booth: a point must have shape \(2,\)"),
        (lambda: stationary_points("f"), TypeError, "function must be a surface or a function of a point; got 'f'"),
        (lambda: stationary_points(surfaces.booth, tolerance="a"), TypeError, "tolerance must be a number > 0; got 'a'"),
        (lambda: stationary_points(surfaces.booth, seed="a"), TypeError, "seed must be an integer >= 0; got 'a'"),
        (lambda: classify(surfaces.booth, (1.0, 3.0), tolerance="a"), TypeError, "tolerance must be a number >= 0; got 'a'"),
        (lambda: stationary_points(surfaces.booth, starts=0), ValueError, "starts must be an integer >= 1; got 0"),
        (
            lambda: stationary_points(lambda x: jnp.sum(jnp.log(x)), [(-2, -1)]),
            ValueError,
            "function must be finite with its gradient; it is at none of 400 starts",
        ),
        (lambda: classify(surfaces.booth, (1.0, np.nan)), ValueError, "point must be finite numbers"),
        (lambda: classify(surfaces.booth, np.eye(2)), ValueError, r"point must be \[d\]; got shape \(2, 2\)"),
        (lambda: classify(lambda x: jnp.sum(1 / x), (0.0, 1.0)), ValueError, "function must be finite with its second deriv"),
        (lambda: classify(lambda x: x, (0.0, 1.0)), ValueError, "classify: function must return a scalar"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
