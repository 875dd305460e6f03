"""Descent on functions without data: the path is the one of the equations, criteria end it, bad input is refused."""

from __future__ import annotations

import importlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

import jaxopt_course as jc

HESSIAN = np.array([[3.0, 0.5], [0.5, 1.0]])
TARGET = np.array([1.0, -2.0])


def bowl(x):
    return 0.5 * (x - TARGET) @ jnp.asarray(HESSIAN) @ (x - TARGET)


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_the_path_is_gradient_descents(traced):
    descent = jc.minimize(bowl, jc.sgd(0.2), start=(3.0, 0.5), steps=25)
    path = [np.array([3.0, 0.5])]
    for _ in range(25):
        path.append(path[-1] - 0.2 * HESSIAN @ (path[-1] - TARGET))
    np.testing.assert_allclose(descent.points, path, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(descent.params, path[-1], rtol=1e-4, atol=1e-5)
    values = [0.5 * (p - TARGET) @ HESSIAN @ (p - TARGET) for p in path]
    np.testing.assert_allclose(descent.history.loss, values[:-1], rtol=1e-4, atol=1e-6)
    assert descent.value == pytest.approx(values[-1], abs=1e-6)
    norms = [np.linalg.norm(HESSIAN @ (p - TARGET)) for p in path[:-1]]
    np.testing.assert_allclose(descent.history.gradient_norm, norms, rtol=1e-3, atol=1e-5)
    assert (descent.steps, descent.stopped) == (25, "budget of steps done")


def test_look_ahead_nesterov_takes_its_gradient_ahead():
    descent = jc.minimize(bowl, jc.nesterov(0.05, 0.8), start=(3.0, 0.5), steps=12)
    x, m = np.array([3.0, 0.5]), np.zeros(2)
    for _ in range(12):
        m = 0.8 * m + 0.05 * HESSIAN @ (x - 0.8 * m - TARGET)
        x = x - m
    np.testing.assert_allclose(descent.params, x, rtol=1e-4)


def test_other_numbers_lengths_and_starts_of_one_function_compile_once(traced):
    for rate, steps, start in [(0.1, 30, (1.0, 2.0)), (0.2, 64, (3.0, 1.0)), (0.05, 50, (0.0, 0.0))]:
        jc.minimize(bowl, jc.momentum(rate, 0.5), start=start, steps=steps)
    assert traced("run_chunk") == 1


@pytest.mark.parametrize("form", [(1, 2), [1.0, 2.0], np.array([1, 2]), jnp.array([1, 2]), np.array([1.0, 2.0])])
def test_a_start_is_a_point_of_floats_whatever_it_came_as(form):
    descent = jc.minimize(bowl, jc.sgd(0.2), start=form, steps=3)
    assert descent.params.dtype == jnp.float32
    np.testing.assert_array_equal(descent.points[0], [1.0, 2.0])
    np.testing.assert_allclose(descent.params, jc.minimize(bowl, jc.sgd(0.2), start=(1.0, 2.0), steps=3).params)


def test_a_number_or_a_tree_is_a_start_too():
    assert float(jc.minimize(lambda x: (x - 2) ** 2, jc.sgd(0.25), start=5, steps=30).params) == pytest.approx(2.0)
    tree = (jnp.ones(2), {"b": jnp.zeros((3, 1))})
    descent = jc.minimize(lambda t: jnp.sum(t[0] ** 2) + jnp.sum((t[1]["b"] - 1) ** 2), jc.sgd(0.25), start=tree, steps=40)
    np.testing.assert_allclose(descent.params[1]["b"], np.ones((3, 1)), rtol=1e-5)
    assert descent.history["x/1/b"].shape == (41, 3, 1)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(tree))


def test_float64_is_kept_where_it_is_enabled():
    with jax.enable_x64(True):
        descent = jc.minimize(lambda x: (x[0] - 0.1) ** 2 + 2 * (x[1] + 0.3) ** 2, jc.sgd(0.2), start=[3.0, 0.5], steps=200)
        np.testing.assert_allclose(descent.params, [0.1, -0.3], rtol=1e-14)


def test_gradient_norm_ends_the_descent_at_the_step():
    descent = jc.minimize(bowl, jc.sgd(0.2), start=(3.0, 0.5), steps=500, stop=jc.stopping.gradient_norm(1e-3))
    norms = descent.history.gradient_norm.values
    assert norms[-1] <= 1e-3 < norms[-2]
    assert descent.steps == len(norms) == len(descent.points) - 1 < 500
    assert descent.stopped == "gradient norm <= 0.001"


def test_relative_decrease_ends_the_descent():
    flat = lambda x: 5.0 + bowl(x)
    descent = jc.minimize(flat, jc.sgd(0.2), start=(3.0, 0.5), steps=500, stop=jc.stopping.relative_decrease(1e-4))
    losses = descent.history.loss.values.astype(float)
    falls = (losses[:-1] - losses[1:]) / losses[:-1]
    assert falls[-1] <= 1e-4 < falls[-2]


def test_a_descent_that_leaves_the_numbers_ends_and_says_so():
    descent = jc.minimize(rosenbrock, jc.sgd(0.1), start=(-1.5, 2.0), steps=1000)
    assert descent.steps < 20
    assert re.fullmatch(rf"value (inf|nan) at step {descent.steps}", descent.stopped)
    assert np.isfinite(descent.history.loss.values[:-1]).all()


@pytest.mark.parametrize("stop", [(), jc.stopping.relative_decrease(1e-3)])
def test_chunks_are_invisible(monkeypatch, traced, stop):
    fall = lambda: jc.minimize(bowl, jc.adam(0.05), start=(3.0, 0.5), steps=150, stop=stop, probes=jc.probes.update_norm())
    whole, before = fall(), traced("run_chunk")
    monkeypatch.setattr(importlib.import_module("jaxopt_course.training.minimize"), "CHUNK", 32)
    parts = fall()
    assert traced("run_chunk") == before + 1
    assert (parts.steps, parts.stopped) == (whole.steps, whole.stopped)
    assert parts.steps == 150 or 64 < parts.steps < 150
    xr.testing.assert_equal(parts.history, whole.history)
    np.testing.assert_array_equal(parts.params, whole.params)


def test_optaxs_lbfgs_falls_at_every_step_and_reaches_rosenbrocks_minimum():
    descent = jc.minimize(rosenbrock, optax.lbfgs(), start=(-1.5, 2.0), steps=60)
    assert (np.diff(descent.history.loss.values) <= 1e-6).all()
    np.testing.assert_allclose(descent.params, [1.0, 1.0], atol=1e-2)


def test_the_history_names_the_coordinates_and_plots():
    descent = jc.minimize(bowl, jc.momentum(0.1, 0.5), start=(3.0, 0.5), steps=10)
    assert descent.history.x.dims == ("point", "x_0")
    np.testing.assert_allclose(descent.history.momentum, [0.5] * 10)
    assert descent.plot() is not None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "minimize: steps must be an integer from 1 to 2147483647; got 0"),
        ({"steps": 2**31}, ValueError, "minimize: steps must be an integer from 1 to 2147483647; got 2147483648"),
        ({"start": (np.nan, 1.0)}, ValueError, "minimize: start must be finite; got [nan  1.]"),
        ({"start": "ab"}, TypeError, "minimize: start must be numbers, or a pytree of arrays of them; got 'ab'"),
        ({"start": {"w": (1.0, "a")}}, TypeError, "minimize: start['w'][1] must be numbers"),
        ({"start": (1.0, "a")}, TypeError, "minimize: start must be numbers"),
        ({"start": None}, TypeError, "minimize: start must be numbers, or a pytree of arrays of them; got None"),
        ({"function": 3.0}, TypeError, "minimize: function must be a function of the parameters; got 3.0"),
        ({"function": lambda x: None}, TypeError, "function must return a real number; at the start it returns None"),
        ({"function": lambda x: 1j * x[0]}, TypeError, "must return a real number; at the start it returns Array(0.+3.j"),
        ({"function": lambda x: x}, ValueError, "must return a scalar; at the start it returns shape (2,)"),
        (
            {"function": lambda x: jnp.log(-(x[0] ** 2))},
            ValueError,
            "minimize: function must be finite at the start; it is nan",
        ),
        ({"optimizer": jc.sgd}, TypeError, "minimize: optimizer must be a gradient transformation"),
        (
            {"stop": jc.stopping.early_stopping()},
            TypeError,
            "minimize: stop takes criteria from jc.stopping: gradient_norm(...)",
        ),
        ({"stop": jc.stopping.budget(seconds=1)}, TypeError, "relative_decrease(...); got Budget"),
    ],
)
def test_bad_arguments_are_refused(change, error, message, traced):
    arguments = {"function": bowl, "optimizer": jc.sgd(0.1), "start": (3.0, 0.5), **change}
    with pytest.raises(error, match=re.escape(message)):
        jc.minimize(arguments.pop("function"), arguments.pop("optimizer"), **arguments)
    assert traced("run_chunk") == 0


def test_a_schedule_that_leaves_its_interval_within_the_descent_is_refused(traced):
    rate = lambda step: 0.5 - 0.0625 * step
    with pytest.raises(ValueError, match=r"minimize: sgd's learning_rate must be a number >= 0 .* at step 9 it is -0.0625"):
        jc.minimize(lambda x: jnp.sum(x**2), jc.sgd(rate), start=[1.0], steps=100)
    assert traced("run_chunk") == 0
    jc.minimize(lambda x: jnp.sum(x**2), jc.sgd(rate), start=[1.0], steps=9)


@pytest.mark.parametrize(
    "function", [lambda x: float(np.sum(x**2)), lambda x: jnp.sum(x**2) if x[0] > 0 else x[1], lambda x: np.asarray(x).sum()]
)
def test_a_function_that_cannot_be_traced_is_told_so(function):
    with pytest.raises(TypeError, match="minimize: function must be one that JAX can trace"):
        jc.minimize(function, jc.sgd(0.1), start=[1.0, 2.0])
