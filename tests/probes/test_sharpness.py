"""Sharpness is the largest eigenvalue of NumPy's Hessian; Lanczos survives the matrices that break it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.probes.curvature import largest_eigenvalue

P = jc.probes
lanczos = jax.jit(lambda matrix, start, k: largest_eigenvalue(lambda v: matrix @ v, start, k), static_argnums=2)


def test_it_is_the_hessians_largest_eigenvalue(curve):
    probes = {"batch": P.sharpness(), "train": P.sharpness(over="train", every=3, chunk=8)}
    history = curve.fit(probes, steps=4)
    path = curve.path(4)
    of_batches = [np.linalg.eigvalsh(curve.hessian(path[t], curve.batch(t)))[-1] for t in range(4)]
    np.testing.assert_allclose(history.batch, of_batches, rtol=1e-12)
    of_split = [np.linalg.eigvalsh(curve.hessian(theta))[-1] for theta in path]
    np.testing.assert_allclose(history.train, [of_split[0], np.nan, np.nan, of_split[3]], rtol=1e-12)


@pytest.mark.parametrize(
    "eigenvalues",
    [
        [5.0, 3.0, 2.0, -1.0, 0.5],
        [-5.0, -3.0, -2.0, -1.0, -4.0],  # no zero that rounding adds may win
        [2.0, 2.0, 2.0, 2.0, 2.0],  # one direction is all there is
        [7.0, 7.0, -1.0, -1.0, -1.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1e-12, 2e-12, 3e-12, 4e-12, 5e-12],
        [1e9, 1.0, 1.0, 1e-9, 0.0],
    ],
)
@pytest.mark.parametrize("iterations", [5, 50])
def test_lanczos_finds_the_largest_of_any_spectrum(eigenvalues, iterations):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    matrix = jnp.asarray(turn @ np.diag(eigenvalues) @ turn.T)
    start = jnp.asarray(np.random.default_rng(2).normal(size=5))
    found = float(lanczos(matrix, start, iterations))
    assert found == pytest.approx(max(eigenvalues), rel=1e-10, abs=1e-14 * max(map(abs, eigenvalues)))


def test_few_iterations_stay_below_and_come_closer(curve):
    matrix = np.random.default_rng(5).normal(size=(200, 200))
    matrix = jnp.asarray(matrix @ matrix.T)
    start = jnp.asarray(np.random.default_rng(6).normal(size=200))
    found = [float(lanczos(matrix, start, k)) for k in (1, 20, 200)]
    exact = np.linalg.eigvalsh(np.asarray(matrix))[-1]
    assert found == sorted(found)
    assert found[0] < 0.5 * exact
    assert found[1] == pytest.approx(exact, rel=0.01)
    assert found[2] == pytest.approx(exact, rel=1e-12)


def test_lower_precision_parameters_and_mixed_ones():
    def bowl(params):
        return 3 * params["a"].astype(jnp.float32) ** 2 + jnp.sum(params["b"] ** 2)

    start = {"a": jnp.ones((), jnp.bfloat16), "b": jnp.ones(3, jnp.float32)}
    history = jc.minimize(bowl, jc.sgd(0.1), start=start, steps=2, probes=P.sharpness()).history
    np.testing.assert_allclose(history.sharpness, 6.0, rtol=0.02)
    assert history.sharpness.dtype == np.float32


def test_complex_parameters_are_refused():
    with pytest.raises(TypeError, match="sharpness needs real parameters"):
        jc.minimize(lambda z: jnp.abs(z) ** 2, jc.sgd(0.1), start=jnp.array(1 + 2j), steps=1, probes=P.sharpness())
