"""Averages equal their sums, are what gets evaluated, and leave training alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

STEPS, START = 60, np.array([1.5, -2.0])


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def walk(tx):
    """The parameters after each update, and what is to be evaluated then."""
    noise = np.random.default_rng(3).normal(size=(STEPS, 2))
    theta, points, averages = jnp.asarray(START), [], []
    state, update = tx.init(theta), jax.jit(tx.update)
    for xi in noise:
        steps, state = update(jnp.asarray(np.array([1.0, 5.0]) * np.asarray(theta) + xi), state, theta)
        theta = optax.apply_updates(theta, steps)
        points.append(np.asarray(theta))
        averages.append(np.asarray(jc.eval_params(state, theta)))
    return np.array(points), np.array(averages)


def numpy_average(points, weight_of):
    """Σ wᵢθᵢ / Σ wᵢ, summed afresh after each update."""
    rows = []
    for k in range(1, len(points) + 1):
        w = np.array([weight_of(k, i) for i in range(1, k + 1)])
        rows.append((w[:, None] * points[:k]).sum(0) / w.sum())
    return np.array(rows)


@pytest.mark.parametrize("start", [0, 7])
def test_polyak_ruppert(double, start):
    points, averages = walk(jc.averaged(jc.momentum(0.05, 0.8), start=start))
    np.testing.assert_array_equal(averages[:start], points[:start])
    np.testing.assert_allclose(averages[start:], numpy_average(points[start:], lambda k, i: 1.0), rtol=1e-12)


def test_exponential(double):
    points, averages = walk(jc.averaged(jc.adam(0.05), 0.9))
    np.testing.assert_allclose(averages, numpy_average(points, lambda k, i: 0.9 ** (k - i)), rtol=1e-12)


def test_exponential_without_correction_keeps_the_start(double):
    points, averages = walk(jc.averaged(jc.sgd(0.05), 0.9, bias_correction=False))
    mean = START
    for point, average in zip(points, averages, strict=True):
        mean = 0.9 * mean + 0.1 * point
        np.testing.assert_allclose(average, mean, rtol=1e-12)


@pytest.mark.parametrize("inner", [jc.nesterov(0.05, 0.8), optax.adam(0.05)], ids=["look-ahead", "optax"])
def test_training_is_left_alone(double, inner):
    np.testing.assert_array_equal(walk(jc.averaged(inner))[0], walk(inner)[0])


def test_the_average_has_less_of_the_noise():
    """SGD's last iterate hovers around the minimum; the average of its tail comes closer [F5]."""
    noise = jax.random.normal(jax.random.key(0), (4000, 64))
    tx = jc.averaged(jc.sgd(0.2), start=500)

    def step(carry, xi):
        theta, state = carry
        steps, state = tx.update(theta + xi, state, theta)
        return (optax.apply_updates(theta, steps), state), None

    theta = jnp.ones(64)
    (theta, state), _ = jax.lax.scan(step, (theta, tx.init(theta)), noise)
    last, mean = jnp.mean(theta**2), jnp.mean(jc.eval_params(state, theta) ** 2)
    # exactly: α/(2 − α) = 0.111, and about 1/3500 = 0.0003
    assert mean < 0.01 * last


def test_fit_evaluates_the_average():
    problem = jc.problems.linear_regression(num_examples=80, num_features=3)
    result = jc.fit(problem, jc.averaged(jc.sgd(0.1)), batch_size=8, epochs=3)
    average = jc.eval_params(result.state.opt_state, result.state.params)
    jax.tree.map(np.testing.assert_array_equal, result.params, average)
    assert not np.array_equal(*(jax.tree.leaves(t)[0] for t in (result.params, result.state.params)))


def test_accumulator_dtype():
    tx, theta = jc.averaged(jc.sgd(0.1), accumulator_dtype="float32"), jnp.ones(3, jnp.bfloat16)
    state = tx.init(theta)
    assert {leaf.dtype for leaf in jax.tree.leaves(state) if leaf.shape == (3,)} == {jnp.dtype("float32")}
    assert jc.eval_params(state, theta).dtype == jnp.bfloat16


def test_bad_input():
    with pytest.raises(TypeError, match=r"^averaged: optimizer must be a gradient transformation"):
        jc.averaged(0.1)
    with pytest.raises(ValueError, match=r"^averaged: decay must be a number in \[0, 1\)"):
        jc.averaged(jc.sgd(0.1), 1.0)
    with pytest.raises(ValueError, match="start must be a number >= 0"):
        jc.averaged_sgd(0.1, start=-1)
    tx = jc.averaged_sgd(0.1)
    with pytest.raises(ValueError, match="give it the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
