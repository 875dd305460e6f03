"""Gradient noise: its mean and covariance, batches, evaluations without it, compiled code shared; and what is refused."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course import surfaces
from jaxopt_course.problems.surfaces import noisy
from jaxopt_course.training.step import TRACES

SIGMA = np.array([[0.5, -0.3], [-0.3, 0.8]])
DRAWS = 20_000


def gradients(problem, point, batch_size=1):
    """The stochastic gradient of the mean loss, for many keys."""
    batch = jax.tree.map(lambda leaf: leaf[:batch_size], problem.data.train)
    return np.asarray(compiled_gradients(problem.objective, jnp.asarray(point, jnp.float32), batch), float)


@functools.partial(jax.jit, static_argnums=0)
def compiled_gradients(objective, point, batch):
    def loss(x, key):
        return objective(x, {}, batch, key=key, train=True).losses.mean()

    return jax.vmap(jax.grad(loss), (None, 0))(point, jax.random.split(jax.random.key(5), DRAWS))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_gradient_is_unbiased_and_its_covariance_is_sigma_over_the_batch(batch_size):
    point = np.array([1.0, -0.5])
    drawn = gradients(noisy(surfaces.quadratic((2.0, 5.0)), SIGMA, num_examples=4), point, batch_size)
    covariance = SIGMA / batch_size
    margin = 4.5 * np.sqrt(np.diag(covariance) / DRAWS)  # 4.5 standard errors of the mean
    assert (np.abs(drawn.mean(axis=0) - [2.0, -2.5]) < margin).all()
    spread = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / DRAWS)  # of each sample covariance
    assert (np.abs(np.cov(drawn.T) - covariance) < 4.5 * spread).all()


def test_one_number_is_an_isotropic_covariance_and_a_singular_one_is_accepted():
    drawn = gradients(noisy(surfaces.quadratic(), 0.25), np.zeros(2))
    np.testing.assert_allclose(np.cov(drawn.T), 0.25 * np.eye(2), atol=4.5 * 0.25 * np.sqrt(2 / DRAWS))
    singular = gradients(noisy(surfaces.quadratic(), [[1.0, 2.0], [2.0, 4.0]]), np.zeros(2))
    np.testing.assert_allclose(singular[:, 1], 2 * singular[:, 0], rtol=1e-3, atol=1e-4)


def test_the_recorded_loss_and_evaluations_are_the_surface_itself():
    problem = noisy(surfaces.quadratic((2.0, 5.0)), SIGMA, start=(1.0, 2.0))
    result = jc.fit(problem, jc.sgd(0.001), steps=50)
    assert result.history.loss[0] == pytest.approx(11.0, rel=1e-6)
    assert result.evaluate("train")["loss"] == pytest.approx(float(surfaces.quadratic((2.0, 5.0))(result.params)), rel=1e-6)


def test_a_fixed_rate_ends_at_the_noise_floor_of_the_theory():
    rate, variance = 0.1, 0.04
    problem = noisy(surfaces.quadratic((1.0, 3.0), 0.5), variance)
    history = jc.fit(problem, jc.sgd(rate), steps=20_000).history
    floor = sum(0.5 * rate * variance / (2 - rate * curvature) for curvature in (1.0, 3.0))  # Σ ½λ·Var, Var of an AR(1)
    assert float(history.loss[1000:].mean()) == pytest.approx(floor, rel=0.1)


def test_steps_draw_fresh_noise_and_keys_repeat_it():
    problem = noisy(surfaces.quadratic((1.0, 1.0)), 1.0)
    first, again, other = (jc.fit(problem, jc.sgd(0.1), steps=50, key=key).params for key in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_other_covariances_and_numbers_share_compiled_code():
    @surfaces.surface(minima=[(0.0, 0.0)], minimum=0.0, bounds=[(-1, 1)], start=(1.0, 0.5), source="made up for this test")
    def bowl(x, height=1.0):
        return height * jnp.sum(x**2)

    before = TRACES["run_chunk"]
    for scale, height in [(0.1, 1.0), (0.7, 3.0)]:
        jc.fit(noisy(bowl.replace(height=height), scale), jc.sgd(0.01), steps=50)
    assert TRACES["run_chunk"] - before == 1


def test_the_noisy_path_can_be_watched():
    path = []
    problem = noisy(surfaces.quadratic(), 0.1)
    result = jc.fit(problem, jc.sgd(0.05), steps=20, evaluate=1, callbacks=lambda moment: path.append(moment.params))
    np.testing.assert_allclose(path[0], problem.init(jax.random.key(0))[0])
    np.testing.assert_allclose(path[-1], result.params)
    assert len(path) == 21


def test_any_function_of_a_point_can_be_noisy():
    problem = noisy(lambda x: jnp.sum((x - 2.0) ** 2), 0.01, start=[0.0, 0.0, 0.0])
    np.testing.assert_allclose(gradients(problem, np.zeros(3)).mean(axis=0), -4.0, atol=4.5 * np.sqrt(0.01 / DRAWS))
    assert noisy(surfaces.piecewise_quadratic, 0.1).init(jax.random.key(0))[0].shape == (1,)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((surfaces.booth, [[1.0, 2.0], [2.0, 1.0]]), ValueError, "positive semi-definite; its least eigenvalue is -1"),
        ((surfaces.booth, -0.5), ValueError, "positive semi-definite; its least eigenvalue is -0.5"),
        ((surfaces.booth, [[1.0, 0.5], [0.0, 1.0]]), ValueError, "covariance must be symmetric"),
        ((surfaces.booth, np.eye(3)), ValueError, r"shape \(2, 2\), as points have 2 coordinates; got shape \(3, 3\)"),
        ((surfaces.booth, [1.0, 2.0]), ValueError, r"covariance must be one number or have shape \(2, 2\)"),
        ((surfaces.booth, np.nan), ValueError, "covariance must be finite numbers; got nan"),
        ((surfaces.booth, "much"), TypeError, "covariance must be finite numbers; got 'much'"),
        ((surfaces.booth, 0.1, (1.0, 2.0, 3.0)), ValueError, r"booth: a point must have shape \(2,\); got shape \(3,\)"),
        ((surfaces.booth, 0.1, (1.0, np.inf)), ValueError, "start must be finite numbers"),
        ((surfaces.booth, 0.1, np.eye(2)), ValueError, r"start must be a point, \[d\]; got shape \(2, 2\)"),
        ((jnp.sum, 0.1), TypeError, "start must be given for a function that is no surface"),
        ((3.0, 0.1), TypeError, "function must be a surface or a function of a point; got 3.0"),
        ((jnp.sin, 0.1, (1.0, 2.0)), ValueError, r"function must return a scalar; at the start it returns shape \(2,\)"),
        ((lambda x: jnp.log(-jnp.sum(x**2)), 0.1, (1.0, 2.0)), ValueError, "function must be finite at the start; it is nan"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    function, covariance, *start = arguments
    with pytest.raises(error, match=message):
        noisy(function, covariance, start=start[0] if start else None)


def test_the_number_of_examples_is_checked():
    with pytest.raises(ValueError, match="num_examples must be an integer >= 1; got 0"):
        noisy(surfaces.booth, 0.1, num_examples=0)
