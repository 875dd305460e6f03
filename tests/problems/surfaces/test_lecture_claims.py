"""What the lectures say of these surfaces: heavy ball cycles, partial derivatives are not enough, momentum leaves."""

from __future__ import annotations

from fractions import Fraction

import jax
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course import surfaces

CYCLE = [Fraction(792, 1225), Fraction(-2208, 1225), Fraction(2592, 1225)]


def slope(x):
    """The derivative in Lessard, Recht & Packard 2016, in exact arithmetic."""
    return 25 * x if x < 1 else x + 24 if x < 2 else 25 * x - 24


def test_heavy_balls_cycle_is_one_in_exact_arithmetic():
    for before, here, after in zip(CYCLE, CYCLE[1:] + CYCLE[:1], CYCLE[2:] + CYCLE[:2], strict=True):
        assert here - Fraction(1, 9) * slope(here) + Fraction(4, 9) * (here - before) == after


def test_heavy_ball_cycles_on_the_piecewise_quadratic_where_nesterov_and_descent_converge():
    with jax.enable_x64(True):
        surface = surfaces.piecewise_quadratic
        for start in (3.07, 3.3, 3.46):
            ball = jc.minimize(surface, jc.momentum(1 / 9, 4 / 9), start=start, steps=300)
            last = np.sort(np.asarray(ball.points[-3:], float))
            np.testing.assert_allclose(last, np.sort([float(x) for x in CYCLE]), atol=1e-12)
            np.testing.assert_allclose(ball.points[-1], ball.points[-4], atol=1e-12)
        for optimizer in (jc.nesterov(1 / 25, 2 / 3), jc.sgd(2 / 26)):
            assert abs(jc.minimize(surface, optimizer, start=3.3, steps=600).params) < 1e-12


def test_the_piecewise_quadratics_gradient_is_the_papers_and_continuous():
    xs = np.array([-2.0, 0.5, 1.0, 1.25, 2.0, 3.3])
    np.testing.assert_allclose(
        jax.jit(jax.vmap(jax.grad(surfaces.piecewise_quadratic)))(xs), [slope(x) for x in xs], rtol=1e-6
    )


@jax.jit
def values_and_gradients(surface, points):
    return jax.vmap(jax.value_and_grad(surface))(points)


def directional_derivatives(surface, angles, step=1e-7):
    with jax.enable_x64(True):
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.asarray(values_and_gradients(surface, step * directions)[0]) / step


ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
THREE = ("not_differentiable", "continuous_gradient", "discontinuous_gradient")


@pytest.mark.parametrize("name", THREE)
def test_partial_derivatives_at_the_origin_are_zero_by_limits_and_by_jax(name):
    along_axes = directional_derivatives(surfaces.SURFACES[name], ANGLES)[:: len(ANGLES) // 4]
    np.testing.assert_allclose(along_axes, 0, atol=1e-6)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(values_and_gradients(surfaces.SURFACES[name], np.zeros((24, 2)))[1], 0)


def test_with_partial_derivatives_only_the_directional_ones_are_not_linear():
    measured = directional_derivatives(surfaces.not_differentiable, ANGLES)
    np.testing.assert_allclose(measured, np.cos(ANGLES) ** 2 * np.sin(ANGLES), atol=1e-12)
    assert np.abs(measured).max() > 0.35  # the gradient at the origin, zero, says 0 for all directions


@pytest.mark.parametrize("name", ["continuous_gradient", "discontinuous_gradient"])
def test_the_differentiable_ones_have_all_directional_derivatives_zero(name):
    for step in (1e-3, 1e-6):
        assert np.abs(directional_derivatives(surfaces.SURFACES[name], ANGLES, step)).max() <= step


@pytest.mark.parametrize(("name", "continuous"), [(THREE[0], False), (THREE[1], True), (THREE[2], False)])
def test_only_the_continuous_gradient_tends_to_the_one_at_the_origin(name, continuous):
    radii = np.geomspace(1e-3, 1e-4, len(ANGLES))
    with jax.enable_x64(True):
        points = np.stack([0.6 * radii, 0.8 * radii], axis=1)
        norms = np.linalg.norm(values_and_gradients(surfaces.SURFACES[name], points)[1], axis=1)
    assert (norms <= 2 * radii).all() if continuous else norms.max() > 0.3


def test_momentum_leaves_the_local_minimum_where_descent_stays():
    surface = surfaces.local_optimum
    stays = jc.minimize(surface, jc.sgd(0.01), start=surface.start, steps=3000)
    leaves = jc.minimize(surface, jc.momentum(0.01, 0.95), start=surface.start, steps=3000)
    np.testing.assert_allclose(stays.params, [-1.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(leaves.params, [2.0, 0.0], atol=1e-3)


def test_descent_started_on_the_ridge_stops_at_the_saddle():
    stuck = jc.minimize(surfaces.saddle, jc.sgd(0.1), start=(1.5, 0.0), steps=300)
    np.testing.assert_allclose(stuck.params, [0.0, 0.0], atol=1e-6)
    assert surfaces.classify(surfaces.saddle, stuck.params).kind == "saddle"
