"""Where noise stops a constant rate: closed forms, an independent linear solve, and what training measures [F5]."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.problems.surfaces import noisy
from jaxopt_course.theory import least_squares_floor, noise_floor

GENERATOR = np.random.default_rng(0)
D = 6
VALUES = np.linspace(1.0, 4.0, D)
ROTATION = np.linalg.qr(GENERATOR.normal(size=(D, D))).Q
HESSIAN = ROTATION * VALUES @ ROTATION.T
ROOT = GENERATOR.normal(size=(D, D))
SIGMA = ROOT @ ROOT.T / D
METHODS = {
    "sgd": jc.sgd(0.2),
    "momentum": jc.momentum(0.1, 0.5),
    "look-ahead": jc.nesterov(0.1, 0.5),
    "shifted": jc.nesterov(0.1, 0.5, form="shifted"),
}


def test_closed_forms():
    a, b, lam, variance = 0.1, 0.7, 3.0, 0.4
    plain = a * variance / (lam * (2 - a * lam))
    heavy = a * variance * (1 + b) / ((1 - b) * lam * (2 * (1 + b) - a * lam))
    np.testing.assert_allclose(noise_floor(jc.sgd(a), lam, variance).covariance, [[plain]], rtol=1e-12)
    np.testing.assert_allclose(noise_floor(jc.momentum(a, b), lam, variance).covariance, [[heavy]], rtol=1e-12)
    np.testing.assert_allclose(noise_floor(optax.sgd(a, b), lam, variance).covariance, [[heavy]], rtol=1e-12)
    floor = noise_floor(jc.sgd(a), [1.0, lam], variance)
    assert floor.loss == pytest.approx(a * variance / 2 * (1 / (2 - a) + 1 / (2 - a * lam)), rel=1e-12)
    assert floor.recorded == pytest.approx(floor.loss, rel=1e-12)
    assert floor.rate == pytest.approx(1 - a, rel=1e-12)


def test_the_look_aheads_gradient_point_is_the_shifted_forms_parameters():
    ahead, shifted = (noise_floor(METHODS[name], HESSIAN, SIGMA) for name in ("look-ahead", "shifted"))
    assert ahead.recorded == pytest.approx(shifted.loss, rel=1e-10)
    assert ahead.loss < 0.9 * ahead.recorded


@pytest.mark.parametrize("name", ["sgd", "momentum", "look-ahead"])
def test_additive_noise_ends_at_the_floor(name):
    """Within 5 %, measured by `fit`."""
    surface = jc.surfaces.quadratic(VALUES, rotation=ROTATION)
    problem = noisy(surface, SIGMA, num_examples=500)
    history = jc.fit(problem, METHODS[name], batch_size=1, steps=30_000).history
    floor = noise_floor(METHODS[name], HESSIAN, SIGMA)
    assert float(history.loss[500:].mean(dtype=float)) == pytest.approx(floor.recorded, rel=0.05)


def losses_around(centers):
    hessian = jnp.asarray(HESSIAN, jnp.float32)

    def losses(params, batch):
        away = params - batch["center"]
        return 0.5 * jnp.einsum("bi,ij,bj->b", away, hessian, away)

    return jc.Problem.from_loss(losses, jnp.zeros(D), {"center": jnp.asarray(centers, jnp.float32)})


@pytest.mark.parametrize("name", METHODS)
def test_uniform_sampling_ends_at_the_floor(name):
    """Within 5 %: examples that share their Hessian, two of them drawn with replacement at each step."""
    centers = GENERATOR.normal(size=(40, D))
    centers -= centers.mean(axis=0)
    spread = centers.T @ centers / len(centers)
    result = jc.fit(losses_around(centers), METHODS[name], batch_size=2, steps=40_000, sampler=jc.samplers.uniform())
    floor = noise_floor(METHODS[name], HESSIAN, HESSIAN @ spread @ HESSIAN / 2)
    lowest = 0.5 * np.trace(HESSIAN @ spread)
    assert float(result.history.loss[500:].mean(dtype=float)) - lowest == pytest.approx(floor.recorded, rel=0.05)


def regression(n=30, d=3):
    generator = np.random.default_rng(1)
    x = generator.normal(size=(n, d)) * [1.0, 1.5, 0.5]
    return x, x @ [1.0, -2.0, 0.5] + generator.normal(size=n)


def transcribed(name, hessian):
    """The iteration matrix and how a gradient enters, for α = 0.01 and μ = 0.5, in NumPy."""
    eye = np.eye(len(hessian))
    down = eye - 0.01 * hessian
    if name == "sgd":
        return down, -0.01 * eye
    kept = {"momentum": 0.5 * eye, "look-ahead": 0.5 * down}[name]
    first = {"momentum": -0.5 * eye, "look-ahead": -0.5 * down}[name]
    return np.block([[down, first], [0.01 * hessian, kept]]), np.vstack([-0.01 * eye, 0.01 * eye])


@pytest.mark.parametrize("name", ["sgd", "momentum", "look-ahead"])
@pytest.mark.parametrize("half", [True, False])
def test_least_squares_is_the_solution_for_all_examples(name, half):
    """vec(P) = (I − (1/n) Σ Mᵢ ⊗ Mᵢ)⁻¹ vec((1/n) Σ bᵢbᵢᵀ), with each example's own iteration matrix Mᵢ."""
    optimizer = {"sgd": jc.sgd(0.01), "momentum": jc.momentum(0.01, 0.5), "look-ahead": jc.nesterov(0.01, 0.5)}[name]
    x, y = regression()
    scale = 1 if half else 2
    residual = scale * (x @ np.linalg.lstsq(x, y)[0] - y)
    second, noise = 0.0, 0.0
    for row, r in zip(x, residual, strict=True):
        own, enters = transcribed(name, scale * np.outer(row, row))
        second = second + np.kron(own, own) / len(x)
        noise = noise + np.outer(enters @ row * r, enters @ row * r) / len(x)
    p = np.linalg.solve(np.eye(len(second)) - second, noise.reshape(-1)).reshape(noise.shape)[:3, :3]
    floor = least_squares_floor(optimizer, x, y, half=half)
    np.testing.assert_allclose(floor.covariance, p, rtol=1e-9)
    assert floor.loss == pytest.approx(0.5 * scale * np.trace(x.T @ x / len(x) @ p), rel=1e-9)


@pytest.mark.parametrize("optimizer", [jc.sgd(0.1), jc.momentum(0.05, 0.5)], ids=["sgd", "momentum"])
def test_least_squares_ends_at_its_floor_which_is_higher(optimizer):
    """Within 5 %; without the noise that grows with the distance it would be 10 % lower, or more."""
    x, y = regression()
    losses = lambda params, batch: 0.5 * (batch["x"] @ params - batch["y"]) ** 2
    data = {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y, jnp.float32)}
    problem = jc.Problem.from_loss(losses, jnp.zeros(3), data)
    run = jc.fit(problem, optimizer, batch_size=2, steps=60_000, sampler=jc.samplers.uniform())
    hessian, residual = x.T @ x / len(x), y - x @ np.linalg.lstsq(x, y)[0]
    floor = least_squares_floor(optimizer, x, y, batch_size=2)
    measured = float(run.history.loss[500:].mean(dtype=float)) - 0.5 * (residual**2).mean()
    assert measured == pytest.approx(floor.recorded, rel=0.05)
    sigma = (x * residual[:, None] ** 2).T @ x / len(x) / 2
    assert noise_floor(optimizer, hessian, sigma).recorded < 0.9 * floor.recorded


def test_where_everything_is_explained_there_is_no_floor():
    x, _ = regression()
    assert least_squares_floor(jc.sgd(0.05), x, x @ [1.0, -2.0, 0.5]).loss < 1e-25


def test_the_variance_grows_for_ever_before_the_mean_does():
    """For one parameter E(1 − αx²)² < 1, that is α < 2E[x²]/E[x⁴], below 2/E[x²]."""
    x, y = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 2.0])
    limit = 2 * (x**2).mean() / (x**4).mean()
    assert least_squares_floor(jc.sgd(0.999 * limit), x, y).loss > least_squares_floor(jc.sgd(0.9 * limit), x, y).loss > 0
    with pytest.raises(ValueError, match=r"the variance grows for ever.*smaller learning rate or a larger batch_size"):
        least_squares_floor(jc.sgd(1.001 * limit), x, y)
    assert least_squares_floor(jc.sgd(1.001 * limit), x, y, batch_size=2).loss > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noise_floor(jc.sgd(0.6), [1.0, 4.0], 1.0), r"diverges.*is 1\.4; .* \(0, 2/L\) = \(0, 0\.5\)"),
        (lambda: noise_floor(jc.momentum(0.1, 1.0), 1.0, 1.0), "diverges, so that there is no floor"),
        (lambda: noise_floor(jc.sgd(0.1), [1.0, -1.0], 1.0), "hessian must be positive definite; its least eigenvalue is -1"),
        (lambda: noise_floor(jc.sgd(0.1), [1.0, 2.0], [[1, 2], [2, 1]]), "positive semi-definite; its least eigenvalue is -1"),
        (lambda: noise_floor(jc.sgd(0.1), [1.0, 2.0], [[1, 0.5], [0, 1]]), "covariance must be symmetric"),
        (lambda: noise_floor(jc.sgd(0.1), [1.0, 2.0], np.eye(3)), r"the hessian's shape \(2, 2\); got shape \(3, 3\)"),
        (lambda: noise_floor(jc.adam(0.1), [1.0, 2.0], 1.0), "noise_floor: this optimizer is not linear"),
        (lambda: least_squares_floor(jc.sgd(0.1), np.ones(3), np.ones(3)), r"x must have shape \[n, d\] and y \[n\]"),
        (lambda: least_squares_floor(jc.sgd(0.1), np.ones((3, 2)), np.ones(3)), "columns of x must be independent"),
        (lambda: least_squares_floor(jc.sgd(0.1), np.eye(3), np.ones(3), batch_size=0), "batch_size must be an integer >= 1"),
        (lambda: least_squares_floor(jc.sgd(0.1), np.eye(3), np.ones(3), half=2), "half must be True or False; got 2"),
        (lambda: least_squares_floor(jc.sgd(9.0), np.eye(3), np.ones(3)), "diverges"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
