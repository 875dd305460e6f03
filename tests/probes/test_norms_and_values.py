"""Norms, angles and decreases are those of the path that NumPy takes; over the split they are the whole split's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc

P = jc.probes
EXACT = {"rtol": 1e-12, "atol": 1e-13}


def test_norms_angles_and_decreases_are_the_paths(curve, alpha):
    probes = [P.gradient_norm(), P.update_norm(), P.gradient_angle(), P.decrease(), P.predicted_decrease()]
    history = curve.fit(probes, steps=6)  # the fourth batch is ragged
    path = curve.path(6)
    batches = [curve.batch(step) for step in range(6)]
    gradients = np.array([curve.gradient(theta, at) for theta, at in zip(path, batches, strict=False)])
    norms = np.linalg.norm(gradients, axis=1)
    np.testing.assert_allclose(history.gradient_norm, norms, **EXACT)
    np.testing.assert_allclose(history.update_norm, alpha * norms, **EXACT)
    cosines = (gradients[1:] * gradients[:-1]).sum(1) / (norms[1:] * norms[:-1])
    np.testing.assert_allclose(history.gradient_angle[1:], np.degrees(np.arccos(cosines)), rtol=1e-11)
    assert np.isnan(history.gradient_angle[0])
    np.testing.assert_allclose(history.predicted_decrease, -alpha * norms**2, **EXACT)
    values = [[curve.objective(path[t + s], batches[t]) for s in (0, 1)] for t in range(6)]
    np.testing.assert_allclose(history.decrease, np.diff(values)[:, 0], rtol=1e-11, atol=1e-14)


def test_a_look_ahead_decreases_from_where_it_stands(curve):
    """Nesterov's gradient is taken elsewhere than θ; ΔL is between θ and the next θ."""
    theta = P.Probe("theta", lambda at: jax.flatten_util.ravel_pytree(at.params)[0])
    point = P.Probe("point", lambda at: jax.flatten_util.ravel_pytree(at.point)[0])
    probes = [theta, point, P.decrease(), P.predicted_decrease(), P.gradient_norm()]
    history = curve.fit(probes, optimizer=jc.nesterov(0.02, 0.9), steps=5)
    thetas, points = history.theta.values, history.point.values
    assert not np.allclose(thetas[1:], points[1:])
    for t in range(4):
        values = [curve.objective(thetas[t + s], curve.batch(t)) for s in (0, 1)]
        gradient = curve.gradient(points[t], curve.batch(t))
        np.testing.assert_allclose(history.decrease[t], values[1] - values[0], rtol=1e-10)
        np.testing.assert_allclose(history.predicted_decrease[t], gradient @ (thetas[t + 1] - thetas[t]), rtol=1e-11)
        np.testing.assert_allclose(history.gradient_norm[t], np.linalg.norm(gradient), rtol=1e-12)


@pytest.mark.parametrize(("chunk", "scalar"), [(8, False), (1000, False), (8, True)])
def test_over_the_split_all_examples_count_once(curve, coupled, chunk, scalar):
    probes = [P.gradient_norm(over="train", chunk=chunk), P.suboptimality(0.25, every=2, chunk=chunk)]
    history = curve.fit(probes, steps=3, **({"loss": coupled} if scalar else {}))
    path = curve.path(3)[:3]
    np.testing.assert_allclose(history.gradient_norm, [np.linalg.norm(curve.gradient(t)) for t in path], **EXACT)
    above = [curve.objective(t) - 0.25 for t in path]
    np.testing.assert_allclose(history.suboptimality, [above[0], np.nan, above[2]], **EXACT)


def test_suboptimality_of_a_problem_with_a_known_minimum_falls_to_zero():
    problem = jc.problems.linear_regression(num_examples=60, num_features=3)
    above = P.suboptimality(problem.optimum(), over="batch")
    history = jc.fit(problem, jc.sgd(0.1), sampler=jc.samplers.full(), steps=3000, probes=above).history
    assert history.suboptimality[0] > 0.1
    assert abs(float(history.suboptimality[-1])) < 1e-12
    np.testing.assert_allclose(history.suboptimality, history.objective - problem.optimum().objective, atol=1e-13)


def test_the_angle_is_exact_near_0_and_180_degrees():
    """Where the arc cosine of a float32 product has no digits left: gradients (1, s) with s from 10⁻³ to 1.1 · 10⁻³."""
    start = np.array([0.0, 10.0], np.float32)
    descent = jc.minimize(lambda x: x[0] - 5e-5 * x[1] ** 2, jc.sgd(1000.0), start=start, steps=2, probes=P.gradient_angle())
    slopes = np.array([1e-3, 1e-4 * (10.0 + 1.0)])
    assert descent.history.gradient_angle.dtype == np.float32
    np.testing.assert_allclose(descent.history.gradient_angle[1], np.degrees(np.diff(np.arctan(slopes))[0]), rtol=1e-3)
    start = np.array([1.0, 2.0], np.float32)
    back = jc.minimize(lambda x: jnp.sum(x**2), jc.sgd(0.9), start=start, steps=3, probes=P.gradient_angle())
    np.testing.assert_allclose(back.history.gradient_angle[1:], 180.0, rtol=1e-6)


def test_a_zero_gradient_has_no_angle():
    flat = jc.minimize(lambda x: 0.0 * x, jc.sgd(0.1), start=1.0, steps=2, probes=P.gradient_angle())
    assert np.isnan(flat.history.gradient_angle).all()


def test_every_k_steps_the_angle_is_between_gradients_k_apart(curve):
    history = curve.fit(P.gradient_angle(every=2), steps=5)
    path = curve.path(5)
    first, third = (curve.gradient(path[t], curve.batch(t)) for t in (0, 2))
    cosine = first @ third / np.linalg.norm(first) / np.linalg.norm(third)
    assert np.isnan(history.gradient_angle.values).tolist() == [True, True, False, True, False]
    np.testing.assert_allclose(history.gradient_angle[2], np.degrees(np.arccos(cosine)), rtol=1e-11)
