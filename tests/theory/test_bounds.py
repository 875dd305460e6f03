"""Iterations and costs: exact counts, the mean loss at every step, and the exponents that measured runs show [F6]."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.theory import (
    conditioning,
    cost_table,
    expected_loss,
    exponent,
    gd_iterations,
    iterations_to,
    noise_floor,
    sgd_iterations,
)

VALUES = np.array([1.0, 2.0, 5.0])
ROTATION = np.linalg.qr(np.arange(9.0).reshape(3, 3) + np.eye(3)).Q
HESSIAN = ROTATION * VALUES @ ROTATION.T
SIGMA = np.array([[0.5, 0.1, 0.0], [0.1, 0.3, -0.1], [0.0, -0.1, 0.4]])


def test_the_constants_of_the_table():
    found = conditioning(HESSIAN, SIGMA)
    expected = [1.0, 5.0, 5.0, np.trace(SIGMA @ np.linalg.inv(HESSIAN))]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    table = cost_table(found.kappa, found.nu, [0.1, 1e-4], num_examples=1000, num_params=20)
    np.testing.assert_allclose(table.iterations.sel(optimizer="gd"), 5 * np.log([10, 1e4]), rtol=1e-12)
    np.testing.assert_allclose(table.iterations.sel(optimizer="sgd"), found.nu * 25 / np.array([0.1, 1e-4]), rtol=1e-12)
    assert table.cost_per_iteration.values.tolist() == [20_000, 20]
    np.testing.assert_allclose(table.cost, table.iterations * table.cost_per_iteration)


def descend(eigenvalues, learning_rate, start, steps):
    """f/f(start) along a measured path."""
    with jax.enable_x64(True):
        bowl = jc.surfaces.quadratic(eigenvalues)
        points = jc.minimize(bowl, jc.sgd(learning_rate), start=list(start), steps=steps).points
    losses = 0.5 * (points**2 * eigenvalues).sum(axis=1)
    return losses / losses[0]


RHO = np.geomspace(1e-2, 1e-10, 9)


@pytest.mark.parametrize("learning_rate", [None, 0.005, 0.0199])
def test_measured_iterations_of_gradient_descent_are_the_predicted_ones(learning_rate):
    """From the start that is worst for this rate, to a step."""
    ends = np.array([1.0, 100.0])
    alpha = learning_rate or 2 / 101
    worst = np.abs(1 - alpha * ends) >= np.abs(1 - alpha * ends).max() - 1e-12
    measured = iterations_to(descend(ends, alpha, worst.astype(float), 6000), RHO)
    np.testing.assert_allclose(measured, np.ceil(gd_iterations(ends, RHO, learning_rate)), atol=1)


def test_gradient_descents_iterations_grow_as_the_logarithm_and_as_kappa():
    eigenvalues = np.geomspace(1.0, 100.0, 4)
    measured = iterations_to(descend(eigenvalues, 2 / 101, 1 / np.sqrt(eigenvalues), 3000), RHO)
    assert exponent(np.log(1 / RHO), measured) == pytest.approx(1, rel=0.1)
    assert exponent(1 / RHO, measured) < 0.2  # not a power of ρ
    kappas = np.array([50.0, 200.0, 800.0])
    by_kappa = [iterations_to(descend(np.array([1.0, k]), 2 / (1 + k), [1, 0.1], 9000), 1e-6) for k in kappas]
    assert exponent(kappas, by_kappa) == pytest.approx(1, rel=0.1)
    assert (np.array([gd_iterations([1.0, k], 1e-6) for k in kappas]) <= kappas * np.log(1e6) / 4).all()


def simulate(optimizer, start, steps, lanes):
    """Mean loss over runs of the optimizer itself, with normal noise."""
    root, h = jnp.asarray(np.linalg.cholesky(SIGMA)), jnp.asarray(HESSIAN)

    def step(carry, key):
        x, state = carry
        y = jc.gradient_point(state, x)
        noise = jax.random.normal(key, x.shape, x.dtype) @ root.T
        updates, state = optimizer.update(h @ y + noise, state, x)
        return (optax.apply_updates(x, updates), state), 0.5 * x @ h @ x

    def one(key):
        x = jnp.asarray(start, jnp.float32)
        return jax.lax.scan(step, (x, optimizer.init(x)), jax.random.split(key, steps))[1]

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), lanes))).mean(axis=0, dtype=float)


DECAYING = jc.schedules.time_based(0.2, 0.2)  # a/(t + t₀) with a = 1/μ = 1, t₀ = 5
LINEAR = {
    "constant": jc.sgd(0.1),
    "momentum, decaying": jc.momentum(DECAYING, 0.6),
    "look-ahead": jc.nesterov(0.05, 0.6),
}


@pytest.mark.long
@pytest.mark.parametrize("name", LINEAR)
def test_the_mean_loss_is_exact_at_every_step(name):
    """Of 2000 runs, within 5 standard errors: the loss is at most a χ² of three terms."""
    start = [1.0, -0.5, 0.7]
    curve = expected_loss(LINEAR[name], HESSIAN, SIGMA, start=start, steps=199)
    np.testing.assert_allclose(simulate(LINEAR[name], start, 200, 2000), curve.loss, rtol=5 * np.sqrt(2 / 2000))
    np.testing.assert_allclose(curve.loss, curve.descent + curve.noise, rtol=1e-12)


def test_a_constant_rate_tends_to_its_floor_and_a_decaying_one_removes_it():
    constant = expected_loss(jc.momentum(0.1, 0.6), HESSIAN, SIGMA, start=1.0, steps=400)
    assert float(constant.noise[-1]) == pytest.approx(noise_floor(jc.momentum(0.1, 0.6), HESSIAN, SIGMA).loss, rel=1e-9)
    assert float(constant.descent[-1]) < 1e-12
    decaying = expected_loss(jc.sgd(DECAYING), HESSIAN, SIGMA, start=1.0, steps=4000).loss
    assert float(decaying[4000]) == pytest.approx(float(decaying[2000]) / 2, rel=0.01)


def test_without_noise_the_mean_is_the_path():
    with jax.enable_x64(True):
        bowl = jc.surfaces.quadratic(VALUES, rotation=ROTATION)
        points = jc.minimize(bowl, jc.nesterov(DECAYING, 0.6), start=[1.0, -0.5, 0.7], steps=50).points
    curve = expected_loss(jc.nesterov(DECAYING, 0.6), HESSIAN, 0.0, start=[1.0, -0.5, 0.7], steps=50)
    np.testing.assert_allclose(curve.descent, 0.5 * np.einsum("ti,ij,tj->t", points, HESSIAN, points), rtol=1e-10)
    assert (curve.noise == 0).all()


def test_sgds_iterations_grow_as_one_over_rho():
    """p within 10 % of 1, of 1500 measured runs and of the exact mean; the count within 10 % of its leading term."""
    rho = np.geomspace(3e-2, 1e-3, 6)
    measured = iterations_to(simulate(jc.sgd(DECAYING), [0.1, 0.1, 0.1], 1500, 1500), rho)
    predicted = iterations_to(expected_loss(jc.sgd(DECAYING), HESSIAN, SIGMA, start=0.1, steps=1500).loss, rho)
    leading = sgd_iterations(HESSIAN, SIGMA, rho)
    np.testing.assert_allclose(measured, predicted, rtol=0.1)
    np.testing.assert_allclose(predicted[-2:], leading[-2:], rtol=0.1)
    assert exponent(1 / rho, measured) == pytest.approx(1, rel=0.1)
    constants = conditioning(HESSIAN, SIGMA)
    assert (leading * rho <= 0.5 * constants.nu * constants.kappa).all()
    assert (measured <= cost_table(constants.kappa, constants.nu, rho, num_examples=1, num_params=1).iterations[1]).all()


def test_the_leading_term_for_other_gains():
    twice = jc.sgd(jc.schedules.time_based(0.2, 0.1))  # 2/(t + 10)
    loss = expected_loss(twice, HESSIAN, SIGMA, start=0.0, steps=20_000).loss
    assert 20_000 * float(loss[-1]) == pytest.approx(float(sgd_iterations(HESSIAN, SIGMA, 1.0, gain=2.0)), rel=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conditioning([1.0, 0.0]), "hessian must be positive definite; its least eigenvalue is 0"),
        (lambda: conditioning([1.0, 2.0], -1.0), "covariance must be positive semi-definite"),
        (lambda: gd_iterations([1.0, 4.0], 0.1, 0.5), r"learning_rate must be in \(0, 2/L\) = \(0, 0.5\).*got 0.5"),
        (lambda: gd_iterations([1.0, 4.0], 0.1, -0.1), r"learning_rate must be in \(0, 2/L\)"),
        (lambda: gd_iterations([1.0, 4.0], 1.0), r"rho must be a number in \(0, 1\); got 1.0"),
        (lambda: sgd_iterations([1.0, 4.0], 1.0, 0.1, gain=0.5), r"gain must be > 1/\(2μ\) = 0.5.*got 0.5"),
        (lambda: sgd_iterations([1.0, 4.0], 1.0, 0.0), "rho must be a number > 0"),
        (lambda: cost_table(0.5, 1.0, 0.1, num_examples=1, num_params=1), "kappa must be a number >= 1; got 0.5"),
        (lambda: cost_table(2.0, 1.0, 0.1, num_examples=0, num_params=1), "num_examples must be an integer >= 1"),
        (lambda: expected_loss(jc.sgd(0.1), [1.0, 2.0], 1.0, start=[1.0], steps=2), r"start must be one number or have shape"),
        (lambda: expected_loss(jc.adam(0.1), 1.0, 1.0, start=1.0, steps=2), "expected_loss: this optimizer is not linear"),
        (lambda: iterations_to(np.ones((2, 2)), 0.1), r"losses must be one row, \[steps\]; got shape \(2, 2\)"),
        (lambda: exponent([1.0], [1.0]), "rows of one length >= 2"),
        (lambda: exponent([1.0, 2.0], [1.0, -1.0]), "x and y must be positive and finite"),
        (lambda: exponent([1.0, np.inf], [1.0, 1.0]), "x and y must be positive and finite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numbers_whose_product_overflows_have_an_exponent():
    assert exponent([1e200, 2e200], [1e200, 4e200]) == pytest.approx(2)
