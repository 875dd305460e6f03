"""Err = Bias² + Variance + irreducible: exact on the estimates, and what closed forms say [A8]."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.theory import bias_variance
from jaxopt_course.theory.bias_variance import _parts

N, NOISE = 12, 0.4
INPUTS = jnp.linspace(-1, 1, N)
POINTS = np.linspace(-0.9, 0.9, 8)
DEGREES = [1, 3, 7]


def truth(x):
    return x**3 - 0.5 * x


def targets(key, x):
    return truth(x) + NOISE * jax.random.normal(key, x.shape)


def sample(key):
    return INPUTS, targets(key, INPUTS)


def ridge(data, strength, degree):
    features, y = jnp.vander(data[0], degree + 1), data[1]
    weights = jnp.linalg.solve(features.T @ features + strength * jnp.eye(degree + 1), features.T @ y)
    return lambda x: jnp.vander(x, degree + 1) @ weights


def by_degree(data, degree, key):
    return ridge(data, 0.0, degree)


@functools.cache
def decomposed():
    return bias_variance(by_degree, sample, targets, POINTS, DEGREES, axis="degree", resamples=600)


def test_the_identity_is_exact():
    ds = decomposed()
    np.testing.assert_allclose(ds.error, ds.bias2 + ds.variance + ds.noise, rtol=1e-12)
    assert ds.error.dims == ("degree",)
    assert ds.prediction.dims == ("degree", "resample", "point")
    np.testing.assert_allclose(ds.truth, truth(POINTS), atol=5 * NOISE / np.sqrt(2000))


def test_its_parts_are_the_closed_forms():
    """Least squares: the mean fits the mean, and the variance at x is σ² φ(x)ᵀ(ΦᵀΦ)⁻¹φ(x)."""
    ds, x = decomposed(), np.asarray(INPUTS, float)
    for degree in DEGREES:
        design, at = np.vander(x, degree + 1), np.vander(POINTS, degree + 1)
        variance = NOISE**2 * np.einsum("pi,ij,pj->p", at, np.linalg.inv(design.T @ design), at).mean()
        bias2 = ((at @ np.linalg.lstsq(design, truth(x))[0] - truth(POINTS)) ** 2).mean()
        found = ds.sel(degree=degree)
        assert float(found.variance) == pytest.approx(variance, rel=0.1)
        assert float(found.bias2) == pytest.approx(
            bias2, abs=5 * NOISE**2 / 600 + 5 * 2 * np.sqrt(bias2) * NOISE / np.sqrt(600)
        )
        assert float(found.noise) == pytest.approx(NOISE**2, rel=0.05)


def test_what_finite_draws_add_is_as_the_docstring_says():
    """4 000 times R = 3 predictors and J = 4 targets of known bias 0.3, variance 0.25 and noise 0.49, at 2 points."""
    draws = np.random.default_rng(0)
    prediction, y = draws.normal(1.3, 0.5, (4000, 3, 2)), draws.normal(1.0, 0.7, (4000, 4, 2))
    parts = [_parts(each[None], target) for each, target in zip(prediction, y, strict=True)]
    bias2, variance, noise = (np.mean([part[name] for part in parts]) for name in ("bias2", "variance", "noise"))
    assert bias2 == pytest.approx(0.09 + 0.25 / 3 + 0.49 / 4, rel=0.03)
    assert bias2 - variance / 2 - noise / 3 == pytest.approx(0.09, rel=0.1)
    assert variance * 3 / 2 == pytest.approx(0.25, rel=0.03)
    assert noise * 4 / 3 == pytest.approx(0.49, rel=0.03)


def test_bias_falls_and_variance_grows_with_complexity():
    ds = decomposed()
    assert (np.diff(ds.variance) > 0).all()
    assert float(ds.bias2[0]) > 2 * float(ds.bias2[1])


@pytest.mark.long
def test_strengths_compile_once_and_train_by_descent():
    """λ is traced; the procedure here is gradient descent with our own optimizer."""
    traced = []

    def train(data, strength, key):
        traced.append(strength)
        features, tx = jnp.vander(data[0], 6), jc.momentum(0.1, 0.9)
        loss = lambda w: ((features @ w - data[1]) ** 2).mean() + strength * (w**2).sum()

        def step(carry, _):
            w, state = carry
            updates, state = tx.update(jax.grad(loss)(w), state, w)
            return (w + updates, state), None

        weights = jax.lax.scan(step, (jnp.zeros(6), tx.init(jnp.zeros(6))), None, length=300)[0][0]
        return lambda x: jnp.vander(x, 6) @ weights

    ds = bias_variance(train, sample, targets, POINTS, [0.001, 0.03, 1.0], axis="regularization", resamples=100, draws=500)
    assert len(traced) == 1
    assert (np.diff(ds.variance) < 0).all()
    assert float(ds.bias2[2]) > float(ds.bias2[0])
    np.testing.assert_allclose(ds.error, ds.bias2 + ds.variance + ds.noise, rtol=1e-12)


@pytest.mark.long
def test_values_may_be_any_hashable_and_keys_matter():
    def train(data, widths, key):
        return lambda x: data[1].mean() + len(widths) * x

    uniform = lambda key, x=INPUTS: x + jax.random.uniform(key, x.shape)
    draw = lambda key: (INPUTS, uniform(key))
    runs = [bias_variance(train, draw, uniform, POINTS, [(1, 1)], resamples=20, draws=20, key=key) for key in (1, 2)]
    assert runs[0].complexity.values.tolist() == ["(1, 1)"]
    assert not runs[0].equals(runs[1])


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"train": None}, TypeError, "train must be a function; got None"),
        ({"values": 3}, TypeError, "values must be a sequence of them; got 3"),
        ({"axis": "error"}, ValueError, "axis must be a name, and none of .*; got 'error'"),
        ({"axis": "point"}, ValueError, "axis must be a name, and none of .*; got 'point'"),
        ({"points": "a"}, TypeError, "points must be finite numbers; got 'a'"),
        (
            {"train": lambda d, v, k: lambda x: x ** int(v), "values": [2.0]},
            TypeError,
            "values that are floats are traced, and train asks for one; give integers, or a tuple; got 2.0",
        ),
        ({"values": []}, ValueError, "values must be at least one"),
        ({"values": [[1, 2]]}, TypeError, r"values must be numbers or hashable .*got \[1, 2\]"),
        ({"resamples": 1}, ValueError, "resamples must be an integer >= 2; got 1"),
        ({"draws": 0}, ValueError, "draws must be an integer >= 1; got 0"),
        ({"targets": lambda key, x: jnp.zeros(3)}, ValueError, r"targets must be one number for each of 8 points; got \(3,\)"),
        ({"train": lambda d, v, k: lambda x: x[:, None]}, ValueError, r"predictions must be one number .* got \(8, 1\)"),
        ({"train": lambda d, v, k: lambda x: x * jnp.nan}, ValueError, "predictions must be finite"),
    ],
)
def test_bad_input(changed, error, message):
    train = lambda data, value, key: lambda x: value * x
    arguments = {
        "train": train,
        "sample": lambda key: INPUTS,
        "targets": lambda key, x: x,
        "points": POINTS,
        "values": [1],
        "resamples": 4,
    }
    with pytest.raises(error, match=message):
        bias_variance(**{**arguments, "draws": 4, **changed})
